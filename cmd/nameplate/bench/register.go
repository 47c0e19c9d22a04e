//go:build linux

package bench

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/nameplate-id/nameplate/registry"
	"github.com/nameplate-id/nameplate/registry/identifier"
)

// batchRows is how many rows a batch has.
const batchRows = 1000

func sortRows(rows []identifier.Row) {
	slices.SortFunc(rows, func(a, b identifier.Row) int { return identifier.Compare(a.ID, b.ID) })
}

// writing is one way to register: so many callers at once, each with so many rows in
// a change.
type writing struct {
	name    string
	callers int
	rows    int
	order   func(*fresh, int) []identifier.Row
	guess   int // rows a second, to sign enough beforehand
	values  series
}

func writings() []*writing {
	return []*writing{
		{name: "1 writer", callers: 1, rows: 1, order: (*fresh).scattered, guess: 8_000},
		{name: "64 writers", callers: 64, rows: 1, order: (*fresh).scattered, guess: 40_000},
		{name: "512 writers", callers: 512, rows: 1, order: (*fresh).scattered, guess: 40_000},
		{name: "batches of 1,000 in order", callers: 8, rows: batchRows, order: (*fresh).inOrder, guess: 200_000},
		{name: "batches of 1,000 in random order", callers: 8, rows: batchRows, order: (*fresh).scattered, guess: 200_000},
	}
}

// measure registers for so long, and returns how many rows were acknowledged.
func (w *writing) measure(ctx context.Context, h *holder, f *fresh, limit time.Duration, through func(caller int) func(context.Context, *identifier.Change) error) (rows int, took time.Duration, err error) {
	// What a round needs is signed before it, not more than half again what the last
	// one took.
	want := w.guess
	if len(w.values) > 0 {
		want = int(1.5 * slices.Max(w.values))
	}
	n := max(w.callers, int(float64(want)*limit.Seconds())/w.rows)
	all := make([][]identifier.Row, n)
	for i := range all {
		all[i] = w.order(f, w.rows)
	}
	changes, err := h.signAll(ctx, n, func(i int) []identifier.Row { return all[i] })
	if err != nil {
		return 0, 0, err
	}
	var next, done atomic.Int64
	began := time.Now()
	g, ctx := errgroup.WithContext(ctx)
	for caller := range w.callers {
		register := through(caller)
		g.Go(func() error {
			for time.Since(began) < limit {
				i := int(next.Add(1)) - 1
				if i >= n {
					return nil
				}
				if err := register(ctx, changes[i]); err != nil {
					return err
				}
				done.Add(1)
			}
			return nil
		})
	}
	err = g.Wait()
	return int(done.Load()) * w.rows, time.Since(began), err
}

// registrations measures the registry in this process.
func (b *bench) registrations(ctx context.Context) error {
	folder := b.folder("registry")
	l, err := newLocal(ctx, folder)
	if err != nil {
		return err
	}
	err = b.registrationRounds(ctx, "register", &l.holder, func(int) func(context.Context, *identifier.Change) error {
		return func(ctx context.Context, c *identifier.Change) error {
			_, err := l.Register(ctx, c)
			return err
		}
	}, 0, l.Status)
	if stopped := l.stop(); err == nil {
		err = stopped
	}
	return err
}

// registrationRounds measures every way to register in turn, and the disk with them.
// through is how a caller hands in a change; before is how many identifiers there are.
func (b *bench) registrationRounds(ctx context.Context, name string, h *holder, through func(caller int) func(context.Context, *identifier.Change) error, before int, status func(context.Context) (registry.Status, error)) error {
	d, err := openDisk(b.folder(""))
	if err != nil {
		return err
	}
	defer d.close()
	var overwrites, appends series
	ways := writings()
	f := &fresh{}
	for range b.options.Rounds {
		rate, err := d.overwrites(b.options.Round / 2)
		if err != nil {
			return err
		}
		overwrites = append(overwrites, rate)
		if rate, err = d.appends(b.options.Round / 2); err != nil {
			return err
		}
		appends = append(appends, rate)
		for _, w := range ways {
			b.progress("%s: %s", name, w.name)
			rows, took, err := w.measure(ctx, h, f, b.options.Round, through)
			if err != nil {
				return err
			}
			w.values = append(w.values, float64(rows)/took.Seconds())
			before += rows
			if err := settled(ctx, before, status); err != nil {
				return err
			}
		}
	}
	const syncs = "disk: overwrite 4 KiB, fdatasync"
	if err := b.print(overwrites.line("disk: overwrite 4 KiB and fdatasync", "1/s"), appends.line("disk: append 4 KiB and fsync", "1/s")); err != nil {
		return err
	}
	for _, w := range ways {
		if err := b.print(w.values.against(w.values.line(name+": "+w.name, "rows/s"), syncs, overwrites)); err != nil {
			return err
		}
	}
	return nil
}
