package history

import (
	"bytes"
	"context"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/journal"
)

// part finds the first entry in which this log and the one above differ: among units by
// their roots, then entry by entry.
func (p *Parting) part(ctx context.Context, own uint64) error {
	low, high := uint64(0), min(own, p.Size)
	for low < high {
		held, err := p.upper.Mirrored(ctx, (low+high)/2)
		if err != nil {
			return err
		}
		root, err := held.rootBehind(p.own.Log, p.own.Node, (low+high)/2)
		if err != nil {
			return err
		}
		u := held.Unit
		if u.End() <= own {
			mine, err := p.own.rootOf(u.End())
			if err != nil {
				return err
			}
			if mine == root {
				low = u.End()
				continue
			}
			if p.After.Why == 0 || u.End() < p.After.Size {
				p.After.Why, p.After.Size, p.After.Held, p.After.Own = identifier.AfterFork, u.End(), root, mine
			}
		}
		high = u.Start
	}
	p.Shared = low
	if low < min(own, p.Size) {
		return p.partWithin(ctx, own)
	}
	if p.row <= max(own, p.Size) {
		return nil
	}
	// Neither has what the log of the node above says that there was.
	p.After.Why, p.After.Size = identifier.AfterLoss, low
	root, err := p.own.rootOf(low)
	p.After.Held, p.After.Own = root, root
	return err
}

// partWithin finds the first entry that differs in the unit that begins where both are
// still the same.
func (p *Parting) partWithin(ctx context.Context, own uint64) error {
	held, err := p.upper.Mirrored(ctx, p.Shared)
	if err != nil {
		return err
	}
	if _, err := held.rootBehind(p.own.Log, p.own.Node, p.Shared); err != nil {
		return err
	}
	for u := held.Unit; p.Shared < min(own, u.End()); p.Shared++ {
		theirs, err := identifier.EntryLeaf(u.Payloads[p.Shared-u.Start])
		if err != nil {
			return err
		}
		ours, err := p.own.Store.Leaf(p.Shared)
		if err != nil {
			return err
		}
		if !bytes.Equal(theirs, ours) {
			break
		}
	}
	if p.After.Why == 0 && p.Shared < min(own, p.Size) {
		// No unit ends within both. The roots are those of the first entry that differs.
		if p.After.Own, err = p.own.rootOf(p.Shared + 1); err != nil {
			return err
		}
		theirs, err := identifier.EntryLeaf(held.Unit.Payloads[p.Shared-held.Unit.Start])
		if err != nil {
			return err
		}
		tree, err := journal.OpenTree(p.Shared, p.own.Store)
		if err != nil {
			return err
		}
		tree.Append(theirs)
		p.After.Why, p.After.Size, p.After.Held = identifier.AfterFork, p.Shared+1, tree.Root()
	}
	return nil
}
