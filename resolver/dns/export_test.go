package dns

import (
	"context"
	"net/netip"
	"time"
)

// Asker is where queries come from for which nothing else is said.
var Asker = netip.MustParseAddr("192.0.2.99")

// SetTime stops the clock by which a server makes cookies.
func SetTime(s *Server, at time.Time) { s.cookies.now = func() time.Time { return at } }

// Answer returns the answer to a datagram from [Asker].
func Answer(ctx context.Context, s *Server, query []byte) []byte {
	return s.Datagram(ctx, query, Asker)
}

// KeepLate lets a server answer what has waited too long in the system's buffer.
func KeepLate(s *Server) { s.keepsLate = true }

// SipHash is SipHash-2-4.
func SipHash(key *[16]byte, b []byte) uint64 { return sipHash(key, b) }

// Plainly returns what answers plain questions at a server, with what records lend, over
// UDP or TCP.
func Plainly(s *Server, records Records, stream bool) func(query []byte) []byte {
	p := s.newPlain(stream)
	var answer []byte
	lent := func() (int, int) { answer = p.answer(0); return 0, 0 }
	return func(query []byte) []byte {
		p.begin()
		if p.take(0, query) {
			p.bake(Asker)
		}
		if p.n == 0 {
			return nil
		}
		answer = nil
		if err := records.Lend(p.loans[:p.n], lent); err != nil {
			return nil
		}
		return answer
	}
}

// Turns returns what answers what came together from [Asker] over TCP.
func Turns(s *Server) func(come, b []byte) (taken int, answers []byte, err error) {
	t := s.newStreamTurn()
	return func(come, b []byte) (int, []byte, error) {
		defer t.forget()
		if err := t.read(come); err != nil {
			return 0, b, err
		}
		return t.answer(context.Background(), Asker, b)
	}
}

// Rates returns whether an address may be answered at a time, with so many answers a
// second.
func Rates(perSecond int) func(a netip.Addr, at time.Duration) bool {
	r := newRates(perSecond)
	return func(a netip.Addr, at time.Duration) bool { return r.allows(a, uint64(at.Microseconds())) }
}

// Decoded returns what a text is in base32hex.
func Decoded(text string) ([]byte, bool) { return appendDecoded(nil, []byte(text)) }

// CookieMaker returns what makes cookies for [Asker] with the secret that a server has now, at any
// later time.
func CookieMaker(s *Server) func(client []byte) [wholeCookie]byte {
	kept := &cookies{now: s.cookies.now}
	kept.current.Store(&secrets{making: s.cookies.current.Load().making, n: 1})
	return func(client []byte) [wholeCookie]byte {
		whole, _ := kept.answer(client, Asker)
		return whole
	}
}
