package handle_test

import (
	"context"
	"testing"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/resolver"
	"github.com/nameplate-id/nameplate/resolver/handle"
)

// A recursive node gives a prefix the site of the node that answers for it, for the SDK
// that asks it for that and goes on there; when it has forgotten the way it walks again.
func TestRecursiveSites(t *testing.T) {
	var heard *identifier.Delegation
	walks := 0
	s := handle.New(resolverFunc(func(_ context.Context, q resolver.Query) (resolver.Answer, error) {
		a := resolver.Answer{ID: q.ID, Apex: "88.118", InZone: true, Outcome: resolver.Absent, Lifetime: resolver.NegativeTTL}
		if q.ID.Prefix == "99" {
			a.Outcome, a.InZone = resolver.Refused, false
		}
		if q.ID.Prefix == "10" {
			a.Apex, a.Below = "", true // a top-level node answers
		}
		if q.Authoritative {
			walks++
			heard = &identifier.Delegation{Prefix: "88.118", Epoch: 1, Node: &there, Mirrors: []identifier.Node{mirror}}
		}
		return a, nil
	}), handle.Options{Recursive: true, Node: here, Referral: func(identifier.Prefix) *identifier.Delegation { return heard }})
	for _, c := range []struct {
		text, types, want string
		code              handle.Code
	}{
		{"88.118", "HS_SITE", "HS_SITE=192.0.2.2 HS_SITE=192.0.2.3(mirror)", handle.Success},
		{"0.NA/88.118", "HS_SERV", "HS_SERV=0.NA/88.118", handle.Success},
		{"88.118/x", "HS_SITE", "", handle.NotFound},
		{"88.118.5", "HS_SITE", "", handle.NotFound},
		{"99", "HS_SITE", "", handle.NotPermitted},
		{"88.118", "URL", "", handle.NotFound},
		{"10", "HS_SITE", "", handle.NotFound},
	} {
		m, _, body := tell(t, s, request(handle.OpResolution, handle.FlagRecursive, handle.Resolution{Handle: c.text, Types: []string{c.types}}))
		got := ""
		if v, ok := body.(handle.Values); ok {
			got = show(t, v.Values)
		}
		if m.Code != c.code || got != c.want {
			t.Errorf("%s %s: got %v, %q; want %v, %q", c.text, c.types, m.Code, got, c.code, c.want)
		}
	}
	if walks != 1 {
		t.Errorf("it walked %d times again; want once", walks)
	}
	heard = nil
	tell(t, s, request(handle.OpResolution, handle.FlagRecursive, handle.Resolution{Handle: "88.118", Types: []string{"URL"}}))
	if walks != 1 {
		t.Error("it walked again for who asks for no site")
	}
}

// At the address of a mirror the zone of another node is answered for from a copy: its
// prefixes have the sites that the delegation names, also those without a record that have
// something below them, and nothing that the copy has no record of is denied.
func TestMirrorAddress(t *testing.T) {
	delegation := &identifier.Delegation{Prefix: "88.118", Epoch: 1, Mirrors: []identifier.Node{mirror},
		Node: &identifier.Node{Name: "there", Key: identifier.PublicKey{Type: identifier.Ed25519, Raw: "there"}, Addresses: there.Addresses}}
	from := func(mine string) *handle.Server {
		self := mirror
		self.Key.Type, self.Key.Raw = identifier.Ed25519, mine
		return handle.New(resolverFunc(func(_ context.Context, q resolver.Query) (resolver.Answer, error) {
			a := resolver.Answer{ID: q.ID, Apex: "88.118", InZone: true, Zone: delegation, Outcome: resolver.Found, Lifetime: resolver.NegativeTTL}
			a.Origin.Mirror = true
			switch q.ID.String() {
			case "88.118/sn", "88.118.1":
				a.Record = &identifier.Record{ID: q.ID, Version: 1, Values: q.Select(values()[:1])}
				return a, nil
			case "88.118.2":
				a.Below = true
			}
			a.Outcome = resolver.Absent
			return resolver.Answer{}, &resolver.Error{Kind: resolver.Unavailable, Detail: "not held", Err: &resolver.UnheldError{Answer: a}}
		}), handle.Options{Node: self, Mirror: mine == "mirror"})
	}
	const sites = "HS_SITE=192.0.2.2 HS_SITE.PREFIX=192.0.2.2 HS_SITE=192.0.2.3(mirror) HS_SITE.PREFIX=192.0.2.3(mirror) HS_SERV=0.NA/88.118"
	for text, want := range map[string]struct {
		code handle.Code
		says string
	}{
		"88.118/SN":     {handle.Success, "URL"},
		"88.118/sn-9":   {handle.Failed, ""},
		"0.NA/88.118":   {handle.Success, sites},
		"0.NA/88.118.1": {handle.Success, "URL " + sites},
		"0.NA/88.118.2": {handle.Success, sites},
		"0.NA/88.118.3": {handle.Failed, ""},
	} {
		m, _, body := tell(t, from("mirror"), request(handle.OpResolution, 0, handle.Resolution{Handle: text}))
		got := ""
		if v, ok := body.(handle.Values); ok {
			got = show(t, v.Values)
		}
		if m.Code != want.code || got != want.says {
			t.Errorf("%s: got %v, %q; want %v, %q", text, m.Code, got, want.code, want.says)
		}
	}
	_, _, body := tell(t, from("mirror"), request(handle.OpSiteInfo, 0, handle.Name{Handle: "/"}))
	if site := body.(handle.SiteInfo).Site; site.Primary || site.Servers[0].IP().String() != "192.0.2.3" {
		t.Errorf("got site %+v; want that of the mirror, not primary", site)
	}
	// The node itself tells its own sites first, as they are now, and its mirrors.
	_, _, body = tell(t, from("there"), request(handle.OpResolution, 0, handle.Resolution{Handle: "0.NA/88.118.1", Types: []string{"HS_SITE"}}))
	if got, want := show(t, body.(handle.Values).Values), "HS_SITE=192.0.2.3 HS_SITE=192.0.2.3(mirror)"; got != want {
		t.Errorf("got %q; want %q", got, want)
	}
}
