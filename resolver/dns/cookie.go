package dns

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"net/netip"
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
	secret [16]byte
	now    func() time.Time
}

var errCookieSecret = errors.New("a secret for DNS cookies has 32 hexadecimal digits: take what 'openssl rand -hex 16' gives")

// CheckCookieSecret returns why a text cannot be [Options.CookieSecret]; it does not repeat
// the text.
func CheckCookieSecret(secret string) error {
	_, err := newCookies(secret)
	return err
}

// newCookies returns cookies of a secret in hexadecimal digits; of a random one, which
// nobody else knows and which ends with the process, for none.
func newCookies(secret string) (*cookies, error) {
	c := &cookies{now: time.Now}
	if secret == "" {
		rand.Read(c.secret[:])
		return c, nil
	}
	b, err := hex.DecodeString(secret)
	if err != nil || len(b) != len(c.secret) {
		return nil, errCookieSecret
	}
	copy(c.secret[:], b)
	return c, nil
}

// isCookie reports whether an option COOKIE has a length that it may have.
func isCookie(option []byte) bool {
	n := len(option) - clientCookie
	return n == 0 || minServerCookie <= n && n <= maxServerCookie
}

// sum is the hash in a cookie that begins with some octets, for an asker.
func (c *cookies) sum(begin []byte, from netip.Addr) uint64 {
	var room [wholeCookie - 8 + 16]byte
	b := append(room[:0], begin...)
	if from = from.Unmap(); from.Is4() {
		a := from.As4()
		b = append(b, a[:]...)
	} else {
		a := from.As16()
		b = append(b, a[:]...)
	}
	return sipHash(&c.secret, b)
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
	// Hashes are little-endian wherever SipHash is written down.
	var sum [8]byte
	binary.LittleEndian.PutUint64(sum[:], c.sum(option[:wholeCookie-8], from))
	return age, subtle.ConstantTimeCompare(sum[:], option[wholeCookie-8:]) == 1
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
	binary.LittleEndian.PutUint64(whole[wholeCookie-8:], c.sum(whole[:wholeCookie-8], from))
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
