package replica

import (
	"fmt"

	"github.com/nameplate-id/nameplate/registry/identifier"
)

// Mark says that this node may lack entries of its own log, because it was restored or
// nothing rules that out. From then on it writes nothing until [Child.Healed] says so.
// Call it before Open.
func (c *Child) Mark() { c.marked = true }

// Marked reports whether the node may lack entries of its own log.
func (c *Child) Marked() bool { return c.marked }

// Healed reports whether a marked node has everything that its parent holds: the parent
// has said in this session how much that is, and it is all here, synced. [Child.Unmark]
// then begins normal work.
func (c *Child) Healed() bool { return c.phase == welcome && c.marked && c.size >= c.acked }

// Unmark says that the node writes again.
func (c *Child) Unmark() {
	c.marked = false
	c.heartbeat = c.phase == welcome // grants that were refused come again
}

// Returned gives out a unit of the child's own log that the parent has given back; nil
// for none. It begins where the log ends, adds up with it to a checkpoint that the
// child once signed, and is to be appended and synced whole; then [Child.Restored] is
// called.
func (c *Child) Returned() *Unit { return c.unit }

// Restored says what became of the unit that [Child.Returned] gave out: it is appended
// and synced, or could not be, and is asked for again later.
func (c *Child) Restored(synced bool) {
	u := c.unit
	if u == nil {
		return
	}
	c.unit = nil
	if !synced {
		return
	}
	c.size = max(c.size, u.End())
	c.fetch = c.phase == welcome && c.size < c.acked
}

// behind decides what a mirror means that has more entries than this log.
func (c *Child) behind(size uint64, held []byte) *Refusal {
	if c.left.lacks(ruleMarked, c.marked) {
		return &Refusal{Reason: Behind, Held: held,
			Detail: fmt.Sprintf("the parent holds %d entries of this log, which has %d: it was restored from an old backup, or its disk lost what was synced. It takes no changes until it has them back", size, c.size)}
	}
	have, subtrees, err := c.config.Log.Subtrees()
	if err == nil && have != c.size {
		err = fmt.Errorf("it has %d entries instead of %d", have, c.size)
	}
	if err == nil {
		c.edge, err = newFrontier(have, subtrees)
	}
	if err != nil {
		return refuse(Unavailable, "the child's log cannot be read: %v", err)
	}
	c.fetch = true
	return nil
}

// receiveReturn takes entries back that add up to what this node once signed.
func (c *Child) receiveReturn(m *Return) {
	end := m.Start + uint64(len(m.Payloads))
	switch {
	case c.size >= c.acked || c.unit != nil || m.Start > c.size || end <= c.size:
		return // not asked for, or it comes again
	case len(m.Payloads) > MaxEntries || octetsIn(m.Payloads) > MaxOctets || len(m.Checkpoint) > MaxCheckpoint || end < m.Start || end > c.acked:
		c.end(refuse(Malformed, "the parent gives back entries %d to %d, and holds %d", m.Start, end, c.acked))
		return
	}
	u := &Unit{Start: c.size, Payloads: m.Payloads[c.size-m.Start:], Checkpoint: m.Checkpoint}
	size, root, err := c.config.Verify(m.Checkpoint, c.config.ID, c.config.Owner)
	if err != nil || size != end {
		c.end(refuse(Malformed, "the entries %d to %d that the parent gives back do not end with a checkpoint of this node over them: size %d, %v", m.Start, end, size, err))
		return
	}
	edge := c.edge.clone()
	if err := edge.appendEntries(u.Payloads); err != nil {
		c.end(refuse(Malformed, "%v", err))
		return
	}
	if c.left.lacks(ruleReturn, edge.root() == root) {
		c.end(refuse(Mismatch, "the entries %d to %d that the parent gives back do not add up with this log to what this node signed: the parent's mirror is damaged, run 'nameplate check' there", m.Start, end))
		return
	}
	u.Root = root
	c.edge, c.unit = edge, u
}

// receiveRefuse takes note of why the parent ends the stream. It is a fork when the
// parent shows two histories that this node has signed, or one that this log contradicts.
func (c *Child) receiveRefuse(m *Refuse) {
	r := &Refusal{Reason: m.Reason, Detail: m.Detail, Remote: true}
	shown := &Evidence{Node: c.config.Owner, Log: c.config.ID, Held: m.Evidence, Signed: m.Signed, Root: m.Root, Proof: m.Proof}
	if _, err := shown.Check(c.config.Verify); err == nil {
		r.Reason, r.Held, r.Signed, r.Evidence = Fork, shown.Held, shown.Signed, shown
		c.end(r)
		return
	}
	e := &Evidence{Node: c.config.Owner, Log: c.config.ID, Held: m.Evidence, Signed: c.tip, Root: m.Root, Proof: m.Proof}
	size, _, err := c.config.Verify(m.Evidence, c.config.ID, e.Node)
	if err == nil && size <= c.size {
		// This node has that much too, and what it has counts.
		own, err := c.config.Log.Root(size)
		if err == nil {
			e, err = c.contradiction(m.Evidence, size, own)
		}
		if err != nil {
			c.end(refuse(Unavailable, "the child's log cannot be read: %v", err))
			return
		}
	}
	if err == nil {
		if _, err := e.Check(c.config.Verify); err == nil {
			r.Reason, r.Held, r.Signed, r.Evidence = Fork, e.Held, e.Signed, e
		}
	}
	c.end(r)
}

// contradiction returns the evidence against a checkpoint of this log that the other side
// has, when the first size entries have another root here. A node signs what it has of
// that size. Of another node's log it has only what that one has signed; where there is
// nothing of that size, it proves what a larger checkpoint says of it.
func (c *Child) contradiction(held []byte, size uint64, root identifier.Hash) (*Evidence, error) {
	e := &Evidence{Node: c.config.Owner, Log: c.config.ID, Held: held}
	signed, _, err := c.config.Log.SignCheckpoint(size)
	if err == nil {
		e.Signed = signed
		return e, nil
	}
	if size >= c.size {
		return nil, err
	}
	if e.Signed, _, err = c.config.Log.SignCheckpoint(c.size); err != nil {
		return nil, err
	}
	e.Root = root
	e.Proof, err = c.config.Log.Prove(size, c.size)
	return e, err
}
