package dns

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"strings"
	"time"
)

const (
	// secretAge is how long a secret of this server's own makes cookies: not longer than the
	// 26 hours that RFC 7873, section 7.1, recommends, let alone its 36 days.
	secretAge = 24 * time.Hour
	// maxSecrets is how many secrets are good at the same time: more than a rollover needs.
	maxSecrets = 3
)

// secret is what cookies are made with.
type secret [16]byte

// secrets are those that are good at the same time. They do not change.
type secrets struct {
	making secret // with which cookies are made
	// others are good as well, of n in all: for ever, or until an end.
	others [maxSecrets - 1]secret
	n      int
	since  time.Time // of making; zero for what does not end
	until  time.Time // of the others; zero for no end
}

var errCookieSecret = errors.New("a secret for DNS cookies has 32 hexadecimal digits: take what 'openssl rand -hex 16' gives; " +
	"while one takes the place of another, up to three with commas between, the one that makes cookies first")

// CheckCookieSecret returns why a text cannot be [Options.CookieSecret]; it does not repeat
// the text.
func CheckCookieSecret(secret string) error {
	_, err := newCookies(secret)
	return err
}

// newCookies returns cookies of secrets in hexadecimal digits, with commas between, the one
// that makes cookies first; of random ones, which nobody else knows and which end with the
// process, for none.
func newCookies(text string) (*cookies, error) {
	c := &cookies{now: time.Now, rolling: text == ""}
	first := &secrets{n: 1}
	if c.rolling {
		rand.Read(first.making[:])
		first.since = c.now()
		c.current.Store(first)
		return c, nil
	}
	parts := strings.Split(text, ",")
	if len(parts) > maxSecrets {
		return nil, errCookieSecret
	}
	for i, part := range parts {
		b, err := hex.DecodeString(strings.TrimSpace(part))
		if err != nil || len(b) != len(secret{}) {
			return nil, errCookieSecret
		}
		if i == 0 {
			first.making = secret(b)
		} else {
			first.others[i-1] = secret(b)
		}
	}
	first.n = len(parts)
	c.current.Store(first)
	return c, nil
}

// at returns the secrets that are good at a time. One of this server's own makes cookies for
// [secretAge]; the one after it begins with the next cookie, and it is good for as long as a
// cookie is that it has made (RFC 9018, section 5; a server by itself needs no first stage, in
// which others hear of a secret before it is used).
func (c *cookies) at(now time.Time) *secrets {
	s := c.current.Load()
	if !c.rolling || now.Sub(s.since) < secretAge {
		return s
	}
	next := &secrets{n: 1, since: now}
	rand.Read(next.making[:])
	// The cookies of one that nobody has asked for any more are too old by now.
	if now.Sub(s.since) <= secretAge+cookieAge {
		next.others[0], next.n, next.until = s.making, 2, now.Add(cookieAge)
	}
	if !c.current.CompareAndSwap(s, next) {
		next = c.current.Load() // somebody else was first
	}
	return next
}

// good returns the secrets whose cookies are taken at a time, n of them.
func (s *secrets) good(now time.Time) (all [maxSecrets]secret, n int) {
	all[0] = s.making
	if !s.until.IsZero() && now.After(s.until) {
		return all, 1
	}
	copy(all[1:], s.others[:])
	return all, s.n
}
