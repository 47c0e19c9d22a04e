package rpc

import (
	"bytes"

	"github.com/nameplate-id/nameplate/proto"
	"github.com/nameplate-id/nameplate/registry/identifier"
)

// desk is what it takes to answer one plain question. It is used again for others.
type desk struct {
	loans     [1]identifier.Loan
	text      []byte // canonical, and what the loan asks for
	canonical []byte
	octets    []byte // the answer as a message has it; empty while there is none
	answer    func() (found, absent int)
}

// resolvePlain answers a question if it is plain, in the sense of [room.answerPlain].
// It writes the octets that the other way would write; nil leaves the question to that.
func (s *Server) resolvePlain(m *proto.ResolveRequest) *proto.ResolveResponse {
	if selection := m.GetSelection(); s.options.Records == nil || len(m.GetSuffixHash()) > 0 ||
		len(selection.GetTypes()) > 0 || len(selection.GetIndexes()) > 0 || selection.GetRelation() != "" {
		return nil
	}
	d, _ := s.desks.Get().(*desk)
	if d == nil {
		d = new(desk)
		d.answer = d.write
	}
	defer s.giveDeskBack(d)
	var ok bool
	if d.text, d.canonical, ok = readPlain(d.text[:0], &d.loans[0], m.GetIdentifier(), m.GetForm()); !ok {
		return nil
	}
	// When nothing is lent, whoever is asked next says why.
	if err := s.options.Records.Lend(d.loans[:], d.answer); err != nil || len(d.octets) == 0 {
		return nil
	}
	response := new(proto.ResolveResponse)
	response.ProtoReflect().SetUnknown(bytes.Clone(d.octets))
	return response
}

// write writes the answer while the record is lent.
func (d *desk) write() (found, absent int) {
	if d.loans[0].Stored == nil {
		return 0, 0
	}
	b, ok := appendPlainAnswer(d.octets, d.canonical, &d.loans[0])
	if !ok {
		return 0, 0
	}
	d.octets = b
	return 1, 0
}

// giveDeskBack forgets what a desk holds and keeps it for another question.
func (s *Server) giveDeskBack(d *desk) {
	if cap(d.octets) > maxKept {
		return
	}
	d.loans[0], d.canonical, d.octets = identifier.Loan{}, nil, d.octets[:0]
	s.desks.Put(d)
}
