package journal_test

import (
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/nameplate-id/nameplate/registry/journal"
	"github.com/nameplate-id/nameplate/registry/journal/journaltest"
)

// receiver notes its calls in a list that it shares with others.
type receiver struct {
	name  string
	calls *[]string
}

func (r *receiver) Synced(at, end journal.Offset, more bool) {
	*r.calls = append(*r.calls, fmt.Sprintf("%s %d %v", r.name, end-at, more))
}

// Receivers are told of their frames in the order of all, and that more follow only where
// the next frame is their own and of the same sync.
func TestReceivers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		var shut atomic.Bool
		j := open(t, journal.Options{SegmentSize: journal.MinSegmentSize, FS: journaltest.NewDisk(), Hook: func(point string) {
			if point == journal.HookSync && shut.Load() {
				<-gate
			}
		}})
		synctest.Wait()
		var calls []string
		a, b := &receiver{"a", &calls}, &receiver{"b", &calls}
		to := func(r *receiver, octets int) {
			t.Helper()
			if err := j.AppendTo(entry(string(make([]byte, octets))), r); err != nil {
				t.Fatal(err)
			}
		}
		appendAll(t, j, entry(string(make([]byte, 2000)))) // so that the others need two segments
		shut.Store(true)
		to(a, 1)
		synctest.Wait() // it is being synced alone
		to(a, 2)
		to(a, 3)
		if err := j.Append(entry("1234"), func(_, _ journal.Offset) { calls = append(calls, "function") }); err != nil {
			t.Fatal(err)
		}
		to(a, 5)
		to(b, 6)
		to(b, 7)
		to(b, 2500) // in the next segment
		to(b, 9)
		close(gate)
		synctest.Wait()
		const header = 21
		want := []string{
			fmt.Sprintf("a %d false", header+1),
			fmt.Sprintf("a %d true", header+2), fmt.Sprintf("a %d false", header+3), "function", fmt.Sprintf("a %d false", header+5),
			fmt.Sprintf("b %d true", header+6), fmt.Sprintf("b %d false", header+7),
			fmt.Sprintf("b %d true", header+2500), fmt.Sprintf("b %d false", header+9),
		}
		if !slices.Equal(calls, want) {
			t.Errorf("calls %q\nwant  %q", calls, want)
		}
	})
}
