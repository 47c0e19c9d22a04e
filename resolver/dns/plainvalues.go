package dns

import (
	"bytes"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/resolver"

	"github.com/miekg/dns"
)

// maxPlainValues is how many values a plain record has at most.
const maxPlainValues = 16

// plainValues are the values of a record that all may read, as far as they are asked for.
type plainValues struct {
	all      [maxPlainValues]identifier.ValueView
	n        int
	selected [maxPlainValues]bool
	asked    int // how many are selected
	// standard is the place of the default link; -1 for none.
	standard int
}

// read reads a record of which the links of one type are asked for, or everything;
// false when anything about it is not plain.
func (v *plainValues) read(stored identifier.Stored, link []byte) bool {
	v.n, v.asked, v.standard = 0, 0, -1
	marked := false
	for view := range stored.Values() {
		if v.n == maxPlainValues || view.Permissions&identifier.PublicRead == 0 || view.TTL.Absolute {
			return false
		}
		i := v.n
		v.all[i] = view
		v.n++
		if v.selected[i] = true; link != nil {
			is, plainly := isAsked(link, &v.all[i])
			if !plainly {
				return false
			}
			v.selected[i] = is
		}
		if v.selected[i] {
			v.asked++
		}
		if !isURL(&v.all[i]) {
			continue
		}
		if first := view.Link && view.Default && !marked; v.standard < 0 || first {
			v.standard, marked = i, first
		}
	}
	return true
}

func isURL(v *identifier.ValueView) bool { return string(v.Type) == "URL" }

// isAsked is [resolver.Query.Selects] for the name of a link type. A relation that is a
// URI is not plain.
func isAsked(link []byte, v *identifier.ValueView) (is, plainly bool) {
	if !isURL(v) || !v.Link {
		return false, true
	}
	has := v.Relation
	if bytes.IndexByte(has, '/') >= 0 {
		return false, false
	}
	if n := len("gs1:"); len(has) >= n && bytes.EqualFold(has[:n], []byte("gs1:")) {
		has = has[n:]
	}
	return bytes.EqualFold(link, has), true
}

// smallest returns the smallest TTL of the values for which of says so, as DNS carries
// it, and a larger one for none.
func (v *plainValues) smallest(of func(i int) bool) uint32 {
	ttl := uint32(maxTTL)
	for i := range v.n {
		if of(i) {
			ttl = min(ttl, v.all[i].TTL.Seconds)
		}
	}
	return ttl
}

// lifetime is that of the answer: see [resolver.Authority].
func (v *plainValues) lifetime() uint32 {
	switch {
	case v.asked > 0:
		return v.smallest(func(i int) bool { return v.selected[i] })
	case v.n > 0:
		return v.smallest(func(int) bool { return true })
	}
	return uint32(resolver.NegativeTTL.Seconds())
}

// isLink reports whether a value gives a record with a link.
func (v *plainValues) isLink(i int) bool {
	return v.selected[i] && isURL(&v.all[i]) && len(v.all[i].Data) > 0
}

// links calls f with the places of the links in their order: the default link, then by
// index. The number counts from 1.
func (v *plainValues) links(f func(number uint16, i int)) {
	number := uint16(0)
	if v.standard >= 0 && v.isLink(v.standard) {
		number++
		f(number, v.standard)
	}
	for i := range v.n {
		if i != v.standard && v.isLink(i) {
			number++
			f(number, i)
		}
	}
}

// uris writes what [records.uris] gives, and returns how many there are.
func (v *plainValues) uris(w *answerWriter) int {
	n := 0
	for i := range v.n {
		if v.isLink(i) {
			n++
		}
	}
	if n == 0 {
		return 0
	}
	w.begin(dns.RcodeSuccess, uint16(n), 0)
	ttl := v.smallest(v.isLink)
	v.links(func(number uint16, i int) {
		data := w.record(dns.TypeURI, ttl)
		w.u16(number)
		w.u16(1) // the weight
		w.add(v.all[i].Data)
		w.end(data)
	})
	return n
}

// naptrs writes what [records.naptrs] gives, and returns how many there are. Links of
// which a parser might make something else than their beginning says are not plain.
func (v *plainValues) naptrs(w *answerWriter) int {
	ttl := v.smallest(v.isLink)
	n := uint16(0)
	w.begin(dns.RcodeSuccess, 0, 0)
	v.links(func(number uint16, i int) {
		scheme, ok := simpleScheme(v.all[i].Data)
		name := v.all[i].Relation
		if !ok || len(name) > 0 && !isSimpleRelation(name) {
			w.full = true
			return
		}
		delimiter := byte('!')
		if bytes.IndexByte(v.all[i].Data, delimiter) >= 0 {
			delimiter = '|'
		}
		octets := len(v.all[i].Data) + len("!.*!!")
		if octets > maxString {
			return
		}
		n++
		w.naptr(ttl, number, scheme, name, v.all[i].Data, delimiter)
	})
	if n == 0 {
		if !w.full {
			w.b = w.b[:0]
		}
		return 0
	}
	if !w.full {
		w.b[6], w.b[7] = uint8(n>>8), uint8(n)
	}
	return int(n)
}

// naptr writes the record for one link, whose octets do not have the delimiter.
func (w *answerWriter) naptr(ttl uint32, number uint16, scheme, relation, link []byte, delimiter byte) {
	data := w.record(dns.TypeNAPTR, ttl)
	w.u16(1) // the order
	w.u16(number)
	w.text("\x01U")
	service := len(w.b)
	w.u8(0)
	w.text("x-")
	if name := bytes.TrimPrefix(relation, []byte("gs1:")); len(name) > 0 {
		for _, c := range name {
			if 'A' <= c && c <= 'Z' {
				c += 'a' - 'A'
			}
			w.u8(c)
		}
	} else {
		w.text("link")
	}
	w.text(":")
	w.add(scheme)
	if !w.full {
		w.b[service] = uint8(len(w.b) - service - 1)
	}
	w.u8(uint8(len(link) + len("!.*!!")))
	w.u8(delimiter)
	w.text(".*")
	w.u8(delimiter)
	w.add(link)
	w.u8(delimiter)
	w.u8(0) // the replacement
	w.end(data)
}

// isSimpleRelation reports whether a relation is a GS1 link type with its usual prefix,
// whose name is also that of the DNS label.
func isSimpleRelation(relation []byte) bool {
	name, ok := bytes.CutPrefix(relation, []byte("gs1:"))
	if !ok || len(name) == 0 || len(name)+1 > maxLinkLabel {
		return false
	}
	for _, c := range name {
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9') {
			return false
		}
	}
	return len(name) > len("ns") // the markers have shorter names
}

// simpleScheme returns the scheme of a URI with a host and nothing that would have to
// be decoded.
func simpleScheme(uri []byte) ([]byte, bool) {
	for _, scheme := range [...]string{"https", "http"} {
		rest, ok := bytes.CutPrefix(uri, []byte(scheme))
		if !ok {
			continue
		}
		if rest, ok = bytes.CutPrefix(rest, []byte("://")); !ok {
			continue
		}
		host := true
		for _, c := range rest {
			switch {
			case 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '.':
			case c == '/' || c == '?':
				host = false
			case host || c <= ' ' || c >= 0x7f || c == '%' || c == '\\' || c == '|' || c == '#' || c == '"':
				return nil, false
			}
		}
		return uri[:len(scheme)], true
	}
	return nil, false
}
