package state_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/nameplate-id/nameplate/registry/state"
)

// What one view finds for many keys one after the other, in order or not, is what a view of
// its own finds for each: of live and withdrawn rows, of rows that are not committed yet, and
// of none, among which a reader remembers where there is nothing.
func TestGaps(t *testing.T) {
	t.Parallel()
	for seed := range uint64(30) {
		r := rand.New(rand.NewPCG(seed, 3))
		s := open(t, state.Options{Gather: time.Hour, CommitRows: 40, CheckRow: func(state.Table, state.Row) error { return nil }})
		const names = 300
		name := func(i int) string { return fmt.Sprintf("%03d", i) }
		version := make([]uint64, names)
		put := func(some int) {
			var m []state.Mutation
			for i := range names {
				if r.IntN(some) > 0 {
					continue
				}
				version[i]++
				row := record(name(i), version[i])
				row.Withdrawn = version[i] > 1 && r.IntN(3) == 0
				m = append(m, row)
			}
			if m != nil {
				publish(t, s, m...)
			}
		}
		put(1 + r.IntN(40))
		put(1 + r.IntN(10))
		apply(t, s)
		for range r.IntN(4) {
			put(1 + r.IntN(20)) // in the overlay, in several generations
		}
		var keys []string
		for range 2 * names {
			keys = append(keys, name(r.IntN(names))+[]string{"", "", "x"}[r.IntN(3)])
		}
		for _, way := range []func([]string){slices.Sort[[]string], func(k []string) { slices.Sort(k); slices.Reverse(k) }, func(k []string) { r.Shuffle(len(k), func(i, j int) { k[i], k[j] = k[j], k[i] }) }} {
			way(keys)
			err := s.View(func(all *state.Reader) error {
				for _, key := range keys {
					got := all.Get(state.Records, 1, []byte(key))
					if r.IntN(10) == 0 { // something else in between
						all.Get(state.Records, 2, []byte(key))
						all.Get(state.Notes, 1, []byte(key))
						all.Live(state.Records, 1, []byte(name(r.IntN(names))))
					}
					err := s.View(func(one *state.Reader) error {
						if want := one.Get(state.Records, 1, []byte(key)); !bytes.Equal(got, want) {
							t.Errorf("seed %d, %s: got %q; want %q", seed, key, got, want)
						}
						return nil
					})
					if err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
}
