package rpc_test

import (
	"math"
	"strings"
	"testing"

	protobuf "google.golang.org/protobuf/proto"

	"github.com/nameplate-id/nameplate/proto"
	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/replica"
	"github.com/nameplate-id/nameplate/registry/rpc"
)

// What is said to be held above is read within its limits, and refused beyond them.
func TestMirroredFromProto(t *testing.T) {
	t.Parallel()
	good := func() *proto.MirroredResponse {
		return &proto.MirroredResponse{Log: make([]byte, 16), Size: 9, Row: 11, Start: 4, Payloads: [][]byte{{1}, {2}}, Checkpoint: []byte("signed")}
	}
	held, err := rpc.MirroredFromProto(good())
	if err != nil || held.Size != 9 || held.Row != 11 || held.Unit == nil || held.Unit.Start != 4 || len(held.Unit.Payloads) != 2 || string(held.Unit.Checkpoint) != "signed" {
		t.Errorf("got %+v, %v", held, err)
	}
	for name, c := range map[string]struct {
		change func(*proto.MirroredResponse)
		want   string
	}{
		"no log":                {func(m *proto.MirroredResponse) { m.Log = nil }, "mirrored.log"},
		"another id":            {func(m *proto.MirroredResponse) { m.Log = make([]byte, 17) }, "mirrored.log"},
		"a size":                {func(m *proto.MirroredResponse) { m.Size = math.MaxUint64 }, "beyond what a log may have"},
		"a row":                 {func(m *proto.MirroredResponse) { m.Row = 1<<62 + 1 }, "beyond what a log may have"},
		"a base":                {func(m *proto.MirroredResponse) { m.Base = math.MaxUint64 - 11 }, "beyond what a log may have"},
		"a start":               {func(m *proto.MirroredResponse) { m.Start = math.MaxUint64 }, "beyond what a log may have"},
		"too many entries":      {func(m *proto.MirroredResponse) { m.Payloads = make([][]byte, replica.MaxEntries+1) }, "more than one can have"},
		"too large a signature": {func(m *proto.MirroredResponse) { m.Checkpoint = make([]byte, replica.MaxCheckpoint+1) }, "more than one can have"},
		"another policy":        {func(m *proto.MirroredResponse) { m.Policy = uint32(identifier.PolicyWitness) + 1 }, "mirrored.policy"},
	} {
		m := good()
		c.change(m)
		if held, err := rpc.MirroredFromProto(m); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %+v, %v; want an error: %s", name, held, err, c.want)
		}
	}
	for name, change := range map[string]func(*proto.MirroredResponse){
		"nothing at the position": func(m *proto.MirroredResponse) { m.Payloads = nil },
		"checkpoints alone":       func(m *proto.MirroredResponse) { m.Policy = uint32(identifier.PolicyWitness) },
	} {
		m := good()
		change(m)
		if held, err := rpc.MirroredFromProto(m); err != nil || held.Unit != nil {
			t.Errorf("%s: got %+v, %v; want no unit", name, held, err)
		}
	}
}

// FuzzMirrored reads whatever another node says that it holds of this one's log.
func FuzzMirrored(f *testing.F) {
	for _, m := range []*proto.MirroredResponse{
		{Log: make([]byte, 16), Size: 9, Row: 11, Start: 4, Payloads: [][]byte{{1}, {2}}, Checkpoint: []byte("signed")},
		{Log: make([]byte, 16), Size: 9, Policy: uint32(identifier.PolicyWitness), Checkpoint: []byte("signed"), Base: 3},
	} {
		b, err := protobuf.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var m proto.MirroredResponse
		if protobuf.Unmarshal(b, &m) != nil {
			return
		}
		held, err := rpc.MirroredFromProto(&m)
		if err != nil {
			return
		}
		if u := held.Unit; u != nil && (u.End() < u.Start || len(u.Payloads) == 0 || len(u.Payloads) > replica.MaxEntries) {
			t.Errorf("got %+v", held)
		}
		if held.Base+max(held.Size, held.Row) < held.Base {
			t.Errorf("positions count round: %+v", held)
		}
	})
}
