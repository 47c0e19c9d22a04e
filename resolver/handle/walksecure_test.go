package handle_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nameplate-id/nameplate/resolver"
	"github.com/nameplate-id/nameplate/resolver/handle"
)

// A server that has nothing but HTTPS is asked over it. Where its site has a key, it must
// prove that; it signs besides, and a stock server's certificate is nobody's.
func TestWalkOverHTTPS(t *testing.T) {
	own, foreign := identity(t, ""), identity(t, "")
	for name, c := range map[string]struct {
		proves *handle.Identity
		key    *handle.PublicKey
		want   string
	}{
		"its key":     {own, public(t, own), "found URL=https"},
		"another key": {foreign, public(t, own), "unavailable"},
		"no key":      {foreign, nil, "found URL=https"},
	} {
		t.Run(name, func(t *testing.T) {
			root, secondary, _ := tree(t)
			web := open(t, "https")
			certificate, err := c.proves.Certificate()
			if err != nil {
				t.Fatal(err)
			}
			site := *web.site
			site.Servers = []handle.SiteServer{web.server()}
			if c.key != nil {
				site.Servers[0].Key = c.key.Append(nil)
			}
			web.is(certificate, own)
			secondary.has("0.NA/88.200.5", siteValue("HS_SITE", &site))
			web.has("88.200.5/x", valueOf("URL", "https"))
			if got := ask(t, walkFrom(t, root.site), "88.200.5/x", resolver.Query{}); got != c.want {
				t.Errorf("got %q; want %q", got, c.want)
			}
			if asked := web.log(); c.want == "unavailable" && asked != "" {
				t.Errorf("asked %q of who proves another key", asked)
			}
		})
	}
}

// Where the site information has a key, only what is signed with it is believed.
func TestWalkVerifies(t *testing.T) {
	own, foreign := identity(t, ""), identity(t, "")
	at := netip.MustParseAddrPort(serve(t, resolverFunc(node), handle.Options{Node: here, Identity: own}))
	site := func(key *handle.PublicKey) *handle.Site {
		s := &handle.Site{Format: 1, Serial: own.Serial(), Servers: []handle.SiteServer{{ID: 1, Address: [16]byte{12: 127, 15: 1}, Key: key.Append(nil),
			Interfaces: []handle.Interface{{Kind: 3, Protocol: handle.UDP, Port: uint32(at.Port())}, {Kind: 3, Protocol: handle.TCP, Port: uint32(at.Port())}}}}}
		return s
	}
	for name, c := range map[string]struct {
		key  *handle.PublicKey
		want string
	}{"its key": {public(t, own), "found"}, "another key": {public(t, foreign), "unavailable"}} {
		w := walkFrom(t, site(c.key))
		w.Learn("88.1", site(c.key))
		if got := ask(t, w, "88.1/sn", resolver.Query{}); !strings.HasPrefix(got, c.want) {
			t.Errorf("%s: got %q; want %s", name, got, c.want)
		}
		// As a bootstrap file has it.
		text, err := handle.NewBootstrap([]*handle.Site{site(c.key)}, time.Now()).Append(nil)
		if err != nil {
			t.Fatal(err)
		}
		b, err := handle.ParseBootstrap(text)
		if err != nil || !slices.Equal(b.Roots()[0].Servers[0].Key, c.key.Append(nil)) {
			t.Errorf("%s: got %+v, %v; want the key as it was", name, b, err)
		}
	}
}
