package dns

import (
	"encoding/binary"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/resolver"

	"github.com/miekg/dns"
)

const (
	// maxDatagram is how large an answer over UDP may be: it passes every path
	// unfragmented (RFC 9715, section 3).
	maxDatagram = 1232
	// minDatagram is what everybody takes (RFC 1035, section 4.2.1).
	minDatagram = 512
	// maxMessage is what a message over TCP may have.
	maxMessage = 65535
	// maxExplanation is how much text goes with an extended error.
	maxExplanation = 200
)

// edns is the OPT record of a message (RFC 6891).
type edns struct {
	version uint8
	size    uint16 // how large an answer over UDP may be
	secure  bool   // DO
	place   []byte // the option [optionPlace]; nil without
	cookie  []byte // the option COOKIE (RFC 7873); nil without
	baked   []byte // what is answered to that
}

// optionPlace is the code of an EDNS option for local use (RFC 6891, section 9),
// by which our client hears what DNS has no place for. In a query it is one octet
// of flags: 1 asks for no answers from mirrors and caches, 2 for one from a mirror in
// place of a referral. In an answer it is
//
//	flags      1 octet, 0
//	depth      1 octet, how many segments the prefix at the apex of the zone has
//	log        16 octets
//	position   8 octets
//
// with integers in network order. It goes from hop to hop only: a stock resolver
// between server and client drops it, and nothing is lost but the place.
const (
	optionPlace      = 65353
	placeQueryOctets = 1
	placeOctets      = 26
	flagNoCopies     = 1
	flagMirror       = 2
)

// readEDNS reads an OPT record; it reports false when that is broken.
func readEDNS(rr record) (*edns, bool) {
	e := &edns{version: uint8(rr.ttl >> 16), size: rr.class, secure: rr.ttl&(1<<15) != 0}
	for data := rr.data; len(data) > 0; {
		if len(data) < 4 {
			return nil, false
		}
		code, n := binary.BigEndian.Uint16(data), int(binary.BigEndian.Uint16(data[2:]))
		if data = data[4:]; n > len(data) {
			return nil, false
		}
		switch {
		case code == optionPlace && e.place == nil:
			e.place = data[:n:n]
		case code == dns.EDNS0COOKIE && !isCookie(data[:n]):
			return nil, false // RFC 7873, section 5.2.2
		case code == dns.EDNS0COOKIE && e.cookie == nil:
			e.cookie = data[:n:n]
		}
		data = data[n:]
	}
	return e, true
}

// ours reports whether the query comes from our own client.
func (e *edns) ours() bool { return e != nil && len(e.place) == placeQueryOctets }

// noCopies reports whether answers from mirrors and caches are unwanted.
func (e *edns) noCopies() bool { return e.ours() && e.place[0]&flagNoCopies != 0 }

// mirror reports whether an answer from a mirror is wanted in place of a referral.
func (e *edns) mirror() bool { return e.ours() && e.place[0]&flagMirror != 0 }

// placeOf makes the option that tells where an answer comes from.
func placeOf(a *resolver.Answer) *dns.EDNS0_LOCAL {
	b := make([]byte, 2, placeOctets)
	b[1] = byte(a.Apex.Depth())
	b = append(b, a.Origin.Log[:]...)
	b = binary.BigEndian.AppendUint64(b, a.Origin.Position)
	return &dns.EDNS0_LOCAL{Code: optionPlace, Data: b}
}

// readPlace reads what placeOf wrote for an identifier below the prefix.
func readPlace(b []byte, p identifier.Prefix, a *resolver.Answer) {
	if len(b) != placeOctets || int(b[1]) > p.Depth() {
		return
	}
	a.Apex = ancestor(p, int(b[1]))
	copy(a.Origin.Log[:], b[2:])
	a.Origin.Position = binary.BigEndian.Uint64(b[18:])
}

// ancestor returns the first segments of a prefix.
func ancestor(p identifier.Prefix, depth int) identifier.Prefix {
	for p.Depth() > depth {
		p, _ = p.Parent()
	}
	return p
}

// explain makes an extended error (RFC 8914). The text is cut between characters.
func explain(code int, text string) *dns.EDNS0_EDE {
	if len(text) > maxExplanation {
		cut := maxExplanation
		for cut > 0 && !utf8.RuneStart(text[cut]) {
			cut--
		}
		text = text[:cut]
	}
	return &dns.EDNS0_EDE{InfoCode: uint16(code), ExtraText: text}
}

// mirrored and stale are how the texts of extended errors begin that tell the age of
// a copy, and of an answer that a cache kept beyond its lifetime (RFC 8914, section
// 4.4).
const (
	mirrored = "mirror, age "
	stale    = "stale, age "
)

// mirrorText says that an answer comes from a copy, and how old that is.
func mirrorText(age time.Duration) string { return mirrored + age.String() }

// staleText says that an answer is stale, and how old.
func staleText(age time.Duration) string { return stale + age.String() }

// readAge reads back what follows one of those beginnings.
func readAge(text, begins string) (time.Duration, bool) {
	text, ok := strings.CutPrefix(text, begins)
	if !ok {
		return 0, false
	}
	age, err := time.ParseDuration(text)
	return age, err == nil && age >= 0
}

// optRecord makes an OPT record with our own size and the options.
func optRecord(e *edns, options []dns.EDNS0) *dns.OPT {
	if e.baked != nil {
		options = append(options, &dns.EDNS0_LOCAL{Code: dns.EDNS0COOKIE, Data: e.baked})
	}
	opt := &dns.OPT{Hdr: dns.RR_Header{Name: ".", Rrtype: dns.TypeOPT}, Option: options}
	opt.SetUDPSize(maxDatagram)
	if e.secure {
		opt.SetDo()
	}
	return opt
}
