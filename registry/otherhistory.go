package registry

import (
	"context"
	"errors"
	"fmt"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/journal"
	"github.com/nameplate-id/nameplate/registry/replica"
)

// OtherHistory returns who of those that hold copies of a top-level node's log holds the
// history that [Config.Resolve] has to join with the node's own: the largest copy that
// contradicts it, or the largest when none does. So many of the other top-level nodes must
// have an answer as cannot all be without an entry that was anchored ([replica.Recovery]);
// one that holds nothing is one. All copies must be of two histories: what is in none of
// the two would be lost without a word. The node must not run.
func (c Config) OtherHistory(ctx context.Context, uppers []Upper) (Upper, error) {
	c = c.withDefaults()
	old, err := Open(c)
	if err != nil {
		return nil, err
	}
	defer old.Close()
	var copies []*merger
	var chosen *merger
	var failed []error
	heard := 0
	for _, u := range uppers {
		m := &merger{config: c, old: old, upper: u}
		if err := m.compare(ctx); err != nil {
			failed = append(failed, err)
			continue
		}
		heard++
		if m.size == 0 {
			continue
		}
		copies = append(copies, m)
		if chosen == nil || m.forked() && !chosen.forked() || m.forked() == chosen.forked() && m.size > chosen.size {
			chosen = m
		}
	}
	if need := replica.NewRecovery(len(uppers)).Need(); heard < need {
		return nil, fmt.Errorf("%d of %d other top-level nodes have an answer, and %d must: the others may hold what those do not: %w", heard, len(uppers), need, errors.Join(failed...))
	}
	if chosen == nil {
		return nil, fmt.Errorf("%w by any of %d other top-level nodes", ErrNotMirrored, len(uppers))
	}
	for _, m := range copies {
		if m == chosen || !m.forked() {
			continue
		}
		if err := chosen.begins(ctx, m); err != nil {
			return nil, err
		}
	}
	return chosen.upper, nil
}

// forked reports whether what is held above contradicts the node's log.
func (m *merger) forked() bool { return m.after.Why == identifier.AfterFork }

// begins returns an error unless another copy of the log is the beginning of this one.
func (m *merger) begins(ctx context.Context, other *merger) error {
	_, want, err := other.at(ctx, m.old.log, other.size)
	if err != nil {
		return err
	}
	tree, err := journal.OpenTree(m.shared, tiles{m.old.state, ownLog})
	if err != nil {
		return err
	}
	errEnd := errors.New("as far as it goes")
	err = m.branch(ctx, m.shared, func(position uint64, payload []byte) error {
		if position >= other.size {
			return errEnd
		}
		leaf, err := identifier.EntryLeaf(payload)
		if err == nil {
			tree.Append(leaf)
		}
		return err
	})
	if err != nil && !errors.Is(err, errEnd) {
		return err
	}
	if tree.Root() != want {
		return fmt.Errorf("the other top-level nodes hold two histories of log %s beside the one that is here, which differ within %d entries: 'nameplate fork resolve' joins two: name among its peers only those that hold one of them, and have registered anew what the others hold", m.old.log, other.size)
	}
	return nil
}
