package registry_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/replica"
)

// copied is how many identifiers BenchmarkFirstCopy gives a child, in changes of 1,000.
const copied = 1_000_000

// BenchmarkFirstCopy measures how fast a parent takes in the log of a child that has a
// million identifiers: read from the child's journal, every root, signature and row
// checked, synced, and in the state at the end. Both registries are in this process and
// on one disk; the stream between them is left out.
//
//	go test ./registry -run '^$' -bench FirstCopy -benchtime 1x
func BenchmarkFirstCopy(b *testing.B) {
	for range b.N {
		b.StopTimer()
		f := newFamily(b)
		for first := 0; first < copied; first += 1000 {
			rows := make([]identifier.Row, 1000)
			for i := range rows {
				text := fmt.Sprintf("88.118/sn-%09d", first+i)
				rows[i] = put(mustID(b, text), nil, link("https://maker.example/products/by/serial/number/of/about/a/hundred/octets/in/all/for/each/one/"+text[7:]))
			}
			f.child.mustRegister(signed(b, f.holder, f.delegation, rows...))
		}
		b.StartTimer()
		began := time.Now()
		f.copyAll(256, 1<<20)
		durable := time.Since(began)
		if err := f.parent.WaitApplied(b.Context()); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(copied/durable.Seconds(), "rows/s")
		b.ReportMetric(copied/time.Since(began).Seconds(), "rows-applied/s")
		b.ReportMetric(float64(f.size)/durable.Seconds(), "entries/s")
	}
}

// copyAll brings the mirror up to the child's log as a stream would: without waiting for
// one sync before the next unit.
func (f *family) copyAll(entries, octets int) {
	t := f.parent.t
	t.Helper()
	source := f.child.Source()
	tip, _ := source.Growth()
	synced := make(chan struct{}, 1<<16)
	units := 0
	for f.size < tip {
		payloads, err := source.Entries(f.size, entries, octets)
		if err != nil {
			t.Fatal(err)
		}
		u := &replica.Unit{Start: f.size, Payloads: payloads}
		if u.Checkpoint, u.Root, err = source.SignCheckpoint(u.End()); err != nil {
			t.Fatal(err)
		}
		if err := f.mirror.Append(context.Background(), u, func() { synced <- struct{}{} }); err != nil {
			t.Fatal(err)
		}
		f.size = u.End()
		units++
	}
	for range units {
		<-synced
	}
}
