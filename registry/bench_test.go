package registry_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nameplate-id/nameplate/registry"
	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/journal"
)

// Every figure stands beside what the disk can do in the same run: how often it syncs
// one write of 4 KiB after the other.

// BenchmarkRegister registers single identifiers, signed beforehand, from so many
// callers at a time, in scattered order. An operation is one that is acknowledged.
func BenchmarkRegister(b *testing.B) {
	for _, callers := range []int{1, 64, 512} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			n := openNode(b, registry.Config{Folder: b.TempDir(), Journal: journal.Options{SegmentSize: journal.DefaultSegmentSize}})
			holder, d := maker(b, n)
			order := rand.New(rand.NewPCG(1, 2)).Perm(b.N)
			changes := make([]*identifier.Change, b.N)
			parallel(b, 2, b.N, func(i int) {
				changes[i] = signed(b, holder, d, put(identifier.ID{Prefix: "88.118", Suffix: fmt.Sprintf("sn-%09d", order[i])}, nil, link("https://maker.example/product/4711")))
			})
			b.ResetTimer()
			parallel(b, callers, b.N, func(i int) {
				if _, err := n.Register(b.Context(), changes[i]); err != nil {
					b.Error(err)
				}
			})
			b.StopTimer()
			report(b, n, 1)
		})
	}
}

// BenchmarkLog logs single identifiers, verified beforehand, from 64 callers.
func BenchmarkLog(b *testing.B) {
	n := openNode(b, registry.Config{Folder: b.TempDir(), Journal: journal.Options{SegmentSize: journal.DefaultSegmentSize}})
	holder, d := maker(b, n)
	order := rand.New(rand.NewPCG(1, 2)).Perm(b.N)
	changes := make([]*registry.Verified, b.N)
	parallel(b, 2, b.N, func(i int) {
		var err error
		changes[i], err = n.Verify(b.Context(), signed(b, holder, d, put(identifier.ID{Prefix: "88.118", Suffix: fmt.Sprintf("sn-%09d", order[i])}, nil, link("https://maker.example/product/4711"))))
		if err != nil {
			b.Error(err)
		}
	})
	b.ResetTimer()
	parallel(b, 64, b.N, func(i int) {
		if _, err := n.Log(b.Context(), changes[i]); err != nil {
			b.Error(err)
		}
	})
	b.StopTimer()
	report(b, n, 1)
}

// BenchmarkBatch registers changes of 1,000 rows, signed beforehand, from four callers.
// An operation is one change.
func BenchmarkBatch(b *testing.B) {
	const rows = 1000
	for _, scattered := range []bool{false, true} {
		name := "ordered"
		if scattered {
			name = "scattered"
		}
		b.Run(name, func(b *testing.B) {
			n := openNode(b, registry.Config{Folder: b.TempDir(), Journal: journal.Options{SegmentSize: journal.DefaultSegmentSize}})
			holder, d := maker(b, n)
			serials := make([]int, b.N*rows)
			for i := range serials {
				serials[i] = i
			}
			if scattered {
				rand.New(rand.NewPCG(1, 2)).Shuffle(len(serials), func(i, j int) { serials[i], serials[j] = serials[j], serials[i] })
			}
			changes := make([]*identifier.Change, b.N)
			parallel(b, 2, b.N, func(i int) {
				mine := serials[i*rows : (i+1)*rows]
				slices.Sort(mine)
				var batch []identifier.Row
				for _, serial := range mine {
					batch = append(batch, put(identifier.ID{Prefix: "88.118", Suffix: fmt.Sprintf("sn-%09d", serial)}, nil, link("https://maker.example/product/4711")))
				}
				changes[i] = signed(b, holder, d, batch...)
			})
			b.ResetTimer()
			parallel(b, 4, b.N, func(i int) {
				if _, err := n.Register(b.Context(), changes[i]); err != nil {
					b.Error(err)
				}
			})
			b.StopTimer()
			report(b, n, rows)
		})
	}
}

// BenchmarkFind finds records among a hundred thousand, all of them applied, and looks
// for some that are not there.
func BenchmarkFind(b *testing.B) {
	n := openNode(b, registry.Config{Folder: b.TempDir(), Journal: journal.Options{SegmentSize: journal.DefaultSegmentSize}})
	holder, d := maker(b, n)
	const records = 100_000
	ids := make([]identifier.ID, records)
	for i := range ids {
		ids[i] = identifier.ID{Prefix: "88.118", Suffix: fmt.Sprintf("sn-%09d", i)}
	}
	for batch := range slices.Chunk(ids, 1000) {
		var rows []identifier.Row
		for _, id := range batch {
			rows = append(rows, put(id, nil, link("https://maker.example/product/4711")))
		}
		n.mustRegister(signed(b, holder, d, rows...))
	}
	n.status()
	for _, there := range []bool{true, false} {
		b.Run(fmt.Sprintf("there=%v", there), func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				random := rand.New(rand.NewPCG(3, 4))
				for pb.Next() {
					id := ids[random.IntN(records)]
					if !there {
						id.Suffix += "x"
					}
					f, err := n.Find(context.Background(), id)
					if err != nil || (f.Record != nil) != there {
						b.Error(f, err)
					}
				}
			})
		})
	}
}

// parallel calls f with 0 to n-1 from so many goroutines.
func parallel(b *testing.B, goroutines, n int, f func(i int)) {
	var next atomic.Int64
	var working sync.WaitGroup
	for range goroutines {
		working.Go(func() {
			for i := int(next.Add(1)) - 1; i < n && !b.Failed(); i = int(next.Add(1)) - 1 {
				f(i)
			}
		})
	}
	working.Wait()
}

// report adds identifiers per second, and the syncs per second of the disk.
func report(b *testing.B, n *node, rows int) {
	b.ReportMetric(float64(rows*b.N)/b.Elapsed().Seconds(), "ids/s")
	b.ReportMetric(syncRate(b, n.config.Folder), "disk-syncs/s")
}

// syncRate returns how often in a second the disk of a folder syncs a write of 4 KiB
// into a file that has its room already.
func syncRate(b *testing.B, folder string) float64 {
	const size = 4 << 20
	f, err := journal.Disk{}.Create(filepath.Join(folder, "syncs"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	if err := f.Allocate(0, size); err != nil {
		b.Fatal(err)
	}
	block := make([]byte, 4096)
	started, syncs := time.Now(), 0
	for ; time.Since(started) < 500*time.Millisecond; syncs++ {
		if _, err := f.WriteAt(block, int64(syncs)*4096%size); err != nil {
			b.Fatal(err)
		}
		if err := f.Sync(); err != nil {
			b.Fatal(err)
		}
	}
	return float64(syncs) / time.Since(started).Seconds()
}
