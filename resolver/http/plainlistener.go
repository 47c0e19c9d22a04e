package http

import (
	"context"
	"net"
	"time"
)

// plainListener answers plain requests on the connections of a listener as they come
// from the wire, and hands a connection on with the first request that is anything else,
// every octet of it unread: net/http takes two thirds of what a redirect costs, and the
// request that nearly all clients send needs little of it.
type plainListener struct {
	net.Listener
	server *Server
	others chan net.Conn
	ctx    context.Context
	stop   context.CancelFunc
}

func newPlainListener(s *Server, l net.Listener) *plainListener {
	p := &plainListener{Listener: l, server: s, others: make(chan net.Conn)}
	p.ctx, p.stop = context.WithCancel(context.Background())
	return p
}

// run takes connections until the listener is closed, and returns when none of them is
// being answered any more.
func (p *plainListener) run() {
	defer p.stop()
	takeAll(p.ctx, p.Listener, p.converse)
}

// Accept implements [net.Listener]: it returns connections that are handed on.
func (p *plainListener) Accept() (net.Conn, error) {
	select {
	case c := <-p.others:
		return c, nil
	case <-p.ctx.Done():
		return nil, net.ErrClosed
	}
}

// Close implements [net.Listener]. Connections end after the answers that are under way.
func (p *plainListener) Close() error {
	p.stop()
	return p.Listener.Close()
}

const (
	// maxPlain is how many octets plain requests have at most that arrive together.
	maxPlain = 4 << 10
	// maxTogether is about how many octets of answers are sent together.
	maxTogether = 32 << 10
	// firstOctets is what plain requests begin with.
	firstOctets = "GET /"
	// deadlinesEvery is how often deadlines are put off, which is not free: they may come
	// by so much too early.
	deadlinesEvery = 10 * time.Second
)

// converse answers on a connection as long as all that arrives is plain.
func (p *plainListener) converse(c net.Conn) {
	end := context.AfterFunc(p.ctx, func() {
		_ = c.SetReadDeadline(time.Unix(1, 0))
		_ = c.SetWriteDeadline(time.Now().Add(shutdownTimeout))
	})
	defer end()
	var t plainTalk
	in := make([]byte, maxPlain)
	var out []byte
	var putOff time.Time // when the deadlines were
	_ = c.SetReadDeadline(time.Now().Add(headerTimeout))
	have := 0 // octets of in that nobody has answered
	for {
		n, err := c.Read(in[have:])
		have += n
		if err != nil || n == 0 {
			if have > 0 && p.ctx.Err() == nil {
				p.handOn(c, in[:have], end) // who reads next finds the same
			} else {
				_ = c.Close()
			}
			return
		}
		if have < len(firstOctets) && string(in[:have]) == firstOctets[:have] {
			continue // the first octet comes alone where that tells encrypted connections apart
		}
		now := time.Now()
		if now.Sub(putOff) > deadlinesEvery {
			putOff = now
			_ = c.SetWriteDeadline(now.Add(writeTimeout))
			_ = c.SetReadDeadline(now.Add(idleTimeout))
		}
		for rest := in[:have]; len(rest) > 0; {
			before := len(rest)
			out, rest = t.answer(p.server, out[:0], rest, now)
			if len(rest) == before {
				p.handOn(c, rest, end)
				return
			}
			if _, err := c.Write(out); err != nil {
				_ = c.Close()
				return
			}
		}
		have = 0
		if p.ctx.Err() != nil { // the deadlines may have been put off after the end
			_ = c.Close()
			return
		}
	}
}

// handOn hands a connection on with what has been read and not answered.
func (p *plainListener) handOn(c net.Conn, read []byte, end func() bool) {
	if end() {
		_ = c.SetDeadline(time.Time{})
		select {
		case p.others <- &begun{Conn: c, first: read}:
			return
		case <-p.ctx.Done():
		}
	}
	_ = c.Close()
}
