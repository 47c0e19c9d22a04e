package history

import (
	"context"
	"fmt"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/journal"
	"github.com/nameplate-id/nameplate/registry/replica"
)

// Branch is what another node holds of a log behind what is known of it here.
type Branch struct {
	Upper Upper
	Log   identifier.LogID
	Node  identifier.PublicKey // who signs the log
	Size  uint64               // how many entries are held there
	// Tree is that of the entries that are known. It grows by those that are read.
	Tree *journal.Tree
	// Held is what came last from Upper, which is not asked for once more; may be empty.
	Held Held

	left rule // by a test
}

// Units yields the entries behind the known ones up to Size, unit by unit: each begins where
// the one before ended, and adds up, with all before it, to a root that the node has signed.
// An error of yield ends it, and is returned. What is yielded may be kept.
func (b *Branch) Units(ctx context.Context, yield func(*replica.Unit) error) error {
	for at := b.Tree.Size(); at < b.Size; at = b.Tree.Size() {
		if u := b.Held.Unit; u == nil || at < u.Start || at >= u.End() {
			var err error
			if b.Held, err = b.Upper.Mirrored(ctx, at); err != nil {
				return err
			}
		}
		root, err := b.Held.rootBehind(b.Log, b.Node, at)
		if err != nil {
			return err
		}
		u := b.Held.Unit
		rest := &replica.Unit{Start: at, Payloads: u.Payloads[at-u.Start:], Checkpoint: u.Checkpoint, Root: root}
		for _, payload := range rest.Payloads {
			leaf, err := identifier.EntryLeaf(payload)
			if err != nil {
				return err
			}
			b.Tree.Append(leaf)
		}
		if b.left.lacks(ruleAddsUp, b.Tree.Root() == root) {
			return fmt.Errorf("entries %d to %d of log %s, as they are held above, do not add up to what its node has signed: run 'nameplate check' there", at, u.End()-1, b.Log)
		}
		if err := yield(rest); err != nil {
			return err
		}
	}
	return nil
}
