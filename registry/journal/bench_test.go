package journal_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/nameplate-id/nameplate/registry/journal"
)

// benchPayload is what an entry with one row takes, about.
const benchPayload = 232 - 21

// diskRate returns how many overwrites of 4 KiB this disk syncs in a second, one
// after another, in a preallocated file: what every other figure is compared with.
func diskRate(b *testing.B, dir string) float64 {
	b.Helper()
	f, err := journal.Disk{}.Create(filepath.Join(dir, "floor"))
	if err != nil {
		b.Fatal(err)
	}
	defer os.Remove(filepath.Join(dir, "floor"))
	defer f.Close()
	const size = 64 << 20
	block := make([]byte, 4<<10)
	if err := f.Allocate(0, size); err != nil {
		b.Fatal(err)
	}
	begin, n := time.Now(), 0
	for ; time.Since(begin) < time.Second; n++ {
		if _, err := f.WriteAt(block, int64(n)*int64(len(block))%size); err != nil {
			b.Fatal(err)
		}
		if err := f.Sync(); err != nil {
			b.Fatal(err)
		}
	}
	return float64(n) / time.Since(begin).Seconds()
}

// BenchmarkAppend lets callers append, each waiting for its frame to be synced
// before the next, and compares with the disk's own rate in the same run.
func BenchmarkAppend(b *testing.B) {
	for _, callers := range []int{1, 64, 512} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			dir := b.TempDir()
			floor := diskRate(b, dir)
			j, err := journal.Open(filepath.Join(dir, "journal"), 0, journal.Options{})
			if err != nil {
				b.Fatal(err)
			}
			defer j.Close()
			payload := make([]byte, benchPayload)
			b.ReportAllocs()
			b.ResetTimer()
			var running sync.WaitGroup
			for c := range callers {
				running.Go(func() {
					done := make(chan struct{}, 1)
					synced := func(_, _ journal.Offset) { done <- struct{}{} }
					for i := c; i < b.N; i += callers {
						appendOne(b, j, payload, synced)
						<-done
					}
				})
			}
			running.Wait()
			b.StopTimer()
			rate := float64(b.N) / b.Elapsed().Seconds()
			b.ReportMetric(rate, "frames/s")
			b.ReportMetric(floor, "disk-syncs/s")
			b.ReportMetric(rate/floor, "ratio")
		})
	}
}

func appendOne(b *testing.B, j *journal.Journal, payload []byte, synced func(at, end journal.Offset)) {
	f := journal.Frame{Kind: journal.KindEntry, Payload: payload}
	for {
		err := j.Append(f, synced)
		if err == nil {
			return
		}
		if !errors.Is(err, journal.ErrBusy) {
			b.Error(err)
			return
		}
		if err := j.Wait(context.Background(), len(payload)); err != nil {
			b.Error(err)
			return
		}
	}
}

// BenchmarkReplay opens a journal of a million entries from its beginning, and
// reads it.
func BenchmarkReplay(b *testing.B) {
	dir := b.TempDir()
	j, err := journal.Open(dir, 0, journal.Options{})
	if err != nil {
		b.Fatal(err)
	}
	payload := make([]byte, benchPayload)
	for range 1_000_000 {
		appendOne(b, j, payload, nil)
	}
	if err := j.Close(); err != nil {
		b.Fatal(err)
	}
	octets := int64(j.Synced())
	b.Run("open", func(b *testing.B) {
		b.SetBytes(octets)
		for b.Loop() {
			j, err := journal.Open(dir, 0, journal.Options{})
			if err != nil {
				b.Fatal(err)
			}
			j.Close()
		}
	})
	b.Run("open-end", func(b *testing.B) {
		for b.Loop() {
			j, err := journal.Open(dir, journal.Offset(octets), journal.Options{})
			if err != nil {
				b.Fatal(err)
			}
			j.Close()
		}
	})
	b.Run("scan", func(b *testing.B) {
		j, err := journal.Open(dir, journal.Offset(octets), journal.Options{})
		if err != nil {
			b.Fatal(err)
		}
		defer j.Close()
		b.SetBytes(octets)
		for b.Loop() {
			n := 0
			for _, err := range j.Scan(0, j.Synced()) {
				if err != nil {
					b.Fatal(err)
				}
				n++
			}
			if n != 1_000_000 {
				b.Fatalf("got %d frames", n)
			}
		}
	})
	b.Run("read", func(b *testing.B) {
		j, err := journal.Open(dir, journal.Offset(octets), journal.Options{})
		if err != nil {
			b.Fatal(err)
		}
		defer j.Close()
		at := journal.Offset(0)
		for b.Loop() {
			_, end, err := j.Read(at)
			if err != nil {
				at = 0
				continue
			}
			at = end
		}
	})
}
