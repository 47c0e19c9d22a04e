package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/journal"
	"github.com/nameplate-id/nameplate/registry/replica"
)

// compare finds out where the two histories part, and what the next log has to say of that.
func (m *merger) compare(ctx context.Context) error {
	own, root := m.old.tree.head()
	m.after = identifier.Predecessor{Log: m.old.log, Size: own, Held: root, Own: root, Base: m.old.base.Load() + own}
	before, err := m.old.continues()
	if err != nil {
		return err
	}
	defer func() { m.continues(m.old.log, before) }()
	m.after.Whole = true
	if m.upper == nil {
		m.shared, m.size = own, own
		m.after.Why = identifier.AfterRestore
		return nil
	}
	held, err := m.upper.Mirrored(ctx, 0)
	switch {
	case errors.Is(err, ErrNotMirrored):
		m.shared = own // nobody knows another history
		return nil
	case err != nil:
		return err
	}
	m.size, m.row = held.Size, held.Row
	// What is lost has used up positions, too.
	m.after.Base = max(m.after.Base, m.old.base.Load()+max(held.Size, held.Row), held.Base+held.Row)
	if before.Continues(held.Log) {
		// It was resolved, and is not heard of above yet.
		m.shared, m.size = own, 0
		return m.joinApart(ctx, held.Apart.Without(&identifier.Genesis{Log: m.old.log, After: before}))
	}
	if held.Policy != identifier.PolicyMirror {
		if err := m.compareCheckpoint(held, own); err != nil || held.Log != m.old.log {
			return err
		}
		return m.joinApart(ctx, held.Apart)
	}
	if held.Log != m.old.log && held.Size == 0 {
		// Nobody has what the log of the node above says that there was of it.
		m.after.Log, m.after.Why, m.after.Size, m.after.Held, m.after.Own = held.Log, identifier.AfterLoss, 0, identifier.Hash{}, identifier.Hash{}
		m.after.Continue(held.Apart.Lost...)
		return nil
	}
	if held.Log != m.old.log {
		// It continues this node's log, or has nothing to do with it: then its own entries
		// are logged after all of those.
		return m.joins(ctx, held)
	}
	if err := m.part(ctx, own); err != nil {
		return err
	}
	return m.joinApart(ctx, held.Apart)
}

// continues says that the next log continues one, and what that one continues.
func (m *merger) continues(log identifier.LogID, before *identifier.Predecessor) {
	m.after.Continue(log)
	if before == nil {
		return
	}
	m.after.Continue(before.Log)
	m.after.Continue(before.Before...)
	m.after.Whole = m.after.Whole && before.Whole
}

// joins says that all of a log that is held above comes first in the next one.
func (m *merger) joins(ctx context.Context, held Mirrored) error {
	_, root, err := m.at(ctx, held.Log, held.Size)
	if err != nil {
		return err
	}
	if _, err := held.rootBehind(held.Log, m.old.key.Public(), 0); err != nil {
		return err
	}
	genesis, err := identifier.ParseEntry(held.Unit.Payloads[0])
	if err != nil {
		return err
	}
	g, err := identifier.ParseGenesis(genesis.Envelope.Payload)
	if err != nil {
		return err
	}
	m.shared, m.size = 0, held.Size
	m.after.Log, m.after.Why, m.after.Size, m.after.Held, m.after.Own = held.Log, identifier.AfterBeginning, held.Size, root, identifier.Hash{}
	m.after.Base = max(m.after.Base, held.Size)
	if g.After != nil {
		m.after.Base = max(m.after.Base, g.After.Base+held.Size)
	}
	m.continues(held.Log, g.After)
	return nil
}

// joinApart joins a log that is held above beside the node's own, when there is nothing else
// to resolve; and names those that are lost.
func (m *merger) joinApart(ctx context.Context, apart replica.Unjoined) error {
	if len(apart.Lost) > 0 {
		m.after.Continue(apart.Lost...)
		if m.after.Why == 0 {
			m.after.Why = identifier.AfterLoss
		}
	}
	if m.after.Why != 0 || len(apart.Held) == 0 {
		return nil
	}
	m.upper, m.row = m.upper.Of(apart.Held[0]), 0
	held, err := m.upper.Mirrored(ctx, 0)
	if err == nil && (held.Log != apart.Held[0] || held.Unit == nil) {
		err = fmt.Errorf("log %s, which is held beside this one, is not what came from above", apart.Held[0])
	}
	if err != nil {
		return err
	}
	return m.joins(ctx, held)
}

// compareCheckpoint is what can be compared where no entries are held above: with the newest
// checkpoint of them. Then all that there is stands in this node's own log.
func (m *merger) compareCheckpoint(held Mirrored, own uint64) error {
	size, root, err := journal.VerifyCheckpoint(held.Checkpoint, held.Log, m.old.key.Public())
	if err == nil && size != held.Size {
		err = fmt.Errorf("it is over %d entries instead of %d", size, held.Size)
	}
	if err != nil {
		return fmt.Errorf("the checkpoint that came from above: %w", err)
	}
	m.after.Base = max(m.after.Base, held.Base+size)
	m.size = 0
	if held.Log != m.old.log {
		m.after.Log, m.after.Why, m.after.Size, m.after.Held, m.after.Own = held.Log, identifier.AfterBeginning, size, root, identifier.Hash{}
		return nil
	}
	m.shared = own
	if max(size, m.row) > own {
		m.after.Why, m.after.Size = identifier.AfterLoss, own // Held and Own are the root of that
		return nil
	}
	mine, err := m.old.rootOf(size)
	if err == nil && mine != root {
		m.after.Why, m.after.Size, m.after.Held, m.after.Own = identifier.AfterFork, size, root, mine
	}
	return err
}

// at returns the unit that ends a log of which so many entries are held above, and its root.
func (m *merger) at(ctx context.Context, log identifier.LogID, size uint64) (Mirrored, identifier.Hash, error) {
	held, err := m.upper.Mirrored(ctx, size-1)
	if err != nil {
		return held, identifier.Hash{}, err
	}
	root, err := held.rootBehind(log, m.old.key.Public(), size-1)
	return held, root, err
}

// part finds the first entry in which this log and the one above differ: among units by
// their roots, then entry by entry.
func (m *merger) part(ctx context.Context, own uint64) error {
	low, high := uint64(0), min(own, m.size)
	for low < high {
		held, err := m.upper.Mirrored(ctx, (low+high)/2)
		if err != nil {
			return err
		}
		root, err := held.rootBehind(m.old.log, m.old.key.Public(), (low+high)/2)
		if err != nil {
			return err
		}
		u := held.Unit
		if u.End() <= own {
			mine, err := m.old.rootOf(u.End())
			if err != nil {
				return err
			}
			if mine == root {
				low = u.End()
				continue
			}
			if m.after.Why == 0 || u.End() < m.after.Size {
				m.after.Why, m.after.Size, m.after.Held, m.after.Own = identifier.AfterFork, u.End(), root, mine
			}
		}
		high = u.Start
	}
	m.shared = low
	if low < min(own, m.size) {
		return m.partWithin(ctx, own)
	}
	if m.row <= max(own, m.size) {
		return nil
	}
	// Neither has what the log of the node above says that there was.
	m.after.Why, m.after.Size = identifier.AfterLoss, low
	root, err := m.old.rootOf(low)
	m.after.Held, m.after.Own = root, root
	return err
}

// partWithin finds the first entry that differs in the unit that begins where both are
// still the same.
func (m *merger) partWithin(ctx context.Context, own uint64) error {
	held, err := m.upper.Mirrored(ctx, m.shared)
	if err != nil {
		return err
	}
	if _, err := held.rootBehind(m.old.log, m.old.key.Public(), m.shared); err != nil {
		return err
	}
	for u := held.Unit; m.shared < min(own, u.End()); m.shared++ {
		theirs, err := identifier.EntryLeaf(u.Payloads[m.shared-u.Start])
		if err != nil {
			return err
		}
		entry, err := m.old.readEntry(m.shared)
		if err != nil {
			return err
		}
		if !bytes.Equal(theirs, identifier.AppendLeaf(nil, entry)) {
			break
		}
	}
	if m.after.Why == 0 && m.shared < min(own, m.size) {
		// No unit ends within both. The roots are those of the first entry that differs.
		if m.after.Own, err = m.old.rootOf(m.shared + 1); err != nil {
			return err
		}
		theirs, err := identifier.EntryLeaf(held.Unit.Payloads[m.shared-held.Unit.Start])
		if err != nil {
			return err
		}
		tree, err := journal.OpenTree(m.shared, tiles{m.old.state, ownLog})
		if err != nil {
			return err
		}
		tree.Append(theirs)
		m.after.Why, m.after.Size, m.after.Held = identifier.AfterFork, m.shared+1, tree.Root()
	}
	return nil
}

// branch yields the entries of the log above from a position on, which add up to what the
// node once signed.
func (m *merger) branch(ctx context.Context, from uint64, yield func(position uint64, payload []byte) error) error {
	if m.upper == nil {
		return nil
	}
	tree, err := journal.OpenTree(from, tiles{m.old.state, ownLog})
	if err != nil {
		return err
	}
	log := m.after.Log
	for from < m.size {
		held, err := m.upper.Mirrored(ctx, from)
		if err != nil {
			return err
		}
		root, err := held.rootBehind(log, m.old.key.Public(), from)
		if err != nil {
			return err
		}
		u := held.Unit
		payloads := u.Payloads[from-u.Start:]
		for _, payload := range payloads {
			leaf, err := identifier.EntryLeaf(payload)
			if err != nil {
				return err
			}
			tree.Append(leaf)
		}
		if m.config.left.lacks(ruleAddsUp, tree.Root() == root) {
			return fmt.Errorf("entries %d to %d that are held above do not add up to what this node signed: run 'nameplate check' there", from, u.End()-1)
		}
		for _, payload := range payloads {
			if err := yield(from, payload); err != nil {
				return err
			}
			from++
		}
	}
	return nil
}
