package registry

import (
	"context"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/journal"
	"github.com/nameplate-id/nameplate/registry/replica"
)

// setAsideAstray sets aside the log of every child of which the history above has a row that
// the mirror here contradicts: the node and the child were both put back, and the child has
// written anew what it had written before. Both checkpoints are the child's, and so evidence.
// The next log repeats the larger of the two rows alone, so nobody would see it later.
func (m *merger) setAsideAstray(ctx context.Context) error {
	if m.upper == nil || m.config.left == ruleAstray {
		return nil
	}
	if err := m.new.WaitApplied(ctx); err != nil {
		return err
	}
	return m.parting.Entries(ctx, func(_ uint64, payload []byte) error {
		e, err := identifier.ParseEntry(payload)
		if err != nil {
			return err
		}
		for i := range e.Children {
			if err := m.setAsideBy(ctx, &e.Children[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

// setAsideBy does so where one row shows it.
func (m *merger) setAsideBy(ctx context.Context, row *identifier.ChildRow) error {
	x := m.new.logs.withID(row.Node, row.Log)
	if x == nil || x.witness() || x.quarantine.Load() != nil {
		return nil
	}
	held := x.checkpoint.Load()
	if held == nil || row.Size == 0 || row.Size > held.Size {
		return nil // what comes is compared with the row
	}
	root, err := x.rootOf(row.Size)
	if err != nil || root == row.Root {
		return err
	}
	e := &replica.Evidence{Node: x.node, Log: x.log, Held: held.Note}
	if e.Signed, err = journal.AssembleCheckpoint(row.Size, row.Root, row.Log, row.Node, row.Signature); err != nil {
		return nil // the child has not signed that
	}
	if row.Size < held.Size {
		e.Root = root
		if e.Proof, err = journal.ProveConsistency(row.Size, held.Size, tiles{x.state, x.number}); err != nil {
			return err
		}
	}
	return m.new.setAsideLog(ctx, x.ledger, e)
}
