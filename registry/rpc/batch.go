package rpc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"sync"
	"time"

	protobuf "google.golang.org/protobuf/proto"

	"github.com/nameplate-id/nameplate/proto"
	"github.com/nameplate-id/nameplate/registry"
	"github.com/nameplate-id/nameplate/registry/identifier"
)

// inFlightOctets is how many octets the changes of one stream have that are with the
// registry, or whose answers wait to be sent: a caller who reads none must not fill the
// memory with changes that have been dealt with. One change may have as many alone.
const inFlightOctets = 4 << 20

// pending is a change of a batch on its way.
type pending struct {
	change *identifier.Change
	octets int            // that it takes of the stream's room
	level  registry.Level // to be waited for before the answer
	wait   time.Duration

	done    chan struct{} // closed when what follows is set
	receipt registry.Receipt
	err     error
	// panicked is what the registry panicked with, and where.
	panicked any
	stack    []byte
}

// finished reports whether the change has its answer.
func (p *pending) finished() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// RegisterBatch logs many changes. This goroutine sends the answers; another receives
// the changes and starts them.
func (s *Server) RegisterBatch(stream proto.Registration_RegisterBatchServer) error {
	ctx, cancel := context.WithCancel(stream.Context())
	defer cancel()
	// A change is put here before it is started: the room limits both.
	queue, room := make(chan *pending, s.options.InFlight), newRoom(inFlightOctets)
	var received error // set before queue is closed
	go func() {
		defer close(queue)
		b := intake{server: s, room: room, latest: make(map[identifier.ID]*pending)}
		received = b.run(ctx, stream, queue)
	}()
	for {
		p, err := s.next(queue)
		if err != nil {
			return err
		}
		if p == nil {
			return received
		}
		<-p.done
		if p.panicked != nil {
			panic(fmt.Sprintf("%v\n\nin a change of a batch:\n%s", p.panicked, p.stack))
		}
		if p.err == nil {
			s.await(ctx, &p.receipt, p.level, p.wait)
		}
		if err := stream.Send(resultToProto(p)); err != nil {
			return err // the intake ends with the stream
		}
		room.give(p.octets)
	}
}

// next returns the next change of a batch; nil after the last one.
func (s *Server) next(queue <-chan *pending) (*pending, error) {
	select {
	case p := <-queue:
		return p, nil
	default:
	}
	select {
	case p := <-queue:
		return p, nil
	case <-s.draining:
		return nil, errDraining()
	}
}

func resultToProto(p *pending) *proto.RegisterBatchResponse {
	if p.err != nil {
		failure := failureToProto(asError(p.err), maxFailure)
		return &proto.RegisterBatchResponse{Result: &proto.RegisterBatchResponse_Failure{Failure: failure}}
	}
	return &proto.RegisterBatchResponse{Result: &proto.RegisterBatchResponse_Receipt{Receipt: receiptToProto(p.receipt)}}
}

// intake takes the changes of one stream in, in their order.
type intake struct {
	server *Server
	room   *room
	// started holds the changes that may still be with the registry, in their order,
	// latest the last of them that names an identifier.
	started []*pending
	latest  map[identifier.ID]*pending
}

// run receives changes and starts them until the caller has sent all.
func (b *intake) run(ctx context.Context, stream proto.Registration_RegisterBatchServer, queue chan<- *pending) error {
	for {
		select {
		case <-b.server.draining: // take in no more; the sender says so when it has caught up
			<-ctx.Done()
			return context.Cause(ctx)
		default:
		}
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		p := &pending{done: make(chan struct{})}
		p.level, p.wait = waitFor(m.GetWait(), m.GetWaitMs())
		select {
		case queue <- p:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if p.change, err = proto.ChangeFromProto(m.GetChange()); err != nil {
			p.err = malformed(err)
			close(p.done)
			continue
		}
		if err := b.start(ctx, p, protobuf.Size(m)); err != nil {
			p.err = err
			close(p.done)
			return err
		}
	}
}

// start hands a change to the registry, in a goroutine of its own, as soon as there
// is room and nothing before it names the same identifier.
func (b *intake) start(ctx context.Context, p *pending, octets int) error {
	b.forget()
	for i := range p.change.Rows {
		earlier := b.latest[p.change.Rows[i].ID]
		if earlier == nil {
			continue
		}
		select {
		case <-earlier.done:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	if err := b.room.take(ctx, octets); err != nil {
		return err
	}
	p.octets = octets
	select {
	case b.server.workers <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	for i := range p.change.Rows {
		b.latest[p.change.Rows[i].ID] = p
	}
	b.started = append(b.started, p)
	go func() {
		defer func() { <-b.server.workers }()
		b.server.finish(ctx, p)
	}()
	return nil
}

// forget drops the changes at the front that have their answers.
func (b *intake) forget() {
	for len(b.started) > 0 && b.started[0].finished() {
		p := b.started[0]
		b.started[0], b.started = nil, b.started[1:]
		for i := range p.change.Rows {
			if id := p.change.Rows[i].ID; b.latest[id] == p {
				delete(b.latest, id)
			}
		}
	}
}

// finish waits for the registry's answer to a change.
func (s *Server) finish(ctx context.Context, p *pending) {
	defer close(p.done)
	defer func() {
		if p.panicked = recover(); p.panicked != nil {
			p.stack = debug.Stack()
		}
	}()
	p.receipt, p.err = s.admit(ctx, p.change)
}

// room bounds how many octets are in somebody's hands. One goroutine takes, any
// number give back.
type room struct {
	mu    sync.Mutex
	limit int
	taken int
	given chan struct{} // has an element when something was given back
}

func newRoom(limit int) *room { return &room{limit: limit, given: make(chan struct{}, 1)} }

// take waits until there is room for n octets, or everything has been given back.
func (r *room) take(ctx context.Context, n int) error {
	for {
		r.mu.Lock()
		fits := r.taken == 0 || r.taken+n <= r.limit
		if fits {
			r.taken += n
		}
		r.mu.Unlock()
		if fits {
			return nil
		}
		select {
		case <-r.given:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (r *room) give(n int) {
	r.mu.Lock()
	r.taken -= n
	r.mu.Unlock()
	select {
	case r.given <- struct{}{}:
	default:
	}
}
