package handle_test

import (
	"bytes"
	"fmt"
	"net/http/httptest"
	"reflect"
	"testing"
	"time"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/resolver"
	"github.com/nameplate-id/nameplate/resolver/handle"
)

// The client is told the same by the server in every version, over every transport, with
// signatures and without, whatever the outcome.
func TestClientInEveryVersion(t *testing.T) {
	identity := identity(t, "")
	server := handle.New(resolverFunc(node), handle.Options{Node: here, Identity: identity})
	address := serve(t, resolverFunc(node), handle.Options{Node: here, Identity: identity})
	web := httptest.NewServer(server.Tunnel())
	t.Cleanup(web.Close)
	overHTTP := func(t *testing.T, o handle.ClientOptions) *handle.Client {
		c, err := handle.NewTunnelClient(web.URL, handle.TunnelOptions{ClientOptions: o})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	direct := func(change func(*handle.ClientOptions)) func(*testing.T, handle.ClientOptions) *handle.Client {
		return func(_ *testing.T, o handle.ClientOptions) *handle.Client {
			change(&o)
			return handle.NewClient(address, o)
		}
	}
	transports := map[string]func(*testing.T, handle.ClientOptions) *handle.Client{
		"UDP": direct(func(*handle.ClientOptions) {}), "TCP": direct(func(o *handle.ClientOptions) { o.OnlyTCP = true }),
		"TLS": direct(func(o *handle.ClientOptions) { o.TLS = true }), "HTTP": overHTTP,
	}
	questions := map[string]resolver.Query{
		"found":               {ID: identifier.ID{Prefix: "88.1", Suffix: "sn"}},
		"some of it":          {ID: identifier.ID{Prefix: "88.1", Suffix: "sn"}, Types: []string{"X."}, Indexes: []uint32{2}},
		"no such value":       {ID: identifier.ID{Prefix: "88.1", Suffix: "sn"}, Types: []string{"NONE"}},
		"referral":            {ID: identifier.ID{Prefix: "88.118", Suffix: "x"}},
		"referral, a prefix":  {ID: identifier.ID{Prefix: "88.118.5"}},
		"absent":              {ID: identifier.ID{Prefix: "88.1", Suffix: "none"}},
		"names below":         {ID: identifier.ID{Prefix: "88.1"}},
		"refused":             {ID: identifier.ID{Prefix: "88.1", Suffix: "secret"}},
		"somebody else's":     {ID: identifier.ID{Prefix: "99", Suffix: "x"}},
		"not authenticated":   {ID: identifier.ID{Prefix: "88.1", Suffix: "who"}},
		"cannot answer now":   {ID: identifier.ID{Prefix: "88.1", Suffix: "broken"}},
		"a link of some type": {ID: identifier.ID{Prefix: "88.1", Suffix: "sn"}, Relation: "gs1:pip"},
	}
	for transport, client := range transports {
		for _, signed := range []bool{false, true} {
			o := handle.ClientOptions{Timeout: 5 * time.Second}
			if signed {
				o.Key = public(t, identity)
			}
			newest := client(t, o)
			for _, o.Version = range everyVersion() {
				t.Run(fmt.Sprintf("%d.%d over %s, signed %v", o.Version.Major, o.Version.Minor, transport, signed), func(t *testing.T) {
					c := client(t, o)
					for name, q := range questions {
						want, wantErr := newest.Resolve(t.Context(), q)
						got, err := c.Resolve(t.Context(), q)
						if !reflect.DeepEqual(got, want) || resolver.CaseOf(got, err) != resolver.CaseOf(want, wantErr) {
							t.Errorf("%s: got %+v, %v; want %+v, %v", name, got, err, want, wantErr)
						}
					}
					site, err := c.Site(t.Context())
					if err != nil || site.Serial != identity.Serial() || !bytes.Equal(site.Servers[0].Key, public(t, identity).Append(nil)) {
						t.Errorf("site information: got %+v, %v", site, err)
					}
				})
			}
		}
	}
}

// A version is what the server hears: the older of what it knows and what is suggested.
func TestClientSpeaksItsVersion(t *testing.T) {
	for _, v := range append(everyVersion(), handle.Version{}) {
		heard := make(chan handle.Envelope, 1)
		address := echo(t, func(m *handle.Message) *handle.Message {
			heard <- m.Envelope
			answer := *m
			answer.Code, answer.Body, answer.Flags = handle.NotFound, nil, 0
			return &answer
		})
		if _, err := handle.NewClient(address, handle.ClientOptions{OnlyTCP: true, Version: v}).Resolve(t.Context(), query(identifier.ID{Prefix: "88.1", Suffix: "x"})); err != nil {
			t.Errorf("%v: %v", v, err)
		}
		suggests, speaks := v, handle.Version{Major: 2, Minor: 3}
		if v == (handle.Version{}) {
			suggests = handle.Version{Major: 2, Minor: 11}
		}
		if v.Major == 3 || v.Major == 2 && v.Minor < 3 {
			speaks = v
		}
		if e := <-heard; e.Version != speaks || e.Suggested != suggests {
			t.Errorf("%v: it speaks %v and suggests %v; want %v and %v", v, e.Version, e.Suggested, speaks, suggests)
		}
	}
}
