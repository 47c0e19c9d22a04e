//go:build linux

package bench

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// Shape of the load over TCP.
const (
	tcpConnections   = 8
	tcpPerConnection = 100 // questions under way on each
	// tcpPatience is how long a server may leave all questions of a connection unanswered.
	tcpPatience = 10 * time.Second
)

// tcpLoad asks over TCP: every connection has its questions under way and asks one
// more for each answer. Answers may come in any order.
func tcpLoad(s *nameServer, q *queries, drawn []uint32, limit time.Duration) (outcome, error) {
	release, err := allOn(s.askerCore)
	if err != nil {
		return outcome{}, err
	}
	defer release()
	var all outcome
	var mu sync.Mutex
	var g errgroup.Group
	for i := range tcpConnections {
		g.Go(func() error {
			p := &pipeline{queries: q, drawn: drawn, next: i * len(drawn) / tcpConnections}
			if err := p.connect(s.port); err != nil {
				return err
			}
			defer p.conn.Close()
			if err := p.ask(limit); err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			all.add(&p.outcome)
			return nil
		})
	}
	err = g.Wait()
	return all, err
}

// add counts in what came of another run at the same time.
func (o *outcome) add(other *outcome) {
	o.answers += other.answers
	o.lost += other.lost
	o.bad += other.bad
	o.octets += other.octets
	o.took = max(o.took, other.took)
	for class, n := range other.latency {
		o.latency[class] += n
	}
}

// pipeline is one connection with its questions under way. A question's id is its
// place in sent, which says when it went out; 0 is free.
type pipeline struct {
	queries *queries
	drawn   []uint32
	next    int
	conn    net.Conn
	reader  *bufio.Reader
	sent    [tcpPerConnection]time.Duration
	out     []byte
	began   time.Time
	outcome outcome
}

func (p *pipeline) connect(port int) (err error) {
	if p.conn, err = net.Dial("tcp", loopback(port)); err != nil {
		return err
	}
	p.reader = bufio.NewReaderSize(p.conn, 64<<10)
	return nil
}

// ask keeps its questions under way for so long, and then waits for what is due.
func (p *pipeline) ask(limit time.Duration) error {
	p.began = time.Now()
	for id := range uint16(tcpPerConnection) {
		p.question(id, time.Nanosecond)
	}
	var now time.Duration
	for due := tcpPerConnection; due > 0; {
		if err := p.send(); err != nil {
			return err
		}
		_ = p.conn.SetReadDeadline(time.Now().Add(tcpPatience))
		// One read, and whatever else came with it.
		for more := true; more; more = p.whole() {
			id, err := p.answer()
			var late net.Error
			switch {
			case errors.As(err, &late) && late.Timeout():
				p.outcome.lost += due
				return nil
			case err != nil:
				return err
			}
			now = time.Since(p.began)
			p.outcome.latency.add(now - p.sent[id])
			p.sent[id] = 0
			if now >= limit {
				due--
				continue
			}
			p.outcome.answers++
			p.outcome.took = now
			p.question(id, now)
		}
	}
	return nil
}

// question adds one to what is sent next.
func (p *pipeline) question(id uint16, now time.Duration) {
	packet := p.queries.packet(p.drawn[p.next])
	if p.next++; p.next == len(p.drawn) {
		p.next = 0
	}
	p.out = binary.BigEndian.AppendUint16(p.out, uint16(len(packet)))
	at := len(p.out)
	p.out = append(p.out, packet...)
	binary.BigEndian.PutUint16(p.out[at:], id)
	p.sent[id] = now
}

func (p *pipeline) send() error {
	if len(p.out) == 0 {
		return nil
	}
	_, err := p.conn.Write(p.out)
	p.out = p.out[:0]
	return err
}

// whole reports whether an answer is there that needs no waiting.
func (p *pipeline) whole() bool {
	if p.reader.Buffered() < 2 {
		return false
	}
	size, err := p.reader.Peek(2)
	return err == nil && p.reader.Buffered() >= 2+int(binary.BigEndian.Uint16(size))
}

// answer reads one answer and returns its id.
func (p *pipeline) answer() (uint16, error) {
	var b [2 + headerSize]byte
	if _, err := io.ReadFull(p.reader, b[:]); err != nil {
		return 0, err
	}
	size := int(binary.BigEndian.Uint16(b[:]))
	if size < headerSize {
		return 0, fmt.Errorf("an answer of %d octets", size)
	}
	if _, err := p.reader.Discard(size - headerSize); err != nil {
		return 0, err
	}
	p.outcome.octets += size
	header := b[2:]
	id := binary.BigEndian.Uint16(header)
	if id >= tcpPerConnection || p.sent[id] == 0 {
		return 0, fmt.Errorf("an answer to a question that is not under way (%d)", id)
	}
	if notFound(header) {
		p.outcome.bad++
	}
	return id, nil
}
