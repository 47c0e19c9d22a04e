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
	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/resolver"
	"github.com/nameplate-id/nameplate/resolver/rpc"
)

// canned is a connection to a node that has one response for every call.
type canned struct {
	grpc.ClientConnInterface
	response protobuf.Message
}

func (c canned) Invoke(_ context.Context, _ string, _, reply any, _ ...grpc.CallOption) error {
	protobuf.Merge(reply.(protobuf.Message), c.response)
	return nil
}

// FuzzAnswer lets a node answer whatever it likes. The client makes an answer or an
// error of it, and an answer crosses a wire again unchanged.
func FuzzAnswer(f *testing.F) {
	id := identifier.ID{Prefix: "88.118.8", Suffix: "sn-42"}
	value := &proto.Value{Index: 1, Type: "URL", Data: []byte("https://maker.example/42")}
	for _, a := range []*proto.Answer{
		nil,
		{Outcome: proto.Outcome_OUTCOME_FOUND, Identifier: id.String(), Record: &proto.Record{Version: 1, Values: []*proto.Value{value}}, DefaultIndex: 1},
		{Outcome: proto.Outcome_OUTCOME_FOUND, Identifier: id.String(), Record: &proto.Record{Version: 1}, DefaultIndex: 1, DefaultLink: value},
		{Outcome: proto.Outcome_OUTCOME_REFERRAL, Identifier: id.String(), Delegation: &proto.Delegation{Prefix: "88.118"}},
		{Outcome: proto.Outcome_OUTCOME_ABSENT, Identifier: id.String(), Apex: "88", InZone: true, LifetimeMs: 1 << 62, Origin: &proto.Origin{Mirror: true, AgeMs: -5}},
	} {
		b, err := protobuf.Marshal(&proto.ResolveResponse{Answer: a})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		response := new(proto.ResolveResponse)
		if protobuf.Unmarshal(b, response) != nil {
			return
		}
		first, err := rpc.NewClientOn(canned{response: response}, rpc.ClientOptions{}).Resolve(t.Context(), resolver.Query{ID: id})
		if err != nil {
			if e, ok := errors.AsType[*resolver.Error](err); !ok || e.Kind != resolver.Unavailable {
				t.Fatalf("got %v; want Unavailable", err)
			}
			return
		}
		server := rpc.New(function(func(context.Context, resolver.Query) (resolver.Answer, error) { return first, nil }), rpc.Options{})
		sent, err := server.Resolve(t.Context(), &proto.ResolveRequest{Identifier: id.String()})
		if err != nil {
			t.Fatal(err)
		}
		second, err := rpc.NewClientOn(canned{response: sent}, rpc.ClientOptions{}).Resolve(t.Context(), resolver.Query{ID: id})
		if err != nil {
			t.Fatalf("what was read once cannot be read again: %v", err)
		}
		if d := cmp.Diff(first, second, cmpopts.EquateEmpty()); d != "" {
			t.Fatal(d)
		}
	})
}

// FuzzRequest sends whatever it likes. The server answers or says what is wrong.
func FuzzRequest(f *testing.F) {
	for _, m := range []*proto.ResolveRequest{
		{Identifier: "(01)09506000134352(21)A7"},
		{Identifier: "88.118.8", SuffixHash: make([]byte, 32)},
		{Identifier: "1.2", Form: proto.Form_FORM_CANONICAL, Selection: &proto.Selection{Types: []string{"URL"}, Indexes: []uint32{1}, Relation: "gs1:pip"}},
	} {
		b, err := protobuf.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	server := rpc.New(function(absent), rpc.Options{})
	f.Fuzz(func(t *testing.T, b []byte) {
		m := new(proto.ResolveRequest)
		if protobuf.Unmarshal(b, m) != nil {
			return
		}
		got, err := server.Resolve(t.Context(), m)
		if s := status.Convert(err); err != nil && (s.Code() != codes.InvalidArgument || s.Message() == "" || len(s.Message()) > proto.MaxDetail) {
			t.Fatalf("got %v; want INVALID_ARGUMENT with a reason", err)
		}
		if err == nil && got.GetAnswer().GetOutcome() != proto.Outcome_OUTCOME_ABSENT {
			t.Fatalf("got %v", got)
		}
	})
}
