package rpc_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	protobuf "google.golang.org/protobuf/proto"

	"github.com/nameplate-id/nameplate/proto"
	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/replica"
	"github.com/nameplate-id/nameplate/registry/rpc"
)

var (
	someKey     = identifier.PublicKey{Type: identifier.Ed25519, Raw: "0123456789abcdef0123456789abcdef"}
	someReceipt = &replica.Receipt{Note: []byte("note"), Cosigner: someKey, Top: true, Links: []replica.Link{{
		Log: identifier.LogID{1}, Row: identifier.ChildRow{Log: identifier.LogID{2}, Node: someKey, Size: 3, Root: identifier.Hash{4}, Signature: []byte{5}},
		Proof: identifier.RowProof{Index: 6, Path: []identifier.Hash{{7}}}, Leaf: []byte{8}, Position: 9,
		Inclusion: []identifier.Hash{{10}, {11}}, Note: []byte("above"), Cosigner: someKey,
	}}}
	refusal = replica.Refuse{Nonce: replica.Nonce{1}, Reason: replica.Fork, Detail: "why", Evidence: []byte("note"), Signed: []byte("another")}
)

func requests() []replica.Message {
	return []replica.Message{
		&replica.Hello{Protocol: 1, Node: someKey, Log: identifier.LogID{2}, Owner: someKey, Tip: []byte("tip"), Nonce: replica.Nonce{3}, Signature: []byte{4}},
		&replica.Entries{Session: replica.Session{1}, Start: 2, Payloads: [][]byte{{3}, {4, 5}}, Checkpoint: []byte("note")},
		&replica.Entries{Session: replica.Session{1}, Start: 2, Payloads: [][]byte{{3}}, Checkpoint: []byte("note"), Proof: []identifier.Hash{{6}, {7}}},
		&replica.Heartbeat{Session: replica.Session{1}, Sent: 2, Size: 3, Grants: 4, Anchored: 5, Rooted: 6},
		&replica.Advance{Session: replica.Session{1}, First: []byte{2}, Checkpoint: []byte("note"), Proof: []identifier.Hash{{3}}},
		&replica.Advance{Session: replica.Session{1}, Old: 4, Root: identifier.Hash{5}, Checkpoint: []byte("note"), Proof: []identifier.Hash{{3}, {6}}},
		&refusal, &replica.Refuse{Reason: replica.Unavailable},
	}
}

func responses() []replica.Message {
	return []replica.Message{
		&replica.Challenge{Nonce: replica.Nonce{1}, Parent: someKey},
		&replica.Welcome{Parent: someKey, ParentLog: identifier.LogID{1}, Session: replica.Session{2}, Nonce: replica.Nonce{3}, Checkpoint: []byte("note"), Credit: 4, Signature: []byte{5}},
		&replica.Welcome{Parent: someKey, Nonce: replica.Nonce{3}, Fence: replica.Fence{Size: 1 << 40, Root: identifier.Hash{6}}, Signature: []byte{5}},
		&replica.Welcome{Parent: someKey, ParentLog: identifier.LogID{1}, Session: replica.Session{2}, Nonce: replica.Nonce{3}, Policy: identifier.PolicyWitness, Held: 9, Signature: []byte{5}},
		&replica.Ack{Session: replica.Session{1}, Size: 2, Root: identifier.Hash{3}, Credit: 4, Anchored: 1},
		&replica.Cosigned{Session: replica.Session{1}, Receipt: someReceipt},
		&replica.Nack{Session: replica.Session{1}, Next: 2},
		&replica.Grant{Session: replica.Session{1}, Number: 2, Envelope: identifier.Envelope{PayloadType: "t", Payload: []byte{1}, Signatures: []identifier.Signature{{Key: identifier.KeyID{1}, Signature: []byte{2}}}}},
		&refusal,
	}
}

func TestMessagesCrossTheWire(t *testing.T) {
	for _, want := range requests() {
		got, err := rpc.RequestFromProto(overTheWire(t, rpc.RequestToProto(want), new(proto.ReplicateRequest)))
		if err != nil {
			t.Fatalf("%T: %v", want, err)
		}
		if d := cmp.Diff(want, got, cmpopts.EquateEmpty()); d != "" {
			t.Errorf("%T: %s", want, d)
		}
	}
	for _, want := range responses() {
		got, err := rpc.ResponseFromProto(overTheWire(t, rpc.ResponseToProto(want), new(proto.ReplicateResponse)))
		if err != nil {
			t.Fatalf("%T: %v", want, err)
		}
		if d := cmp.Diff(want, got, cmpopts.EquateEmpty()); d != "" {
			t.Errorf("%T: %s", want, d)
		}
	}
}

func overTheWire[M protobuf.Message](t testing.TB, sent, received M) M {
	t.Helper()
	b, err := protobuf.Marshal(sent)
	if err != nil {
		t.Fatal(err)
	}
	if err := protobuf.Unmarshal(b, received); err != nil {
		t.Fatal(err)
	}
	return received
}

// The largest message that a child sends is within what a parent takes.
func TestLargestMessage(t *testing.T) {
	m := &replica.Entries{Start: 1<<62 - 1, Checkpoint: make([]byte, replica.MaxCheckpoint)}
	for range replica.MaxEntries {
		m.Payloads = append(m.Payloads, make([]byte, replica.MaxOctets/replica.MaxEntries))
	}
	a := &replica.Advance{First: make([]byte, replica.MaxOctets), Checkpoint: make([]byte, replica.MaxCheckpoint), Proof: make([]identifier.Hash, replica.MaxProof)}
	for _, m := range []replica.Message{m, a} {
		if n := protobuf.Size(rpc.RequestToProto(m)); n > proto.MaxReplication {
			t.Errorf("%T has %d octets, a parent takes %d", m, n, proto.MaxReplication)
		}
	}
}

// What is too much is refused by its name, before anything is made of it.
func TestAdvanceLimits(t *testing.T) {
	good := func() *proto.Advance {
		return &proto.Advance{Session: make([]byte, 16), Old: 1, Root: make([]byte, 32), Checkpoint: []byte("note"), Proof: [][]byte{make([]byte, 32)}}
	}
	read := func(m *proto.Advance) error {
		_, err := rpc.RequestFromProto(&proto.ReplicateRequest{Message: &proto.ReplicateRequest_Advance{Advance: m}})
		return err
	}
	if err := read(good()); err != nil {
		t.Fatal(err)
	}
	for field, change := range map[string]func(*proto.Advance){
		"advance.session":    func(m *proto.Advance) { m.Session = nil },
		"advance.root":       func(m *proto.Advance) { m.Root = m.Root[1:] },
		"advance.checkpoint": func(m *proto.Advance) { m.Checkpoint = make([]byte, replica.MaxCheckpoint+1) },
		"advance.proof":      func(m *proto.Advance) { m.Proof = make([][]byte, replica.MaxProof+1) },
	} {
		m := good()
		change(m)
		if err := read(m); err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: got %v", field, err)
		}
	}
	m := good()
	m.Proof[0] = m.Proof[0][1:]
	if err := read(m); err == nil || !strings.Contains(err.Error(), "advance.proof") {
		t.Errorf("a hash that was cut: got %v", err)
	}
}

func TestUnknownReason(t *testing.T) {
	m := &proto.ReplicateResponse{Message: &proto.ReplicateResponse_Refuse{Refuse: &proto.Refuse{Reason: 99, Detail: "why"}}}
	got, err := rpc.ResponseFromProto(m)
	if r, ok := got.(*replica.Refuse); err != nil || !ok || r.Reason != replica.Unavailable || r.Detail != "why" {
		t.Errorf("got %+v, %v", got, err)
	}
}

// Whatever arrives is read or refused, and what is read is written as the same.
func FuzzReplicate(f *testing.F) {
	for _, m := range requests() {
		b, err := protobuf.Marshal(rpc.RequestToProto(m))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	for _, m := range responses() {
		b, err := protobuf.Marshal(rpc.ResponseToProto(m))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if m := new(proto.ReplicateRequest); protobuf.Unmarshal(b, m) == nil {
			if first, err := rpc.RequestFromProto(m); err == nil {
				second, err := rpc.RequestFromProto(overTheWire(t, rpc.RequestToProto(first), new(proto.ReplicateRequest)))
				if d := cmp.Diff(first, second, cmpopts.EquateEmpty()); err != nil || d != "" {
					t.Errorf("%v %s", err, d)
				}
			}
		}
		if m := new(proto.ReplicateResponse); protobuf.Unmarshal(b, m) == nil {
			if first, err := rpc.ResponseFromProto(m); err == nil {
				second, err := rpc.ResponseFromProto(overTheWire(t, rpc.ResponseToProto(first), new(proto.ReplicateResponse)))
				if d := cmp.Diff(first, second, cmpopts.EquateEmpty()); err != nil || d != "" {
					t.Errorf("%v %s", err, d)
				}
			}
		}
	})
}
