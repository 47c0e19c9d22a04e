package resolver_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/nameplate-id/nameplate/resolver"
)

func TestCacheStale(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := &source{answer: known(time.Minute)}
		cache := cached(t, s, resolver.CacheOptions{})
		defer cache.Close()
		want(t, cache, resolver.Found, time.Minute, 0, false)
		s.say(resolver.Answer{}, errAway)
		time.Sleep(time.Hour)
		want(t, cache, resolver.Found, resolver.StaleTTL, time.Hour, true)
		asked(t, s, 2)
		want(t, cache, resolver.Found, resolver.StaleTTL, time.Hour, true)
		asked(t, s, 2) // that it failed is remembered
		time.Sleep(5 * time.Second)
		want(t, cache, resolver.Found, resolver.StaleTTL, time.Hour+5*time.Second, true)
		asked(t, s, 3)
		// One that does not answer in time counts as well; the answer is not lost.
		s.say(known(time.Minute), nil)
		s.delay = 3 * time.Second
		time.Sleep(5 * time.Second)
		begin := time.Now()
		want(t, cache, resolver.Found, resolver.StaleTTL, time.Hour+11*time.Second, true)
		if took := time.Since(begin); took != 1500*time.Millisecond {
			t.Errorf("waited %v; want 1.5s", took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 400*time.Millisecond)
		defer cancel()
		if a, err := cache.Resolve(ctx, resolver.Query{ID: item}); err != nil || !a.Origin.Stale {
			t.Errorf("got %v, %v; want a stale answer before the asker gives up", a.Origin, err)
		}
		time.Sleep(3 * time.Second)
		asked(t, s, 4)
		want(t, cache, resolver.Found, time.Minute-time.Second, time.Second, false)
		// After a day nothing is answered any more.
		s.say(resolver.Answer{}, errAway)
		time.Sleep(24*time.Hour + time.Minute)
		if a, err := cache.Resolve(t.Context(), resolver.Query{ID: item}); err == nil {
			t.Errorf("got %v after a day", a.Origin)
		}
		if got := cache.Stats(); got.Stale != 5 {
			t.Errorf("counted %d stale answers; want 5", got.Stale)
		}
	})
}

// That something was absent is not told when its time is over, and what is absent now
// is not answered from what was.
func TestCacheStaleIsFound(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := &source{answer: unknown()}
		cache := cached(t, s, resolver.CacheOptions{})
		defer cache.Close()
		want(t, cache, resolver.Absent, resolver.NegativeTTL, 0, false)
		s.say(resolver.Answer{}, errAway)
		time.Sleep(time.Minute)
		if a, err := cache.Resolve(t.Context(), resolver.Query{ID: item}); err == nil {
			t.Errorf("got %v; want no answer", a.Outcome)
		}
		s.say(known(time.Minute), nil)
		time.Sleep(time.Minute)
		want(t, cache, resolver.Found, time.Minute, 0, false)
		s.say(unknown(), nil)
		time.Sleep(time.Minute)
		want(t, cache, resolver.Absent, resolver.NegativeTTL, 0, false)
		s.say(resolver.Answer{}, errAway)
		time.Sleep(time.Minute)
		if a, err := cache.Resolve(t.Context(), resolver.Query{ID: item}); err == nil {
			t.Errorf("got %v; want no answer", a.Outcome)
		}
	})
}

func TestCacheNeverStale(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := &source{answer: known(time.Minute)}
		cache := cached(t, s, resolver.CacheOptions{Stale: -1})
		defer cache.Close()
		want(t, cache, resolver.Found, time.Minute, 0, false)
		s.say(resolver.Answer{}, errAway)
		time.Sleep(time.Minute)
		if a, err := cache.Resolve(t.Context(), resolver.Query{ID: item}); err == nil {
			t.Errorf("got %v; want no answer", a.Outcome)
		}
	})
}

func TestCacheFailures(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := &source{err: errAway}
		cache := cached(t, s, resolver.CacheOptions{})
		defer cache.Close()
		for range 10 {
			if _, err := cache.Resolve(t.Context(), resolver.Query{ID: item}); !errors.Is(err, errAway) {
				t.Errorf("got %v; want %v", err, errAway)
			}
			time.Sleep(100 * time.Millisecond)
		}
		asked(t, s, 1)
		time.Sleep(4 * time.Second)
		s.say(known(time.Minute), nil)
		want(t, cache, resolver.Found, time.Minute, 0, false)
	})
}
