package handle

import (
	"context"
	"crypto/x509"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/resolver"
)

// The values that are made here and never stored: where a node speaks Handle.

// siteIndex is the index of the first value that is made here; records hardly have
// such indexes, and stock software takes an index for a signed number.
const siteIndex = 0x7fffff00

// The types of values that are made.
const (
	typeSite       = "HS_SITE"
	typeSite6      = "HS_SITE.6"
	typePrefixSite = "HS_SITE.PREFIX"
	typeService    = "HS_SERV"
)

// zoneValues are those of a prefix in the zone that an answer comes from. Of this node's
// own: its sites, those of its mirrors, and the service that has them; at the root, which
// is that service for what lies below, the sites of its peers, too. Of the zone of another
// node, from a copy: what its parent says of it.
func (s *Server) zoneValues(a *resolver.Answer) []identifier.Value {
	own := s.ownSites()
	switch z := a.Zone; {
	case z == nil || z.Node == nil:
	case z.Node.Key != s.o.Node.Key:
		return s.delegatedValues(z)
	default:
		own = append(own, mirrorSites(z)...)
	}
	if a.ID.Prefix == "" {
		for i := range s.o.Peers {
			own = append(slices.Clip(own), foreignSites(&s.o.Peers[i])...)
		}
	}
	values := typed(own, true, true)
	if a.ID.Prefix != "" {
		values = withService(values, a.Apex)
	}
	return numbered(values)
}

// passedOn are those of a prefix that a recursive node has heard of: what its parent says
// of it. Where the answer came from the cache and nobody remembers the way any more, it is
// gone again, for who asks for a site.
func (s *Server) passedOn(ctx context.Context, q *resolver.Query, a *resolver.Answer) []identifier.Value {
	asked := slices.ContainsFunc([]string{typeSite, typeSite6, typePrefixSite, typeService}, func(kind string) bool {
		return q.Selects(&identifier.Value{Type: kind, Index: siteIndex})
	})
	if s.o.Referral == nil || a.Apex == "" || !asked {
		return nil
	}
	d := s.o.Referral(q.ID.Prefix)
	if d == nil {
		again := *q
		again.Authoritative = true
		if _, err := s.resolver.Resolve(ctx, again); err != nil {
			return nil
		}
		if d = s.o.Referral(q.ID.Prefix); d == nil {
			return nil // a top-level node answers
		}
	}
	return s.delegatedValues(d)
}

// unheldValues are those of a prefix of which a mirror holds no record, but what lies
// below it: who is on the way there must get past it. They are nil where the mirror does
// not even know whether there is such a prefix.
func (s *Server) unheldValues(a *resolver.Answer) []identifier.Value {
	if a.Zone == nil || !a.ID.IsPrefix() || !a.Below && a.ID.Prefix != a.Apex {
		return nil
	}
	return s.delegatedValues(a.Zone)
}

// delegatedValues are those of a prefix that another node answers for.
func (s *Server) delegatedValues(d *identifier.Delegation) []identifier.Value {
	return numbered(withService(typed(referred(d), true, true), d.Prefix))
}

// referralValues are the sites of the node that a referral names: HS_SITE.PREFIX where
// a prefix is asked about, HS_SITE otherwise.
func (s *Server) referralValues(a *resolver.Answer) []identifier.Value {
	prefix := a.ID.IsPrefix()
	return numbered(typed(referred(a.Delegation), !prefix, prefix))
}

// referred are the sites of the node that a delegation names and of its mirrors.
func referred(d *identifier.Delegation) []*Site {
	var sites []*Site
	if d.Node != nil {
		sites = foreignSites(d.Node)
	}
	return append(sites, mirrorSites(d)...)
}

// mirrorSites are where a copy of the log of the node that a delegation names answers.
func mirrorSites(d *identifier.Delegation) []*Site {
	var sites []*Site
	for i := range d.Mirrors {
		for _, site := range foreignSites(&d.Mirrors[i]) {
			site.Primary = false
			sites = append(sites, site)
		}
	}
	return sites
}

// typed are sites as values.
func typed(sites []*Site, service, prefix bool) []identifier.Value {
	var values []identifier.Value
	for _, site := range sites {
		kind := typeSite
		if !site.Servers[0].IP().Is4() {
			kind = typeSite6
		}
		data := site.Append(nil)
		if service {
			values = append(values, made(kind, data))
		}
		if prefix {
			values = append(values, made(typePrefixSite, data))
		}
	}
	return values
}

// withService adds to sites the handle of the service that has them: the prefix at the
// top of the zone.
func withService(sites []identifier.Value, apex identifier.Prefix) []identifier.Value {
	if len(sites) == 0 {
		return nil
	}
	handle := RootHandle
	if apex != "" {
		handle = writeHandle(identifier.ID{Prefix: apex})
	}
	return append(sites, made(typeService, []byte(handle)))
}

func made(kind string, data []byte) identifier.Value {
	return identifier.Value{
		Type: kind, Data: data, TTL: identifier.TTL{Seconds: uint32(resolver.ReferralTTL / time.Second)},
		Permissions: identifier.AdminRead | identifier.PublicRead,
	}
}

// numbered gives values indexes.
func numbered(values []identifier.Value) []identifier.Value {
	for i := range values {
		values[i].Index = siteIndex + uint32(i)
	}
	return values
}

// selected returns those of the values that a query asks for. Stock clients look every
// service up that they hear of, beside the sites; so who asks for sites by their types is
// spared the service.
func selected(q *resolver.Query, values []identifier.Value) []identifier.Value {
	spared := slices.ContainsFunc(q.Types, func(t string) bool {
		return strings.EqualFold(t, typeSite) || strings.EqualFold(t, typeSite6)
	})
	var kept []identifier.Value
	for i := range values {
		if v := &values[i]; q.Selects(v) && !(spared && v.Type == typeService && !slices.Contains(q.Indexes, v.Index)) {
			kept = append(kept, *v)
		}
	}
	return kept
}

// ownSites are the places where this node speaks Handle, with its key.
func (s *Server) ownSites() []*Site {
	var key []byte
	if s.o.Identity != nil && len(s.o.Node.Addresses) > 0 {
		public, err := s.o.Identity.Public()
		if err != nil {
			s.o.Log.Error("the site information has no key", "error", err)
		} else {
			key = public.Append(nil)
		}
	}
	sites := sitesOf(&s.o.Node, s.serial(), key)
	for _, site := range sites {
		site.Primary = !s.o.Mirror
	}
	return sites
}

// foreignSites are the places where another node speaks Handle, with the key that its
// delegation names. Their serials are unknown here: what they tell themselves is newer.
func foreignSites(n *identifier.Node) []*Site {
	var key []byte
	if n.HandleKey.Type == identifier.RSA {
		if k, err := x509.ParsePKCS1PublicKey([]byte(n.HandleKey.Raw)); err == nil {
			key = rsaPublicKey(k).Append(nil)
		}
	}
	return sitesOf(n, NoSerial, key)
}

// sitesOf are the places where a node speaks Handle, one server each, with its key.
func sitesOf(n *identifier.Node, serial uint16, key []byte) []*Site {
	var sites []*Site
	for _, at := range n.Addresses {
		ip, err := netip.ParseAddr(at.IP)
		if err != nil || at.Handle == 0 {
			continue
		}
		sites = append(sites, &Site{
			Format: siteFormat, Version: newest, Serial: serial, Primary: true, Hash: HashWhole,
			Attributes: []Attribute{{"desc", n.Name}},
			Servers:    []SiteServer{{ID: 1, Address: addressOf(ip), Key: key, Interfaces: interfacesAt(&at, key != nil)}},
		})
	}
	return sites
}

// interfacesAt are the ways to ask a node at an address. The SDKs want TCP first. HTTPS is
// on the port of HTTP; it is of use to who can compare the key.
func interfacesAt(at *identifier.Address, keyed bool) []Interface {
	ways := []Interface{{interfaceBoth, TCP, uint32(at.Handle)}, {interfaceQuery, UDP, uint32(at.Handle)}}
	if at.HTTP != 0 {
		ways = append(ways, Interface{interfaceQuery, HTTP, uint32(at.HTTP)})
	}
	if at.HTTP != 0 && keyed {
		ways = append(ways, Interface{interfaceQuery, HTTPS, uint32(at.HTTP)})
	}
	return ways
}
