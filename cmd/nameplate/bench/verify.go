//go:build linux

package bench

import (
	"context"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/miekg/dns"

	resolverdns "github.com/nameplate-id/nameplate/resolver/dns"
)

const (
	verifyAtOnce = 64
	verifyTries  = 5
)

// verify asks for every name once and compares each answer with the data: the
// question repeated, one URI record, its owner, TTL, priority, weight and target. It
// returns how many octets an answer has on average.
func (d data) verify(ctx context.Context, port int, q *queries) (float64, error) {
	return d.links().verify(ctx, port, q)
}

func (l linked) verify(ctx context.Context, port int, q *queries) (float64, error) {
	conn, err := net.DialUDP("udp", nil, &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	_ = conn.SetReadBuffer(4 << 20)
	octets := 0
	for first := 0; first < l.count; first += verifyAtOnce {
		if err := ctx.Err(); err != nil {
			return 0, context.Cause(ctx)
		}
		n, err := l.verifySome(conn, q, first, min(first+verifyAtOnce, l.count))
		if err != nil {
			return 0, err
		}
		octets += n
	}
	return float64(octets) / float64(l.count), nil
}

// verifySome asks for some names at once, and again for those that get no answer.
func (l linked) verifySome(conn *net.UDPConn, q *queries, first, end int) (octets int, err error) {
	open := map[uint16]int{}
	for i := first; i < end; i++ {
		open[uint16(i)] = i
	}
	var query [512]byte
	var answer [largest]byte
	for range verifyTries {
		for id, i := range open {
			n := copy(query[:], q.packet(uint32(i)))
			query[0], query[1] = byte(id>>8), byte(id)
			if _, err := conn.Write(query[:n]); err != nil {
				return 0, err
			}
		}
		_ = conn.SetReadDeadline(time.Now().Add(2 * time.Second))
		for len(open) > 0 {
			n, err := conn.Read(answer[:])
			if err != nil {
				break // late or lost: ask again
			}
			var m dns.Msg
			if err := m.Unpack(answer[:n]); err != nil {
				return 0, fmt.Errorf("an answer is no DNS message: %w", err)
			}
			i, ok := open[m.Id]
			if !ok {
				continue // asked again and answered twice
			}
			if why := l.differs(i, &m); why != "" {
				return 0, fmt.Errorf("the answer for %s differs from the data: %s", l.id(i), why)
			}
			delete(open, m.Id)
			octets += n
		}
		if len(open) == 0 {
			return octets, nil
		}
	}
	return 0, fmt.Errorf("%d of %d names got no answer in %d tries", len(open), end-first, verifyTries)
}

// differs says in what an answer is not what it should be; "" when in nothing.
func (l linked) differs(i int, m *dns.Msg) string {
	name := resolverdns.MustParseZone(zoneName).Name(l.id(i))
	switch {
	case !m.Response || m.Rcode != dns.RcodeSuccess || !m.Authoritative || m.Truncated:
		return "it is not an authoritative success: " + m.MsgHdr.String()
	case len(m.Question) != 1 || !strings.EqualFold(m.Question[0].Name, name) || m.Question[0].Qtype != dns.TypeURI:
		return "it repeats another question"
	case len(m.Answer) != 1:
		return fmt.Sprintf("it has %d records, not 1", len(m.Answer))
	}
	uri, ok := m.Answer[0].(*dns.URI)
	if !ok || !strings.EqualFold(uri.Hdr.Name, name) || uri.Hdr.Class != dns.ClassINET || uri.Hdr.Ttl != ttl ||
		uri.Priority != 1 || uri.Weight != 1 || uri.Target != l.link(i) {
		return "its record is " + m.Answer[0].String()
	}
	return ""
}
