package resolver_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nameplate-id/nameplate/resolver"
)

// A server ends when it is told to or when a part of it fails; what was taken has patience,
// and no more than that.
func TestServing(t *testing.T) {
	broken := errors.New("broken")
	for name, c := range map[string]struct {
		fails  error
		answer time.Duration // how long the last answer takes
		took   time.Duration // until the end
	}{
		"told to stop":    {nil, time.Second, 11 * time.Second},
		"a part fails":    {broken, time.Second, 2 * time.Second},
		"an answer hangs": {nil, time.Hour, 15 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const patience = 5 * time.Second
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				began := time.Now()
				s := resolver.NewServing(ctx)
				interrupted, answered := false, false
				s.Go(func() error {
					<-s.Stopping.Done()
					select {
					case <-time.After(c.answer):
					case <-s.Working.Done():
					}
					return nil
				})
				s.Go(func() error {
					if c.fails != nil {
						time.Sleep(time.Second)
						return c.fails
					}
					<-s.Stopping.Done()
					return nil
				})
				err := s.End(patience, func() { interrupted = true }, func() { answered = interrupted })
				if took := time.Since(began); !errors.Is(err, c.fails) || took != c.took || !answered {
					t.Errorf("got %v after %v, interrupted and answered %t; want %v after %v", err, took, answered, c.fails, c.took)
				}
			})
		})
	}
}
