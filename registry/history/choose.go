package history

import (
	"context"
	"errors"
	"fmt"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/journal"
	"github.com/nameplate-id/nameplate/registry/replica"
)

// Choose returns who of those that hold copies of a top-level node's log holds the history
// that the next log has to join with the node's own: the largest copy that contradicts it, or
// the largest when none does. So many of the other top-level nodes must have an answer as
// cannot all be without an entry that was anchored ([replica.Recovery]); one that holds
// nothing is one. All copies must be of two histories: what is in none of the two would be
// lost without a word.
func Choose(ctx context.Context, own Own, uppers []Upper) (Upper, error) {
	var copies []*Parting
	var chosen *Parting
	var failed []error
	heard := 0
	for _, u := range uppers {
		p, err := Compare(ctx, own, u)
		if err != nil {
			failed = append(failed, err)
			continue
		}
		heard++
		if p.Size == 0 {
			continue
		}
		copies = append(copies, p)
		if chosen == nil || p.Forked() && !chosen.Forked() || p.Forked() == chosen.Forked() && p.Size > chosen.Size {
			chosen = p
		}
	}
	if need := replica.NewRecovery(len(uppers)).Need(); heard < need {
		return nil, fmt.Errorf("%d of %d other top-level nodes have an answer, and %d must: the others may hold what those do not: %w", heard, len(uppers), need, errors.Join(failed...))
	}
	if chosen == nil {
		return nil, fmt.Errorf("%w by any of %d other top-level nodes", ErrNotMirrored, len(uppers))
	}
	for _, p := range copies {
		if p == chosen || !p.Forked() {
			continue
		}
		if err := chosen.begins(ctx, p); err != nil {
			return nil, err
		}
	}
	return chosen.upper, nil
}

// Forked reports whether what is held above contradicts the node's log.
func (p *Parting) Forked() bool { return p.After.Why == identifier.AfterFork }

// begins returns an error unless another copy of the log is the beginning of this one.
func (p *Parting) begins(ctx context.Context, other *Parting) error {
	_, want, err := other.at(ctx, p.own.Log, other.Size)
	if err != nil {
		return err
	}
	tree, err := journal.OpenTree(p.Shared, p.own.Store)
	if err != nil {
		return err
	}
	errEnd := errors.New("as far as it goes")
	err = p.Entries(ctx, func(position uint64, payload []byte) error {
		if position >= other.Size {
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
		return fmt.Errorf("the other top-level nodes hold two histories of log %s beside the one that is here, which differ within %d entries: 'nameplate fork resolve' joins two: name among its peers only those that hold one of them, and have registered anew what the others hold", p.own.Log, other.Size)
	}
	return nil
}
