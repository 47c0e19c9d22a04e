package http

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"
)

// firstHandshake is the first octet of a TLS connection (RFC 8446, section 5.1); no HTTP
// request begins with it.
const firstHandshake = 0x16

// either parts the connections of one listener into plain and encrypted ones, by their
// first octet. Whoever sends none in five seconds is closed.
type either struct {
	net.Listener
	plain, secure *side
	ctx           context.Context
	stop          context.CancelFunc
}

// side is a listener of one kind of connections.
type side struct {
	*either
	accepted chan net.Conn
}

func newEither(l net.Listener) *either {
	e := &either{Listener: l}
	e.ctx, e.stop = context.WithCancel(context.Background())
	e.plain, e.secure = &side{e, make(chan net.Conn)}, &side{e, make(chan net.Conn)}
	return e
}

// run takes connections until the listener is closed, and returns when nobody waits for
// a first octet any more.
func (e *either) run() {
	defer e.stop()
	takeAll(e.ctx, e.Listener, e.sort)
}

// takeAll takes connections, each in a goroutine of its own, until ctx ends or the listener
// is closed, and returns when all of them have been dealt with.
func takeAll(ctx context.Context, l net.Listener, take func(net.Conn)) {
	var waiting sync.WaitGroup
	defer waiting.Wait()
	for failures := 0; ; {
		c, err := l.Accept()
		if err != nil {
			if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return
			}
			// Most often there are no file descriptors left, and connections end.
			timer := time.NewTimer(min(time.Second, time.Millisecond<<min(failures, 10)))
			select {
			case <-timer.C:
			case <-ctx.Done():
			}
			failures++
			continue
		}
		failures = 0
		waiting.Go(func() { take(c) })
	}
}

// sort hands a connection to its side.
func (e *either) sort(c net.Conn) {
	end := context.AfterFunc(e.ctx, func() { _ = c.SetReadDeadline(time.Unix(1, 0)) })
	var first [1]byte
	err := c.SetReadDeadline(time.Now().Add(headerTimeout))
	if err == nil {
		_, err = c.Read(first[:])
	}
	if end(); err != nil {
		_ = c.Close()
		return
	}
	_ = c.SetReadDeadline(time.Time{})
	to := e.plain
	if first[0] == firstHandshake {
		to = e.secure
	}
	select {
	case to.accepted <- &begun{Conn: c, first: first[:]}:
	case <-e.ctx.Done():
		_ = c.Close()
	}
}

// Accept implements [net.Listener].
func (s *side) Accept() (net.Conn, error) {
	select {
	case c := <-s.accepted:
		return c, nil
	case <-s.ctx.Done():
		return nil, net.ErrClosed
	}
}

// Close implements [net.Listener]. It closes both sides.
func (s *side) Close() error {
	s.stop()
	return s.Listener.Close()
}

// begun is a connection of which the first octet has been read.
type begun struct {
	net.Conn
	first []byte
}

// Read implements [net.Conn].
func (c *begun) Read(b []byte) (int, error) {
	if len(c.first) > 0 && len(b) > 0 {
		n := copy(b, c.first)
		c.first = c.first[n:]
		return n, nil
	}
	return c.Conn.Read(b)
}
