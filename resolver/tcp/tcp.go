// Package tcp keeps connections open for servers that answer many messages on each,
// for dns and handle: how many connections there may be, from whom, for how long, and
// what goes on upon one of them.
//
// A server says how one message is read and answered ([Next]), and hands over its
// listeners:
//
//	open := tcp.New(tcp.Options{Connections: 1024, PerClient: 64, Pipeline: 16, Idle: 10 * time.Second})
//	err := open.Serve(working, stopping, listener, next)
//
// Messages of one connection are answered several at a time, and each answer leaves
// when it is ready, so that a slow one delays no other (RFC 7766, section 6.2.1.1).
// Where nothing waits (AtOnce) they are answered one after the other without
// goroutines, all answers to what came together leave together, and connections have their
// turn one after the other, however much comes on one of them.
//
// What a client can take is bounded in connections, in messages under way and in the
// octets of those that are large ([Asker.Claim]); silence, and a message that takes too
// long to come or to go, ends a connection. What is too much is closed at once ([Places],
// which also limit the listeners of servers that are made elsewhere, for http and gRPC).
package tcp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"
)

// Options of a server. Connections, PerClient, Pipeline, Idle and Patience are above zero.
type Options struct {
	// Connections is how many there may be over all listeners, PerClient how many from
	// one IPv4 address or IPv6 /64. What comes then is closed at once.
	Connections, PerClient int
	// Octets is how many octets of messages may be claimed ([Asker.Claim]) at the same
	// time, OctetsPerClient by one client.
	Octets, OctetsPerClient int
	// Pipeline is how many messages of one connection are answered at the same time;
	// further ones wait in the kernel.
	Pipeline int
	// Idle is how long a connection may be silent, and how long a message may take to
	// arrive or to leave.
	Idle time.Duration
	// Patience is how long an answer may take.
	Patience time.Duration
	// AtOnce says that answers wait for nothing.
	AtOnce bool
	// Turn answers what came together when it is AtOnce, in place of Next; nil for one
	// message after the other.
	Turn Turn
	// Wrap returns the connection that messages go over, such as that inside of TLS;
	// nil for the one that was accepted. It has Idle to do so, and a failure ends the
	// connection.
	Wrap func(net.Conn) (net.Conn, error)
	// Log receives what an operator should know; nil for nothing.
	Log *slog.Logger
}

// Server keeps connections. It may serve several listeners at the same time, which
// share its limits.
type Server struct {
	o Options

	places *Places
	unfair bool // for a test: no conversation lets the others have their turn

	mu      sync.Mutex
	octets  int // claimed
	clients map[netip.Prefix]int
}

// New returns a server without connections.
func New(o Options) *Server {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Server{o: o, places: NewPlaces(o.Connections, o.PerClient, false), clients: map[netip.Prefix]int{}}
}

// Open returns how many connections there are now.
func (s *Server) Open() int64 {
	open, _ := s.places.counts()
	return open
}

// TurnedAway returns how many connections were closed at once so far.
func (s *Server) TurnedAway() int64 {
	_, turnedAway := s.places.counts()
	return turnedAway
}

// Asker is who is at the other end of a connection.
type Asker struct {
	s       *Server
	client  netip.Prefix
	address netip.Addr
}

// Address returns the address at the other end; the zero Addr where that is none of IP.
func (a Asker) Address() netip.Addr { return a.address }

// Claim takes room for a message of so many octets before it is read, and reports
// false when there is none: the connection should end then. Whoever claims gives back
// the same number with Release.
func (a Asker) Claim(octets int) bool {
	a.s.mu.Lock()
	defer a.s.mu.Unlock()
	if a.s.octets+octets > a.s.o.Octets || a.s.clients[a.client]+octets > a.s.o.OctetsPerClient {
		return false
	}
	a.s.octets += octets
	a.s.clients[a.client] += octets
	return true
}

// Release gives back what was claimed.
func (a Asker) Release(octets int) {
	a.s.mu.Lock()
	defer a.s.mu.Unlock()
	a.s.octets -= octets
	if a.s.clients[a.client] -= octets; a.s.clients[a.client] == 0 {
		delete(a.s.clients, a.client)
	}
}

// Serve takes connections until stopping is done, then waits until what they asked is
// answered, for as long as working allows, and they are closed. Failures are waited
// out: most often there are no file descriptors left, and connections end. It returns
// an error only when somebody else closed the listener.
func (s *Server) Serve(working, stopping context.Context, listener net.Listener, next Next) error {
	var t *turns
	if s.o.AtOnce {
		var end func()
		t, end = newTurns(s.unfair)
		defer end()
	}
	var open sync.WaitGroup
	defer open.Wait()
	for failures := 0; ; {
		conn, err := listener.Accept()
		if err != nil {
			if stopping.Err() != nil {
				return nil
			}
			if isClosed(err) {
				return fmt.Errorf("accepting connections: %w", err)
			}
			s.o.Log.Warn("accepting a connection failed", "error", err)
			pause(stopping, failures)
			failures++
			continue
		}
		failures = 0
		client := clientOf(conn.RemoteAddr())
		if !s.places.enter(client) {
			conn.Close()
			continue
		}
		open.Go(func() {
			defer s.places.leave(client)
			defer conn.Close()
			s.converse(working, stopping, conn, client, next, t)
		})
	}
}

// addressOf returns the address at the other end, without a zone; IPv4 as such.
func addressOf(conn net.Conn) netip.Addr {
	at, _ := netip.ParseAddrPort(conn.RemoteAddr().String())
	return at.Addr().Unmap().WithZone("")
}

// pause waits a moment after the nth failure in a row, or until the context is done.
func pause(ctx context.Context, n int) {
	timer := time.NewTimer(min(time.Second, time.Millisecond<<min(n, 10)))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// isClosed reports whether a socket was closed or interrupted.
func isClosed(err error) bool {
	var timeout net.Error
	return errors.Is(err, net.ErrClosed) || errors.As(err, &timeout) && timeout.Timeout()
}
