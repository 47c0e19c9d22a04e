package network

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/nameplate-id/nameplate/registry"
	registryrpc "github.com/nameplate-id/nameplate/registry/rpc"
)

// patience is how long a node may take to start. One that was asked to stop is killed
// after mercy.
const (
	patience = 60 * time.Second
	mercy    = 20 * time.Second
	look     = 5 * time.Millisecond // how often something is looked at that is waited for
)

// Start starts a node that does not run, with the configuration in its folder, and
// waits until it answers. When it fails, or ctx ends before, the node does not run.
func (n *Network) Start(ctx context.Context, name string) error {
	x := n.Node(name)
	if x == nil {
		return n.unknown(name)
	}
	if pid := n.PID(name); pid != 0 {
		return fmt.Errorf("node %s runs already, as process %d", name, pid)
	}
	if n.healthy(ctx, x) {
		return fmt.Errorf("start node %s: something else answers at %s: stop it first", name, n.http(x))
	}
	ended, err := n.launch(name)
	if err != nil {
		return fmt.Errorf("start node %s: %w", name, err)
	}
	if err := n.await(ctx, x, ended); err != nil {
		return errors.Join(err, n.Kill(name))
	}
	return nil
}

// unknown is the error for a node that is not in the file.
func (n *Network) unknown(name string) error {
	return fmt.Errorf("there is no node %q in this network: see nameplate network status", name)
}

// launch starts the process of a node, in a session of its own, so that it outlives
// this one, unless it is attached, and no ^C reaches it. The channel is closed when it ends.
func (n *Network) launch(name string) (<-chan struct{}, error) {
	program, err := exec.LookPath(n.program)
	if err != nil {
		return nil, err
	}
	log, err := os.OpenFile(n.Log(name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	c := exec.Command(program, "serve", "--config", n.join(name, configName))
	c.Dir = filepath.Join(n.folder, name)
	if c.Path, err = filepath.Abs(program); err != nil {
		return nil, err
	}
	c.Env = n.environment()
	c.Stdout, c.Stderr = log, log
	c.SysProcAttr = session(n.Attached)
	if err := c.Start(); err != nil {
		return nil, err
	}
	ended := make(chan struct{})
	n.mu.Lock()
	n.ended[name] = ended
	n.mu.Unlock()
	go func() {
		defer close(ended)
		_ = c.Wait() // why it ended stands in its log
	}()
	if err := replaceFile(n.join(name, pidName), fmt.Appendf(nil, "%d\n", c.Process.Pid)); err != nil {
		_ = c.Process.Kill()
		<-ended
		return nil, err
	}
	return ended, nil
}

// environment is that of the nodes: this process's own without what would tell
// nameplate something, and with the limit of memory.
func (n *Network) environment() []string {
	var kept []string
	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, "NAMEPLATE_") {
			kept = append(kept, variable)
		}
	}
	if n.Memory > 0 {
		kept = append(kept, fmt.Sprintf("GOMEMLIMIT=%d", int64(n.Memory)))
	}
	return kept
}

// await waits until a node says that it can answer, and that it is the one that is
// waited for: something else may have its address.
func (n *Network) await(ctx context.Context, x *Node, ended <-chan struct{}) error {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("it does not answer %v after its start: see nameplate network logs %s", patience, x.Name))
	defer cancel()
	pause := func() error {
		select {
		case <-time.After(look):
			return nil
		case <-ended:
			return fmt.Errorf("node %s ended while it started: %s", x.Name, n.lastWords(x.Name))
		case <-ctx.Done():
			return fmt.Errorf("node %s: %w", x.Name, context.Cause(ctx))
		}
	}
	for !n.healthy(ctx, x) {
		if err := pause(); err != nil {
			return err
		}
	}
	if x.Recursive {
		return nil // it has nothing to know it by
	}
	key, err := readKey(n.NodeKey(x.Name))
	if err != nil {
		return err
	}
	client, err := registryrpc.NewClient(n.grpc(x), registryrpc.ClientOptions{})
	if err != nil {
		return err
	}
	defer client.Close()
	status, err := client.Status(ctx)
	for ; unavailable(err); status, err = client.Status(ctx) {
		// A node that was restored opens its ports anew when it goes on with another log.
		if err := pause(); err != nil {
			return err
		}
	}
	if err != nil {
		return fmt.Errorf("node %s: %w", x.Name, err)
	}
	if status.Key != key.Public() {
		return fmt.Errorf("node %s: another node, %q with key %s, answers at %s: stop it first", x.Name, status.Name, status.Key, n.grpc(x))
	}
	return nil
}

// healthy reports whether something at a node's address says that it can answer.
func (n *Network) healthy(ctx context.Context, x *Node) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+n.http(x)+"/healthz", nil)
	if err != nil {
		return false
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return false
	}
	response.Body.Close()
	return response.StatusCode == http.StatusOK
}

// lastWords are the last line of a node's log.
func (n *Network) lastWords(name string) string {
	text, err := os.ReadFile(n.Log(name))
	if err != nil {
		return err.Error()
	}
	lines := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	last := strings.TrimPrefix(string(lines[len(lines)-1]), "nameplate: ")
	if last == "" {
		return "it wrote nothing"
	}
	return last
}

// PID returns the process of a node; 0 when it does not run.
func (n *Network) PID(name string) int {
	text, err := os.ReadFile(n.join(name, pidName))
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || pid <= 1 || syscall.Kill(pid, 0) != nil {
		return 0
	}
	// The number may have gone to another process, and one that has ended stays until
	// its parent asks: it has no command line any more.
	line, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cmdline"))
	if err == nil && !bytes.Contains(line, []byte("\x00"+n.join(name, configName)+"\x00")) {
		return 0
	}
	return pid
}

// Kill ends a node at once, as a power cut would, and returns when it has ended. It
// does nothing when the node does not run.
func (n *Network) Kill(name string) error {
	if n.Node(name) == nil {
		return n.unknown(name)
	}
	pid := n.PID(name)
	if pid == 0 {
		return nil
	}
	if err := signal(pid, syscall.SIGKILL); err != nil {
		return fmt.Errorf("kill node %s: %w", name, err)
	}
	return n.awaitEnd(context.Background(), name, patience)
}

// Stop asks a node to end and waits until it has. After 20 seconds, or when ctx ends,
// it kills the node and returns an error. It does nothing when the node does not run.
func (n *Network) Stop(ctx context.Context, name string) error {
	if n.Node(name) == nil {
		return n.unknown(name)
	}
	pid := n.PID(name)
	if pid == 0 {
		return nil
	}
	if err := signal(pid, syscall.SIGTERM); err != nil {
		return fmt.Errorf("stop node %s: %w", name, err)
	}
	_ = signal(pid, syscall.SIGCONT) // one that is frozen would not hear of it
	if err := n.awaitEnd(ctx, name, mercy); err != nil {
		return errors.Join(fmt.Errorf("%w after it was asked to, and was killed", err), n.Kill(name))
	}
	return nil
}

// Freeze stops the process of a node where it is, so that it neither answers nor
// closes a connection, until [Network.Thaw]. It returns when that is so.
func (n *Network) Freeze(name string) error {
	if err := n.signal(name, syscall.SIGSTOP); err != nil {
		return err
	}
	file := filepath.Join("/proc", strconv.Itoa(n.PID(name)), "stat")
	for late := time.Now().Add(patience); time.Now().Before(late); time.Sleep(look) {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil // the system does not tell
		}
		// The state stands behind the name, which may hold anything (proc(5)).
		if _, state, _ := bytes.Cut(text[bytes.LastIndexByte(text, ')')+1:], []byte(" ")); len(state) > 0 && state[0] == 'T' {
			return nil
		}
	}
	return fmt.Errorf("node %s does not hold still", name)
}

// Thaw lets a frozen node go on.
func (n *Network) Thaw(name string) error { return n.signal(name, syscall.SIGCONT) }

func (n *Network) signal(name string, s syscall.Signal) error {
	pid := n.PID(name)
	if pid == 0 {
		return fmt.Errorf("node %s does not run", name)
	}
	return signal(pid, s)
}

// signal sends a signal to a process; that it has ended is no error.
func signal(pid int, s syscall.Signal) error {
	if err := syscall.Kill(pid, s); !errors.Is(err, syscall.ESRCH) {
		return err
	}
	return nil
}

// awaitEnd waits until a node's process has ended.
func (n *Network) awaitEnd(ctx context.Context, name string, limit time.Duration) error {
	late := time.After(limit)
	for n.PID(name) != 0 {
		select {
		case <-time.After(look):
		case <-late:
			return fmt.Errorf("node %s does not end %v", name, limit)
		case <-ctx.Done():
			return fmt.Errorf("node %s: %w", name, context.Cause(ctx))
		}
	}
	n.mu.Lock()
	ended := n.ended[name]
	delete(n.ended, name)
	n.mu.Unlock()
	if ended != nil {
		<-ended
	}
	return nil
}

// unavailable reports whether a node could not be asked just now.
func unavailable(err error) bool {
	e, ok := errors.AsType[*registry.Error](err)
	return ok && e.Kind == registry.Unavailable
}
