package rpc

import (
	"context"

	protobuf "google.golang.org/protobuf/proto"

	"github.com/nameplate-id/nameplate/proto"
)

// Results returns the results of one piece, in the octets of a message, from both ways
// to make them: plainly where that is possible, otherwise nil, and in full.
func Results(ctx context.Context, s *Server, m *proto.ResolveBatchRequest) (plain, full [][]byte, err error) {
	selection, err := selectionFromProto(m.GetSelection())
	if err != nil {
		return nil, nil, err
	}
	p := &piece{identifiers: m.GetIdentifiers(), form: m.GetForm(), selection: selection}
	var r, whole room
	if s.isPlain(&selection) {
		r.answerPlain(s.options.Records, p.identifiers, p.form)
	}
	for i, text := range p.identifiers {
		plain = append(plain, nil)
		if r.results[i] != (place{}) {
			plain[i] = r.result(i)
		}
		whole.add(i, s.result(ctx, p, text))
	}
	for i := range p.identifiers {
		full = append(full, whole.result(i))
	}
	return plain, full, nil
}

// Alone returns the response to one question as a message has it, if it is plain.
func Alone(s *Server, m *proto.ResolveRequest) ([]byte, error) {
	response := s.resolvePlain(m)
	if response == nil {
		return nil, nil
	}
	return protobuf.Marshal(response)
}

// ReadQuestions reads a message of a batch as the server does, and says whether it did so
// in its own way.
func ReadQuestions(b []byte, m *proto.ResolveBatchRequest) (own bool, err error) {
	_, _, own = readQuestions(b)
	return own, protobuf.Unmarshal(b, questions{m})
}

// MaxPiece is how many identifiers a piece has at most.
const MaxPiece = lentSize

// Plainly returns what answers plain questions again and again in the same room, and
// says how many octets that are.
func Plainly(records Records, m *proto.ResolveBatchRequest) func() int {
	r := new(room)
	return func() int {
		r.octets, r.results = r.octets[:0], [lentSize]place{}
		r.answerPlain(records, m.GetIdentifiers(), m.GetForm())
		return len(r.octets)
	}
}
