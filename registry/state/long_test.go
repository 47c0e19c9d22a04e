package state_test

import (
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/nameplate-id/nameplate/registry/state"
)

// rewrites puts new versions of many rows, commit after commit, while something reads, and
// returns by how many octets the file grew.
func rewrites(t *testing.T, while func(s *state.Store, write func())) int64 {
	t.Helper()
	s := open(t, state.Options{Gather: time.Hour})
	version := uint64(0)
	const rows = 1200 // more than a scan reads at once
	commit := func() {
		version++
		var m []state.Mutation
		for i := range rows {
			m = append(m, record(fmt.Sprintf("row-%06d", i), version))
		}
		publish(t, s, m...)
		apply(t, s)
	}
	for range 20 { // until the file has the pages that it takes to write all anew
		commit()
	}
	before := s.Stats().FileBytes
	while(s, func() {
		for range 60 {
			commit()
		}
	})
	return s.Stats().FileBytes - before
}

// However long a scan takes, the file does not grow for it: no transaction is open while
// its body runs. The control holds one open as long, and the file grows.
func TestLongReadLeavesTheFile(t *testing.T) {
	t.Parallel()
	idle := rewrites(t, func(_ *state.Store, write func()) { write() })
	scanning := rewrites(t, func(s *state.Store, write func()) {
		seen := 0
		for row, err := range s.Ascend(t.Context(), state.Records, 1, nil) {
			if err != nil {
				t.Fatal(err)
			}
			if seen++; seen == 100 { // in the middle of what is read at once
				write()
			}
			_ = row
		}
		if seen != 1200 {
			t.Errorf("got %d rows; want all", seen)
		}
	})
	held := rewrites(t, func(s *state.Store, write func()) {
		err := s.View(func(r *state.Reader) error {
			write()
			if got := get(r, "row-000000"); got != 20 {
				t.Errorf("got version %d; want that of the beginning", got)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	})
	t.Logf("the file grew by %d octets with no reader, %d with a long scan, %d with a transaction held open", idle, scanning, held)
	if scanning > idle+64<<10 {
		t.Errorf("the file grew by %d octets while a scan went on, %d without; want no more", scanning, idle)
	}
	if held < scanning+1<<20 {
		t.Errorf("the file grew by %d octets with a transaction held open; want much more than %d, or nothing is tested", held, scanning)
	}
}

// Readers do not wait for one another, nor for those who write: as many as there are
// processors, and more, are in a view at the same time, and rows are published and
// committed meanwhile. In the control they take turns, which is noticed.
func TestReadersRunTogether(t *testing.T) {
	t.Parallel()
	together := func(view func(s *state.Store, f func(*state.Reader) error) error) bool {
		s := open(t, state.Options{Gather: time.Hour})
		publish(t, s, record("a", 1), record("b", 1))
		apply(t, s)
		readers := 2*runtime.GOMAXPROCS(0) + 2
		inside, leave := make(chan struct{}, readers), make(chan struct{})
		var wg sync.WaitGroup
		for range readers {
			wg.Go(func() {
				err := view(s, func(r *state.Reader) error {
					inside <- struct{}{}
					<-leave
					if get(r, "a") != 1 || get(r, "b") != 1 {
						t.Error("a reader sees what came after it")
					}
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		all := true
		limit := time.After(2 * time.Second)
		for range readers {
			select {
			case <-inside:
			case <-limit:
				all = false
			}
			if !all {
				break
			}
		}
		if all {
			publish(t, s, record("a", 2))
			apply(t, s)
			publish(t, s, record("b", 2))
		}
		close(leave)
		wg.Wait()
		return all
	}
	if !together(func(s *state.Store, f func(*state.Reader) error) error { return s.View(f) }) {
		t.Error("readers wait for one another")
	}
	var turns sync.Mutex
	if together(func(s *state.Store, f func(*state.Reader) error) error {
		turns.Lock()
		defer turns.Unlock()
		return s.View(f)
	}) {
		t.Error("readers that take turns are not noticed")
	}
}
