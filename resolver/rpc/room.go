package rpc

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
	protobuf "google.golang.org/protobuf/proto"

	"github.com/nameplate-id/nameplate/proto"
	"github.com/nameplate-id/nameplate/registry/identifier"
)

// room is what it takes to answer a piece. It is used again for other pieces.
type room struct {
	octets  []byte          // the results as a message has them, in any order
	results [lentSize]place // of octets, by identifier; empty while there is none

	// For plain questions.
	asked [lentSize]int // which identifiers
	loans [lentSize]identifier.Loan
	texts [lentSize][]byte // canonical
	text  []byte           // what texts and loans ask for
}

// place is a part of octets.
type place struct{ from, to int }

// maxKept is how many octets a room may have that is kept.
const maxKept = 256 << 10

func (s *Server) newRoom() *room {
	r, _ := s.rooms.Get().(*room)
	if r == nil {
		r = new(room)
	}
	return r
}

// giveBack forgets what a room holds and keeps it for another piece.
func (s *Server) giveBack(r *room) {
	if cap(r.octets) > maxKept {
		return
	}
	r.octets, r.results = r.octets[:0], [lentSize]place{}
	s.rooms.Put(r)
}

// result returns the ith result.
func (r *room) result(i int) []byte { return r.octets[r.results[i].from:r.results[i].to] }

// sent makes room for more where the ith result was the last one written.
func (r *room) sent(i int) {
	if at := r.results[i]; at.to == len(r.octets) {
		r.octets = r.octets[:at.from]
	}
}

// add writes the ith result.
func (r *room) add(i int, m *proto.ResolveResult) {
	from := len(r.octets)
	b, err := appendResult(r.octets, m)
	if err != nil {
		// What is no message, for a text that is not UTF-8, is a fault of this one alone.
		b, err = appendResult(r.octets[:from], noAnswer(fmt.Errorf("an answer cannot be sent: %w", err)))
	}
	if err != nil {
		panic(err) // details are made for the wire
	}
	r.octets, r.results[i] = b, place{from, len(b)}
}

// appendResult appends a result as a response has it.
func appendResult(b []byte, m *proto.ResolveResult) ([]byte, error) {
	b = append(b, tagResults)
	b = protowire.AppendVarint(b, uint64(protobuf.Size(m)))
	return protobuf.MarshalOptions{UseCachedSize: true}.MarshalAppend(b, m)
}
