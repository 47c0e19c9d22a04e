package handle

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"
)

// maxReceive is how long a datagram may be: longer than it should, because some
// senders do not cut what they send.
const maxReceive = 4096

// receiveBuffer is how many octets the system may keep for a socket while the server
// reads others.
const receiveBuffer = 1 << 20

// question is a request that waits for a worker.
type question struct {
	Envelope
	b    []byte
	conn net.PacketConn
	from net.Addr
	came time.Time
}

// pool answers datagrams with a fixed number of workers over all sockets.
type pool struct {
	s       *Server
	parts   *assembly
	waiting chan question
	workers sync.WaitGroup
}

func (s *Server) newPool(ctx context.Context) *pool {
	p := &pool{s: s, parts: newAssembly(), waiting: make(chan question, s.o.Waiting)}
	for range s.o.Workers {
		p.workers.Go(func() {
			for q := range p.waiting {
				p.answer(ctx, &q)
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

// read takes requests from a socket until stopping is done. When no worker is free and
// no more may wait, one is dropped: the asker tries again. Failures are waited out; it
// returns an error only when somebody else closed the socket.
func (p *pool) read(stopping context.Context, conn net.PacketConn) error {
	buffer := make([]byte, maxReceive+1)
	for failures := 0; ; {
		n, from, err := conn.ReadFrom(buffer)
		if err != nil {
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
		q, ok := p.take(buffer[:n], from)
		if !ok {
			continue
		}
		q.conn = conn
		select {
		case p.waiting <- q:
		default:
		}
	}
}

// take returns the request that a datagram makes whole.
func (p *pool) take(b []byte, from net.Addr) (question, bool) {
	udp, ok := from.(*net.UDPAddr)
	if !ok || udp.Port == 0 || len(b) > maxReceive {
		return question{}, false
	}
	e, err := ParseEnvelope(b)
	if err != nil {
		return question{}, false
	}
	at := udp.AddrPort()
	now := time.Now()
	message := p.parts.add(netip.AddrPortFrom(at.Addr().Unmap(), at.Port()), e, b[envelopeOctets:], now)
	if message == nil {
		return question{}, false
	}
	if len(b) == envelopeOctets+len(message) {
		message = append([]byte(nil), message...) // the buffer is read into again
	}
	return question{Envelope: e, b: message, from: from, came: now}, true
}

func (p *pool) answer(ctx context.Context, q *question) {
	until := q.came.Add(p.s.o.Patience)
	if !time.Now().Before(until) {
		return
	}
	ctx, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	m := p.s.Answer(ctx, q.Envelope, q.b)
	if m == nil {
		return
	}
	if m.length() > maxAnswer*fragmentOctets {
		if m.Flags&FlagAnswer == 0 {
			return // the asker tries TCP
		}
		f := Failure{Told: true, Listed: true, Message: "the answer does not fit datagrams: ask over TCP", Extra: string([]byte{extensionError})}
		m.Code, m.Flags, m.Body = TooBusy, m.Flags&^FlagDigest, f.Append(nil)
	}
	for _, b := range m.datagrams() {
		if _, err := q.conn.WriteTo(b, q.from); err != nil {
			if !isClosed(err) {
				// The asker is gone or cannot be reached: nobody's fault here.
				p.s.o.Log.Debug("sending an answer failed", "error", err)
			}
			return
		}
	}
}

// isClosed reports whether a socket was closed or interrupted.
func isClosed(err error) bool {
	var timeout net.Error
	return errors.Is(err, net.ErrClosed) || errors.As(err, &timeout) && timeout.Timeout()
}
