package resolver_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/resolver"
)

var product = identifier.ID{Prefix: "88.118.8.1", Suffix: "sn"}

// national is a tree of three top-level nodes, 88 below them, and 88.118.8 below
// that, with two addresses. Every parent has a mirror of its child.
func national() (w *world, region, maker *house) {
	w = newWorld(3)
	region, maker = w.delegate("88", 1), w.delegate("88.118.8", 2)
	region.mirror["88.118.8"] = true
	for _, top := range w.top {
		top.mirror["88"] = true
	}
	w.records[product] = true
	return w, region, maker
}

// names returns who was asked, "mirror " in front when for its copy.
func names(asked []question) string {
	var b []string
	for _, a := range asked {
		name := a.house.name
		switch {
		case a.house.prefix == "":
			name = "top"
		case a.house.prefix == "88":
			name = "region"
		case strings.HasPrefix(name, "node-88.118.8"):
			name = "maker"
		}
		if a.q.Mirror {
			name = "mirror at " + name
		}
		b = append(b, name)
	}
	return strings.Join(b, ", ")
}

// bubble runs a test in fake time and closes the walk at its end.
func bubble(t *testing.T, f func(*testing.T)) { t.Helper(); synctest.Test(t, f) }

// found asks and fails unless the record is found; it returns where the answer comes
// from and how long it took.
func found(t *testing.T, r resolver.Resolver, q resolver.Query) (resolver.Origin, time.Duration) {
	t.Helper()
	begin := time.Now()
	a, err := r.Resolve(t.Context(), q)
	if err != nil {
		t.Fatalf("%s: %v", q.ID, err)
	}
	if a.Outcome != resolver.Found || a.ID != q.ID || string(a.Record.Values[0].Data) != q.ID.String() {
		t.Fatalf("%s: got %v %v", q.ID, a.Outcome, a.Record)
	}
	return a.Origin, time.Since(begin)
}

// A walk tells by which referral it came to a prefix, for as long as it knows.
func TestWalkTellsTheReferral(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w, _, _ := national()
		r := w.walk(nil)
		defer r.Close()
		told := func() string {
			if d := r.Referral(product.Prefix); d != nil {
				return d.Prefix.String() + " at " + d.Node.Name
			}
			return "nobody"
		}
		if got := told(); got != "nobody" {
			t.Errorf("got %s before anything was asked", got)
		}
		found(t, r, resolver.Query{ID: product})
		if got, want := told(), "88.118.8 at "; !strings.HasPrefix(got, want) {
			t.Errorf("got %s; want the prefix of the maker", got)
		}
		if d := r.Referral("88.5"); d == nil || d.Prefix != "88" {
			t.Errorf("got %+v; want that of the region", d)
		}
		time.Sleep(resolver.ReferralTTL + time.Second)
		if got := told(); got != "nobody" {
			t.Errorf("got %s; want it forgotten", got)
		}
	})
}

func TestWalkFollowsReferrals(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w, _, _ := national()
		r := w.walk(nil)
		defer r.Close()
		found(t, r, resolver.Query{ID: product, Recursive: true})
		asked := w.take()
		if got := names(asked); got != "top, region, maker" {
			t.Errorf("asked %s; want top, region, maker", got)
		}
		for _, a := range asked {
			if a.q.Recursive || a.q.Mirror || a.q.ID != product {
				t.Errorf("%s was asked %+v", a.house.name, a.q)
			}
		}
		// What is known already is not asked again.
		found(t, r, resolver.Query{ID: product})
		if got := names(w.take()); got != "maker" {
			t.Errorf("asked %s; want maker", got)
		}
		other := identifier.ID{Prefix: "88.1", Suffix: "x"}
		if a, err := r.Resolve(t.Context(), resolver.Query{ID: other}); err != nil || a.Outcome != resolver.Absent || a.Apex != "88" {
			t.Errorf("got %v from %q, %v; want absent from 88", a.Outcome, a.Apex, err)
		}
		if got := names(w.take()); got != "region" {
			t.Errorf("asked %s; want region", got)
		}
		// After the lifetime of a referral it is asked for again.
		time.Sleep(resolver.ReferralTTL)
		found(t, r, resolver.Query{ID: product})
		if got := names(w.take()); got != "top, region, maker" {
			t.Errorf("asked %s; want top, region, maker", got)
		}
		if s := r.Stats(); s.Walks != 4 || s.Asked != 8 || s.FromReferral != 2 || s.Failed+s.Lost+s.Lame != 0 {
			t.Errorf("counted %+v", s)
		}
	})
}

func TestWalkFlush(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w, _, _ := national()
		r := w.walk(nil)
		defer r.Close()
		found(t, r, resolver.Query{ID: product})
		w.take()
		if n := r.Flush("88.118"); n != 2 {
			t.Errorf("flushed %d referrals; want 2", n)
		}
		found(t, r, resolver.Query{ID: product})
		if got := names(w.take()); got != "top, region, maker" {
			t.Errorf("asked %s; want everybody", got)
		}
	})
}

// A dead child is answered for by its parent's mirror, at once while it is known to
// be dead, and answers itself soon after it is back.
func TestWalkMirrorAndBack(t *testing.T) {
	for _, m := range []manner{silent, unwilling} {
		bubble(t, func(t *testing.T) {
			w, _, maker := national()
			r := w.walk(nil)
			defer r.Close()
			q := resolver.Query{ID: product}
			found(t, r, q)
			maker.all(m)
			origin, took := found(t, r, q)
			if !origin.Mirror || origin.Age != 7*time.Second || took > 2*time.Second {
				t.Errorf("got %+v after %v; want a mirror's answer within 2s", origin, took)
			}
			found(t, r, q) // the second failure of one that fails quickly
			for range 100 {
				begin := time.Now()
				if origin, _ := found(t, r, q); !origin.Mirror {
					t.Fatal("a dead node answered")
				}
				if took := time.Since(begin); took > 150*time.Millisecond {
					t.Errorf("took %v while the child is known to be dead", took)
				}
				time.Sleep(300 * time.Millisecond)
			}
			_, err := r.Resolve(t.Context(), resolver.Query{ID: product, Authoritative: true})
			if err == nil {
				t.Error("an authoritative query was answered by a mirror")
			}
			maker.all(answers)
			back := time.Now()
			for origin.Mirror {
				origin, _ = found(t, r, q)
				time.Sleep(100 * time.Millisecond)
			}
			if took := time.Since(back); took > 5*time.Second {
				t.Errorf("back after %v; want at most 5s", took)
			}
			for range 10 {
				if origin, took := found(t, r, q); origin.Mirror || took > 0 {
					t.Errorf("got %+v after %v; want the child", origin, took)
				}
			}
		})
	}
}

// While one question waits for a dead node, others do not.
func TestWalkProbesAlone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w, _, maker := national()
		r := w.walk(nil)
		defer r.Close()
		q := resolver.Query{ID: product}
		maker.all(silent)
		found(t, r, q)
		time.Sleep(time.Minute)
		w.take()
		for range 50 {
			go func() {
				if _, err := r.Resolve(t.Context(), q); err != nil {
					t.Error(err)
				}
			}()
		}
		time.Sleep(5 * time.Second)
		probes := strings.Count(names(w.take()), "maker")
		if probes > 10 {
			t.Errorf("%d questions to a dead node; want a few", probes)
		}
	})
}

func TestWalkOtherAddress(t *testing.T) {
	for m := silent; m < manners; m++ {
		bubble(t, func(t *testing.T) {
			w, _, maker := national()
			maker.manner[0] = m
			r := w.walk(nil)
			defer r.Close()
			origin, took := found(t, r, resolver.Query{ID: product})
			if origin.Mirror || took > time.Second {
				t.Errorf("manner %d: got %+v after %v; want the other address", m, origin, took)
			}
			// It is remembered which one answers. One that merely failed gets a second chance.
			found(t, r, resolver.Query{ID: product})
			w.take()
			if _, took := found(t, r, resolver.Query{ID: product}); took > 0 {
				t.Errorf("manner %d: took %v the third time", m, took)
			}
			if got := names(w.take()); got != "maker" {
				t.Errorf("manner %d: asked %s the third time", m, got)
			}
		})
	}
}

// A delegation that moves is noticed when the old node goes, before the referral ends.
func TestWalkMovedDelegation(t *testing.T) {
	for _, m := range []manner{silent, unwilling, strangers, upwards} {
		bubble(t, func(t *testing.T) {
			w, region, maker := national()
			region.mirror = map[identifier.Prefix]bool{}
			r := w.walk(nil)
			defer r.Close()
			q := resolver.Query{ID: product}
			found(t, r, q)
			time.Sleep(10 * time.Second)
			w.delegate("88.118.8", 1)
			maker.all(m)
			found(t, r, q)
			// Taken back altogether: the region answers itself.
			time.Sleep(10 * time.Second)
			w.held["88.118.8"].all(m)
			delete(w.held, "88.118.8")
			found(t, r, q)
		})
	}
}

// When the way that is known leads nowhere, the walk begins again at the top.
func TestWalkBeginsAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w, region, maker := national()
		r := w.walk(nil)
		defer r.Close()
		q := resolver.Query{ID: product}
		found(t, r, q)
		region.all(unwilling)
		maker.all(unwilling)
		w.delegate("88", 1)
		w.delegate("88.118.8", 1)
		found(t, r, q)
	})
}

func TestWalkLoops(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(1)
		w.delegate("88", 1).all(circling)
		r := w.walk(nil)
		defer r.Close()
		_, err := r.Resolve(t.Context(), resolver.Query{ID: product})
		if e, ok := errors.AsType[*resolver.Error](err); !ok || e.Kind != resolver.Unavailable {
			t.Errorf("got %v; want unavailable", err)
		}
		if n := len(w.take()); n > 10 {
			t.Errorf("asked %d questions", n)
		}
	})
}

func TestWalkTooManyReferrals(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(1)
		p := identifier.Prefix("1")
		for range resolver.MaxReferrals + 1 {
			w.delegate(p, 1)
			w.records[identifier.ID{Prefix: p, Suffix: "x"}] = true
			p += ".1"
		}
		r := w.walk(nil)
		defer r.Close()
		deepest, _ := p.Parent()
		above, _ := deepest.Parent()
		found(t, r, resolver.Query{ID: identifier.ID{Prefix: above, Suffix: "x"}})
		for range 2 { // the second time from a referral that is known
			_, err := r.Resolve(t.Context(), resolver.Query{ID: identifier.ID{Prefix: deepest, Suffix: "x"}})
			if err == nil || !strings.Contains(err.Error(), "more than 16 referrals") {
				t.Errorf("got %v; want too many referrals", err)
			}
		}
	})
}

// A referral to many addresses that do not answer costs a bounded number of questions
// and a bounded time.
func TestWalkAmplification(t *testing.T) {
	for _, m := range []manner{silent, unwilling, strangers} {
		bubble(t, func(t *testing.T) {
			w := newWorld(5)
			p := identifier.Prefix("1")
			for range resolver.MaxReferrals {
				w.delegate(p, 16).all(answers)
				p += ".1"
			}
			last, _ := p.Parent()
			w.held[last].all(m)
			r := w.walk(nil)
			defer r.Close()
			for range 3 {
				w.take()
				begin := time.Now()
				if _, err := r.Resolve(t.Context(), resolver.Query{ID: identifier.ID{Prefix: last, Suffix: "x"}}); err == nil {
					t.Error("got an answer")
				}
				if n, took := len(w.take()), time.Since(begin); n > resolver.MaxQuestions || took > 5*time.Second {
					t.Errorf("manner %d: %d questions in %v; want at most %d in 5s", m, n, took, resolver.MaxQuestions)
				}
				time.Sleep(time.Minute)
			}
		})
	}
}

// The errors of nodes that say more than that they cannot answer are passed on.
func TestWalkErrors(t *testing.T) {
	for _, kind := range []resolver.Kind{resolver.Malformed, resolver.Overloaded, resolver.Unauthenticated, resolver.Unavailable} {
		r, err := resolver.NewWalk(resolver.WalkOptions{
			Roots: []identifier.Node{{Name: "top", Addresses: []identifier.Address{{IP: "192.0.2.1", DNS: 53}}}},
			Dial: func(resolver.Endpoint) (resolver.Resolver, error) {
				return resolverFunc(func(context.Context, resolver.Query) (resolver.Answer, error) {
					return resolver.Answer{}, &resolver.Error{Kind: kind, Detail: "so it is"}
				}), nil
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		_, err = r.Resolve(t.Context(), resolver.Query{ID: product})
		if e, ok := errors.AsType[*resolver.Error](err); !ok || e.Kind != kind || !strings.Contains(e.Error(), "so it is") {
			t.Errorf("got %v; want %v: so it is", err, kind)
		}
		r.Close()
	}
}

type resolverFunc func(context.Context, resolver.Query) (resolver.Answer, error)

func (f resolverFunc) Resolve(ctx context.Context, q resolver.Query) (resolver.Answer, error) {
	return f(ctx, q)
}

func TestWalkTrace(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w, _, maker := national()
		maker.all(silent)
		maker.manner[1] = sideways
		r := w.walk(nil)
		defer r.Close()
		var hops []resolver.Hop
		ctx := resolver.WithTrace(t.Context(), func(h resolver.Hop) { hops = append(hops, h) })
		a, err := r.Resolve(ctx, resolver.Query{ID: product})
		if err != nil || !a.Origin.Mirror {
			t.Fatal(a, err)
		}
		var got []string
		for _, h := range hops {
			got = append(got, fmt.Sprintf("%s %s %q mirror %t: %v, lame %t, failed %t, took time %t",
				strings.TrimRight(h.Node, "0123456789"), h.Protocol, h.Prefix, h.Mirror, h.Answer.Outcome, h.Lame != "", h.Err != nil, h.Took > 0))
		}
		want := []string{
			`top- grpc "" mirror false: referral, lame false, failed false, took time false`,
			`node- grpc "88" mirror false: referral, lame false, failed false, took time false`,
			`node-88.118. grpc "88.118.8" mirror false: referral, lame true, failed false, took time false`,
			`node-88.118. grpc "88.118.8" mirror false: unknown, lame false, failed true, took time true`,
			`node- grpc "88.118.8" mirror true: found, lame false, failed false, took time false`,
		}
		if !slices.Equal(got, want) {
			t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	})
}

// A referral that cannot be followed is the answer.
func TestWalkCannotFollow(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w, _, maker := national()
		for _, at := range maker.at {
			delete(w.by, at)
		}
		w.held["88"].mirror = nil
		r := w.walk(nil)
		defer r.Close()
		a, err := r.Resolve(t.Context(), resolver.Query{ID: product})
		if err != nil || a.Outcome != resolver.Referral || a.ID != product || a.Delegation.Prefix != "88.118.8" || a.Lifetime != resolver.ReferralTTL {
			t.Errorf("got %+v, %v; want the referral to 88.118.8", a, err)
		}
	})
}

// Endpoints that are not used for long are closed, those in use are not.
func TestWalkForgetsEndpoints(t *testing.T) {
	w := newWorld(1)
	open := map[netip.AddrPort]bool{}
	for n := range 40 {
		p := identifier.Prefix(fmt.Sprintf("9.%d", n))
		w.delegate(p, 1)
		w.records[identifier.ID{Prefix: p, Suffix: "x"}] = true
	}
	r := w.walk(func(o *resolver.WalkOptions) {
		o.Endpoints = 4
		o.Dial = func(e resolver.Endpoint) (resolver.Resolver, error) {
			d, err := w.dial(e)
			open[e.At] = true
			return &closing{d, func() { delete(open, e.At) }}, err
		}
	})
	for n := range 40 {
		found(t, r, resolver.Query{ID: identifier.ID{Prefix: identifier.Prefix(fmt.Sprintf("9.%d", n)), Suffix: "x"}})
		if len(open) > 5 { // one may still be in use
			t.Fatalf("%d endpoints are open; want 4", len(open))
		}
	}
	r.Close()
	if len(open) != 0 {
		t.Errorf("%d endpoints are open after Close", len(open))
	}
}

type closing struct {
	resolver.Resolver
	closed func()
}

func (c *closing) Close() error { c.closed(); return nil }
