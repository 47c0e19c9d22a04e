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
//
// It is [Registry.Verify] and then [Registry.Log].
func (r *Registry) Register(ctx context.Context, c *identifier.Change) (Receipt, error) {
	v, err := r.Verify(ctx, c)
	if err != nil {
		return Receipt{}, err
	}
	return r.Log(ctx, v)
}

// Verified is a change whose form and signatures are good: all that can be checked
// without knowing what stands before it in the log. It is good for one registry.
type Verified struct{ proposal *proposal }

// Verify checks the form of a signed change, and its signatures against the keyset in
// force. It holds no lock while it computes, so that many changes can be verified at
// once while others are logged. Nothing is logged. Errors are those of
// [Registry.Register].
func (r *Registry) Verify(ctx context.Context, c *identifier.Change) (*Verified, error) {
	x, err := c.Examine()
	if err == nil && len(c.Rows) > 0 && c.Rows[0].Sealed != nil {
		err = errors.New("its rows are without their contents: send them as they were signed")
	}
	if err != nil {
		return nil, &Error{Kind: Malformed, Detail: "the change breaks a rule", Err: err}
	}
	entry, err := encodeExamined(&identifier.Entry{
		Kind: identifier.EntryChange, Time: r.now(), Envelope: c.Envelope,
		IDSeed: c.IDSeed, ValueSeed: c.ValueSeed, Rows: c.Rows,
	}, x)
	if err != nil {
		return nil, err
	}
	p := &proposal{entry: entry, rows: x}
	if err := p.fresh(r.now()); err != nil {
		return nil, err
	}
	// The signatures are checked outside the sequencer, against what it holds now;
	// it looks again whether that is still so.
	if p.holder, err = r.sequencer.authenticate(x.Header, c.Envelope); err != nil {
		return nil, r.refusal(ctx, err)
	}
	return &Verified{p}, nil
}

// fresh returns an error when a change has expired.
func (p *proposal) fresh(now time.Time) error {
	if !now.Before(p.rows.Header.Expiry) {
		return refuse(Expired, "the change expired at %s: sign it again", p.rows.Header.Expiry.UTC().Format(time.RFC3339))
	}
	return nil
}

// Log logs a change that was verified, with the time at which it was. What
// [Registry.Register] promises holds; keys that have changed since are noticed.
func (r *Registry) Log(ctx context.Context, v *Verified) (Receipt, error) {
	if err := v.proposal.fresh(r.now()); err != nil {
		return Receipt{}, err
	}
	if why := r.DiskLow(); why != "" {
		return Receipt{}, refuse(Overloaded, "%s: free some space, then send it again", why)
	}
	// Most of what judging costs is looking up what is there, so that happens before the
	// sequencer's lock is taken.
	before, err := r.sequencer.look(v.proposal)
	if err != nil {
		return Receipt{}, err
	}
	return r.submit(ctx, len(v.proposal.entry.payload), func() (admission, error) { return r.sequencer.admit(v.proposal, before) })
}

// submit admits something as soon as there is room for it, and waits for its sync:
// of a refusal too.
func (r *Registry) submit(ctx context.Context, octets int, admit func() (admission, error)) (Receipt, error) {
	// As a rule there is room, and the journal says so itself.
	for waits := !r.state.HasRoom(); ; waits = true {
		if waits {
			if err := r.room(ctx, octets); err != nil {
				return Receipt{}, err
			}
		}
		wait, err := admit()
		if errors.Is(err, journal.ErrBusy) {
			continue // somebody else's frame took the room
		}
		if err != nil {
			return Receipt{}, r.refusal(ctx, err)
		}
		if wait.queued != nil {
			wait.queued.prepare()
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
func (r *Registry) now() time.Time { return whole(r.config.Clock()) }

func now() time.Time { return whole(time.Now()) }

func whole(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }

// await waits until what an admission depends on is synced.
func (r *Registry) await(ctx context.Context, a admission) (Receipt, error) {
	receipt := Receipt{Log: r.log, Position: a.position, Level: Local, Duplicate: a.duplicate}
	if a.synced == nil {
		receipt.Level = r.LevelOf(a.position)
		return receipt, nil
	}
	if err := r.awaitSync(ctx, a.synced); err != nil {
		return Receipt{}, unknown(err)
	}
	receipt.Level = r.LevelOf(a.position)
	return receipt, nil
}
