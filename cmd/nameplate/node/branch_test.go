package node_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nameplate-id/nameplate/registry"
	"github.com/nameplate-id/nameplate/registry/identifier"
	registryrpc "github.com/nameplate-id/nameplate/registry/rpc"
	"github.com/nameplate-id/nameplate/resolver"
	resolverrpc "github.com/nameplate-id/nameplate/resolver/rpc"
)

// patience is how long a process may take for what it always does in the end.
const patience = 60 * time.Second

// branch is three nodes, one below the other, each a process of its own, and what was
// acknowledged by them.
type branch struct {
	t              *testing.T
	dir            string
	count          int // of what got a name of its own
	top, mid, leaf *member

	mu    sync.Mutex
	known []acknowledged
	seen  int // of known, checked before
	took  []time.Duration
	lasts time.Duration // how long changes are good; 0 for an hour
	large int           // octets of a value, beside the link; 0 for 2,000
}

// acknowledged is what a node said it has.
type acknowledged struct {
	at *member
	id identifier.ID
}

func newBranch(t *testing.T) *branch {
	b := &branch{t: t, dir: t.TempDir()}
	b.top = b.member("top", nil)
	b.top.victim.Anchor = filepath.Join(b.dir, "anchor")
	t.Cleanup(b.end)
	begin := func() error {
		if err := b.top.start("", 0); err != nil {
			return err
		}
		b.mid = b.member("mid", b.top)
		if err := b.mid.start("", 0); err != nil {
			return err
		}
		if err := b.grant(b.top, b.mid, "88"); err != nil {
			return err
		}
		if err := awaitAll(func() error { return mirrored(b.mid, b.top) }); err != nil {
			return err
		}
		b.leaf = b.member("leaf", b.mid)
		if err := b.leaf.start("", 0); err != nil {
			return err
		}
		if err := b.grant(b.mid, b.leaf, "88.118"); err != nil {
			return err
		}
		return b.settle()
	}
	if err := begin(); err != nil {
		t.Fatalf("%v\n%s", err, b.said())
	}
	return b
}

// end kills what still runs.
func (b *branch) end() {
	for _, m := range []*member{b.top, b.mid, b.leaf} {
		if m != nil {
			m.kill()
		}
	}
}

// scratch is the name of a folder that is not there yet.
func (b *branch) scratch() string {
	b.count++
	return filepath.Join(b.dir, fmt.Sprintf("scratch%d", b.count))
}

// said is what the processes wrote last to their standard errors.
func (b *branch) said() string {
	var all strings.Builder
	for _, m := range []*member{b.top, b.mid, b.leaf} {
		if m != nil && m.process.Load() != nil {
			text := m.process.Load().said.String()
			fmt.Fprintf(&all, "%s: %s\n", m.victim.Name, text[max(0, len(text)-2000):])
		}
	}
	return all.String()
}

// member is a node of the branch.
type member struct {
	t       *testing.T
	victim  victim
	process atomic.Pointer[process] // another one after each start
	key     identifier.PrivateKey
	prefix  identifier.Prefix
	epoch   uint64 // of the prefix, behind the first
}

var members atomic.Uint32

func (b *branch) member(name string, parent *member) *member {
	m := &member{t: b.t}
	// An address of its own, where nobody else's connections take the port meanwhile.
	m.victim = victim{Name: name, Folder: filepath.Join(b.dir, name), Listen: fmt.Sprintf("127.91.%d.%d:0", os.Getpid()%256, 1+members.Add(1)%250)}
	if parent != nil {
		m.victim.Parent, m.victim.ParentAddress = parent.key.Public(), parent.victim.Listen
	}
	return m
}

// start starts the node, to be killed at a point; it answers at return.
func (m *member) start(point string, n int) error {
	v := m.victim
	v.Point, v.N = point, n
	p, err := run(v)
	if err != nil {
		return err
	}
	m.process.Store(p)
	select {
	case listen := <-p.ready:
		if m.victim.Listen != listen { // the first time: others read it later on
			m.victim.Listen = listen
		}
	case <-p.done:
		if !p.killed.Load() {
			return fmt.Errorf("node %s ended by itself: %s", v.Name, p.said.String())
		}
		return nil
	case <-time.After(patience):
		return fmt.Errorf("node %s does not start", v.Name)
	}
	if m.key.IsZero() {
		m.key, err = registry.NodeKey(v.Folder)
	}
	return err
}

func (m *member) arm(point string, n int) error { return m.process.Load().arm(point, n) }

func (m *member) killAt(point string, n int) error {
	if err := m.arm(point, n); err != nil {
		return err
	}
	return m.awaitDeath()
}

func (m *member) awaitDeath() error {
	select {
	case <-m.process.Load().done:
	case <-time.After(patience):
		return fmt.Errorf("node %s never came to the point", m.victim.Name)
	}
	if !m.process.Load().killed.Load() {
		return fmt.Errorf("node %s ended by itself: %s", m.victim.Name, m.process.Load().said.String())
	}
	return nil
}

// kill kills it at any time; one that is dead already is no error.
func (m *member) kill() error {
	if m.process.Load() == nil {
		return nil
	}
	m.process.Load().command.Process.Kill()
	<-m.process.Load().done
	return nil
}

// with calls a node, on a connection of its own.
func with[T any](m *member, call func(context.Context, *registryrpc.Client) (T, error)) (T, error) {
	var none T
	c, err := registryrpc.NewClient(m.victim.Listen, registryrpc.ClientOptions{})
	if err != nil {
		return none, err
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return call(ctx, c)
}

func (m *member) status() (registryrpc.Status, error) {
	return with(m, func(ctx context.Context, c *registryrpc.Client) (registryrpc.Status, error) { return c.Status(ctx) })
}

// awaitAll calls until there is no error any more.
func awaitAll(holds func() error) error {
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		err := holds()
		if err == nil || time.Now().After(deadline) {
			return err
		}
	}
}

// grant delegates a prefix to a node, whose own key holds it. Whether the node that is to
// do so dies meanwhile or not: it has at return.
func (b *branch) grant(from, to *member, prefix identifier.Prefix) error {
	return b.grantAs(from, to, prefix, identifier.PolicyMirror)
}

// grantAs is grant, with what the one that delegates keeps of the other's log.
func (b *branch) grantAs(from, to *member, prefix identifier.Prefix, policy identifier.Policy) error {
	at := netip.MustParseAddrPort(to.victim.Listen)
	payload, err := identifier.AppendDelegation(nil, &identifier.Delegation{
		Prefix: prefix, Epoch: 1 + to.epoch, Keyset: identifier.Keyset{Version: 1 + to.epoch, Threshold: 1, Keys: []identifier.PublicKey{to.key.Public()}},
		Policy: policy,
		Node:   &identifier.Node{Name: to.victim.Name, Key: to.key.Public(), Addresses: []identifier.Address{{IP: at.Addr().String(), GRPC: at.Port()}}},
	})
	if err != nil {
		return err
	}
	to.prefix = prefix
	e := identifier.Sign(identifier.DelegationType, payload, from.key)
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		_, err := with(from, func(ctx context.Context, c *registryrpc.Client) (registry.Receipt, error) { return c.Delegate(ctx, e) })
		if kind, ok := errors.AsType[*registry.Error](err); err == nil || ok && kind.Kind <= registry.Expired || time.Now().After(deadline) {
			return err
		}
	}
}

// mirrored returns why a parent's mirror is not its child's log; nil when it is.
func mirrored(child, parent *member) error {
	down, err := child.status()
	if err != nil {
		return err
	}
	up, err := parent.status()
	if err != nil {
		return err
	}
	if down.ReadOnly != "" || len(down.Apexes) == 0 {
		return fmt.Errorf("node %s takes no changes: %s", child.victim.Name, down.ReadOnly)
	}
	for _, m := range up.Mirrors {
		if m.Log != down.Log {
			continue
		}
		if m.Bad != 0 || m.Lost != 0 || m.Size != down.Position || down.Checkpoint.Size != m.Size || down.Checkpoint.Root != m.Root {
			return fmt.Errorf("node %s has %d entries, its checkpoint is %d %x; the mirror has %d (%d marked, %d lost) %x",
				child.victim.Name, down.Position, down.Checkpoint.Size, down.Checkpoint.Root, m.Size, m.Bad, m.Lost, m.Root)
		}
		return nil
	}
	return fmt.Errorf("node %s has no mirror", child.victim.Name)
}

// settle waits until the mirrors equal the logs, and then checks what was acknowledged
// since the last time.
func (b *branch) settle() error {
	err := awaitAll(func() error { return errors.Join(mirrored(b.leaf, b.mid), mirrored(b.mid, b.top)) })
	if err != nil {
		return err
	}
	fresh := b.known[b.seen:]
	b.seen = len(b.known)
	return b.checkAll(fresh)
}

// checkAll asks the nodes and their parents.
func (b *branch) checkAll(known []acknowledged) error {
	return errors.Join(b.check(b.mid, known), b.check(b.leaf, known))
}

func (b *branch) check(m *member, known []acknowledged) error {
	err := b.checkAt(m, resolver.Query{Authoritative: true}, m, known)
	if m == b.mid && b.top != nil && b.top.alive() {
		err = errors.Join(err, b.checkAt(b.top, resolver.Query{Mirror: true}, m, known))
	} else if m == b.leaf {
		err = errors.Join(err, b.checkAt(b.mid, resolver.Query{Mirror: true}, m, known))
	}
	return err
}

// checkAt asks a node for what another one, or the same, has acknowledged.
func (b *branch) checkAt(asked *member, q resolver.Query, m *member, known []acknowledged) error {
	c, err := resolverrpc.NewClient(asked.victim.Listen, resolverrpc.ClientOptions{})
	if err != nil {
		return err
	}
	defer c.Close()
	for _, k := range known {
		if k.at != m {
			continue
		}
		q.ID = k.id
		a, err := c.Resolve(b.t.Context(), q)
		if err != nil || a.Outcome != resolver.Found || string(a.Record.Values[0].Data) != linkOf(k.id) {
			return fmt.Errorf("%s was acknowledged by node %s; node %s says %v, %v", k.id, m.victim.Name, asked.victim.Name, a.Outcome, err)
		}
	}
	return nil
}

func (m *member) alive() bool {
	select {
	case <-m.process.Load().done:
		return false
	default:
		return true
	}
}

func linkOf(id identifier.ID) string { return "https://maker.example/" + id.Suffix }

// while lets others register at two nodes meanwhile. What they have sent when it is over
// they send again until they know what became of it, as long as there is a node to ask.
func (b *branch) while(do func() error) error {
	return b.during([]*member{b.mid, b.mid, b.leaf, b.leaf}, do)
}

// during lets as many register, each at a node.
func (b *branch) during(at []*member, do func() error) error {
	ctx, stop := context.WithCancel(b.t.Context())
	var registering sync.WaitGroup
	errs := make(chan error, len(at))
	for _, m := range at {
		registering.Go(func() { errs <- b.register(ctx, m) })
	}
	err := do()
	stop()
	registering.Wait()
	close(errs)
	for e := range errs {
		err = errors.Join(err, e)
	}
	return err
}

// register registers until ctx ends.
func (b *branch) register(ctx context.Context, m *member) error {
	var c *registryrpc.Client
	defer func() {
		if c != nil {
			c.Close()
		}
	}()
	for ctx.Err() == nil {
		b.mu.Lock()
		b.count++
		id := identifier.ID{Prefix: m.prefix, Suffix: fmt.Sprintf("sn-%d", b.count)}
		b.mu.Unlock()
		change, err := b.change(m, id)
		if err != nil {
			return err
		}
		for {
			if c == nil {
				if c, err = registryrpc.NewClient(m.victim.Listen, registryrpc.ClientOptions{}); err != nil {
					return err
				}
			}
			attempt, cancel := context.WithTimeout(context.Background(), 3*time.Second)
			began := time.Now()
			_, err = c.Register(attempt, change)
			took := time.Since(began)
			cancel()
			if err == nil {
				b.mu.Lock()
				b.known = append(b.known, acknowledged{m, id})
				b.took = append(b.took, took)
				b.mu.Unlock()
				break
			}
			if refused, ok := errors.AsType[*registry.Error](err); ok && refused.Kind <= registry.Expired {
				return fmt.Errorf("node %s refuses %s: %w", m.victim.Name, id, err)
			}
			c.Close()
			c = nil
			if ctx.Err() != nil && !m.alive() {
				return nil // nobody will ever know
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	return nil
}

// change registers an identifier, signed.
func (b *branch) change(m *member, id identifier.ID) (*identifier.Change, error) {
	row := identifier.NextRow(id, nil)
	row.Values = []identifier.Value{
		{Index: 1, Type: "URL", Data: []byte(linkOf(id)), TTL: identifier.DefaultTTL, Permissions: identifier.DefaultPermissions},
		{Index: 2, Type: "DESC", Data: bytes.Repeat([]byte("x"), max(2000, b.large)), TTL: identifier.DefaultTTL, Permissions: identifier.DefaultPermissions},
	}
	lasts := b.lasts
	if lasts == 0 {
		lasts = time.Hour
	}
	return identifier.SignChange(identifier.Header{
		Prefix: m.prefix, Epoch: 1 + m.epoch, KeysetVersion: 1 + m.epoch, Expiry: time.Now().Add(lasts).Truncate(time.Second),
	}, []identifier.Row{row}, nil, m.key)
}

// registerSome waits until so many more were acknowledged.
func (b *branch) registerSome(n int) error {
	count := func() int {
		b.mu.Lock()
		defer b.mu.Unlock()
		return len(b.known)
	}
	until := count() + n
	return awaitAll(func() error {
		if count() < until {
			return errors.New("hardly anything is acknowledged")
		}
		return nil
	})
}
