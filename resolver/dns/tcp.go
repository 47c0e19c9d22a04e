package dns

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
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

// accept takes connections until stopping is done, then waits until what they asked
// is answered and they are closed. Failures are waited out: most often there are no
// file descriptors left, and connections end. It returns an error only when somebody
// else closed the listener.
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
			s.counts.turnedAway.Add(1)
			conn.Close()
			continue
		}
		s.counts.connections.Add(1)
		open.Go(func() {
			defer func() {
				s.counts.connections.Add(-1)
				c.leave(client)
			}()
			s.converse(ctx, stopping, conn)
		})
	}
}

// converse answers the queries of one connection, several at a time and each when
// it is ready (RFC 7766, section 6.2.1.1).
func (s *Server) converse(ctx, stopping context.Context, conn net.Conn) {
	var answering sync.WaitGroup
	defer conn.Close()
	defer answering.Wait()
	// Whoever waits for the next query is woken.
	stop := context.AfterFunc(stopping, func() { conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()

	w := &stream{conn: conn, idle: s.o.Idle}
	room := make(chan struct{}, s.o.Pipeline)
	reader := bufio.NewReaderSize(conn, 2+minDatagram)
	for {
		query, err := s.next(stopping, conn, reader)
		if err != nil {
			return
		}
		s.counts.messages.Add(1)
		room <- struct{}{}
		answering.Go(func() {
			defer func() { <-room }()
			ctx, cancel := context.WithTimeout(ctx, s.o.Patience)
			defer cancel()
			answer := s.Stream(ctx, query)
			if answer == nil || w.write(answer) != nil {
				conn.Close() // the next read fails
			}
		})
	}
}

var errQueryTooLong = errors.New("a query is longer than any query")

// next reads one query. It gives up when the connection was silent too long, or
// when the query takes too long to arrive.
func (s *Server) next(stopping context.Context, conn net.Conn, r *bufio.Reader) ([]byte, error) {
	if err := conn.SetReadDeadline(time.Now().Add(s.o.Idle)); err != nil {
		return nil, err
	}
	// What stops between the check and the deadline is woken by neither; looking
	// after the deadline is set closes the gap.
	if err := stopping.Err(); err != nil {
		return nil, err
	}
	var length [2]byte
	if _, err := io.ReadFull(r, length[:]); err != nil {
		return nil, err
	}
	n := int(binary.BigEndian.Uint16(length[:]))
	if n < headerOctets || n > maxQuery {
		s.counts.dropped.Add(1)
		return nil, errQueryTooLong
	}
	query := make([]byte, n)
	if _, err := io.ReadFull(r, query); err != nil {
		return nil, err
	}
	return query, nil
}

// stream writes whole messages to a connection.
type stream struct {
	mu   sync.Mutex
	conn net.Conn
	idle time.Duration
}

func (w *stream) write(answer []byte) error {
	framed := make([]byte, 2, 2+len(answer))
	binary.BigEndian.PutUint16(framed, uint16(len(answer)))
	framed = append(framed, answer...)
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.conn.SetWriteDeadline(time.Now().Add(w.idle)); err != nil {
		return err
	}
	_, err := w.conn.Write(framed)
	return err
}
