package tcp

import (
	"bufio"
	"context"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/nameplate-id/nameplate/resolver"
)

// Answer appends the answer to one message, as it goes on the wire, to b; nil ends the
// connection. The context bounds how long it may take.
type Answer func(ctx context.Context, b []byte) []byte

// Next reads one message, and returns what answers it. An error ends the connection.
// It keeps nothing of the reader, which has readAhead octets of room; an answer may be
// asked for while the next message is read.
type Next func(from Asker, r *bufio.Reader) (Answer, error)

// Turn answers messages that have come together on one connection. It appends the answers to
// those at the beginning of come that are whole to b, and returns how many octets they were: none
// to be asked again when more has come. When come has readAhead octets and no message in them
// is whole, that is an error. An error ends the connection after what was appended is sent.
// It keeps nothing of come, and answers for as long as it likes at most: the context only ends
// what should not be answered any more at all.
type Turn func(ctx context.Context, from Asker, come, b []byte) (taken int, answers []byte, err error)

const (
	// readAhead is how many octets of a connection are read at once.
	readAhead = 8192
	// gather is how many octets of answers wait for one another at most.
	gather = 16 << 10
)

// conversation is what goes on upon one connection.
type conversation struct {
	s        *Server
	conn     net.Conn
	stopping context.Context
	asker    Asker
	reader   *bufio.Reader

	turns *turns        // nil when several are answered at the same time
	mine  chan struct{} // by which it hears that its turn has come
	read  int           // octets, since the others had their turn

	mu  sync.Mutex // of writing
	due []byte     // answers that wait for one another, when they are made at once
}

// converse answers the messages of one connection until it ends.
func (s *Server) converse(working, stopping context.Context, conn net.Conn, client netip.Prefix, next Next, t *turns) {
	// Whoever waits for the next message is woken.
	stop := context.AfterFunc(stopping, func() { conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	c := &conversation{s: s, conn: conn, stopping: stopping, asker: Asker{s, client, addressOf(conn)}}
	if s.o.Wrap != nil {
		if !c.patient() {
			return
		}
		_ = conn.SetWriteDeadline(time.Now().Add(s.o.Idle))
		wrapped, err := s.o.Wrap(conn)
		if err != nil {
			return
		}
		c.conn = wrapped
		defer wrapped.Close()
	}
	c.reader = bufio.NewReaderSize(reading{c}, readAhead)
	if t == nil {
		c.several(working, next)
		return
	}
	c.turns, c.mine = t, make(chan struct{}, 1)
	t.talking.Add(1)
	defer t.talking.Add(-1)
	// What was asked is answered even when what follows is none.
	defer func() { _ = c.flush() }()
	if s.o.Turn != nil {
		c.together(working, s.o.Turn)
	} else {
		c.atOnce(working, next)
	}
}

// patient gives the next message its time; false when there will be none.
func (c *conversation) patient() bool {
	err := c.conn.SetReadDeadline(time.Now().Add(c.s.o.Idle))
	// What stops between a check and the deadline is woken by neither; looking after
	// the deadline is set closes the gap.
	return err == nil && c.stopping.Err() == nil
}

// reading is the connection to read from: before it waits, what is due is sent, and
// the others have their turn.
type reading struct{ c *conversation }

func (r reading) Read(b []byte) (int, error) {
	if err := r.c.flush(); err != nil {
		return 0, err
	}
	if r.c.turns != nil && r.c.read >= share {
		r.c.read = 0
		r.c.turns.next(r.c.mine)
	}
	n, err := r.c.conn.Read(b)
	r.c.read += n
	return n, err
}

// flush sends the answers that wait for one another.
func (c *conversation) flush() error {
	if len(c.due) == 0 {
		return nil
	}
	err := c.write(c.due)
	c.due = c.due[:0]
	if cap(c.due) > 2*gather {
		c.due = nil // one was large: its room is not kept
	}
	return err
}

func (c *conversation) write(b []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.conn.SetWriteDeadline(time.Now().Add(c.s.o.Idle)); err != nil {
		return err
	}
	_, err := c.conn.Write(b)
	return err
}

// atOnce answers one message after the other.
func (c *conversation) atOnce(working context.Context, next Next) {
	for c.patient() {
		answer, err := next(c.asker, c.reader)
		if err != nil {
			return
		}
		ctx := resolver.Until(working, time.Now().Add(c.s.o.Patience))
		b := answer(ctx, c.due)
		ctx.Release()
		if b == nil {
			return
		}
		if c.due = b; len(b) >= gather && c.flush() != nil {
			return
		}
	}
}

// together answers all messages that came together before it reads on.
func (c *conversation) together(working context.Context, turn Turn) {
	for need := 1; ; {
		// The rest of a message has no more time than the whole.
		if need == 1 && !c.patient() {
			return
		}
		if _, err := c.reader.Peek(need); err != nil {
			return
		}
		come, _ := c.reader.Peek(c.reader.Buffered())
		taken, due, err := turn(working, c.asker, come, c.due)
		c.due = due
		_, _ = c.reader.Discard(taken) // they are there
		if need = 1; taken == 0 {
			need = len(come) + 1
		}
		if err != nil || len(c.due) >= gather && c.flush() != nil {
			return
		}
	}
}

// several answers messages at the same time, and each when it is ready.
func (c *conversation) several(working context.Context, next Next) {
	var answering sync.WaitGroup
	defer answering.Wait()
	room := make(chan struct{}, c.s.o.Pipeline)
	for {
		room <- struct{}{}
		if !c.patient() {
			return
		}
		answer, err := next(c.asker, c.reader)
		if err != nil {
			return
		}
		answering.Go(func() {
			defer func() { <-room }()
			ctx := resolver.Until(working, time.Now().Add(c.s.o.Patience))
			defer ctx.Release()
			if b := answer(ctx, nil); b == nil || c.write(b) != nil {
				c.conn.Close() // the next read fails
			}
		})
	}
}
