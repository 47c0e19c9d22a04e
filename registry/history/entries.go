package history

import (
	"context"

	"github.com/nameplate-id/nameplate/registry/journal"
	"github.com/nameplate-id/nameplate/registry/replica"
)

// Entries yields the entries of the log above behind those that both begin with, in order; none
// where there is no other history. Those of a unit are yielded when all of them add up, with
// what is before them, to a root that the node has signed. An error of yield ends it, and is
// returned. A payload may be kept.
func (p *Parting) Entries(ctx context.Context, yield func(position uint64, payload []byte) error) error {
	if p.upper == nil {
		return nil
	}
	tree, err := journal.OpenTree(p.Shared, p.own.Store)
	if err != nil {
		return err
	}
	b := Branch{Upper: p.upper, Log: p.After.Log, Node: p.own.Node, Size: p.Size, Tree: tree, left: p.left}
	return b.Units(ctx, func(u *replica.Unit) error {
		for i, payload := range u.Payloads {
			if err := yield(u.Start+uint64(i), payload); err != nil {
				return err
			}
		}
		return nil
	})
}
