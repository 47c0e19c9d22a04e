package registry

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/nameplate-id/nameplate/registry/history"
	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/journal"
	"github.com/nameplate-id/nameplate/registry/replica"
)

// A top-level node has sent the logs of its children to the others. What it has lost of them
// it gets back from there: all that enough others hold, after it was restored and before it
// lets a child in; and a log that it never had, or has forgotten, when another one refuses
// the log that it sends because of that ([replica.Lineage]). The others are not believed: the
// child has signed what comes.

// Children returns the nodes whose logs a recall is about: those to which this node has
// delegated, and those whose logs are here.
func (r *Registry) Children() (nodes []identifier.PublicKey) {
	add := func(node identifier.PublicKey) {
		if node != r.node && !r.isPeer(node) && !slices.Contains(nodes, node) {
			nodes = append(nodes, node)
		}
	}
	for _, h := range r.holders.list() {
		if n := h.delegation.Node; n != nil && !h.apex {
			add(n.Key)
		}
	}
	for _, m := range r.logs.mirrors() {
		if m.role == roleChild {
			add(m.node)
		}
	}
	return nodes
}

// Recall takes in what another top-level node holds of the log of a child that counts there,
// as far as this node has less of it ([replica.Lineage.Recalls]), and returns how many
// entries that is. They are synced at return. An error of the other node's is returned as it
// is; one that wraps [history.ErrNotMirrored] says that it holds nothing, which is an answer.
func (r *Registry) Recall(ctx context.Context, child identifier.PublicKey, from history.Upper) (entries uint64, err error) {
	restored := r.marked.Load() != nil
	if restored && r.config.left == ruleRecall || !restored && r.config.left == ruleJoin {
		return 0, nil
	}
	held, err := from.Mirrored(ctx, 0)
	if err != nil {
		return 0, err
	}
	if policy, _ := policyFor(child, r.holders.list()); policy != identifier.PolicyMirror || held.Policy != policy || held.Unit == nil {
		return 0, nil // without the entries nobody can be given them back
	}
	g, err := genesisIn(held, child)
	if err != nil {
		return 0, err
	}
	m, err := r.recallInto(ctx, g, held.Size, restored)
	if m == nil || err != nil {
		if here := r.logs.withID(child, g.Log); err == nil && here != nil && here.published.Load() >= held.Size {
			here.recall.all()
		}
		return 0, err
	}
	have := m.published.Load()
	err = r.recallRest(ctx, m, held, from.Of(g.Log))
	m.recall.end(err == nil, r.config.Clock())
	if err != nil {
		return m.published.Load() - have, fmt.Errorf("log %s of node %s: %w", m.log, m.node, err)
	}
	for _, other := range r.logs.mirrors() {
		if other.node == child {
			other.recall.tell() // its node has to hear of it
		}
	}
	return m.published.Load() - have, nil
}

// genesisIn returns the genesis of a log that came with its first unit.
func genesisIn(held history.Held, child identifier.PublicKey) (*identifier.Genesis, error) {
	fail := func(err error) (*identifier.Genesis, error) {
		return nil, fmt.Errorf("what came is not the beginning of log %s of node %s: %w", held.Log, child, err)
	}
	if held.Unit.Start != 0 || len(held.Unit.Payloads) == 0 {
		return fail(fmt.Errorf("it begins at %d", held.Unit.Start))
	}
	e, err := identifier.ParseEntry(held.Unit.Payloads[0])
	if err != nil {
		return fail(err)
	}
	if e.Kind != identifier.EntryGenesis || e.Envelope.SignedBy([]identifier.PublicKey{child}) == 0 {
		return fail(errors.New("it does not begin with a genesis that the node has signed"))
	}
	g, err := identifier.ParseGenesis(e.Envelope.Payload)
	if err == nil {
		err = g.Check()
	}
	if err == nil && (g.Log != held.Log || g.Key != child) {
		err = fmt.Errorf("the genesis names log %s and key %s", g.Log, g.Key)
	}
	if err != nil {
		return fail(err)
	}
	return g, nil
}

// recallInto returns the mirror into which a log of so many entries is taken, and makes room
// for it when it is new; nil when nothing is taken in.
func (r *Registry) recallInto(ctx context.Context, g *identifier.Genesis, size uint64, restored bool) (*mirror, error) {
	m := r.logs.withID(g.Key, g.Log)
	have := uint64(0)
	if m != nil {
		have = m.published.Load()
	}
	if !r.logs.recalls(g, have, size, restored) || r.logs.waiting(g.Key) >= mostWaiting {
		return nil, nil
	}
	if m == nil {
		if err := r.numberLog(ctx, numbering{log: g.Log, node: g.Key}); err != nil {
			return nil, err
		}
		m = r.logs.withID(g.Key, g.Log)
	}
	if m.role != roleChild || m.quarantine.Load() != nil || m.certain.Load() != nil || m.policy != identifier.PolicyMirror || !m.recall.begin() {
		return nil, nil
	}
	return m, nil
}

// recallRest takes in what follows on what is here.
func (r *Registry) recallRest(ctx context.Context, m *mirror, held history.Held, from history.Upper) error {
	tree, err := journal.OpenTree(m.published.Load(), tiles{m.state, m.number})
	if err != nil {
		return err
	}
	branch := history.Branch{Upper: from, Log: m.log, Node: m.node, Size: held.Size, Tree: tree, Held: held}
	return branch.Units(ctx, func(u *replica.Unit) error {
		synced := make(chan struct{})
		if err := r.appendUnit(ctx, m, u, func() { close(synced) }); err != nil {
			return err
		}
		return r.awaitSync(ctx, synced)
	})
}

// findParts notes of every log that stands beside the one that counts, and of which this node has
// logged no row, that there may be a part of it alone: the node may have ended while it took it
// in from another one. Who has the rest is asked again as soon as it can be reached.
func (r *Registry) findParts() error {
	for _, m := range r.logs.mirrors() {
		if m.role != roleChild || m.published.Load() == 0 || r.config.left == rulePart || !r.logs.standsBeside(m) {
			continue
		}
		if _, logged, err := r.childRow(m.log); err != nil {
			return err
		} else if !logged {
			m.recall.end(false, r.config.Clock())
		}
	}
	return nil
}

// partTime is how long a part of a log waits for the rest. After that it counts as what there
// is: who gave it may never come back, and the log's node takes no changes meanwhile.
const partTime = 10 * time.Minute

// recalled keeps apart who adds to a mirror: the streams of its node, or a recall.
type recalled struct {
	mu       sync.Mutex
	streamed bool // its node has said Hello since the start: what it sends follows on that
	running  bool
	part     time.Time // since when a recall has begun, and not come to its end; zero for none
	told     bool      // its node has to say Hello again
}

// begin reports whether a recall may begin.
func (c *recalled) begin() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.streamed || c.running {
		return false
	}
	c.running = true
	return true
}

// end says that a recall has ended, and whether all has come.
func (c *recalled) end(whole bool, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.running = false
	if whole {
		c.part = time.Time{}
	} else if c.part.IsZero() {
		c.part = now
	}
}

// all says that nobody who was asked has more.
func (c *recalled) all() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.part = time.Time{}
}

// whole returns why what is here of a log is not shown, and no row of it logged: it is a part
// of what another top-level node gives.
func (c *recalled) whole(now time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.running || !c.part.IsZero() && now.Sub(c.part) < partTime {
		return &replica.Refusal{Reason: replica.Unavailable, Detail: "the log is being taken in from another top-level node: come back in a moment"}
	}
	return nil
}

// tell asks for another Hello.
func (c *recalled) tell() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.told = true
}

// again reports whether another Hello was asked for.
func (c *recalled) again() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.told
}

// stream returns why no stream of the log is opened; nil when one may be.
func (m *mirror) stream() error {
	c := &m.recall
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.running {
		return &replica.Refusal{Reason: replica.Unavailable, Detail: "the log is being taken in from another top-level node: come back in a moment"}
	}
	c.streamed, c.told, c.part = true, false, time.Time{}
	return nil
}
