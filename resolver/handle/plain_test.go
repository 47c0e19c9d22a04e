package handle_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/resolver"
	"github.com/nameplate-id/nameplate/resolver/handle"
	"github.com/nameplate-id/nameplate/resolver/resolvertest"
)

var thisKey = identifier.PublicKey{Type: identifier.Ed25519, Raw: strings.Repeat("\x01", 32)}

// some returns one of the given.
func some[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }

// expiry is where an answer in its envelope says how long it counts.
const expiry = 20 + 16

// view returns both ways of a server. Both say of all their answers that they count to the
// same time.
func view(t testing.TB, s *resolvertest.Store) resolvertest.Ways {
	t.Helper()
	a := resolver.NewAuthority(resolvertest.NewLender(s), resolver.Options{Node: thisKey})
	server := handle.New(a, handle.Options{Node: here})
	return resolvertest.Ways{Full: fully(server), Plain: handle.Plainly(server, a, expires)}
}

// expires is the time to which answers count.
const expires = 0x01020304

// fully returns what answers at a server the long way.
func fully(server *handle.Server) func(message []byte) []byte {
	return func(message []byte) []byte {
		e, err := handle.ParseEnvelope(message)
		if err != nil {
			return nil
		}
		m := server.Answer(context.Background(), e, message[20:])
		if m == nil {
			return nil
		}
		m.Expiration = expires
		return m.AppendStream(nil)
	}
}

func stored(records ...string) *resolvertest.Store {
	keys := identifier.Keyset{Version: 1, Threshold: 1, Keys: []identifier.PublicKey{thisKey}}
	s := &resolvertest.Store{Apexes: []identifier.Prefix{"88", "10.1", "gs1", "oid", "web"}, Records: map[identifier.ID]*identifier.Record{}, Delegations: map[identifier.Prefix]*identifier.Delegation{
		"88.30":  {Prefix: "88.30", Epoch: 1, Keyset: keys, Node: &there},
		"88.200": {Prefix: "88.200", Epoch: 1, Keyset: keys, Private: true},
		"88.40":  {Prefix: "88.40", Epoch: 2},
		"88.41":  {Prefix: "88.41", Epoch: 1, Keyset: keys, Node: &identifier.Node{Name: "self", Key: thisKey}},
	}}
	for _, id := range records {
		s.Put(id, values()...)
	}
	return s
}

// Which questions are plain.
func TestPlainQuestions(t *testing.T) {
	s := stored("88.1/sn", "88.200.1/private", "88.30/elsewhere", "88.1/gone", "88.1/sealed", "88.1/many", "88.1/größe", "gs1.9.5.0.6.0.0.0.1.3.4.3.5/010/21/sn", "88.1")
	at := func(id string) *identifier.Record {
		parsed, err := identifier.ParseCanonical(id)
		if err != nil {
			t.Fatal(err)
		}
		return s.Records[parsed]
	}
	at("88.1/gone").Withdrawn = true
	at("88.1/sealed").Values[4].Permissions = identifier.AdminRead
	at("88.1/many").Values[4].Data = bytes.Repeat([]byte{7}, 400)
	ways := view(t, s)
	for _, c := range []struct {
		handle  string
		types   string
		indexes []uint32
		flags   handle.Flags
		change  func(*handle.Message)
		want    bool
	}{
		{handle: "88.1/sn", want: true},
		{handle: "88.1/SN", types: "URL", want: true},
		{handle: "88.1/sn", types: "X. NONE", indexes: []uint32{1, 77}, want: true},
		{handle: "88.1/sn", types: "NONE"},
		{handle: "88.1/sn", types: "."},
		{handle: "88.1/sn", flags: handle.FlagDigest | handle.FlagPublicOnly | handle.FlagKeepOpen, want: true},
		{handle: "88.1/sn", flags: handle.FlagAuthoritative | handle.FlagRecursive | handle.FlagDoNotRefer | handle.FlagTrustedQuery, want: true},
		{handle: "88.1/sn", flags: handle.FlagCertified},
		{handle: "88.1/sn", flags: handle.FlagAnswer},
		{handle: "88.1/sn", flags: handle.FlagEncrypted},
		{handle: "88.1/sn", change: func(m *handle.Message) { m.Version, m.Suggested = handle.Version{Major: 3}, handle.Version{Major: 3} }, want: true},
		{handle: "88.1/sn", change: func(m *handle.Message) { m.Suggested = handle.Version{} }, want: true},
		{handle: "88.1/sn", change: func(m *handle.Message) { m.Credential = []byte("whatever") }, want: true},
		{handle: "88.1/sn", change: func(m *handle.Message) { m.Session, m.Recursion = 7, 40 }, want: true},
		{handle: "88.1/sn", change: func(m *handle.Message) { m.Recursion = 41 }},
		{handle: "88.1/sn", change: func(m *handle.Message) { m.Opcode = handle.OpSiteInfo }},
		{handle: "88.1/sn", change: func(m *handle.Message) { m.Code = handle.Success }},
		{handle: "88.1/sn", change: func(m *handle.Message) { m.Encrypted = true }},
		{handle: "88.1/sn", change: func(m *handle.Message) { m.Body = append(m.Body, 0) }},
		{handle: "88.1/none"},
		{handle: "88.1/gone"},
		{handle: "88.1/sealed", types: "URL"},
		{handle: "88.1/many"}, // does not fit
		{handle: "88.1/many", types: "URL", want: true},
		{handle: "88.1/größe"},
		{handle: "88.200.1/private"},
		{handle: "88.30/elsewhere"},
		{handle: "gs1.9.5.0.6.0.0.0.1.3.4.3.5/010/21/sn"},
		{handle: "88.1"},
		{handle: "0.NA/88.1"},
		{handle: "88.1/"},
		{handle: ""},
	} {
		m := request(handle.OpResolution, c.flags, handle.Resolution{Handle: c.handle, Types: strings.Fields(c.types), Indexes: c.indexes})
		if c.change != nil {
			c.change(m)
		}
		if got := ways.Same(t, m.AppendStream(nil)); got != c.want {
			t.Errorf("%s, types %q, %+v: got plain %v; want %v", c.handle, c.types, m, got, c.want)
		}
	}
}

// generated returns a store with random records, and handles of most and of others.
func generated(r *rand.Rand) (*resolvertest.Store, []string) {
	s := stored()
	prefixes := []string{"88.118", "88.118.8", "88.1", "88.41", "10.1", "10.1.2", "88.30", "88.200", "88.40.1", "88.a-b.c", "88." + strings.Repeat("x", 60) + "." + strings.Repeat("y", 50)}
	handles := []string{"88", "0.NA/88.30", "88.1/none", "99/x", "88.1/", "/x", "gs1.9.5.0.6/010", "oid.1.2", "88.30.5/x", "88..1/x", "0.na/88.1", "0.NA/0.NA/88.1", "88.1/x\x00y", "vaa/x", "88_1/x"}
	s.Put("gs1.9.5.0.6.0.0.0.1.3.4.3.5/010/21/sn", values()...)
	for range 10 {
		handles = append(handles, "gs1.9.5.0.6.0.0.0.1.3.4.3.5/010/21/sn")
	}
	for i := range 200 {
		suffix := some(r, fmt.Sprint(i), fmt.Sprintf("sn-%d", i), fmt.Sprintf("sn-%d", i), strings.Repeat("z", 1+r.IntN(300)), "a b", "a/b/c", "größe", "~`|}", " ")
		text := some(r, prefixes...) + "/" + suffix
		var list []identifier.Value
		for range some(r, 0, 1, 1, 1, 1, 2, 3, 9) {
			v := identifier.Value{
				Type: some(r, "URL", "URL", "X", "X.Y", "X.Z.W", "DESC", "10320/loc"), Data: []byte(some(r, "", "x", "https://maker.example/"+strings.Repeat("p", r.IntN(200)))),
				TTL: some(r, identifier.DefaultTTL, identifier.TTL{Seconds: r.Uint32()}, identifier.TTL{Absolute: true, Seconds: r.Uint32()}), Permissions: identifier.DefaultPermissions,
			}
			if r.IntN(3) == 0 {
				v.Timestamp = time.Unix(1+int64(r.Uint32()), 0).UTC()
			}
			if r.IntN(6) == 0 {
				v.Link = &identifier.Link{Relation: "gs1:pip", Default: true}
				v.Type = "URL"
			}
			if r.IntN(20) == 0 {
				v.Permissions = some(r, identifier.AdminRead, identifier.PublicRead, identifier.PublicRead|identifier.PublicWrite)
			}
			for range some(r, 0, 0, 0, 1, 3) {
				v.References = append(v.References, identifier.Reference{Handle: some(r, "a", "88.1/ref"), Index: r.Uint32()})
			}
			list = append(list, v)
		}
		s.Put(text, list...)
		id, err := identifier.ParseCanonical(text)
		if err != nil {
			panic(err)
		}
		s.Records[id].Withdrawn = r.IntN(20) == 0
		for range 10 {
			handles = append(handles, text)
		}
	}
	return s, handles
}

// generate returns a request in its envelope, mostly a plain one.
func generate(r *rand.Rand, handles []string) []byte {
	text := []byte(some(r, handles...))
	for i, c := range text {
		if r.IntN(8) == 0 && 'a' <= c && c <= 'z' {
			text[i] = c - 'a' + 'A'
		}
	}
	q := handle.Resolution{Handle: string(text)}
	for range some(r, 0, 0, 0, 0, 1, 2) {
		q.Types = append(q.Types, some(r, "URL", "URL", "X", "X.", "X.Z.", "DESC", "", ".", "HS_SITE", "10320."))
	}
	for range some(r, 0, 0, 0, 1, 2) {
		q.Indexes = append(q.Indexes, some[uint32](r, 0, 1, 2, 3, 1<<32-1))
	}
	flags := some(r, 0, handle.FlagPublicOnly, handle.FlagPublicOnly|handle.FlagKeepOpen|handle.FlagDigest, handle.FlagDigest, handle.FlagAuthoritative, handle.FlagRecursive|handle.FlagDoNotRefer, handle.Flags(r.Uint32())&^handle.FlagAnswer)
	m := request(handle.OpResolution, flags, q)
	m.Version.Minor, m.Suggested.Minor = uint8(1+r.IntN(12)), uint8(r.IntN(13))
	m.Suggested.Major = some[uint8](r, 0, 2, 2, 2, 2, 3)
	if r.IntN(10) == 0 {
		m.Version.Major, m.Version.Minor = 3, some[uint8](r, 0, 0, 1)
	}
	m.Session, m.Request, m.Recursion, m.Reserved, m.Expiration = some(r, 0, r.Uint32()), r.Uint32(), some[uint8](r, 0, 0, 1, 40, 41), some[uint8](r, 0, 1), r.Uint32()
	if r.IntN(10) == 0 {
		m.Serial = uint16(r.IntN(4))
	}
	b := m.AppendStream(nil)
	if r.IntN(10) == 0 { // without the length of a credential
		b = b[:len(b)-4]
		binary.BigEndian.PutUint32(b[16:], uint32(len(b)-20))
	}
	return b
}

// mutate breaks a message, or makes another of it.
func mutate(r *rand.Rand, b []byte) []byte {
	for range some(r, 1, 1, 1, 2, 4) {
		if len(b) == 0 {
			return b
		}
		at := r.IntN(len(b))
		if r.IntN(3) == 0 {
			at = min(at, r.IntN(44)) // envelope and header
		}
		switch r.IntN(6) {
		case 0:
			b[at] ^= 1 << r.IntN(8)
		case 1:
			b[at] = some[byte](r, 0, 1, 0xff, '/', '.', 'A', byte(r.Uint32()))
		case 2:
			b = b[:at]
		case 3:
			b = slices.Insert(b, at, byte(r.Uint32()))
		case 4:
			b = slices.Delete(b, at, at+1)
		case 5: // and the lengths say so
			if len(b) > 44 {
				binary.BigEndian.PutUint32(b[16:], uint32(len(b)-20))
				binary.BigEndian.PutUint32(b[40:], uint32(len(b)-48))
			}
		}
	}
	return b
}

// Both ways give the same answers: on generated requests, half of them mutated.
func TestPathsAgree(t *testing.T) {
	requests := 400_000
	if testing.Short() {
		requests = 40_000
	}
	resolvertest.Messages{Many: requests, Worlds: 20, Mutate: mutate, World: func(r *rand.Rand) (resolvertest.Ways, func() []byte) {
		s, handles := generated(r)
		return view(t, s), func() []byte { return generate(r, handles) }
	}}.Agree(t)
}

// unjudged lends whatever is stored.
type unjudged struct{ *resolvertest.Lender }

func (u unjudged) Lend(loans []identifier.Loan, f func() (found, absent int)) error {
	return u.Lender.Lend(loans, func() { f() })
}

// The same comparison fails where the plain way heeds one rule less, or takes records from
// who lends what this node may not tell: it would notice.
func TestPathsAgreeNotices(t *testing.T) {
	differs := func(plainly func(*handle.Server, *resolvertest.Lender, *resolver.Authority) func([]byte) []byte) bool {
		return resolvertest.Messages{Many: 80_000, Worlds: 4, Mutate: mutate, World: func(r *rand.Rand) (resolvertest.Ways, func() []byte) {
			s, handles := generated(r)
			lender := resolvertest.NewLender(s)
			a := resolver.NewAuthority(lender, resolver.Options{Node: thisKey})
			server := handle.New(a, handle.Options{Node: here})
			return resolvertest.Ways{Full: fully(server), Plain: plainly(server, lender, a)}, func() []byte { return generate(r, handles) }
		}}.Differ()
	}
	for name, rule := range handle.PlainRules {
		if !differs(func(s *handle.Server, _ *resolvertest.Lender, a *resolver.Authority) func([]byte) []byte {
			return handle.PlainlyWithout(s, a, expires, rule)
		}) {
			t.Errorf("nothing differs without the rule of %s", name)
		}
	}
	if !differs(func(s *handle.Server, l *resolvertest.Lender, _ *resolver.Authority) func([]byte) []byte {
		return handle.Plainly(s, unjudged{l}, expires)
	}) {
		t.Error("nothing differs where delegations are not heeded")
	}
}

// Whatever comes in, both ways give the same answer.
func FuzzPaths(f *testing.F) {
	r := rand.New(rand.NewPCG(1, 2))
	s, handles := generated(r)
	for range 50 {
		f.Add(generate(r, handles))
	}
	ways := view(f, s)
	f.Fuzz(func(t *testing.T, message []byte) { ways.Same(t, message) })
}

// lentAlways lends one record.
type lentAlways struct {
	key    []byte
	record identifier.Stored
}

func (l *lentAlways) Lend(loans []identifier.Loan, f func() (found, absent int)) error {
	if string(loans[0].Prefix) != "88.1" || !bytes.Equal(loans[0].Key, l.key) {
		return errors.New("it asks for something else")
	}
	loans[0].Stored = l.record
	f()
	return nil
}

// An answer to a plain question allocates nothing.
func TestPlainAllocations(t *testing.T) {
	a := resolver.NewAuthority(resolvertest.NewLender(stored("88.1/sn")), resolver.Options{Node: thisKey})
	lent := &lentAlways{key: identifier.AppendKey(nil, identifier.ID{Prefix: "88.1", Suffix: "sn"})}
	loans := []identifier.Loan{{Prefix: []byte("88.1"), Key: lent.key}}
	if err := a.Lend(loans, func() (int, int) { lent.record = loans[0].Stored; return 0, 0 }); err != nil || lent.record == nil {
		t.Fatalf("got %v, %v; want the record", lent.record, err)
	}
	plain := handle.Plainly(handle.New(a, handle.Options{}), lent, 1)
	m := request(handle.OpResolution, handle.FlagDigest, handle.Resolution{Handle: "88.1/SN", Types: []string{"URL", "X."}, Indexes: []uint32{2}}).AppendStream(nil)
	if got := testing.AllocsPerRun(1000, func() {
		if plain(m) == nil {
			t.Fatal("the question is not plain")
		}
	}); got > 0 {
		t.Errorf("got %v allocations; want none", got)
	}
}

// Batches of all sorts of requests are answered one by one over the wire, each with
// what is its own, and it is counted which way they took.
func TestPathsOverTheWire(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	s, handles := generated(r)
	a := resolver.NewAuthority(resolvertest.NewLender(s), resolver.Options{Node: thisKey})
	reference := handle.New(a, handle.Options{Node: here})
	for _, network := range []string{"udp", "tcp"} {
		address, server := serveAs(t, a, handle.Options{Node: here, AtOnce: true, Records: a})
		conn := dial(t, network, address)
		for range 40 {
			want := map[uint32][]byte{}
			for id := uint32(1); id <= 50; id++ {
				q := generate(r, handles)
				binary.BigEndian.PutUint32(q[8:], id)
				e, err := handle.ParseEnvelope(q)
				if err != nil {
					t.Fatal(err)
				}
				m := reference.Answer(t.Context(), e, q[20:])
				if m == nil || network == "udp" && len(q) > 512 {
					continue
				}
				want[id] = m.AppendStream(nil)
				conn.Write(q)
			}
			for len(want) > 0 {
				m := readAny(t, network, conn)
				got := m.AppendStream(nil)
				expected := want[m.Request]
				if len(expected) < expiry+4 {
					t.Fatalf("got an answer to request %d", m.Request)
				}
				copy(expected[expiry:], got[expiry:expiry+4])
				if !bytes.Equal(got, expected) {
					t.Fatalf("%s\ngot  %x\nwant %x", network, got, expected)
				}
				delete(want, m.Request)
			}
		}
		stats := server.Stats()
		if network == "udp" && (stats.Plain < 100 || stats.Plain > stats.Datagrams-100) || network == "tcp" && stats.Messages < 1000 {
			t.Errorf("%s: got %+v; want both ways taken", network, stats)
		}
	}
}

// readAny reads one message: whole from a connection, put together from datagrams.
func readAny(t *testing.T, network string, conn net.Conn) *handle.Message {
	t.Helper()
	if network == "tcp" {
		return read(t, conn)
	}
	var whole []byte
	for b := make([]byte, 600); ; {
		n, err := conn.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		e, err := handle.ParseEnvelope(b[:n])
		if err != nil {
			t.Fatal(err)
		}
		if whole = append(whole, b[20:n]...); len(whole) < int(e.Length) {
			continue
		}
		e.Sequence, e.Truncated = 0, false
		m, err := handle.ParseMessage(e, whole)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
}
