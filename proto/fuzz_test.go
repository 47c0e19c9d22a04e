package proto_test

import (
	"testing"

	protobuf "google.golang.org/protobuf/proto"

	"github.com/nameplate-id/nameplate/proto"
	"github.com/nameplate-id/nameplate/registry/identifier"
)

// FuzzFromProto reads whatever arrived as each of the messages. Nothing panics, and
// what can be read is written and read again as the same.
func FuzzFromProto(f *testing.F) {
	seeds := []protobuf.Message{
		proto.ChangeToProto(&identifier.Change{
			Envelope: identifier.Envelope{PayloadType: "t", Payload: []byte{1}, Signatures: []identifier.Signature{{}}},
			IDSeed:   identifier.Seed{1},
			Rows: []identifier.Row{{
				Op: identifier.Put, ID: identifier.ID{Prefix: "88.118.8", Suffix: "sn-42"}, Version: 1,
				Values: []identifier.Value{{Index: 1, Type: "URL", Link: &identifier.Link{Languages: []string{"de"}}, References: []identifier.Reference{{Index: 1}}}},
			}},
		}),
		proto.EntryToProto(7, &identifier.Entry{Kind: identifier.EntryGenesis}),
		proto.DelegationToProto(&identifier.Delegation{
			Prefix: "88", Epoch: 1, Keyset: identifier.Keyset{Threshold: 1, Keys: []identifier.PublicKey{{Type: 1, Raw: "k"}}},
			Node: &identifier.Node{Name: "n", Addresses: []identifier.Address{{IP: "192.0.2.1", DNS: 53}}},
		}),
		proto.RecordToProto(&identifier.Record{Version: 1, Values: []identifier.Value{{Index: 1, Type: "DESC"}}}),
	}
	for _, m := range seeds {
		b, err := protobuf.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if m := new(proto.Change); protobuf.Unmarshal(b, m) == nil {
			if first, err := proto.ChangeFromProto(m); err == nil {
				second, err := proto.ChangeFromProto(wire(t, proto.ChangeToProto(first), new(proto.Change)))
				check(t, second, first, err)
			}
		}
		if m := new(proto.LoggedEntry); protobuf.Unmarshal(b, m) == nil {
			if position, first, err := proto.EntryFromProto(m); err == nil {
				_, second, err := proto.EntryFromProto(wire(t, proto.EntryToProto(position, first), new(proto.LoggedEntry)))
				check(t, second, first, err)
			}
		}
		if m := new(proto.Delegation); protobuf.Unmarshal(b, m) == nil {
			if first, err := proto.DelegationFromProto(m); err == nil {
				second, err := proto.DelegationFromProto(wire(t, proto.DelegationToProto(first), new(proto.Delegation)))
				check(t, second, first, err)
			}
		}
		if m := new(proto.Record); protobuf.Unmarshal(b, m) == nil {
			if first, err := proto.RecordFromProto(identifier.ID{}, m); err == nil {
				second, err := proto.RecordFromProto(identifier.ID{}, wire(t, proto.RecordToProto(first), new(proto.Record)))
				check(t, second, first, err)
			}
		}
	})
}

func check(t *testing.T, second, first any, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("what was read once cannot be read again: %v", err)
	}
	if d := same(second, first); d != "" {
		t.Fatal(d)
	}
}
