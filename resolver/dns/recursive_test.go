package dns_test

import (
	"context"
	"testing"
	"time"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/resolver"
	"github.com/nameplate-id/nameplate/resolver/dns"
	"github.com/nameplate-id/nameplate/resolver/resolvertest"

	wire "github.com/miekg/dns"
)

// desiring asks for recursion.
type desiring struct{ resolver.Resolver }

func (d desiring) Resolve(ctx context.Context, q resolver.Query) (resolver.Answer, error) {
	q.Recursive = true
	return d.Resolver.Resolve(ctx, q)
}

// Answers without AA survive as well, when recursion was desired.
func TestConformanceRecursive(t *testing.T) {
	resolvertest.Run(t, resolver.DNS, func(t *testing.T, backend resolver.Resolver) resolver.Resolver {
		address, _ := serve(t, resolver.ForRecursive(backend), dns.Options{Recursive: true})
		return desiring{dns.NewClient(address, dns.ClientOptions{})}
	}, append(omissions(), resolvertest.Omission{Part: resolvertest.Recursive, Because: "the test desires it always"})...)
}

// A recursive node has RA and never AA, tells what is stale, and is no name server of
// the zones that it has answers from.
func TestRecursive(t *testing.T) {
	id := identifier.ID{Prefix: "88.30", Suffix: "x"}
	found := resolver.Answer{
		Outcome: resolver.Found, InZone: true, Apex: "88.30", ID: id, Lifetime: resolver.StaleTTL,
		Record: &identifier.Record{ID: id, Version: 1, Values: []identifier.Value{link("", "https://maker.example/x", 3600)}},
		Origin: resolver.Origin{Stale: true, Age: time.Hour},
	}
	absent := resolver.Answer{Outcome: resolver.Absent, InZone: true, Apex: "88.30", Lifetime: 10 * time.Second}
	s, err := dns.New(resolver.ForRecursive(fixed{answer: absent, other: map[identifier.ID]resolver.Answer{id: found}}), dns.Options{Node: thisNode, Recursive: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, rrtype string
		desired      bool
		rcode        int
		answers      []string
	}{
		{"x._i.30.88.id.internal.", "URI", true, wire.RcodeSuccess, []string{`x._i.30.88.id.internal. 30 IN URI 1 1 "https://maker.example/x"`}},
		{"y._i.30.88.id.internal.", "URI", true, wire.RcodeNameError, nil},
		{"30.88.id.internal.", "NS", true, wire.RcodeSuccess, nil},
		{"30.88.id.internal.", "SVCB", true, wire.RcodeSuccess, nil},
		{"centre._ns.30.88.id.internal.", "A", true, wire.RcodeNameError, nil},
		{"x._i.30.88.id.internal.", "URI", false, wire.RcodeRefused, nil},
	} {
		t.Run(c.name+" "+c.rrtype, func(t *testing.T) {
			m := query(t, c.name, wire.StringToType[c.rrtype])
			m.RecursionDesired = c.desired
			m.SetEdns0(1232, false)
			got := ask(t, s, m)
			if got.Rcode != c.rcode || got.Authoritative || !got.RecursionAvailable || got.RecursionDesired != c.desired {
				t.Errorf("got %s, aa %t, ra %t; want %s, no aa, ra", wire.RcodeToString[got.Rcode], got.Authoritative, got.RecursionAvailable, wire.RcodeToString[c.rcode])
			}
			sameRecords(t, "answer", got.Answer, c.answers...)
			if len(c.answers) > 0 {
				if e := explanations(got); len(e) != 1 || e[0] != (wire.EDNS0_EDE{InfoCode: 3, ExtraText: "stale, age 1h0m0s"}) {
					t.Errorf("got extended errors %v; want the age", e)
				}
			}
		})
	}
}

// What a recursive node does for a question that its cache has the answer to, from
// datagram to datagram.
func BenchmarkRecursiveCached(b *testing.B) {
	id := identifier.ID{Prefix: "88.118.8", Suffix: "sn-42"}
	found := resolver.Answer{
		Outcome: resolver.Found, InZone: true, Apex: "88.118", ID: id, Lifetime: time.Hour,
		Record: &identifier.Record{ID: id, Version: 1, Values: []identifier.Value{link("", "https://maker.example/x", 3600)}},
	}
	cache, err := resolver.NewCache(fixed{answer: found}, resolver.CacheOptions{})
	if err != nil {
		b.Fatal(err)
	}
	defer cache.Close()
	s, err := dns.New(resolver.ForRecursive(cache), dns.Options{Node: thisNode, Recursive: true})
	if err != nil {
		b.Fatal(err)
	}
	q := packed(b, func(m *wire.Msg) { m.Question[0].Qtype, m.RecursionDesired = wire.TypeURI, true })
	b.ReportAllocs()
	for b.Loop() {
		if len(dns.Answer(b.Context(), s, q)) < 50 {
			b.Fatal("no answer")
		}
	}
}
