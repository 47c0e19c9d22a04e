package udp_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/nameplate-id/nameplate/resolver/udp"
)

// What is thrown away: batch after batch, each after some work and some silence.
func TestBacklog(t *testing.T) {
	const patience = time.Second
	synctest.Test(t, func(t *testing.T) {
		var l udp.Backlog
		for i, step := range []struct {
			work, silent time.Duration // before the batch is asked for, and until it comes
			full, want   bool
		}{
			{0, time.Hour, false, false},
			{0, time.Hour, true, false},                         // a burst after a silence
			{400 * time.Millisecond, 0, true, false},            //
			{400 * time.Millisecond, 0, true, false},            //
			{400 * time.Millisecond, 0, true, true},             // full for longer than a second
			{0, 0, true, true},                                  // all of it
			{0, 0, false, false},                                // until what came last
			{400 * time.Millisecond, 0, true, false},            // and from the beginning
			{900 * time.Millisecond, 0, true, false},            //
			{50 * time.Millisecond, time.Minute, true, false},   // after a silence it is new
			{900 * time.Millisecond, 0, true, false},            //
			{200 * time.Millisecond, 0, true, true},             //
			{0, 150 * time.Millisecond, true, false},            // nothing was left
			{2 * patience, time.Millisecond, false, false},      // not full: it came during the last
			{time.Millisecond, time.Millisecond, true, false},   //
			{2 * patience, time.Millisecond, true, true},        //
			{2 * patience, 99 * time.Millisecond, false, false}, //
		} {
			time.Sleep(step.work)
			l.Asking()
			time.Sleep(step.silent)
			if got := l.Overdue(step.full, patience); got != step.want {
				t.Errorf("batch %d, %+v: got %v", i, step, got)
			}
		}
	})
}
