package registry

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/journal"
	"github.com/nameplate-id/nameplate/registry/state"
)

// Logged is an entry and where it stands in the log.
type Logged struct {
	Position uint64
	Entry    *identifier.Entry
}

// Watch calls yield for every entry of the node's own log from a position on, in
// order and each once: first for those that are there, then for those to come, each
// after its sync. It returns when ctx ends, with nil; when yield returns an error,
// with that; or with an [*Error].
func (r *Registry) Watch(ctx context.Context, from uint64, yield func(Logged) error) error {
	next := from
	var at journal.Offset
	located := false
	for {
		growth := r.growth()
		upTo := r.published.Load()
		if next > upTo && !located {
			return refuse(Malformed, "the log has %d entries: watch from %d at the most", upTo, upTo)
		}
		if next < upTo {
			var err error
			if !located {
				if at, err = r.locate(next); err != nil {
					return err
				}
				located = true
			}
			if next, at, err = r.replay(ctx, at, next, upTo, yield); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-r.failed:
			return ending(r.failErr)
		case <-growth:
		}
	}
}

// locate returns a place in the journal at or before the entry at a position.
func (r *Registry) locate(position uint64) (journal.Offset, error) {
	var at uint64
	err := r.state.View(func(v *state.Reader) error {
		at, _, _ = v.Run(ownLog, position)
		return nil
	})
	if err != nil {
		return 0, &Error{Kind: Unavailable, Detail: "the run index cannot be read: run 'nameplate check'", Err: err}
	}
	return journal.Offset(at), nil
}

// replay yields the entries from next up to upTo, reading the journal from a place
// at or before them. It returns the position to go on with, and from where.
func (r *Registry) replay(ctx context.Context, at journal.Offset, next, upTo uint64, yield func(Logged) error) (uint64, journal.Offset, error) {
	for next < upTo {
		if ctx.Err() != nil {
			return next, at, nil
		}
		frame, end, err := r.journal.Read(at)
		if errors.Is(err, io.EOF) {
			return next, at, nil
		}
		if err != nil {
			return next, at, &Error{Kind: Unavailable, Detail: "the journal cannot be read: run 'nameplate check'", Err: err}
		}
		at = end
		if frame.Kind != journal.KindEntry || frame.Log != ownLog || frame.Position < next {
			continue
		}
		entry, err := identifier.ParseEntry(frame.Payload)
		if err != nil {
			return next, at, &Error{Kind: Unavailable, Detail: fmt.Sprintf("entry %d cannot be read: run 'nameplate check'", frame.Position), Err: err}
		}
		if frame.Position > next {
			return next, at, &Error{Kind: Unavailable, Detail: fmt.Sprintf("the run index leads to entry %d behind entry %d: run 'nameplate check'", frame.Position, next)}
		}
		if err := yield(Logged{Position: frame.Position, Entry: entry}); err != nil {
			return next, at, err
		}
		next = frame.Position + 1
	}
	return next, at, nil
}
