package registry

import (
	"fmt"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/journal"
	"github.com/nameplate-id/nameplate/registry/replica"
	"github.com/nameplate-id/nameplate/registry/state"
)

// Root returns the Merkle root of the first size entries of the mirror.
func (m *Mirror) Root(size uint64) (identifier.Hash, error) { return m.m.rootOf(size) }

// Row returns the largest row of the child's log in this node's own log, or how far it is
// kept by another policy; one of no entries when there is neither.
func (m *Mirror) Row() (replica.Row, error) {
	found, ok, err := m.m.grantor().childRow(m.m.log)
	before := m.m.rowBefore()
	if err != nil || !ok || found.Row.Size <= before.Size {
		return before, err
	}
	row := replica.Row{Size: found.Row.Size, Root: found.Row.Root}
	row.Checkpoint, err = journal.AssembleCheckpoint(row.Size, row.Root, m.m.log, found.Row.Node, found.Row.Signature)
	return row, err
}

// Prove returns the proof that the first old entries of the mirror, at least one, are the
// beginning of the first size.
func (m *Mirror) Prove(old, size uint64) ([]identifier.Hash, error) {
	return journal.ProveConsistency(old, size, tiles{m.m.state, m.m.number})
}

// Unit returns the unit of the mirror that holds the entry at a position, as it was
// stored.
func (m *Mirror) Unit(position uint64) (*replica.Unit, error) {
	m.r.config.Hook(HookGiveBack)
	return m.r.unitOf(m.m, position)
}

func (r *Registry) unitOf(m *mirror, position uint64) (*replica.Unit, error) {
	if have := m.published.Load(); position >= have {
		return nil, fmt.Errorf("the mirror of log %s has %d entries, and no entry %d", m.log, have, position)
	}
	var at uint64
	err := r.state.View(func(v *state.Reader) error {
		at, _, _ = v.Run(m.number, position)
		return nil
	})
	if err != nil {
		return nil, err
	}
	for next := journal.Offset(at); ; {
		frame, end, err := r.journal.Read(next)
		if err != nil {
			return nil, fmt.Errorf("entry %d of log %s: %w", position, m.log, err)
		}
		next = end
		if frame.Kind != journal.KindMirrored || frame.Log != m.number {
			continue
		}
		u, err := replica.ParseUnit(frame.Payload)
		if err != nil {
			return nil, err
		}
		switch {
		case u.Start > position:
			return nil, fmt.Errorf("entry %d of log %s is not where the run index says: run 'nameplate check'", position, m.log)
		case u.End() > position:
			return u, nil
		}
	}
}

// rootOf returns the root of the first size entries.
func (l *ledger) rootOf(size uint64) (identifier.Hash, error) {
	if have, root := l.head(); have == size {
		return root, nil
	}
	if l.bare {
		return identifier.Hash{}, replica.ErrNoRoot
	}
	return journal.Root(size, tiles{l.state, l.number})
}

// Prove returns the proof that the first old entries of this node's log, at least one, are
// the beginning of the first size.
func (s *Source) Prove(old, size uint64) ([]identifier.Hash, error) {
	return journal.ProveConsistency(old, size, tiles{s.r.state, ownLog})
}

// Subtrees returns the roots of the complete subtrees of everything that is synced, the
// largest first, and how many entries that is.
func (s *Source) Subtrees() (uint64, []identifier.Hash, error) {
	size, subtrees := s.r.tree.edge()
	return size, subtrees, nil
}
