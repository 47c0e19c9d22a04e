package dns

import (
	"errors"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/resolver"

	"github.com/miekg/dns"
	"pgregory.net/rapid"
)

// values draws values with everything that they may hold.
func values() *rapid.Generator[identifier.Value] {
	text := rapid.OneOf(rapid.Just(""), rapid.StringN(0, 600, -1), rapid.SampledFrom([]string{"+x", "a=b", `\`, `"\"`, `\065`, "größe", strings.Repeat("=", 255), strings.Repeat("+", 700)}))
	octets := rapid.SliceOfN(rapid.Byte(), 0, 700)
	return rapid.Custom(func(t *rapid.T) identifier.Value {
		v := identifier.Value{
			Type: rapid.StringMatching(`[!-~]{1,40}`).Draw(t, "type"), Data: octets.Draw(t, "data"),
			TTL:         identifier.TTL{Absolute: rapid.Bool().Draw(t, "absolute"), Seconds: rapid.Uint32().Draw(t, "ttl")},
			Permissions: identifier.Permissions(rapid.IntRange(0, 15).Draw(t, "permissions")),
		}
		if at := rapid.Uint32().Draw(t, "time"); at%3 > 0 {
			v.Timestamp = time.Unix(int64(at), 0).UTC()
		}
		for range rapid.IntRange(0, 2).Draw(t, "references") {
			v.References = append(v.References, identifier.Reference{Handle: text.Draw(t, "handle"), Index: rapid.Uint32().Draw(t, "reference")})
		}
		if rapid.Bool().Draw(t, "linked") {
			v.Link = &identifier.Link{Relation: text.Draw(t, "rel"), Title: text.Draw(t, "title"), MediaType: text.Draw(t, "media"), Context: text.Draw(t, "context"), Default: rapid.Bool().Draw(t, "default")}
			if rapid.Bool().Draw(t, "languages") {
				v.Link.Languages = []string{"en", "zh-Hant-TW"}
			}
		}
		return v
	})
}

// A record comes back from its TXT records as it is, in whatever order they come,
// through the library's own packing and unpacking.
func TestTextRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := &identifier.Record{
			ID:       identifier.ID{Prefix: "88", Suffix: rapid.SampledFrom([]string{"x", "größe", strings.Repeat("long/", 300)}).Draw(t, "suffix")},
			Spelling: rapid.SampledFrom([]string{"", "88/X", strings.Repeat("spelled", 100)}).Draw(t, "spelling"),
			Version:  1 + uint64(rapid.Uint32().Draw(t, "version")), RowHash: identifier.Hash{1, 31: 2},
			Time:   time.UnixMilli(int64(rapid.Uint32().Draw(t, "time"))*1000 + 7).UTC(),
			Values: rapid.SliceOfN(values(), 0, 6).Draw(t, "values"),
		}
		step := rapid.SampledFrom([]uint32{1, 7, 1 << 29}).Draw(t, "step")
		for i := range want.Values {
			want.Values[i].Index = uint32(i)*step + 1
		}
		a := resolver.Answer{Record: want, Lifetime: time.Hour}
		if rapid.Bool().Draw(t, "other default") {
			v := values().Draw(t, "default link")
			v.Index = 4294967295
			a.Default = &v
		}
		rrs := (&records{owner: "x.", answer: &a, now: time.Now()}).texts()
		rand.Shuffle(len(rrs), func(i, j int) { rrs[i], rrs[j] = rrs[j], rrs[i] })
		m := &dns.Msg{Answer: rrs}
		packed, err := m.Pack()
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Unpack(packed); err != nil {
			t.Fatal(err)
		}
		texts, _ := (&response{name: "x.", msg: m}).texts()
		got, link, err := parseLines(texts)
		if err != nil {
			t.Fatalf("%+v: %v", want, err)
		}
		if !reflect.DeepEqual(got, want) && len(want.Values) > 0 || !reflect.DeepEqual(link, a.Default) {
			t.Fatalf("got %+v, %+v\nwant %+v, %+v", got, link, want, a.Default)
		}
	})
}

// Values that do not fit are left out, the others are there, and the head tells.
func TestTextBounds(t *testing.T) {
	r := &identifier.Record{ID: identifier.ID{Prefix: "88", Suffix: "x"}, Version: 1, Spelling: "88/x"}
	for i := range uint32(10) {
		size := 9000
		if i == 9 {
			size = 10
		}
		r.Values = append(r.Values, identifier.Value{Index: i + 1, Type: "X", Data: make([]byte, size)})
	}
	all := lines(r, nil)
	size := 0
	for _, l := range all {
		size += l.octets()
	}
	if size > maxText || len(all) != 8 {
		t.Errorf("got %d records of %d octets; want the head, 6 large values and the small one", len(all), size)
	}
	if _, _, err := parseLines(all); !errors.Is(err, errIncomplete) {
		t.Errorf("got %v; want that it is incomplete", err)
	}
	// Links too: they are left out from the end.
	for i := range r.Values {
		r.Values[i].Type = "URL"
	}
	rrs := (&records{owner: "x.", answer: &resolver.Answer{Record: r}, now: time.Now()}).uris()
	if len(rrs) != 6 {
		t.Errorf("got %d URI records; want 6", len(rrs))
	}
}

func TestReplaceAll(t *testing.T) {
	for uri, want := range map[string]string{
		"https://maker.example/":                            "!.*!https://maker.example/!",
		"https://maker.example/a!b":                         "|.*|https://maker.example/a!b|",
		"https://maker.example/a!b|c":                       "",
		`https://maker.example/\1`:                          "",
		"https://maker.example/" + strings.Repeat("x", 228): "!.*!https://maker.example/" + strings.Repeat("x", 228) + "!",
		"https://maker.example/" + strings.Repeat("x", 229): "",
	} {
		got, ok := replaceAll(uri)
		if ok != (want != "") || ok && got != want {
			t.Errorf("%s: got %q, %t; want %q", uri, got, ok, want)
		}
	}
}

// Whatever a server sends: no panic, and no answer but one about the question.
func FuzzResponse(f *testing.F) {
	c := NewClient("127.0.0.1:53", ClientOptions{})
	id := identifier.ID{Prefix: "88.118.8", Suffix: "sn-42"}
	q := resolver.Query{ID: id, Relation: "gs1:pip"}
	name := c.o.Zone.AppendName(nil, id)
	query := buildQuery(resolver.Query{ID: id}, name)
	question := questionOf(query)
	for _, texts := range [][]string{
		{`@ 60 IN TXT "nameplate=1" "id=88.118.8/sn-42" "version=3" "values=1"`, `@ 60 IN TXT "value=1" "type=URL" "ttl=60" "rel=gs1:pip" "data=x"`},
		{`118.88.id.internal. 30 IN SOA ns. host. 1 1 1 1 20`},
		{`118.88.id.internal. 30 IN NS n1._ns.118.88.id.internal.`, `118.88.id.internal. 30 IN SVCB 1 n1._ns.118.88.id.internal. port=53 ipv4hint=192.0.2.1 key65280="1" key65283="ed25519:AAAA"`, `n1._ns.118.88.id.internal. 30 IN A 192.0.2.1`},
	} {
		m := &dns.Msg{}
		for _, text := range texts {
			rr, err := dns.NewRR(strings.ReplaceAll(text, "@", c.o.Zone.Name(id)))
			if err != nil {
				f.Fatal(err)
			}
			m.Answer = append(m.Answer, rr)
		}
		b, err := m.Pack()
		if err != nil {
			f.Fatal(err)
		}
		n := byte(len(texts))
		for flags := range uint16(16) {
			f.Add(flags<<7|1<<10, n, byte(0), byte(0), b[headerOctets:])
			f.Add(flags, byte(0), n, byte(0), b[headerOctets:])
			f.Add(flags, byte(0), byte(1), n-1, b[headerOctets:])
		}
	}
	f.Fuzz(func(t *testing.T, flags uint16, answer, authority, additional byte, records []byte) {
		msg := []byte{query[0], query[1], byte(flags>>8)&0x07 | 0x80, byte(flags), 0, 1, 0, answer, 0, authority, 0, additional}
		msg = append(append(msg, question...), records...)
		if !answers(msg, query) || !repeats(msg, query) {
			t.Fatalf("%x is an answer to %x", msg, query)
		}
		r, err := c.unpack(q, name, msg)
		if err != nil {
			return
		}
		a, err := r.answer()
		if err != nil {
			return
		}
		switch a.Outcome {
		case resolver.Found:
			if a.ID != id || a.Record.ID != id {
				t.Fatalf("found %v", a.ID)
			}
		case resolver.Referral:
			if p := a.Delegation.Prefix; p == "" || !p.Covers(id.Prefix) || len(a.Delegation.Node.Addresses) > maxAddresses {
				t.Fatalf("referred at %q to %+v", p, a.Delegation.Node)
			}
		case resolver.Absent, resolver.Refused:
		default:
			t.Fatalf("got %+v without an error", a)
		}
		if a.Lifetime < 0 || a.Lifetime > resolver.MaxLifetime {
			t.Fatalf("got lifetime %v", a.Lifetime)
		}
	})
}
