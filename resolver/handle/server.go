package handle

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/resolver"
	"github.com/nameplate-id/nameplate/resolver/tcp"
)

// Options of a server. The zero Options work.
type Options struct {
	// Node is this node: the addresses and ports that its site information tells.
	// Without one it tells none.
	Node identifier.Node
	// Peers are the other nodes at the top, which the record of the root names beside this
	// one.
	Peers []identifier.Node
	// Identity has the key that certified answers are signed with, that the sites of this
	// node publish and that TLS proves, and the serial of its site information. Without
	// one no answer is signed, TLS is not spoken, and the serial is 1.
	Identity *Identity
	// Mirror says that the Resolver answers for other nodes from copies of their logs, at an
	// address that their delegations name: the site of this address is not primary.
	Mirror bool
	// Recursive says that the Resolver follows referrals, and is the authority for
	// nothing: prefixes are not given this node's sites.
	Recursive bool
	// Referral returns, at a recursive node, the delegation by which the Resolver last came
	// to who answers for a prefix; nil when it does not know any. An SDK asks its recursive
	// node for the site of a prefix and goes on there.
	Referral func(identifier.Prefix) *identifier.Delegation
	// Log receives what an operator should know; nil for nothing.
	Log *slog.Logger

	// Patience is how long a question may take; 2 s when zero. A datagram that has
	// waited as long unread is dropped.
	Patience time.Duration
	// Workers is how many datagrams are answered at the same time, 256 when zero;
	// Waiting how many more may wait, 1,024 when zero. What comes then is dropped.
	Workers, Waiting int
	// AtOnce says that the Resolver answers from what it holds and waits for nobody.
	// Then a request is answered by the goroutine that read it, one after the other for
	// each socket and each connection; give the server as many sockets as there are
	// processors.
	AtOnce bool
	// Records are where plain questions are answered from, before the Resolver is asked,
	// when they are AtOnce; nil for nowhere. They must agree with it.
	Records Records

	// Connections is how many TCP connections there may be, 1,024 when zero, and
	// PerClient how many from one IPv4 address or IPv6 /64, 64 when zero. What comes
	// then is closed at once.
	Connections, PerClient int
	// Pipeline is how many questions of one connection are answered at the same time,
	// 16 when zero; further ones wait in the kernel.
	Pipeline int
	// Idle is how long a connection may be silent, and how long a message may take to
	// arrive or to leave; 30 s when zero, because the SDKs keep theirs.
	Idle time.Duration
}

// Server answers Handle requests from a Resolver. It may serve several times and from
// several goroutines.
type Server struct {
	resolver resolver.Resolver
	o        Options
	counts   counts
	// connections are those of all calls of Serve.
	connections *tcp.Server
	plains      sync.Pool // of *plain, for connections
	signatures  signatures
}

// New returns a server in front of a Resolver.
func New(r resolver.Resolver, o Options) *Server {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	o.Patience, o.Idle = or(o.Patience, 2*time.Second), or(o.Idle, 30*time.Second)
	o.Workers, o.Waiting = or(o.Workers, 256), or(o.Waiting, 1024)
	o.Connections, o.PerClient, o.Pipeline = or(o.Connections, 1024), or(o.PerClient, 64), or(o.Pipeline, 16)
	s := &Server{resolver: r, o: o}
	s.connections = s.newConnections()
	s.plains.New = func() any { return newPlain(1) }
	return s
}

// or returns v, or what stands for its zero value.
func or[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}

// serial is that of the site information.
func (s *Server) serial() uint16 {
	if s.o.Identity == nil {
		return 1
	}
	return s.o.Identity.serial
}

// Answer returns the answer to a request without its envelope, b; nil when none is due,
// because b is an answer itself: two servers would never stop. The context bounds how
// long it may take.
func (s *Server) Answer(ctx context.Context, e Envelope, b []byte) *Message {
	request := &Message{Envelope: e}
	if !e.Compressed && !e.Encrypted {
		m, err := ParseMessage(e, b)
		if err != nil {
			return s.refuse(request, err.Error())
		}
		if m.Code != 0 {
			return nil
		}
		request = m
	}
	return s.answer(ctx, request)
}

// refuse is the answer to what cannot be read.
func (s *Server) refuse(request *Message, detail string) *Message {
	m := &Message{
		Envelope: Envelope{Version: request.Envelope.answer(), Suggested: newest, Session: request.Session, Request: request.Request},
		Serial:   s.serial(), Expiration: uint32(time.Now().Add(validity).Unix()),
	}
	s.write(m, request, ProtocolError, failure(request, detail))
	return m
}
