package resolver_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nameplate-id/nameplate/resolver"
)

func TestPatientEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		until := time.Now().Add(time.Second)
		p := resolver.Until(t.Context(), until)
		if err := p.Err(); err != nil {
			t.Errorf("Err at the beginning: got %v, want nil", err)
		}
		if at, ok := p.Deadline(); !ok || !at.Equal(until) {
			t.Errorf("Deadline: got %v %v, want %v", at, ok, until)
		}
		began := time.Now()
		<-p.Done()
		if got := time.Since(began); got != time.Second {
			t.Errorf("Done after %v, want 1s", got)
		}
		if err := p.Err(); err != context.DeadlineExceeded {
			t.Errorf("Err at the end: got %v, want %v", err, context.DeadlineExceeded)
		}
	})
}

// Who never asked for Done hears of the end from Err alone.
func TestPatientEndsUnasked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := resolver.Until(t.Context(), time.Now().Add(time.Second))
		time.Sleep(time.Second)
		if err := p.Err(); err != context.DeadlineExceeded {
			t.Errorf("Err: got %v, want %v", err, context.DeadlineExceeded)
		}
		select {
		case <-p.Done():
		default:
			t.Error("Done is open though Err says that it has ended")
		}
	})
}

func TestPatientEndsWithParent(t *testing.T) {
	for _, asked := range []bool{false, true} {
		parent, cancel := context.WithCancel(t.Context())
		p := resolver.Until(parent, time.Now().Add(time.Hour))
		if asked {
			p.Done()
		}
		cancel()
		<-p.Done()
		if err := p.Err(); err != context.Canceled {
			t.Errorf("asked before %v: Err: got %v, want %v", asked, err, context.Canceled)
		}
		p.Release()
	}
}

func TestPatientReleases(t *testing.T) {
	p := resolver.Until(t.Context(), time.Now().Add(time.Hour))
	child, cancel := context.WithTimeout(p, time.Minute)
	defer cancel()
	p.Release()
	<-child.Done()
	if err := child.Err(); err != context.Canceled {
		t.Errorf("Err of what was made of it: got %v, want %v", err, context.Canceled)
	}
}
