package handle

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"

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
	return tcp.New(tcp.Options{
		Connections: s.o.Connections, PerClient: s.o.PerClient, Pipeline: s.o.Pipeline,
		Octets: maxClaimed, OctetsPerClient: maxClaimedClient,
		Idle: s.o.Idle, Patience: s.o.Patience, AtOnce: s.o.AtOnce, Log: s.o.Log,
	})
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
	b, err := readRest(r, e)
	if err != nil {
		from.Release(claimed)
		return nil, err
	}
	return func(ctx context.Context, to []byte) []byte {
		defer from.Release(claimed)
		m := s.Answer(ctx, e, b)
		if m == nil {
			return nil
		}
		return m.AppendStream(to)
	}, nil
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
