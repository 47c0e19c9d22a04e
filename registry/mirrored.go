package registry

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/journal"
	"github.com/nameplate-id/nameplate/registry/replica"
)

// Mirror is a child's log as its replication stores it here. Its methods may be called
// concurrently, but for Append.
type Mirror struct {
	r *Registry
	m *mirror
}

// Copy is what the mirror of a child's log adds up to, for reading. Its methods may be
// called concurrently.
type Copy struct{ m *mirror }

// CopyOf returns the copy of the log of a node, and how long ago it was known to be
// whole; nil when there is none to answer from. Pointers and checkpoints are none.
func (r *Registry) CopyOf(node identifier.PublicKey) (*Copy, time.Duration) {
	m := r.logs.of(node)
	if m == nil || m.published.Load() == 0 || m.policy != identifier.PolicyMirror || r.serves() != nil {
		return nil, 0
	}
	return &Copy{m}, m.age(time.Now())
}

// Find is [Registry.Find] in the copy.
func (c *Copy) Find(ctx context.Context, id identifier.ID) (identifier.Finding, error) {
	return c.m.find(id)
}

// FindHashed is [Registry.FindHashed] in the copy.
func (c *Copy) FindHashed(ctx context.Context, p identifier.Prefix, hash identifier.Hash) (identifier.ID, identifier.Finding, error) {
	return c.m.findHashed(p, hash)
}

// Mirror returns where the log of a node is kept, and makes room for it when it is new: a
// number, synced at return. via is who sends it: the node itself, or at a top-level node
// another one, whose child it is. The error is a [*replica.Refusal] when [Registry.Admits]
// has one, or when there is a mirror of another log of that node.
func (r *Registry) Mirror(ctx context.Context, log identifier.LogID, node, via identifier.PublicKey, size uint64) (*Mirror, error) {
	r.config.Hook(HookHello)
	if err := r.takesIn(); err != nil {
		return nil, err
	}
	n := numbering{log: log, node: node}
	var err error
	switch {
	case via != node:
		n.role, n.via = roleRelay, via
		if err = r.admitsRelay(node, via); err == nil && r.logs.of(via) != nil {
			n.policy, _ = policyFor(node, r.logs.of(via).ledger.holders.list())
		}
	case r.isPeer(node):
		n.role = rolePeer
	default:
		err = r.Admits(node)
		n.policy, _ = policyFor(node, r.holders.list())
	}
	if err != nil {
		return nil, err
	}
	rows, err := r.anchors.logsOf(node)
	if err != nil {
		return nil, err
	}
	if err := r.logs.hear(node, log, rows); err != nil {
		return nil, err
	}
	if r.logs.withID(node, log) == nil {
		if r.logs.waiting(node) >= mostWaiting {
			return nil, &replica.Refusal{Reason: replica.OtherLog,
				Detail: fmt.Sprintf("%d logs of this node were announced here and never begun: bring the log back that is mirrored, %s", mostWaiting, r.logs.of(node).log)}
		}
		if err := r.numberLog(ctx, n); err != nil {
			return nil, err
		}
	}
	m := r.logs.withID(node, log)
	if err := m.stream(); err != nil {
		return nil, err
	}
	if why := (&Mirror{r: r, m: m}).SetAside(); why != nil {
		return nil, why
	}
	if m, err = r.keep(ctx, m, size); err != nil {
		return nil, err
	}
	m.lacking.Store(size < m.published.Load())
	m.hear(size, time.Now())
	return &Mirror{r: r, m: m}, nil
}

// SetAside returns why the log is not taken in any more, with the evidence that two
// histories of it were signed; nil when it is.
func (m *Mirror) SetAside() *replica.Refusal {
	if q := m.m.standing().quarantine.Load(); q != nil {
		return q.refusal()
	}
	return nil
}

// numberLog gives a new log its number. The error is a [*replica.Refusal] when it is another
// node's.
func (r *Registry) numberLog(ctx context.Context, n numbering) error {
	var taken error
	_, err := r.giveNumber(ctx, n, func() bool {
		if r.logs.withID(n.node, n.log) != nil {
			return true // somebody else was faster
		}
		taken = r.ofAnother(n.log, n.node)
		return taken != nil
	})
	if taken != nil {
		return taken
	}
	return err
}

// ofAnother returns an error when a log is known here as another node's. The ids of logs are
// told to anybody, and rows, fences and receipts go by them alone: who came with the id of
// another node's log would be given what is that one's, and rows of his would stand in the
// place of that one's.
func (r *Registry) ofAnother(log identifier.LogID, node identifier.PublicKey) error {
	row, held, err := r.childRow(log)
	if err != nil {
		return err
	}
	of := node
	if log == r.log {
		of = r.node
	} else if m := r.logs.first(func(m *mirror) bool { return m.log == log }); m != nil {
		of = m.node
	} else if held {
		of = row.Row.Node
	}
	if r.config.left.lacks(ruleOwner, of == node) {
		return &replica.Refusal{Reason: replica.OtherLog, Detail: fmt.Sprintf("log %s is one of node %s, and not of node %s: bring the log back that this node has begun", log, of, node)}
	}
	return nil
}

// giveNumber gives a mirror a number, unless it has one meanwhile.
func (r *Registry) giveNumber(ctx context.Context, n numbering, has func() bool) (uint32, error) {
	r.logs.numbering.Lock()
	defer r.logs.numbering.Unlock()
	if has() {
		return 0, nil
	}
	r.config.Hook(HookNumber)
	n.number = r.logs.nextNumber()
	payload := n.append(nil)
	synced := make(chan struct{})
	err := r.journal.Append(journal.Frame{Log: n.number, Kind: journal.KindSession, Payload: payload}, func(at, end journal.Offset) {
		if err := r.logs.number(payload, at, end); err != nil {
			r.fail(fmt.Errorf("number of log %s: %w", n.log, err))
			return
		}
		close(synced)
	})
	if err != nil {
		return 0, err
	}
	if err := r.awaitSync(ctx, synced); err != nil {
		return 0, err
	}
	return n.number, r.anchors.learn(n.log)
}

// Begins returns why the log may not begin with an entry; nil when it may: it is the first
// one of its node, or says that it continues the one that counts here.
func (m *Mirror) Begins(payload []byte) *replica.Refusal {
	rows, err := m.r.anchors.logsOf(m.m.node)
	if err == nil {
		err = m.r.logs.begins(m.m, payload, rows)
	}
	if err != nil {
		return &replica.Refusal{Reason: replica.OtherLog,
			Detail: fmt.Sprintf("%v: stop the node, empty its folder but for its key to get back what is mirrored, or run 'nameplate fork resolve' there to join the two", err)}
	}
	m.tellStrayed(payload)
	return nil
}

// tellStrayed tells when a log begins of which the node says that it follows on a loss, and that
// does not go on from what is held here as pointers: they show that the node had signed another
// history, which it could not know.
func (m *Mirror) tellStrayed(payload []byte) {
	e, err := identifier.ParseEntry(payload)
	if err != nil || e.Kind != identifier.EntryGenesis {
		return
	}
	if g, err := identifier.ParseGenesis(e.Envelope.Payload); err == nil && m.r.logs.strayed(m.m.node, g.After) {
		m.r.config.Log.Warn("a child says that it has lost entries and goes on with another log; what it had left was another history than the one that is held here, which stays as it is",
			"child", m.m.node, "log", g.After.Log, "entries", g.After.Size, "root", g.After.Own, "next", g.Log)
	}
}

// Open returns what is stored; where some of that is not certain, what is.
func (m *Mirror) Open() (replica.Mirror, error) {
	if err := m.r.failure(); err != nil {
		return replica.Mirror{}, err
	}
	if certain := m.m.certain.Load(); certain != nil {
		tree, err := journal.OpenTree(certain.Size, tiles{m.m.state, m.m.number})
		if err != nil {
			return replica.Mirror{}, err
		}
		return replica.Mirror{Size: certain.Size, Checkpoint: certain.Checkpoint, Subtrees: tree.Subtrees()}, nil
	}
	found := replica.Mirror{Size: m.m.published.Load()}
	if !m.m.witness() {
		found.Subtrees = m.m.tree.subtrees()
	}
	if c := m.m.checkpoint.Load(); c != nil {
		found.Checkpoint = c.Note
	}
	return found, nil
}

// Append queues a unit and returns; while there is no room it waits, until ctx ends.
// After the sync its entries are judged and answer; then synced is called. When it
// returns an error, nothing of the unit is stored and synced is never called.
func (m *Mirror) Append(ctx context.Context, u *replica.Unit, synced func()) error {
	m.r.config.Hook(HookMirror)
	if m.m.replaced.Load() {
		return errCut
	}
	if certain := m.m.certain.Load(); certain != nil {
		var err error
		if u, err = m.resent(ctx, certain, u); err != nil {
			return err
		}
		if u == nil {
			synced() // it was there
			return nil
		}
	}
	return m.r.appendUnit(ctx, m.m, u, synced)
}

// appendUnit queues a unit of a mirror, as soon as there is room for it.
func (r *Registry) appendUnit(ctx context.Context, m *mirror, u *replica.Unit, synced func()) error {
	frame := journal.Frame{Log: m.number, Position: u.Start, Kind: journal.KindMirrored, Payload: replica.AppendUnit(nil, u)}
	return r.whenRoom(ctx, len(frame.Payload), func() error {
		return m.queue(r.journal, frame, u.End(), func(at, end journal.Offset) {
			r.config.Hook(HookMirrorSynced)
			if err := m.take(u, at, end); err != nil {
				r.fail(err)
				return
			}
			r.config.Hook(HookMirrorTaken)
			m.hear(u.End(), time.Now())
			synced()
		})
	})
}

// whenRoom queues something of so many octets. While there is no room it waits, until ctx
// ends.
func (r *Registry) whenRoom(ctx context.Context, octets int, queue func() error) error {
	for {
		if err := r.waitRoom(ctx, octets); err != nil {
			return err
		}
		if err := r.failure(); err != nil {
			return ending(err)
		}
		err := queue()
		if !errors.Is(err, journal.ErrBusy) && !errors.Is(err, journal.ErrFull) {
			return err
		}
	}
}

// queue queues a unit that ends there.
func (m *mirror) queue(j *journal.Journal, frame journal.Frame, end uint64, synced func(at, end journal.Offset)) error {
	m.queueMu.Lock()
	defer m.queueMu.Unlock()
	err := j.Append(frame, synced)
	if err == nil {
		m.queued = end
	}
	return err
}

// waitRoom waits for room in the state and the journal, also while the disk is full.
func (r *Registry) waitRoom(ctx context.Context, octets int) error {
	for {
		if err := r.state.WaitRoom(ctx); err != nil {
			return err
		}
		err := r.journal.Wait(ctx, octets)
		if !errors.Is(err, journal.ErrFull) {
			return err
		}
		select {
		case <-time.After(time.Second):
		case <-r.failed:
			return r.failErr
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Grants returns the envelopes by which the child got its prefixes, or lost them, from
// number from on, and a channel that is closed when there are more.
func (m *Mirror) Grants(from uint64) ([]identifier.Envelope, <-chan struct{}) {
	now := m.m.standing()
	grants, more := now.grants.since(from)
	if !m.r.logs.counts(now) {
		grants = nil // a log that does not count yet is not added to by them
	}
	if len(grants) > 0 && now == m.m && !m.m.witness() { // which sees nothing that a fence could be about
		m.r.tell(m.m, grants)
	}
	return grants, more
}

// Heard says that the child has told just now how many entries it has.
func (m *Mirror) Heard(size uint64) { m.m.hear(size, time.Now()) }

// Regressed tells that the child was acknowledged so many entries, which are not here.
func (m *Mirror) Regressed(acknowledged uint64) {
	size := m.m.published.Load()
	m.m.mu.Lock()
	m.m.lost = acknowledged
	m.m.mu.Unlock()
	m.r.config.Log.Warn("this node has fewer entries of a child than it acknowledged: it was restored, and gets the rest again",
		"child", m.m.node, "log", m.m.log, "acknowledged", acknowledged, "stored", size)
}
