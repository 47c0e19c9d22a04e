package history

import (
	"context"
	"errors"
	"fmt"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/journal"
	"github.com/nameplate-id/nameplate/registry/replica"
)

// Own is a log as its node has it.
type Own struct {
	Log  identifier.LogID
	Node identifier.PublicKey // who signs it
	// Size is how many entries are compared, and Root is the root of them.
	Size uint64
	Root identifier.Hash
	// Base is how many positions the logs before this one have used up.
	Base uint64
	// After is the log that this one continues; nil for none.
	After *identifier.Predecessor
	Store Store
}

// Store reads the node's own log.
type Store interface {
	journal.TileStore
	// Leaf returns the leaf of the entry at a position.
	Leaf(position uint64) ([]byte, error)
}

// rootOf returns the root of the first size entries.
func (o *Own) rootOf(size uint64) (identifier.Hash, error) {
	if size == o.Size {
		return o.Root, nil
	}
	return journal.Root(size, o.Store)
}

// Parting is where two histories part: the node's own one, and the one that is held above.
type Parting struct {
	// After is what the genesis of the next log says of both. Where its Why is zero there is
	// nothing to continue as another log: what is held above begins as the own log does.
	After identifier.Predecessor
	// Shared is how many entries both begin with, Size how many are held above.
	Shared, Size uint64

	own   Own
	upper Upper
	row   uint64 // how many entries were held above once
	left  rule   // by a test
}

// Compare finds out where the two histories part, and what the next log has to say of that.
// upper is where the other one is; nil for none, as at a top-level node that was restored and
// has healed. The error is that of upper or of the own store, or says what came from above
// that the node has not signed.
func Compare(ctx context.Context, own Own, upper Upper) (*Parting, error) {
	p := &Parting{own: own, upper: upper}
	return p, p.compare(ctx)
}

func (p *Parting) compare(ctx context.Context) error {
	own, root, before := p.own.Size, p.own.Root, p.own.After
	p.After = identifier.Predecessor{Log: p.own.Log, Size: own, Held: root, Own: root, Base: p.own.Base + own}
	defer func() { p.continues(p.own.Log, before) }()
	p.After.Whole = true
	if p.upper == nil {
		p.Shared, p.Size = own, own
		p.After.Why = identifier.AfterRestore
		return nil
	}
	held, err := p.upper.Mirrored(ctx, 0)
	switch {
	case errors.Is(err, ErrNotMirrored):
		p.Shared = own // nobody knows another history
		return nil
	case err != nil:
		return err
	}
	p.Size, p.row = held.Size, held.Row
	// What is lost has used up positions, too.
	p.After.Base = max(p.After.Base, p.own.Base+max(held.Size, held.Row), held.Base+held.Row)
	if before.Continues(held.Log) {
		// It was resolved, and is not heard of above yet.
		p.Shared, p.Size = own, 0
		return p.joinApart(ctx, held.Apart.Without(&identifier.Genesis{Log: p.own.Log, After: before}))
	}
	if held.Policy != identifier.PolicyMirror {
		if err := p.compareCheckpoint(held, own); err != nil || held.Log != p.own.Log {
			return err
		}
		return p.joinApart(ctx, held.Apart)
	}
	if held.Log != p.own.Log && held.Size == 0 {
		// Nobody has what the log of the node above says that there was of it.
		p.After.Log, p.After.Why, p.After.Size, p.After.Held, p.After.Own = held.Log, identifier.AfterLoss, 0, identifier.Hash{}, identifier.Hash{}
		p.After.Continue(held.Apart.Lost...)
		return nil
	}
	if held.Log != p.own.Log {
		// It continues this node's log, or has nothing to do with it: then its own entries
		// are logged after all of those.
		return p.joins(ctx, held)
	}
	if err := p.part(ctx, own); err != nil {
		return err
	}
	return p.joinApart(ctx, held.Apart)
}

// continues says that the next log continues one, and what that one continues.
func (p *Parting) continues(log identifier.LogID, before *identifier.Predecessor) {
	p.After.Continue(log)
	if before == nil {
		return
	}
	p.After.Continue(before.Log)
	p.After.Continue(before.Before...)
	p.After.Whole = p.After.Whole && before.Whole
}

// joins says that all of a log that is held above comes first in the next one.
func (p *Parting) joins(ctx context.Context, held Held) error {
	_, root, err := p.at(ctx, held.Log, held.Size)
	if err != nil {
		return err
	}
	if _, err := held.rootBehind(held.Log, p.own.Node, 0); err != nil {
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
	p.Shared, p.Size = 0, held.Size
	p.After.Log, p.After.Why, p.After.Size, p.After.Held, p.After.Own = held.Log, identifier.AfterBeginning, held.Size, root, identifier.Hash{}
	p.After.Base = max(p.After.Base, held.Size)
	if g.After != nil {
		p.After.Base = max(p.After.Base, g.After.Base+held.Size)
	}
	p.continues(held.Log, g.After)
	return nil
}

// joinApart joins a log that is held above beside the node's own, when there is nothing else
// to resolve; and names those that are lost.
func (p *Parting) joinApart(ctx context.Context, apart replica.Unjoined) error {
	if len(apart.Lost) > 0 {
		p.After.Continue(apart.Lost...)
		if p.After.Why == 0 {
			p.After.Why = identifier.AfterLoss
		}
	}
	if p.After.Why != 0 || len(apart.Held) == 0 {
		return nil
	}
	p.upper, p.row = p.upper.Of(apart.Held[0]), 0
	held, err := p.upper.Mirrored(ctx, 0)
	if err == nil && (held.Log != apart.Held[0] || held.Unit == nil) {
		err = fmt.Errorf("log %s, which is held beside this one, is not what came from above", apart.Held[0])
	}
	if err != nil {
		return err
	}
	return p.joins(ctx, held)
}

// compareCheckpoint is what can be compared where no entries are held above: with the newest
// checkpoint of them. Then all that there is stands in this node's own log.
func (p *Parting) compareCheckpoint(held Held, own uint64) error {
	size, root, err := journal.VerifyCheckpoint(held.Checkpoint, held.Log, p.own.Node)
	if err == nil && size != held.Size {
		err = fmt.Errorf("it is over %d entries instead of %d", size, held.Size)
	}
	if err != nil {
		return fmt.Errorf("the checkpoint that came from above: %w", err)
	}
	p.After.Base = max(p.After.Base, held.Base+size)
	p.Size = 0
	if held.Log != p.own.Log {
		p.After.Log, p.After.Why, p.After.Size, p.After.Held, p.After.Own = held.Log, identifier.AfterBeginning, size, root, identifier.Hash{}
		return nil
	}
	p.Shared = own
	if max(size, p.row) > own {
		p.After.Why, p.After.Size = identifier.AfterLoss, own // Held and Own are the root of that
		return nil
	}
	mine, err := p.own.rootOf(size)
	if err == nil && mine != root {
		p.After.Why, p.After.Size, p.After.Held, p.After.Own = identifier.AfterFork, size, root, mine
	}
	return err
}

// at returns the unit that ends a log of which so many entries are held above, and its root.
func (p *Parting) at(ctx context.Context, log identifier.LogID, size uint64) (Held, identifier.Hash, error) {
	held, err := p.upper.Mirrored(ctx, size-1)
	if err != nil {
		return held, identifier.Hash{}, err
	}
	root, err := held.rootBehind(log, p.own.Node, size-1)
	return held, root, err
}
