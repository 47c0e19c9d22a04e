package dns_test

import (
	"bytes"
	"encoding/base32"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/resolver/dns"

	"pgregory.net/rapid"
)

// longZone is as long as a zone may be: 40 octets on the wire.
var longZone = dns.MustParseZone("a-zone-long-as-one-may-be.example.test")

var defaultZone = dns.MustParseZone(dns.DefaultZone)

// identifiers draws valid identifiers of every scheme: many in their plain form,
// many encoded, some hashed, some at the very limits.
func identifiers() *rapid.Generator[identifier.ID] {
	segment := rapid.StringMatching(`[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?`)
	prefix := rapid.OneOf(
		rapid.Custom(func(t *rapid.T) string {
			return strings.Join(rapid.SliceOfN(segment, 1, 10).Draw(t, "segments"), ".")
		}),
		rapid.Custom(func(t *rapid.T) string {
			return "9." + strings.Repeat("a.", rapid.IntRange(0, 60).Draw(t, "depth")) + "b"
		}),
		rapid.Just("88.118.8"),
		rapid.Just(strings.Repeat("a", 63)+"."+strings.Repeat("b", 61)),
		rapid.Just("web.example.maker"),
		rapid.Just("did.web"),
		rapid.Just("gs1.9.5.0.6.0.0.0.1.3.4.3.5"),
	)
	letters := rapid.SampledFrom([]rune("abcxyz0189-._~%/:?#é測🙂 _+=\"\\"))
	suffix := rapid.OneOf(
		rapid.Just(""),
		rapid.StringMatching(`[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?`),
		rapid.StringOfN(letters, 1, 60, -1),
		rapid.StringOfN(letters, 1, 400, -1),
		rapid.Custom(func(t *rapid.T) string { return strings.Repeat("x.", rapid.IntRange(1, 70).Draw(t, "pairs")) }),
		rapid.StringMatching(`/[A-Za-z0-9/?&=]{0,50}`),
		rapid.StringMatching(`010/21/[A-Za-z0-9-]{1,20}`),
	)
	return rapid.Custom(func(t *rapid.T) identifier.ID {
		p := prefix.Draw(t, "prefix")
		s := suffix.Draw(t, "suffix")
		id, err := identifier.New(identifier.Prefix(p), s)
		if err != nil {
			// Most prefixes with most suffixes are handles; the rest is mended.
			id, err = identifier.New("88.118.8", strings.ToLower(strings.TrimSpace(s)))
		}
		if err != nil {
			return identifier.ID{Prefix: "88.118.8", Suffix: "x"}
		}
		return id
	})
}

// randomCase changes the case of letters at random, as resolvers do (0x20).
func randomCase(name []byte) []byte {
	mixed := bytes.Clone(name)
	for i, c := range mixed {
		if 'a' <= c && c <= 'z' && rand.IntN(2) == 0 {
			mixed[i] = c - 'a' + 'A'
		}
	}
	return mixed
}

// An identifier's name is at most 255 octets with a link type in front, and reads
// back as the identifier, in any case.
func TestNameRoundTrip(t *testing.T) {
	const longestLink = "_abcdefghijabcdefghijabcdefghij"
	rapid.Check(t, func(t *rapid.T) {
		id := identifiers().Draw(t, "id")
		zone := rapid.SampledFrom([]dns.Zone{defaultZone, longZone}).Draw(t, "zone")
		name := zone.AppendName(nil, id)
		linked := append([]byte{byte(len(longestLink))}, longestLink...)
		linked = append(linked, name...)
		if len(linked) > 255 {
			t.Fatalf("%v: the name has %d octets with a link type; want 255 or fewer", id, len(linked))
		}
		want := dns.Name{Kind: dns.KindIdentifier, ID: id}
		if identifier.HashNamed(id) {
			want = dns.Name{Kind: dns.KindHashed, ID: identifier.ID{Prefix: id.Prefix}, Hash: identifier.SuffixHash(id.Suffix)}
		}
		got, err := zone.Parse(randomCase(name))
		got.Above = false
		if err != nil || got != want {
			t.Fatalf("%v is %q: read back as %+v, %v", id, name, got, err)
		}
		want.Link = longestLink[1:]
		if got, err := zone.Parse(randomCase(linked)); err != nil || got != want {
			t.Fatalf("%v with a link type is %q: read back as %+v, %v", id, linked, got, err)
		}
	})
}

// Different identifiers have different names, and the name is the same however
// the identifier came about.
func TestNamesDiffer(t *testing.T) {
	seen := map[string]identifier.ID{}
	rapid.Check(t, func(t *rapid.T) {
		id := identifiers().Draw(t, "id")
		name := string(defaultZone.AppendName(nil, id))
		if other, ok := seen[name]; ok && other != id {
			t.Fatalf("%v and %v have one name, %q", id, other, name)
		}
		seen[name] = id
	})
}

// Every name above a name that is there is there too: none of them is malformed.
func TestNamesAbove(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		id := identifiers().Draw(t, "id")
		name := defaultZone.AppendName(nil, id)
		for rest := name[1+name[0]:]; len(rest) >= 13; rest = rest[1+rest[0]:] {
			n, err := defaultZone.Parse(rest)
			if err != nil || n.Kind == dns.KindMalformed {
				t.Fatalf("%q stands above %v: %+v, %v", rest, id, n, err)
			}
			if !n.ID.Prefix.Covers(id.Prefix) {
				t.Fatalf("%q stands above %v but below prefix %v", rest, id, n.ID.Prefix)
			}
		}
	})
}

func TestNameForms(t *testing.T) {
	for _, c := range []struct {
		id   identifier.ID
		want string
	}{
		{identifier.ID{}, "id.internal."},
		{identifier.ID{Prefix: "88.118.8"}, "8.118.88.id.internal."},
		{identifier.ID{Prefix: "88.118.8", Suffix: "sn-42"}, "sn-42._i.8.118.88.id.internal."},
		{identifier.ID{Prefix: "88.118", Suffix: "8"}, "8._i.118.88.id.internal."},
		{identifier.ID{Prefix: "88.118.8", Suffix: "sn 42"}, "edn20d1i._b.8.118.88.id.internal."},
		{identifier.ID{Prefix: "88", Suffix: "xn--a"}, "f1n2qbb1._b.88.id.internal."},
		{
			identifier.ID{Prefix: "88", Suffix: strings.Repeat("a.", 30)},
			"c4n62bj15pgiso9ec4n62bj15pgiso9ec.4n62bj15pgiso9ec4n62bj15pgiso9ec4n62bj15pgiso9ec4n62bj15pgiso9e._b.88.id.internal.",
		},
	} {
		if got := defaultZone.Name(c.id); got != c.want {
			t.Errorf("%v: got %s; want %s", c.id, got, c.want)
		}
	}
}

func TestParseOutside(t *testing.T) {
	for _, name := range []string{"\x00", "\x08internal\x00", "\x07example\x00", "\x02id\x07example\x00", "\x03xid\x08internal\x00", "\x0bid.internal\x00", "\x01x\x0bid.internal\x00"} {
		if _, err := defaultZone.Parse([]byte(name)); !errors.Is(err, dns.ErrOutside) {
			t.Errorf("%q: got %v; want outside", name, err)
		}
	}
	for _, name := range []string{"", "\x01", "\x02id\x08internal", "\x02id\x08internal\x00\x00", "\x02id\x08internal\xc0\x0c", "\x40" + strings.Repeat("a", 64) + "\x02id\x08internal\x00", strings.Repeat("\x01a", 128) + "\x02id\x08internal\x00"} {
		if _, err := defaultZone.Parse([]byte(name)); !errors.Is(err, dns.ErrBroken) {
			t.Errorf("%q: got %v; want broken", name, err)
		}
	}
}

func TestParseZone(t *testing.T) {
	for text, want := range map[string]string{
		"id.internal":                            "id.internal.",
		"ID.Internal.":                           "id.internal.",
		"x":                                      "x.",
		"a-zone-long-as-one-may-be.example.test": "a-zone-long-as-one-may-be.example.test.",
		"":                                       "", ".": "", "a..b": "", "-a.b": "", "a_b": "", "a.b..": "", "größe.test": "",
		"a-zone-longer-than-one-may.example.test": "",
	} {
		z, err := dns.ParseZone(text)
		if (err == nil) != (want != "") || err == nil && z.String() != want {
			t.Errorf("%q: got %q, %v; want %q", text, z, err, want)
		}
	}
}

func TestLinkLabel(t *testing.T) {
	for relation, want := range map[string]string{
		"gs1:dpp":                              "_dpp",
		"gs1:defaultLink":                      "_defaultlink",
		"https://gs1.org/voc/pip":              "_pip",
		"https://ref.gs1.org/voc/hasRetailers": "_hasretailers",
		"alternate":                            "_alternate",
		"service-doc":                          "_service-doc",
		"":                                     "",
		"gs1:":                                 "",
		"gs1:i":                                "",
		"gs1:NS":                               "",
		"gs1:a_b":                              "",
		"iana:next":                            "",
		"https://example.org/rel":              "",
		"gs1:abcdefghijabcdefghijabcdefghij":   "_abcdefghijabcdefghijabcdefghij",
		"gs1:abcdefghijabcdefghijabcdefghijk":  "",
	} {
		if got, ok := dns.LinkLabel(relation); got != want || ok != (want != "") {
			t.Errorf("%q: got %q, %t; want %q", relation, got, ok, want)
		}
	}
}

// What is read as an identifier is written the same way again.
func FuzzName(f *testing.F) {
	for _, id := range []identifier.ID{
		{}, {Prefix: "88.118.8"}, {Prefix: "88.118.8", Suffix: "sn-42"}, {Prefix: "88.118.8", Suffix: "größe"},
		{Prefix: "88", Suffix: strings.Repeat("a.", 40)}, {Prefix: "88", Suffix: strings.Repeat("a.", 60)}, {Prefix: "88", Suffix: strings.Repeat("a.", 90)},
	} {
		name := defaultZone.AppendName(nil, id)
		f.Add(name)
		f.Add(append([]byte("\x04_dpp"), name...))
		f.Add(name[1+name[0]:])
	}
	f.Add(defaultZone.AppendServerName(nil, "88", "n1"))
	f.Fuzz(func(t *testing.T, wire []byte) {
		n, err := defaultZone.Parse(wire)
		if err != nil {
			if n.Kind != dns.KindMalformed || n.ID.Suffix != "" {
				t.Fatalf("%q: got %+v beside %v", wire, n, err)
			}
			return
		}
		var again []byte
		if n.Link != "" {
			again = append(append(again, byte(len(n.Link)+1), '_'), n.Link...)
		}
		switch n.Kind {
		case dns.KindIdentifier:
			again = defaultZone.AppendName(again, n.ID)
		case dns.KindHashed:
			again = defaultZone.AppendHashedName(again, n.ID.Prefix, n.Hash)
		case dns.KindServer:
			again = defaultZone.AppendServerName(again, n.ID.Prefix, n.Server)
		default:
			return // empty non-terminals have many forms
		}
		if !bytes.EqualFold(again, wire) {
			t.Fatalf("%q: read as %+v, which is written %q", wire, n, again)
		}
	})
}

// What the plain way decodes is what the library encodes, and nothing else.
func TestDecoded(t *testing.T) {
	library := base32.NewEncoding("0123456789abcdefghijklmnopqrstuv").WithPadding(base32.NoPadding)
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(
			rapid.StringMatching(`[0-9a-v]{0,70}`), rapid.StringMatching(`[0-9a-z=_\n]{0,12}`),
			rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 64), library.EncodeToString)).Draw(t, "text")
		want, err := library.DecodeString(text)
		ok := err == nil && library.EncodeToString(want) == text
		if got, is := dns.Decoded(text); is != ok || ok && !bytes.Equal(got, want) {
			t.Fatalf("%q: got %x, %t; want %x, %t", text, got, is, want, ok)
		}
	})
}
