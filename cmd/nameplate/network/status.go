package network

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nameplate-id/nameplate/registry"
	registryrpc "github.com/nameplate-id/nameplate/registry/rpc"
)

// NodeStatus is how one node is.
type NodeStatus struct {
	*Node
	// PID is its process; 0 when it does not run.
	PID int
	// Err says why the node told nothing of itself; nil when it did. What follows is
	// only known then.
	Err error
	registryrpc.Status
	// Copy is the node's log as its parent has it; nil for a node without a parent, and
	// where the parent does not tell or has none. Lag is how many entries it does not
	// have yet.
	Copy *registry.MirrorStatus
	Lag  uint64
	// Answers is how many questions the node has answered since its start, over all
	// protocols.
	Answers uint64
	// Memory is how much of the machine's memory the process occupies, in octets,
	// without what it shares with others; 0 where the system does not tell.
	Memory int64
}

// ErrDown is that of a node that does not run.
var ErrDown = errors.New("does not run")

// statusTimeout is how long a node has to tell how it is.
const statusTimeout = 3 * time.Second

// Status asks all nodes at once how they are, and returns what they say in the order
// of the file.
func (n *Network) Status(ctx context.Context) []NodeStatus {
	all := make([]NodeStatus, len(n.Nodes))
	var asked sync.WaitGroup
	for i := range n.Nodes {
		asked.Go(func() { all[i] = n.status(ctx, &n.Nodes[i]) })
	}
	asked.Wait()
	for i := range all {
		parent := slices.IndexFunc(n.Nodes, func(x Node) bool { return x.Name == all[i].Parent })
		if parent >= 0 && all[i].Err == nil && all[parent].Err == nil {
			all[i].lagBehind(&all[parent])
		}
	}
	return all
}

// lagBehind works out what the parent does not have of a child's log. The parent may
// have been asked later, and have more than the child told.
func (s *NodeStatus) lagBehind(parent *NodeStatus) {
	for i := range parent.Mirrors {
		if m := &parent.Mirrors[i]; m.Log == s.Log {
			s.Copy, s.Lag = m, s.Position-min(s.Position, m.Size)
		}
	}
}

// Mirrored reports whether the node's parent has its whole log, with the root that the
// node itself has signed.
func (s *NodeStatus) Mirrored() bool {
	return s.Copy != nil && s.Copy.Size == s.Position && s.Checkpoint.Size == s.Position && s.Copy.Root == s.Checkpoint.Root
}

// AwaitMirrors waits until the parents of these nodes have their whole logs. Nodes
// without a parent are passed over. The error of a wait that ctx ends says what is
// missing where.
func (n *Network) AwaitMirrors(ctx context.Context, names ...string) error {
	for {
		behind := ""
		for _, s := range n.Status(ctx) {
			switch {
			case s.Parent == "" || !slices.Contains(names, s.Node.Name) || s.Mirrored():
			case s.Err != nil:
				behind = fmt.Sprintf("node %s: %v", s.Node.Name, s.Err)
			default:
				behind = fmt.Sprintf("node %s lacks %d of the %d entries of node %s", s.Parent, s.Lag, s.Position, s.Node.Name)
			}
		}
		if behind == "" {
			return nil
		}
		select {
		case <-time.After(10 * look):
		case <-ctx.Done():
			return fmt.Errorf("%s: %w", behind, context.Cause(ctx))
		}
	}
}

func (n *Network) status(ctx context.Context, x *Node) NodeStatus {
	s := NodeStatus{Node: x, PID: n.PID(x.Name)}
	if s.PID == 0 {
		s.Err = ErrDown
		return s
	}
	s.Memory = ownMemory(s.PID)
	ctx, cancel := context.WithTimeoutCause(ctx, statusTimeout, fmt.Errorf("no answer within %v", statusTimeout))
	defer cancel()
	if s.Answers, s.Err = n.answers(ctx, x); s.Err != nil || x.Recursive {
		return s
	}
	client, err := registryrpc.NewClient(n.grpc(x), registryrpc.ClientOptions{})
	if err != nil {
		s.Err = err
		return s
	}
	defer client.Close()
	s.Status, s.Err = client.Status(ctx)
	return s
}

// answers adds up how many questions a node has answered, as its metrics say.
func (n *Network) answers(ctx context.Context, x *Node) (uint64, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+n.http(x)+"/metrics", nil)
	if err != nil {
		return 0, err
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	const most = 4 << 20
	var sum float64
	lines := bufio.NewScanner(io.LimitReader(response.Body, most))
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), " ")
		if !strings.HasPrefix(name, "nameplate_answers_total{") {
			continue
		}
		count, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return 0, fmt.Errorf("the metrics of node %s: %w", x.Name, err)
		}
		sum += count
	}
	return uint64(sum), lines.Err()
}

// ownMemory returns how much memory a process has to itself.
func ownMemory(pid int) int64 {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "statm"))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(text)) // all, resident, shared …, in pages
	if len(fields) < 3 {
		return 0
	}
	resident, _ := strconv.ParseInt(fields[1], 10, 64)
	shared, _ := strconv.ParseInt(fields[2], 10, 64)
	return (resident - shared) * int64(os.Getpagesize())
}
