package state_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nameplate-id/nameplate/registry/state"
)

// runApplier runs the applier until the test ends.
func runApplier(t testing.TB, s *state.Store) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run returns %v", err)
		}
	})
}

// The applier gathers until nothing comes for a while, or for long enough, or until there
// are enough rows, or until somebody waits.
func TestGather(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, state.Options{})
		runApplier(t, s)
		time.Sleep(time.Hour)
		synctest.Wait()
		publish(t, s, record("a", 1))
		time.Sleep(state.DefaultGather - time.Millisecond)
		synctest.Wait()
		if got := s.Applied(); got != 0 {
			t.Errorf("too early %d octets of journal are applied, want 0", got)
		}
		time.Sleep(2 * time.Millisecond)
		synctest.Wait()
		if got, want := s.Applied(), s.Published(); got != want {
			t.Errorf("afterwards %d octets of journal are applied, want %d", got, want)
		}

		// As long as more comes it gathers on.
		start, before := time.Now(), s.Applied()
		for i := 0; s.Applied() == before && time.Since(start) < time.Hour; i++ {
			publish(t, s, record(fmt.Sprint("one after the other ", i), 1))
			time.Sleep(state.DefaultGather - 10*time.Millisecond)
			synctest.Wait()
		}
		if got, least, most := time.Since(start), state.DefaultGatherMost, state.DefaultGatherMost+state.DefaultGather; got < least || got > most {
			t.Errorf("what comes one after the other is applied after %v, want %v to %v", got, least, most)
		}
		if err := s.WaitApplied(t.Context(), s.Published()); err != nil {
			t.Error(err)
		}

		start = time.Now()
		for i := range state.DefaultGatherRows {
			publish(t, s, record(fmt.Sprint(i), 1))
		}
		synctest.Wait()
		// What the store adds by itself counts too, so some of the last may wait for more.
		if got, want := s.Applied(), s.Published()/100*99; got < want {
			t.Errorf("after enough rows %d octets of journal are applied, want %d at least", got, want)
		}
		publish(t, s, record("b", 1))
		time.Sleep(99 * time.Millisecond)
		synctest.Wait()
		if s.Applied() == s.Published() {
			t.Error("the row behind them is applied at once")
		}
		if err := s.WaitApplied(t.Context(), s.Published()); err != nil {
			t.Error(err)
		}
		if got, want := time.Since(start), 99*time.Millisecond; got != want {
			t.Errorf("a row that was waited for is applied after %v, want %v", got, want)
		}
	})
}

// An applier that is started again goes on with what an earlier one left.
func TestRunAgain(t *testing.T) {
	s := open(t, state.Options{Gather: time.Hour})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- s.Run(ctx) }()
	publish(t, s, record("a", 1))
	time.Sleep(10 * time.Millisecond)
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	runApplier(t, s)
	patience, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := s.WaitApplied(patience, s.Published()); err != nil {
		t.Fatal(err)
	}
	if err := s.Run(t.Context()); err == nil {
		t.Error("a second applier runs beside the first")
	}
}

// At 64 MiB Publish waits, and so does WaitRoom; a call that gives up leaves
// nothing behind, and an applier makes room.
func TestLimit(t *testing.T) {
	s := open(t, state.Options{})
	value := content(1, strings.Repeat("x", 1<<20-100))
	rows := 0
	full := func() error {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		at := s.Published()
		return s.Publish(ctx, state.Batch{Log: 1, Position: uint64(rows + 1), At: at, End: at + 1, Mutations: []state.Mutation{{Table: state.Records, Key: fmt.Append(nil, rows), Value: value}}})
	}
	for {
		if err := full(); err != nil {
			if !errors.Is(err, state.ErrFull) || !errors.Is(err, context.DeadlineExceeded) {
				t.Fatalf("Publish: %v, want ErrFull for the deadline", err)
			}
			break
		}
		rows++
	}
	if rows < 64 || rows > 65 {
		t.Errorf("the overlay takes %d rows of 1 MiB, want 64 or 65", rows)
	}
	if got := s.Stats(); got.OverlayRows != rows+1 || got.OverlayBytes < state.DefaultLimit {
		t.Errorf("Stats() = %+v, want %d rows and a run", got, rows)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := s.WaitRoom(ctx); !errors.Is(err, state.ErrFull) {
		t.Errorf("WaitRoom: %v, want ErrFull", err)
	}
	if err := s.View(func(r *state.Reader) error {
		if r.Get(state.Records, 1, fmt.Append(nil, rows)) != nil {
			t.Error("the row that was refused is there")
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	waiting := make(chan error)
	go func() { waiting <- s.WaitRoom(context.Background()) }()
	runApplier(t, s)
	if err := <-waiting; err != nil {
		t.Errorf("WaitRoom: %v", err)
	}
	if err := full(); err != nil {
		t.Errorf("Publish after the applier made room: %v", err)
	}
}

// A commit that fails is final for writers. Readers go on.
func TestFailedCommit(t *testing.T) {
	s := open(t, state.Options{})
	publish(t, s, record("a", 1))
	apply(t, s)
	publish(t, s, record("b", 1))
	waiting := make(chan error)
	go func() { waiting <- s.WaitApplied(context.Background(), s.Published()) }()
	s.BreakFile()
	failed := s.Run(t.Context())
	if failed == nil {
		t.Fatal("Run returns nil though the file cannot be written")
	}
	if err := <-waiting; !errors.Is(err, failed) {
		t.Errorf("WaitApplied: %v, want %v", err, failed)
	}
	if err := s.Publish(t.Context(), state.Batch{At: 1 << 20, End: 1<<20 + 1}); !errors.Is(err, failed) {
		t.Errorf("Publish: %v, want %v", err, failed)
	}
	if err := s.WaitRoom(t.Context()); !errors.Is(err, failed) {
		t.Errorf("WaitRoom: %v, want %v", err, failed)
	}
	if err := s.Run(t.Context()); !errors.Is(err, failed) {
		t.Errorf("Run again: %v, want %v", err, failed)
	}
	if err := s.View(func(r *state.Reader) error {
		if get(r, "a") != 1 || get(r, "b") != 1 {
			t.Errorf("versions %d and %d, want 1 and 1", get(r, "a"), get(r, "b"))
		}
		return nil
	}); err != nil {
		t.Errorf("View: %v", err)
	}
}

// Close commits what is little and leaves what is much; everything ends.
func TestClose(t *testing.T) {
	for _, c := range []struct {
		rows    int
		applied bool
	}{{1, true}, {20_000, false}} { // and a run each
		path := filepath.Join(t.TempDir(), "state.db")
		s, err := state.Open(path, state.Options{Gather: time.Hour, GatherRows: 1 << 30, CommitRows: 1 << 30})
		if err != nil {
			t.Fatal(err)
		}
		running := make(chan error)
		go func() { running <- s.Run(context.Background()) }()
		b := state.Batch{Log: 1, Position: 1, At: 0, End: 5}
		for i := range c.rows {
			b.Mutations = append(b.Mutations, record(fmt.Sprint(i), 1))
		}
		if err := s.Publish(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		waiting := make(chan error, 1)
		if c.applied { // who waits makes the applier commit
			go func() { waiting <- s.WaitApplied(context.Background(), 6) }()
		} else {
			waiting <- state.ErrClosed
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if err := <-running; err != nil && !errors.Is(err, state.ErrClosed) { // it may not have begun
			t.Errorf("Run returns %v after Close", err)
		}
		if err := <-waiting; !errors.Is(err, state.ErrClosed) {
			t.Errorf("WaitApplied: %v, want ErrClosed", err)
		}
		for what, err := range map[string]error{
			"View":     s.View(func(*state.Reader) error { return nil }),
			"Publish":  s.Publish(t.Context(), b),
			"WaitRoom": s.WaitRoom(t.Context()),
			"Run":      s.Run(t.Context()),
			"Close":    s.Close(),
			"Check":    s.Check(t.Context(), nil),
			"Warm":     s.Warm(t.Context()),
		} {
			if !errors.Is(err, state.ErrClosed) {
				t.Errorf("%s after Close: %v, want ErrClosed", what, err)
			}
		}
		if s, err = state.Open(path, state.Options{}); err != nil {
			t.Fatal(err)
		}
		if got := s.Applied() == 5; got != c.applied {
			t.Errorf("Close committed %d rows: %v, want %v", c.rows, got, c.applied)
		}
		s.Close()
	}
}

// Batches that cannot be are refused whole.
func TestBadBatch(t *testing.T) {
	s := open(t, state.Options{})
	good := record("good", 1)
	for name, m := range map[string]state.Mutation{
		"no table":          {Key: []byte("k"), Value: []byte("v")},
		"runs":              {Table: state.Notes + 1, Key: []byte("k"), Value: []byte("v")},
		"unknown table":     {Table: 200, Key: []byte("k"), Value: []byte("v")},
		"key too long":      {Table: state.Notes, Key: make([]byte, state.MaxKey+1), Value: []byte("v")},
		"value too long":    {Table: state.Notes, Key: []byte("k"), Value: make([]byte, state.MaxValue+1)},
		"no version":        {Table: state.Records, Key: []byte("k"), Value: make([]byte, 8)},
		"removed record":    {Table: state.Records, Key: []byte("k")},
		"withdrawn note":    {Table: state.Notes, Key: []byte("k"), Value: []byte("v"), Withdrawn: true},
		"revoked, no value": {Table: state.Delegations, Key: []byte("k"), Withdrawn: true},
	} {
		if err := s.Publish(t.Context(), state.Batch{Log: 1, Position: 1, At: 0, End: 1, Mutations: []state.Mutation{good, m}}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	largest := state.Mutation{Table: state.Notes, Key: make([]byte, state.MaxKey), Value: make([]byte, state.MaxValue)}
	publish(t, s, largest)
	apply(t, s)
	if err := s.View(func(r *state.Reader) error {
		if get(r, "good") != 0 {
			t.Error("a row of a refused batch is there")
		}
		if got := len(r.Get(state.Notes, 1, largest.Key)); got != state.MaxValue {
			t.Errorf("the largest row comes back with %d octets", got)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if err := s.Check(t.Context(), nil); err != nil {
		t.Error(err)
	}
}
