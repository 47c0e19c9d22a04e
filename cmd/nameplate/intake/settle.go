package intake

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nameplate-id/nameplate/registry"
	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/resolver"
)

// maxTries is how often a row is signed for another version before somebody else is
// taken to change it at the same time.
const maxTries = 5

// settle decides what becomes of a batch that was not logged. The error ends the run.
func (i *Intake) settle(ctx context.Context, r refusal) error {
	switch r.err.Kind {
	case registry.Conflict:
		return i.settleConflict(ctx, r)
	case registry.Denied:
		return i.settleDenied(ctx, r)
	case registry.Malformed:
		i.settleMalformed(r)
		return nil
	case registry.Expired:
		if time.Since(r.batch.made) < i.options.Expiry/2 {
			return fmt.Errorf("a change that was just signed has expired at the node: set the clock of one of the two: %w", r.err)
		}
		i.unsigned <- r.batch
		return nil
	case registry.Overloaded, registry.Unavailable:
		return i.tryAgain(ctx, r)
	case registry.Unauthenticated:
		i.failAll(r.batch.rows, r.err.Error())
		return nil
	}
	return r.err
}

// tryAgain sends the same change again after a pause.
func (i *Intake) tryAgain(ctx context.Context, r refusal) error {
	if i.silence() > i.options.Patience {
		return fmt.Errorf("the node takes nothing any more, run the same again when it does: %w", r.err)
	}
	i.mu.Lock()
	i.last = r.err
	i.mu.Unlock()
	b := r.batch
	b.pause = min(max(firstPause, 2*b.pause), longestPause)
	time.AfterFunc(b.pause, func() { i.signed <- b })
	return nil
}

// split parts the rows of a batch into those that an error names and the rest. An
// error that names rows which are not there names none.
func split(r refusal) (rest, named []*row, errs []registry.RowError) {
	bad := map[int]registry.RowError{}
	for _, e := range r.err.Rows {
		if e.Row >= 0 && e.Row < len(r.batch.rows) {
			bad[e.Row] = e
		}
	}
	for n, row := range r.batch.rows {
		if e, is := bad[n]; is {
			named, errs = append(named, row), append(errs, e)
		} else {
			rest = append(rest, row)
		}
	}
	return rest, named, errs
}

// sendAgain signs rows anew, for the same holder.
func (i *Intake) sendAgain(holder *identifier.Delegation, rows []*row) {
	if len(rows) > 0 {
		i.unsigned <- &batch{holder: holder, rows: rows}
	}
}

// settleConflict compares the rows in conflict with what the node has.
func (i *Intake) settleConflict(ctx context.Context, r refusal) error {
	rest, named, errs := split(r)
	if len(named) == 0 {
		i.failAll(r.batch.rows, r.err.Error())
		return nil
	}
	current, err := i.current(ctx, named)
	if err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return i.tryAgain(ctx, refusal{batch: r.batch, err: &registry.Error{Kind: registry.Unavailable, Detail: "the rows in conflict could not be looked up", Err: err}})
	}
	i.hear()
	for n, row := range named {
		row.tries++
		switch e := errs[n]; {
		case current[n] != nil && sameContent(current[n].Values, row.registration.Values):
			i.settleRow(row, Outcome{Result: Unchanged, Version: current[n].Version})
		case e.Version > 0 && !i.options.Replace:
			i.outcome(row, Failed, conflictReason(e.Version, current[n]))
		case row.tries >= maxTries:
			i.outcome(row, Failed, "somebody else changes it at the same time: try again later")
		default:
			row.version, row.replaces = e.Version+1, e.RowHash
			rest = append(rest, row)
		}
	}
	i.sendAgain(r.batch.holder, rest)
	return nil
}

func conflictReason(version uint64, current *identifier.Record) string {
	if current == nil {
		return fmt.Sprintf("it was registered and cannot be read or was withdrawn, version %d: say --replace to register it again", version)
	}
	return fmt.Sprintf("it is registered with other content, version %d: say --replace to put this in its place", version)
}

// current looks up what the node has of some rows; nil where there is no record, or
// none that may be read.
func (i *Intake) current(ctx context.Context, rows []*row) ([]*identifier.Record, error) {
	ids := func(yield func(identifier.ID) bool) {
		for _, r := range rows {
			if !yield(r.registration.ID) {
				return
			}
		}
	}
	found := make([]*identifier.Record, 0, len(rows))
	for result, err := range i.records.ResolveBatch(ctx, resolver.Query{Authoritative: true}, ids) {
		if err == nil {
			err = result.Err
		}
		if err != nil {
			return nil, err
		}
		found = append(found, result.Answer.Record)
	}
	if len(found) != len(rows) {
		return nil, errors.New("the node did not answer for every row")
	}
	return found, nil
}

// sameContent reports whether two lists of values say the same, whenever they were
// made.
func sameContent(a, b []identifier.Value) bool {
	timeless := func(values []identifier.Value) ([]byte, error) {
		values = slices.Clone(values)
		for n := range values {
			values[n].Timestamp = time.Time{}
		}
		return identifier.AppendContent(nil, "", values)
	}
	x, errX := timeless(a)
	y, errY := timeless(b)
	return errX == nil && errY == nil && bytes.Equal(x, y)
}

// settleDenied asks again who holds what. A row for which that changes nothing fails.
func (i *Intake) settleDenied(ctx context.Context, r refusal) error {
	rest, named, errs := split(r)
	if len(named) == 0 {
		i.holders.forget(r.batch.holder)
		named, rest = rest, nil
	} else {
		i.holders.forgetAsked(named)
	}
	g := gatherer{intake: i, batches: map[identifier.Prefix]*batch{}}
	for n, row := range named {
		row.exact = len(errs) > 0
		holder, err := i.holder(ctx, row.registration.ID.Prefix, row.exact)
		if err != nil {
			return err
		}
		reason := r.err.Detail
		if len(errs) > 0 {
			reason = errs[n].Reason
		}
		if row.tries++; holder != nil && same(holder, r.batch.holder) || row.tries >= maxTries {
			i.outcome(row, Failed, reason)
			continue
		}
		if err := g.add(ctx, row); err != nil {
			return err
		}
	}
	g.flush()
	i.sendAgain(r.batch.holder, rest)
	return nil
}

// settleMalformed fails the rows that the node names. When it names none, the batch
// is halved until it is one row.
func (i *Intake) settleMalformed(r refusal) {
	rest, named, errs := split(r)
	switch {
	case len(named) > 0:
		for n, row := range named {
			i.outcome(row, Failed, errs[n].Reason)
		}
		i.sendAgain(r.batch.holder, rest)
	case len(rest) == 1:
		i.outcome(rest[0], Failed, r.err.Error())
	default:
		half := len(rest) / 2
		i.sendAgain(r.batch.holder, rest[:half:half])
		i.sendAgain(r.batch.holder, rest[half:])
	}
}
