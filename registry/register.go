package registry

import (
	"context"
	"errors"
	"time"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/journal"
)

// Register logs a signed change. At return without an error every row of it is
// synced to this node's disk and resolves; the receipt names the level reached.
// The change, which may wait longer than the call, must not be altered afterwards.
// A change whose rows are all there already is not logged again and gets the same
// answer. The error is always an [*Error]; a Conflict names every bad row with its
// current version. It may be called concurrently; whatever waits together shares
// one sync. When ctx ends while the change waits for its sync, its fate is open.
func (r *Registry) Register(ctx context.Context, c *identifier.Change) (Receipt, error) {
	header, hashes, err := c.Check()
	if err != nil {
		return Receipt{}, &Error{Kind: Malformed, Detail: "the change breaks a rule", Err: err}
	}
	entry, err := encode(&identifier.Entry{
		Kind: identifier.EntryChange, Time: now(), Envelope: c.Envelope,
		IDSeed: c.IDSeed, ValueSeed: c.ValueSeed, Rows: c.Rows,
	})
	if err != nil {
		return Receipt{}, err
	}
	p := &proposal{header: header, hashes: hashes, entry: entry}
	if !now().Before(header.Expiry) {
		return Receipt{}, refuse(Expired, "the change expired at %s: sign it again", header.Expiry.UTC().Format(time.RFC3339))
	}
	// The signatures are checked outside the sequencer, against what it holds now;
	// it looks again whether that is still so.
	if p.holder, err = r.sequencer.authenticate(header, c.Envelope); err != nil {
		return Receipt{}, r.refusal(ctx, err)
	}
	return r.submit(ctx, len(entry.payload), func() (admission, error) { return r.sequencer.admit(p) })
}

// submit admits something as soon as there is room for it, and waits for its sync:
// of a refusal too.
func (r *Registry) submit(ctx context.Context, octets int, admit func() (admission, error)) (Receipt, error) {
	for {
		if err := r.room(ctx, octets); err != nil {
			return Receipt{}, err
		}
		wait, err := admit()
		if errors.Is(err, journal.ErrBusy) {
			continue // somebody else's frame took the room
		}
		if err != nil {
			return Receipt{}, r.refusal(ctx, err)
		}
		return r.await(ctx, wait)
	}
}

// refusal returns why something is refused once everything that this may rest on is
// synced: a crash must not take back what somebody was told the current version, or
// the current keys, to be.
func (r *Registry) refusal(ctx context.Context, why error) error {
	if e, ok := errors.AsType[*Error](why); ok && e.Kind != Denied && e.Kind != Conflict && e.Kind != Unauthenticated {
		return why // it rests on nothing that is logged
	}
	newest := r.sequencer.newestQueued()
	if newest == nil {
		return why
	}
	if err := r.awaitSync(ctx, newest); err != nil {
		return unknown(err)
	}
	return why
}

// unknown is the answer to somebody whose wait for a sync ended without it.
func unknown(err error) *Error {
	return &Error{Kind: Unavailable, Detail: "the wait for the sync ended without it, the change may have been logged or not: send it again to learn", Err: err}
}

// now is the node's clock as entries carry it.
func now() time.Time { return time.Now().UTC().Truncate(time.Millisecond) }

// await waits until what an admission depends on is synced.
func (r *Registry) await(ctx context.Context, a admission) (Receipt, error) {
	receipt := Receipt{Log: r.log, Position: a.position, Level: Local, Duplicate: a.duplicate}
	if a.synced == nil {
		return receipt, nil
	}
	if err := r.awaitSync(ctx, a.synced); err != nil {
		return Receipt{}, unknown(err)
	}
	return receipt, nil
}
