package state_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/nameplate-id/nameplate/registry/state"
)

// The work of the benchmarks: keys of 20 octets below a few prefixes, values of
// 200.
const (
	benchRows  = 1_000_000
	benchValue = 200
)

func benchKey(i int) []byte { return fmt.Appendf(nil, "88\x00118\x00%c\x00\x01%09d", 'a'+i%8, i) }

func benchContent(version, i int) []byte {
	v := make([]byte, benchValue)
	v[0] = 1
	binary.BigEndian.PutUint64(v[1:], uint64(version))
	rand.NewChaCha8([32]byte{byte(i), byte(i >> 8), byte(i >> 16)}).Read(v[9:])
	return v
}

// load publishes rows in the given order, rowsPerBatch at a time, while the
// applier runs, and returns how long it took until all were committed.
func load(tb testing.TB, s *state.Store, order []int, version, rowsPerBatch int) time.Duration {
	tb.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	batches := make([]state.Batch, 0, len(order)/rowsPerBatch+1)
	at, position := s.Published(), s.Positions()[1]
	for rows := range slices.Chunk(order, rowsPerBatch) {
		position++
		b := state.Batch{Log: 1, Position: position, At: at, End: at + 1}
		for _, i := range rows {
			b.Mutations = append(b.Mutations, state.Mutation{Table: state.Records, Key: benchKey(i), Value: benchContent(version, i)})
			b.End += 300
		}
		at = b.End
		batches = append(batches, b)
	}
	start := time.Now()
	for _, b := range batches {
		if err := s.Publish(ctx, b); err != nil {
			tb.Fatal(err)
		}
	}
	if err := s.WaitApplied(ctx, at); err != nil {
		tb.Fatal(err)
	}
	took := time.Since(start)
	cancel()
	if err := <-done; err != nil {
		tb.Fatal(err)
	}
	return took
}

func ascending(n int) []int {
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return slices.Compare(benchKey(a), benchKey(b)) })
	return order
}

func scattered(n int) []int { return rand.New(rand.NewPCG(1, 2)).Perm(n) }

func openBench(tb testing.TB) *state.Store {
	tb.Helper()
	s, err := state.Open(filepath.Join(tb.TempDir(), "state.db"), state.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { s.Close() })
	return s
}

// BenchmarkRead measures questions to a million rows.
func BenchmarkRead(b *testing.B) {
	s := openBench(b)
	load(b, s, ascending(benchRows), 1, 1000)
	keys := make([][]byte, 1<<16)
	for i := range keys {
		keys[i] = benchKey(rand.IntN(benchRows))
	}
	view := func(b *testing.B, f func(*state.Reader) error) {
		if err := s.View(f); err != nil {
			b.Fatal(err)
		}
	}
	run := func(b *testing.B) {
		b.Run("view", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				view(b, func(r *state.Reader) error { return nil })
			}
		})
		b.Run("get", func(b *testing.B) {
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				view(b, func(r *state.Reader) error {
					if r.Get(state.Records, 1, keys[i%len(keys)]) == nil {
						b.Fatal("a row is missing")
					}
					return nil
				})
				i++
			}
		})
		b.Run("get-in-long-view", func(b *testing.B) {
			view(b, func(r *state.Reader) error {
				i := 0
				for b.Loop() {
					r.Get(state.Records, 1, keys[i%len(keys)])
					i++
				}
				return nil
			})
		})
		b.Run("get-parallel", func(b *testing.B) {
			b.RunParallel(func(p *testing.PB) {
				i := rand.IntN(len(keys))
				for p.Next() {
					view(b, func(r *state.Reader) error { r.Get(state.Records, 1, keys[i%len(keys)]); return nil })
					i++
				}
			})
		})
		b.Run("absent", func(b *testing.B) {
			for b.Loop() {
				view(b, func(r *state.Reader) error { r.Get(state.Records, 1, []byte("88\x00118\x00b\x00\x01none")); return nil })
			}
		})
		b.Run("any-with-prefix", func(b *testing.B) {
			for b.Loop() {
				view(b, func(r *state.Reader) error {
					r.AnyWithPrefix(state.Records, 1, []byte("88\x00118\x00"))
					return nil
				})
			}
		})
	}
	b.Run("overlay=empty", run)
	path := filepath.Join(b.TempDir(), "plain.db")
	plain(b, path, ascending(benchRows))
	b.Run("bbolt alone/get", func(b *testing.B) {
		db, err := bbolt.Open(path, 0o600, &bbolt.Options{FreelistType: bbolt.FreelistMapType})
		if err != nil {
			b.Fatal(err)
		}
		defer db.Close()
		i := 0
		for b.Loop() {
			err := db.View(func(tx *bbolt.Tx) error {
				if tx.Bucket([]byte("rows")).Get(keys[i%len(keys)]) == nil {
					b.Fatal("a row is missing")
				}
				return nil
			})
			if err != nil {
				b.Fatal(err)
			}
			i++
		}
	})
	at, position := s.Published(), s.Positions()[1]
	for i := 0; s.Stats().OverlayBytes < state.DefaultLimit/2; i++ {
		position++
		err := s.Publish(b.Context(), state.Batch{Log: 1, Position: position, At: at, End: at + 1, Mutations: []state.Mutation{
			{Table: state.Records, Key: benchKey(i * 7 % benchRows), Value: benchContent(2, i)}}})
		if err != nil {
			b.Fatal(err)
		}
		at++
	}
	b.Run("overlay=half", run)
}

// BenchmarkAnyWithPrefixDead asks for a prefix all of whose rows are withdrawn.
func BenchmarkAnyWithPrefixDead(b *testing.B) {
	const n = 100_000
	s := openBench(b)
	load(b, s, ascending(n), 1, 1000)
	at, position := s.Published(), s.Positions()[1]
	batch := state.Batch{Log: 1, Position: position + 1, At: at, End: at + 1}
	for i := range n {
		batch.Mutations = append(batch.Mutations, state.Mutation{Table: state.Records, Key: benchKey(i), Value: benchContent(2, i)[:100], Withdrawn: true})
	}
	if err := s.Publish(b.Context(), batch); err != nil {
		b.Fatal(err)
	}
	ask := func(b *testing.B) {
		for b.Loop() {
			if err := s.View(func(r *state.Reader) error {
				if r.AnyWithPrefix(state.Records, 1, []byte("88\x00")) {
					b.Fatal("a withdrawn row is there")
				}
				return nil
			}); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.Run("pending", ask)
	load(b, s, nil, 2, 1)
	b.Run("committed", ask)
}

// BenchmarkPublish measures publishing alone.
func BenchmarkPublish(b *testing.B) {
	for _, rows := range []int{1, 100, 1000} {
		b.Run(fmt.Sprintf("rows=%d", rows), func(b *testing.B) {
			s := openBench(b)
			ctx, cancel := context.WithCancel(context.Background())
			done := make(chan error, 1)
			go func() { done <- s.Run(ctx) }()
			order := scattered(benchRows)
			value := benchContent(1, 1)
			i, at := 0, uint64(0)
			b.ReportAllocs()
			for b.Loop() {
				batch := state.Batch{Log: 1, At: at, End: at + 300, Mutations: make([]state.Mutation, rows)}
				for k := range batch.Mutations {
					batch.Mutations[k] = state.Mutation{Table: state.Records, Key: benchKey(order[i%len(order)]), Value: value}
					i++
				}
				if err := s.Publish(ctx, batch); err != nil {
					b.Fatal(err)
				}
				at += 300
			}
			b.ReportMetric(float64(b.N*rows)/b.Elapsed().Seconds(), "rows/s")
			cancel()
			<-done
		})
	}
}

// BenchmarkApply measures how fast rows get from Publish into the file, and what
// they take there, beside bbolt's own sorted batches of 2,000 rows doing the same in
// the same run: new rows in order, new rows in any order, and new values for rows in
// any order among a million.
func BenchmarkApply(b *testing.B) {
	const n = 200_000
	for _, c := range []struct {
		name   string
		before []int
		rows   []int
	}{
		{"ordered", nil, ascending(n)},
		{"scattered", nil, scattered(n)},
		{"updates", ascending(benchRows), scattered(benchRows)[:n/4]},
	} {
		b.Run(c.name, func(b *testing.B) {
			for range b.N {
				path := filepath.Join(b.TempDir(), "state.db")
				s, err := state.Open(path, state.Options{})
				if err != nil {
					b.Fatal(err)
				}
				load(b, s, c.before, 1, 1000)
				took := load(b, s, c.rows, 2, 100)
				all := float64(max(len(c.before), len(c.rows)))
				b.ReportMetric(float64(len(c.rows))/took.Seconds(), "rows/s")
				b.ReportMetric(float64(s.Stats().FileBytes)/all, "octets/row")
				s.Close()
				p, err := state.PagesOf(path, state.Records)
				if err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(float64(len(p.Leaves)+len(p.Branches))*4096/all, "used-octets/row")

				path = filepath.Join(b.TempDir(), "plain.db")
				plain(b, path, c.before)
				rate := plain(b, path, c.rows)
				b.ReportMetric(rate, "bbolt-rows/s")
				info, err := os.Stat(path)
				if err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(float64(info.Size())/all, "bbolt-octets/row")
			}
		})
	}
}

// plain puts the rows with bbolt alone and returns how many a second.
func plain(b *testing.B, path string, order []int) float64 {
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{FreelistType: bbolt.FreelistMapType})
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	values := make([][]byte, len(order))
	for i := range order {
		values[i] = benchContent(1, order[i])
	}
	start := time.Now()
	n := 0
	for rows := range slices.Chunk(order, state.DefaultGatherRows) {
		sorted := make([][2][]byte, len(rows))
		for i := range rows {
			sorted[i] = [2][]byte{benchKey(rows[i]), values[n]}
			n++
		}
		slices.SortFunc(sorted, func(a, b [2][]byte) int { return slices.Compare(a[0], b[0]) })
		err := db.Update(func(tx *bbolt.Tx) error {
			bucket, err := tx.CreateBucketIfNotExists([]byte("rows"))
			if err != nil {
				return err
			}
			for _, r := range sorted {
				if err := bucket.Put(r[0], r[1]); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	return float64(len(order)) / time.Since(start).Seconds()
}

// BenchmarkFile measures what is done with a whole file of a million rows.
func BenchmarkFile(b *testing.B) {
	path := filepath.Join(b.TempDir(), "state.db")
	s, err := state.Open(path, state.Options{})
	if err != nil {
		b.Fatal(err)
	}
	load(b, s, ascending(benchRows), 1, 1000)
	b.Run("check", func(b *testing.B) {
		for b.Loop() {
			if err := s.Check(b.Context(), nil); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("warm", func(b *testing.B) {
		for b.Loop() {
			if err := s.Warm(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("ascend", func(b *testing.B) {
		for b.Loop() {
			for _, err := range s.Ascend(b.Context(), state.Records, 1, nil) {
				if err != nil {
					b.Fatal(err)
				}
			}
		}
	})
	s.Close()
	b.Run("open", func(b *testing.B) {
		for b.Loop() {
			s, err := state.Open(path, state.Options{})
			if err != nil {
				b.Fatal(err)
			}
			s.Close()
		}
	})
}
