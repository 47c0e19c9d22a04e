package resolvertest

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"math/big"
	"strings"
	"time"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/resolver"
)

var (
	logged = time.Date(2026, 11, 20, 8, 15, 30, 250e6, time.UTC) // logs keep milliseconds
	signed = time.Date(2026, 11, 19, 23, 59, 59, 0, time.UTC)    // values keep seconds
	logID  = identifier.LogID{0: 0xfe, 7: 0x01, 15: 0x7f}
)

const hour = time.Hour

// fixtures returns everything that the backend knows.
func fixtures() []fixture {
	var all []fixture
	for _, group := range [][]fixture{everyScheme(), records(), selections(), mirrors(), referrals(), negatives(), failures()} {
		all = append(all, group...)
	}
	return all
}

// identifiers of every scheme, and what is hard to write on some wire.
func identifiers() map[string]identifier.ID {
	longest := strings.Repeat("long-", 409)[:identifier.MaxID-len("88.118.8/")]
	return map[string]identifier.ID{
		"handle":                       {Prefix: "88.118.8", Suffix: "sn-42"},
		"handle, letters in prefix":    {Prefix: "20.500.x-y", Suffix: "x"},
		"handle, prefix only":          {Prefix: "88.118.9"},
		"handle, one segment":          {Prefix: "88"},
		"handle, digits":               {Prefix: "88.118.8", Suffix: "8"},
		"handle, slashes":              {Prefix: "88.118.8", Suffix: "/a//b/"},
		"handle, dots":                 {Prefix: "88.118.8", Suffix: "../x/./.."},
		"handle, one dot":              {Prefix: "88.118.8", Suffix: "."},
		"handle, punctuation":          {Prefix: "88.118.8", Suffix: `a b?c#d%65&e;f+g=h:i@j"k\l<m>'n|o` + "`{}[]^~$!*(),"},
		"handle, percent":              {Prefix: "88.118.8", Suffix: "%2f%00%zz%"},
		"handle, underscore":           {Prefix: "88.118.8", Suffix: "_i"},
		"handle, hyphens at 3 and 4":   {Prefix: "88.118.8", Suffix: "xn--a"},
		"handle, 63 octets":            {Prefix: "88.118.8", Suffix: strings.Repeat("a", 63)},
		"handle, 64 octets":            {Prefix: "88.118.8", Suffix: strings.Repeat("a", 64)},
		"handle, several labels":       {Prefix: "88.118.8", Suffix: strings.Repeat("a.", 45)},
		"handle, not ASCII":            {Prefix: "88.118.8", Suffix: "größe-測試-🙂-é"},
		"handle, hashed":               {Prefix: "88.118.8", Suffix: strings.Repeat("serial/", 40)},
		"handle, hashed, not ASCII":    {Prefix: "88.118.8", Suffix: strings.Repeat("測", 100)},
		"handle, longest":              {Prefix: "88.118.8", Suffix: longest},
		"handle, long prefix":          {Prefix: identifier.Prefix(strings.Repeat("a.", 62) + "b"), Suffix: "sn"},
		"handle, long prefix, hashed":  {Prefix: identifier.Prefix(strings.Repeat("a.", 62) + "b"), Suffix: strings.Repeat("x", 80)},
		"handle, 63 octets a segment":  {Prefix: identifier.Prefix(strings.Repeat("a", 63) + "." + strings.Repeat("b", 61)), Suffix: "sn"},
		"handle, looks like a link":    {Prefix: "88.118.8", Suffix: "https://maker.example/p?q=1#f"},
		"gs1, GTIN":                    {Prefix: "gs1.9.5.0.6.0.0.0.1.3.4.3.5", Suffix: "010"},
		"gs1, GTIN and serial":         {Prefix: "gs1.9.5.0.6.0.0.0.1.3.4.3.5", Suffix: "010/21/SN-42"},
		"gs1, other case":              {Prefix: "gs1.9.5.0.6.0.0.0.1.3.4.3.5", Suffix: "010/21/sn-42"},
		"gs1, all qualifiers":          {Prefix: "gs1.9.5.0.6.0.0.0.1.3.4.3.5", Suffix: "010/22/2A/10/ABC/21/A%2FB%25"},
		"gs1, SSCC":                    {Prefix: "gs1.9.5.0.6.0.0.0.1.3.4.3.5", Suffix: "0032345"},
		"oid":                          {Prefix: "oid.1.2.156.3001.7"},
		"web":                          {Prefix: "web.example.maker", Suffix: "/p/4711?s=A&t=%C3%A9;u"},
		"web, no path":                 {Prefix: "web.example.maker", Suffix: "/"},
		"did":                          {Prefix: "did.web", Suffix: "maker.example%3A8443:item:A"},
		"a reserved word not in front": {Prefix: "88.gs1", Suffix: "x"},
	}
}

// everyScheme are identifiers with one link each.
func everyScheme() []fixture {
	var all []fixture
	for name, id := range identifiers() {
		all = append(all, found(name, id, link(1, "https://maker.example/item?id=1")))
	}
	return all
}

// records are all that a record can hold.
func records() []fixture {
	id := func(suffix string) identifier.ID { return identifier.ID{Prefix: "88.118.20", Suffix: suffix} }
	octets := make([]byte, 256)
	for i := range octets {
		octets[i] = byte(i)
	}
	var many []identifier.Value
	for i := range uint32(200) {
		many = append(many, value(i+1, "DESC", fmt.Sprintf("value %d of two hundred, with some words", i+1)))
	}
	sparse := []identifier.Value{value(2, "DESC", "two"), value(100, "EMAIL", "a@maker.example"), value(4294967295, "X", "last")}
	closed := []identifier.Value{value(1, "DESC", "world may write"), value(2, "DESC", "world may read")}
	closed[0].Permissions, closed[1].Permissions = 0xf, identifier.PublicRead
	referring := value(1, "HS_ALIAS", "88.118.8/sn-42")
	referring.References = []identifier.Reference{{Handle: "88.118.8/größe", Index: 3}, {Handle: "0.NA/88", Index: 4294967295}}
	lasting := value(1, "DESC", "until 2100")
	lasting.TTL = identifier.TTL{Absolute: true, Seconds: 4102444800}
	mixed := []identifier.Value{value(1, "DESC", "an hour"), value(2, "DESC", "a minute"), link(3, "https://maker.example/day")}
	mixed[1].TTL.Seconds, mixed[2].TTL.Seconds = 60, 86400
	shortest := found("TTLs of their own", id("ttls"), mixed...)
	shortest.answer.Lifetime = time.Minute
	until := found("an absolute TTL", id("until"), lasting)
	now := found("not to be kept", id("now"), value(1, "DESC", "volatile"))
	now.answer.Record.Values[0].TTL.Seconds, now.answer.Lifetime = 0, 0
	old := found("a high version and position", id("old"), value(1, "DESC", "old"))
	old.answer.Record.Version, old.answer.Origin.Position = 1<<40+7, 1<<33+5
	large := found("200 KiB", id("large"), value(1, "BLOB", strings.Repeat("A", 64<<10)), value(2, "BLOB", strings.Repeat("B", 64<<10)),
		value(3, "BLOB", strings.Repeat("C", 64<<10)), value(4, "DESC", "the end"))
	large.large = true
	return []fixture{
		found("links with everything", id("links"), richLinks()...),
		found("the first link is the default", id("first"), link(3, "https://maker.example/3"), link(7, "https://maker.example/7")),
		found("links and other values", id("both"), value(1, "DESC", "Pumpe, größer — 測試 🙂\n\"second\" line\t\\end"), link(2, "https://maker.example/2"), value(3, "EMAIL", "a@maker.example")),
		found("no link", id("no-link"), value(1, "DESC", "a pump"), value(2, "EMAIL", "a@maker.example")),
		found("all octets", id("octets"), value(1, "HS_PUBKEY", string(octets)), value(2, "X", string(bytes.Repeat(octets[128:], 4)))),
		found("empty data", id("empty"), value(1, "DESC", ""), value(2, "URN:x:y~!", "")),
		found("a longest type", id("type"), value(1, strings.Repeat("T", identifier.MaxTypeName), "x")),
		found("other schemes", id("schemes"), link(1, "mailto:a@maker.example"), link(2, "ftp://maker.example/f"), link(3, "urn:epc:id:sgtin:9506000.013435.42")),
		found("a long link", id("long-link"), link(1, "https://maker.example/"+strings.Repeat("p/", 900)+"?q=%C3%A9#f")),
		found("many values", id("many"), many...),
		found("any index", id("sparse"), sparse...),
		found("permissions", id("permissions"), closed...),
		found("references", id("references"), referring),
		found("another spelling", identifier.ID{Prefix: "gs1.9.5.0.6.0.0.0.1.3.4.3.5", Suffix: "010/21/spelled"}, link(1, "https://maker.example/s")).spelled("(01)09506000134352(21)spelled"),
		shortest, until, now, old, large,
		found("no values at all", id("bare")),
		found("suspect", id("suspect"), link(1, "https://maker.example/suspect")).suspect(),
	}
}

// richLinks are links with all their attributes.
func richLinks() []identifier.Value {
	attributes := []*identifier.Link{
		{Relation: "gs1:pip", Title: "Product page", Languages: []string{"en"}, MediaType: "text/html"},
		{Relation: "gs1:pip", Title: `Produktseite "groß" — 測`, Languages: []string{"de", "de-CH", "zh-Hant-TW"}, MediaType: "text/html", Default: true},
		{Relation: "https://ref.gs1.org/voc/certificationInfo", MediaType: "application/pdf", Context: "gb"},
		{Relation: "https://example.org/rel/x?y=z#w", Languages: []string{"es-419"}, Context: "a b, c;d=\"e\""},
		nil,
	}
	var values []identifier.Value
	for i, a := range attributes {
		v := link(uint32(i+1), fmt.Sprintf("https://maker.example/links/%d?a=1&b=2;c#f", i+1))
		v.Link = a
		values = append(values, v)
	}
	return values
}

// selections ask for some of the values only.
func selections() []fixture {
	id := identifier.ID{Prefix: "88.118.21", Suffix: "select"}
	values := append(richLinks(), value(10, "HS_SITE", "site"), value(11, "HS_SITE.PREFIX", "prefix"), value(12, "EMAIL", "a@maker.example"))
	f := found("selected", id, values...)
	f.ways = []resolver.Query{
		{Types: []string{"EMAIL"}},
		{Types: []string{"HS_SITE."}},
		{Types: []string{"URL", "EMAIL"}},
		{Indexes: []uint32{2}},
		{Indexes: []uint32{1, 12, 4000}},
		{Types: []string{"HS_SITE"}, Indexes: []uint32{12}},
		{Relation: "gs1:pip"},
		{Relation: "https://gs1.org/voc/certificationInfo"},
		{Relation: "https://example.org/rel/x?y=z#w"},
		{Types: []string{"HS_SECKEY"}},
		{Indexes: []uint32{99}},
		{Relation: "gs1:dpp"},
		{Recursive: true},
		{Authoritative: true},
	}
	none := found("links only", identifier.ID{Prefix: "88.118.21", Suffix: "links-only"}, richLinks()...)
	none.ways = []resolver.Query{{Types: []string{"EMAIL"}}}
	other := found("no links", identifier.ID{Prefix: "88.118.21", Suffix: "no-links"}, value(1, "DESC", "a pump"))
	other.ways = []resolver.Query{{Types: []string{"URL"}}, {Relation: "gs1:pip"}}
	hashed := found("selected by hash", identifier.ID{Prefix: "88.118.21", Suffix: strings.Repeat("select/", 40)}, values...)
	hashed.ways = []resolver.Query{{Types: []string{"EMAIL"}}, {Types: []string{"HS_SECKEY"}}}
	return []fixture{f, none, other, hashed}
}

// mirrors are answers from a copy.
func mirrors() []fixture {
	var all []fixture
	for _, id := range []identifier.ID{
		{Prefix: "88.118.22", Suffix: "mirrored"},
		{Prefix: "88.118.22"},
		{Prefix: "88.118.22", Suffix: strings.Repeat("mirrored/", 30)},
	} {
		f := found("mirrored "+id.String(), id, richLinks()...)
		f.answer.Origin.Mirror, f.answer.Origin.Age = true, 4*time.Second
		f.ways = []resolver.Query{{Types: []string{"EMAIL"}}}
		all = append(all, f)
	}
	fresh := found("a mirror that is up to date", identifier.ID{Prefix: "88.118.22", Suffix: "fresh"}, link(1, "https://maker.example/fresh"))
	fresh.answer.Origin.Mirror = true
	old := found("an old mirror, for a shorter time", identifier.ID{Prefix: "88.118.22", Suffix: "aged"}, link(1, "https://maker.example/aged"))
	old.answer.Origin.Mirror, old.answer.Origin.Age, old.answer.Lifetime = true, 30*24*hour, 100*time.Second
	stale := found("stale in a cache", identifier.ID{Prefix: "88.118.22", Suffix: "stale"}, link(1, "https://maker.example/stale"))
	stale.answer.Origin.Stale, stale.answer.Origin.Age, stale.answer.Lifetime = true, 25*hour, resolver.StaleTTL
	both := found("stale, from a mirror", identifier.ID{Prefix: "88.118.22", Suffix: "both"}, link(1, "https://maker.example/both"))
	both.answer.Origin = resolver.Origin{Log: logID, Position: 70_001, Mirror: true, Stale: true, Age: hour}
	both.answer.Lifetime = resolver.StaleTTL
	return append(all, fresh, old, stale, both)
}

// referrals name another node.
func referrals() []fixture {
	key := identifier.PublicKey{Type: identifier.Ed25519, Raw: strings.Repeat("\x00\x7f\x80\xff", 8)}
	holder := identifier.PublicKey{Type: identifier.Ed25519, Raw: strings.Repeat("\x01\x02\xfe\xfd", 8)}
	all := identifier.Address{IP: "192.0.2.53", DNS: 53, GRPC: 2640, HTTP: 8080, Handle: 2641}
	six := identifier.Address{IP: "2001:db8::53", DNS: 5300, GRPC: 443, HTTP: 80, Handle: 65535}
	some := identifier.Address{IP: "198.51.100.7", DNS: 53, HTTP: 8081}
	refer := func(name string, id identifier.ID, d identifier.Delegation) fixture {
		f := negative(name, id, resolver.Referral)
		d.Keyset = identifier.Keyset{Version: 4, Threshold: 2, Keys: []identifier.PublicKey{holder, key}}
		f.answer.Delegation, f.answer.Lifetime = &d, resolver.ReferralTTL
		return f
	}
	one := &identifier.Node{Name: "n1", Key: key, Addresses: []identifier.Address{all}}
	two := &identifier.Node{Name: "node-2", Key: holder, HandleKey: handleKey(), Addresses: []identifier.Address{six, all, some}}
	asked := refer("a link type is asked", identifier.ID{Prefix: "88.30.8", Suffix: "sn-42"}, identifier.Delegation{Prefix: "88.30", Epoch: 1, Node: one})
	asked.ways = []resolver.Query{{Relation: "gs1:pip"}, {Types: []string{"EMAIL"}}}
	mirrored := refer("to a node with mirrors", identifier.ID{Prefix: "88.36", Suffix: "x"}, identifier.Delegation{Prefix: "88.36", Epoch: 1, Node: two})
	mirrored.answer.Delegation.Mirrors = []identifier.Node{*one, {Name: "n9", Key: key, Addresses: []identifier.Address{some}}}
	gs1 := identifier.ID{Prefix: "gs1.9.6.0.6.0.0.0.1.3.4.3.5", Suffix: "010/21/x"}
	return []fixture{
		asked, mirrored,
		refer("the prefix itself", identifier.ID{Prefix: "88.31"}, identifier.Delegation{Prefix: "88.31", Epoch: 1 << 40, Node: one, NoAgents: true}),
		refer("a prefix below", identifier.ID{Prefix: "88.32.1.2.3"}, identifier.Delegation{Prefix: "88.32", Epoch: 2, Node: two, Private: true}),
		refer("several addresses", identifier.ID{Prefix: "88.33", Suffix: "x"}, identifier.Delegation{Prefix: "88.33", Epoch: 2, Node: two}),
		refer("a hashed name", identifier.ID{Prefix: "88.34", Suffix: strings.Repeat("refer/", 50)}, identifier.Delegation{Prefix: "88.34", Epoch: 2, Node: two}),
		refer("not ASCII", identifier.ID{Prefix: "88.35", Suffix: "größe"}, identifier.Delegation{Prefix: "88.35", Epoch: 2, Node: one}),
		refer("of a GS1 company prefix", gs1, identifier.Delegation{Prefix: "gs1.9.6.0.6", Epoch: 1, Node: one}),
		refer("a long prefix", identifier.ID{Prefix: identifier.Prefix("c." + strings.Repeat("a.", 61) + "b"), Suffix: "sn"},
			identifier.Delegation{Prefix: identifier.Prefix("c." + strings.Repeat("a.", 61) + "b"), Epoch: 1, Node: one}),
	}
}

// handleKey is an RSA key for Handle; nobody has the other half.
func handleKey() identifier.PublicKey {
	k := rsa.PublicKey{N: new(big.Int).SetBytes(bytes.Repeat([]byte{0xc5}, 256)), E: 65537}
	return identifier.PublicKey{Type: identifier.RSA, Raw: string(x509.MarshalPKCS1PublicKey(&k))}
}

// negatives are absent and refused answers.
func negatives() []fixture {
	below := negative("a prefix with something below", identifier.ID{Prefix: "88.118.40"}, resolver.Absent)
	below.answer.Below = true
	below.ways = []resolver.Query{{Types: []string{"URL"}}, {Relation: "gs1:pip"}}
	absent := negative("absent", identifier.ID{Prefix: "88.118.41", Suffix: "absent"}, resolver.Absent)
	absent.ways = []resolver.Query{{Types: []string{"URL"}}, {Relation: "gs1:pip"}}
	outside := negative("outside", identifier.ID{Prefix: "99.1", Suffix: "x"}, resolver.Refused)
	outside.answer.InZone, outside.answer.Apex = false, ""
	outsideHashed := negative("outside, hashed", identifier.ID{Prefix: "99.1", Suffix: strings.Repeat("x/", 150)}, resolver.Refused)
	outsideHashed.answer.InZone, outsideHashed.answer.Apex = false, ""
	refused := negative("refused", identifier.ID{Prefix: "88.118.42", Suffix: "secret"}, resolver.Refused)
	refused.ways = []resolver.Query{{Types: []string{"URL"}}, {Relation: "gs1:pip"}}
	return []fixture{
		below, absent, outside, outsideHashed, refused,
		negative("a prefix with nothing below", identifier.ID{Prefix: "88.118.43"}, resolver.Absent),
		negative("absent, not ASCII", identifier.ID{Prefix: "88.118.41", Suffix: "größe"}, resolver.Absent),
		negative("absent, hashed", identifier.ID{Prefix: "88.118.41", Suffix: strings.Repeat("absent/", 40)}, resolver.Absent),
		negative("absent OID", identifier.ID{Prefix: "oid.1.2.156.9"}, resolver.Absent),
		negative("absent GTIN", identifier.ID{Prefix: "gs1.9.5.0.6.0.0.0.1.3.4.3.6", Suffix: "010"}, resolver.Absent),
		negative("refused prefix", identifier.ID{Prefix: "88.118.44"}, resolver.Refused),
		negative("refused, hashed", identifier.ID{Prefix: "88.118.42", Suffix: strings.Repeat("secret/", 40)}, resolver.Refused),
	}
}

// failures are errors.
func failures() []fixture {
	fail := func(name, suffix string, kind resolver.Kind, detail string) fixture {
		return fixture{name: name, id: identifier.ID{Prefix: "88.118.50", Suffix: suffix}, err: &resolver.Error{Kind: kind, Detail: detail}}
	}
	return []fixture{
		fail("malformed", "malformed", resolver.Malformed, `"(01)09506000134353", octet 17: the check digit of a GTIN is right: größer — write 2`),
		fail("overloaded", "overloaded", resolver.Overloaded, "too many questions: ask again in a second"),
		fail("unavailable", "unavailable", resolver.Unavailable, "what this node holds cannot be read now: ask again later"),
		fail("not authenticated", "unauthenticated", resolver.Unauthenticated, "only known askers are answered: say who you are"),
	}
}

// found is a fixture of a record that lives an hour.
func found(name string, id identifier.ID, values ...identifier.Value) fixture {
	r := &identifier.Record{
		ID: id, Spelling: id.String(), Version: 3, Time: logged,
		RowHash: identifier.Hash{0: 0x01, 31: 0xff}, Values: values,
	}
	f := negative(name, id, resolver.Found)
	f.answer.Record, f.answer.Lifetime = r, hour
	return f
}

// suspect says that a key was in the wrong hands when it was registered.
func (f fixture) suspect() fixture {
	f.answer.Record.Suspect = true
	return f
}

// spelled says how the identifier was written when it was registered.
func (f fixture) spelled(as string) fixture {
	f.answer.Record.Spelling = as
	return f
}

// negative is a fixture of an answer without a record.
func negative(name string, id identifier.ID, o resolver.Outcome) fixture {
	apex := id.Prefix
	if i := strings.IndexByte(string(apex), '.'); i >= 0 {
		apex = apex[:i]
	}
	return fixture{name: name, id: id, answer: resolver.Answer{
		Outcome: o, Apex: apex, InZone: true, Lifetime: resolver.NegativeTTL,
		Origin: resolver.Origin{Log: logID, Position: 70_001},
	}}
}

func value(index uint32, typ, data string) identifier.Value {
	return identifier.Value{
		Index: index, Type: typ, Data: []byte(data), TTL: identifier.TTL{Seconds: 3600},
		Permissions: identifier.DefaultPermissions, Timestamp: signed,
	}
}

func link(index uint32, target string) identifier.Value { return value(index, "URL", target) }
