package dns

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"io"

	"github.com/nameplate-id/nameplate/resolver/tcp"
)

// connections keeps the connections of a server (RFC 7766).
func (s *Server) newConnections() *tcp.Server {
	return tcp.New(tcp.Options{
		Connections: s.o.Connections, PerClient: s.o.PerClient, Pipeline: s.o.Pipeline,
		Idle: s.o.Idle, Patience: s.o.Patience, AtOnce: s.o.AtOnce, Turn: s.turn, Log: s.o.Log,
	})
}

var errQueryTooLong = errors.New("a query is longer than any query")

// next reads one query, with its length in front (RFC 1035, section 4.2.2).
func (s *Server) next(from tcp.Asker, r *bufio.Reader) (tcp.Answer, error) {
	var length [2]byte
	if _, err := io.ReadFull(r, length[:]); err != nil {
		return nil, err
	}
	n := int(binary.BigEndian.Uint16(length[:]))
	if n < headerOctets || n > maxQuery {
		s.counts.dropped.Add(1)
		return nil, errQueryTooLong
	}
	query := make([]byte, n)
	if _, err := io.ReadFull(r, query); err != nil {
		return nil, err
	}
	s.counts.messages.Add(1)
	return func(ctx context.Context, b []byte) []byte {
		answer := s.Stream(ctx, query, from.Address())
		if answer == nil {
			return nil
		}
		return append(binary.BigEndian.AppendUint16(b, uint16(len(answer))), answer...)
	}, nil
}
