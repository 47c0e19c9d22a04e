package rpc_test

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	protobuf "google.golang.org/protobuf/proto"

	"github.com/nameplate-id/nameplate/proto"
	"github.com/nameplate-id/nameplate/registry"
	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/rpc"
)

// canned is a connection to a node that has one outcome for every call.
type canned struct {
	grpc.ClientConnInterface
	response protobuf.Message
	err      error
}

func (c canned) Invoke(_ context.Context, _ string, _, reply any, _ ...grpc.CallOption) error {
	if c.err == nil {
		protobuf.Merge(reply.(protobuf.Message), c.response)
	}
	return c.err
}

// FuzzRequest sends whatever it likes. The server hands it to the registry or says
// what is wrong.
func FuzzRequest(f *testing.F) {
	for _, m := range []protobuf.Message{
		&proto.RegisterRequest{Change: proto.ChangeToProto(change("a", "b"))},
		&proto.DelegateRequest{Envelope: &proto.Envelope{PayloadType: identifier.DelegationType, Signatures: []*proto.Signature{{KeyId: make([]byte, 8)}}}},
		&proto.FindDelegationRequest{Prefix: "88.118"},
	} {
		b, err := protobuf.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	server := rpc.New(&fake{
		register: func(_ context.Context, c *identifier.Change) (registry.Receipt, error) {
			if _, _, err := c.Check(); err != nil {
				return registry.Receipt{}, &registry.Error{Kind: registry.Malformed, Detail: "the change breaks a rule", Err: err}
			}
			return registry.Receipt{}, nil
		},
		delegate: func(_ context.Context, e identifier.Envelope) (registry.Receipt, error) {
			if err := e.Check(); err != nil {
				return registry.Receipt{}, &registry.Error{Kind: registry.Malformed, Err: err}
			}
			return registry.Receipt{}, nil
		},
		holder: func(p identifier.Prefix) *identifier.Delegation { return &identifier.Delegation{Prefix: p} },
	}, rpc.Options{})
	f.Fuzz(func(t *testing.T, b []byte) {
		calls := map[string]func() error{}
		if m := new(proto.RegisterRequest); protobuf.Unmarshal(b, m) == nil {
			calls["register"] = func() error { _, err := server.Register(t.Context(), m); return err }
		}
		if m := new(proto.DelegateRequest); protobuf.Unmarshal(b, m) == nil {
			calls["delegate"] = func() error { _, err := server.Delegate(t.Context(), m); return err }
		}
		if m := new(proto.FindDelegationRequest); protobuf.Unmarshal(b, m) == nil {
			calls["find delegation"] = func() error { _, err := server.FindDelegation(t.Context(), m); return err }
		}
		for name, call := range calls {
			err := call()
			if s := status.Convert(err); err != nil && (s.Code() != codes.InvalidArgument || len(s.Message()) > proto.MaxDetail || len(s.Details()) != 1) {
				t.Fatalf("%s: got %v; want INVALID_ARGUMENT with a reason", name, err)
			}
		}
	})
}

// FuzzResponse lets a node answer whatever it likes. The client makes something of it
// or an error, and an error crosses a wire again unchanged.
func FuzzResponse(f *testing.F) {
	for _, m := range []protobuf.Message{
		&proto.RegisterResponse{Receipt: &proto.Receipt{Log: make([]byte, 16), Position: 1, Level: 1}},
		&proto.Failure{Kind: proto.Failure_KIND_CONFLICT, Detail: "d", Rows: []*proto.RowError{{Row: 1, Identifier: "88/x", Reason: "r", Version: 4, RowHash: make([]byte, 32)}}},
		&proto.StatusResponse{Name: "n", UptimeS: 1 << 63, Key: &proto.PublicKey{Type: 1}, Checkpoint: &proto.Checkpoint{Note: []byte{1}}, Apexes: []string{"88"}},
		&proto.FindDelegationResponse{Delegation: &proto.Delegation{Prefix: "88"}},
	} {
		b, err := protobuf.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		check := func(err error) {
			var e *registry.Error
			if err != nil && (!errors.As(err, &e) || e.Kind != registry.Unavailable) {
				t.Fatalf("got %v; want unavailable", err)
			}
		}
		if m := new(proto.RegisterResponse); protobuf.Unmarshal(b, m) == nil {
			_, err := rpc.NewClientOn(canned{response: m}, rpc.ClientOptions{}).Register(t.Context(), change("a"))
			check(err)
		}
		if m := new(proto.StatusResponse); protobuf.Unmarshal(b, m) == nil {
			_, err := rpc.NewClientOn(canned{response: m}, rpc.ClientOptions{}).Status(t.Context())
			check(err)
		}
		if m := new(proto.FindDelegationResponse); protobuf.Unmarshal(b, m) == nil {
			_, err := rpc.NewClientOn(canned{response: m}, rpc.ClientOptions{}).Holder(t.Context(), "88.118")
			check(err)
		}
		if m := new(proto.Failure); protobuf.Unmarshal(b, m) == nil {
			roundTripFailure(t, m)
		}
	})
}

func roundTripFailure(t *testing.T, m *proto.Failure) {
	s, err := status.New(codes.Aborted, "").WithDetails(m)
	if err != nil {
		t.Fatal(err)
	}
	_, first := rpc.NewClientOn(canned{err: s.Err()}, rpc.ClientOptions{}).Delegate(t.Context(), identifier.Envelope{})
	_, sent := rpc.New(&fake{delegate: func(context.Context, identifier.Envelope) (registry.Receipt, error) {
		return registry.Receipt{}, first
	}}, rpc.Options{}).Delegate(t.Context(), &proto.DelegateRequest{})
	_, second := rpc.NewClientOn(canned{err: sent}, rpc.ClientOptions{}).Delegate(t.Context(), identifier.Envelope{})
	var a, b *registry.Error
	if !errors.As(first, &a) || !errors.As(second, &b) {
		t.Fatalf("got %v and %v; want errors of a registry", first, second)
	}
	if len(b.Detail) < len(a.Detail) || len(b.Rows) < len(a.Rows) || protobuf.Size(m) > 500 {
		return // cut to what fits
	}
	if d := cmp.Diff(a, b, cmpopts.EquateEmpty()); d != "" {
		t.Fatal(d)
	}
}
