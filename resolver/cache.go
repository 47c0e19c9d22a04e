package resolver

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/nameplate-id/nameplate/registry/identifier"
)

// CacheOptions of a cache. The zero CacheOptions work.
type CacheOptions struct {
	// Bytes is how much memory the entries may take, in octets; 64 MiB when zero.
	Bytes int64
	// Stale is for how long after its lifetime a record may still be answered when
	// nothing better can be had; a day when zero, never when negative.
	Stale time.Duration
	// Patience is how long a question waits for a fresh answer where there is a stale
	// one; 1.5 s when zero.
	Patience time.Duration
	// Failure is how long it is remembered that there was no answer; 5 s when zero
	// (RFC 9520, section 3.2).
	Failure time.Duration
	// Timeout is how long a question to the Resolver behind may take, whoever waits
	// for it; 10 s when zero.
	Timeout time.Duration
	// Outstanding is how many questions to the Resolver behind there may be at once,
	// 4,096 when zero; a tenth of them may be for entries that are not missing yet.
	Outstanding int
}

const (
	// StaleTTL is the lifetime of a stale answer (RFC 8767, section 4).
	StaleTTL = 30 * time.Second
	// longestKept is the longest that an entry is fresh.
	longestKept = 24 * time.Hour
	// mirrorKept is the longest that an answer from a mirror is fresh: the node whose
	// log it is may be back. What is absent there may be registered by then.
	mirrorKept = 5 * time.Second
	// An entry that was asked for so often is fetched again in the last tenth of its
	// time, when it is fresh for so long at least.
	prefetchHits  = 3
	prefetchPart  = 10
	prefetchLeast = 5 * time.Second
)

// Cache is a Resolver that remembers what another one answered.
//
// An entry is fresh for as long as the answer's lifetime says, at most a day; an
// answer from a mirror for 5 s at most. What is told of it grows older second by second: Origin.Age goes up, Lifetime down. Found,
// absent, refused and referral are kept alike, and all selections of one record are
// answered from one entry. That there was no answer is remembered for a few seconds
// (RFC 9520).
//
// For one identifier there is one question to the Resolver behind at a time. All who
// ask meanwhile wait for it, and it goes on when they give up. An entry that is asked
// for often is fetched again shortly before it ends.
//
// When no answer can be had, or none in time, a record whose lifetime is over is
// answered for a day (RFC 8767): with Origin.Stale, a lifetime of 30 s and its true
// age. That something was absent is not: it may be registered by now.
//
// A query that is authoritative, or asks for a mirror, passes by. The memory for
// entries is bounded; those that are asked for seldom go first.
//
// It may be called concurrently. Close it after use.
type Cache struct {
	next    Resolver
	o       CacheOptions
	entries *otter.Cache[cacheKey, *entry]
	counts  cacheCounts
	now     func() time.Time // a test may hold it

	mu       sync.Mutex
	flights  map[cacheKey]*fetch
	flushes  uint64 // how often entries were dropped
	closed   bool
	fetching sync.WaitGroup
	base     context.Context
	end      context.CancelFunc
}

// CacheStats are counts since the start. They only grow, but for the last two.
type CacheStats struct {
	Found, Absent, Refused, Referral uint64 // answered from fresh entries, by outcome
	Failure                          uint64 // fresh entries that say there is no answer
	Stale                            uint64 // answered from entries whose lifetime was over
	Missed                           uint64 // what had to be fetched
	Shared                           uint64 // what was being fetched already
	Prefetched                       uint64 // fetched before it was missing
	Passed                           uint64 // that passed by
	Entries, Bytes                   uint64 // what there is now
}

type cacheCounts struct {
	outcomes                                           [Refused + 1]atomic.Uint64
	failure, stale, missed, shared, prefetched, passed atomic.Uint64
}

// cacheKey is what an entry is found by.
type cacheKey struct {
	id     identifier.ID
	hash   identifier.Hash
	hashed bool
}

func keyOf(q *Query) cacheKey {
	if q.SuffixHash == nil {
		return cacheKey{id: q.ID}
	}
	return cacheKey{id: q.ID, hash: *q.SuffixHash, hashed: true}
}

// NewCache returns a cache in front of a Resolver.
func NewCache(next Resolver, o CacheOptions) (*Cache, error) {
	o.Bytes, o.Patience, o.Failure = either(o.Bytes, 64<<20), either(o.Patience, 1500*time.Millisecond), either(o.Failure, 5*time.Second)
	o.Timeout, o.Outstanding = either(o.Timeout, 10*time.Second), either(o.Outstanding, 4096)
	switch {
	case o.Stale == 0:
		o.Stale = 24 * time.Hour
	case o.Stale < 0:
		o.Stale = 0
	}
	entries, err := otter.New(&otter.Options[cacheKey, *entry]{
		MaximumWeight: uint64(o.Bytes),
		Weigher:       func(k cacheKey, e *entry) uint32 { return e.weight(&k) },
	})
	if err != nil {
		return nil, fmt.Errorf("a cache of %d octets: %w", o.Bytes, err)
	}
	c := &Cache{next: next, o: o, entries: entries, now: time.Now, flights: make(map[cacheKey]*fetch)}
	c.base, c.end = context.WithCancel(context.Background())
	return c, nil
}

// Close gives up what is being fetched. Questions that need it fail from then on.
func (c *Cache) Close() error {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.end()
	c.fetching.Wait()
	return nil
}

// Stats returns the counts.
func (c *Cache) Stats() CacheStats {
	outcome := func(o Outcome) uint64 { return c.counts.outcomes[o].Load() }
	return CacheStats{
		Found: outcome(Found), Absent: outcome(Absent), Refused: outcome(Refused), Referral: outcome(Referral),
		Failure: c.counts.failure.Load(), Stale: c.counts.stale.Load(), Missed: c.counts.missed.Load(),
		Shared: c.counts.shared.Load(), Prefetched: c.counts.prefetched.Load(), Passed: c.counts.passed.Load(),
		Entries: uint64(c.entries.EstimatedSize()), Bytes: c.entries.WeightedSize(),
	}
}

// Flush drops the entry of an identifier, or when that is a prefix those of everything
// at or below it, and returns how many. What is being fetched is not kept. Where the
// Resolver behind has a Flush for the prefix, as a [Walk] has, it is called too.
func (c *Cache) Flush(id identifier.ID) int {
	c.mu.Lock()
	c.flushes++
	clear(c.flights) // who asks from now on gets another
	c.mu.Unlock()
	n := 0
	for k := range c.entries.Keys() {
		if k.at(id) {
			if _, ok := c.entries.Invalidate(k); ok {
				n++
			}
		}
	}
	if f, ok := c.next.(interface{ Flush(identifier.Prefix) int }); ok {
		n += f.Flush(id.Prefix)
	}
	return n
}

// at reports whether the entry belongs to an identifier, or lies at or below it.
func (k *cacheKey) at(id identifier.ID) bool {
	switch {
	case id.IsPrefix():
		return id.Prefix.Covers(k.id.Prefix)
	case k.hashed:
		return k.id.Prefix == id.Prefix && k.hash == identifier.SuffixHash(id.Suffix)
	}
	return k.id == id
}

// Resolve implements [Resolver].
func (c *Cache) Resolve(ctx context.Context, q Query) (Answer, error) {
	if q.Authoritative || q.Mirror || q.SuffixHash != nil && q.ID.Suffix != "" {
		c.counts.passed.Add(1)
		return c.next.Resolve(ctx, q)
	}
	k := keyOf(&q)
	now := c.now()
	e, ok := c.entries.GetIfPresent(k)
	if !ok {
		return c.fetchFor(ctx, &q, k, nil)
	}
	switch kept := now.Sub(e.stored); {
	case kept < e.fresh:
		if e.err != nil {
			c.counts.failure.Add(1)
			return Answer{}, e.err
		}
		c.counts.outcomes[e.answer.Outcome].Add(1)
		if e.hits.Add(1) >= prefetchHits && e.fresh-kept < e.fresh/prefetchPart && e.fresh >= prefetchLeast && e.mayRetry(now) {
			c.prefetch(ctx, k)
		}
		return e.tell(&q, kept), nil
	case e.err != nil || e.answer.Outcome != Found || kept >= e.fresh+c.o.Stale:
		return c.fetchFor(ctx, &q, k, nil)
	case !e.mayRetry(now):
		return c.stale(e, &q), nil
	}
	return c.fetchFor(ctx, &q, k, e)
}

// stale answers from an entry whose lifetime is over.
func (c *Cache) stale(e *entry, q *Query) Answer {
	c.counts.stale.Add(1)
	a := e.tell(q, c.now().Sub(e.stored))
	a.Lifetime, a.Origin.Stale = StaleTTL, true
	return a
}

// fetchFor asks the Resolver behind, or waits for who does. old is what to answer
// when that fails; nil for nothing.
func (c *Cache) fetchFor(ctx context.Context, q *Query, k cacheKey, old *entry) (Answer, error) {
	if cause := context.Cause(ctx); cause != nil {
		return Answer{}, givenUp(q, cause)
	}
	trace, untrace := gated(traceOf(ctx))
	defer untrace()
	f := c.join(ctx, k, trace, false)
	if f == nil {
		if old != nil {
			return c.stale(old, q), nil
		}
		return Answer{}, &Error{Kind: Overloaded, Detail: "too many questions are under way: ask again in a second"}
	}
	var enough <-chan time.Time
	if old != nil {
		patience := c.o.Patience
		if till, ok := ctx.Deadline(); ok {
			patience = min(patience, time.Until(till)*3/4)
		}
		timer := time.NewTimer(patience)
		defer timer.Stop()
		enough = timer.C
	}
	select {
	case <-f.done:
		if f.entry.err == nil {
			return f.entry.tell(q, c.now().Sub(f.entry.stored)), nil
		}
		if old != nil && f.entry.err.Kind != Malformed {
			return c.stale(old, q), nil
		}
		return Answer{}, f.entry.err
	case <-enough:
		return c.stale(old, q), nil
	case <-ctx.Done():
		return Answer{}, givenUp(q, context.Cause(ctx))
	}
}

func givenUp(q *Query, cause error) error {
	return &Error{Kind: Unavailable, Detail: fmt.Sprintf("%s was not answered in time: ask again", q.ID), Err: cause}
}

// gated returns a trace that can be ended: who gives up does not hear of what goes on.
func gated(trace func(Hop)) (open func(Hop), shut func()) {
	if trace == nil {
		return nil, func() {}
	}
	var mu sync.Mutex
	return func(h Hop) {
			mu.Lock()
			defer mu.Unlock()
			if trace != nil {
				trace(h)
			}
		}, func() {
			mu.Lock()
			defer mu.Unlock()
			trace = nil
		}
}
