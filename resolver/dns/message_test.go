package dns_test

import (
	"context"
	"encoding/binary"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/resolver"
	"github.com/nameplate-id/nameplate/resolver/dns"

	wire "github.com/miekg/dns"
)

func newServer(t testing.TB, r resolver.Resolver) *dns.Server {
	t.Helper()
	s, err := dns.New(r, dns.Options{Node: thisNode})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// packed returns a good query to change.
func packed(t testing.TB, change func(m *wire.Msg)) []byte {
	t.Helper()
	m := query(t, "sn-42._i.8.118.88.id.internal.", wire.TypeTXT)
	m.SetEdns0(1232, false)
	if change != nil {
		change(m)
	}
	b, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// FORMERR is for broken messages only; what is no query is not answered at all.
func TestMessages(t *testing.T) {
	s := newServer(t, authority(node()))
	good := packed(t, nil)
	question := len(good) - 11 // where the OPT record begins
	with := func(at int, octets ...byte) []byte {
		b := slices.Clone(good)
		copy(b[at:], octets)
		return b
	}
	const none = -1
	for _, c := range []struct {
		name  string
		query []byte
		want  int
	}{
		{"good", good, wire.RcodeSuccess},
		{"empty", nil, none},
		{"shorter than a header", good[:11], none},
		{"a response", with(2, 0x80), none},
		{"a response of garbage", []byte("\x00\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"), none},
		{"a header alone", good[:12], wire.RcodeFormatError},
		{"no question", with(4, 0, 0), wire.RcodeFormatError},
		{"two questions", with(4, 0, 2), wire.RcodeFormatError},
		{"name cut", good[:20], wire.RcodeFormatError},
		{"type cut", good[:question-3], wire.RcodeFormatError},
		{"OPT cut", good[:len(good)-1], wire.RcodeFormatError},
		{"OPT missing", good[:question], wire.RcodeFormatError},
		{"octets behind the end", append(slices.Clone(good), 0), wire.RcodeFormatError},
		{"a compressed question", with(12, 0xc0, 0x0c), wire.RcodeFormatError},
		{"a label of 64", with(12, 0x40), wire.RcodeFormatError},
		{"a name of 256 octets", append(append(slices.Clone(good[:12]), strings.Repeat("\x01a", 128)+"\x00\x00\x10\x00\x01"...), good[question:]...), wire.RcodeFormatError},
		{"records that are not there", with(6, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff), wire.RcodeFormatError},
		{"OPT in the answer section", with(6, 0, 1, 0, 0, 0, 0), wire.RcodeFormatError},
		{"OPT of another name", append(append(slices.Clone(good[:question]), 1, 'x'), good[question:]...), wire.RcodeFormatError},
		{"two OPT", append(with(11, 2), good[question:]...), wire.RcodeFormatError},
		{"an option longer than OPT", append(with(len(good)-2, 0, 4), 0, 10, 0, 1), wire.RcodeFormatError},
		{"an option cut", append(with(len(good)-2, 0, 3), 0, 10, 0), wire.RcodeFormatError},
		{"EDNS of version 1", with(question+6, 1), wire.RcodeBadVers},
		{"EDNS of version 255", with(question+6, 255), wire.RcodeBadVers},
		{"IQUERY", with(2, 1<<3), wire.RcodeNotImplemented},
		{"STATUS", with(2, 2<<3), wire.RcodeNotImplemented},
		{"NOTIFY", with(2, 4<<3), wire.RcodeNotImplemented},
		{"UPDATE", with(2, 5<<3), wire.RcodeNotImplemented},
		{"garbage of opcode 15", append([]byte{1, 2, 15 << 3, 0}, strings.Repeat("\xff", 50)...), wire.RcodeNotImplemented},
		{"class CHAOS", packed(t, func(m *wire.Msg) { m.Question[0].Qclass = wire.ClassCHAOS }), wire.RcodeRefused},
		{"class NONE", packed(t, func(m *wire.Msg) { m.Question[0].Qclass = wire.ClassNONE }), wire.RcodeRefused},
		{"class ANY", packed(t, func(m *wire.Msg) { m.Question[0].Qclass = wire.ClassANY }), wire.RcodeSuccess},
		{"type 0", packed(t, func(m *wire.Msg) { m.Question[0].Qtype = 0 }), wire.RcodeSuccess},
		{"type OPT", packed(t, func(m *wire.Msg) { m.Question[0].Qtype = wire.TypeOPT }), wire.RcodeSuccess},
		{"type 65535", packed(t, func(m *wire.Msg) { m.Question[0].Qtype = 65535 }), wire.RcodeSuccess},
		{"an unknown record beside the question", packed(t, func(m *wire.Msg) {
			m.Extra = append(m.Extra, &wire.TXT{Hdr: wire.RR_Header{Name: "x.", Rrtype: wire.TypeTXT, Class: wire.ClassINET}, Txt: []string{"y"}})
		}), wire.RcodeSuccess},
		{"cookie, padding and unknown options", packed(t, func(m *wire.Msg) {
			m.IsEdns0().Option = []wire.EDNS0{&wire.EDNS0_COOKIE{Code: wire.EDNS0COOKIE, Cookie: "0011223344556677"}, &wire.EDNS0_PADDING{Padding: make([]byte, 20)}, &wire.EDNS0_LOCAL{Code: 65001, Data: []byte{1}}}
		}), wire.RcodeSuccess},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := dns.Answer(t.Context(), s, c.query)
			if c.want == none {
				if b != nil {
					t.Fatalf("got %x; want no answer", b)
				}
				return
			}
			m := &wire.Msg{}
			if err := m.Unpack(b); err != nil {
				t.Fatalf("%x: %v", b, err)
			}
			if m.Rcode != c.want || !m.Response || m.Id != binary.BigEndian.Uint16(c.query) || m.Opcode != int(c.query[2]>>3&0xf) {
				t.Errorf("got %v; want %s", m, wire.RcodeToString[c.want])
			}
			if c.want == wire.RcodeBadVers && (m.IsEdns0().Version() != 0 || len(m.Question) != 1 || len(m.Answer) > 0) {
				t.Errorf("got %v; want version 0 and no answer", m)
			}
		})
	}
}

// fixed gives one answer, or one error, to every question but those in other.
type fixed struct {
	answer resolver.Answer
	err    error
	other  map[identifier.ID]resolver.Answer
}

func (f fixed) Resolve(_ context.Context, q resolver.Query) (resolver.Answer, error) {
	if a, ok := f.other[q.ID]; ok {
		f.answer, f.err = a, nil
	}
	f.answer.ID = q.ID
	return f.answer, f.err
}

// sameRecords compares records written as dig writes them, without the tabs.
func sameRecords(t *testing.T, section string, got []wire.RR, want ...string) {
	t.Helper()
	var texts []string
	for _, rr := range got {
		if rr.Header().Rrtype != wire.TypeOPT {
			texts = append(texts, strings.ReplaceAll(rr.String(), "\t", " "))
		}
	}
	if !slices.Equal(texts, want) {
		t.Errorf("%s: got %q; want %q", section, texts, want)
	}
}

func explanations(m *wire.Msg) (all []wire.EDNS0_EDE) {
	for _, o := range m.IsEdns0().Option {
		if e, ok := o.(*wire.EDNS0_EDE); ok {
			all = append(all, *e)
		}
	}
	return all
}

// A mirroring parent is a secondary of the child's zone: AA, the child's SOA, an
// extended error with the age, and negative answers for at most 5 s.
func TestMirror(t *testing.T) {
	child := &identifier.Delegation{Prefix: "88.30", Node: &childNode}
	mirror := resolver.Answer{
		InZone: true, Apex: "88.30", Zone: child, Lifetime: time.Hour,
		Origin: resolver.Origin{Position: 9, Mirror: true, Age: 90 * time.Second},
	}
	id := identifier.ID{Prefix: "88.30", Suffix: "x"}
	found, absent := mirror, mirror
	found.Outcome, found.Record = resolver.Found, &identifier.Record{ID: id, Version: 1, Values: []identifier.Value{link("", "https://maker.example/x", 3600)}}
	absent.Outcome, absent.Lifetime = resolver.Absent, resolver.NegativeTTL
	parent := resolver.Answer{Outcome: resolver.Absent, InZone: true, Below: true, Lifetime: resolver.NegativeTTL, Origin: resolver.Origin{Position: 4}}
	s := newServer(t, fixed{answer: absent, other: map[identifier.ID]resolver.Answer{id: found, {Prefix: "88"}: parent}})
	const soa = "30.88.id.internal. 5 IN SOA n1._ns.30.88.id.internal. hostmaster.id.internal. 9 3600 600 1209600 30"
	const parentSOA = "id.internal. 30 IN SOA centre._ns.id.internal. hostmaster.id.internal. 4 3600 600 1209600 30"
	for _, c := range []struct {
		name, rrtype      string
		rcode             int
		answer, authority []string
		mirror            bool
	}{
		{"x._i.30.88.id.internal.", "URI", 0, []string{`x._i.30.88.id.internal. 3600 IN URI 1 1 "https://maker.example/x"`}, []string{soa}, true},
		{"y._i.30.88.id.internal.", "TXT", wire.RcodeNameError, nil, []string{soa}, true},
		{"30.88.id.internal.", "SOA", 0, []string{soa}, nil, true},
		{"30.88.id.internal.", "NS", 0, []string{"30.88.id.internal. 300 IN NS n1._ns.30.88.id.internal."}, nil, true},
		{"n1._ns.30.88.id.internal.", "A", 0, []string{"n1._ns.30.88.id.internal. 300 IN A 192.0.2.30"}, nil, true},
		{"30.88.id.internal.", "DS", 0, nil, []string{parentSOA}, true},
	} {
		t.Run(c.name+" "+c.rrtype, func(t *testing.T) {
			m := query(t, c.name, wire.StringToType[c.rrtype])
			m.SetEdns0(1232, false)
			got := ask(t, s, m)
			if got.Rcode != c.rcode || !got.Authoritative {
				t.Errorf("got %s, aa %t; want %s, aa", wire.RcodeToString[got.Rcode], got.Authoritative, wire.RcodeToString[c.rcode])
			}
			sameRecords(t, "answer", got.Answer, c.answer...)
			sameRecords(t, "authority", got.Ns, c.authority...)
			if e := explanations(got); len(e) != 1 || e[0] != (wire.EDNS0_EDE{InfoCode: 0, ExtraText: "mirror, age 1m30s"}) {
				t.Errorf("got extended errors %v; want the age", e)
			}
		})
	}
}

func TestFailures(t *testing.T) {
	for _, c := range []struct {
		name     string
		err      error
		rcode    int
		extended uint16
		text     string
	}{
		{"unavailable", &resolver.Error{Kind: resolver.Unavailable, Detail: "the disk is gone: ask again later"}, wire.RcodeServerFailure, 14, "the disk is gone: ask again later"},
		{"a long detail", &resolver.Error{Kind: resolver.Unavailable, Detail: strings.Repeat("größe ", 100)}, wire.RcodeServerFailure, 14, strings.Repeat("größe ", 25)},
		{"not authenticated", &resolver.Error{Kind: resolver.Unauthenticated, Detail: "say who you are"}, wire.RcodeServerFailure, 14, "say who you are"},
		{"an error of no kind", context.DeadlineExceeded, wire.RcodeServerFailure, 14, ""},
		{"malformed, whatever is asked", &resolver.Error{Kind: resolver.Malformed, Detail: "no"}, wire.RcodeServerFailure, 14, "no"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := query(t, "x._i.88.id.internal.", wire.TypeTXT)
			m.SetEdns0(1232, false)
			got := ask(t, newServer(t, fixed{err: c.err}), m)
			if e := explanations(got); got.Rcode != c.rcode || got.Authoritative || len(e) != 1 || e[0].InfoCode != c.extended || e[0].ExtraText != c.text {
				t.Errorf("got %v", got)
			}
			m.Extra = nil
			if got := ask(t, newServer(t, fixed{err: c.err}), m); got.Rcode != c.rcode || len(got.Extra) > 0 {
				t.Errorf("without EDNS: got %v", got)
			}
		})
	}
}

// Malformed is NXDOMAIN with the SOA of the zone, which the prefix tells.
func TestMalformed(t *testing.T) {
	prefix := resolver.Answer{Outcome: resolver.Absent, InZone: true, Below: true, Apex: "88", Lifetime: resolver.NegativeTTL}
	s := newServer(t, fixed{err: &resolver.Error{Kind: resolver.Malformed}, other: map[identifier.ID]resolver.Answer{{Prefix: "88.1"}: prefix}})
	got := ask(t, s, query(t, "x._i.1.88.id.internal.", wire.TypeTXT))
	if got.Rcode != wire.RcodeNameError || !got.Authoritative {
		t.Errorf("got %v; want NXDOMAIN", got)
	}
	sameRecords(t, "authority", got.Ns, "88.id.internal. 30 IN SOA centre._ns.88.id.internal. hostmaster.id.internal. 0 3600 600 1209600 30")
}

// Overloaded: TC over UDP, so that who really asks comes again; the connection ends
// over TCP.
func TestOverloaded(t *testing.T) {
	s := newServer(t, fixed{err: &resolver.Error{Kind: resolver.Overloaded, Detail: "too much"}})
	got := ask(t, s, query(t, "x._i.88.id.internal.", wire.TypeTXT))
	if !got.Truncated || len(got.Answer)+len(got.Ns)+len(got.Extra) > 0 {
		t.Errorf("got %v; want TC and nothing else", got)
	}
	if b := s.Stream(t.Context(), packed(t, nil), dns.Asker); b != nil {
		t.Errorf("over TCP: got %x; want none", b)
	}
	if stats := s.Stats(); stats.Overloaded != 2 || stats.Truncated != 1 {
		t.Errorf("got %+v; want 2 overloaded, 1 truncated", stats)
	}
}

// An answer that is not about the question is not given.
func TestInconsistent(t *testing.T) {
	other := &identifier.Record{ID: identifier.ID{Prefix: "88", Suffix: "other"}, Version: 1}
	for name, a := range map[string]resolver.Answer{
		"another record":       {Outcome: resolver.Found, InZone: true, Record: other},
		"no record":            {Outcome: resolver.Found, InZone: true},
		"a referral to nobody": {Outcome: resolver.Referral, InZone: true, Delegation: &identifier.Delegation{Prefix: "88"}},
		"no outcome":           {InZone: true},
	} {
		if got := ask(t, newServer(t, fixed{answer: a}), query(t, "x._i.88.id.internal.", wire.TypeTXT)); got.Rcode != wire.RcodeServerFailure {
			t.Errorf("%s: got %v; want SERVFAIL", name, got)
		}
	}
}

// An aged answer's records may be kept no longer than the answer.
func TestLifetime(t *testing.T) {
	id := identifier.ID{Prefix: "88", Suffix: "x"}
	a := resolver.Answer{Outcome: resolver.Found, InZone: true, Lifetime: 40*time.Second + 900*time.Millisecond, Record: &identifier.Record{
		ID: id, Version: 1, Values: []identifier.Value{link("", "https://maker.example/", 3600), value("DESC", "x", 60)},
	}}
	a.Record.Values[0].Index, a.Record.Values[1].Index = 1, 2
	absolute := a
	absolute.Lifetime = resolver.MaxLifetime
	absolute.Record = &identifier.Record{ID: id, Version: 1, Values: slices.Clone(a.Record.Values)}
	absolute.Record.Values[0].TTL = identifier.TTL{Absolute: true, Seconds: uint32(time.Now().Unix()) - 5}
	forever := absolute
	forever.Record = &identifier.Record{ID: id, Version: 1, Values: []identifier.Value{link("", "https://maker.example/", 1<<32-1)}}
	for _, c := range []struct {
		name     string
		answer   resolver.Answer
		uri, txt uint32
	}{
		{"aged", a, 40, 40},
		{"fresh", func() resolver.Answer { fresh := a; fresh.Lifetime = time.Minute; return fresh }(), 3600, 60},
		{"ended", absolute, 0, 0},
		{"longer than a TTL can be", forever, 1<<31 - 1, 1<<31 - 1},
	} {
		s := newServer(t, fixed{answer: c.answer})
		uri := ask(t, s, query(t, "x._i.88.id.internal.", wire.TypeURI))
		txt := ask(t, s, query(t, "x._i.88.id.internal.", wire.TypeTXT))
		if len(uri.Answer) == 0 || uri.Answer[0].Header().Ttl != c.uri || len(txt.Answer) == 0 || txt.Answer[0].Header().Ttl != c.txt {
			t.Errorf("%s: got %v and %v; want TTLs %d and %d", c.name, uri.Answer, txt.Answer, c.uri, c.txt)
		}
	}
}

func TestOptions(t *testing.T) {
	for contact, ok := range map[string]bool{"": true, "first.last@maker.example": true, "maker.example": false, "@x": false, "x@": false, "a b@x": false, "a@x..y": false} {
		s, err := dns.New(authority(node()), dns.Options{Contact: contact})
		if (err == nil) != ok {
			t.Errorf("contact %q: got %v", contact, err)
			continue
		}
		if contact == "first.last@maker.example" {
			soa := ask(t, s, query(t, "id.internal.", wire.TypeSOA))
			sameRecords(t, "answer", soa.Answer, `id.internal. 30 IN SOA ns._ns.id.internal. first\.last.maker.example. 7 3600 600 1209600 30`)
		}
	}
}
