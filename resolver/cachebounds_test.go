package resolver_test

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/resolver"
)

// The memory for entries is bounded, whatever they are.
func TestCacheMemory(t *testing.T) {
	const bound = 8 << 20
	for _, c := range []struct {
		name   string
		values int
		octets int
		err    error
	}{{"many small", 1, 10, nil}, {"many values", 50, 10, nil}, {"large", 2, 30 << 10, nil}, {"failures", 0, 0, errAway}} {
		t.Run(c.name, func(t *testing.T) {
			next := resolverFunc(func(_ context.Context, q resolver.Query) (resolver.Answer, error) {
				if c.err != nil {
					return resolver.Answer{}, &resolver.Error{Kind: resolver.Unavailable, Detail: strings.Repeat("x", 100)}
				}
				a := known(time.Hour)
				a.ID = q.ID
				a.Record = &identifier.Record{ID: q.ID, Spelling: strings.Clone(q.ID.String())}
				for n := range c.values {
					v := value(uint32(n+1), "DESC", 3600, identifier.DefaultPermissions)
					v.Data = make([]byte, c.octets)
					a.Record.Values = append(a.Record.Values, v)
				}
				return a, nil
			})
			cache := cached(t, next, resolver.CacheOptions{Bytes: bound})
			defer cache.Close()
			before := heap()
			total := 0
			for n := 0; total < 4*bound; n++ {
				total += 640 + c.values*(160+c.octets)
				cache.Resolve(t.Context(), resolver.Query{ID: identifier.ID{Prefix: "88.118.8", Suffix: fmt.Sprint("serial-", n)}})
			}
			time.Sleep(50 * time.Millisecond) // evictions go on in the background
			got := cache.Stats()
			if got.Bytes > bound {
				t.Errorf("%d octets are counted; want at most %d", got.Bytes, bound)
			}
			if used := heap() - before; used > bound*5/4 {
				t.Errorf("%d octets are used for %d entries that count as %d", used, got.Entries, got.Bytes)
			} else {
				t.Logf("%d octets used, %d counted, %d entries", used, got.Bytes, got.Entries)
			}
			runtime.KeepAlive(cache)
		})
	}
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// Under random changes, failures and pauses an answer is one that was true no longer
// ago than it says, within its lifetime unless it is marked.
func TestCacheRandom(t *testing.T) {
	type step struct {
		what  int
		pause time.Duration
		life  time.Duration
	}
	steps := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) step {
		return step{rapid.IntRange(0, 5).Draw(rt, "what"), time.Duration(rapid.IntRange(0, 90_000).Draw(rt, "pause")) * time.Millisecond,
			time.Duration(rapid.IntRange(1, 120).Draw(rt, "life")) * time.Second}
	}), 1, 40)
	rapid.Check(t, func(rt *rapid.T) {
		script := steps.Draw(rt, "script")
		problem := ""
		bubble(t, func(t *testing.T) {
			s := &source{answer: unknown()}
			cache := cached(t, s, resolver.CacheOptions{})
			defer cache.Close()
			type fact struct {
				a    resolver.Answer
				till time.Time // when another took its place
			}
			facts := []fact{{a: s.answer}}
			change := func(a resolver.Answer) {
				facts[len(facts)-1].till = time.Now()
				facts = append(facts, fact{a: a})
				s.say(a, s.err)
			}
			for n, x := range script {
				time.Sleep(x.pause)
				switch x.what {
				case 0:
					a := known(x.life)
					a.Record.Version = uint64(n + 10)
					change(a)
				case 1:
					change(unknown())
				case 2:
					s.say(s.answer, errAway)
				case 3:
					s.say(s.answer, nil)
				default:
					a, err := cache.Resolve(t.Context(), resolver.Query{ID: item})
					if err != nil {
						if s.err == nil && x.pause > 5*time.Second {
							problem = "no answer though there is one"
						}
						continue
					}
					since := time.Now().Add(-a.Origin.Age - time.Second)
					ok := false
					for _, f := range facts {
						same := f.a.Outcome == a.Outcome && (a.Record == nil || a.Record.Version == f.a.Record.Version)
						still := f.till.IsZero() || f.till.After(since)
						fresh := a.Origin.Stale || a.Origin.Age+a.Lifetime == f.a.Lifetime
						ok = ok || same && still && fresh
					}
					if !ok {
						problem = fmt.Sprintf("%v of version %v, %v old, for %v, was not true then", a.Outcome, a.Record, a.Origin.Age, a.Lifetime)
					}
					if a.Origin.Stale && (s.err == nil && x.pause > 6*time.Second || a.Outcome != resolver.Found) {
						problem = "stale, though a better answer was to be had"
					}
				}
			}
		})
		if problem != "" {
			rt.Fatal(problem)
		}
	})
}

func BenchmarkCacheFound(b *testing.B) {
	s := &source{answer: known(time.Hour)}
	cache, err := resolver.NewCache(s, resolver.CacheOptions{})
	if err != nil {
		b.Fatal(err)
	}
	defer cache.Close()
	const n = 10_000
	ids := make([]identifier.ID, n)
	for i := range ids {
		ids[i] = identifier.ID{Prefix: "88.118.8", Suffix: fmt.Sprint("sn-", i)}
		cache.Resolve(b.Context(), resolver.Query{ID: ids[i]})
	}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			if _, err := cache.Resolve(b.Context(), resolver.Query{ID: ids[i%n], Recursive: true}); err != nil {
				b.Fatal(err)
			}
		}
	})
	if got := cache.Stats(); got.Missed > n {
		b.Errorf("%d missed", got.Missed)
	}
}

// A walk of one hop, its referral known, and one of three from the top.
func BenchmarkWalk(b *testing.B) {
	for _, c := range []struct {
		name string
		top  bool
	}{{"known referral", false}, {"from the top", true}} {
		b.Run(c.name, func(b *testing.B) {
			w, _, _ := national()
			r := w.walk(nil)
			defer r.Close()
			b.ReportAllocs()
			for b.Loop() {
				if c.top {
					r.Flush("")
				}
				if _, err := r.Resolve(b.Context(), resolver.Query{ID: product}); err != nil {
					b.Fatal(err)
				}
				w.take()
			}
			b.ReportMetric(float64(r.Stats().Asked)/b.Elapsed().Seconds(), "hops/s")
		})
	}
}
