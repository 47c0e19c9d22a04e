package rpc_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/nameplate-id/nameplate/proto"
	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/resolver"
	"github.com/nameplate-id/nameplate/resolver/rpc"
)

func TestErrorsCrossTheWire(t *testing.T) {
	secret := errors.New("/var/lib/nameplate/state.db: input/output error")
	for _, test := range []struct {
		name string
		err  error
		code codes.Code
		want resolver.Error
	}{
		{"malformed", &resolver.Error{Kind: resolver.Malformed, Detail: "octet 3: größer"}, codes.InvalidArgument, resolver.Error{Kind: resolver.Malformed, Detail: "octet 3: größer"}},
		{"overloaded", &resolver.Error{Kind: resolver.Overloaded, Detail: "later"}, codes.ResourceExhausted, resolver.Error{Kind: resolver.Overloaded, Detail: "later"}},
		{"unavailable", &resolver.Error{Kind: resolver.Unavailable, Detail: "not now", Err: secret}, codes.Unavailable, resolver.Error{Kind: resolver.Unavailable, Detail: "not now"}},
		{"unauthenticated", &resolver.Error{Kind: resolver.Unauthenticated, Detail: "who?"}, codes.Unauthenticated, resolver.Error{Kind: resolver.Unauthenticated, Detail: "who?"}},
		{"of another type", secret, codes.Unavailable, resolver.Error{Kind: resolver.Unavailable, Detail: "no answer: ask again"}},
		{"deadline", context.DeadlineExceeded, codes.Unavailable, resolver.Error{Kind: resolver.Unavailable, Detail: "no answer in time: ask again"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			client, conn := serve(t, function(func(context.Context, resolver.Query) (resolver.Answer, error) {
				return resolver.Answer{}, test.err
			}), rpc.Options{})
			_, err := proto.NewResolutionClient(conn).Resolve(t.Context(), &proto.ResolveRequest{Identifier: "88/x"})
			if status.Code(err) != test.code {
				t.Errorf("got code %v; want %v", status.Code(err), test.code)
			}
			_, err = client.Resolve(t.Context(), resolver.Query{ID: identifier.ID{Prefix: "88", Suffix: "x"}})
			var got *resolver.Error
			if !errors.As(err, &got) || got.Kind != test.want.Kind || got.Detail != test.want.Detail {
				t.Errorf("got %#v; want %#v", err, test.want)
			}
		})
	}
}

func TestLongDetailIsCut(t *testing.T) {
	client, _ := serve(t, function(func(context.Context, resolver.Query) (resolver.Answer, error) {
		return resolver.Answer{}, &resolver.Error{Kind: resolver.Malformed, Detail: strings.Repeat("ö", 100_000)}
	}), rpc.Options{})
	_, err := client.Resolve(t.Context(), resolver.Query{ID: identifier.ID{Prefix: "88", Suffix: "x"}})
	var got *resolver.Error
	if !errors.As(err, &got) || got.Kind != resolver.Malformed || len(got.Detail) > proto.MaxDetail || !strings.HasSuffix(got.Detail, "ö…") {
		t.Errorf("got %.100v", err)
	}
}

// Other clients than ours may ask in any spelling, or wrongly.
func TestRequests(t *testing.T) {
	hash := make([]byte, 32)
	many := make([]string, proto.MaxSelected+1)
	for _, test := range []struct {
		name string
		ask  *proto.ResolveRequest
		want string // what the Resolver is asked, or the beginning of the refusal
	}{
		{"any spelling", &proto.ResolveRequest{Identifier: "hdl:88.118.8/SN-42"}, "88.118.8/sn-42"},
		{"dotted digits as a spelling", &proto.ResolveRequest{Identifier: "1.2"}, "oid.1.2"},
		{"dotted digits in canonical text", &proto.ResolveRequest{Identifier: "1.2", Form: proto.Form_FORM_CANONICAL}, "1.2"},
		{"the root", &proto.ResolveRequest{Form: proto.Form_FORM_CANONICAL}, ""},
		{"hash", &proto.ResolveRequest{Identifier: "1.2", SuffixHash: hash}, "1.2"},
		{"nothing", &proto.ResolveRequest{}, "refused"},
		{"not canonical", &proto.ResolveRequest{Identifier: "88.118.8/SN-42", Form: proto.Form_FORM_CANONICAL}, "refused"},
		{"unknown form", &proto.ResolveRequest{Identifier: "88/x", Form: 7}, "refused"},
		{"too long", &proto.ResolveRequest{Identifier: "88/" + strings.Repeat("x", 500_000)}, "refused"},
		{"short hash", &proto.ResolveRequest{Identifier: "88", SuffixHash: hash[:31]}, "refused"},
		{"hash and suffix", &proto.ResolveRequest{Identifier: "88/x", SuffixHash: hash}, "refused"},
		{"many types", &proto.ResolveRequest{Identifier: "88/x", Selection: &proto.Selection{Types: many}}, "refused"},
		{"long type", &proto.ResolveRequest{Identifier: "88/x", Selection: &proto.Selection{Types: []string{strings.Repeat("T", 300)}}}, "refused"},
		{"long relation", &proto.ResolveRequest{Identifier: "88/x", Selection: &proto.Selection{Relation: strings.Repeat("r", 3000)}}, "refused"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, conn := serve(t, function(absent), rpc.Options{})
			got, err := proto.NewResolutionClient(conn).Resolve(t.Context(), test.ask)
			if test.want == "refused" {
				if s := status.Convert(err); s.Code() != codes.InvalidArgument || s.Message() == "" || len(s.Message()) > proto.MaxDetail {
					t.Errorf("got %v; want INVALID_ARGUMENT with a reason", err)
				}
				return
			}
			if err != nil || got.GetAnswer().GetIdentifier() != test.want {
				t.Errorf("got %v, %v; want an answer for %q", got, err, test.want)
			}
		})
	}
}

// broken is a node that keeps to no contract.
type broken struct {
	proto.UnimplementedResolutionServer
	answer *proto.Answer
}

func (b *broken) Resolve(context.Context, *proto.ResolveRequest) (*proto.ResolveResponse, error) {
	return &proto.ResolveResponse{Answer: b.answer}, nil
}

func TestAnswersThatBreakTheContract(t *testing.T) {
	record := &proto.Record{Version: 1}
	for name, answer := range map[string]*proto.Answer{
		"none":                      nil,
		"unknown outcome":           {Outcome: 9, Identifier: "88/x"},
		"found without record":      {Outcome: proto.Outcome_OUTCOME_FOUND, Identifier: "88/x"},
		"absent with record":        {Outcome: proto.Outcome_OUTCOME_ABSENT, Identifier: "88/x", Record: record},
		"referral to nowhere":       {Outcome: proto.Outcome_OUTCOME_REFERRAL, Identifier: "88/x"},
		"another identifier":        {Outcome: proto.Outcome_OUTCOME_ABSENT, Identifier: "88/y"},
		"not canonical":             {Outcome: proto.Outcome_OUTCOME_ABSENT, Identifier: "88/X"},
		"apex in capitals":          {Outcome: proto.Outcome_OUTCOME_ABSENT, Identifier: "88/x", Apex: "AB"},
		"short log id":              {Outcome: proto.Outcome_OUTCOME_ABSENT, Identifier: "88/x", Origin: &proto.Origin{Log: make([]byte, 15)}},
		"default that is not there": {Outcome: proto.Outcome_OUTCOME_FOUND, Identifier: "88/x", Record: record, DefaultIndex: 3},
		"default of another index":  {Outcome: proto.Outcome_OUTCOME_FOUND, Identifier: "88/x", Record: record, DefaultIndex: 3, DefaultLink: &proto.Value{Index: 4}},
	} {
		t.Run(name, func(t *testing.T) {
			client := serveContract(t, &broken{answer: answer})
			got, err := client.Resolve(t.Context(), resolver.Query{ID: identifier.ID{Prefix: "88", Suffix: "x"}})
			var e *resolver.Error
			if !errors.As(err, &e) || e.Kind != resolver.Unavailable {
				t.Errorf("got %v, %v; want Unavailable", got, err)
			}
		})
	}
}

func TestNobodyThere(t *testing.T) {
	client, err := rpc.NewClient("127.0.0.1:1", rpc.ClientOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	_, err = client.Resolve(t.Context(), resolver.Query{ID: identifier.ID{Prefix: "88", Suffix: "x"}})
	var e *resolver.Error
	if !errors.As(err, &e) || e.Kind != resolver.Unavailable {
		t.Errorf("got %v; want Unavailable", err)
	}
}

func TestSlowResolverIsCutOff(t *testing.T) {
	client, _ := serve(t, function(func(ctx context.Context, q resolver.Query) (resolver.Answer, error) {
		<-ctx.Done()
		return resolver.Answer{}, ctx.Err()
	}), rpc.Options{Timeout: 50 * time.Millisecond})
	start := time.Now()
	_, err := client.Resolve(t.Context(), resolver.Query{ID: identifier.ID{Prefix: "88", Suffix: "x"}})
	var e *resolver.Error
	if !errors.As(err, &e) || e.Kind != resolver.Unavailable || time.Since(start) > 5*time.Second {
		t.Errorf("got %v after %v; want Unavailable after 50ms", err, time.Since(start))
	}
}
