package handle_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/resolver"
	"github.com/nameplate-id/nameplate/resolver/handle"
)

// tree is a root, a secondary and an enterprise server: the secondary answers for the
// derived prefixes of 88.200, the enterprise for 88.200.5.
func tree(t *testing.T) (root, secondary, enterprise *stock) {
	root, secondary, enterprise = open(t, "udp tcp"), open(t, "udp tcp"), open(t, "udp tcp")
	root.says("0.NA/88.200.5", handle.PrefixReferral, handle.Refer{Values: []identifier.Value{siteValue("HS_SITE.PREFIX", secondary.site)}})
	secondary.has("0.NA/88.200.5", siteValue("HS_SITE", enterprise.site))
	enterprise.has("88.200.5/x", valueOf("URL", "https://maker.example/x"), valueOf("DESC", "Pump"))
	return root, secondary, enterprise
}

func walkFrom(t *testing.T, roots ...*handle.Site) *handle.Walk {
	t.Helper()
	w, err := handle.NewWalk(handle.WalkOptions{Roots: roots})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// ask resolves a handle and writes the answer in short.
func ask(t *testing.T, w resolver.Resolver, text string, q resolver.Query) string {
	t.Helper()
	var err error
	if q.ID, err = identifier.Parse("hdl:" + text); err != nil {
		t.Fatal(err)
	}
	a, err := w.Resolve(t.Context(), q)
	if e := new(resolver.Error); err != nil && !errors.As(err, &e) {
		t.Fatalf("%v is no error of a Resolver", err)
	}
	if err != nil {
		return resolver.CaseOf(a, err).String()
	}
	if a.ID != q.ID || !a.InZone || !a.Apex.Covers(q.ID.Prefix) || (a.Record != nil) != (a.Outcome == resolver.Found) {
		t.Errorf("%s: got %+v, which is no whole answer", text, a)
	}
	s := resolver.CaseOf(a, nil).String()
	if a.Record != nil {
		for _, v := range a.Record.Values {
			s += fmt.Sprintf(" %s=%s", v.Type, v.Data)
		}
	}
	return s
}

func TestWalkOfThreeLevels(t *testing.T) {
	root, secondary, enterprise := tree(t)
	w := walkFrom(t, root.site)
	if got, want := ask(t, w, "88.200.5/X", resolver.Query{}), "found URL=https://maker.example/x DESC=Pump"; got != want {
		t.Errorf("got %q; want %q", got, want)
	}
	for _, c := range []struct {
		s    *stock
		want string
	}{{root, "udp 0.NA/88.200.5"}, {secondary, "udp 0.NA/88.200.5"}, {enterprise, "udp 88.200.5/x"}} {
		if got := c.s.log(); got != c.want {
			t.Errorf("asked %q; want %q", got, c.want)
		}
	}
	// Who answers for the prefix is known now.
	if got, want := ask(t, w, "88.200.5/y", resolver.Query{}), "absent"; got != want {
		t.Errorf("got %q; want %q", got, want)
	}
	if got, want := ask(t, w, "88.200.5/x", resolver.Query{Types: []string{"DESC"}}), "found DESC=Pump"; got != want {
		t.Errorf("got %q; want %q", got, want)
	}
	if got := root.log() + secondary.log(); got != "" {
		t.Errorf("asked %q; want nothing, for the sites are known", got)
	}
	if n := w.Flush("88.200"); n != 1 {
		t.Errorf("forgot %d; want 1", n)
	}
}

func TestWalk(t *testing.T) {
	for _, c := range []struct {
		name, text, want string
		q                resolver.Query
		change           func(t *testing.T, root, secondary, enterprise *stock)
	}{
		{name: "a prefix that nobody has", text: "88.99/x", want: "absent"},
		{name: "a prefix", text: "0.NA/88.200.5", want: "found", q: resolver.Query{Types: []string{"HS_SITE"}}},
		{name: "a prefix that is not there has things below", text: "0.NA/88.99", want: "absent with names below"},
		{name: "a secondary that is dead, with a mirror", text: "88.200.5/x", want: "found URL=https://maker.example/x DESC=Pump",
			change: func(t *testing.T, root, secondary, _ *stock) {
				dead := open(t, "udp silent")
				mirror := *secondary.site
				mirror.Primary = false
				root.says("0.NA/88.200.5", handle.PrefixReferral, handle.Refer{Values: []identifier.Value{siteValue("HS_SITE.PREFIX", dead.site), siteValue("HS_SITE.PREFIX", &mirror)}})
			}},
		{name: "a secondary that is dead, without one", text: "88.200.5/x", want: "unavailable",
			change: func(t *testing.T, root, _, _ *stock) {
				dead := open(t, "")
				dead.site.Servers[0].Interfaces = []handle.Interface{{Kind: 2, Protocol: handle.TCP, Port: 1}}
				root.says("0.NA/88.200.5", handle.PrefixReferral, handle.Refer{Values: []identifier.Value{siteValue("HS_SITE.PREFIX", dead.site)}})
			}},
		{name: "over TCP where nothing comes over UDP", text: "88.200.5/x", want: "found URL=tcp",
			change: func(t *testing.T, _, secondary, _ *stock) {
				quiet, loud := open(t, "udp silent"), open(t, "tcp")
				site := *loud.site
				site.Servers = []handle.SiteServer{loud.server()}
				site.Servers[0].Interfaces = append(quiet.server().Interfaces, site.Servers[0].Interfaces...)
				secondary.has("0.NA/88.200.5", siteValue("HS_SITE", &site))
				loud.has("88.200.5/x", valueOf("URL", "tcp"))
			}},
		{name: "over HTTP alone", text: "88.200.5/x", want: "found URL=http",
			change: func(t *testing.T, _, secondary, _ *stock) {
				web := open(t, "http")
				secondary.has("0.NA/88.200.5", siteValue("HS_SITE", web.site))
				web.has("88.200.5/x", valueOf("URL", "http"))
			}},
		{name: "a service handle", text: "88.200.5/x", want: "found URL=https://maker.example/x DESC=Pump",
			change: func(t *testing.T, root, secondary, enterprise *stock) {
				secondary.has("0.NA/88.200.5", valueOf("HS_SERV", "0.NA/88.SERV"))
				root.has("0.NA/88.SERV", siteValue("HS_SITE", enterprise.site))
			}},
		{name: "a service below a prefix", text: "88.200.5/x", want: "found URL=https://maker.example/x DESC=Pump",
			change: func(t *testing.T, root, secondary, enterprise *stock) {
				secondary.has("0.NA/88.200.5", valueOf("HS_SERV", "88.7/serv"))
				root.has("0.NA/88.7", siteValue("HS_SITE", secondary.site))
				secondary.has("88.7/serv", siteValue("HS_SITE", enterprise.site))
			}},
		{name: "a service of services", text: "88.200.5/x", want: "found URL=https://maker.example/x DESC=Pump",
			change: func(t *testing.T, root, secondary, enterprise *stock) {
				root.says("0.NA/88.200.5", handle.PrefixReferral, handle.Refer{Values: []identifier.Value{valueOf("HS_SERV.PREFIX", "0.NA/A")}})
				root.has("0.NA/A", valueOf("HS_SERV", "0.NA/B"))
				root.has("0.NA/B", siteValue("HS_SITE", secondary.site))
			}},
		{name: "a service that is itself", text: "88.200.5/x", want: "unavailable",
			change: func(t *testing.T, root, secondary, enterprise *stock) {
				secondary.has("0.NA/88.200.5", valueOf("HS_SERV", "0.NA/A"))
				root.has("0.NA/A", valueOf("HS_SERV", "0.NA/A"))
			}},
		{name: "a service below the prefix that needs it", text: "88.200.5/x", want: "unavailable",
			change: func(t *testing.T, root, secondary, enterprise *stock) {
				secondary.has("0.NA/88.200.5", valueOf("HS_SERV", "88.200.5/serv"))
			}},
		{name: "a service referral with sites", text: "88.200.5/x", want: "found URL=elsewhere",
			change: func(t *testing.T, _, secondary, enterprise *stock) {
				enterprise.says("88.200.5/x", handle.ServiceReferral, handle.Refer{Values: []identifier.Value{siteValue("HS_SITE", secondary.site)}})
				secondary.has("88.200.5/x", valueOf("URL", "elsewhere"))
			}},
		{name: "a service referral with a handle", text: "88.200.5/x", want: "found URL=elsewhere",
			change: func(t *testing.T, root, secondary, enterprise *stock) {
				enterprise.says("88.200.5/x", handle.ServiceReferral, handle.Refer{Handle: "0.NA/88.SERV"})
				root.has("0.NA/88.SERV", siteValue("HS_SITE", secondary.site))
				secondary.has("88.200.5/x", valueOf("URL", "elsewhere"))
			}},
		{name: "a referral to nowhere", text: "88.200.5/x", want: "unavailable",
			change: func(t *testing.T, _, _, enterprise *stock) {
				enterprise.says("88.200.5/x", handle.ServiceReferral, handle.Refer{Values: []identifier.Value{valueOf("URL", "https://maker.example")}})
			}},
		{name: "a referral for prefixes to who asks for a handle", text: "88.200.5/x", want: "unavailable",
			change: func(t *testing.T, _, secondary, enterprise *stock) {
				enterprise.says("88.200.5/x", handle.PrefixReferral, handle.Refer{Values: []identifier.Value{siteValue("HS_SITE.PREFIX", secondary.site)}})
			}},
		{name: "referrals in a circle", text: "88.200.5/x", want: "unavailable",
			change: func(t *testing.T, _, _, enterprise *stock) {
				enterprise.says("88.200.5/x", handle.ServiceReferral, handle.Refer{Values: []identifier.Value{siteValue("HS_SITE", enterprise.site)}})
			}},
		{name: "not responsible", text: "88.200.5/x", want: "unavailable",
			change: func(t *testing.T, _, _, enterprise *stock) {
				enterprise.says("88.200.5/x", handle.NotResponsible, handle.Failure{})
			}},
		{name: "not responsible, and another is", text: "88.200.5/x", want: "found URL=https://maker.example/x DESC=Pump",
			change: func(t *testing.T, root, secondary, enterprise *stock) {
				secondary.says("88.200.5/x", handle.NotResponsible, handle.Failure{})
				secondary.has("0.NA/88.200.5", siteValue("HS_SITE", secondary.site), siteValue("HS_SITE", enterprise.site))
			}},
		{name: "busy, and another is not", text: "88.200.5/x", want: "found URL=https://maker.example/x DESC=Pump",
			change: func(t *testing.T, root, secondary, enterprise *stock) {
				secondary.says("88.200.5/x", handle.TooBusy, handle.Failure{})
				secondary.has("0.NA/88.200.5", siteValue("HS_SITE", secondary.site), siteValue("HS_SITE", enterprise.site))
			}},
		{name: "primary sites first when authoritative", text: "88.200.5/x", want: "found URL=https://maker.example/x DESC=Pump", q: resolver.Query{Authoritative: true},
			change: func(t *testing.T, root, secondary, enterprise *stock) {
				mirror := *secondary.site
				mirror.Primary = false
				secondary.has("88.200.5/x", valueOf("URL", "mirror"))
				secondary.has("0.NA/88.200.5", siteValue("HS_SITE", &mirror), siteValue("HS_SITE", enterprise.site))
			}},
		{name: "nothing found, and once more authoritatively", text: "88.200.5/x", want: "found URL=https://maker.example/x DESC=Pump",
			change: func(t *testing.T, root, _, enterprise *stock) {
				root.when("0.NA/88.200.5", func(m *handle.Message) (handle.Code, handle.Body) {
					if m.Flags&handle.FlagAuthoritative == 0 {
						return handle.NotFound, handle.Failure{}
					}
					return handle.Success, handle.Values{Handle: "0.NA/88.200.5", Values: []identifier.Value{siteValue("HS_SITE", enterprise.site)}}
				})
			}},
		{name: "values of another handle", text: "88.200.5/x", want: "unavailable",
			change: func(t *testing.T, _, _, enterprise *stock) {
				enterprise.says("88.200.5/x", handle.Success, handle.Values{Handle: "88.200.5/y", Values: []identifier.Value{valueOf("URL", "https://forger.example")}})
			}},
		{name: "sites of another prefix", text: "88.200.5/x", want: "unavailable",
			change: func(t *testing.T, root, secondary, _ *stock) {
				root.says("0.NA/88.200.5", handle.Success, handle.Values{Handle: "0.NA/88.200.6", Values: []identifier.Value{siteValue("HS_SITE", secondary.site)}})
			}},
		{name: "a site without servers", text: "88.200.5/x", want: "unavailable",
			change: func(t *testing.T, _, secondary, _ *stock) {
				secondary.has("0.NA/88.200.5", siteValue("HS_SITE", &handle.Site{Format: 1}))
			}},
		{name: "no host", text: "88.200.5/x", want: "unavailable",
			change: func(t *testing.T, _, secondary, _ *stock) {
				secondary.has("0.NA/88.200.5", siteValue("HS_SITE", &handle.Site{Format: 1, Servers: []handle.SiteServer{{Interfaces: []handle.Interface{{Kind: 2, Port: 53}}}}}))
			}},
		{name: "who asks must say who they are", text: "88.200.5/x", want: "not authenticated",
			change: func(t *testing.T, _, _, enterprise *stock) {
				enterprise.says("88.200.5/x", handle.AuthenticationNeeded, handle.Challenge{Nonce: []byte("0123456789abcdef")})
			}},
		{name: "hidden", text: "88.200.5/x", want: "refused",
			change: func(t *testing.T, _, _, enterprise *stock) {
				enterprise.says("88.200.5/x", handle.NotPermitted, handle.Failure{})
			}},
		{name: "site information out of date", text: "88.200.5/x", want: "found URL=https://maker.example/x DESC=Pump",
			change: func(t *testing.T, _, _, enterprise *stock) {
				is := enterprise.then("88.200.5/X")
				enterprise.when("88.200.5/X", func(m *handle.Message) (handle.Code, handle.Body) {
					if m.Serial != 2 {
						return handle.SiteInfoOutOfDate, handle.Failure{}
					}
					return is(m)
				})
				newer := *enterprise.site
				newer.Serial = 2
				enterprise.says("SITE", handle.Success, handle.SiteInfo{Site: &newer})
			}},
		{name: "site information that leads away", text: "88.200.5/x", want: "unavailable",
			change: func(t *testing.T, _, _, enterprise *stock) {
				enterprise.says("88.200.5/x", handle.SiteInfoOutOfDate, handle.Failure{})
				away := &handle.Site{Format: 1, Serial: 2, Servers: []handle.SiteServer{enterprise.server()}}
				away.Servers[0].Address[15] = 77
				enterprise.says("SITE", handle.Success, handle.SiteInfo{Site: away})
			}},
		{name: "always out of date", text: "88.200.5/x", want: "unavailable",
			change: func(t *testing.T, _, _, enterprise *stock) {
				enterprise.says("88.200.5/x", handle.SiteInfoOutOfDate, handle.Failure{})
				enterprise.says("SITE", handle.Success, handle.SiteInfo{Site: enterprise.site})
			}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			root, secondary, enterprise := tree(t)
			if c.change != nil {
				c.change(t, root, secondary, enterprise)
			}
			got := ask(t, walkFrom(t, root.site), c.text, c.q)
			if got != c.want && !(c.name == "a prefix" && strings.HasPrefix(got, c.want)) {
				t.Errorf("got %q; want %q", got, c.want)
			}
		})
	}
}

// A site with several servers is asked at the one at which the handle is.
func TestWalkHashesToAServer(t *testing.T) {
	root, secondary, _ := tree(t)
	servers := []*stock{open(t, "udp"), open(t, "udp"), open(t, "udp")}
	site := &handle.Site{Format: 1, Hash: handle.HashSuffix}
	for _, s := range servers {
		site.Servers = append(site.Servers, s.server())
	}
	secondary.has("0.NA/88.200.5", siteValue("HS_SITE", site))
	for i := range 12 {
		name := fmt.Sprintf("88.200.5/sn-%d", i)
		for n, s := range servers {
			s.has(name, valueOf("DESC", fmt.Sprint("server ", n)))
		}
	}
	w := walkFrom(t, root.site)
	seen := map[string]bool{}
	for i := range 12 {
		name := fmt.Sprintf("88.200.5/sn-%d", i)
		at := slices.IndexFunc(site.Servers, func(s handle.SiteServer) bool {
			return s.Interfaces[0].Port == site.Server(strings.ToUpper(name)).Interfaces[0].Port
		})
		got := ask(t, w, name, resolver.Query{})
		if want := fmt.Sprint("found DESC=server ", at); got != want {
			t.Errorf("%s: got %q; want %q", name, got, want)
		}
		seen[got] = true
	}
	if len(seen) < 2 {
		t.Errorf("all handles are at one server: %v", seen)
	}
}

func TestHash(t *testing.T) {
	for option, want := range map[handle.HashOption]uint32{handle.HashWhole: 788040682, handle.HashPrefix: 401930318, handle.HashSuffix: 783072809} {
		for _, text := range []string{"88.123/A", "88.123/a"} {
			if got := handle.HashOf(option, text); got != want {
				t.Errorf("%d of %s: got %d; want %d", option, text, got, want)
			}
		}
	}
}

// A walk from a server that refers without end stays within its questions, whatever it
// is told.
func TestWalkIsBounded(t *testing.T) {
	root := open(t, "tcp")
	var sites []identifier.Value
	for range 100 {
		sites = append(sites, siteValue("HS_SITE.PREFIX", root.site))
	}
	root.when("0.NA/88.1", func(*handle.Message) (handle.Code, handle.Body) {
		return handle.PrefixReferral, handle.Refer{Values: sites[:30]}
	})
	root.says("0.NA/88.2", handle.PrefixReferral, handle.Refer{Values: func() (all []identifier.Value) {
		for i := range 100 {
			all = append(all, valueOf("HS_SERV.PREFIX", fmt.Sprintf("0.NA/S%d", i)))
		}
		return all
	}()})
	w := walkFrom(t, root.site)
	for _, name := range []string{"88.1/x", "88.2/x"} {
		if got := ask(t, w, name, resolver.Query{}); got != "unavailable" {
			t.Errorf("%s: got %q; want unavailable", name, got)
		}
		if n := len(strings.Split(root.log(), ", ")); n > handle.MaxWalkQuestions {
			t.Errorf("%s: %d questions; want at most %d", name, n, handle.MaxWalkQuestions)
		}
	}
}

// A server that answers the third datagram only is asked a third time; one question has
// used up three then.
func TestWalkAsksAgain(t *testing.T) {
	root := open(t, "udp")
	root.has("0.NA/88.1", siteValue("HS_SITE", root.site))
	root.has("88.1/x", valueOf("URL", "late"))
	answer, heard := root.then("88.1/X"), 0
	root.when("88.1/X", func(m *handle.Message) (handle.Code, handle.Body) {
		if heard++; heard < 3 {
			return 0, nil
		}
		return answer(m)
	})
	if got, want := ask(t, walkFrom(t, root.site), "88.1/x", resolver.Query{}), "found URL=late"; got != want {
		t.Errorf("got %q; want %q", got, want)
	}
	if got, want := root.log(), "udp 0.NA/88.1, udp 88.1/x, udp 88.1/x, udp 88.1/x"; got != want {
		t.Errorf("asked %q; want %q", got, want)
	}
}

// Only a root on loopback lets a walk go to loopback.
func TestWalkStaysOutside(t *testing.T) {
	_, _, enterprise := tree(t)
	far := &handle.Site{Format: 1, Servers: []handle.SiteServer{{Address: [16]byte{12: 192, 14: 2, 15: 1}, Interfaces: []handle.Interface{{Kind: 2, Port: 2641}}}}}
	w := walkFrom(t, far)
	w.Learn("88.200.5", enterprise.site)
	if got := ask(t, w, "88.200.5/x", resolver.Query{}); got != "unavailable" || enterprise.log() != "" {
		t.Errorf("got %q; want unavailable, and nobody asked", got)
	}
}

// Our own servers are a Handle tree as well, and say more than stock ones do.
func TestWalkThroughOurOwnServers(t *testing.T) {
	record := &identifier.Record{ID: identifier.ID{Prefix: "88.118", Suffix: "sn"}, Spelling: "88.118/SN", Version: 7, Time: time.UnixMilli(5).UTC(), Values: []identifier.Value{valueOf("URL", "https://maker.example/sn")}}
	child := serve(t, resolverFunc(func(_ context.Context, q resolver.Query) (resolver.Answer, error) {
		a := resolver.Answer{ID: q.ID, Apex: "88.118", InZone: true, Outcome: resolver.Absent, Lifetime: resolver.NegativeTTL}
		if q.ID == record.ID {
			a.Outcome, a.Record = resolver.Found, record
		}
		return a, nil
	}), handle.Options{})
	at := netip.MustParseAddrPort(child)
	node := identifier.Node{Name: "child", Addresses: []identifier.Address{{IP: "127.0.0.1", Handle: at.Port()}}}
	parent := serve(t, resolverFunc(func(_ context.Context, q resolver.Query) (resolver.Answer, error) {
		a := resolver.Answer{ID: q.ID, Apex: "", InZone: true, Outcome: resolver.Absent, Lifetime: resolver.NegativeTTL}
		if identifier.Prefix("88.118").Covers(q.ID.Prefix) {
			a.Outcome, a.Delegation = resolver.Referral, &identifier.Delegation{Prefix: "88.118", Epoch: 1, Node: &node,
				Keyset: identifier.Keyset{Version: 1, Threshold: 1, Keys: []identifier.PublicKey{{Type: identifier.Ed25519, Raw: strings.Repeat("k", 32)}}}}
		}
		return a, nil
	}), handle.Options{})
	root := &handle.Site{Format: 1, Serial: 1, Servers: []handle.SiteServer{{ID: 1, Address: [16]byte{12: 127, 15: 1},
		Interfaces: []handle.Interface{{Kind: 3, Protocol: handle.UDP, Port: uint32(netip.MustParseAddrPort(parent).Port())}}}}}
	w := walkFrom(t, root)
	a, err := w.Resolve(t.Context(), resolver.Query{ID: record.ID})
	if err != nil || a.Record == nil || a.Record.Version != 7 || a.Record.Spelling != "88.118/SN" || string(a.Record.Values[0].Data) != "https://maker.example/sn" {
		t.Fatalf("got %+v, %v; want the record with its version", a, err)
	}
	if got := ask(t, w, "88.118/other", resolver.Query{}); got != "absent" {
		t.Errorf("got %q; want absent", got)
	}
	if got := ask(t, w, "88.119/other", resolver.Query{}); got != "absent" {
		t.Errorf("got %q; want absent", got)
	}
	for range 2 { // below a delegated prefix: referred from the parent
		if got := ask(t, w, "88.118.3.4/other", resolver.Query{}); got != "absent" && got != "unavailable" {
			t.Errorf("got %q; want absent", got)
		}
	}
}
