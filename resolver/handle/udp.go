package handle

import (
	"context"
	"encoding/binary"
	"sync"
	"time"

	"github.com/nameplate-id/nameplate/resolver"
	"github.com/nameplate-id/nameplate/resolver/udp"
)

const (
	// maxReceive is how long a datagram may be: longer than it should, because some
	// senders do not cut what they send.
	maxReceive = 4096
	// batchSize is how many datagrams are read and answered with one system call each.
	batchSize = 64
)

// question is a request that waits for a worker.
type question struct {
	Envelope
	b      []byte
	socket udp.Socket
	from   udp.Peer
	came   time.Time
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
	if s.o.AtOnce {
		return p // nothing will wait
	}
	for range s.o.Workers {
		p.workers.Go(func() {
			reply := udp.NewBatch(1, 0)
			for q := range p.waiting {
				p.answer(ctx, &q, reply)
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

// read takes requests from a socket until stopping is done, see [udp.Each]. What has come by
// then is answered, for as long as working allows.
func (p *pool) read(working, stopping context.Context, socket udp.Socket) error {
	batch := udp.NewBatch(batchSize, maxReceive)
	r := &reader{pool: p, socket: socket, batch: batch, reply: udp.NewBatch(1, 0)}
	if p.s.o.AtOnce && p.s.o.Records != nil {
		r.plain, r.lent = newPlain(batchSize), r.answerPlain
	}
	return udp.Each(stopping, socket, batch, p.s.o.Patience, p.s.o.Log, func(overdue bool) {
		p.s.counts.datagrams.Add(uint64(batch.Len()))
		if overdue && p.s.o.AtOnce {
			p.s.counts.dropped.Add(uint64(batch.Len()))
			return
		}
		r.take(working)
	})
}

// reader takes the datagrams of one socket.
type reader struct {
	pool    *pool
	socket  udp.Socket
	batch   *udp.Batch
	reply   *udp.Batch // for answers of several datagrams
	plain   *plain     // nil when no question is plain
	answers [batchSize][maxDatagram]byte
	done    [batchSize]bool            // what is answered
	lent    func() (found, absent int) // answerPlain, made once
}

// take answers a batch, or hands it to the workers. Plain questions come first, and
// then the others, for which nothing must be lent any more.
func (r *reader) take(working context.Context) {
	s := r.pool.s
	r.done = [batchSize]bool{}
	now := time.Now()
	if r.plain != nil && r.takePlain(now) {
		// What cannot be had is looked for once more, by who says why.
		_ = s.o.Records.Lend(r.plain.loans[:r.plain.n], r.lent)
		// They leave before the others are looked at, which may take longer.
		udp.Send(r.socket, r.batch, s.o.Log)
	}
	for i := range r.batch.Len() {
		if r.done[i] {
			continue
		}
		q, ok := r.pool.request(r.batch.Datagram(i), r.batch.Peer(i), now)
		if !ok {
			continue
		}
		q.socket = r.socket
		if s.o.AtOnce {
			r.pool.answer(working, &q, r.reply)
			continue
		}
		select {
		case r.pool.waiting <- q:
		default:
			s.counts.dropped.Add(1)
		}
	}
}

// takePlain finds the plain questions of a batch, and reports whether there are any.
func (r *reader) takePlain(now time.Time) bool {
	r.plain.begin(r.pool.s.serial(), now)
	for i := range r.batch.Len() {
		if datagram := r.batch.Datagram(i); datagram != nil {
			r.plain.take(i, datagram)
		}
	}
	return r.plain.n > 0
}

// answerPlain answers the plain questions of a batch and returns how many it answered.
func (r *reader) answerPlain() (found, absent int) {
	for i := range r.plain.n {
		of := r.plain.asked[i].of
		if answer := r.plain.answer(r.answers[of][:0], i); answer != nil {
			r.batch.Answer(of, answer)
			r.done[of] = true
			found++
		}
	}
	r.pool.s.counts.plain.Add(uint64(found))
	return found, 0
}

// request returns the request that a datagram makes whole.
func (p *pool) request(b []byte, from udp.Peer, now time.Time) (question, bool) {
	e, err := ParseEnvelope(b)
	if err != nil {
		p.s.counts.dropped.Add(1)
		return question{}, false
	}
	message := p.parts.add(from.Address(), e, b[envelopeOctets:], now)
	if message == nil {
		return question{}, false
	}
	if !p.s.o.AtOnce && len(b) == envelopeOctets+len(message) {
		message = append([]byte(nil), message...) // the batch is read into again
	}
	return question{Envelope: e, b: message, from: from, came: now}, true
}

// answer answers one request.
func (p *pool) answer(ctx context.Context, q *question, reply *udp.Batch) {
	until := q.came.Add(p.s.o.Patience)
	if !time.Now().Before(until) {
		p.s.counts.dropped.Add(1)
		return
	}
	if s := p.s; s.o.Identity != nil && asksForSignature(q.b) && !s.signatures.take(q.came) {
		s.counts.dropped.Add(1) // the asker tries TCP
		return
	}
	limited := resolver.Until(ctx, until)
	m := p.s.Answer(limited, q.Envelope, q.b)
	limited.Release()
	if m == nil {
		return
	}
	if m.length() > maxAnswer*fragmentOctets {
		if m.Flags&FlagAnswer == 0 {
			return // the asker tries TCP
		}
		f := Failure{Told: true, Listed: true, Message: "the answer does not fit datagrams: ask over TCP", Extra: string([]byte{extensionError})}
		m.Code, m.Flags, m.Body, m.Credential = TooBusy, m.Flags&^(FlagDigest|FlagCertified), f.Append(nil), nil
	}
	for _, b := range m.datagrams() {
		reply.To(q.from, b)
		udp.Send(q.socket, reply, p.s.o.Log)
	}
}

// asksForSignature reports whether a message wants a certified answer.
func asksForSignature(b []byte) bool {
	return len(b) >= headerOctets && Flags(binary.BigEndian.Uint32(b[8:]))&FlagCertified != 0
}
