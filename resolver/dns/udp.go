package dns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// maxQuery is how long a query may be. A plain one has at most 300 octets; what is
// longer than this is garbage.
const maxQuery = 4096

// receiveBuffer is how many octets of queries the system may keep for a socket while
// the server reads others.
const receiveBuffer = 1 << 20

// datagrams is a socket as the server uses it: one goroutine receives, many send.
type datagrams interface {
	// receive reads one datagram and returns how to answer it.
	receive(b []byte) (int, sender, error)
	// interrupt makes receive fail, now and from now on.
	interrupt() error
	Close() error
}

// sender sends one answer to where the query came from.
type sender interface {
	send(b []byte) error
}

// datagram is one query that waits for a worker.
type datagram struct {
	query []byte
	to    sender
	came  time.Time
}

// pool answers datagrams with a fixed number of workers over all sockets. Its memory
// is bounded by the queue and the workers.
type pool struct {
	s       *Server
	waiting chan datagram
	buffers sync.Pool
	workers sync.WaitGroup
}

func (s *Server) newPool(ctx context.Context) *pool {
	p := &pool{s: s, waiting: make(chan datagram, s.o.Waiting)}
	p.buffers.New = func() any { return new([maxQuery + 1]byte) }
	for range s.o.Workers {
		p.workers.Go(func() {
			for d := range p.waiting {
				p.answer(ctx, d)
			}
		})
	}
	return p
}

// close waits until everything that was taken in is answered.
func (p *pool) close() {
	close(p.waiting)
	p.workers.Wait()
}

// read takes queries from a socket until stopping is done. When no worker is free
// and no more may wait, a query is dropped: the asker tries again. Failures are
// waited out; it returns an error only when somebody else closed the socket.
func (p *pool) read(stopping context.Context, socket datagrams) error {
	for failures := 0; ; {
		buffer := p.buffers.Get().(*[maxQuery + 1]byte)
		n, to, err := socket.receive(buffer[:])
		if err != nil {
			p.buffers.Put(buffer)
			if stopping.Err() != nil {
				return nil
			}
			if isClosed(err) {
				return fmt.Errorf("receiving datagrams: %w", err)
			}
			p.s.o.Log.Warn("receiving a datagram failed", "error", err)
			pause(stopping, failures)
			failures++
			continue
		}
		failures = 0
		p.s.counts.datagrams.Add(1)
		if n < headerOctets || n > maxQuery || to == nil {
			p.drop(buffer)
			continue
		}
		select {
		case p.waiting <- datagram{query: buffer[:n], to: to, came: time.Now()}:
		default:
			p.drop(buffer)
		}
	}
}

func (p *pool) drop(buffer *[maxQuery + 1]byte) {
	p.s.counts.dropped.Add(1)
	p.buffers.Put(buffer)
}

func (p *pool) answer(ctx context.Context, d datagram) {
	buffer := (*[maxQuery + 1]byte)(d.query[:maxQuery+1])
	if time.Since(d.came) > p.s.o.Patience {
		p.drop(buffer)
		return
	}
	limited := &patient{Context: ctx, until: d.came.Add(p.s.o.Patience)}
	answer := p.s.Datagram(limited, d.query)
	limited.release()
	p.buffers.Put(buffer)
	if answer == nil {
		return
	}
	if err := d.to.send(answer); err != nil && !isClosed(err) {
		// The asker is gone or cannot be reached: nobody's fault here.
		p.s.o.Log.Debug("sending an answer failed", "error", err)
	}
}

// isClosed reports whether a socket was closed or interrupted.
func isClosed(err error) bool {
	var timeout net.Error
	return errors.Is(err, net.ErrClosed) || errors.As(err, &timeout) && timeout.Timeout()
}

// packetSocket is any [net.PacketConn].
type packetSocket struct{ net.PacketConn }

type packetSender struct {
	conn net.PacketConn
	to   net.Addr
}

// openSocket makes a socket of what a listener gave. A socket bound to no address in
// particular needs to know at which one each query came in, or it would answer from
// another.
func openSocket(conn net.PacketConn) (datagrams, error) {
	udp, ok := conn.(*net.UDPConn)
	if !ok {
		return packetSocket{conn}, nil
	}
	// The system gives what it allows; less only means that bursts are lost earlier.
	_ = udp.SetReadBuffer(receiveBuffer)
	if local, ok := udp.LocalAddr().(*net.UDPAddr); !ok || !local.IP.IsUnspecified() {
		return packetSocket{conn}, nil
	}
	err6 := ipv6.NewPacketConn(udp).SetControlMessage(ipv6.FlagDst|ipv6.FlagInterface, true)
	err4 := ipv4.NewPacketConn(udp).SetControlMessage(ipv4.FlagDst|ipv4.FlagInterface, true)
	if err4 != nil && err6 != nil {
		return nil, err4
	}
	return wildcardSocket{udp}, nil
}

func (s packetSocket) receive(b []byte) (int, sender, error) {
	n, from, err := s.ReadFrom(b)
	if err != nil || !answerable(from) {
		return n, nil, err
	}
	return n, packetSender{s.PacketConn, from}, nil
}

func (s packetSocket) interrupt() error { return s.SetReadDeadline(time.Unix(1, 0)) }

func (s packetSender) send(b []byte) error {
	_, err := s.conn.WriteTo(b, s.to)
	return err
}

// wildcardSocket is a UDP socket that is bound to all addresses.
type wildcardSocket struct{ *net.UDPConn }

type wildcardSender struct {
	conn *net.UDPConn
	to   *dns.SessionUDP
}

func (s wildcardSocket) receive(b []byte) (int, sender, error) {
	n, from, err := dns.ReadFromSessionUDP(s.UDPConn, b)
	if err != nil || !answerable(from.RemoteAddr()) {
		return n, nil, err
	}
	return n, wildcardSender{s.UDPConn, from}, nil
}

func (s wildcardSocket) interrupt() error { return s.SetReadDeadline(time.Unix(1, 0)) }

func (s wildcardSender) send(b []byte) error {
	_, err := dns.WriteToSessionUDP(s.conn, b, s.to)
	return err
}

// answerable reports whether an answer may be sent to an address: nobody listens on
// port 0, so a query from there is forged.
func answerable(from net.Addr) bool {
	udp, ok := from.(*net.UDPAddr)
	return !ok || udp.Port != 0
}
