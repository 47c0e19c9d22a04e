package rpc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"

	"github.com/nameplate-id/nameplate/proto"
	"github.com/nameplate-id/nameplate/resolver"
)

const (
	// pieceSize is how many identifiers are resolved one after the other: enough to
	// make a goroutine worth its while, few enough to bound what waits to be sent.
	pieceSize = 16
	// lentSize is how many are when their records are lent: what a snapshot costs is
	// shared by more.
	lentSize = 128
	// responseSize is how many octets of results wait to be sent of one piece.
	responseSize = 256 << 10
	// sentSize is how many octets a response gathers before it is sent: as many as gRPC
	// has buffers for. The next larger ones have a megabyte, which is cleared for each.
	sentSize = 32 << 10
)

// piece is a part of a batch.
type piece struct {
	identifiers []string
	form        proto.Form
	selection   resolver.Query // of no identifier

	done chan struct{} // closed when what follows is set
	room *room         // has the results
	// panicked is what the Resolver panicked with, and where.
	panicked any
	stack    []byte
}

// ResolveBatch answers for many identifiers. This goroutine sends; another receives
// and starts the pieces.
func (s *Server) ResolveBatch(stream proto.Resolution_ResolveBatchServer) error {
	ctx, cancel := context.WithCancel(stream.Context())
	defer cancel()
	// A piece is put here before it is started: the room limits both.
	queue := make(chan *piece, s.options.Parallel)
	var received error // set before queue is closed
	go func() {
		defer close(queue)
		received = s.receive(ctx, stream, queue)
	}()
	if err := s.sendResults(stream, queue); err != nil {
		return err // the receiver ends with the stream
	}
	return received
}

// receive cuts messages into pieces and starts them, until the caller has sent all.
func (s *Server) receive(ctx context.Context, stream proto.Resolution_ResolveBatchServer, queue chan<- *piece) error {
	for {
		select {
		case <-s.draining: // take in no more; the sender says so when it has caught up
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
		selection, err := selectionFromProto(m.GetSelection())
		if err == nil && len(m.GetIdentifiers()) > proto.MaxBatch {
			err = malformed("the message has %d identifiers, at most %d are allowed: send more messages", len(m.GetIdentifiers()), proto.MaxBatch)
		}
		if err != nil {
			return toStatus(err).Err()
		}
		for rest := m.GetIdentifiers(); len(rest) > 0; {
			n := min(s.pieceSize(&selection), len(rest))
			p := &piece{identifiers: rest[:n], form: m.GetForm(), selection: selection, done: make(chan struct{})}
			rest = rest[n:]
			select {
			case queue <- p:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
			s.start(ctx, p)
		}
	}
}

// start resolves a piece as soon as there is room among those of all streams.
func (s *Server) start(ctx context.Context, p *piece) {
	select {
	case s.workers <- struct{}{}:
	case <-ctx.Done():
		close(p.done) // nobody looks at it any more
		return
	}
	go func() {
		defer func() { <-s.workers }()
		s.resolvePiece(ctx, p)
	}()
}

func (s *Server) resolvePiece(ctx context.Context, p *piece) {
	defer close(p.done)
	defer func() {
		if p.panicked = recover(); p.panicked != nil {
			p.stack = debug.Stack()
		}
	}()
	p.room = s.newRoom()
	if s.isPlain(&p.selection) {
		p.room.answerPlain(s.options.Records, p.identifiers, p.form)
	}
	for i, text := range p.identifiers {
		if len(p.room.octets) > responseSize {
			return // no more than this waits to be sent: the sender asks for the rest
		}
		if p.room.results[i] == (place{}) {
			p.room.add(i, s.result(ctx, p, text))
		}
	}
}

// result resolves one identifier of a piece.
func (s *Server) result(ctx context.Context, p *piece, text string) *proto.ResolveResult {
	q := p.selection
	var err error
	if q.ID, err = parse(text, p.form); err == nil {
		var a resolver.Answer
		if a, err = s.resolve(ctx, q); err == nil {
			return &proto.ResolveResult{Result: &proto.ResolveResult_Answer{Answer: answerToProto(&a)}}
		}
	}
	return noAnswer(err)
}

func noAnswer(err error) *proto.ResolveResult {
	return &proto.ResolveResult{Result: &proto.ResolveResult_NoAnswer{NoAnswer: noAnswerToProto(err)}}
}

// sendResults sends the results of the pieces in their order: at once what is ready,
// together what is ready at the same time.
func (s *Server) sendResults(stream proto.Resolution_ResolveBatchServer, queue <-chan *piece) error {
	var octets []byte // of a response: its results
	flush := func() error {
		if len(octets) == 0 {
			return nil
		}
		// Fields that a message does not know are sent as they are.
		var response proto.ResolveBatchResponse
		response.ProtoReflect().SetUnknown(octets)
		err := stream.Send(&response)
		octets = octets[:0] // the transport has a copy
		return err
	}
	for {
		p, err := s.next(queue, flush)
		if err != nil || p == nil {
			return err
		}
		if p.room == nil && p.panicked == nil {
			return context.Cause(stream.Context()) // it was never begun: see start
		}
		if p.panicked != nil {
			panic(fmt.Sprintf("%v\n\nin a piece of a batch:\n%s", p.panicked, p.stack))
		}
		for i, text := range p.identifiers {
			if p.room.results[i] == (place{}) {
				p.room.add(i, s.result(stream.Context(), p, text))
			}
			r := p.room.result(i)
			if len(octets) > 0 && len(octets)+len(r) > sentSize {
				if err := flush(); err != nil {
					return err
				}
			}
			octets = append(octets, r...)
			p.room.sent(i)
		}
		s.giveBack(p.room)
	}
}

// next waits for the next piece and for its results; nil after the last one. It
// flushes before it has to wait.
func (s *Server) next(queue <-chan *piece, flush func() error) (*piece, error) {
	var p *piece
	select {
	case p = <-queue:
	default:
		if err := flush(); err != nil {
			return nil, err
		}
		select {
		case p = <-queue:
		case <-s.draining:
			return nil, toStatus(&resolver.Error{Kind: resolver.Unavailable, Detail: "the node is ending: ask for the rest again"}).Err()
		}
	}
	if p == nil {
		return nil, flush()
	}
	select {
	case <-p.done:
	default:
		if err := flush(); err != nil {
			return nil, err
		}
		<-p.done
	}
	return p, nil
}
