package handle

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"
)

// clients bounds how many connections there are, in all and from one client.
type clients struct {
	mu    sync.Mutex
	total int
	by    map[netip.Prefix]int
}

// clientOf returns what counts as one client: an IPv4 address, or the /64 that a
// host or a household has in IPv6. Other addresses are one client together.
func clientOf(a net.Addr) netip.Prefix {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.Prefix{}
	}
	ip := tcp.AddrPort().Addr().Unmap().WithZone("")
	bits := 32
	if ip.Is6() {
		bits = 64
	}
	p, err := ip.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}

func (c *clients) enter(client netip.Prefix, o *Options) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.total >= o.Connections || c.by[client] >= o.PerClient {
		return false
	}
	c.total++
	c.by[client]++
	return true
}

func (c *clients) leave(client netip.Prefix) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.total--
	if c.by[client]--; c.by[client] == 0 {
		delete(c.by, client)
	}
}

// accept takes connections until stopping is done, then waits until what they asked is
// answered and they are closed. Failures are waited out: most often there are no file
// descriptors left, and connections end. It returns an error only when somebody else
// closed the listener.
func (s *Server) accept(ctx, stopping context.Context, listener net.Listener, c *clients) error {
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
		if !c.enter(client, &s.o) {
			conn.Close()
			continue
		}
		open.Go(func() {
			defer c.leave(client)
			s.converse(ctx, stopping, conn)
		})
	}
}

// converse answers the requests of one connection, several at a time and each when it
// is ready.
func (s *Server) converse(ctx, stopping context.Context, conn net.Conn) {
	var answering sync.WaitGroup
	defer conn.Close()
	defer answering.Wait()
	// Whoever waits for the next request is woken.
	stop := context.AfterFunc(stopping, func() { conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()

	w := &stream{conn: conn, idle: s.o.Idle}
	room := make(chan struct{}, s.o.Pipeline)
	reader := bufio.NewReaderSize(conn, maxDatagram)
	for {
		room <- struct{}{}
		if err := conn.SetReadDeadline(time.Now().Add(s.o.Idle)); err != nil || stopping.Err() != nil {
			// What stops between the deadline and a check before it is woken by neither.
			return
		}
		e, b, err := readStream(reader)
		if err != nil {
			return
		}
		answering.Go(func() {
			defer func() { <-room }()
			ctx, cancel := context.WithTimeout(ctx, s.o.Patience)
			defer cancel()
			m := s.Answer(ctx, e, b)
			if m == nil || w.write(m) != nil {
				conn.Close() // the next read fails
			}
		})
	}
}

// readStream reads one message. Memory is taken as octets come, not as the envelope
// promises them.
func readStream(r io.Reader) (Envelope, []byte, error) {
	var head [envelopeOctets]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return Envelope{}, nil, err
	}
	e, err := ParseEnvelope(head[:])
	if err != nil {
		return Envelope{}, nil, err
	}
	var b bytes.Buffer
	if _, err := io.CopyN(&b, r, int64(e.Length)); err != nil {
		return Envelope{}, nil, err
	}
	return e, b.Bytes(), nil
}

// stream writes whole messages to a connection.
type stream struct {
	mu   sync.Mutex
	conn net.Conn
	idle time.Duration
}

// write sends envelope and message in one go: some readers want them so.
func (w *stream) write(m *Message) error {
	b := m.AppendStream(make([]byte, 0, envelopeOctets+m.length()))
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.conn.SetWriteDeadline(time.Now().Add(w.idle)); err != nil {
		return err
	}
	_, err := w.conn.Write(b)
	return err
}
