package resolver_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/resolver"
)

// source is a Resolver whose answer can be changed, and that counts.
type source struct {
	mu     sync.Mutex
	answer resolver.Answer
	err    error
	delay  time.Duration
	asked  []resolver.Query
}

func (s *source) Resolve(ctx context.Context, q resolver.Query) (resolver.Answer, error) {
	s.mu.Lock()
	s.asked = append(s.asked, q)
	a, err, delay := s.answer, s.err, s.delay
	s.mu.Unlock()
	select {
	case <-time.After(delay):
	case <-ctx.Done():
		return resolver.Answer{}, gone(ctx)
	}
	if err != nil {
		return resolver.Answer{}, err
	}
	a.ID = q.ID
	if a.Record != nil {
		r := *a.Record
		r.ID = q.ID
		a.Record = &r
	}
	return a, nil
}

func (s *source) say(a resolver.Answer, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer, s.err = a, err
}

func (s *source) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.asked)
}

func known(lifetime time.Duration) resolver.Answer {
	return resolver.Answer{Outcome: resolver.Found, InZone: true, Apex: "88", Lifetime: lifetime, Record: record(
		value(1, "DESC", 3600, identifier.DefaultPermissions), value(2, "EMAIL", 3600, identifier.DefaultPermissions))}
}

func unknown() resolver.Answer {
	return resolver.Answer{Outcome: resolver.Absent, InZone: true, Apex: "88", Lifetime: resolver.NegativeTTL}
}

var errAway = &resolver.Error{Kind: resolver.Unavailable, Detail: "nobody is there"}

func cached(t *testing.T, next resolver.Resolver, o resolver.CacheOptions) *resolver.Cache {
	t.Helper()
	c, err := resolver.NewCache(next, o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// want asks and compares outcome, lifetime, age and whether the answer is stale.
func want(t *testing.T, c *resolver.Cache, o resolver.Outcome, lifetime, age time.Duration, stale bool) {
	t.Helper()
	a, err := c.Resolve(t.Context(), resolver.Query{ID: item})
	if err != nil {
		t.Fatal(err)
	}
	if a.Outcome != o || a.Lifetime != lifetime || a.Origin.Age != age || a.Origin.Stale != stale {
		t.Errorf("got %v for %v, %v old, stale %t; want %v for %v, %v old, stale %t",
			a.Outcome, a.Lifetime, a.Origin.Age, a.Origin.Stale, o, lifetime, age, stale)
	}
}

func asked(t *testing.T, s *source, n int) {
	t.Helper()
	if got := s.count(); got != n {
		t.Errorf("the source was asked %d times; want %d", got, n)
	}
}

// What a mirror calls absent is not kept: the node itself may know better at any time.
func TestCacheKeepsNoAbsentOfAMirror(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a := unknown()
		a.Origin.Mirror = true
		s := &source{answer: a}
		cache := cached(t, s, resolver.CacheOptions{})
		defer cache.Close()
		for n := range 3 {
			cache.Resolve(t.Context(), resolver.Query{ID: item})
			asked(t, s, n+1)
		}
	})
}

func TestCacheLifetimes(t *testing.T) {
	refers := resolver.Answer{Outcome: resolver.Referral, Lifetime: resolver.ReferralTTL, Delegation: delegation("88", &other, false)}
	refused := resolver.Answer{Outcome: resolver.Refused, InZone: true, Lifetime: resolver.NegativeTTL}
	mirrored := known(time.Hour)
	mirrored.Origin.Mirror = true
	for _, c := range []struct {
		name  string
		a     resolver.Answer
		fresh time.Duration
	}{
		{"found", known(time.Hour), time.Hour},
		{"found, for ever", known(resolver.MaxLifetime), 24 * time.Hour},
		{"absent", unknown(), resolver.NegativeTTL},
		{"refused", refused, resolver.NegativeTTL},
		{"referral", refers, resolver.ReferralTTL},
		{"from a mirror", mirrored, 5 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := &source{answer: c.a}
				cache := cached(t, s, resolver.CacheOptions{})
				defer cache.Close()
				want(t, cache, c.a.Outcome, c.a.Lifetime, 0, false)
				time.Sleep(c.fresh/2 + 500*time.Millisecond)
				want(t, cache, c.a.Outcome, c.a.Lifetime-(c.fresh/2).Truncate(time.Second)-extra(c.fresh), (c.fresh/2).Truncate(time.Second)+extra(c.fresh), false)
				time.Sleep(c.fresh/2 - 500*time.Millisecond - time.Nanosecond)
				asked(t, s, 1)
				cache.Resolve(t.Context(), resolver.Query{ID: item})
				asked(t, s, 1)
				time.Sleep(time.Nanosecond)
				want(t, cache, c.a.Outcome, c.a.Lifetime, 0, false)
				asked(t, s, 2)
			})
		})
	}
}

// extra is the second that half of an odd number and half a second make.
func extra(d time.Duration) time.Duration {
	if d/2%time.Second == time.Second/2 {
		return time.Second
	}
	return 0
}

func TestCacheDoesNotKeep(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := &source{answer: known(0)}
		cache := cached(t, s, resolver.CacheOptions{})
		defer cache.Close()
		want(t, cache, resolver.Found, 0, 0, false)
		want(t, cache, resolver.Found, 0, 0, false)
		asked(t, s, 2)
		s.say(resolver.Answer{}, &resolver.Error{Kind: resolver.Unauthenticated, Detail: "who are you?"})
		for range 2 {
			if _, err := cache.Resolve(t.Context(), resolver.Query{ID: item}); err == nil {
				t.Error("got an answer")
			}
		}
		asked(t, s, 4)
	})
}

// All selections are answered from one entry, each with its own values.
func TestCacheSelections(t *testing.T) {
	s := &source{answer: known(time.Hour)}
	s.answer.Default = &identifier.Value{Index: 9, Type: "URL"}
	cache := cached(t, s, resolver.CacheOptions{})
	defer cache.Close()
	for range 2 {
		for _, c := range []struct {
			q    resolver.Query
			want int
		}{
			{resolver.Query{ID: item}, 2}, {resolver.Query{ID: item, Types: []string{"EMAIL"}}, 1},
			{resolver.Query{ID: item, Indexes: []uint32{1}}, 1}, {resolver.Query{ID: item, Relation: "gs1:pip"}, 0},
			{resolver.Query{ID: item, Recursive: true}, 2},
		} {
			a, err := cache.Resolve(t.Context(), c.q)
			if err != nil || len(a.Record.Values) != c.want || a.Default == nil {
				t.Errorf("%+v: got %d values, %v; want %d and the default link", c.q, len(a.Record.Values), err, c.want)
			}
		}
	}
	asked(t, s, 1)
	if q := s.asked[0]; q.Types != nil || q.Relation != "" || !q.Recursive {
		t.Errorf("the source was asked %+v; want everything", q)
	}
}

func TestCacheHashed(t *testing.T) {
	s := &source{answer: known(time.Hour)}
	cache := cached(t, s, resolver.CacheOptions{})
	defer cache.Close()
	one, two := identifier.SuffixHash("one"), identifier.SuffixHash("two")
	for range 2 {
		for _, q := range []resolver.Query{{ID: identifier.ID{Prefix: "88"}}, {ID: identifier.ID{Prefix: "88"}, SuffixHash: &one}, {ID: identifier.ID{Prefix: "88"}, SuffixHash: &two}} {
			if _, err := cache.Resolve(t.Context(), q); err != nil {
				t.Fatal(err)
			}
		}
	}
	asked(t, s, 3)
	if n := cache.Flush(identifier.ID{Prefix: "88", Suffix: "one"}); n != 1 {
		t.Errorf("flushed %d; want the entry of the hash", n)
	}
}

// One question is asked for all, and goes on when those who waited give up.
func TestCacheAsksOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := &source{answer: known(time.Hour), delay: time.Second}
		cache := cached(t, s, resolver.CacheOptions{})
		defer cache.Close()
		impatient, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		begin := time.Now()
		_, err := cache.Resolve(impatient, resolver.Query{ID: item})
		if e, ok := errors.AsType[*resolver.Error](err); !ok || e.Kind != resolver.Unavailable || time.Since(begin) != 100*time.Millisecond {
			t.Errorf("got %v after %v; want unavailable after 100ms", err, time.Since(begin))
		}
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() { want(t, cache, resolver.Found, time.Hour, 0, false) })
		}
		wg.Wait()
		if took := time.Since(begin); took != time.Second {
			t.Errorf("answered after %v; want 1s", took)
		}
		asked(t, s, 1)
		if got := cache.Stats(); got.Missed != 1 || got.Shared != 100 {
			t.Errorf("counted %+v", got)
		}
	})
}

func TestCachePrefetch(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := &source{answer: known(100 * time.Second)}
		cache := cached(t, s, resolver.CacheOptions{})
		defer cache.Close()
		for range 2 * 100 {
			time.Sleep(time.Second)
			if a, err := cache.Resolve(t.Context(), resolver.Query{ID: item}); err != nil || a.Lifetime < 9*time.Second {
				t.Fatalf("got %v for %v; want one that was fetched in time", err, a.Lifetime)
			}
		}
		got := cache.Stats()
		if got.Missed != 1 || got.Prefetched != 2 || got.Found != 199 {
			t.Errorf("counted %+v; want 1 missed, 2 prefetched", got)
		}
		// Asked for seldom, it is fetched when it is missing.
		for range 10 {
			time.Sleep(99 * time.Second)
			cache.Resolve(t.Context(), resolver.Query{ID: item})
		}
		if after := cache.Stats(); after.Prefetched != 2 {
			t.Errorf("counted %+v; want no more prefetched", after)
		}
	})
}

func TestCachePassesBy(t *testing.T) {
	s := &source{answer: known(time.Hour)}
	cache := cached(t, s, resolver.CacheOptions{})
	defer cache.Close()
	for _, q := range []resolver.Query{{ID: item, Authoritative: true}, {ID: item, Mirror: true}} {
		for range 2 {
			if _, err := cache.Resolve(t.Context(), q); err != nil {
				t.Fatal(err)
			}
		}
	}
	asked(t, s, 4)
	if !s.asked[0].Authoritative || !s.asked[2].Mirror {
		t.Error("the query was changed on its way")
	}
}

func TestCacheFlush(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := &source{answer: known(time.Hour)}
		cache := cached(t, s, resolver.CacheOptions{})
		defer cache.Close()
		fill := func() {
			for _, text := range []string{"88", "88/x", "88.1/x", "88.1.2/x", "88.11/x", "9/x"} {
				id, err := identifier.ParseCanonical(text)
				if err != nil {
					t.Fatal(err)
				}
				cache.Resolve(t.Context(), resolver.Query{ID: id})
			}
		}
		for _, c := range []struct {
			id   identifier.ID
			want int
		}{
			{identifier.ID{Prefix: "88.1", Suffix: "x"}, 1},
			{identifier.ID{Prefix: "88.1"}, 2},
			{identifier.ID{Prefix: "88"}, 5},
			{identifier.ID{}, 6},
			{identifier.ID{Prefix: "7"}, 0},
		} {
			fill()
			before := s.count()
			if n := cache.Flush(c.id); n != c.want {
				t.Errorf("flushed %d for %q; want %d", n, c.id, c.want)
			}
			fill()
			asked(t, s, before+c.want)
		}
		// What was asked before the flush is not kept.
		s.delay = time.Second
		go cache.Resolve(t.Context(), resolver.Query{ID: item})
		time.Sleep(time.Millisecond)
		cache.Flush(identifier.ID{})
		before := s.count()
		time.Sleep(2 * time.Second)
		cache.Resolve(t.Context(), resolver.Query{ID: item})
		asked(t, s, before+1)
	})
}

// A flush reaches the referrals of the walk behind.
func TestCacheFlushesWalk(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w, _, _ := national()
		r := w.walk(nil)
		defer r.Close()
		cache := cached(t, r, resolver.CacheOptions{})
		defer cache.Close()
		found(t, cache, resolver.Query{ID: product})
		if n := cache.Flush(identifier.ID{Prefix: "88.118"}); n != 3 {
			t.Errorf("flushed %d; want an entry and two referrals", n)
		}
	})
}

func TestCacheOutstanding(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := &source{answer: known(time.Hour), delay: time.Second}
		cache := cached(t, s, resolver.CacheOptions{Outstanding: 3})
		var kinds [8]resolver.Kind
		var wg sync.WaitGroup
		for n := range kinds {
			wg.Go(func() {
				_, err := cache.Resolve(t.Context(), resolver.Query{ID: identifier.ID{Prefix: "88", Suffix: fmt.Sprint(n)}})
				if e, ok := errors.AsType[*resolver.Error](err); ok {
					kinds[n] = e.Kind
				}
			})
		}
		wg.Wait()
		overloaded := 0
		for _, k := range kinds {
			if k == resolver.Overloaded {
				overloaded++
			}
		}
		if overloaded != 5 {
			t.Errorf("%d questions were refused; want 5", overloaded)
		}
		// After Close what is missing cannot be had.
		cache.Close()
		if _, err := cache.Resolve(t.Context(), resolver.Query{ID: item}); err == nil {
			t.Error("got an answer from a closed cache")
		}
	})
}

// A trace is not called when its asker has gone.
func TestCacheTrace(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w, _, maker := national()
		maker.delay = 500 * time.Millisecond
		r := w.walk(nil)
		defer r.Close()
		cache := cached(t, r, resolver.CacheOptions{})
		defer cache.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		hops := 0
		if _, err := cache.Resolve(resolver.WithTrace(ctx, func(resolver.Hop) { hops++ }), resolver.Query{ID: product}); err == nil {
			t.Error("got an answer in time")
		}
		time.Sleep(time.Minute)
		if hops != 2 {
			t.Errorf("heard of %d hops; want 2", hops)
		}
	})
}
