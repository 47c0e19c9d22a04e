package handle_test

import (
	"testing"
	"time"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/resolver"
	"github.com/nameplate-id/nameplate/resolver/handle"
)

// Whatever a server sends, a client makes an answer of it or an error.
func FuzzResponse(f *testing.F) {
	for _, v := range readVectors(f) {
		if v.kind == "message" {
			f.Add(v.octets)
		}
	}
	q := resolver.Query{ID: identifier.ID{Prefix: "88.1", Suffix: "sn"}}
	s := newServer()
	for _, text := range []string{"88.1/sn", "88.118/x", "88.1/none", "88.1/who"} {
		m := request(handle.OpResolution, handle.FlagAnswer, handle.Resolution{Handle: text})
		b := m.Append(nil)
		m.Length = uint32(len(b))
		f.Add(s.Answer(f.Context(), m.Envelope, b).AppendStream(nil))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := handle.ReadResponse(b, &q)
		if err == nil && (a.Outcome == resolver.Found) != (a.Record != nil) {
			t.Errorf("%X: got %+v", b, a)
		}
	})
}

// Fragments in any order, of any length, make the message or nothing.
func FuzzFragments(f *testing.F) {
	f.Add([]byte{0, 1, 2}, uint16(1200))
	f.Add([]byte{2, 2, 9, 0, 1}, uint16(1000))
	f.Fuzz(func(t *testing.T, order []byte, length uint16) {
		whole := make([]byte, length)
		for i := range whole {
			whole[i] = byte(i * 7)
		}
		got := handle.Assemble(whole, order, time.Unix(1_800_000_000, 0))
		if got != nil && string(got) != string(whole) {
			t.Errorf("order %v: got %d other octets", order, len(got))
		}
	})
}
