//go:build linux

package bench

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/nameplate-id/nameplate/registry/identifier"
	registryrpc "github.com/nameplate-id/nameplate/registry/rpc"
)

const (
	lagRate = 1000 // registrations a second
	lagTime = 10 * time.Second
	// lagLook is how often the parent is asked how much it has: what the figures are
	// good for.
	lagLook = 500 * time.Microsecond
)

// lag measures how long after an acknowledgement of the child its parent has the entry
// on disk, while single registrations come at a steady rate.
func (b *bench) lag(ctx context.Context) error {
	l, err := b.lineage(ctx)
	if err != nil {
		return err
	}
	defer l.client.Close()
	if err := b.startNode(ctx, "parent", l.parent, l.parentRun); err != nil {
		return err
	}
	defer l.parent.stop()
	if err := b.startNode(ctx, "child", l.child, l.childRun); err != nil {
		return err
	}
	defer l.child.stop()
	client, err := registryrpc.NewClient(loopback(l.child.grpc), registryrpc.ClientOptions{})
	if err != nil {
		return err
	}
	defer client.Close()
	b.progress("lag: waiting for the first copy")
	err = until(ctx, 10*time.Minute, func() (bool, error) {
		s, err := l.client.Status(ctx)
		return err == nil && len(s.Mirrors) == 1 && s.Mirrors[0].Identifiers == uint64(b.data), err
	})
	if err != nil {
		return err
	}
	limit := lagTime
	if b.options.Quick {
		limit /= 10
	}
	var lags []time.Duration
	var rates series
	for round := range b.options.Rounds {
		b.progress("lag: round %d", round+1)
		took, rate, err := b.lagOnce(ctx, l, client, round, limit)
		if err != nil {
			return err
		}
		lags, rates = append(lags, took...), append(rates, rate)
	}
	slices.Sort(lags)
	at := func(part float64) series { return series{micros(lags[int(part*float64(len(lags)-1))]) / 1e3} }
	line := at(.50).line(fmt.Sprintf("lag: acknowledgement to the parent's mirror at %d registrations/s, p50", lagRate), "ms")
	line.Note = fmt.Sprintf("of %d registrations; the parent is looked at every %v", len(lags), lagLook)
	return b.print(line, at(.99).line("lag: the same, p99", "ms"), rates.line("lag: registrations that were acknowledged", "1/s"))
}

// seen is what was known at a time: how many entries the parent has, or that the child
// has acknowledged one.
type seen struct {
	at       time.Time
	position uint64
}

// lagOnce registers for so long, and returns the lag of every registration and how many
// were acknowledged a second.
func (b *bench) lagOnce(ctx context.Context, l *lineage, client *registryrpc.Client, round int, limit time.Duration) ([]time.Duration, float64, error) {
	n := int(limit.Seconds() * lagRate)
	changes, err := l.holder.signAll(ctx, n, func(i int) []identifier.Row {
		return []identifier.Row{row(identifier.ID{Prefix: served, Suffix: fmt.Sprintf("lag-%d-%08d", round, i)}, b.data.link(i))}
	})
	if err != nil {
		return nil, 0, err
	}
	watching, stop := context.WithCancel(ctx)
	defer stop()
	looks := make(chan []seen, 1)
	go func() { looks <- l.watch(watching) }()

	var mu sync.Mutex
	var acknowledged []seen
	g, inner := errgroup.WithContext(ctx)
	began := time.Now()
	for i, change := range changes {
		time.Sleep(time.Until(began.Add(time.Duration(i) * time.Second / lagRate)))
		g.Go(func() error {
			r, err := client.Register(inner, change)
			mu.Lock()
			defer mu.Unlock()
			acknowledged = append(acknowledged, seen{time.Now(), r.Position})
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, 0, err
	}
	rate := float64(n) / time.Since(began).Seconds()
	last := slices.MaxFunc(acknowledged, func(a, b seen) int { return int(a.position) - int(b.position) }).position
	err = until(ctx, time.Minute, func() (bool, error) {
		s, err := l.client.Status(ctx)
		return err == nil && len(s.Mirrors) == 1 && s.Mirrors[0].Size > last, err
	})
	if err != nil {
		return nil, 0, err
	}
	time.Sleep(10 * lagLook) // whoever watches sees it too
	stop()
	return lagsOf(acknowledged, <-looks), rate, nil
}

// watch notes how much the parent has of the child's log, until ctx ends.
func (l *lineage) watch(ctx context.Context) (looks []seen) {
	for ctx.Err() == nil {
		if s, err := l.client.Status(ctx); err == nil && len(s.Mirrors) == 1 {
			if size := s.Mirrors[0].Size; len(looks) == 0 || size > looks[len(looks)-1].position {
				looks = append(looks, seen{time.Now(), size})
			}
		}
		time.Sleep(lagLook)
	}
	return looks
}

// lagsOf returns how long after each acknowledgement the entry was seen at the parent.
func lagsOf(acknowledged, looks []seen) []time.Duration {
	var lags []time.Duration
	for _, a := range acknowledged {
		i, _ := slices.BinarySearchFunc(looks, a.position+1, func(s seen, size uint64) int { return int(s.position) - int(size) })
		if i < len(looks) {
			lags = append(lags, max(0, looks[i].at.Sub(a.at)))
		}
	}
	return lags
}
