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
	// verified says that signatures are checked beforehand too, not timed.
	verified bool
	values   series
	rivals   []*rival
}

// rival is what a way to register is compared with: something else that writes the
// same rows in the same rounds.
type rival struct {
	name string
	note string
	// write writes for so long and returns how many rows were durable in a second; nil
	// where it is not installed.
	write  func(ctx context.Context, limit time.Duration) (float64, error)
	values series
}

func writings() []*writing {
	return []*writing{
		{name: "1 writer", callers: 1, rows: 1, order: (*fresh).scattered, guess: 8_000},
		{name: manyWriters, callers: 64, rows: 1, order: (*fresh).scattered, guess: 40_000},
		{name: "512 writers", callers: 512, rows: 1, order: (*fresh).scattered, guess: 40_000},
		{name: "batches of 1,000 in order", callers: 8, rows: batchRows, order: (*fresh).inOrder, guess: 200_000},
		{name: "batches of 1,000 in random order", callers: 8, rows: batchRows, order: (*fresh).scattered, guess: 200_000},
	}
}

// target is where changes are handed in.
type target struct {
	name string // of the figures
	*holder
	// register hands in a change, for one of the callers.
	register func(ctx context.Context, caller int, c *identifier.Change) error
	registry *registry.Registry // in this process; nil for one behind a wire
	status   func(context.Context) (registry.Status, error)
	before   int // identifiers that it has
}

// measure registers for so long, and returns how many rows were acknowledged in a
// second.
func (w *writing) measure(ctx context.Context, t *target, f *fresh, limit time.Duration) (float64, error) {
	calls, err := w.prepare(ctx, t, f, limit)
	if err != nil {
		return 0, err
	}
	var next, done atomic.Int64
	began := time.Now()
	g, ctx := errgroup.WithContext(ctx)
	for caller := range w.callers {
		g.Go(func() error {
			for time.Since(began) < limit {
				i := int(next.Add(1)) - 1
				if i >= len(calls) {
					return nil
				}
				if err := calls[i](ctx, caller); err != nil {
					return err
				}
				done.Add(1)
			}
			return nil
		})
	}
	err = g.Wait()
	rows := int(done.Load()) * w.rows
	t.before += rows
	return float64(rows) / time.Since(began).Seconds(), err
}

// prepare signs what a round needs, not more than half again what the last one took.
func (w *writing) prepare(ctx context.Context, t *target, f *fresh, limit time.Duration) ([]func(context.Context, int) error, error) {
	want := w.guess
	if len(w.values) > 0 {
		want = int(1.5 * slices.Max(w.values))
	}
	n := max(w.callers, int(float64(want)*limit.Seconds())/w.rows)
	all := make([][]identifier.Row, n)
	for i := range all {
		all[i] = w.order(f, w.rows)
	}
	changes, err := t.signAll(ctx, n, func(i int) []identifier.Row { return all[i] })
	if err != nil {
		return nil, err
	}
	calls := make([]func(context.Context, int) error, n)
	for i, c := range changes {
		if !w.verified {
			calls[i] = func(ctx context.Context, caller int) error { return t.register(ctx, caller, c) }
			continue
		}
		v, err := t.registry.Verify(ctx, c)
		if err != nil {
			return nil, err
		}
		calls[i] = func(ctx context.Context, _ int) error {
			_, err := t.registry.Log(ctx, v)
			return err
		}
	}
	return calls, nil
}

// registrations measures the registry in this process.
func (b *bench) registrations(ctx context.Context) error {
	l, err := newLocal(ctx, b.folder("registry"))
	if err != nil {
		return err
	}
	defer l.stop()
	bolt, err := openBolt(b.folder("rival.bolt"))
	if err != nil {
		return err
	}
	defer bolt.close()
	ways := writings()
	verified := &writing{name: verifiedWriters, callers: 64, rows: 1, order: (*fresh).scattered, guess: 60_000, verified: true}
	if b.compares("bbolt") {
		verified.rivals = []*rival{{name: "bbolt", note: "the peer: bbolt's own Batch, the same octets under the same keys", write: bolt.batch}}
	}
	ways = slices.Insert(ways, 2, verified)
	return b.registrationRounds(ctx, &target{
		name: "register", holder: &l.holder, registry: l.Registry, status: l.Status,
		register: func(ctx context.Context, _ int, c *identifier.Change) error {
			_, err := l.Register(ctx, c)
			return err
		},
	}, ways)
}

// registrationRounds measures every way to register in turn, what it is compared with,
// and the disk with them.
func (b *bench) registrationRounds(ctx context.Context, t *target, ways []*writing) error {
	d, err := openDisk(b.folder(""))
	if err != nil {
		return err
	}
	defer d.close()
	var overwrites, appends series
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
			b.progress("%s: %s", t.name, w.name)
			rate, err := w.measure(ctx, t, f, b.options.Round)
			if err != nil {
				return err
			}
			w.values = append(w.values, rate)
			if err := settled(ctx, t.before, t.status); err != nil {
				return err
			}
			if err := b.rivals(ctx, w); err != nil {
				return err
			}
		}
	}
	if err := b.print(overwrites.line("disk: overwrite 4 KiB and fdatasync", "1/s"), appends.line("disk: append 4 KiB and fsync", "1/s")); err != nil {
		return err
	}
	for _, w := range ways {
		if err := b.printWriting(t.name, w, overwrites); err != nil {
			return err
		}
	}
	return nil
}

// rivals lets everything that a way to register is compared with have its turn.
func (b *bench) rivals(ctx context.Context, w *writing) error {
	for _, r := range w.rivals {
		if r.write == nil {
			continue
		}
		b.progress("%s: %s", w.name, r.name)
		rate, err := r.write(ctx, b.options.Round)
		if err != nil {
			return err
		}
		r.values = append(r.values, rate)
	}
	return nil
}

func (b *bench) printWriting(name string, w *writing, syncs series) error {
	line := func() Line { return w.values.line(name+": "+w.name, "rows/s") }
	if err := b.print(w.values.against(line(), "disk: overwrite 4 KiB, fdatasync", syncs)); err != nil {
		return err
	}
	for _, r := range w.rivals {
		l := w.values.against(line(), r.name, r.values)
		l.Note = r.note
		if err := b.print(l); err != nil {
			return err
		}
	}
	return nil
}
