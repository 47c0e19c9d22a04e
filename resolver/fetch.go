package resolver

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/nameplate-id/nameplate/registry/identifier"
)

var errNoOutcome = errors.New("the answer has no outcome")

// entry is what a cache keeps about an identifier: an answer with the whole record, or
// why there is none.
type entry struct {
	answer Answer
	err    *Error
	stored time.Time
	fresh  time.Duration
	hits   atomic.Uint32
	// retry is when it may be fetched again after that failed, in nanoseconds of Unix
	// time.
	retry atomic.Int64
}

func (e *entry) mayRetry(now time.Time) bool {
	at := e.retry.Load()
	return at == 0 || now.UnixNano() >= at
}

// tell is the answer to a query, as old as it is.
func (e *entry) tell(q *Query, kept time.Duration) Answer {
	a := aged(e.answer, e.answer.ID, kept)
	if a.Record != nil {
		if selected := q.Select(a.Record.Values); len(selected) != len(a.Record.Values) {
			narrowed := *a.Record
			narrowed.Values = selected
			a.Record = &narrowed
		}
	}
	return a
}

// newEntry makes an entry of what a Resolver said. Failures are kept for as long as
// is given.
func newEntry(a Answer, err error, failure time.Duration, now time.Time) *entry {
	e := &entry{answer: a, stored: now}
	if err == nil && (a.Outcome < Found || a.Outcome > Refused) {
		err = errNoOutcome
	}
	if err == nil {
		e.fresh = min(a.Lifetime, longestKept)
		switch {
		case a.Origin.Mirror && a.Outcome == Absent:
			e.fresh = 0 // the node itself may know better at any time
		case a.Origin.Mirror:
			e.fresh = min(e.fresh, mirrorKept)
		case a.Origin.Stale:
			e.fresh = 0 // another cache knows no better
		}
		return e
	}
	var ok bool
	if e.err, ok = errors.AsType[*Error](err); !ok {
		e.err = &Error{Kind: Unavailable, Detail: "there is no answer: ask again later", Err: err}
	}
	switch e.err.Kind {
	case Malformed:
		e.fresh = NegativeTTL
	case Unauthenticated: // it was somebody else who asked
	default:
		e.fresh = failure
	}
	return e
}

// weight is about what an entry takes, in octets.
func (e *entry) weight(k *cacheKey) uint32 {
	const (
		perEntry = 640 // the entry, its key, and what the table needs for it
		perValue = 160
		perLink  = 128
	)
	n := perEntry + len(k.id.Prefix) + len(k.id.Suffix) + len(e.answer.Apex)
	if r := e.answer.Record; r != nil {
		n += 160 + len(r.Spelling) + len(r.ID.Prefix) + len(r.ID.Suffix)
		for i := range r.Values {
			n += perValue + valueWeight(&r.Values[i])
			if r.Values[i].Link != nil {
				n += perLink
			}
		}
	}
	if v := e.answer.Default; v != nil {
		n += perValue + valueWeight(v)
	}
	if d := e.answer.Delegation; d != nil {
		n += delegationWeight(d)
	}
	if e.err != nil {
		n += 256 + len(e.err.Detail)
	}
	return uint32(n)
}

// valueWeight is what the texts of a value take.
func valueWeight(v *identifier.Value) int {
	n := len(v.Type) + len(v.Data)
	for i := range v.References {
		n += 32 + len(v.References[i].Handle)
	}
	if l := v.Link; l != nil {
		n += len(l.Relation) + len(l.Title) + len(l.MediaType) + len(l.Context)
		for _, tag := range l.Languages {
			n += 16 + len(tag)
		}
	}
	return n
}

// fetch is one question to the Resolver behind.
type fetch struct {
	done  chan struct{}
	entry *entry // after done
}

// join returns the question about an identifier that is under way, or begins one; nil
// when there are too many.
func (c *Cache) join(ctx context.Context, k cacheKey, trace func(Hop), early bool) *fetch {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f := c.flights[k]; f != nil {
		if !early {
			c.counts.shared.Add(1)
		}
		return f
	}
	most := c.o.Outstanding
	if early {
		most = max(1, most/10)
	}
	if len(c.flights) >= most || c.closed {
		return nil
	}
	if early {
		c.counts.prefetched.Add(1)
	} else {
		c.counts.missed.Add(1)
	}
	f := &fetch{done: make(chan struct{})}
	c.flights[k] = f
	ctx = WithTrace(context.WithoutCancel(ctx), trace)
	flushes := c.flushes
	c.fetching.Go(func() { c.fetch(ctx, k, f, flushes) })
	return f
}

// prefetch fetches an entry that will soon be missing.
func (c *Cache) prefetch(ctx context.Context, k cacheKey) { c.join(ctx, k, nil, true) }

// fetch asks the Resolver behind and keeps what it says, unless entries were dropped
// meanwhile.
func (c *Cache) fetch(ctx context.Context, k cacheKey, f *fetch, flushes uint64) {
	ctx, cancel := context.WithTimeout(ctx, c.o.Timeout)
	defer cancel()
	defer context.AfterFunc(c.base, cancel)()
	q := Query{ID: k.id, Recursive: true}
	if k.hashed {
		q.SuffixHash = &k.hash
	}
	a, err := c.next.Resolve(ctx, q)
	f.entry = newEntry(a, err, c.o.Failure, c.now())
	c.mu.Lock()
	if c.flushes == flushes {
		c.keep(k, f.entry)
	}
	if c.flights[k] == f {
		delete(c.flights, k)
	}
	c.mu.Unlock()
	close(f.done)
}

// keep takes an entry in. Nothing but an answer takes the place of one.
func (c *Cache) keep(k cacheKey, e *entry) {
	if e.err == nil || e.err.Kind == Malformed {
		if e.fresh > 0 {
			c.entries.Set(k, e)
		}
		return
	}
	if old, ok := c.entries.GetIfPresent(k); ok && old.err == nil && old.answer.Outcome == Found &&
		e.stored.Sub(old.stored) < old.fresh+c.o.Stale {
		old.retry.Store(e.stored.Add(c.o.Failure).UnixNano())
		return
	}
	if e.fresh > 0 {
		c.entries.Set(k, e)
	}
}
