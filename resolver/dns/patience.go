package dns

import (
	"context"
	"sync/atomic"
	"time"
)

// patient is a context that ends at a time, like that of [context.WithDeadline],
// which it becomes when somebody asks to be told of its end. A question that is
// answered from what the node holds is answered without: it costs no timer then.
type patient struct {
	context.Context // that it is made of, which ends it too
	until           time.Time
	timed           atomic.Pointer[timed]
}

// timed is what a patient context becomes.
type timed struct {
	context.Context
	cancel context.CancelFunc
}

// Deadline returns when it ends.
func (p *patient) Deadline() (time.Time, bool) {
	if earlier, ok := p.Context.Deadline(); ok && earlier.Before(p.until) {
		return earlier, true
	}
	return p.until, true
}

// Done returns a channel that is closed at the end.
func (p *patient) Done() <-chan struct{} {
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
func (p *patient) Err() error {
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
func (p *patient) Value(key any) any {
	if t := p.timed.Load(); t != nil {
		return t.Value(key) // by which package context knows its own
	}
	return p.Context.Value(key)
}

// release ends what waits for the end. Call it once nobody will ask any more.
func (p *patient) release() {
	if t := p.timed.Load(); t != nil {
		t.cancel()
	}
}
