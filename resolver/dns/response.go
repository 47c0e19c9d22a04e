package dns

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/resolver"

	"github.com/miekg/dns"
)

// Limits of a response before it is unpacked: each record may cost a kilobyte when
// names are compressed cleverly.
const (
	maxRecords = identifier.MaxValues + 64
	maxServers = 13
	// maxAddresses is what a delegation may name.
	maxAddresses = 16
	// maxEndpoints is how many of them are read for all nodes together.
	maxEndpoints = 64
)

// response is an answer message and the question it belongs to.
type response struct {
	zone  Zone
	query resolver.Query
	name  string // that was asked for, in lower case
	msg   *dns.Msg
	// prohibited and text are what extended errors say; mirror and age too.
	prohibited bool
	text       string
	mirror     bool
	stale      bool
	age        time.Duration
	place      []byte
}

var errBrokenAnswer = errors.New("the answer is no DNS message, or larger than an answer can be")

// unpack reads a message, which has passed [answers].
func (c *Client) unpack(q resolver.Query, name, msg []byte) (*response, error) {
	at := headerOctets
	if binary.BigEndian.Uint16(msg[4:]) == 1 {
		at = endOfName(msg, at, false) + 4
	}
	records := 0
	for i := 6; i < headerOctets; i += 2 {
		records += int(binary.BigEndian.Uint16(msg[i:]))
	}
	if records > maxRecords {
		return nil, errBrokenAnswer
	}
	for range records {
		if _, at = readRecord(msg, at); at < 0 {
			return nil, errBrokenAnswer
		}
	}
	r := &response{zone: c.o.Zone, query: q, name: text([]byte(lower(name))), msg: &dns.Msg{}}
	if err := r.msg.Unpack(msg); err != nil || at != len(msg) {
		return nil, errBrokenAnswer
	}
	r.readOptions()
	return r, nil
}

func (r *response) readOptions() {
	opt := r.msg.IsEdns0()
	if opt == nil {
		return
	}
	for _, o := range opt.Option {
		switch o := o.(type) {
		case *dns.EDNS0_EDE:
			if age, ok := readAge(o.ExtraText, mirrored); ok {
				r.mirror, r.age = true, age
				continue
			}
			if age, ok := readAge(o.ExtraText, stale); ok && o.InfoCode == dns.ExtendedErrorCodeStaleAnswer {
				r.stale, r.age = true, age
				continue
			}
			r.prohibited = r.prohibited || o.InfoCode == dns.ExtendedErrorCodeProhibited
			r.text = o.ExtraText
		case *dns.EDNS0_LOCAL:
			if o.Code == optionPlace {
				r.place = o.Data
			}
		}
	}
}

// answer says what the response comes to.
func (r *response) answer() (resolver.Answer, error) {
	a := resolver.Answer{ID: r.query.ID, InZone: true, Origin: resolver.Origin{Mirror: r.mirror, Stale: r.stale, Age: r.age}}
	soa, apex := r.soa()
	if soa != nil {
		a.Apex, a.Lifetime = apex, time.Duration(min(soa.Hdr.Ttl, soa.Minttl))*time.Second
	}
	texts, ttl := r.texts()
	delegation, kept := r.delegation()
	switch rcode := r.msg.Rcode; {
	case rcode == dns.RcodeRefused:
		a.Outcome, a.InZone, a.Lifetime = resolver.Refused, false, resolver.NegativeTTL
	case rcode != dns.RcodeSuccess && rcode != dns.RcodeNameError:
		return a, &resolver.Error{Kind: resolver.Unavailable, Detail: cmp.Or(r.text, "the name server says "+dns.RcodeToString[rcode]+": ask another")}
	case rcode == dns.RcodeSuccess && soa == nil && len(texts) == 0 && delegation != nil && !r.msg.Authoritative:
		a.Outcome, a.Delegation, a.Lifetime = resolver.Referral, delegation, kept
	case !r.msg.Authoritative && (!r.query.Recursive || r.query.Authoritative):
		return a, errors.New("the answer is not authoritative, and no referral either")
	case rcode == dns.RcodeSuccess && len(texts) > 0:
		if err := r.found(&a, texts); err != nil {
			return a, err
		}
		a.Apex, a.Lifetime = "", ttl
	case soa == nil:
		return a, errors.New("the answer has neither TXT nor SOA of a zone above the identifier")
	case r.prohibited && rcode == dns.RcodeSuccess:
		a.Outcome = resolver.Refused
	default:
		a.Outcome = resolver.Absent
		a.Below = rcode == dns.RcodeSuccess && r.query.ID.IsPrefix() && r.query.SuffixHash == nil
	}
	readPlace(r.place, r.query.ID.Prefix, &a)
	return a, nil
}

// soa returns the SOA record of a zone that the identifier lies in.
func (r *response) soa() (*dns.SOA, identifier.Prefix) {
	for _, rr := range r.msg.Ns {
		soa, ok := rr.(*dns.SOA)
		if !ok || soa.Hdr.Class != dns.ClassINET {
			continue
		}
		if apex, ok := r.prefix(soa.Hdr.Name); ok {
			return soa, apex
		}
	}
	return nil, ""
}

// prefix returns the prefix that a name stands for, when it covers the identifier.
func (r *response) prefix(name string) (identifier.Prefix, bool) {
	n, ok := r.parse(name)
	return n.ID.Prefix, ok && n.Kind == KindIdentifier && n.ID.Suffix == "" && n.Link == "" && n.ID.Prefix.Covers(r.query.ID.Prefix)
}

// parse reads a name as the library writes it.
func (r *response) parse(name string) (Name, bool) {
	var b [maxName + 1]byte
	end, err := dns.PackDomainName(name, b[:], 0, nil, false)
	if err != nil {
		return Name{}, false
	}
	n, err := r.zone.Parse(b[:end])
	return n, err == nil
}

// texts returns the TXT records at the name that was asked for.
func (r *response) texts() ([]line, time.Duration) {
	var texts []line
	ttl := uint32(maxTTL)
	for _, rr := range r.msg.Answer {
		txt, ok := rr.(*dns.TXT)
		if !ok || txt.Hdr.Class != dns.ClassINET || !sameName(txt.Hdr.Name, r.name) {
			continue
		}
		l := make(line, len(txt.Txt))
		for i, s := range txt.Txt {
			l[i] = unescape(s)
		}
		texts = append(texts, l)
		ttl = min(ttl, txt.Hdr.Ttl)
	}
	return texts, time.Duration(ttl) * time.Second
}

// found fills in the record, when it is that of the identifier asked for.
func (r *response) found(a *resolver.Answer, texts []line) error {
	record, link, err := parseLines(texts)
	if err != nil {
		return err
	}
	asked := r.query.ID
	same := record.ID == asked
	if hash := r.query.SuffixHash; hash != nil {
		same = record.ID.Prefix == asked.Prefix && record.ID.Suffix != "" && identifier.SuffixHash(record.ID.Suffix) == *hash
	}
	if !same {
		return fmt.Errorf("the answer is about another identifier, %s", record.ID)
	}
	if link == nil {
		if v, ok := record.DefaultLink(); ok {
			link = &v
		}
	}
	a.Outcome, a.ID, a.Default = resolver.Found, record.ID, link
	a.Record = record
	record.Values = r.query.Select(record.Values)
	return nil
}

// delegation returns the referral in the response and how long it may be kept; nil when
// there is none. Only names below the cut itself are looked at.
func (r *response) delegation() (*identifier.Delegation, time.Duration) {
	var d *identifier.Delegation
	ttl := uint32(maxTTL)
	var cutName string
	servers := map[string]string{} // names in lower case, and their labels
	for _, rr := range r.msg.Ns {
		ns, ok := rr.(*dns.NS)
		if !ok || ns.Hdr.Class != dns.ClassINET || len(servers) == maxServers {
			continue
		}
		at, ok := r.prefix(ns.Hdr.Name)
		if !ok || at == "" || d != nil && d.Prefix != at {
			continue
		}
		n, ok := r.parse(ns.Ns)
		if !ok || n.Kind != KindServer || n.ID.Prefix != at {
			continue
		}
		if d == nil {
			d = &identifier.Delegation{Prefix: at, Node: &identifier.Node{Name: n.Server}}
			cutName = strings.ToLower(ns.Hdr.Name)
		}
		servers[strings.ToLower(ns.Ns)] = n.Server
		ttl = min(ttl, ns.Hdr.Ttl)
	}
	if d == nil {
		return nil, 0
	}
	nodes := r.endpoints(cutName, servers)
	if len(nodes) == 0 {
		// Who of them is a mirror is not known: all are asked alike.
		r.glue(d.Node, servers)
		return d, time.Duration(ttl) * time.Second
	}
	d.Node = &nodes[0]
	if len(nodes) > 1 {
		d.Mirrors = nodes[1:min(len(nodes), 1+identifier.MaxMirrors)]
	}
	return d, time.Duration(ttl) * time.Second
}

// endpoints reads what SVCB records at the cut say about the nodes: the first is the
// one that holds the zone, the others are mirrors.
func (r *response) endpoints(cutName string, servers map[string]string) []identifier.Node {
	var all []*dns.SVCB
	for _, rr := range r.msg.Extra {
		svcb, ok := rr.(*dns.SVCB)
		if !ok || svcb.Hdr.Class != dns.ClassINET || svcb.Priority == 0 || !sameName(svcb.Hdr.Name, cutName) || len(all) == maxEndpoints {
			continue
		}
		all = append(all, svcb)
	}
	slices.SortStableFunc(all, func(a, b *dns.SVCB) int { return cmp.Compare(a.Priority, b.Priority) })
	var nodes []identifier.Node
	for _, svcb := range all {
		label, ok := servers[strings.ToLower(svcb.Target)]
		if !ok {
			continue
		}
		at := slices.IndexFunc(nodes, func(n identifier.Node) bool { return n.Name == label })
		n := identifier.Node{Name: label}
		if at >= 0 {
			n = nodes[at]
		}
		var a identifier.Address
		if !readEndpoint(svcb.Value, &a, &n.Key) || len(n.Addresses) == maxAddresses {
			continue
		}
		n.Addresses = append(n.Addresses, a)
		if at < 0 {
			nodes = append(nodes, n)
		} else {
			nodes[at] = n
		}
	}
	return nodes
}

// readEndpoint reads the parameters of one SVCB record.
func readEndpoint(parameters []dns.SVCBKeyValue, a *identifier.Address, key *identifier.PublicKey) bool {
	for _, p := range parameters {
		switch p := p.(type) {
		case *dns.SVCBPort:
			a.DNS = p.Port
		case *dns.SVCBIPv4Hint:
			a.IP = first(p.Hint)
		case *dns.SVCBIPv6Hint:
			a.IP = first(p.Hint)
		case *dns.SVCBLocal:
			// What cannot be read is not spoken there, or has no key.
			port, _ := strconv.ParseUint(string(p.Data), 10, 16)
			switch p.KeyCode {
			case keyGRPC:
				a.GRPC = uint16(port)
			case keyHTTP:
				a.HTTP = uint16(port)
			case keyHandle:
				a.Handle = uint16(port)
			case keyNode:
				if k, err := identifier.ParsePublicKey(string(p.Data)); err == nil {
					*key = k
				}
			}
		}
	}
	return a.IP != ""
}

// glue takes the addresses of the name servers: DNS at port 53 is all they tell.
func (r *response) glue(n *identifier.Node, servers map[string]string) {
	for _, rr := range r.msg.Extra {
		var ip netip.Addr
		switch rr := rr.(type) {
		case *dns.A:
			ip, _ = netip.AddrFromSlice(rr.A.To4())
		case *dns.AAAA:
			ip, _ = netip.AddrFromSlice(rr.AAAA)
		}
		if _, ours := servers[strings.ToLower(rr.Header().Name)]; ours && ip.IsValid() && len(n.Addresses) < maxAddresses {
			n.Addresses = append(n.Addresses, identifier.Address{IP: ip.String(), DNS: 53})
		}
	}
}

// sameName compares names without case.
func sameName(a, b string) bool { return equalFold([]byte(a), []byte(b)) }

// first returns the first address of a hint; "" when there is none.
func first(hint []net.IP) string {
	if len(hint) == 0 {
		return ""
	}
	return hint[0].String()
}
