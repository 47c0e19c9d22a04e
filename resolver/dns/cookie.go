package dns

import (
	"crypto/subtle"
	"encoding/binary"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"
)

// Lengths of what the option COOKIE has (RFC 7873, section 4), in octets.
const (
	clientCookie    = 8
	minServerCookie = 8
	maxServerCookie = 32
	// wholeCookie is a client's cookie and one of this server's behind it.
	wholeCookie = clientCookie + serverCookie
	// serverCookie is version, three reserved octets, time and hash (RFC 9018, section 4).
	serverCookie = 16

	cookieVersion = 1
)

// How long server cookies are good (RFC 9018, section 4.3).
const (
	cookieAge   = time.Hour        // older ones are not taken
	cookieAhead = 5 * time.Minute  // nor such that come from so far in the future
	cookieFresh = 30 * time.Minute // older ones are replaced
)

// cookies makes and checks the cookies by which an asker proves that he gets what is sent
// to his address. It may be used concurrently.
type cookies struct {
	now     func() time.Time
	rolling bool // the secrets are this server's own
	current atomic.Pointer[secrets]
}

// isCookie reports whether an option COOKIE has a length that it may have.
func isCookie(option []byte) bool {
	n := len(option) - clientCookie
	return n == 0 || minServerCookie <= n && n <= maxServerCookie
}

// sum is the hash in a cookie that begins with some octets, for an asker. Hashes are
// little-endian wherever SipHash is written down.
func (s *secret) sum(begin []byte, from netip.Addr) (sum [8]byte) {
	var room [wholeCookie - 8 + 16]byte
	b := append(room[:0], begin...)
	if from = from.Unmap(); from.Is4() {
		a := from.As4()
		b = append(b, a[:]...)
	} else {
		a := from.As16()
		b = append(b, a[:]...)
	}
	binary.LittleEndian.PutUint64(sum[:], sipHash((*[16]byte)(s), b))
	return sum
}

// check reports whether an option has a cookie of this server for an asker that is good
// now, and how old that is.
func (c *cookies) check(option []byte, from netip.Addr, now time.Time) (age time.Duration, good bool) {
	if len(option) != wholeCookie || option[clientCookie] != cookieVersion {
		return 0, false
	}
	// Seconds since 1970 that start anew after 2^32 (RFC 1982).
	age = time.Duration(int32(uint32(now.Unix())-binary.BigEndian.Uint32(option[clientCookie+4:]))) * time.Second
	if age > cookieAge || age < -cookieAhead {
		return 0, false
	}
	equal := 0
	secrets, n := c.at(now).good(now)
	for i := range n {
		sum := secrets[i].sum(option[:wholeCookie-8], from)
		equal |= subtle.ConstantTimeCompare(sum[:], option[wholeCookie-8:])
	}
	return age, equal == 1
}

// answer returns the option for the answer to an asker who sent one, and whether his was
// good: the same while it is fresh, otherwise a new one. It allocates nothing.
func (c *cookies) answer(option []byte, from netip.Addr) (whole [wholeCookie]byte, good bool) {
	now := c.now()
	age, good := c.check(option, from, now)
	copy(whole[:], option)
	if good && age < cookieFresh {
		return whole, true
	}
	clear(whole[clientCookie:])
	whole[clientCookie] = cookieVersion
	binary.BigEndian.PutUint32(whole[clientCookie+4:], uint32(now.Unix()))
	sum := c.at(now).making.sum(whole[:wholeCookie-8], from)
	copy(whole[wholeCookie-8:], sum[:])
	return whole, good
}

// proves reports whether a query has a cookie that is good for where it came from.
func (c *cookies) proves(query []byte, from netip.Addr) bool {
	q, v := readRequest(query)
	if v == drop || v == broken || q.edns == nil {
		return false
	}
	_, good := c.check(q.edns.cookie, from, c.now())
	return good
}

// setCookie sets what is answered to the cookie of a query, if it has one.
func (e *edns) setCookie(c *cookies, from netip.Addr) (good bool) {
	if e == nil || e.cookie == nil {
		return false
	}
	whole, good := c.answer(e.cookie, from)
	e.baked = whole[:]
	return good
}

// justCookie answers a query for a cookie and nothing else (RFC 7873, section 5.4).
func justCookie(q *request, good bool) []byte {
	rep := &reply{}
	if !good && len(q.edns.cookie) > clientCookie {
		rep.rcode = dns.RcodeBadCookie
	}
	m := rep.message(q, "", whole)
	m.Question = nil
	b, err := m.Pack()
	if err != nil {
		return header(q, dns.RcodeServerFailure)
	}
	return b
}
