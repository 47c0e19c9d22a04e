package registry

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/journal"
	"github.com/nameplate-id/nameplate/registry/receipt"
	"github.com/nameplate-id/nameplate/registry/replica"
	"github.com/nameplate-id/nameplate/registry/state"
)

// Prove returns the receipt for the newest version of an identifier in this node's own
// log, a withdrawal too, secured to a level and no further, which it returns as well; none
// stands for the one that it has reached. A node signs checkpoints once a second, and its
// parent cosigns once a second: it waits for that until ctx ends. The receipt shows all values of the identifier and the salts they are hashed with: who may
// ask for it is for the caller to judge.
func (r *Registry) Prove(ctx context.Context, id identifier.ID, want Level) (*receipt.Receipt, Level, error) {
	position, err := r.positionOf(id)
	if err != nil {
		return nil, 0, err
	}
	e, err := r.entryAt(ctx, position)
	if err != nil {
		return nil, 0, err
	}
	change := e.Change()
	_, hashes, err := change.Check()
	if err != nil {
		return nil, 0, &Error{Kind: Unavailable, Detail: "the journal cannot be trusted: run 'nameplate check'", Err: err}
	}
	row := slices.IndexFunc(change.Rows, func(x identifier.Row) bool { return x.ID == id })
	if row < 0 {
		return nil, 0, &Error{Kind: Unavailable, Detail: fmt.Sprintf("entry %d has no row of %s: run 'nameplate check'", position, id)}
	}
	p := &receipt.Receipt{
		Log: r.log, Node: r.key.Public(), Row: change.Rows[row],
		IDSalt: change.IDSeed.Salt(uint32(row)), ValueSalt: change.ValueSeed.Salt(uint32(row)),
		Path: identifier.ProveRow(hashes, row), Leaf: identifier.AppendLeaf(nil, e), Position: position,
	}
	if want == 0 {
		want = r.reached(position)
	}
	var size uint64
	if p.Note, p.Cosigned, size, err = r.checkpointOver(ctx, position, want); err != nil {
		return nil, 0, err
	}
	if err := r.WaitApplied(ctx); err != nil {
		return nil, 0, &Error{Kind: Unavailable, Detail: "the state is behind: ask again later", Err: err}
	}
	if p.Inclusion, err = journal.ProveInclusion(position, size, tiles{r.state, ownLog}); err != nil {
		return nil, 0, &Error{Kind: Unavailable, Detail: "the hashes of the log cannot be read: run 'nameplate check'", Err: err}
	}
	return p, want, nil
}

// reached returns the level to which there is a receipt for an entry.
func (r *Registry) reached(position uint64) Level {
	for _, l := range []Level{Rooted, Anchored} {
		if c, _ := r.ReceiptFor(position, l); c != nil {
			return l
		}
	}
	return Local
}

// positionOf returns the entry that the newest version of an identifier came with.
func (r *Registry) positionOf(id identifier.ID) (position uint64, err error) {
	there := false
	err = r.state.View(func(v *state.Reader) error {
		key := identifier.AppendKey(nil, id)
		b := v.Get(state.Records, ownLog, key)
		if b == nil {
			return nil
		}
		stored, err := identifier.CheckStored(key, b)
		if err != nil {
			return err
		}
		position, there = stored.Position(), true
		return nil
	})
	switch {
	case err != nil:
		return 0, &Error{Kind: Unavailable, Detail: "what is stored cannot be trusted: run 'nameplate check'", Err: err}
	case !there:
		return 0, refuse(Absent, "%s was never registered at this node: ask the node that answers for it", id)
	}
	return position, nil
}

// entryAt reads one entry of the log again.
func (r *Registry) entryAt(ctx context.Context, position uint64) (e *identifier.Entry, err error) {
	at, err := r.locate(position)
	if err != nil {
		return nil, err
	}
	_, _, err = r.replay(ctx, at, position, position+1, func(l Logged) error {
		e = l.Entry
		return nil
	})
	if err == nil && e == nil {
		err = &Error{Kind: Unavailable, Detail: fmt.Sprintf("entry %d cannot be read now: ask again later", position), Err: ctx.Err()}
	}
	return e, err
}

// coverPause is how long to wait before looking again for a checkpoint that covers an
// entry.
const coverPause = 20 * time.Millisecond

// checkpointOver returns a checkpoint that covers an entry, secured to a level, and its size.
func (r *Registry) checkpointOver(ctx context.Context, position uint64, want Level) ([]byte, *replica.Receipt, uint64, error) {
	if want > Local {
		r.Await(ctx, position, want)
	}
	for {
		if c := r.checkpoint.Load(); want <= Local && c != nil && c.Size > position {
			return c.Note, nil, c.Size, nil
		}
		if c, size := r.ReceiptFor(position, want); want > Local && c != nil {
			if want == Anchored {
				// The way further up is not asked for, and makes most of the octets.
				c = &replica.Receipt{Note: c.Note, Cosigner: c.Cosigner}
			}
			return nil, c, size, nil
		}
		select {
		case <-time.After(coverPause):
		case <-r.failed:
			return nil, nil, 0, ending(r.failErr)
		case <-ctx.Done():
			return nil, nil, 0, &Error{Kind: Unavailable, Err: context.Cause(ctx),
				Detail: fmt.Sprintf("entry %d is %s and no checkpoint that is %s covers it yet: ask again later, or for less", position, r.LevelOf(position), want)}
		}
	}
}
