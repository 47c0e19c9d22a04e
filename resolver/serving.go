package resolver

import (
	"context"
	"sync"
	"time"
)

// Serving is how a server of messages goes on and ends: several goroutines take messages
// until it is to stop or one of them fails; then what they have taken is answered, for as long
// as an asker is patient.
type Serving struct {
	// Working is done when nobody waits for an answer any more, Stopping when nothing more is
	// to be taken.
	Working, Stopping context.Context

	stop, abandon context.CancelFunc
	taking        sync.WaitGroup
	once          sync.Once
	failure       error
}

// NewServing returns one that goes on until a context is done. End it after use.
func NewServing(ctx context.Context) *Serving {
	s := &Serving{}
	s.Stopping, s.stop = context.WithCancel(ctx)
	s.Working, s.abandon = context.WithCancel(context.WithoutCancel(ctx))
	return s
}

// Go lets a goroutine take messages until Stopping is done. Its error is a failure: all
// others stop, too.
func (s *Serving) Go(take func() error) {
	s.taking.Go(func() {
		if err := take(); err != nil {
			s.once.Do(func() { s.failure = err })
			s.stop()
		}
	})
}

// End waits until Stopping is done, calls interrupt, which lets all goroutines see that,
// and waits for them, then calls answered, which waits for what they have left to others. What takes
// longer than patience is given up. It returns the first failure.
func (s *Serving) End(patience time.Duration, interrupt, answered func()) error {
	<-s.Stopping.Done()
	defer s.stop()
	defer s.abandon()
	late := time.AfterFunc(patience, s.abandon)
	defer late.Stop()
	interrupt()
	s.taking.Wait()
	answered()
	return s.failure
}
