package state_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/nameplate-id/nameplate/registry/state"
)

// A scan goes through many transactions, in the order of keys, from where it is
// told to, and through one log only.
func TestAscend(t *testing.T) {
	const n = 3000
	s := open(t, state.Options{})
	for log := range uint32(3) {
		b := state.Batch{Log: log, Position: 1, At: uint64(log), End: uint64(log) + 1}
		for i := range n {
			m := record(fmt.Sprintf("%04d", i), 1)
			m.Withdrawn = i%3 == 0
			b.Mutations = append(b.Mutations, m)
		}
		if err := s.Publish(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	if got := len(scan(t, s, "")); got != 0 {
		t.Errorf("a scan finds %d rows in the overlay, want 0", got)
	}
	apply(t, s)
	for _, from := range []int{0, 1, 511, 512, 2999, 3000} {
		got := scan(t, s, fmt.Sprintf("%04d", from))
		want := make([]string, 0, n)
		for i := from; i < n; i++ {
			want = append(want, fmt.Sprintf("%04d %v", i, i%3 == 0))
		}
		if !slices.Equal(got, want) {
			t.Errorf("from %d: %d rows, want %d", from, len(got), len(want))
		}
	}
}

func scan(t *testing.T, s *state.Store, from string) []string {
	t.Helper()
	var rows []string
	for r, err := range s.Ascend(t.Context(), state.Records, 1, []byte(from)) {
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, fmt.Sprintf("%s %v", r.Key, r.Withdrawn))
	}
	return rows
}

// The body of a scan may write, wait for what it wrote, and stop.
func TestAscendWhileWriting(t *testing.T) {
	s := open(t, state.Options{})
	runApplier(t, s)
	for i := range 2000 {
		publish(t, s, record(fmt.Sprintf("%04d", i), 1))
	}
	if err := s.WaitApplied(t.Context(), s.Published()); err != nil {
		t.Fatal(err)
	}
	seen := 0
	for r, err := range s.Ascend(t.Context(), state.Records, 1, nil) {
		if err != nil {
			t.Fatal(err)
		}
		if seen++; seen == 1500 {
			break
		}
		if seen%300 == 0 {
			publish(t, s, record(string(r.Key), 2), record(fmt.Sprintf("%s-%d", r.Key, seen), 1))
			if err := s.WaitApplied(t.Context(), s.Published()); err != nil {
				t.Fatal(err)
			}
		}
	}
	if seen != 1500 {
		t.Errorf("the scan gave %d rows, want 1500", seen)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	seen = 0
	for _, err := range s.Ascend(ctx, state.Records, 1, nil) {
		if err != nil {
			if !errors.Is(err, context.Canceled) {
				t.Errorf("a scan whose context ends gives %v", err)
			}
			break
		}
		seen++
		cancel()
	}
	if seen == 0 || seen > 1000 {
		t.Errorf("a scan whose context ends gives %d rows", seen)
	}
	if err := s.Warm(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Warm whose context has ended: %v", err)
	}
	if err := s.Warm(t.Context()); err != nil {
		t.Errorf("Warm: %v", err)
	}
}

// Check gives every row once and passes on what its visitor says.
func TestCheckVisits(t *testing.T) {
	s := open(t, state.Options{})
	publish(t, s, record("a", 1), state.Mutation{Table: state.Notes, Key: []byte("n"), Value: []byte("v")},
		state.Mutation{Table: state.Delegations, Key: []byte("d"), Value: content(1, ""), Withdrawn: true})
	apply(t, s)
	var got []string
	visit := func(table state.Table, log uint32, r state.Row) error {
		got = append(got, fmt.Sprintf("%v %d %s %v", table, log, r.Key, r.Withdrawn))
		return nil
	}
	if err := s.Check(t.Context(), visit); err != nil {
		t.Fatal(err)
	}
	if want := []string{"records 1 a false", "delegations 1 d true", "notes 1 n false"}; !slices.Equal(got, want) {
		t.Errorf("Check visits %q, want %q", got, want)
	}
	mine := errors.New("mine")
	if err := s.Check(t.Context(), func(state.Table, uint32, state.Row) error { return mine }); !errors.Is(err, mine) {
		t.Errorf("Check: %v, want what its visitor said", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Check(ctx, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("Check whose context has ended: %v", err)
	}
	done := make(chan error)
	go func() {
		done <- s.Check(context.Background(), func(state.Table, uint32, state.Row) error { time.Sleep(20 * time.Millisecond); return nil })
	}()
	time.Sleep(10 * time.Millisecond)
	if err := s.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	if err := <-done; err != nil && !errors.Is(err, state.ErrClosed) {
		t.Errorf("Check that Close interrupts: %v", err)
	}
}
