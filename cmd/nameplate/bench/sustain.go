//go:build linux

package bench

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/nameplate-id/nameplate/registry/identifier"
)

const (
	// sustainCallers is how many batches are under way at once, signers how many
	// goroutines sign them meanwhile.
	sustainCallers = 8
	signers        = 2
	// boltRows is how many rows bbolt gets in one transaction.
	boltRows = 10_000
)

// sustainOrdered registers signed batches over gRPC for a minute: longer than memory can
// take up what the state does not. Signing is part of it, and so is the time until the
// last row is in the state.
func (b *bench) sustainOrdered(ctx context.Context) error {
	r, err := b.newRemote(ctx, "sustain", b.folder("sustain"), nil)
	if err != nil {
		return err
	}
	defer r.stop()
	b.progress("sustain: batches of 1,000 in order")
	made, err := b.flood(ctx, r, &fresh{}, (*fresh).inOrder)
	if err != nil {
		return err
	}
	l := made.rate().line("sustain: signed batches of 1,000 over gRPC, in order", "rows/s")
	l.Note = fmt.Sprintf("for %v, signing and the state's last commit included", b.options.Sustained)
	return b.print(l, made.cpu("in order"), r.after("in order"))
}

// sustainScattered writes rows that lie anywhere among a million others, and has a bare
// bbolt write the same ones.
func (b *bench) sustainScattered(ctx context.Context) error {
	f := &fresh{}
	var base [][]identifier.Row
	all := f.scattered(int(b.data))
	for first := 0; first < len(all); first += batchRows {
		base = append(base, all[first:min(first+batchRows, len(all))])
	}
	b.progress("sustain: building a base of %d", len(all))
	r, err := b.newRemote(ctx, "sustain", b.folder("sustain-scattered"), base)
	if err != nil {
		return err
	}
	defer r.stop()
	b.progress("sustain: batches of 1,000 in random order")
	begin := *f
	made, err := b.flood(ctx, r, f, (*fresh).scattered)
	if err != nil {
		return err
	}
	l := made.rate().line(fmt.Sprintf("sustain: signed batches of 1,000 over gRPC, in random order, base of %d", len(all)), "rows/s")
	l.Note = fmt.Sprintf("for %v, signing and the state's last commit included; the peer: sorted batches of 10,000 of the same octets under the same keys", b.options.Sustained)
	var theirs series
	if b.compares("bbolt") {
		b.progress("sustain: bbolt, sorted batches of 10,000")
		rate, err := b.boltFlood(ctx, all, &begin)
		if err != nil {
			return err
		}
		theirs = series{rate}
	}
	return b.print(made.rate().against(l, "bbolt", theirs), made.cpu("in random order"), r.after("in random order"))
}

// flooded is what a node took in, and what it used for that.
type flooded struct {
	usage
	rows int
}

func (f *flooded) rate() series { return series{float64(f.rows) / f.took.Seconds()} }

func (f *flooded) cpu(order string) Line {
	l := series{micros(f.usage.cpu.all()) / float64(f.rows)}.line("sustain: cpu, "+order, "µs/row")
	l.Others = round(f.others)
	return l
}

// after returns how much memory the node has.
func (r *remote) after(order string) Line {
	return series{megabytes(r.memory().anonymous)}.line("sustain: anonymous memory afterwards, "+order, "MB")
}

// flood registers batches for as long as is asked for and waits until they are in the
// state.
func (b *bench) flood(ctx context.Context, r *remote, f *fresh, order func(*fresh, int) []identifier.Row) (flooded, error) {
	before := r.before
	used, err := r.during(func() error { return b.pour(ctx, r, f, order) })
	return flooded{usage: used, rows: r.before - before}, err
}

func (b *bench) pour(ctx context.Context, r *remote, f *fresh, order func(*fresh, int) []identifier.Row) error {
	began := time.Now()
	g, inner := errgroup.WithContext(ctx)
	unsigned, signed := make(chan []identifier.Row, 2*signers), make(chan *identifier.Change, 2*sustainCallers)
	g.Go(func() error {
		defer close(unsigned)
		for time.Since(began) < b.options.Sustained {
			select {
			case unsigned <- order(f, batchRows):
			case <-inner.Done():
				return context.Cause(inner)
			}
		}
		return nil
	})
	var signing errgroup.Group
	for range signers {
		signing.Go(func() error {
			for rows := range unsigned {
				c, err := r.sign(rows)
				if err != nil {
					return err
				}
				select {
				case signed <- c:
				case <-inner.Done():
					return context.Cause(inner)
				}
			}
			return nil
		})
	}
	g.Go(func() error {
		defer close(signed)
		return signing.Wait()
	})
	var done atomic.Int64
	for caller := range sustainCallers {
		g.Go(func() error {
			for c := range signed {
				if err := r.register(inner, caller, c); err != nil {
					return err
				}
				done.Add(int64(len(c.Rows)))
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	r.before += int(done.Load())
	return settled(ctx, r.before, r.status)
}

// boltFlood writes the same rows into a bare bbolt file with the same base.
func (b *bench) boltFlood(ctx context.Context, base []identifier.Row, f *fresh) (float64, error) {
	bolt, err := openBolt(b.folder("sustain.bolt"))
	if err != nil {
		return 0, err
	}
	defer bolt.close()
	for first := 0; first < len(base); first += boltRows {
		if err := bolt.put(base[first:min(first+boltRows, len(base))]); err != nil {
			return 0, err
		}
	}
	rows, began := 0, time.Now()
	for time.Since(began) < b.options.Sustained && ctx.Err() == nil {
		if err := bolt.put(f.scattered(boltRows)); err != nil {
			return 0, err
		}
		rows += boltRows
	}
	return float64(rows) / time.Since(began).Seconds(), context.Cause(ctx)
}
