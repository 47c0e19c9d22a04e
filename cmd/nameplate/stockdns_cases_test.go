package main

import (
	"bytes"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nameplate-id/nameplate/registry/identifier"
	resolverdns "github.com/nameplate-id/nameplate/resolver/dns"

	"github.com/miekg/dns"
)

// topNames are the five top-level nodes, in the order of deploy/unbound.conf.
var topNames = []string{"east", "west", "north", "south", "centre"}

// stockTree is a chain of three nodes below five: every scheme has its identifiers at
// the enterprise node. The prefixes are cut so that names stand between the cuts. As in
// the networks that are shipped, every node with children answers from mirrors.
const stockTree = `
ports: {dns: 53, grpc: 2640, http: 8080}
log: {level: info}
nodes:
  - {name: east, address: TOP1, mirror: 127.88.0.101}
  - {name: west, address: TOP2, mirror: 127.88.0.102}
  - {name: north, address: TOP3, mirror: 127.88.0.103}
  - {name: south, address: TOP4, mirror: 127.88.0.104}
  - {name: centre, address: TOP5, mirror: 127.88.0.105}
  - name: pumps
    parent: east
    prefixes: ["88.118", "gs1.9.5.0", "oid.1.2", "web.example", "did"]
    address: 127.88.1.1
    mirror: 127.88.1.101
  - name: brightwater
    parent: pumps
    prefixes: ["88.118.8", "gs1.9.5.0.6.0.0.0", "oid.1.2.156.3001", "web.example.maker", "did.web"]
    address: 127.88.2.1
holders:
  - {name: acme, prefixes: ["88.118.9"]}
`

const (
	enterpriseNode = "127.88.2.1"
	secondaryNode  = "127.88.1.1"
	secondaryCopy  = "127.88.1.101"
	topCopy        = "127.88.0.101" // of the secondary node's log
)

// stockItem is an identifier and what it is registered with.
type stockItem struct {
	id    string
	links []string // URIs, the default link first
	flags []string // more flags of register
}

var stockZone = resolverdns.MustParseZone(resolverdns.DefaultZone)

func (r *stockItem) parsed(t *testing.T) identifier.ID {
	t.Helper()
	id, err := identifier.Parse(r.id)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func (r *stockItem) name(t *testing.T) string { return stockZone.Name(r.parsed(t)) }

// stockIdentifiers have names of every form.
func stockIdentifiers() []stockItem {
	link := func(of string) []string { return []string{"https://maker.example/at/" + of} }
	return []stockItem{
		{id: "88.118.8", links: link("prefix")},
		{id: "88.118.8/SN-42", links: []string{"https://maker.example/at/plain"}, flags: []string{"--link", "https://dpp.example/42; rel=gs1:dpp"}},
		{id: "88.118.8/größe 1", links: link("encoded")},
		{id: "88.118.8/a serial number in three labels: it has just more than seventy-eight octets in it", links: link("labels")},
		{id: "88.118.8/" + strings.Repeat("a serial number that is too long for a name; ", 6), links: link("hashed")},
		{id: "88.118.8.3.14/deep", links: link("deep")},
		{id: "(01)09506000134352", links: link("gtin")},
		{id: "(01)09506000134352(21)SN-42", links: link("serial")},
		{id: "1.2.156.3001.7", links: link("oid")},
		{id: "1.2.156.3001.7.1.1", links: link("arcs")},
		{id: "https://maker.example/p/4711?s=A", links: link("url")},
		{id: "did:web:maker.example", links: link("did")},
	}
}

// bigValues are more than any datagram takes.
func bigValues() []string {
	var flags []string
	for range 20 {
		flags = append(flags, "--value", "DESC="+strings.Repeat("much ", 40))
	}
	return flags
}

func testStockDNS(t *testing.T, folder string) {
	s := startStock(t, folder, stockTree)
	all := stockIdentifiers()
	for _, r := range all {
		flags := r.flags
		for i, uri := range r.links {
			flags = append(flags, "--link", uri+map[bool]string{true: "; default"}[i == 0])
		}
		s.register(t, "brightwater", "brightwater", r.id, flags...)
	}
	s.register(t, "brightwater", "brightwater", "88.118.8/big", bigValues()...)
	if m, err := direct(enterpriseNode, "big._i.8.118.88.id.internal.", dns.TypeTXT); err != nil || m.Len() < 4000 {
		t.Errorf("got %v, %v; want an answer too large for a datagram", m, err)
	}
	s.register(t, "pumps", "acme", "88.118.9/local", "--link", "https://acme.example/1")

	t.Run("cuts", s.testCuts)
	s.root.heard() // that was this test
	for _, u := range []*unbound{s.stub, s.walker, s.caps} {
		t.Run("identifiers/"+u.address, func(t *testing.T) { u.testIdentifiers(t, all) })
		t.Run("absent/"+u.address, func(t *testing.T) { u.testAbsent(t, false) })
		t.Run("TCP/"+u.address, u.testTCP)
	}
	t.Run("random case", s.testRandomCase)
	t.Run("minimised", s.testMinimised)
	t.Run("trace", func(t *testing.T) {
		// Any of the zone's servers may be the one that dig asks.
		for range 50 {
			if testTrace(t, all[1].name(t), enterpriseNode, secondaryCopy) == enterpriseNode {
				return
			}
		}
		t.Error("no trace ended at the enterprise node")
	})
	t.Run("failover", func(t *testing.T) { s.testFailover(t, all) })
}

// testIdentifiers asks for every identifier in every way.
func (u *unbound) testIdentifiers(t *testing.T, all []stockItem) {
	for _, r := range all {
		name := r.name(t)
		var uris []string
		for _, rr := range u.found(t, name, dns.TypeURI) {
			uris = append(uris, rr.(*dns.URI).Target)
		}
		if len(uris) == 0 || !slices.Equal(uris[:min(len(uris), len(r.links))], r.links) {
			t.Errorf("%s: got URI %q; want to begin with %q", name, uris, r.links)
		}
		naptr := u.found(t, name, dns.TypeNAPTR)
		if len(naptr) == 0 || !strings.Contains(naptr[0].(*dns.NAPTR).Regexp, r.links[0]) {
			t.Errorf("%s: got NAPTR %v; want %q", name, naptr, r.links)
		}
		txt := u.found(t, name, dns.TypeTXT)
		canonical := "id=" + r.parsed(t).String()
		if !slices.ContainsFunc(txt, func(rr dns.RR) bool { return slices.Contains(strs(rr.(*dns.TXT)), canonical) }) {
			t.Errorf("%s: got TXT %v; want %q in it", name, txt, canonical)
		}
	}
	dpp := u.found(t, "_dpp."+all[1].name(t), dns.TypeURI)
	if len(dpp) != 1 || dpp[0].(*dns.URI).Target != "https://dpp.example/42" {
		t.Errorf("got %v for the link type dpp; want one link", dpp)
	}
	for name, want := range map[string]string{
		"local._i.9.118.88.id.internal.": "https://acme.example/1", // at the secondary node
		"Sn-42._I.8.118.88.ID.internal.": all[1].links[0],          // in other letters
	} {
		if rrs := u.found(t, name, dns.TypeURI); len(rrs) == 0 || rrs[0].(*dns.URI).Target != want {
			t.Errorf("%s: got %v; want %s", name, rrs, want)
		}
	}
}

// strs returns the character-strings of a TXT record as they are, those put together
// that did not fit in one: what goes on begins with a plus.
func strs(rr *dns.TXT) []string {
	var all []string
	escaped := regexp.MustCompile(`\\(\d\d\d|.)`)
	for _, s := range rr.Txt {
		s = escaped.ReplaceAllStringFunc(s, func(e string) string {
			if code, err := strconv.Atoi(e[1:]); err == nil && len(e) == 4 {
				return string([]byte{byte(code)})
			}
			return e[1:]
		})
		if more, ok := strings.CutPrefix(s, "+"); ok && len(all) > 0 {
			all[len(all)-1] += more
			continue
		}
		all = append(all, s)
	}
	return all
}

// found returns the records of a type at a name, in the order of their priorities.
func (u *unbound) found(t *testing.T, name string, rrtype uint16) []dns.RR {
	t.Helper()
	m := u.ask(t, name, rrtype)
	if m.Rcode != dns.RcodeSuccess {
		t.Errorf("%s %s: got %s; want NOERROR", name, dns.TypeToString[rrtype], dns.RcodeToString[m.Rcode])
		return nil
	}
	rrs := slices.DeleteFunc(m.Answer, func(rr dns.RR) bool { return rr.Header().Rrtype != rrtype })
	slices.SortFunc(rrs, func(a, b dns.RR) int { return priority(a) - priority(b) })
	return rrs
}

func priority(rr dns.RR) int {
	switch rr := rr.(type) {
	case *dns.URI:
		return int(rr.Priority)
	case *dns.NAPTR:
		return int(rr.Preference)
	}
	return 0
}

// testAbsent asks for what is not there: names, types, and names with nothing of their
// own above others. Of a zone whose node is dead nobody knows which identifiers there are
// not: the mirror says SERVFAIL, and unbound, which goes on asking the dead node for a
// while, says so or nothing, and never NXDOMAIN. What lies above something, and what is no
// name of an identifier, the mirror knows.
func (u *unbound) testAbsent(t *testing.T, dead bool) {
	unknown := map[string]bool{ // to the mirror: there may be such an identifier
		"nope._i.8.118.88.id.internal. TXT": true, "_dpp.nope._i.8.118.88.id.internal. URI": true,
		"14.3.8.118.88.id.internal. TXT": true, "3.8.118.88.id.internal. TXT": true,
		"1.7.3001.156.2.1.oid.id.internal. TXT": true,
	}
	const noData, absent = dns.RcodeSuccess, dns.RcodeNameError
	for _, test := range []struct {
		name   string
		rrtype uint16
		rcode  int
		zone   string // whose SOA says so
	}{
		{"nope._i.8.118.88.id.internal.", dns.TypeTXT, absent, "8.118.88.id.internal."},
		{"_dpp.nope._i.8.118.88.id.internal.", dns.TypeURI, absent, "8.118.88.id.internal."},
		{"sn-42._i.7.118.88.id.internal.", dns.TypeTXT, absent, "118.88.id.internal."},
		{"sn-42._i.8.119.88.id.internal.", dns.TypeTXT, absent, "id.internal."},
		{"sn-42.q._q.8.118.88.id.internal.", dns.TypeTXT, absent, "8.118.88.id.internal."},
		{"sn-42._i.8.118.88.id.internal.", dns.TypeA, noData, "8.118.88.id.internal."},
		{"_hasretailers.sn-42._i.8.118.88.id.internal.", dns.TypeURI, noData, "8.118.88.id.internal."},
		{"_i.8.118.88.id.internal.", dns.TypeA, noData, "8.118.88.id.internal."},
		{"_b.8.118.88.id.internal.", dns.TypeA, noData, "8.118.88.id.internal."},
		{"_h.8.118.88.id.internal.", dns.TypeTXT, noData, "8.118.88.id.internal."},
		{"_ns.8.118.88.id.internal.", dns.TypeA, noData, "8.118.88.id.internal."},
		{"brightwater._ns.8.118.88.id.internal.", dns.TypeAAAA, noData, "8.118.88.id.internal."},
		{"14.3.8.118.88.id.internal.", dns.TypeTXT, noData, "8.118.88.id.internal."},
		{"3.8.118.88.id.internal.", dns.TypeTXT, noData, "8.118.88.id.internal."},
		{"8.118.88.id.internal.", dns.TypeA, noData, "8.118.88.id.internal."},
		{"118.88.id.internal.", dns.TypeTXT, noData, "118.88.id.internal."},
		{"88.id.internal.", dns.TypeTXT, noData, "id.internal."},
		{"id.internal.", dns.TypeTXT, noData, "id.internal."},
		{"1.oid.id.internal.", dns.TypeTXT, noData, "id.internal."},
		{"156.2.1.oid.id.internal.", dns.TypeTXT, noData, "2.1.oid.id.internal."},
		{"1.7.3001.156.2.1.oid.id.internal.", dns.TypeTXT, noData, "3001.156.2.1.oid.id.internal."},
		{"0.6.0.5.9.gs1.id.internal.", dns.TypeTXT, noData, "0.5.9.gs1.id.internal."},
		{"8.118.88.id.internal.", dns.TypeDS, noData, "118.88.id.internal."},
		{"118.88.id.internal.", dns.TypeDS, noData, "id.internal."},
	} {
		question := test.name + " " + dns.TypeToString[test.rrtype]
		if dead && unknown[question] {
			m, err := direct(secondaryCopy, test.name, test.rrtype)
			if err != nil || m.Rcode != dns.RcodeServerFailure || m.IsEdns0() == nil || len(m.IsEdns0().Option) == 0 {
				t.Errorf("%s at the mirror: got %v, %v; want SERVFAIL with a reason", question, m, err)
			}
			c := &dns.Client{Timeout: 3 * time.Second}
			m, _, err = c.Exchange(new(dns.Msg).SetQuestion(test.name, test.rrtype), u.address+":53")
			if err == nil && (m.Rcode != dns.RcodeServerFailure || len(m.Answer) != 0) {
				t.Errorf("%s: got %s with %v; want SERVFAIL while its node is dead", question, dns.RcodeToString[m.Rcode], m.Answer)
			}
			continue
		}
		m := u.ask(t, test.name, test.rrtype)
		if m.Rcode != test.rcode || len(m.Answer) != 0 {
			t.Errorf("%s: got %s with %v; want %s and nothing", question, dns.RcodeToString[m.Rcode], m.Answer, dns.RcodeToString[test.rcode])
			continue
		}
		if zone := soaOf(m); zone != test.zone {
			t.Errorf("%s: the SOA is of %q; want %q", question, zone, test.zone)
		}
	}
}

// soaOf returns the owner of the SOA record of a negative answer.
func soaOf(m *dns.Msg) string {
	for _, rr := range m.Ns {
		if rr.Header().Rrtype == dns.TypeSOA {
			return strings.ToLower(rr.Header().Name)
		}
	}
	return ""
}

// testTCP asks for more than a datagram takes, between all of them.
func (u *unbound) testTCP(t *testing.T) {
	const name = "big._i.8.118.88.id.internal."
	if rrs := u.found(t, name, dns.TypeTXT); len(rrs) != 21 {
		t.Errorf("%s: got %d TXT records; want 21", name, len(rrs))
	}
}

// testRandomCase looks whether every answer repeated the letters of the question: unbound
// says when it does not believe one.
func (s *stock) testRandomCase(t *testing.T) {
	log, err := os.ReadFile(s.caps.log)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(log, []byte("qname perturbed")) {
		t.Error("unbound does not log what it asks")
	}
	if m := regexp.MustCompile(`(?im).*capsforid.*`).Find(log); m != nil {
		t.Errorf("unbound did not believe an answer: %s", m)
	}
}

// testMinimised looks what the root was asked: nothing below the cut, and nothing but
// names that it has.
func (s *stock) testMinimised(t *testing.T) {
	for _, name := range s.root.heard() {
		if !slices.Contains([]string{".", "root.", "a.root.", "internal.", "id.internal."}, name) {
			t.Errorf("the root was asked for %s", name)
		}
	}
}

// testCuts compares both sides of every cut: the same name servers, whose addresses are
// answered by all of them.
func (s *stock) testCuts(t *testing.T) {
	for _, cut := range []struct {
		zone    string
		above   []string // that refer
		servers []string // that answer for it
		names   []string
	}{
		{"id.internal.", []string{rootServer}, []string{"127.88.0.1", "127.88.0.5"}, topNames},
		// All top-level nodes name the mirror, though only one of them has it.
		{"118.88.id.internal.", []string{"127.88.0.1", "127.88.0.5"}, []string{secondaryNode, topCopy}, []string{"east-mirror", "pumps"}},
		{"8.118.88.id.internal.", []string{secondaryNode, topCopy}, []string{enterpriseNode, secondaryCopy}, []string{"brightwater", "pumps-mirror"}},
		{"3001.156.2.1.oid.id.internal.", []string{secondaryNode, topCopy}, []string{enterpriseNode, secondaryCopy}, []string{"brightwater", "pumps-mirror"}},
	} {
		var want []string
		for _, name := range cut.names {
			want = append(want, name+"._ns."+cut.zone)
		}
		slices.Sort(want)
		for _, server := range cut.above {
			eventually(t, "the cut at "+cut.zone+" is complete at "+server, func() error {
				m, err := direct(server, "x."+cut.zone, dns.TypeA)
				if err != nil || m.Authoritative || m.Rcode != dns.RcodeSuccess {
					return fmt.Errorf("got %v, %w; want a referral", m, err)
				}
				if got := serversIn(m.Ns, cut.zone); !slices.Equal(got, want) {
					return fmt.Errorf("got NS %v; want %v", got, want)
				}
				if len(slices.DeleteFunc(m.Extra, func(rr dns.RR) bool { return rr.Header().Rrtype != dns.TypeA })) != len(want) {
					return fmt.Errorf("got %v; want glue for %v", m.Extra, want)
				}
				return nil
			})
		}
		for _, server := range cut.servers {
			eventually(t, server+" answers for "+cut.zone, func() error { return answersFor(server, cut.zone, want) })
		}
	}
}

// answersFor checks that a server is one of a zone's: NS, SOA, and the addresses of the
// name servers.
func answersFor(server, zone string, names []string) error {
	m, err := direct(server, zone, dns.TypeNS)
	if err != nil || !m.Authoritative {
		return fmt.Errorf("NS: got %v, %w; want an authoritative answer", m, err)
	}
	if got := serversIn(m.Answer, zone); !slices.Equal(got, names) {
		return fmt.Errorf("got NS %v; want %v", got, names)
	}
	m, err = direct(server, zone, dns.TypeSOA)
	if err != nil || !m.Authoritative || len(m.Answer) != 1 {
		return fmt.Errorf("SOA: got %v, %w; want one", m, err)
	}
	if got := m.Answer[0].(*dns.SOA).Ns; !slices.Contains(names, got) {
		return fmt.Errorf("the SOA names %s; want one of %v", got, names)
	}
	for _, name := range names {
		if m, err = direct(server, name, dns.TypeA); err != nil || !m.Authoritative || len(m.Answer) == 0 {
			return fmt.Errorf("address of %s: got %v, %w; want it", name, m, err)
		}
	}
	return nil
}

func serversIn(rrs []dns.RR, zone string) []string {
	var names []string
	for _, rr := range rrs {
		if ns, ok := rr.(*dns.NS); ok && ns.Hdr.Name == zone {
			names = append(names, ns.Ns)
		}
	}
	slices.Sort(names)
	return names
}

// testTrace follows a name from the root with dig +trace: to a top-level node, the
// secondary node and one of the zone's servers. It returns the address of that.
func testTrace(t *testing.T, name string, servers ...string) string {
	t.Helper()
	out := dig(t, "+trace", "+nodnssec", "URI", name)
	var hops []string
	for _, m := range regexp.MustCompile(`(?m)^;; Received \d+ bytes from (\S+)#53\(`).FindAllStringSubmatch(out, -1) {
		hops = append(hops, m[1])
	}
	if len(hops) != 5 || hops[0] != walkingUnbound || hops[1] != rootServer || !strings.HasPrefix(hops[2], "127.88.0.") ||
		hops[3] != secondaryNode && hops[3] != topCopy || !slices.Contains(servers, hops[4]) {
		t.Fatalf("got hops %q; want root, top-level, secondary and at last one of %q\n%s", hops, servers, out)
	}
	if !regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(name) + `\s+\d+\s+IN\s+URI\s`).MatchString(out) {
		t.Errorf("no answer for %s:\n%s", name, out)
	}
	return hops[4]
}

// testFailover kills the enterprise node, then brings it back and kills the secondary.
func (s *stock) testFailover(t *testing.T, all []stockItem) {
	eventually(t, "the mirror has everything", func() error {
		for _, r := range all {
			m, err := direct(secondaryCopy, r.name(t), dns.TypeTXT)
			if err != nil || !m.Authoritative || len(m.Answer) == 0 {
				return fmt.Errorf("%s: got %v, %w", r.name(t), m, err)
			}
		}
		return nil
	})
	if err := s.tree.Kill("brightwater"); err != nil {
		t.Fatal(err)
	}
	s.again(t, "over the mirror", all)
	t.Run("trace over the mirror", func(t *testing.T) {
		testTrace(t, all[1].name(t), secondaryCopy)
	})

	if err := s.tree.Start(t.Context(), "brightwater"); err != nil {
		t.Fatal(err)
	}
	// Only the child has what is registered when the mirror is away. Whose zone it is,
	// is known: above the secondary there is no other way to it.
	if err := s.tree.Kill("pumps"); err != nil {
		t.Fatal(err)
	}
	later := stockItem{id: "88.118.8/later", links: []string{"https://maker.example/later"}}
	s.register(t, "brightwater", "brightwater", later.id, "--link", later.links[0])
	for _, u := range []*unbound{s.stub, s.walker} {
		t.Run("back/"+u.address, func(t *testing.T) {
			t.Parallel()
			for _, r := range append(slices.Clone(all), later) {
				started := time.Now()
				u.control(t, "flush_type", r.name(t), "URI")
				if rrs := u.found(t, r.name(t), dns.TypeURI); len(rrs) == 0 || rrs[0].(*dns.URI).Target != r.links[0] {
					t.Errorf("%s: got %v; want %s", r.name(t), rrs, r.links[0])
				}
				t.Logf("%s took %v", r.name(t), time.Since(started))
			}
		})
	}
}

// again lets both unbounds forget everything that they were told and asks again.
func (s *stock) again(t *testing.T, how string, all []stockItem) {
	t.Run(how, func(t *testing.T) {
		for _, u := range []*unbound{s.stub, s.walker} {
			t.Run(u.address, func(t *testing.T) {
				t.Parallel() // they wait most of the time
				u.control(t, "flush_zone", "id.internal")
				started := time.Now()
				u.found(t, all[0].name(t), dns.TypeURI)
				t.Logf("the first answer took %v", time.Since(started))
				t.Run("identifiers", func(t *testing.T) { u.testIdentifiers(t, all) })
				t.Run("absent", func(t *testing.T) { u.testAbsent(t, true) })
				t.Run("TCP", u.testTCP)
			})
		}
	})
}
