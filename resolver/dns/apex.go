package dns

import (
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/resolver"

	"github.com/miekg/dns"
)

// What SOA records say beside the serial (RFC 1035, section 3.3.13), in seconds.
// Nobody transfers these zones, so only the last matters: how long a negative
// answer is kept (RFC 2308).
const (
	soaRefresh = 3600
	soaRetry   = 600
	soaExpire  = 1209600
	soaMinimum = 30
)

// mirrorNegative is the longest lifetime of a negative answer from a mirror.
const mirrorNegative = 5 * time.Second

// infrastructureTTL is how long NS, their addresses and SVCB are kept: at cuts, and
// alike at the apex of the zone below.
const infrastructureTTL = uint32(resolver.ReferralTTL / time.Second)

// SVCB parameters of the range for private use (RFC 9460, section 14.3.1). All are
// text, so that dig shows something.
const (
	keyGRPC   = dns.SVCBKey(65280) // port, in decimal
	keyHTTP   = dns.SVCBKey(65281) // port, in decimal
	keyHandle = dns.SVCBKey(65282) // port, in decimal
	keyNode   = dns.SVCBKey(65283) // the node's key, such as ed25519:…
)

// unnamed is the name of a node that has none.
const unnamed = "ns"

// cut is a zone as NS, address and SVCB records describe it.
type cut struct {
	zone  string // its name
	nodes []identifier.Node
	// mirrored says that the nodes after the first have copies of its log.
	mirrored bool
}

func infrastructure(name string, rrtype uint16) dns.RR_Header {
	return dns.RR_Header{Name: name, Rrtype: rrtype, Class: dns.ClassINET, Ttl: infrastructureTTL}
}

// server returns the name of a node in the zone.
func (c *cut) server(n *identifier.Node) string {
	name := n.Name
	if !isHostLabel(name) {
		name = unnamed
	}
	return name + "." + markServers + "." + c.zone
}

// ns returns one NS record per node.
func (c *cut) ns() []dns.RR {
	var rrs []dns.RR
	for i := range c.nodes {
		rrs = append(rrs, &dns.NS{Hdr: infrastructure(c.zone, dns.TypeNS), Ns: c.server(&c.nodes[i])})
	}
	return rrs
}

// addresses returns the A and AAAA records of the nodes: where they speak DNS.
// Neither NS nor these carry a port: SVCB does.
func (c *cut) addresses() []dns.RR {
	var rrs []dns.RR
	for i := range c.nodes {
		n := &c.nodes[i]
		for _, a := range n.Addresses {
			ip, err := netip.ParseAddr(a.IP)
			switch {
			case err != nil || a.DNS == 0:
			case ip.Is4():
				rrs = append(rrs, &dns.A{Hdr: infrastructure(c.server(n), dns.TypeA), A: ip.AsSlice()})
			default:
				rrs = append(rrs, &dns.AAAA{Hdr: infrastructure(c.server(n), dns.TypeAAAA), AAAA: ip.AsSlice()})
			}
		}
	}
	return rrs
}

// svcb returns one SVCB record (RFC 9460) per address of a node, for our own walker:
// the priority is the place of the address in the list, from 1, and goes on counting
// for mirrors, so that they come after the node whose zone it is; port is that of DNS;
// the hint is the address; the ports of the other protocols and the node's key are
// in keys of private use. A protocol that has no key there is not spoken there.
func (c *cut) svcb() []dns.RR {
	var rrs []dns.RR
	for i := range c.nodes {
		n := &c.nodes[i]
		for place, a := range n.Addresses {
			if c.mirrored {
				place = len(rrs)
			}
			rr := &dns.SVCB{Hdr: infrastructure(c.zone, dns.TypeSVCB), Priority: uint16(place + 1), Target: c.server(n)}
			port := func(key dns.SVCBKey, port uint16) {
				if port != 0 {
					rr.Value = append(rr.Value, &dns.SVCBLocal{KeyCode: key, Data: strconv.AppendUint(nil, uint64(port), 10)})
				}
			}
			if a.DNS != 0 {
				rr.Value = append(rr.Value, &dns.SVCBPort{Port: a.DNS})
			}
			if ip, err := netip.ParseAddr(a.IP); err == nil && ip.Is4() {
				rr.Value = append(rr.Value, &dns.SVCBIPv4Hint{Hint: []net.IP{ip.AsSlice()}})
			} else if err == nil {
				rr.Value = append(rr.Value, &dns.SVCBIPv6Hint{Hint: []net.IP{ip.AsSlice()}})
			}
			port(keyGRPC, a.GRPC)
			port(keyHTTP, a.HTTP)
			port(keyHandle, a.Handle)
			if n.Key.Type != 0 {
				rr.Value = append(rr.Value, &dns.SVCBLocal{KeyCode: keyNode, Data: []byte(n.Key.String())})
			}
			rrs = append(rrs, rr)
		}
	}
	return rrs
}

// zoneOf describes the zone that an answer comes from: its apex, and who answers
// for it. Where it was delegated, that is who the delegation names: the node that has
// it says so with the same words as the one above, and as every copy of either.
func (s *Server) zoneOf(q *question, a *resolver.Answer) *cut {
	if a.Zone != nil && a.Zone.Prefix == a.Apex {
		return s.delegated(q, a.Zone)
	}
	return &cut{zone: q.above(s.zone, a.Apex), nodes: s.nodes}
}

// delegated describes the zone that a delegation makes.
func (s *Server) delegated(q *question, d *identifier.Delegation) *cut {
	c := &cut{zone: q.above(s.zone, d.Prefix), mirrored: true}
	if d.Node != nil {
		c.nodes = append([]identifier.Node{*d.Node}, d.Mirrors...)
	}
	return c
}

// soa returns the SOA record of the zone that an answer comes from. The serial is
// the position of its log. As part of a negative answer its TTL is how long that is
// kept (RFC 2308, section 5).
func (s *Server) soa(q *question, a *resolver.Answer) *dns.SOA {
	c := s.zoneOf(q, a)
	ttl := min(a.Lifetime, soaMinimum*time.Second)
	if a.Origin.Mirror {
		ttl = min(ttl, mirrorNegative)
	}
	return &dns.SOA{
		Hdr: dns.RR_Header{Name: c.zone, Rrtype: dns.TypeSOA, Class: dns.ClassINET, Ttl: uint32(max(ttl, 0) / time.Second)},
		Ns:  c.server(&c.nodes[0]), Mbox: s.contact, Serial: uint32(a.Origin.Position),
		Refresh: soaRefresh, Retry: soaRetry, Expire: soaExpire, Minttl: soaMinimum,
	}
}

// mailbox writes a mail address as a domain name (RFC 1035, section 8).
func mailbox(address string) (string, bool) {
	local, host, ok := strings.Cut(address, "@")
	name := strings.ReplaceAll(local, ".", `\.`) + "." + dns.Fqdn(host)
	if _, valid := dns.IsDomainName(name); !ok || !valid || local == "" || host == "" || strings.ContainsAny(address, "\\ \"") {
		return "", false
	}
	return name, true
}
