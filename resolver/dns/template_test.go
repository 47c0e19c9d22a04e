package dns_test

import (
	"context"
	"strings"
	"testing"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/resolver/dns"

	wire "github.com/miekg/dns"
)

// What a template gives has a name like everything else: plain questions fall through to
// the long way, and every name above is there, for who asks label by label (RFC 9156).
func TestTemplatesHaveNames(t *testing.T) {
	s := node()
	s.Put("88.118", value("HS_NAMESPACE", `<namespace><template delimiter="-"><if test="matches" expression="[0-9]{4}">
		<value type="URL" data="https://maker.example/${extension}"/></if></template></namespace>`, 86400))
	s.Put("gs1.9.5.0.6", value("HS_NAMESPACE", `<namespace><template delimiter="/21/"><value type="URL" data="https://maker.example/${extension}"/></template></namespace>`, 86400))
	s.Put("88.118.8/tb-0042", link("", "https://maker.example/stored", 60))
	zone, err := dns.ParseZone("id.internal")
	if err != nil {
		t.Fatal(err)
	}
	gtin := zone.Name(identifier.ID{Prefix: "gs1.9.5.0.6.5.4.3.2.1.9.8.7", Suffix: "010/21/AB-7"})
	ways := view(t, s, false)
	for _, c := range []struct {
		name, want string
		plain      bool
	}{
		{"tb-0041._i.118.88.id.internal.", `NOERROR https://maker.example/0041`, false},
		{"TB-0041._I.8.118.88.id.internal.", `NOERROR https://maker.example/0041`, false},
		{"tb-0041._i.7.6.5.118.88.id.internal.", `NOERROR https://maker.example/0041`, false},
		{"tb-0042._i.8.118.88.id.internal.", `NOERROR https://maker.example/stored`, true},
		{"tb-41._i.8.118.88.id.internal.", "NXDOMAIN", false},
		{"_i.8.118.88.id.internal.", "NOERROR", false},
		{"_i.7.6.5.118.88.id.internal.", "NOERROR", false},
		{"7.6.5.118.88.id.internal.", "NOERROR", false},
		{"5.118.88.id.internal.", "NOERROR", false},
		{"tb-0041._i.119.88.id.internal.", "NXDOMAIN", true},
		{gtin, "NOERROR https://maker.example/AB-7", false},
		{gtin[strings.IndexByte(gtin, '.')+1:], "NOERROR", false},
		{"8.9.1.2.3.4.5.6.0.5.9.gs1.id.internal.", "NOERROR", false},
		{"5.6.0.5.9.gs1.id.internal.", "NOERROR", false},
		{"5.6.0.6.9.gs1.id.internal.", "NXDOMAIN", false},
	} {
		q := packed(t, func(m *wire.Msg) { m.SetQuestion(c.name, wire.TypeURI) })
		var m wire.Msg
		if err := m.Unpack(ways.Full(q)); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		got := wire.RcodeToString[m.Rcode]
		for _, rr := range m.Answer {
			got += " " + rr.(*wire.URI).Target
		}
		if got != c.want {
			t.Errorf("%s: got %s; want %s", c.name, got, c.want)
		}
		if has := ways.Same(t, q); has != c.plain {
			t.Errorf("%s: got a plain answer %t; want %t", c.name, has, c.plain)
		}
	}
}

// A name that carries a hash does not say from what to compute. That is no answer, and
// not that there is no such name.
func TestTemplatesAndHashedNames(t *testing.T) {
	s := node()
	s.Put("88.118", value("HS_NAMESPACE", `<namespace><template delimiter="-"><value type="DESC" data="x"/></template></namespace>`, 86400))
	server := newServer(t, authority(s))
	for name, want := range map[string]int{
		hashedName(t, "88.118.8", "not stored"): wire.RcodeServerFailure,
		hashedName(t, "88.119.8", "not stored"): wire.RcodeNameError,
		hashedName(t, "88.118.8", hashedSuffix): wire.RcodeSuccess,
	} {
		var m wire.Msg
		if err := m.Unpack(dns.Answer(context.Background(), server, packed(t, func(m *wire.Msg) { m.SetQuestion(name, wire.TypeTXT) }))); err != nil {
			t.Fatal(err)
		}
		if m.Rcode != want {
			t.Errorf("%s: got %s; want %s", name, wire.RcodeToString[m.Rcode], wire.RcodeToString[want])
		}
	}
}

func hashedName(t *testing.T, p identifier.Prefix, suffix string) string {
	t.Helper()
	zone, err := dns.ParseZone("id.internal")
	if err != nil {
		t.Fatal(err)
	}
	name, _, err := wire.UnpackDomainName(zone.AppendHashedName(nil, p, identifier.SuffixHash(suffix)), 0)
	if err != nil {
		t.Fatal(err)
	}
	return name
}
