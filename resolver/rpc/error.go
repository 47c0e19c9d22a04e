package rpc

import (
	"context"
	"fmt"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/nameplate-id/nameplate/proto"
	"github.com/nameplate-id/nameplate/resolver"
)

// code returns the status code of a kind, from the one table of outcomes.
func code(k resolver.Kind) codes.Code { return codes.Code(k.Case().Codes().GRPC) }

// kinds are the kinds of error and what they are called in the results of a batch.
var kinds = [...]struct {
	kind resolver.Kind
	wire proto.NoAnswer_Kind
}{
	{resolver.Malformed, proto.NoAnswer_KIND_MALFORMED},
	{resolver.Overloaded, proto.NoAnswer_KIND_OVERLOADED},
	{resolver.Unavailable, proto.NoAnswer_KIND_UNAVAILABLE},
	{resolver.Unauthenticated, proto.NoAnswer_KIND_UNAUTHENTICATED},
}

// fromStatus makes the error again that a call ended with.
func fromStatus(ctx context.Context, err error) *resolver.Error {
	if cause := context.Cause(ctx); cause != nil {
		return &resolver.Error{Kind: resolver.Unavailable, Detail: "the wait for the answer ended", Err: cause}
	}
	s := status.Convert(err)
	for _, k := range kinds {
		if s.Code() == code(k.kind) {
			return &resolver.Error{Kind: k.kind, Detail: resolver.OneLine(s.Message())}
		}
	}
	return &resolver.Error{Kind: resolver.Unavailable, Detail: fmt.Sprintf("the node answered %v: %s", s.Code(), resolver.OneLine(s.Message()))}
}

// noAnswerToProto returns the result of an identifier that has no answer.
func noAnswerToProto(err error) *proto.NoAnswer {
	e := asError(err)
	m := &proto.NoAnswer{Kind: proto.NoAnswer_KIND_UNAVAILABLE, Detail: proto.Detail(e.Detail)}
	for _, k := range kinds {
		if k.kind == e.Kind {
			m.Kind = k.wire
		}
	}
	return m
}

// noAnswerFromProto makes the error again. A kind that is unknown here is
// Unavailable.
func noAnswerFromProto(m *proto.NoAnswer) *resolver.Error {
	e := &resolver.Error{Kind: resolver.Unavailable, Detail: resolver.OneLine(m.GetDetail())}
	for _, k := range kinds {
		if k.wire == m.GetKind() {
			e.Kind = k.kind
		}
	}
	return e
}
