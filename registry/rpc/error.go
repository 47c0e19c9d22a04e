package rpc

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	protobuf "google.golang.org/protobuf/proto"

	"github.com/nameplate-id/nameplate/proto"
	"github.com/nameplate-id/nameplate/registry"
)

// kinds says what each kind of error is called on the wire. Every column tells all
// kinds apart.
var kinds = [...]struct {
	kind registry.Kind
	code codes.Code
	wire proto.Failure_Kind
}{
	{registry.Malformed, codes.InvalidArgument, proto.Failure_KIND_MALFORMED},
	{registry.Unauthenticated, codes.Unauthenticated, proto.Failure_KIND_UNAUTHENTICATED},
	{registry.Denied, codes.PermissionDenied, proto.Failure_KIND_DENIED},
	{registry.Conflict, codes.Aborted, proto.Failure_KIND_CONFLICT},
	{registry.Expired, codes.OutOfRange, proto.Failure_KIND_EXPIRED},
	{registry.ReadOnly, codes.FailedPrecondition, proto.Failure_KIND_READ_ONLY},
	{registry.Overloaded, codes.ResourceExhausted, proto.Failure_KIND_OVERLOADED},
	{registry.Absent, codes.NotFound, proto.Failure_KIND_ABSENT},
	{registry.Unavailable, codes.Unavailable, proto.Failure_KIND_UNAVAILABLE},
}

// asError returns the error as a registry should have made it.
func asError(err error) *registry.Error {
	var e *registry.Error
	if errors.As(err, &e) {
		return e
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return &registry.Error{Kind: registry.Unavailable, Detail: "the wait ended early: send it again to learn what became of it", Err: err}
	}
	return &registry.Error{Kind: registry.Unavailable, Detail: "it cannot be done now: try again", Err: err}
}

// malformed is the error for a message that cannot be read.
func malformed(err error) *registry.Error {
	e := &registry.Error{Kind: registry.Malformed, Detail: "the message breaks the contract", Err: err}
	var rows proto.RowErrors
	if errors.As(err, &rows) {
		for _, fault := range rows {
			e.Rows = append(e.Rows, registry.RowError{Row: fault.Row, Reason: fault.Err.Error()})
		}
	}
	return e
}

// detail is what a caller is told. The cause of a malformed message is about what the
// caller sent; any other may be about what is inside of this node.
func detail(e *registry.Error) string {
	text := e.Detail
	if e.Kind == registry.Malformed && e.Err != nil {
		text = fmt.Sprintf("%s: %v", e.Detail, e.Err)
	}
	return proto.Detail(text)
}

const (
	// maxDetails is how many octets the rows in the details of a status may have:
	// many clients take no more than 8 KiB of trailers, encoded in base64.
	maxDetails = 4 << 10
	// maxFailure is how many octets the rows in a result of a batch may have: with
	// the limits of a change and of a reason, all of them fit.
	maxFailure = proto.MaxResponse - 64<<10
	// maxReason is how many octets the reason of a row may have.
	maxReason = 512
)

// failureToProto returns the message of an error, whose rows have at most so many
// octets.
func failureToProto(e *registry.Error, limit int) *proto.Failure {
	m := &proto.Failure{Kind: proto.Failure_KIND_UNAVAILABLE, Detail: detail(e)}
	for _, k := range kinds {
		if k.kind == e.Kind {
			m.Kind = k.wire
		}
	}
	for i := range e.Rows {
		row := rowErrorToProto(&e.Rows[i])
		if limit -= protobuf.Size(row) + 4; limit < 0 {
			m.OmittedRows = uint32(len(e.Rows) - i)
			break
		}
		m.Rows = append(m.Rows, row)
	}
	return m
}

func rowErrorToProto(r *registry.RowError) *proto.RowError {
	return &proto.RowError{
		Row: uint32(r.Row), Identifier: r.ID.String(), Reason: proto.Cut(r.Reason, maxReason),
		Version: r.Version, RowHash: proto.HashToProto(r.RowHash),
	}
}

// failureFromProto makes the error again. A kind that is unknown here is Unavailable.
func failureFromProto(m *proto.Failure) *registry.Error {
	e := &registry.Error{Kind: registry.Unavailable, Detail: m.GetDetail()}
	for _, k := range kinds {
		if k.wire == m.GetKind() {
			e.Kind = k.kind
		}
	}
	for _, r := range m.GetRows() {
		// What cannot be read stays empty: the row is what matters.
		row := registry.RowError{Row: int(r.GetRow()), Reason: r.GetReason(), Version: r.GetVersion()}
		if id, err := proto.IDFromProto(r.GetIdentifier()); err == nil {
			row.ID = id
		}
		if hash, err := proto.HashFromProto("row_hash", r.GetRowHash()); err == nil {
			row.RowHash = hash
		}
		e.Rows = append(e.Rows, row)
	}
	return e
}

// toStatus says on the wire why nothing was logged.
func toStatus(err error) error {
	e := asError(err)
	code := codes.Unavailable
	for _, k := range kinds {
		if k.kind == e.Kind {
			code = k.code
		}
	}
	s := status.New(code, detail(e))
	if detailed, err := s.WithDetails(failureToProto(e, maxDetails)); err == nil {
		s = detailed
	}
	return s.Err()
}

// fromStatus makes the error again that a call ended with, and tells how many rows
// the details left out.
func fromStatus(ctx context.Context, err error) (e *registry.Error, omitted int) {
	if cause := context.Cause(ctx); cause != nil {
		return &registry.Error{Kind: registry.Unavailable, Detail: "the wait for the answer ended, what became of the request is not known: send it again to learn", Err: cause}, 0
	}
	s := status.Convert(err)
	for _, d := range s.Details() {
		if m, ok := d.(*proto.Failure); ok {
			return failureFromProto(m), int(m.GetOmittedRows())
		}
	}
	for _, k := range kinds {
		if k.code == s.Code() {
			return &registry.Error{Kind: k.kind, Detail: s.Message()}, 0
		}
	}
	return &registry.Error{Kind: registry.Unavailable, Detail: fmt.Sprintf("the node answered %v: %s", s.Code(), s.Message())}, 0
}
