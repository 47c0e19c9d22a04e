package resolver

import (
	"context"
	"sync/atomic"
	"time"
)

// Patient is a context that ends at a time, like that of [context.WithDeadline],
// which it becomes when somebody asks to be told of its end. A question that is
// answered from what the node holds is answered without: it costs no timer then.
// Release it when nobody asks any more. It may be used concurrently.
type Patient struct {
	context.Context // that it is made of, which ends it too
	until           time.Time
	timed           atomic.Pointer[timed]
}

// Until returns a context that ends at a time, or before it with ctx.
func Until(ctx context.Context, at time.Time) *Patient { return &Patient{Context: ctx, until: at} }

// timed is what a Patient becomes.
type timed struct {
	context.Context
	cancel context.CancelFunc
}

// Deadline returns when it ends.
func (p *Patient) Deadline() (time.Time, bool) {
	if earlier, ok := p.Context.Deadline(); ok && earlier.Before(p.until) {
		return earlier, true
	}
	return p.until, true
}

// Done returns a channel that is closed at the end.
func (p *Patient) Done() <-chan struct{} {
	if t := p.timed.Load(); t != nil {
		return t.Done()
	}
	inner, cancel := context.WithDeadline(p.Context, p.until)
	if !p.timed.CompareAndSwap(nil, &timed{inner, cancel}) {
		cancel() // somebody else was first
	}
	return p.timed.Load().Done()
}

// Err returns why it has ended; nil while it has not.
func (p *Patient) Err() error {
	if t := p.timed.Load(); t != nil {
		return t.Err()
	}
	if err := p.Context.Err(); err != nil {
		return err
	}
	if !time.Now().Before(p.until) {
		<-p.Done() // so that who waits and who asks hear the same
		return p.timed.Load().Err()
	}
	return nil
}

// Value returns what the context that it is made of has for a key.
func (p *Patient) Value(key any) any {
	if t := p.timed.Load(); t != nil {
		return t.Value(key) // by which package context knows its own
	}
	return p.Context.Value(key)
}

// Release ends what waits for the end. Call it once nobody will ask any more.
func (p *Patient) Release() {
	if t := p.timed.Load(); t != nil {
		t.cancel()
	}
}
