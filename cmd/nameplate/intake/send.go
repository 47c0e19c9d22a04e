package intake

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"time"

	"github.com/nameplate-id/nameplate/registry"
	"github.com/nameplate-id/nameplate/registry/identifier"
)

// firstPause is how long to wait before something is tried again the first time; it
// doubles up to longestPause.
const (
	firstPause   = 50 * time.Millisecond
	longestPause = 2 * time.Second
)

// refusal is a batch that was not logged, and why.
type refusal struct {
	batch *batch
	err   *registry.Error
}

// send sends signed batches over one stream after the other, until all rows are
// settled. What was sent over a stream that broke is sent again over the next.
func (i *Intake) send(ctx context.Context) error {
	var again []*batch
	pause := firstPause
	for {
		before := i.lastHeard()
		s := session{intake: i, again: again}
		err := s.run(ctx)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case i.lastHeard().IsZero():
			return err // it has never been there
		case i.silence() > i.options.Patience:
			return fmt.Errorf("the node takes nothing any more, run the same again when it does: %w", err)
		}
		if i.lastHeard() != before {
			pause = firstPause
		}
		again = s.unanswered()
		if err := sleep(ctx, pause); err != nil {
			return err
		}
		pause = min(2*pause, longestPause)
	}
}

// session is one stream.
type session struct {
	intake *Intake

	mu    sync.Mutex
	again []*batch // to send first
	sent  []*batch // without an answer, in the order of the stream
}

// run returns nil when all rows are settled, else what broke the stream.
func (s *session) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for result, err := range s.intake.node.RegisterBatch(ctx, s.changes(ctx)) {
		if err != nil {
			cancel() // so that the sending side does not wait for more
			return err
		}
		b := s.answered()
		if b == nil || b.change != result.Change {
			return errors.New("the node answered for another change than it was sent")
		}
		s.intake.answer(b, result.Receipt, result.Err)
	}
	select {
	case <-s.intake.settled:
		return nil
	default:
		return errors.New("the stream ended before everything was sent")
	}
}

// changes hands the batches to the stream.
func (s *session) changes(ctx context.Context) iter.Seq[*identifier.Change] {
	return func(yield func(*identifier.Change) bool) {
		for b := s.next(ctx); b != nil && yield(b.change); b = s.next(ctx) {
		}
	}
}

// next returns the next batch to send; nil when there are no more.
func (s *session) next(ctx context.Context) *batch {
	s.mu.Lock()
	defer s.mu.Unlock()
	var b *batch
	if len(s.again) > 0 {
		b, s.again = s.again[0], s.again[1:]
	} else {
		s.mu.Unlock()
		select {
		case b = <-s.intake.signed:
		case <-s.intake.settled:
		case <-ctx.Done():
		}
		s.mu.Lock()
	}
	if b != nil {
		s.sent = append(s.sent, b)
	}
	return b
}

// answered takes the batch whose answer is next; nil when there is none.
func (s *session) answered() *batch {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.sent) == 0 {
		return nil
	}
	b := s.sent[0]
	s.sent = s.sent[1:]
	return b
}

// unanswered returns what has to be sent again. The stream has ended.
func (s *session) unanswered() []*batch {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append(s.sent, s.again...)
}

// answer takes in what came of a batch.
func (i *Intake) answer(b *batch, receipt registry.Receipt, err error) {
	if err != nil {
		var e *registry.Error
		if !errors.As(err, &e) {
			e = &registry.Error{Kind: registry.Unavailable, Detail: err.Error()}
		}
		i.refused <- refusal{batch: b, err: e}
		return
	}
	i.hear()
	for _, r := range b.rows {
		o := Outcome{Result: Registered, Receipt: receipt, Version: r.version}
		switch {
		case receipt.Duplicate:
			o.Result = Unchanged
		case r.version > 1:
			o.Result = Replaced
		}
		i.settleRow(r, o)
	}
}

// sleep waits, or returns why there is no time for it.
func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
