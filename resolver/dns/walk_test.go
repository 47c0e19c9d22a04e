package dns_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/resolver/dns"

	wire "github.com/miekg/dns"
	"pgregory.net/rapid"
)

// A resolver that minimises names (RFC 9156) asks for one label more at a time and
// gives up at the first NXDOMAIN (RFC 8020). It must reach everything.
func TestWalkReachesEverything(t *testing.T) {
	n := node()
	s := newServer(t, authority(n))
	names := []string{"centre._ns.id.internal."}
	for id := range n.Records {
		names = append(names, defaultZone.Name(id), "_pip."+defaultZone.Name(id))
	}
	for p := range n.Delegations {
		names = append(names, defaultZone.Name(identifier.ID{Prefix: p}))
	}
	for _, name := range names {
		walk(t, s, name)
	}
}

// walk asks for every name above a name and for itself, in a few types.
func walk(t testing.TB, s *dns.Server, name string) {
	t.Helper()
	labels := wire.SplitDomainName(name)
	for i := len(labels) - 2; i >= 0; i-- {
		above := strings.Join(labels[i:], ".") + "."
		for _, rrtype := range []uint16{wire.TypeA, wire.TypeNS, wire.TypeTXT, wire.TypeSOA, wire.TypeURI} {
			got := ask(t, s, query(t, above, rrtype))
			if got.Rcode != wire.RcodeSuccess {
				t.Fatalf("on the way to %s: %s %s is %s", name, above, wire.TypeToString[rrtype], wire.RcodeToString[got.Rcode])
			}
			if len(got.Answer) == 0 && !got.Authoritative && len(got.Ns) > 0 && got.Ns[0].Header().Rrtype == wire.TypeNS {
				return // the way goes on at another node
			}
		}
	}
}

// Whatever a node holds: the walk reaches all of it, and below what is NXDOMAIN
// there is nothing.
func TestNothingBelowNXDOMAIN(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n := node()
		n.Records = map[identifier.ID]*identifier.Record{}
		for _, id := range rapid.SliceOfN(identifiers(), 1, 20).Draw(rt, "ids") {
			n.Records[id] = &identifier.Record{ID: id, Version: 1, Values: []identifier.Value{link("", "https://maker.example/", 60)}}
		}
		s := newServer(t, authority(n))
		var names []string
		for id := range n.Records {
			names = append(names, defaultZone.Name(id))
		}
		for _, name := range names {
			walk(t, s, name)
		}
		// Change a name a little: what is not there any more must cover nothing.
		name := rapid.SampledFrom(slices.Sorted(slices.Values(names))).Draw(rt, "name")
		labels := wire.SplitDomainName(name)
		labels = labels[rapid.IntRange(0, len(labels)-2).Draw(rt, "cut"):]
		i := rapid.IntRange(0, len(labels)-1).Draw(rt, "label")
		labels[i] = rapid.SampledFrom([]string{labels[i], "x", "_i", "_b", "_h", "88", labels[i][1:] + "0"}).Draw(rt, "other")
		asked := strings.Join(labels, ".") + "."
		got := ask(t, s, query(t, asked, wire.TypeTXT))
		for _, existing := range names {
			if got.Rcode == wire.RcodeNameError && (existing == asked || strings.HasSuffix(existing, "."+asked)) {
				rt.Fatalf("%s is NXDOMAIN, and %s is there", asked, existing)
			}
		}
	})
}

// Every record of a node comes back through the client as it is.
func TestClientFindsEverything(t *testing.T) {
	n := node()
	address, _ := serve(t, authority(n), dns.Options{Node: thisNode})
	client := dns.NewClient(address, dns.ClientOptions{})
	for _, id := range slices.SortedFunc(maps.Keys(n.Records), identifier.Compare) {
		checkFound(t, client, n, id)
	}
}
