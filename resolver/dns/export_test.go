package dns

import (
	"net/netip"
	"time"
)

// Plainly returns what answers plain questions at a server, with what records lend.
func Plainly(s *Server, records Records) func(query []byte) []byte {
	p := s.newPlain()
	var answer []byte
	lent := func() (int, int) { answer = p.answer(0); return 0, 0 }
	return func(query []byte) []byte {
		p.begin()
		if p.take(0, query); p.n == 0 {
			return nil
		}
		answer = nil
		if err := records.Lend(p.loans[:p.n], lent); err != nil {
			return nil
		}
		return answer
	}
}

// Rates returns whether an address may be answered at a time, with so many answers a
// second.
func Rates(perSecond int) func(a netip.Addr, at time.Duration) bool {
	r := newRates(perSecond)
	return func(a netip.Addr, at time.Duration) bool { return r.allows(a, uint64(at.Microseconds())) }
}
