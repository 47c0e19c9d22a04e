package rpc_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/nameplate-id/nameplate/proto"
	"github.com/nameplate-id/nameplate/registry"
	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/rpc"
)

// rowErrors names n rows of a change.
func rowErrors(n int) []registry.RowError {
	var rows []registry.RowError
	for i := range n {
		rows = append(rows, registry.RowError{
			Row: i, ID: identifier.ID{Prefix: "88.118", Suffix: fmt.Sprintf("sn-%d-%s", i, strings.Repeat("x", 100))},
			Reason: "the current version is 4, the row makes 4", Version: 4, RowHash: identifier.Hash{1, byte(i)},
		})
	}
	return rows
}

// Every kind of error has a code of its own, and is the same on the far side of every
// call.
func TestErrorsCrossTheWire(t *testing.T) {
	secret := errors.New("/var/lib/nameplate/state.db: input/output error")
	for _, test := range []struct {
		name string
		err  error
		code codes.Code
		want registry.Error
	}{
		{"malformed", &registry.Error{Kind: registry.Malformed, Detail: "a rule", Err: errors.New("the rule")}, codes.InvalidArgument,
			registry.Error{Kind: registry.Malformed, Detail: "a rule: the rule"}},
		{"unauthenticated", &registry.Error{Kind: registry.Unauthenticated, Detail: "0 good signatures"}, codes.Unauthenticated,
			registry.Error{Kind: registry.Unauthenticated, Detail: "0 good signatures"}},
		{"denied", &registry.Error{Kind: registry.Denied, Detail: "größer", Rows: rowErrors(1)}, codes.PermissionDenied,
			registry.Error{Kind: registry.Denied, Detail: "größer", Rows: rowErrors(1)}},
		{"conflict", &registry.Error{Kind: registry.Conflict, Detail: "2 rows", Rows: rowErrors(2)}, codes.Aborted,
			registry.Error{Kind: registry.Conflict, Detail: "2 rows", Rows: rowErrors(2)}},
		{"expired", &registry.Error{Kind: registry.Expired, Detail: "at noon"}, codes.OutOfRange,
			registry.Error{Kind: registry.Expired, Detail: "at noon"}},
		{"read-only", &registry.Error{Kind: registry.ReadOnly, Detail: "restored"}, codes.FailedPrecondition,
			registry.Error{Kind: registry.ReadOnly, Detail: "restored"}},
		{"overloaded", &registry.Error{Kind: registry.Overloaded, Detail: "later"}, codes.ResourceExhausted,
			registry.Error{Kind: registry.Overloaded, Detail: "later"}},
		{"unavailable", &registry.Error{Kind: registry.Unavailable, Detail: "not now", Err: secret}, codes.Unavailable,
			registry.Error{Kind: registry.Unavailable, Detail: "not now"}},
		{"of another type", secret, codes.Unavailable,
			registry.Error{Kind: registry.Unavailable, Detail: "it cannot be done now: try again"}},
		{"more rows than the details hold", &registry.Error{Kind: registry.Conflict, Detail: "all rows", Rows: rowErrors(1024)}, codes.Aborted,
			registry.Error{Kind: registry.Conflict, Detail: "all rows", Rows: rowErrors(1024)}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := serve(t, &fake{
				register: func(context.Context, *identifier.Change) (registry.Receipt, error) {
					return registry.Receipt{}, test.err
				},
				delegate: func(context.Context, identifier.Envelope) (registry.Receipt, error) {
					return registry.Receipt{}, test.err
				},
				watch: func(context.Context, uint64, func(registry.Logged) error) error { return test.err },
			}, rpc.Options{})
			_, err := proto.NewRegistrationClient(s.conn).Register(t.Context(), &proto.RegisterRequest{Change: proto.ChangeToProto(change("a"))})
			if status.Code(err) != test.code {
				t.Errorf("got code %v; want %v", status.Code(err), test.code)
			}
			_, err = s.Client.Register(t.Context(), change("a"))
			compare(t, "register", err, &test.want)
			for r, err := range s.RegisterBatch(t.Context(), one(change("a"))) {
				if err != nil {
					t.Fatal(err)
				}
				compare(t, "register in a batch", r.Err, &test.want)
			}
			if len(test.want.Rows) > 2 {
				return // no other call has rows
			}
			_, err = s.Delegate(t.Context(), identifier.Envelope{})
			compare(t, "delegate", err, &test.want)
			compare(t, "watch", s.Watch(t.Context(), 0, func(registry.Logged) error { return nil }), &test.want)
		})
	}
}

func compare(t *testing.T, call string, err error, want *registry.Error) {
	t.Helper()
	var got *registry.Error
	if !errors.As(err, &got) {
		t.Errorf("%s: got %v (%T); want a *registry.Error", call, err, err)
		return
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s: %s", call, d)
	}
}

// The status details of one refusal fit in the trailers that other clients take.
func TestDetailsStaySmall(t *testing.T) {
	s := serve(t, &fake{register: func(context.Context, *identifier.Change) (registry.Receipt, error) {
		return registry.Receipt{}, &registry.Error{Kind: registry.Conflict, Detail: strings.Repeat("ö", 5000), Rows: rowErrors(1024)}
	}}, rpc.Options{})
	_, err := proto.NewRegistrationClient(s.conn).Register(t.Context(), &proto.RegisterRequest{Change: proto.ChangeToProto(change("a"))})
	st := status.Convert(err)
	if n := len(st.Message()); n > proto.MaxDetail {
		t.Errorf("the message has %d octets; want at most %d", n, proto.MaxDetail)
	}
	for _, d := range st.Details() {
		f, ok := d.(*proto.Failure)
		if !ok || len(f.GetRows()) == 0 || len(f.GetRows())+int(f.GetOmittedRows()) != 1024 || len(f.String()) > 16<<10 {
			t.Errorf("got %d rows, %d omitted", len(f.GetRows()), f.GetOmittedRows())
		}
	}
}

func TestMalformedRequests(t *testing.T) {
	s := serve(t, &fake{}, rpc.Options{})
	client := proto.NewRegistrationClient(s.conn)
	bad := proto.ChangeToProto(change("a", "b", "c"))
	bad.Rows[0].Identifier, bad.Rows[2].Identifier = "88.118/A", "88.118/"
	for name, call := range map[string]func() error{
		"no change":    func() error { _, err := client.Register(t.Context(), &proto.RegisterRequest{}); return err },
		"two bad rows": func() error { _, err := client.Register(t.Context(), &proto.RegisterRequest{Change: bad}); return err },
		"bad signature": func() error {
			_, err := client.Delegate(t.Context(), &proto.DelegateRequest{Envelope: &proto.Envelope{Signatures: []*proto.Signature{{}}}})
			return err
		},
		"bad prefix": func() error {
			_, err := client.FindDelegation(t.Context(), &proto.FindDelegationRequest{Prefix: "A"})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			st := status.Convert(call())
			if st.Code() != codes.InvalidArgument {
				t.Fatalf("got %v; want INVALID_ARGUMENT", st)
			}
			if name != "two bad rows" {
				return
			}
			var rows []uint32
			for _, d := range st.Details() {
				for _, r := range d.(*proto.Failure).GetRows() {
					rows = append(rows, r.GetRow())
					if r.GetReason() == "" {
						t.Errorf("row %d has no reason", r.GetRow())
					}
				}
			}
			if d := cmp.Diff([]uint32{0, 2}, rows); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestOversizeChange(t *testing.T) {
	s := serve(t, &fake{}, rpc.Options{})
	c := change("a")
	c.Rows[0].Values = []identifier.Value{{Index: 1, Data: make([]byte, proto.MaxRequest)}}
	_, err := s.Client.Register(t.Context(), c)
	var got *registry.Error
	if !errors.As(err, &got) || got.Kind != registry.Malformed {
		t.Errorf("got %v; want malformed", err)
	}
	small := change("b")
	s = serve(t, &fake{register: func(context.Context, *identifier.Change) (registry.Receipt, error) {
		return registry.Receipt{Position: 1, Level: registry.Local}, nil
	}}, rpc.Options{})
	var kinds []registry.Kind
	for r, err := range s.RegisterBatch(t.Context(), each(small, c, small)) {
		if err != nil {
			t.Fatal(err)
		}
		kind := registry.Kind(0)
		if errors.As(r.Err, &got) {
			kind = got.Kind
		}
		kinds = append(kinds, kind)
	}
	if d := cmp.Diff([]registry.Kind{0, registry.Malformed, 0}, kinds); d != "" {
		t.Error(d)
	}
}
