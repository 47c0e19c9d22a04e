package serving_test

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nameplate-id/nameplate/resolver/serving"
	"github.com/nameplate-id/nameplate/resolver/udp"
)

// listener notes that it is closed.
type listener struct {
	net.Listener
	closed atomic.Bool
}

func (l *listener) Close() error {
	l.closed.Store(true)
	return nil
}

// A server ends when it is told to or when a part of it fails; what was taken has patience,
// and no more than that.
func TestServe(t *testing.T) {
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
				answers, fails := &listener{}, &listener{}
				interrupted, answered := false, false
				err := serving.Serve(ctx, nil, []net.Listener{answers, fails}, patience, func(working context.Context) serving.Takers {
					return serving.Takers{
						Datagrams: func(context.Context, udp.Socket) error { return errors.New("there is no socket") },
						Connections: func(stopping context.Context, l net.Listener) error {
							if l == fails && c.fails != nil {
								time.Sleep(time.Second)
								return c.fails
							}
							<-stopping.Done()
							if l != answers {
								return nil
							}
							select {
							case <-time.After(c.answer):
							case <-working.Done():
							}
							interrupted = answers.closed.Load() && fails.closed.Load()
							return nil
						},
						Answered: func() { answered = interrupted },
					}
				})
				if took := time.Since(began); !errors.Is(err, c.fails) || took != c.took || !answered {
					t.Errorf("got %v after %v, interrupted and answered %t; want %v after %v", err, took, answered, c.fails, c.took)
				}
			})
		})
	}
}
