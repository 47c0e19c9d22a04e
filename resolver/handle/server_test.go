package handle_test

import (
	"context"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/resolver"
	"github.com/nameplate-id/nameplate/resolver/handle"
)

type resolverFunc func(context.Context, resolver.Query) (resolver.Answer, error)

func (f resolverFunc) Resolve(ctx context.Context, q resolver.Query) (resolver.Answer, error) {
	return f(ctx, q)
}

var (
	here = identifier.Node{Name: "here", Addresses: []identifier.Address{{IP: "192.0.2.1", Handle: 2641}, {IP: "2001:db8::1", Handle: 2641}}}
	// there answers for 88.118, and has a mirror.
	there  = identifier.Node{Name: "there", Addresses: []identifier.Address{{IP: "192.0.2.2", Handle: 3641, DNS: 53}}}
	mirror = identifier.Node{Name: "mirror", Addresses: []identifier.Address{{IP: "192.0.2.3", Handle: 2641}}}
)

func values() []identifier.Value {
	v := func(index uint32, kind, data string) identifier.Value {
		return identifier.Value{Index: index, Type: kind, Data: []byte(data), TTL: identifier.DefaultTTL, Permissions: identifier.DefaultPermissions}
	}
	return []identifier.Value{
		v(1, "URL", "https://maker.example/1"), v(2, "EMAIL", "a@maker.example"), v(3, "X", "x"), v(4, "X.Y", "xy"), v(5, "XY", "no subtype"),
	}
}

// node has the zone 88, delegates 88.118, and holds 88.1/sn.
func node(_ context.Context, q resolver.Query) (resolver.Answer, error) {
	a := resolver.Answer{ID: q.ID, Apex: "88", InZone: true, Lifetime: resolver.NegativeTTL, Outcome: resolver.Absent}
	switch id := q.ID.String(); {
	case !identifier.Prefix("88").Covers(q.ID.Prefix):
		a.Outcome, a.InZone = resolver.Refused, false
	case identifier.Prefix("88.118").Covers(q.ID.Prefix):
		a.Outcome, a.Lifetime = resolver.Referral, resolver.ReferralTTL
		a.Delegation = &identifier.Delegation{Prefix: "88.118", Epoch: 1, Node: &there, Mirrors: []identifier.Node{mirror}}
	case id == "88.1/sn":
		a.Outcome = resolver.Found
		a.Record = &identifier.Record{ID: q.ID, Version: 1, Values: q.Select(values())}
	case id == "88.1/secret":
		a.Outcome = resolver.Refused
	case id == "88.1/busy":
		return resolver.Answer{}, &resolver.Error{Kind: resolver.Overloaded, Detail: "later"}
	case id == "88.1/who":
		return resolver.Answer{}, &resolver.Error{Kind: resolver.Unauthenticated, Detail: "say who"}
	case id == "88.1/broken":
		return resolver.Answer{}, &resolver.Error{Kind: resolver.Unavailable, Detail: "not now"}
	case id == "88.1":
		a.Below = true
	}
	return a, nil
}

func newServer() *handle.Server { return handle.New(resolverFunc(node), handle.Options{Node: here}) }

// request makes one of stock software.
func request(op handle.Opcode, flags handle.Flags, body handle.Body) *handle.Message {
	return &handle.Message{
		Envelope: handle.Envelope{Version: handle.Version{Major: 2, Minor: 3}, Suggested: handle.Version{Major: 2, Minor: 11}, Request: 77},
		Opcode:   op, Flags: flags, Serial: handle.NoSerial, Body: body.Append(nil),
	}
}

// tell asks a server, and reads its answer from octets.
func tell(t *testing.T, s *handle.Server, m *handle.Message) (*handle.Message, handle.Digest, handle.Body) {
	t.Helper()
	b := m.AppendStream(nil)
	e, err := handle.ParseEnvelope(b)
	if err != nil {
		t.Fatal(err)
	}
	answer := s.Answer(t.Context(), e, b[20:])
	if answer == nil {
		t.Fatal("there is no answer")
	}
	b = answer.AppendStream(nil)
	if e, err = handle.ParseEnvelope(b); err != nil {
		t.Fatal(err)
	}
	if answer, err = handle.ParseMessage(e, b[20:]); err != nil {
		t.Fatal(err)
	}
	digest, body, err := answer.ParseBody()
	if err != nil {
		t.Fatal(err)
	}
	if answer.Request != m.Request || answer.Session != m.Session {
		t.Errorf("the answer is to request %d of session %d", answer.Request, answer.Session)
	}
	return answer, digest, body
}

// show writes values as index, type and what a site says.
func show(t *testing.T, list []identifier.Value) string {
	var b strings.Builder
	for _, v := range list {
		b.WriteString(" " + v.Type)
		if v.Type == "HS_SERV" {
			b.WriteString("=" + string(v.Data))
		}
		if !strings.HasPrefix(v.Type, "HS_SITE") {
			continue
		}
		site, err := handle.ParseSite(v.Data)
		if err != nil {
			t.Fatal(err)
		}
		server := site.Servers[0]
		b.WriteString("=" + server.IP().String())
		if !site.Primary {
			b.WriteString("(mirror)")
		}
		if f := server.Interfaces[0]; f.Kind != 3 || f.Protocol != handle.TCP {
			t.Errorf("the first interface is %v; want TCP for both", f)
		}
	}
	return strings.TrimSpace(b.String())
}

func TestResolution(t *testing.T) {
	const own = "HS_SITE=192.0.2.1 HS_SITE.PREFIX=192.0.2.1 HS_SITE.6=2001:db8::1 HS_SITE.PREFIX=2001:db8::1 HS_SERV=0.NA/88"
	for _, c := range []struct {
		handle  string
		types   string
		indexes []uint32
		flags   handle.Flags
		code    handle.Code
		want    string
	}{
		{handle: "88.1/SN", code: 1, want: "URL EMAIL X X.Y XY"},
		{handle: "88.1/sn", types: "URL", code: 1, want: "URL"},
		{handle: "88.1/sn", types: "X", code: 1, want: "X"},
		{handle: "88.1/sn", types: "X.", code: 1, want: "X X.Y"},
		{handle: "88.1/sn", types: "X. URL", indexes: []uint32{2, 99}, code: 1, want: "URL EMAIL X X.Y"},
		{handle: "88.1/sn", indexes: []uint32{5}, flags: handle.FlagPublicOnly, code: 1, want: "XY"},
		{handle: "88.1/sn", types: "HS_SITE", code: 200},
		{handle: "88.1/none", code: 100},
		{handle: "88.1/secret", code: 401},
		{handle: "99/x", code: 401},
		{handle: "88.1/busy", code: 3},
		{handle: "88.1/who", code: 402},
		{handle: "88.1/broken", code: 2},
		{handle: "88.1/", code: 102},
		{handle: "88..1/x", code: 102},
		{handle: "", code: 102},
		// What the stock walk asks for.
		{handle: "0.NA/88", code: 1, want: own},
		{handle: "0.NA/88", types: "HS_SITE HS_SERV", code: 1, want: "HS_SITE=192.0.2.1"},
		{handle: "0.NA/88", types: "HS_SERV", code: 1, want: "HS_SERV=0.NA/88"},
		{handle: "0.NA/88.1", types: "HS_SERV", code: 1, want: "HS_SERV=0.NA/88"},
		{handle: "0.NA/88.1", types: "HS_SITE", indexes: []uint32{0x7fffff04}, code: 1, want: "HS_SITE=192.0.2.1 HS_SERV=0.NA/88"},
		{handle: "0.NA/88.118", types: "HS_SERV", code: 1, want: "HS_SERV=0.NA/88.118"},
		{handle: "0.na/88.1", types: "HS_SITE.6", code: 1, want: "HS_SITE.6=2001:db8::1"},
		{handle: "0.NA/88.2", code: 100},
		{handle: "0.NA/88.118", code: 1, want: "HS_SITE=192.0.2.2 HS_SITE.PREFIX=192.0.2.2 HS_SITE=192.0.2.3(mirror) HS_SITE.PREFIX=192.0.2.3(mirror) HS_SERV=0.NA/88.118"},
		{handle: "88.118", types: "HS_SITE", code: 1, want: "HS_SITE=192.0.2.2 HS_SITE=192.0.2.3(mirror)"},
		{handle: "0.NA/88.118", types: "URL", code: 200},
		{handle: "0.NA/88.118.5", types: "HS_SITE", code: 303, want: "HS_SITE.PREFIX=192.0.2.2 HS_SITE.PREFIX=192.0.2.3(mirror)"},
		{handle: "0.NA/88.118.5", flags: handle.FlagDoNotRefer, code: 301},
		{handle: "88.118/x", types: "URL", code: 302, want: "HS_SITE=192.0.2.2 HS_SITE=192.0.2.3(mirror)"},
		{handle: "88.118.5/x", code: 302, want: "HS_SITE=192.0.2.2 HS_SITE=192.0.2.3(mirror)"},
		{handle: "88.118/x", flags: handle.FlagDoNotRefer, code: 301},
	} {
		m, _, body := tell(t, newServer(), request(handle.OpResolution, c.flags, handle.Resolution{Handle: c.handle, Types: strings.Fields(c.types), Indexes: c.indexes}))
		got := ""
		switch b := body.(type) {
		case handle.Values:
			got = show(t, b.Values)
			if b.Handle != c.handle {
				t.Errorf("%s: the answer is about %s", c.handle, b.Handle)
			}
		case handle.Refer:
			got = show(t, b.Values)
		}
		if m.Code != c.code || got != c.want {
			t.Errorf("%s, types %q, indexes %d, flags %x: got %v, %q; want %d, %q", c.handle, c.types, c.indexes, c.flags, m.Code, got, c.code, c.want)
		}
	}
}

// What a request says in its flags is what is asked.
func TestFlags(t *testing.T) {
	for flag, want := range map[handle.Flags]resolver.Query{
		0:                        {},
		handle.FlagAuthoritative: {Authoritative: true},
		handle.FlagRecursive:     {Recursive: true},
	} {
		var got resolver.Query
		s := handle.New(resolverFunc(func(ctx context.Context, q resolver.Query) (resolver.Answer, error) {
			got = q
			return node(ctx, q)
		}), handle.Options{})
		tell(t, s, request(handle.OpResolution, flag, handle.Resolution{Handle: "88.1/sn"}))
		want.ID = identifier.ID{Prefix: "88.1", Suffix: "sn"}
		if got.Types, got.Indexes = nil, nil; !reflect.DeepEqual(got, want) {
			t.Errorf("flags %x: asked %+v; want %+v", flag, got, want)
		}
	}
}

func TestDigest(t *testing.T) {
	for name, text := range map[string]string{"found": "88.1/sn", "absent": "88.1/none", "referral": "88.118/x", "who": "88.1/who"} {
		m := request(handle.OpResolution, handle.FlagDigest, handle.Resolution{Handle: text})
		answer, digest, _ := tell(t, newServer(), m)
		if digest != m.Digest() || answer.Flags&handle.FlagDigest == 0 {
			t.Errorf("%s: got the digest %x; want %x", name, digest.Sum, m.Digest().Sum)
		}
	}
}

func TestSiteInfo(t *testing.T) {
	m, _, body := tell(t, newServer(), request(handle.OpSiteInfo, 0, handle.Name{Handle: "/"}))
	info, ok := body.(handle.SiteInfo)
	if !ok || m.Code != handle.Success || info.Site.Servers[0].IP().String() != "192.0.2.1" {
		t.Errorf("got %v, %+v", m.Code, body)
	}
	if m, _, _ := tell(t, handle.New(resolverFunc(node), handle.Options{}), request(handle.OpSiteInfo, 0, handle.Name{Handle: "/"})); m.Code != handle.Failed {
		t.Errorf("without an address: got %v; want 2", m.Code)
	}
}

func TestNotSupported(t *testing.T) {
	for _, op := range []handle.Opcode{100, 101, 102, 103, 104, 105, 106, 200, 201, 300, 301, 302, 400, 401, 402, 1000, 1001, 1002, 1003, 2000, 2001, 0, 3, 4294967295} {
		m, _, _ := tell(t, newServer(), request(op, 0, handle.Opaque("anything")))
		if m.Code != handle.NotSupported || m.Opcode != op {
			t.Errorf("operation %d: got %v for operation %d; want 5", op, m.Code, m.Opcode)
		}
	}
}

func TestVersions(t *testing.T) {
	v := func(major, minor uint8) handle.Version { return handle.Version{Major: major, Minor: minor} }
	for _, c := range []struct{ speaks, suggests, want handle.Version }{
		{v(2, 3), v(2, 10), v(2, 10)},
		{v(2, 10), v(2, 11), v(2, 11)},
		{v(2, 11), v(2, 11), v(2, 11)},
		{v(2, 11), v(2, 200), v(2, 11)},
		{v(2, 4), v(0, 0), v(2, 4)},
		{v(2, 1), v(2, 1), v(2, 1)},
		{v(2, 11), v(3, 0), v(2, 11)},
		{v(3, 0), v(3, 0), v(3, 0)},
		{v(3, 1), v(3, 1), v(3, 0)},
	} {
		m := request(handle.OpResolution, 0, handle.Resolution{Handle: "88.1/sn"})
		m.Version, m.Suggested = c.speaks, c.suggests
		if got, _, _ := tell(t, newServer(), m); got.Version != c.want {
			t.Errorf("%v suggesting %v: got %v; want %v", c.speaks, c.suggests, got.Version, c.want)
		}
	}
}

// What nobody negotiated, and what is broken, is a protocol error.
func TestProtocolErrors(t *testing.T) {
	s := newServer()
	good := request(handle.OpResolution, 0, handle.Resolution{Handle: "88.1/sn"})
	broken := *good
	broken.Body = append(slices.Clone(good.Body), 0)
	compressed, encrypted := *good, *good
	compressed.Compressed, encrypted.Encrypted = true, true
	for name, m := range map[string]*handle.Message{"trailing": &broken, "compressed": &compressed, "encrypted": &encrypted} {
		if got, _, _ := tell(t, s, m); got.Code != handle.ProtocolError {
			t.Errorf("%s: got %v; want 4", name, got.Code)
		}
	}
	b := good.Append(nil)
	if got := s.Answer(t.Context(), handle.Envelope{Version: good.Version, Length: uint32(len(b) - 1)}, b[:len(b)-1]); got == nil || got.Code != handle.ProtocolError {
		t.Errorf("cut: got %+v; want 4", got)
	}
	answer := *good
	answer.Code = handle.Success
	b = answer.Append(nil)
	if got := s.Answer(t.Context(), handle.Envelope{Version: good.Version, Length: uint32(len(b))}, b); got != nil {
		t.Errorf("an answer got the answer %v", got.Code)
	}
}

// Nothing that is sent makes a server fall, or answer what cannot be read.
func FuzzAnswer(f *testing.F) {
	for _, v := range readVectors(f) {
		if v.kind == "message" {
			f.Add(v.octets)
		}
	}
	s := newServer()
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := handle.ParseEnvelope(b)
		if err != nil {
			return
		}
		answer := s.Answer(t.Context(), e, b[20:])
		if answer == nil {
			return
		}
		if _, _, err := answer.ParseBody(); err != nil && answer.Code != handle.NotSupported {
			t.Errorf("the answer %v to %X cannot be read: %v", answer.Code, b, err)
		}
	})
}

// The record of the root names all who answer at the top: stock clients read it again
// from time to time.
func TestRoot(t *testing.T) {
	s := handle.New(resolverFunc(func(_ context.Context, q resolver.Query) (resolver.Answer, error) {
		if q.ID != (identifier.ID{}) {
			t.Errorf("asked for %v; want the root", q.ID)
		}
		return resolver.Answer{ID: q.ID, InZone: true, Outcome: resolver.Absent, Below: true, Lifetime: resolver.NegativeTTL}, nil
	}), handle.Options{Node: here, Peers: []identifier.Node{there}})
	for _, name := range []string{handle.RootHandle, "0.na/0.na"} {
		m, _, body := tell(t, s, request(handle.OpResolution, 0, handle.Resolution{Handle: name, Types: []string{"HS_SITE"}}))
		v, ok := body.(handle.Values)
		if !ok || m.Code != handle.Success || v.Handle != name || len(v.Values) != 2 {
			t.Fatalf("%s: got %v, %+v; want the sites of two nodes over IPv4", name, m.Code, body)
		}
		for i, want := range []string{"192.0.2.1", "192.0.2.2"} {
			if site, err := handle.ParseSite(v.Values[i].Data); err != nil || site.Servers[0].IP().String() != want {
				t.Errorf("%s: got %+v, %v; want the site at %s", name, site, err, want)
			}
		}
	}
}
