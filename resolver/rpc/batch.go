package rpc

import (
	"context"
	"errors"
	"io"
	"runtime/debug"
	"strings"

	"github.com/nameplate-id/nameplate/proto"
	"github.com/nameplate-id/nameplate/resolver"
)

const (
	// pieceSize is how many identifiers are resolved one after the other: enough to
	// make a goroutine worth its while, few enough to bound what waits to be sent.
	pieceSize = 16
	// lentSize is how many are when their records are lent: what a snapshot costs is
	// shared by more, and so is what a goroutine does.
	lentSize = 256
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
	idle := make(chan *piece)
	defer close(idle)
	for {
		select {
		case <-s.draining: // take in no more; the sender says so when it has caught up
			<-ctx.Done()
			return context.Cause(ctx)
		default:
		}
		m := new(proto.ResolveBatchRequest)
		err := stream.RecvMsg(questions{m})
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
			s.start(ctx, p, idle)
		}
	}
}

// start resolves a piece as soon as there is room among those of all streams. Goroutines
// that have resolved one of the same stream wait at idle for another: their stacks have
// grown already, which costs as much as a tenth of a piece.
func (s *Server) start(ctx context.Context, p *piece, idle chan *piece) {
	select {
	case s.workers <- struct{}{}:
	case <-ctx.Done():
		close(p.done) // nobody looks at it any more
		return
	}
	select {
	case idle <- p:
	default:
		go func() {
			for ok := true; ok; p, ok = <-idle {
				s.resolvePiece(ctx, p)
				<-s.workers
			}
		}()
	}
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
	// Whoever keeps the identifier keeps no more of the message than that.
	if q.ID, err = parse(strings.Clone(text), p.form); err == nil {
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
