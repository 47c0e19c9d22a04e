package rpc_test

import (
	"encoding/binary"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nameplate-id/nameplate/proto"
	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/rpc"
)

// Status tells which logs one continues: all of a few, and of many the last, and that there are
// more.
func TestPredecessorInStatus(t *testing.T) {
	for count, told := range map[int]int{0: 0, 3: 3, 16: 16, 17: 16, identifier.MaxBefore: 16} {
		a := &identifier.Predecessor{Log: identifier.LogID{1}, Why: identifier.AfterBeginning, Size: 7, Held: identifier.Hash{2}, Own: identifier.Hash{3}, Base: 9, Whole: true}
		for i := range count {
			log := identifier.LogID{4}
			binary.BigEndian.PutUint16(log[1:], uint16(i))
			a.Continue(log)
		}
		got, err := rpc.PredecessorFromProto(rpc.PredecessorToProto(a))
		if err != nil {
			t.Fatal(err)
		}
		want := *a
		want.Before, want.Whole = a.Before[:told], told == count
		if diff := cmp.Diff(&want, got); diff != "" {
			t.Errorf("of %d further logs (-want +got):\n%s", count, diff)
		}
	}
	m := &proto.Predecessor{Log: proto.LogToProto(identifier.LogID{1}), Held: make([]byte, 32), Own: make([]byte, 32), Before: [][]byte{{1, 2}}}
	if _, err := rpc.PredecessorFromProto(m); err == nil {
		t.Error("a log of two octets is taken for one")
	}
}
