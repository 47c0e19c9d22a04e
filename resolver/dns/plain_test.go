package dns_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"flag"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	wire "github.com/miekg/dns"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/resolver"
	"github.com/nameplate-id/nameplate/resolver/dns"
	"github.com/nameplate-id/nameplate/resolver/resolvertest"
)

// view returns both ways of a server, over UDP or TCP.
func view(t testing.TB, s *resolvertest.Store, stream bool) resolvertest.Ways {
	t.Helper()
	a := resolver.NewAuthority(resolvertest.NewLender(s), resolver.Options{Node: thisKey})
	contacts := []string{"", "host.master@maker.example", "x@internal", "root@8.118.88.id.internal", "a@ns._ns.id.internal"}
	server, err := dns.New(a, dns.Options{Node: thisNode, Contact: contacts[len(s.Records)%len(contacts)]})
	if err != nil {
		t.Fatal(err)
	}
	dns.SetTime(server, time.Unix(1_800_000_000, 0))
	full := server.Datagram
	if stream {
		full = server.Stream
	}
	return resolvertest.Ways{
		Full:  func(query []byte) []byte { return full(context.Background(), query, dns.Asker) },
		Plain: dns.Plainly(server, a, stream),
	}
}

// Which questions are plain.
func TestPlainQuestions(t *testing.T) {
	s := node()
	s.Put("88.118.8/plain", link("", "https://maker.example/a", 86400))
	s.Put("88.118.8/sealed", link("", "https://maker.example/a", 86400))
	s.Records[identifier.ID{Prefix: "88.118.8", Suffix: "sealed"}].Values[0].Permissions = identifier.AdminRead
	s.Put("88.118.8/gone", link("", "https://maker.example/a", 86400))
	s.Records[identifier.ID{Prefix: "88.118.8", Suffix: "gone"}].Withdrawn = true
	s.Put("88.118.8/ends", link("", "https://maker.example/a", 86400))
	s.Records[identifier.ID{Prefix: "88.118.8", Suffix: "ends"}].Values[0].TTL = identifier.TTL{Absolute: true, Seconds: 1 << 31}
	s.Put("88.200.1/private", link("", "https://maker.example/a", 86400))
	s.Put("88.30/elsewhere", link("", "https://maker.example/a", 86400))
	encodedName := defaultZone.Name(identifier.ID{Prefix: "88.118.8", Suffix: threeLabels})
	hash := identifier.SuffixHash("sn-42")
	hashedName := defaultZone.Name(identifier.ID{Prefix: "88.118.8", Suffix: hashedSuffix})
	ways, overTCP := view(t, s, false), view(t, s, true)
	for _, c := range []struct {
		name   string
		change func(*wire.Msg)
		want   bool
	}{
		{hashedName, nil, true},
		{hashedName, func(m *wire.Msg) { m.Question[0].Qtype = wire.TypeTXT; m.SetEdns0(1232, false) }, true},
		{"_pip." + hashedName, nil, true},
		{strings.Replace(hashedName, hashedName[:6], "000000", 1), nil, true},       // absent
		{strings.Replace(hashedName, ".8.118.", ".9.118.", 1), nil, false},          // below a record
		{wirename(defaultZone.AppendHashedName(nil, "88.118.8", hash)), nil, false}, // has room for its suffix
		{strings.Replace(hashedName, "._h", "v._h", 1), nil, false},
		{hashedName[:51] + "v" + hashedName[52:], nil, false}, // other bits behind the last
		{"plain._i.8.118.88.id.internal.", nil, true},
		{"pLaIn._I.8.118.88.ID.Internal.", nil, true},
		{"sn-42._i.8.118.88.id.internal.", nil, true},
		{"plain._i.8.118.88.id.internal.", func(m *wire.Msg) { m.SetEdns0(4096, true) }, true},
		{"plain._i.8.118.88.id.internal.", func(m *wire.Msg) { m.SetEdns0(0, false) }, true},
		{"plain._i.8.118.88.id.internal.", func(m *wire.Msg) { m.RecursionDesired, m.CheckingDisabled = true, true }, true},
		{"plain._i.8.118.88.id.internal.", func(m *wire.Msg) {
			m.SetEdns0(1232, false)
			m.IsEdns0().Option = []wire.EDNS0{&wire.EDNS0_COOKIE{Code: wire.EDNS0COOKIE, Cookie: "0102030405060708"}}
		}, true},
		{"plain._i.8.118.88.id.internal.", func(m *wire.Msg) {
			m.SetEdns0(1232, false)
			m.IsEdns0().Option = []wire.EDNS0{&wire.EDNS0_LOCAL{Code: 65353, Data: []byte{0}}}
		}, false}, // our own client wants the place
		{"plain._i.8.118.88.id.internal.", func(m *wire.Msg) { m.SetEdns0(1232, false); m.IsEdns0().SetVersion(1) }, false},
		{"plain._i.8.118.88.id.internal.", func(m *wire.Msg) { m.Question[0].Qtype = wire.TypeTXT }, true},
		{"sn-42._i.8.118.88.id.internal.", func(m *wire.Msg) { m.Question[0].Qtype = wire.TypeTXT; m.SetEdns0(1232, false) }, true},
		{"plain._i.8.118.88.id.internal.", func(m *wire.Msg) { m.Question[0].Qtype = wire.TypeNAPTR }, true},
		{"sn-42._i.8.118.88.id.internal.", func(m *wire.Msg) { m.Question[0].Qtype = wire.TypeNAPTR }, true},
		{"plain._i.8.118.88.id.internal.", func(m *wire.Msg) { m.Question[0].Qtype = wire.TypeA }, true},
		{"plain._i.8.118.88.id.internal.", func(m *wire.Msg) { m.Question[0].Qtype = wire.TypeANY }, false},
		{"_dpp.sn-42._i.8.118.88.id.internal.", func(m *wire.Msg) { m.Question[0].Qtype = wire.TypeTXT; m.SetEdns0(1232, false) }, true},
		{"_none.sn-42._i.8.118.88.id.internal.", nil, true},
		{encodedName, nil, true},
		{"absent._i.9.5.0.6.gs1.id.internal.", nil, false}, // malformed there
		{"absent._i.9.118.88.id.internal.", nil, false},    // the prefix has a record, which might be a template
		{"plain._i.8.118.88.id.internal.", func(m *wire.Msg) { m.Question[0].Qclass = wire.ClassANY }, false},
		{"plain._i.8.118.88.id.internal.", func(m *wire.Msg) { m.Opcode = wire.OpcodeNotify }, false},
		{"plain._i.8.118.88.id.internal.", func(m *wire.Msg) { m.Response = true }, false},
		{"_dpp.sn-42._i.8.118.88.id.internal.", nil, true},
		{"absent._i.8.118.88.id.internal.", nil, true},
		{"gone._i.8.118.88.id.internal.", nil, true},
		{"sealed._i.8.118.88.id.internal.", nil, false},
		{"ends._i.8.118.88.id.internal.", nil, false},
		{"bare._i.8.118.88.id.internal.", nil, true},
		{"long._i.8.118.88.id.internal.", nil, false}, // with 512 octets
		{"long._i.8.118.88.id.internal.", func(m *wire.Msg) { m.SetEdns0(1232, false) }, true},
		{"private._i.1.200.88.id.internal.", nil, false},
		{"elsewhere._i.30.88.id.internal.", nil, false},
		{"8._i.118.88.id.internal.", nil, true},
		{"9.118.88.id.internal.", nil, false},
		{"plain._i.8.118.88.id.example.", nil, false},
	} {
		m := query(t, c.name, wire.TypeURI)
		if c.change != nil {
			c.change(m)
		}
		b, err := m.Pack()
		if err != nil {
			t.Fatal(err)
		}
		if got := ways.Same(t, b); got != c.want {
			t.Errorf("%v: got plain %v; want %v", m, got, c.want)
		}
		// Over TCP there is more room.
		if got := overTCP.Same(t, b); got != (c.want || c.name == "long._i.8.118.88.id.internal.") {
			t.Errorf("%v, over TCP: got plain %v; want %v", m, got, c.want)
		}
	}
}

// questions is for how many questions both ways are compared.
var questions = flag.Int("questions", 400_000, "compare both ways of the DNS server on so many generated questions")

// Both ways give the same answers: on generated questions, half of them mutated.
func TestPathsAgree(t *testing.T) {
	questions := *questions
	if testing.Short() {
		questions = 40_000
	}
	for transport, stream := range map[string]bool{"UDP": false, "TCP": true} {
		t.Run(transport, func(t *testing.T) {
			resolvertest.Messages{Many: questions, Worlds: 40, Mutate: mutate, World: func(r *rand.Rand) (resolvertest.Ways, func() []byte) {
				s, names := generated(r)
				return view(t, s, stream), func() []byte { return generate(r, names) }
			}}.Agree(t)
		})
	}
}

// Whatever comes in, both ways give the same answer.
func FuzzPaths(f *testing.F) {
	r := rand.New(rand.NewPCG(1, 2))
	s, names := generated(r)
	for range 50 {
		f.Add(generate(r, names))
	}
	ways, overTCP := view(f, s, false), view(f, s, true)
	f.Fuzz(func(t *testing.T, query []byte) {
		ways.Same(t, query)
		overTCP.Same(t, query)
	})
}

// An answer to a plain question allocates nothing, however its suffix stands in its name, nor
// does a turn over TCP.
func TestPlainAllocations(t *testing.T) {
	for _, suffix := range []string{"sn-42", "größe 1", threeLabels, hashedSuffix} {
		id := identifier.ID{Prefix: "88.118.8", Suffix: suffix}
		key := identifier.AppendKey(nil, id)
		stored, err := identifier.AppendStored(nil, key, &identifier.Record{ID: id, Version: 1, Time: time.Unix(1_800_000_000, 0), Values: node().Records[identifier.ID{Prefix: "88.118.8", Suffix: "sn-42"}].Values}, 1)
		if err != nil {
			t.Fatal(err)
		}
		hash := identifier.SuffixHash(suffix)
		lent := lends(func(loans []identifier.Loan) {
			for i := range loans {
				if loans[i].Hash != nil && string(loans[i].Key) == "88\x00118\x008\x00" && identifier.Hash(loans[i].Hash) == hash {
					loans[i].Key = key
				}
				if string(loans[i].Prefix) != "88.118.8" || !bytes.Equal(loans[i].Key, key) {
					t.Fatalf("got %q, %q; want the prefix and the key", loans[i].Prefix, loans[i].Key)
				}
				loans[i].Stored = stored
			}
		})
		server, err := dns.New(authority(node()), dns.Options{AtOnce: true, Records: lent})
		if err != nil {
			t.Fatal(err)
		}
		m := query(t, defaultZone.Name(id), wire.TypeURI)
		m.SetEdns0(1232, true)
		m.IsEdns0().Option = []wire.EDNS0{&wire.EDNS0_COOKIE{Code: wire.EDNS0COOKIE, Cookie: "0102030405060708"}}
		b, err := m.Pack()
		if err != nil {
			t.Fatal(err)
		}
		plain := dns.Plainly(server, lent, false)
		if got := testing.AllocsPerRun(1000, func() {
			if plain(b) == nil {
				t.Fatal("the question is not plain")
			}
		}); got > 0 {
			t.Errorf("%q: got %v allocations; want none", suffix, got)
		}
		come := bytes.Repeat(append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...), 50)
		answers, turn := make([]byte, 0, 64<<10), dns.Turns(server)
		if got := testing.AllocsPerRun(100, func() {
			if taken, _, err := turn(come, answers); taken != len(come) || err != nil {
				t.Fatalf("%d octets were taken, %v; want %d", taken, err, len(come))
			}
		}); got > 0 {
			t.Errorf("%q: got %v allocations for 50 answers over TCP; want none", suffix, got)
		}
		if stats := server.Stats(); stats.PlainMessages == 0 || stats.PlainMessages != stats.Messages {
			t.Errorf("%q: got %+v; want plain messages only", suffix, stats)
		}
	}
}

// lends are records that a function fills in.
type lends func([]identifier.Loan)

func (l lends) Lend(loans []identifier.Loan, f func() (found, absent int)) error {
	l(loans)
	f()
	return nil
}

// unbaked clears what a cookie at the end of an answer has of time and address.
func unbaked(answer []byte) []byte {
	if n := len(answer); n > 28 && bytes.Equal(answer[n-28:n-24], []byte{0, 10, 0, 24}) {
		clear(answer[n-12:])
	}
	return answer
}

// Batches of all sorts of questions are answered one by one over the wire, each with
// what is its own, and it is counted which way they took.
func TestPathsOverUDP(t *testing.T) {
	s := node()
	a := resolver.NewAuthority(resolvertest.NewLender(s), resolver.Options{Node: thisKey})
	address, server := serve(t, a, dns.Options{Node: thisNode, AtOnce: true, Records: a})
	conn, err := net.Dial("udp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	reference := newServer(t, a)
	r := rand.New(rand.NewPCG(3, 4))
	_, names := generated(r)
	names = append(names[len(names)-9:], slices.Repeat([][]byte{pack(t, "sn-42._i.8.118.88.id.internal.")}, 9)...)
	b := make([]byte, 4096)
	for range 40 {
		want := map[uint16][]byte{}
		for id := range uint16(50) {
			q := generate(r, names)
			binary.BigEndian.PutUint16(q, id)
			if answer := dns.Answer(t.Context(), reference, q); answer != nil {
				want[id] = unbaked(answer)
			}
			conn.Write(q)
		}
		for len(want) > 0 {
			n, err := conn.Read(b)
			if err != nil {
				t.Fatal(err)
			}
			id := binary.BigEndian.Uint16(b)
			if got := unbaked(b[:n]); !bytes.Equal(got, want[id]) {
				t.Fatalf("got  %x\nwant %x", got, want[id])
			}
			delete(want, id)
		}
	}
	stats := server.Stats()
	if stats.Plain < 100 || stats.Plain > stats.Datagrams-100 {
		t.Errorf("got %+v; want both ways taken", stats)
	}
}

// All sorts of questions in a row are answered in their order, cut as the network may cut
// them, and it is counted which way they took.
func TestPathsOverTCP(t *testing.T) {
	s := node()
	a := resolver.NewAuthority(resolvertest.NewLender(s), resolver.Options{Node: thisKey})
	address, server := serve(t, a, dns.Options{Node: thisNode, AtOnce: true, Records: a})
	reference := newServer(t, a)
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	r := rand.New(rand.NewPCG(5, 6))
	_, names := generated(r)
	names = append(names[len(names)-9:], slices.Repeat([][]byte{pack(t, "sn-42._i.8.118.88.id.internal."), pack(t, "many._i.8.118.88.id.internal.")}, 5)...)
	var sent []byte
	var want [][]byte
	for range 2000 {
		q := generate(r, names)
		answer := reference.Stream(t.Context(), q, dns.Asker)
		if answer == nil {
			continue // would end the connection
		}
		want = append(want, unbaked(answer))
		sent = append(binary.BigEndian.AppendUint16(sent, uint16(len(q))), q...)
	}
	go func() {
		for len(sent) > 0 {
			n := min(len(sent), 1+r.IntN(20_000))
			conn.Write(sent[:n])
			sent = sent[n:]
		}
	}()
	for i := range want {
		var length [2]byte
		if _, err := io.ReadFull(conn, length[:]); err != nil {
			t.Fatalf("answer %d: %v", i, err)
		}
		got := make([]byte, binary.BigEndian.Uint16(length[:]))
		if _, err := io.ReadFull(conn, got); err != nil {
			t.Fatalf("answer %d: %v", i, err)
		}
		if !bytes.Equal(unbaked(got), want[i]) {
			t.Fatalf("answer %d:\ngot  %x\nwant %x", i, got, want[i])
		}
	}
	stats := server.Stats()
	if stats.Messages != uint64(len(want)) || stats.PlainMessages < 100 || stats.PlainMessages > stats.Messages-100 {
		t.Errorf("got %+v for %d questions; want both ways taken", stats, len(want))
	}
}
