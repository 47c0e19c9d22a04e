package rpc

import (
	"context"
	"fmt"

	"github.com/nameplate-id/nameplate/proto"
	"github.com/nameplate-id/nameplate/resolver"
)

// sending gathers results of a batch into responses and sends them.
type sending struct {
	stream proto.Resolution_ResolveBatchServer
	octets []byte // the results that the next response begins with
}

// add adds results that follow one another. They may be changed afterwards.
func (s *sending) add(results []byte) error {
	if len(s.octets)+len(results) > sentSize {
		if err := s.flush(); err != nil {
			return err
		}
	}
	if len(s.octets) == 0 && len(results) > sentSize/2 {
		return s.send(results) // rather than copy it
	}
	s.octets = append(s.octets, results...)
	return nil
}

// flush sends what has been gathered.
func (s *sending) flush() error {
	if len(s.octets) == 0 {
		return nil
	}
	err := s.send(s.octets)
	s.octets = s.octets[:0]
	return err
}

// send sends a response of these results, of which the transport makes a copy.
func (s *sending) send(results []byte) error {
	// Fields that a message does not know are sent as they are.
	var response proto.ResolveBatchResponse
	response.ProtoReflect().SetUnknown(results)
	return s.stream.Send(&response)
}

// sendResults sends the results of the pieces in their order: at once what is ready,
// together what is ready at the same time.
func (s *Server) sendResults(stream proto.Resolution_ResolveBatchServer, queue <-chan *piece) error {
	to := sending{stream: stream}
	for {
		p, err := s.next(queue, to.flush)
		if err != nil || p == nil {
			return err
		}
		if p.room == nil && p.panicked == nil {
			return context.Cause(stream.Context()) // it was never begun: see start
		}
		if p.panicked != nil {
			panic(fmt.Sprintf("%v\n\nin a piece of a batch:\n%s", p.panicked, p.stack))
		}
		if err := s.sendPiece(&to, p); err != nil {
			return err
		}
		s.giveBack(p.room)
	}
}

// sendPiece sends the results of a piece, together those that follow one another in its
// room, as plain ones do.
func (s *Server) sendPiece(to *sending, p *piece) error {
	var together place
	send := func() error {
		err := to.add(p.room.octets[together.from:together.to])
		together = place{}
		return err
	}
	for i, text := range p.identifiers {
		if p.room.results[i] == (place{}) {
			if err := send(); err != nil {
				return err
			}
			p.room.add(i, s.result(to.stream.Context(), p, text))
			together = p.room.results[i]
			if err := send(); err != nil {
				return err
			}
			p.room.sent(i) // no more than this one waits
			continue
		}
		at := p.room.results[i]
		if at.from != together.to || at.to-together.from > sentSize-len(to.octets) {
			if err := send(); err != nil {
				return err
			}
			together.from = at.from
		}
		together.to = at.to
	}
	return send()
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
