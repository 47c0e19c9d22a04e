package dns

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/resolver"
	"github.com/nameplate-id/nameplate/resolver/tcp"

	"github.com/miekg/dns"
)

// Options of a server. The zero Options work.
type Options struct {
	// Zone is the zone below which identifiers have names; the zero Zone is
	// [DefaultZone].
	Zone Zone
	// Node is this node: the name that NS and SOA records give it, the addresses
	// and ports that address and SVCB records tell, and the key that a walker finds
	// there. Without a name it is called ns. A zone that was delegated to it has the
	// name servers that the delegation names ([resolver.Answer.Zone]).
	Node identifier.Node
	// Peers are further nodes that answer for the same zones: other top-level nodes.
	Peers []identifier.Node
	// Recursive says that the Resolver follows referrals for those who ask it to (RA),
	// and is the authority for nothing: answers have no AA, unless our own client wanted
	// no copies, and the zones have neither NS nor SVCB here.
	Recursive bool
	// Contact is the mail address in SOA records; hostmaster at the zone when empty.
	Contact string
	// Log receives what an operator should know; nil for nothing.
	Log *slog.Logger

	// Patience is how long a question may take; 2 s when zero. A datagram that has
	// waited as long unread is dropped.
	Patience time.Duration
	// Workers is how many datagrams are answered at the same time, 256 when zero;
	// Waiting how many more may wait, 1,024 when zero. What comes then is dropped.
	Workers, Waiting int
	// AtOnce says that the Resolver answers from what it holds and waits for nobody.
	// Then a datagram is answered by the goroutine that read it, one after the other
	// for each socket, without workers; give the server as many sockets as there are
	// processors. What comes meanwhile waits in the system's buffer. The questions of a
	// connection are answered in their order then.
	AtOnce bool
	// Records are where plain questions are answered from, before the Resolver is
	// asked, when they are AtOnce; nil for nowhere. They must agree with it.
	Records Records

	// Rate is how many answers over UDP one network (/24 of IPv4, /56 of IPv6) gets a
	// second, and at once two and a half times as many; 0 for any number. See [rates].
	Rate int
	// CookieSecret are 32 hexadecimal digits from which DNS cookies are made (RFC 7873,
	// RFC 9018): the same ones at all servers behind one address. While one takes the place of
	// another they are up to three secrets, with commas between: the first makes cookies,
	// those of all are good. Empty for a random secret of this server's own, in place of
	// which another comes every day.
	CookieSecret string

	// Connections is how many TCP connections there may be, 1,024 when zero, and
	// PerClient how many from one IPv4 address or IPv6 /64, 64 when zero. What comes
	// then is closed at once.
	Connections, PerClient int
	// Pipeline is how many questions of one connection are answered at the same time,
	// 16 when zero; further ones wait in the kernel.
	Pipeline int
	// Idle is how long a connection may be silent (RFC 7766, section 6.2.3), and how
	// long a message may take to arrive or to leave; 10 s when zero.
	Idle time.Duration
}

// Server answers DNS queries from a Resolver. It may serve several times and from
// several goroutines.
type Server struct {
	resolver resolver.Resolver
	zone     Zone
	nodes    []identifier.Node // this node first
	contact  string
	o        Options
	counts   counts
	rates    *rates // nil for no bounds
	cookies  *cookies
	// keepsLate is for a test: what has waited too long unread is answered all the same.
	keepsLate bool
	// connections are those of all calls of Serve.
	connections *tcp.Server
	turns       sync.Pool // of *streamTurn
}

// New returns a server in front of a Resolver.
func New(r resolver.Resolver, o Options) (*Server, error) {
	if o.Zone == (Zone{}) {
		o.Zone = MustParseZone(DefaultZone)
	}
	if o.Contact == "" {
		o.Contact = "hostmaster@" + o.Zone.text
	}
	contact, ok := mailbox(o.Contact)
	if !ok {
		return nil, fmt.Errorf("%q is no mail address for SOA records: write one like hostmaster@maker.example", o.Contact)
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	o.Patience = or(o.Patience, 2*time.Second)
	o.Workers, o.Waiting = or(o.Workers, 256), or(o.Waiting, 1024)
	o.Connections, o.PerClient, o.Pipeline = or(o.Connections, 1024), or(o.PerClient, 64), or(o.Pipeline, 16)
	o.Idle = or(o.Idle, 10*time.Second)
	s := &Server{
		resolver: r, zone: o.Zone, nodes: append([]identifier.Node{o.Node}, o.Peers...), contact: contact, o: o,
	}
	var err error
	if s.cookies, err = newCookies(o.CookieSecret); err != nil {
		return nil, err
	}
	s.turns.New = func() any { return s.newStreamTurn() }
	s.connections, s.rates = s.newConnections(), newRates(o.Rate)
	return s, nil
}

// or returns v, or what stands for its zero value.
func or[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}

// Datagram returns the answer to a query that came in a datagram, at most as long
// as the asker takes and never longer than 1,232 octets; nil when none is due. The
// context bounds how long it may take. From is where it came from, which cookies are for.
// It keeps nothing of the query.
func (s *Server) Datagram(ctx context.Context, query []byte, from netip.Addr) []byte {
	return s.answer(ctx, query, from, false)
}

// Stream returns the answer to a query that came over TCP, at most 65,535 octets;
// nil when the connection should be closed instead.
func (s *Server) Stream(ctx context.Context, query []byte, from netip.Addr) []byte {
	return s.answer(ctx, query, from, true)
}

func (s *Server) answer(ctx context.Context, query []byte, from netip.Addr, stream bool) []byte {
	q, v := readRequest(query)
	proved := q != nil && q.edns.setCookie(s.cookies, from)
	switch v {
	case drop:
		s.counts.dropped.Add(1)
		return nil
	case broken:
		return s.count(header(q, dns.RcodeFormatError))
	case unknown:
		return s.count(header(q, dns.RcodeNotImplemented))
	case asking:
		return s.count(justCookie(q, proved))
	}
	limit := maxMessage
	if !stream {
		limit = minDatagram
		if q.edns != nil {
			limit = min(max(minDatagram, int(q.edns.size)), maxDatagram)
		}
	}
	text, _, err := dns.UnpackDomainName(query, headerOctets)
	if err != nil {
		return s.count(header(q, dns.RcodeFormatError))
	}
	if v == newer {
		return s.count((&reply{rcode: dns.RcodeBadVers}).pack(q, text, limit))
	}
	rep := s.reply(ctx, q, text)
	if rep.overloaded {
		s.counts.overloaded.Add(1)
		if stream {
			return nil
		}
		return s.count((&reply{}).askOverTCP(q, text))
	}
	if s.o.Recursive {
		// Who wants no copies is told that this is none.
		rep.recursive, rep.authoritative = true, rep.authoritative && q.edns.noCopies()
	}
	return s.count(rep.pack(q, text, limit))
}
