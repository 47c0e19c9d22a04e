// Package intake signs registrations and sends them to a node.
//
// Registrations are gathered into changes, each for one holder, signed side by side
// and sent over one stream with several changes on their way. What comes back
// settles every row exactly once:
//
//   - A change that is logged settles its rows.
//   - A change with rows in conflict is logged not at all. Each such row is compared
//     with what the node has: the same content, whatever its timestamps, counts as
//     unchanged; other content fails, or replaces what is there if the options say so.
//     The rest is signed again.
//   - Rows below a prefix that is delegated on are signed for the holder of that one.
//   - Where the node is away, or has too much to do, the same change is sent again,
//     for as long as the options have patience. That is harmless: a change that was
//     logged the first time is answered as it was then.
//
// So it may be run again after anything, and registers nothing twice. Memory is
// bounded by the octets of the rows that are under way.
package intake

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"github.com/nameplate-id/nameplate/cmd/nameplate/table"
	"github.com/nameplate-id/nameplate/registry"
	"github.com/nameplate-id/nameplate/registry/identifier"
	registryrpc "github.com/nameplate-id/nameplate/registry/rpc"
	"github.com/nameplate-id/nameplate/resolver"
	resolverrpc "github.com/nameplate-id/nameplate/resolver/rpc"
)

// Node is what takes changes; [registryrpc.Client] is one. Its errors are
// [*registry.Error]s.
type Node interface {
	Holder(context.Context, identifier.Prefix) (*identifier.Delegation, error)
	RegisterBatch(context.Context, iter.Seq[*identifier.Change]) iter.Seq2[registryrpc.Result, error]
}

// Records is where rows in conflict are looked up; [resolverrpc.Client] is one.
type Records interface {
	ResolveBatch(context.Context, resolver.Query, iter.Seq[identifier.ID]) iter.Seq2[resolverrpc.Result, error]
}

// Options say how registrations are signed and sent. The zero value signs nothing.
type Options struct {
	// Keys are those of the holders. A change is signed with every one that its
	// prefix's keyset has.
	Keys []identifier.PrivateKey
	// Replace puts a row in the place of a record with other content, and registers
	// again what was withdrawn.
	Replace bool
	// Rows is how many rows a change has at the most. 0 means 1,000.
	Rows int
	// Expiry is for how long a signed change may be admitted. 0 means 10 minutes.
	Expiry time.Duration
	// Patience is how long to go on without hearing anything good from the node. 0
	// means a minute.
	Patience time.Duration
}

// Result is what became of a row.
type Result uint8

// The results.
const (
	Registered Result = iota + 1
	// Unchanged: it was there already.
	Unchanged
	// Replaced: it took the place of another content.
	Replaced
	Failed
)

func (r Result) String() string {
	switch r {
	case Registered:
		return "registered"
	case Unchanged:
		return "unchanged"
	case Replaced:
		return "replaced"
	case Failed:
		return "failed"
	}
	return "none"
}

// Outcome is the result of one registration.
type Outcome struct {
	Registration *table.Registration
	Result       Result
	Reason       string // why it failed; one line
	// Receipt and Version are those of a row that did not fail. The receipt is zero for
	// one that is unchanged by comparison: other times, or another spelling.
	Receipt registry.Receipt
	Version uint64
}

// maxUnderWay is how many octets of rows are in memory at once.
const maxUnderWay = 32 << 20

// rowCost is what a row costs in memory beside its own octets; it bounds how many
// are under way.
const rowCost = 1 << 10

const maxRowsUnderWay = maxUnderWay / rowCost

// Intake is one run. Use it once.
type Intake struct {
	node    Node
	records Records
	options Options
	report  func(Outcome)

	holders *holders
	room    *semaphore.Weighted // of octets under way

	// Every batch in a channel has a row that is under way, so none can be full.
	unsigned, signed chan *batch
	refused          chan refusal
	// unsettled counts the rows without an outcome, and one more while rows are still
	// read; settled is closed when it comes to 0.
	unsettled atomic.Int64
	settled   chan struct{}

	mu   sync.Mutex
	good time.Time // when the node last did what it was asked for; zero before the first time
	last error     // why it did not since; nil when it did
}

// New prepares a run. report is called once for each registration, by one goroutine
// at a time, in the order in which they are settled.
func New(node Node, records Records, o Options, report func(Outcome)) *Intake {
	if o.Rows <= 0 || o.Rows > identifier.MaxRows {
		o.Rows = 1000
	}
	if o.Expiry <= 0 {
		o.Expiry = 10 * time.Minute
	}
	if o.Patience <= 0 {
		o.Patience = time.Minute
	}
	return &Intake{
		node: node, records: records, options: o, report: report,
		holders:  newHolders(node),
		room:     semaphore.NewWeighted(maxUnderWay),
		unsigned: make(chan *batch, maxRowsUnderWay),
		signed:   make(chan *batch, maxRowsUnderWay),
		refused:  make(chan refusal, maxRowsUnderWay),
		settled:  make(chan struct{}),
	}
}

// settlers is how many refused changes are looked into at once.
const settlers = 4

// Run settles all registrations, whose identifiers must differ. An error says why it
// had to end before; then those without an outcome may or may not have been logged,
// and running again tells.
func (i *Intake) Run(ctx context.Context, registrations iter.Seq[table.Registration]) error {
	i.unsettled.Store(1)
	outer := ctx
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return i.read(ctx, registrations) })
	for range runtime.GOMAXPROCS(0) {
		g.Go(func() error {
			return each(ctx, i.settled, i.unsigned, func(b *batch) error { i.sign(b); return nil })
		})
	}
	for range settlers {
		g.Go(func() error {
			return each(ctx, i.settled, i.refused, func(r refusal) error { return i.settle(ctx, r) })
		})
	}
	g.Go(func() error { return i.send(ctx) })
	err := g.Wait()
	i.mu.Lock()
	defer i.mu.Unlock()
	if err != nil && i.last != nil && !errors.Is(err, i.last) && outer.Err() != nil {
		return fmt.Errorf("%w; what the node said last: %w", err, i.last)
	}
	return err
}

// each does something with everything that comes, until all is settled.
func each[T any](ctx context.Context, settled <-chan struct{}, from <-chan T, do func(T) error) error {
	for {
		select {
		case next := <-from:
			if err := do(next); err != nil {
				return err
			}
		case <-settled:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// read takes the registrations in.
func (i *Intake) read(ctx context.Context, registrations iter.Seq[table.Registration]) error {
	g := gatherer{intake: i, batches: map[identifier.Prefix]*batch{}}
	for registration := range registrations {
		r := &row{registration: &registration, version: 1}
		size, err := r.signable().Size()
		if err != nil {
			i.unsettled.Add(1)
			i.outcome(r, Failed, err.Error())
			continue
		}
		r.size = size
		if !i.room.TryAcquire(r.weight()) {
			// What waits for more rows to fill its change takes room too.
			g.flush()
			if err := i.room.Acquire(ctx, r.weight()); err != nil {
				return context.Cause(ctx)
			}
		}
		r.held = true
		i.unsettled.Add(1)
		if err := g.add(ctx, r); err != nil {
			return err
		}
	}
	g.flush()
	i.done()
	return nil
}

// outcome settles a row that was not logged.
func (i *Intake) outcome(r *row, result Result, reason string) {
	i.settleRow(r, Outcome{Result: result, Reason: reason})
}

func (i *Intake) settleRow(r *row, o Outcome) {
	o.Registration = r.registration
	i.mu.Lock()
	i.report(o)
	i.mu.Unlock()
	if r.held {
		i.room.Release(r.weight())
	}
	i.done()
}

// failAll settles rows that all fail for one reason.
func (i *Intake) failAll(rows []*row, reason string) {
	for _, r := range rows {
		i.outcome(r, Failed, reason)
	}
}

func (i *Intake) done() {
	if i.unsettled.Add(-1) == 0 {
		close(i.settled)
	}
}

// hear notes that the node did what it was asked for.
func (i *Intake) hear() {
	i.mu.Lock()
	i.good, i.last = time.Now(), nil
	i.mu.Unlock()
}

func (i *Intake) lastHeard() time.Time {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.good
}

// silence returns for how long the node has not.
func (i *Intake) silence() time.Duration { return time.Since(i.lastHeard()) }
