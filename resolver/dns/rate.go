package dns

import (
	"encoding/binary"
	"hash/maphash"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"

	"github.com/nameplate-id/nameplate/resolver/udp"
)

// rates bounds how many answers over UDP go to one network a second, so that whoever
// forges the address of somebody else cannot flood him by way of this server. A network
// is a /24 of IPv4 or a /56 of IPv6. Of what is too much every second question is
// answered, with TC and nothing else, so that who is really there comes back over TCP;
// the others get nothing. A query with a good cookie (RFC 7873) is answered whatever the
// rate: its sender gets what is sent to his address.
//
// It is a token bucket for each network (the generic cell rate algorithm), in a table
// of fixed size. Where two networks that are both busy meet at the same places of it,
// the second is not bounded: a flood of forged addresses all over must not keep an
// honest one out. It may be used concurrently.
type rates struct {
	interval, burst uint64 // microseconds
	began           time.Time
	seed            maphash.Seed
	over            atomic.Uint32
	slots           [rateSlots]atomic.Uint64
}

const (
	rateSlots = 1 << 16
	// burstOf is for how long a network that was silent may be answered at once what
	// belongs to this time: 2.5 times the rate.
	burstOf = 2500 * time.Millisecond

	tatBits = 48 // of a slot; the others tell networks apart
)

// newRates returns bounds of so many answers a second; nil, which bounds nothing, for 0.
func newRates(perSecond int) *rates {
	if perSecond <= 0 {
		return nil
	}
	return &rates{
		interval: max(1, uint64(time.Second.Microseconds())/uint64(perSecond)), burst: uint64(burstOf.Microseconds()),
		began: time.Now(), seed: maphash.MakeSeed(),
	}
}

// network returns what the addresses of a network have in common.
func network(a netip.Addr) uint64 {
	if a = a.Unmap(); a.Is4() {
		b := a.As4()
		return 1<<63 | uint64(binary.BigEndian.Uint32(b[:])>>8) // no address of IPv6 in use has this bit alone
	}
	b := a.As16()
	return binary.BigEndian.Uint64(b[:]) >> 8
}

// allows reports whether an answer may go to an address at a moment.
func (r *rates) allows(a netip.Addr, now uint64) bool {
	h := maphash.Comparable(r.seed, network(a))
	tag := h >> tatBits << tatBits
	for _, at := range [...]uint64{h, h >> 16} {
		slot := &r.slots[at%rateSlots]
		for {
			old := slot.Load()
			due := old & (1<<tatBits - 1) // when the network has used up what it was answered
			if old>>tatBits<<tatBits != tag {
				if due > now {
					break // somebody else's, and in use
				}
				due = 0
			}
			due = max(due, now)
			if due-now > r.burst {
				return false
			}
			if slot.CompareAndSwap(old, tag|due+r.interval) {
				return true
			}
		}
	}
	return true
}

// limit finds the datagrams of a batch that are too much, sets done for them and what
// is answered to them.
func (s *Server) limit(batch *udp.Batch, done *[batchSize]bool) (any bool) {
	r := s.rates
	if r == nil {
		return false
	}
	now := uint64(time.Since(r.began).Microseconds())
	for i := range batch.Len() {
		peer := batch.Peer(i)
		from := peer.Address()
		if !from.IsValid() || r.allows(from.Addr(), now) || s.cookies.proves(batch.Datagram(i), from.Addr()) {
			continue
		}
		done[i], any = true, true
		s.counts.limited.Add(1)
		if r.over.Add(1)%2 == 0 {
			batch.Answer(i, s.comeOverTCP(batch.Datagram(i), from.Addr()))
		}
	}
	return any
}

// comeOverTCP returns the shortest answer to a query: TC and nothing else but the cookie
// with which to come again. It is no longer than the query, but for an OPT record.
func (s *Server) comeOverTCP(query []byte, from netip.Addr) []byte {
	q, v := readRequest(query)
	if v != proceed {
		return nil
	}
	q.edns.setCookie(s.cookies, from)
	text, _, err := dns.UnpackDomainName(query, headerOctets)
	if err != nil {
		return nil
	}
	return s.count((&reply{}).askOverTCP(q, text))
}
