package dns

import (
	"context"
	"sync"
	"time"

	"github.com/nameplate-id/nameplate/resolver"
	"github.com/nameplate-id/nameplate/resolver/udp"

	"github.com/miekg/dns"
)

// maxQuery is how long a query may be. A plain one has at most 300 octets; what is
// longer than this is garbage.
const maxQuery = 4096

// batchSize is how many datagrams are read and answered with one system call each.
const batchSize = 64

// datagram is one query that waits for a worker.
type datagram struct {
	query  []byte
	socket udp.Socket
	from   udp.Peer
	came   time.Time
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
	p.buffers.New = func() any { return new([maxQuery]byte) }
	if s.o.AtOnce {
		return p // nothing will wait
	}
	for range s.o.Workers {
		p.workers.Go(func() {
			reply := udp.NewBatch(1, 0)
			for d := range p.waiting {
				p.answer(ctx, d, reply)
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

// read takes queries from a socket until stopping is done, see [udp.Each]. What has come by
// then is answered, for as long as working allows.
func (p *pool) read(working, stopping context.Context, socket udp.Socket) error {
	batch := udp.NewBatch(batchSize, maxQuery)
	var all *reader
	if p.s.o.AtOnce {
		all = p.s.newReader(batch)
	}
	return udp.Each(stopping, socket, batch, p.s.o.Patience, p.s.o.Log, func(overdue bool) {
		p.s.counts.datagrams.Add(uint64(batch.Len()))
		switch {
		case all == nil:
			p.queue(socket, batch)
		case overdue && !p.s.keepsLate:
			p.s.counts.dropped.Add(uint64(batch.Len()))
		default:
			all.answerAll(working)
			udp.Send(socket, batch, p.s.o.Log)
		}
	})
}

// queue hands queries to the workers. When none is free and no more may wait, a
// query is dropped: the asker tries again.
func (p *pool) queue(socket udp.Socket, batch *udp.Batch) {
	came := time.Now()
	var limited [batchSize]bool
	if p.s.limit(batch, &limited) {
		defer udp.Send(socket, batch, p.s.o.Log)
	}
	for i := range batch.Len() {
		if limited[i] {
			continue
		}
		query := batch.Datagram(i)
		if len(query) < headerOctets {
			p.s.counts.dropped.Add(1)
			continue
		}
		buffer := p.buffers.Get().(*[maxQuery]byte)
		n := copy(buffer[:], query)
		select {
		case p.waiting <- datagram{query: buffer[:n], socket: socket, from: batch.Peer(i), came: came}:
		default:
			p.drop(buffer)
		}
	}
}

func (p *pool) drop(buffer *[maxQuery]byte) {
	p.s.counts.dropped.Add(1)
	p.buffers.Put(buffer)
}

func (p *pool) answer(ctx context.Context, d datagram, reply *udp.Batch) {
	buffer := (*[maxQuery]byte)(d.query[:maxQuery])
	if time.Since(d.came) > p.s.o.Patience {
		p.drop(buffer)
		return
	}
	limited := resolver.Until(ctx, d.came.Add(p.s.o.Patience))
	answer := p.s.Datagram(limited, d.query, d.from.Address().Addr())
	limited.Release()
	p.buffers.Put(buffer)
	reply.To(d.from, answer)
	udp.Send(d.socket, reply, p.s.o.Log)
}

// reader answers the datagrams of one socket where they are read.
type reader struct {
	s     *Server
	batch *udp.Batch
	plain *plain
	done  [batchSize]bool            // what is answered
	lent  func() (found, absent int) // answerPlain, made once
}

func (s *Server) newReader(batch *udp.Batch) *reader {
	r := &reader{s: s, batch: batch, plain: s.newPlain(false)}
	r.lent = r.answerPlain
	return r
}

// answerAll answers a batch: first the plain questions among them, and then the
// others, for which nothing must be lent any more. All have the same patience: what
// is still unanswered at its end is dropped.
func (r *reader) answerAll(ctx context.Context) {
	r.done = [batchSize]bool{}
	r.s.limit(r.batch, &r.done)
	if records := r.s.o.Records; records != nil {
		r.takePlain()
		if r.plain.n > 0 {
			// What cannot be had is looked for once more, by who says why.
			_ = records.Lend(r.plain.loans[:r.plain.n], r.lent)
		}
	}
	var limited *resolver.Patient
	for i := range r.batch.Len() {
		if r.done[i] {
			continue
		}
		if limited == nil {
			limited = resolver.Until(ctx, time.Now().Add(r.s.o.Patience))
			defer limited.Release()
		}
		query := r.batch.Datagram(i)
		if len(query) < headerOctets || limited.Err() != nil {
			r.s.counts.dropped.Add(1)
			continue
		}
		from := r.batch.Peer(i)
		r.batch.Answer(i, r.s.Datagram(limited, query, from.Address().Addr()))
	}
}

// takePlain finds the plain questions of a batch.
func (r *reader) takePlain() {
	r.plain.begin()
	for i := range r.batch.Len() {
		if query := r.batch.Datagram(i); query != nil && !r.done[i] && r.plain.take(i, query) {
			from := r.batch.Peer(i)
			r.plain.bake(from.Address().Addr())
		}
	}
}

// answerPlain answers the plain questions of a batch and returns how many it answered.
func (r *reader) answerPlain() (found, absent int) {
	for i := range r.plain.n {
		answer := r.plain.answer(i)
		if answer == nil {
			continue
		}
		of := r.plain.asked[i].of
		r.batch.Answer(of, answer)
		r.done[of] = true
		if answer[3]&0xf == dns.RcodeNameError {
			absent++
		} else {
			found++
		}
	}
	r.s.counts.plain.Add(uint64(found + absent))
	r.s.counts.hashed.Add(r.plain.hashed)
	r.s.counts.answers[dns.RcodeSuccess].Add(uint64(found))
	r.s.counts.answers[dns.RcodeNameError].Add(uint64(absent))
	return found, absent
}
