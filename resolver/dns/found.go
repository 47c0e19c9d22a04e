package dns

import (
	"net/url"
	"strings"
	"time"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/resolver"

	"github.com/miekg/dns"
)

// maxTTL is the longest TTL (RFC 2181, section 8).
const maxTTL = 1<<31 - 1

// records makes the resource records of one found answer.
type records struct {
	owner  string
	answer *resolver.Answer
	now    time.Time
}

func (r *records) header(rrtype uint16, ttl uint32) dns.RR_Header {
	return dns.RR_Header{Name: r.owner, Rrtype: rrtype, Class: dns.ClassINET, Ttl: ttl}
}

// ttl returns the smallest TTL of some values. An answer that may be kept for less
// than all of its values is not fresh, and then none of its records may be kept longer.
func (r *records) ttl(values ...*identifier.Value) uint32 {
	shortest := time.Duration(maxTTL) * time.Second
	for _, v := range values {
		shortest = min(shortest, v.TTL.Left(r.now))
	}
	all := time.Duration(maxTTL) * time.Second
	for i := range r.answer.Record.Values {
		all = min(all, r.answer.Record.Values[i].TTL.Left(r.now))
	}
	if left := r.answer.Lifetime; left < all {
		shortest = min(shortest, left)
	}
	return uint32(shortest / time.Second)
}

// links returns the values that are links, the default link first and then by index.
func (r *records) links() []*identifier.Value {
	var links []*identifier.Value
	values := r.answer.Record.Values
	for i := range values {
		v := &values[i]
		switch {
		case v.Type != "URL" || len(v.Data) == 0:
		case r.answer.Default != nil && v.Index == r.answer.Default.Index:
			links = append([]*identifier.Value{v}, links...)
		default:
			links = append(links, v)
		}
	}
	return links
}

// uris returns one URI record (RFC 7553) per link. Their priorities are 1, 2, …, so
// the default link comes first; the weight is always 1. Links beyond what fits a
// message are left out.
func (r *records) uris() []dns.RR {
	links := r.links()
	ttl := r.ttl(links...)
	var rrs []dns.RR
	room := maxText
	for i, v := range links {
		if room -= perRecord + 4 + len(v.Data); room < 0 {
			break
		}
		rrs = append(rrs, &dns.URI{Hdr: r.header(dns.TypeURI, ttl), Priority: uint16(i + 1), Weight: 1, Target: escape(string(v.Data))})
	}
	return rrs
}

// naptrs returns the same links for who knows only NAPTR, in the form of U-NAPTR
// (RFC 4848): flag U, and a regular expression that replaces everything by the URI.
// The preference is what the priority is in URI; the order is always 1. The service
// is the name of the link type as an experimental service of RFC 3958, section 6.5,
// and the scheme of the URI: x-pip:https, or x-link:https for a link without a
// type. A URI that does not fit 255 octets is in URI and TXT only.
func (r *records) naptrs() []dns.RR {
	links := r.links()
	ttl := r.ttl(links...)
	var rrs []dns.RR
	room := maxText
	for i, v := range links {
		expression, ok := replaceAll(string(v.Data))
		if !ok {
			continue
		}
		service := serviceOf(v)
		if room -= perRecord + 8 + len(service) + len(expression); room < 0 {
			break
		}
		rrs = append(rrs, &dns.NAPTR{
			Hdr: r.header(dns.TypeNAPTR, ttl), Order: 1, Preference: uint16(i + 1),
			Flags: "U", Service: escape(service), Regexp: escape(expression), Replacement: ".",
		})
	}
	return rrs
}

// replaceAll returns the expression that replaces everything by a URI. The
// delimiter is an exclamation mark, or a bar, which no URI holds, where the URI
// holds one. It reports false for what cannot be written like this.
func replaceAll(uri string) (string, bool) {
	delimiter := "!"
	if strings.Contains(uri, delimiter) {
		delimiter = "|"
	}
	expression := delimiter + ".*" + delimiter + uri + delimiter
	// A backslash would stand for a part of what was matched.
	ok := len(expression) <= maxString && !strings.Contains(uri, `\`) && strings.Count(expression, delimiter) == 3
	return expression, ok
}

// serviceOf returns the service field for a link.
func serviceOf(v *identifier.Value) string {
	name := "link"
	if v.Link != nil {
		if label, ok := LinkLabel(v.Link.Relation); ok {
			name = label[1:]
		}
	}
	service := "x-" + name
	if u, err := url.Parse(string(v.Data)); err == nil && u.Scheme != "" {
		service += ":" + u.Scheme
	}
	return service[:min(len(service), maxString)]
}

// texts returns the TXT records: see [lines]. The default link is among them even
// when one link type is asked for and it has another.
func (r *records) texts() []dns.RR {
	values := make([]*identifier.Value, 0, len(r.answer.Record.Values)+1)
	link := r.answer.Default
	for i := range r.answer.Record.Values {
		v := &r.answer.Record.Values[i]
		values = append(values, v)
		if link != nil && v.Index == link.Index {
			link = nil
		}
	}
	if link != nil {
		values = append(values, link)
	}
	ttl := r.ttl(values...)
	var rrs []dns.RR
	for _, l := range lines(r.answer.Record, link) {
		for i := range l {
			l[i] = escape(l[i])
		}
		rrs = append(rrs, &dns.TXT{Hdr: r.header(dns.TypeTXT, ttl), Txt: l})
	}
	return rrs
}

// escape writes octets as the library wants character-strings: only backslashes
// mean something there.
func escape(s string) string { return strings.ReplaceAll(s, `\`, `\\`) }

// unescape takes back what the library does to the character-strings it reads.
func unescape(s string) string {
	if strings.IndexByte(s, '\\') < 0 {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] != '\\' || i+1 == len(s):
			b = append(b, s[i])
		case i+3 < len(s) && isDigit(s[i+1]) && isDigit(s[i+2]) && isDigit(s[i+3]):
			b = append(b, (s[i+1]-'0')*100+(s[i+2]-'0')*10+s[i+3]-'0')
			i += 3
		default:
			i++
			b = append(b, s[i])
		}
	}
	return string(b)
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
