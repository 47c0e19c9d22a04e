package network

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/nameplate-id/nameplate/registry/identifier"
	registryrpc "github.com/nameplate-id/nameplate/registry/rpc"
)

// Progress tells how far a network has come up.
type Progress struct {
	Running, Nodes         int // nodes that answer, of all
	Delegated, Delegations int // prefixes delegated, of all; a prefix below the root counts once for each top-level node
}

// Up makes the folder, starts the nodes that do not run, from the top down, and
// delegates what is not delegated as the file says. It returns when every node answers
// and has been told by its parent what it holds. tell is called as it goes on, one
// call at a time; nil for nobody.
//
// When it fails, or ctx ends before, the nodes that it started do not run.
func (n *Network) Up(ctx context.Context, tell func(Progress)) error {
	if err := n.unlisted(); err != nil {
		return err
	}
	if err := n.prepare(); err != nil {
		return fmt.Errorf("network folder: %w", err)
	}
	u := newRise(n, tell)
	g, inner := errgroup.WithContext(ctx)
	for i := range n.Nodes {
		g.Go(func() error { return u.raise(inner, &n.Nodes[i]) })
	}
	err := g.Wait()
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return errors.Join(err, n.each(u.started, func(name string) error { return n.Stop(context.WithoutCancel(ctx), name) }))
}

// unlisted returns an error when a node of an earlier file runs that is not in this
// one: nobody could stop it any more.
func (n *Network) unlisted() error {
	before, err := Read(filepath.Join(n.folder, fileName))
	if err != nil {
		return nil // there is none, or it is replaced
	}
	for _, x := range before.Nodes {
		if n.Node(x.Name) == nil && n.PID(x.Name) != 0 {
			return fmt.Errorf("node %s runs in %s and is not in this file: take that network down first", x.Name, n.folder)
		}
	}
	return nil
}

// rise is a network on its way up.
type rise struct {
	*Network
	may   map[string]chan struct{} // closed when the node has been delegated to and may start
	slots chan struct{}            // taken by the nodes that are starting

	mu sync.Mutex
	Progress
	missing map[string]int // delegations that the node waits for
	started []string
	tell    func(Progress)
}

func newRise(n *Network, tell func(Progress)) *rise {
	u := &rise{
		Network: n, tell: tell, may: make(map[string]chan struct{}), missing: make(map[string]int),
		slots: make(chan struct{}, 4*runtime.GOMAXPROCS(0)),
	}
	u.Nodes = len(n.Nodes)
	for _, h := range n.holdings() {
		u.Delegations += len(n.places(h))
		if h.node != nil {
			u.missing[h.node.Name] += len(n.places(h))
		}
	}
	for _, x := range n.Nodes {
		u.may[x.Name] = make(chan struct{})
		if u.missing[x.Name] == 0 {
			close(u.may[x.Name])
		}
	}
	return u
}

// raise starts a node once it has been delegated to, so that it finds a parent that
// knows it, waits until it holds what the file says, and delegates there what the file
// gives to others.
func (u *rise) raise(ctx context.Context, x *Node) error {
	select {
	case <-u.may[x.Name]:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if err := u.ensure(ctx, x); err != nil {
		return err
	}
	u.step(func() { u.Running++ })
	if x.Recursive {
		return nil
	}
	client, err := registryrpc.NewClient(u.grpc(x), registryrpc.ClientOptions{})
	if err != nil {
		return err
	}
	defer client.Close()
	if err := u.awaitGrant(ctx, client, x); err != nil {
		return err
	}
	for _, h := range u.holdings() {
		if !slices.Contains(u.places(h), x) {
			continue
		}
		if err := u.delegate(ctx, client, x, h); err != nil {
			return fmt.Errorf("delegate %s to %s at node %s: %w", h.prefix, h.holder, x.Name, err)
		}
		u.step(func() { u.delegated(h) })
	}
	return nil
}

// delegated notes that a prefix is delegated at one more node.
func (u *rise) delegated(h holding) {
	u.Delegated++
	if h.node == nil {
		return
	}
	if u.missing[h.node.Name]--; u.missing[h.node.Name] == 0 {
		close(u.may[h.node.Name])
	}
}

// ensure starts a node if it does not run.
func (u *rise) ensure(ctx context.Context, x *Node) error {
	select {
	case u.slots <- struct{}{}:
		defer func() { <-u.slots }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if u.PID(x.Name) != 0 {
		return u.await(ctx, x, nil)
	}
	u.step(func() { u.started = append(u.started, x.Name) })
	return u.Start(ctx, x.Name)
}

// step notes progress and tells of it.
func (u *rise) step(note func()) {
	u.mu.Lock()
	defer u.mu.Unlock()
	note()
	if u.tell != nil {
		u.tell(u.Progress)
	}
}

// awaitGrant waits until a node has been told by its parent what it holds.
func (u *rise) awaitGrant(ctx context.Context, client *registryrpc.Client, x *Node) error {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("its parent has not told it within %v that it holds its prefixes: see nameplate network logs %s", patience, x.Name))
	defer cancel()
	for {
		status, err := client.Status(ctx)
		if err != nil {
			return fmt.Errorf("node %s: %w", x.Name, err)
		}
		missing := slices.ContainsFunc(x.Prefixes, func(p identifier.Prefix) bool { return !slices.Contains(status.Apexes, p) })
		if !missing {
			return nil
		}
		select {
		case <-time.After(4 * look):
		case <-ctx.Done():
			return fmt.Errorf("node %s: %w", x.Name, context.Cause(ctx))
		}
	}
}

// Down asks all nodes to end and waits until they have. Those that do not are killed;
// that is an error. The folder stays.
func (n *Network) Down(ctx context.Context) error {
	var running []string
	for _, x := range n.Nodes {
		if n.PID(x.Name) != 0 {
			running = append(running, x.Name)
		}
	}
	return n.each(running, func(name string) error { return n.Stop(ctx, name) })
}

// each does something with all nodes at once, and returns all errors.
func (n *Network) each(names []string, do func(name string) error) error {
	errs := make([]error, len(names))
	var all sync.WaitGroup
	for i, name := range names {
		all.Go(func() { errs[i] = do(name) })
	}
	all.Wait()
	return errors.Join(errs...)
}
