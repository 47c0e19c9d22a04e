//go:build linux

package bench

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/resolver"
	resolverrpc "github.com/nameplate-id/nameplate/resolver/rpc"
)

// perConnection is how many calls one gRPC connection carries at once here.
const perConnection = 64

// asking is one way to ask over gRPC or HTTP.
type asking struct {
	name    string
	callers int
	// answers is how many identifiers one request asks for.
	answers          int
	cpu, rate        series
	p50, p99, others series
	answered         int // in the last turn
	request          func(ctx context.Context, caller int, i uint32) error
	server           *nameServer
	// floor is the same asked of a server that does nothing; nil for no comparison.
	floor *asking
}

// mostCallers is how many ask at once at the most.
const mostCallers = 256

// calls measures resolution over gRPC.
func (b *bench) calls(ctx context.Context) error {
	n, err := b.serve(ctx, b.folder("served"), 1)
	if err != nil {
		return err
	}
	defer n.stop()
	clients, end, err := b.callers(n)
	if err != nil {
		return err
	}
	defer end()
	b.progress("grpc: comparing every answer with the data")
	if err := b.verifyCalls(ctx, clients[0]); err != nil {
		return err
	}
	unary := b.unary(clients)
	ways := []*asking{
		{name: "unary, 1 in flight", callers: 1, answers: 1, request: unary},
		{name: "unary, 16 in flight", callers: 16, answers: 1, request: unary},
		{name: "unary, 256 in flight", callers: mostCallers, answers: 1, request: unary},
		{name: "batches of 1,000, 1 stream", callers: 1, answers: 10 * batchRows, request: b.batches(clients)},
	}
	if b.compares(grpcFloor) {
		s, ask, end, err := b.grpcFloor(ctx)
		if err != nil {
			return err
		}
		defer end()
		for _, w := range ways[:3] {
			w.under(s, ask)
		}
	}
	return b.askings(ctx, n.nameServer, "grpc", ways)
}

// callers connects to the gRPC port of a node.
func (b *bench) callers(n *node) (clients []*resolverrpc.Client, end func(), err error) {
	end = func() {
		for _, c := range clients {
			c.Close()
		}
	}
	for range mostCallers / perConnection {
		c, err := resolverrpc.NewClient(loopback(n.grpc), resolverrpc.ClientOptions{})
		if err != nil {
			end()
			return nil, nil, err
		}
		clients = append(clients, c)
	}
	return clients, end, nil
}

// unary asks for one identifier in a call.
func (b *bench) unary(clients []*resolverrpc.Client) func(ctx context.Context, caller int, i uint32) error {
	return func(ctx context.Context, caller int, i uint32) error {
		a, err := clients[caller/perConnection].Resolve(ctx, resolver.Query{ID: b.data.id(int(i))})
		if err == nil && a.Outcome != resolver.Found {
			err = fmt.Errorf("%s is not found", b.data.id(int(i)))
		}
		return err
	}
}

// batches asks for many identifiers over one stream.
func (b *bench) batches(clients []*resolverrpc.Client) func(ctx context.Context, caller int, i uint32) error {
	return func(ctx context.Context, caller int, i uint32) error {
		return b.askBatch(ctx, clients[caller], int(i), 10*batchRows)
	}
}

// under puts a floor under a way to ask.
func (w *asking) under(s *nameServer, ask func(ctx context.Context, caller int, i uint32) error) {
	w.floor = &asking{name: w.name + ", " + s.name, callers: w.callers, answers: w.answers, request: ask, server: s}
}

// askBatch asks for identifiers from one on, in messages of 1,000.
func (b *bench) askBatch(ctx context.Context, c *resolverrpc.Client, first, count int) error {
	got := 0
	for r, err := range c.ResolveBatch(ctx, resolver.Query{}, b.ids(first, count)) {
		switch {
		case err != nil:
			return err
		case r.Err != nil:
			return r.Err
		case r.Answer.Outcome != resolver.Found:
			return fmt.Errorf("%s is not found", r.ID)
		}
		got++
	}
	if got != count {
		return fmt.Errorf("%d answers to %d questions", got, count)
	}
	return nil
}

// ids yields identifiers from one on, and goes on from the beginning after the last.
func (b *bench) ids(first, count int) func(func(identifier.ID) bool) {
	return func(yield func(identifier.ID) bool) {
		for i := range count {
			if !yield(b.data.id((first + i) % int(b.data))) {
				return
			}
		}
	}
}

// verifyCalls compares the answer for every identifier with the data.
func (b *bench) verifyCalls(ctx context.Context, c *resolverrpc.Client) error {
	i := 0
	for r, err := range c.ResolveBatch(ctx, resolver.Query{}, b.ids(0, int(b.data))) {
		if err != nil {
			return err
		}
		record := r.Answer.Record
		if r.Err != nil || record == nil || record.ID != b.data.id(i) || len(record.Values) != 1 ||
			!bytes.Equal(record.Values[0].Data, []byte(b.data.link(i))) {
			return fmt.Errorf("the answer for %s differs from the data: %+v, %v", b.data.id(i), r.Answer, r.Err)
		}
		i++
	}
	if i != int(b.data) {
		return fmt.Errorf("%d answers to %d questions", i, int(b.data))
	}
	return nil
}

// askings lets some ways to ask take turns.
func (b *bench) askings(ctx context.Context, s *nameServer, protocol string, ways []*asking) error {
	drawn := b.data.uniform()
	release, err := allOn(s.askerCore)
	if err != nil {
		return err
	}
	defer release()
	for round := range b.options.Rounds + 1 {
		for _, w := range ways {
			limit := b.options.Round
			if round == 0 { // warms up and does not count
				limit /= 3
			} else {
				b.progress("%s: %s, round %d", protocol, w.name, round)
			}
			w.server = s
			for _, w := range []*asking{w, w.floor} {
				if w == nil {
					continue
				}
				if err := w.turn(ctx, drawn, limit, round > 0); err != nil {
					return fmt.Errorf("%s: %w", w.name, err)
				}
			}
		}
	}
	for _, w := range ways {
		cpu := w.cpu.line(protocol+" "+w.name+": cpu", "µs/answer")
		cpu.Others = round(w.others.median())
		lines := []any{cpu}
		if f := w.floor; f != nil {
			lines = []any{w.cpu.against(cpu, f.server.name, f.cpu)}
		}
		lines = append(lines, w.rate.line(protocol+" "+w.name+": answers", "1/s"))
		if w.answers == 1 {
			lines = append(lines, w.p50.line(protocol+" "+w.name+": p50", "µs"), w.p99.line(protocol+" "+w.name+": p99", "µs"))
		}
		if err := b.print(lines...); err != nil {
			return err
		}
	}
	return nil
}

// turn asks for so long.
func (w *asking) turn(ctx context.Context, drawn []uint32, limit time.Duration, counts bool) error {
	var next, done atomic.Int64
	var mu sync.Mutex
	var latency histogram
	var took time.Duration
	u, err := w.server.during(func() error {
		began := time.Now()
		g, ctx := errgroup.WithContext(ctx)
		for caller := range w.callers {
			g.Go(func() error {
				var own histogram
				for time.Since(began) < limit {
					asked := time.Now()
					if err := w.request(ctx, caller, drawn[int(next.Add(1))%len(drawn)]); err != nil {
						return err
					}
					own.add(time.Since(asked))
					done.Add(int64(w.answers))
				}
				mu.Lock()
				defer mu.Unlock()
				for class, n := range own {
					latency[class] += n
				}
				return nil
			})
		}
		err := g.Wait()
		took = time.Since(began)
		return err
	})
	if err != nil || !counts {
		return err
	}
	w.answered = int(done.Load())
	answers := float64(w.answered)
	w.cpu = append(w.cpu, micros(u.cpu.all())/answers)
	w.rate = append(w.rate, answers/took.Seconds())
	w.p50 = append(w.p50, micros(latency.quantile(.50)))
	w.p99 = append(w.p99, micros(latency.quantile(.99)))
	w.others = append(w.others, u.others)
	return nil
}
