package state_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nameplate-id/nameplate/registry/state"
)

func open(t testing.TB, o state.Options) *state.Store {
	t.Helper()
	s, err := state.Open(filepath.Join(t.TempDir(), "state.db"), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// publish puts one row of a log on which nothing else depends.
func publish(t testing.TB, s *state.Store, m ...state.Mutation) {
	t.Helper()
	at := s.Published()
	b := state.Batch{Log: 1, Position: s.Positions()[1] + 1, At: at, End: at + 100, Mutations: m}
	if err := s.Publish(t.Context(), b); err != nil {
		t.Fatal(err)
	}
}

func apply(t testing.TB, s *state.Store) {
	t.Helper()
	if err := s.Apply(); err != nil {
		t.Fatal(err)
	}
}

func record(key string, version uint64) state.Mutation {
	return state.Mutation{Table: state.Records, Key: []byte(key), Value: content(version, key)}
}

// get returns the version of a record, 0 when there is none.
func get(r *state.Reader, key string) uint64 {
	if v := r.Get(state.Records, 1, []byte(key)); v != nil {
		return versionOf(string(v))
	}
	return 0
}

// A row that is committed between a reader's two steps is found when the overlay
// is captured first, and lost when the transaction is opened first.
func TestReaderOrder(t *testing.T) {
	var between func()
	s := open(t, state.Options{Hook: func(point string) {
		if f := between; point == state.PointView && f != nil {
			between = nil
			f()
		}
	}})
	publish(t, s, record("a", 1))
	between = func() { apply(t, s) }
	err := s.View(func(r *state.Reader) error {
		if got := get(r, "a"); got != 1 {
			t.Errorf("View finds version %d of a row committed meanwhile, want 1", got)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}

	publish(t, s, record("b", 1))
	err = s.ViewInverted(func() { apply(t, s) }, func(r *state.Reader) error {
		if got := get(r, "b"); got != 0 {
			t.Errorf("the wrong order finds version %d: this test does not show what it should", got)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// However many commits lie between a reader's two steps, it sees one moment: not
// the old version of one row beside the new one of another.
func TestViewIsASnapshot(t *testing.T) {
	var between func()
	s := open(t, state.Options{Hook: func(point string) {
		if f := between; point == state.PointView && f != nil {
			between = nil
			f()
		}
	}})
	for commits := range 3 {
		for _, pending := range []bool{false, true} {
			name := fmt.Sprintf("commits=%d,pending=%v", commits, pending)
			first := s.Positions()[1] + 1
			publish(t, s, record("a", first), record("b", first))
			if !pending {
				apply(t, s)
			}
			between = func() {
				for i := range commits {
					publish(t, s, record("b", first+uint64(i)+1))
					apply(t, s)
				}
				publish(t, s, record("b", first+10), record("a", first+10))
			}
			err := s.View(func(r *state.Reader) error {
				position, a, b := r.Position(1), get(r, "a"), get(r, "b")
				publish(t, s, record("a", first+11), record("b", first+11))
				if get(r, "a") != a || get(r, "b") != b || r.Position(1) != position {
					t.Errorf("%s: a row changed under a reader", name)
				}
				if got, want := fmt.Sprint(position, a, b), fmt.Sprint(first, first, first); got != want && got != fmt.Sprint(first+uint64(commits)+1, first+10, first+10) {
					t.Errorf("%s: position and versions are %s, which they never were at once", name, got)
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			for s.Positions()[1] < first+11 { // versions follow positions again
				publish(t, s)
			}
		}
	}
}

// Readers on many goroutines never miss what was published before they began, while
// the applier commits as fast as it can.
func TestReadersWhileApplying(t *testing.T) {
	const keys, readers = 64, 8
	s := open(t, state.Options{Gather: time.Microsecond, GatherRows: 1})
	ctx, cancel := context.WithCancel(t.Context())
	var published [keys]atomic.Uint64
	key := func(i int) string { return fmt.Sprintf("k%02d", i) }
	var all sync.WaitGroup
	all.Go(func() {
		if err := s.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	var views atomic.Uint64
	for n := range readers {
		all.Go(func() {
			for i := n; ctx.Err() == nil; i++ {
				k := i % keys
				want := published[k].Load()
				err := s.View(func(r *state.Reader) error {
					if got := get(r, key(k)); got < want {
						return fmt.Errorf("%s: version %d, but %d was published before", key(k), got, want)
					}
					if got := r.AnyWithPrefix(state.Records, 1, []byte(key(k))); got != (want%2 == 1) && get(r, key(k)) == want {
						return fmt.Errorf("%s: AnyWithPrefix = %v at version %d", key(k), got, want)
					}
					return nil
				})
				if err != nil {
					t.Error(err)
					cancel()
				}
				views.Add(1)
			}
		})
	}
	deadline := time.Now().Add(2 * time.Second)
	version := uint64(0)
	for time.Now().Before(deadline) && ctx.Err() == nil {
		version++
		for k := range keys {
			m := record(key(k), version)
			m.Withdrawn = version%2 == 0
			publish(t, s, m)
			published[k].Store(version)
		}
	}
	cancel()
	all.Wait()
	t.Logf("%d versions of %d rows, %d views", version, keys, views.Load())
}

// What a reader's function panics with is its own business, unless it is the file.
func TestPanicInView(t *testing.T) {
	s := open(t, state.Options{})
	defer func() {
		if got := recover(); got != "mine" {
			t.Errorf("recovered %v, want what the function panicked with", got)
		}
		publish(t, s, record("a", 1))
		apply(t, s) // no lock is left behind
	}()
	s.View(func(*state.Reader) error { panic("mine") })
}

func TestErrorInView(t *testing.T) {
	s := open(t, state.Options{})
	want := errors.New("mine")
	if err := s.View(func(*state.Reader) error { return want }); err != want {
		t.Errorf("View returns %v, want what the function returned", err)
	}
}

// A file that is cut under an open store makes errors of what cannot be read any
// more, also where only the caller touches the octets, and also where bbolt is
// left with its locks held.
func TestFileCutWhileOpen(t *testing.T) {
	for _, size := range []int64{0, 4096, 8192, 20_000} {
		t.Run(fmt.Sprint(size), func(t *testing.T) { cutWhileOpen(t, size) })
	}
}

func cutWhileOpen(t *testing.T, size int64) {
	path := filepath.Join(t.TempDir(), "state.db")
	s, err := state.Open(path, state.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 2000 {
		publish(t, s, record(fmt.Sprintf("%04d", i), 1))
	}
	publish(t, s, state.Mutation{Table: state.Notes, Key: []byte("big"), Value: bytes.Repeat([]byte("x"), 64<<10)})
	apply(t, s)
	publish(t, s, record("new", 1))

	damaged := func(what string, err error) {
		t.Helper()
		var damage *state.DamageError
		if !errors.As(err, &damage) {
			t.Errorf("%s: %v, want a DamageError", what, err)
		}
	}
	damaged("reading what was cut off", s.View(func(r *state.Reader) error {
		v := r.Get(state.Notes, 1, []byte("big"))
		if err := os.Truncate(path, size); err != nil {
			return err
		}
		if bytes.Count(v, []byte("x")) == len(v) {
			t.Error("the octets can still be read")
		}
		return nil
	}))
	damaged("Get", s.View(func(r *state.Reader) error { get(r, "0001"); return nil }))
	for _, err := range s.Ascend(t.Context(), state.Records, 1, nil) {
		damaged("Ascend", err)
	}
	damaged("Check", s.Check(t.Context(), nil))
	damaged("the applier", s.Apply())
	damaged("Publish", s.Publish(t.Context(), state.Batch{Log: 1, Position: 1 << 20, At: 1 << 40, End: 1<<40 + 1}))
	done := make(chan error, 1)
	go func() { done <- s.Close() }()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Fatal("Close does not return")
	}
	if size < 8192 {
		return // the file stays locked
	}
	_, err = state.Open(path, state.Options{})
	damaged("Open", err)
}
