package handle

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"time"

	"github.com/nameplate-id/nameplate/resolver/tcp"
)

const (
	// smallMessage is how many octets of a message come without a claim: a question
	// has fewer.
	smallMessage = 4096
	// maxClaimed is how many octets of larger messages are read or answered at the same
	// time, maxClaimedClient for one client.
	maxClaimed       = 32 << 20
	maxClaimedClient = 4 << 20
)

// newConnections keeps the connections of a server.
func (s *Server) newConnections() *tcp.Server {
	o := tcp.Options{
		Connections: s.o.Connections, PerClient: s.o.PerClient, Pipeline: s.o.Pipeline,
		Octets: maxClaimed, OctetsPerClient: maxClaimedClient,
		Idle: s.o.Idle, Patience: s.o.Patience, AtOnce: s.o.AtOnce, Log: s.o.Log,
	}
	if s.o.Identity != nil {
		o.Wrap = s.wrap
	}
	return tcp.New(o)
}

var errTooMuch = errors.New("too many large messages are under way")

// next reads one request. Envelope and answer go in one write: some readers want them
// so.
func (s *Server) next(from tcp.Asker, r *bufio.Reader) (tcp.Answer, error) {
	e, err := readEnvelope(r)
	if err != nil {
		return nil, err
	}
	claimed := 0
	if e.Length > smallMessage {
		if claimed = int(e.Length); !from.Claim(claimed) {
			return nil, errTooMuch
		}
	}
	if claimed == 0 && s.o.AtOnce && s.o.Records != nil {
		return s.nextPlain(r, e)
	}
	b, err := readRest(r, e)
	if err != nil {
		from.Release(claimed)
		return nil, err
	}
	s.counts.messages.Add(1)
	return func(ctx context.Context, to []byte) []byte {
		defer from.Release(claimed)
		return s.appendAnswer(ctx, to, e, b)
	}, nil
}

// appendAnswer appends the answer to a message; nil when none is due.
func (s *Server) appendAnswer(ctx context.Context, to []byte, e Envelope, b []byte) []byte {
	m := s.Answer(ctx, e, b)
	if m == nil {
		return nil
	}
	return m.AppendStream(to)
}

// nextPlain reads what follows the envelope of what may be a plain question.
func (s *Server) nextPlain(r io.Reader, e Envelope) (tcp.Answer, error) {
	whole := e.Append(make([]byte, 0, envelopeOctets+int(e.Length)))[:envelopeOctets+int(e.Length)]
	if _, err := io.ReadFull(r, whole[envelopeOctets:]); err != nil {
		return nil, err
	}
	s.counts.messages.Add(1)
	return func(ctx context.Context, to []byte) []byte {
		if answer := s.answerPlain(to, whole); answer != nil {
			return answer
		}
		return s.appendAnswer(ctx, to, e, whole[envelopeOctets:])
	}, nil
}

// answerPlain appends the answer to a plain question; nil when it is none.
func (s *Server) answerPlain(to, message []byte) []byte {
	p := s.plains.Get().(*plain)
	defer s.plains.Put(p)
	p.begin(s.serial(), time.Now())
	if p.take(0, message); p.n == 0 {
		return nil
	}
	to = slices.Grow(to, maxDatagram)
	var answer []byte
	// What cannot be had is looked for once more, by who says why.
	_ = s.o.Records.Lend(p.loans[:1], func() (found, absent int) {
		if answer = p.answer(to[:len(to):len(to)+maxDatagram], 0); answer == nil {
			return 0, 0
		}
		return 1, 0
	})
	return answer
}

// readStream reads one message.
func readStream(r io.Reader) (Envelope, []byte, error) {
	e, err := readEnvelope(r)
	if err != nil {
		return Envelope{}, nil, err
	}
	b, err := readRest(r, e)
	return e, b, err
}

func readEnvelope(r io.Reader) (Envelope, error) {
	var head [envelopeOctets]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return Envelope{}, err
	}
	return ParseEnvelope(head[:])
}

// readRest reads what follows an envelope. Memory is taken as octets come, not as the
// envelope promises them.
func readRest(r io.Reader, e Envelope) ([]byte, error) {
	if e.Length <= smallMessage {
		b := make([]byte, e.Length)
		_, err := io.ReadFull(r, b)
		return b, err
	}
	var b bytes.Buffer
	if _, err := io.CopyN(&b, r, int64(e.Length)); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
