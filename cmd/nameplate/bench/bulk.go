//go:build linux

package bench

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/nameplate-id/nameplate/registry/identifier"
)

// builders is how many batches are signed and registered at once.
const builders = 16

// build fills the node that is asked later: it signs and registers batches side by
// side, and waits until the state has taken over the last row.
func (b *bench) build(ctx context.Context) (err error) {
	b.progress("bulk: building %d identifiers", int(b.data))
	l, err := newLocal(ctx, b.folder("served"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.stop()) }()
	before, err := l.Status(ctx)
	if err != nil {
		return err
	}
	began := time.Now()
	g, building := errgroup.WithContext(ctx)
	g.SetLimit(builders)
	for first := 0; first < int(b.data); first += batchRows {
		g.Go(func() error {
			rows := make([]identifier.Row, min(batchRows, int(b.data)-first))
			for i := range rows {
				rows[i] = row(b.data.id(first+i), b.data.link(first+i))
			}
			sortRows(rows) // beyond a million they are not in order
			change, err := l.sign(rows)
			if err == nil {
				_, err = l.Register(building, change)
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	acknowledged := time.Since(began)
	if err := settled(ctx, int(b.data), l.Status); err != nil {
		return err
	}
	applied := time.Since(began)
	after, err := l.Status(ctx)
	if err != nil {
		return err
	}
	n := float64(b.data)
	journal, state := float64(after.Synced-before.Synced)/n, float64(after.StateBytes)/n
	one := func(v float64, bench, unit, note string) Line {
		l := series{v}.line(bench, unit)
		l.Note = note
		return l
	}
	return b.print(
		one(n/acknowledged.Seconds(), "bulk: acknowledged", "rows/s", "signing included, batches of 1,000 in order"),
		one(n/applied.Seconds(), "bulk: in the state", "rows/s", "until the last row is in the state's file"),
		one(journal, "disk: journal", "bytes/identifier", "used of preallocated segments; row salts are derived from two seeds a batch"),
		one(state, "disk: state", "bytes/identifier", "records, hash tiles and indexes, as bbolt keeps them"),
		one(journal+state, "disk: journal and state", "bytes/identifier", ""),
	)
}

// starts measures how long the node takes from the start of its process to the first
// right answer, and what memory it has then.
func (b *bench) starts(ctx context.Context) error {
	return b.startsOf(ctx, "start", b.folder("served"), b.data, &b.queries)
}

func (b *bench) startsOf(ctx context.Context, part, folder string, d data, q *queries) error {
	var took, anonymous, mapped series
	for range max(b.options.Rounds, 5) {
		b.progress("%s: starting the node", part)
		n, err := b.serveData(ctx, folder, 1, d, q)
		if err != nil {
			return err
		}
		took = append(took, float64(n.took.Microseconds())/1e3)
		m := n.memory()
		anonymous, mapped = append(anonymous, megabytes(m.anonymous)), append(mapped, megabytes(m.file))
		n.stop()
	}
	return b.print(took.line(part+": process start to first answer", "ms"),
		anonymous.line(part+": anonymous memory at the first answer", "MB"), mapped.line(part+": mapped files at the first answer", "MB"))
}
