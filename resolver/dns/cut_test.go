package dns_test

import (
	"slices"
	"testing"
	"time"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/resolver"
	"github.com/nameplate-id/nameplate/resolver/dns"
	"github.com/nameplate-id/nameplate/resolver/resolvertest"

	wire "github.com/miekg/dns"
)

// copied is a parent's copy of the one child's log.
type copied struct{ child *resolvertest.Store }

func (c copied) Mirror(*identifier.Delegation) (resolver.Store, time.Duration) {
	return c.child, time.Second
}

// sides are the servers at the cut 88.30: the parent's own address, which refers, its
// mirror's, the child's, and a peer of the parent, which has no mirror.
func sides(t *testing.T) (parent, mirror, child, peer *dns.Server) {
	t.Helper()
	copyNode := identifier.Node{Name: "centre-mirror", Key: thisKey, Addresses: []identifier.Address{
		{IP: "192.0.2.101", DNS: 53}, {IP: "192.0.2.1", GRPC: 2640},
	}}
	top := node()
	granted := *top.Delegations["88.30"]
	granted.Mirrors = []identifier.Node{copyNode}
	top.Delegations["88.30"] = &granted
	below := &resolvertest.Store{
		Apexes: []identifier.Prefix{"88.30"}, Records: map[identifier.ID]*identifier.Record{},
		Delegations: map[identifier.Prefix]*identifier.Delegation{}, Grant: &granted,
	}
	below.Put("88.30/item", value("DESC", "at the child", 300))
	above := resolver.NewAuthority(top, resolver.Options{Node: thisKey, Mirrors: copied{below}})
	serve := func(r resolver.Resolver, o dns.Options) *dns.Server {
		s, err := dns.New(r, o)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	return serve(above, dns.Options{Node: thisNode}),
		serve(resolver.FromMirrors(above), dns.Options{Node: thisNode}),
		serve(resolver.NewAuthority(below, resolver.Options{Node: childKey}), dns.Options{Node: identifier.Node{Name: "what-it-calls-itself"}}),
		serve(resolver.NewAuthority(top, resolver.Options{Node: thisKey}), dns.Options{Node: thisNode})
}

// A zone has the same name servers whoever is asked, and each of them answers for the
// others' addresses: resolvers replace what the parent said by what the child says.
func TestBothSidesOfACut(t *testing.T) {
	parent, mirror, child, peer := sides(t)
	const zone = "30.88.id.internal."
	want := []string{"centre-mirror._ns." + zone, "n1._ns." + zone}
	servers := func(rrs []wire.RR) []string {
		var names []string
		for _, rr := range rrs {
			if ns, ok := rr.(*wire.NS); ok && ns.Hdr.Name == zone {
				names = append(names, ns.Ns)
			}
		}
		slices.Sort(names)
		return names
	}
	for name, s := range map[string]*dns.Server{"the parent": parent, "its peer": peer} {
		m := ask(t, s, query(t, "x."+zone, wire.TypeA))
		if got := servers(m.Ns); m.Authoritative || !slices.Equal(got, want) {
			t.Errorf("%s: got AA %t and %v; want a referral to %v", name, m.Authoritative, got, want)
		}
		var glue []string
		for _, rr := range m.Extra {
			if a, ok := rr.(*wire.A); ok {
				glue = append(glue, a.A.String())
			}
		}
		if want := []string{"192.0.2.30", "192.0.2.101"}; !slices.Equal(glue, want) {
			t.Errorf("%s: got glue %v; want %v", name, glue, want)
		}
	}
	for name, s := range map[string]*dns.Server{"the mirror": mirror, "the child": child} {
		m := ask(t, s, query(t, zone, wire.TypeNS))
		if got := servers(m.Answer); !m.Authoritative || !slices.Equal(got, want) {
			t.Errorf("%s: got AA %t and %v; want an authoritative %v", name, m.Authoritative, got, want)
		}
		for _, server := range want {
			if m := ask(t, s, query(t, server, wire.TypeA)); !m.Authoritative || len(m.Answer) != 1 {
				t.Errorf("%s: got %v; want the address of %s", name, m, server)
			}
		}
		m = ask(t, s, query(t, zone, wire.TypeSOA))
		if len(m.Answer) != 1 || m.Answer[0].(*wire.SOA).Ns != "n1._ns."+zone {
			t.Errorf("%s: got %v; want the child's SOA", name, m.Answer)
		}
		services := query(t, zone, wire.TypeSVCB)
		services.SetEdns0(1232, false)
		m = ask(t, s, services)
		if len(m.Answer) != 4 || m.Answer[0].(*wire.SVCB).Target != "n1._ns."+zone || m.Answer[3].(*wire.SVCB).Priority != 4 {
			t.Errorf("%s: got %v; want the child before its mirror", name, m.Answer)
		}
	}
}

// A mirror cannot know that an identifier is absent. What it knows it says, so that a
// resolver which asks label by label gets past it to what it holds.
func TestMirrorSaysWhatItKnows(t *testing.T) {
	_, mirror, child, _ := sides(t)
	const noData, absent, fails = wire.RcodeSuccess, wire.RcodeNameError, wire.RcodeServerFailure
	for _, c := range []struct {
		name           string
		rrtype         uint16
		mirror, answer int // what the mirror says, and the child
	}{
		{"30.88.id.internal.", wire.TypeA, noData, noData},
		{"_i.30.88.id.internal.", wire.TypeA, noData, noData},
		{"_b.30.88.id.internal.", wire.TypeA, noData, noData},
		{"item._i.30.88.id.internal.", wire.TypeA, noData, noData},
		{"item._i.30.88.id.internal.", wire.TypeTXT, noData, noData},
		{"a.b._q.30.88.id.internal.", wire.TypeTXT, absent, absent},
		{"x._ns.30.88.id.internal.", wire.TypeA, absent, absent},
		{"_ns.30.88.id.internal.", wire.TypeA, noData, noData},
		{"30.88.id.internal.", wire.TypeTXT, fails, noData}, // the prefix may have a record
		{"other._i.30.88.id.internal.", wire.TypeTXT, fails, absent},
		{"other._i.30.88.id.internal.", wire.TypeA, fails, absent},
		{"_dpp.other._i.30.88.id.internal.", wire.TypeURI, fails, absent},
		{"1.30.88.id.internal.", wire.TypeA, fails, absent}, // something may be below
		{"_i.1.30.88.id.internal.", wire.TypeA, fails, absent},
	} {
		for who, s := range map[string]*dns.Server{"mirror": mirror, "child": child} {
			want := c.answer
			if who == "mirror" {
				want = c.mirror
			}
			q := query(t, c.name, c.rrtype)
			q.SetEdns0(1232, false)
			m := ask(t, s, q)
			if m.Rcode != want {
				t.Errorf("%s %s at the %s: got %s; want %s", c.name, wire.TypeToString[c.rrtype], who, wire.RcodeToString[m.Rcode], wire.RcodeToString[want])
			}
			if want == fails && (m.IsEdns0() == nil || len(m.IsEdns0().Option) == 0) {
				t.Errorf("%s %s at the %s: SERVFAIL without a reason", c.name, wire.TypeToString[c.rrtype], who)
			}
		}
	}
}
