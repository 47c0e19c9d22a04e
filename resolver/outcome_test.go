package resolver_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/resolver"
)

// Every row of the table in the documentation, as it is written there.
func TestTableOfOutcomes(t *testing.T) {
	const none = -1
	for _, want := range []struct {
		c              resolver.Case
		rcode          int
		aa             bool
		extended       int
		grpc           uint32
		http, redirect int
		handle         []uint32
	}{
		{resolver.CaseFound, 0, true, none, 0, 200, 307, []uint32{1}},
		{resolver.CaseFoundInMirror, 0, true, 0, 0, 200, 307, []uint32{1, 302}},
		{resolver.CaseNoValues, 0, true, none, 0, 404, 0, []uint32{200}},
		{resolver.CaseReferral, 0, false, none, 0, 303, 0, []uint32{303, 302}},
		{resolver.CaseAbsent, 3, true, none, 0, 404, 0, []uint32{100}},
		{resolver.CaseAbsentAbove, 0, true, none, 0, 404, 0, []uint32{100}},
		{resolver.CaseRefused, 0, true, 18, 0, 403, 0, []uint32{401}},
		{resolver.CaseRefusedOutside, 5, false, 20, 0, 403, 0, []uint32{401}},
		{resolver.CaseMalformed, 3, true, none, 3, 400, 0, []uint32{102}},
		{resolver.CaseConflict, none, false, none, 10, 409, 0, []uint32{101, 201}},
		{resolver.CaseUnauthenticated, none, false, none, 16, 401, 0, []uint32{402}},
		{resolver.CaseOverloaded, 0, false, none, 8, 429, 0, []uint32{3}},
		{resolver.CaseUnavailable, 2, false, 14, 14, 503, 0, []uint32{2}},
	} {
		got := want.c.Codes()
		if got.GRPC != want.grpc || got.HTTP != want.http || got.Redirect != want.redirect || !slices.Equal(got.Handle, want.handle) {
			t.Errorf("%v: got %+v; want %+v", want.c, got, want)
		}
		if (got.DNS == nil) != (want.rcode == none) || want.c.On(resolver.DNS) != (got.DNS != nil) {
			t.Errorf("%v: got DNS %v; want rcode %d", want.c, got.DNS, want.rcode)
		} else if d := got.DNS; d != nil && (d.Rcode != want.rcode || d.Authoritative != want.aa || d.Extended != want.extended) {
			t.Errorf("%v: got DNS %+v; want %+v", want.c, *d, want)
		}
	}
	names := map[string]bool{}
	for _, c := range resolver.Cases() {
		if names[c.String()] || c.String() == "" {
			t.Errorf("case %d has the name %q", c, c)
		}
		names[c.String()] = true
	}
}

func TestCaseOf(t *testing.T) {
	full := &identifier.Record{Values: make([]identifier.Value, 1)}
	for _, c := range []struct {
		a    resolver.Answer
		err  error
		want resolver.Case
	}{
		{resolver.Answer{Outcome: resolver.Found, Record: full}, nil, resolver.CaseFound},
		{resolver.Answer{Outcome: resolver.Found, Record: full, Origin: resolver.Origin{Mirror: true}}, nil, resolver.CaseFoundInMirror},
		{resolver.Answer{Outcome: resolver.Found, Record: &identifier.Record{}, Origin: resolver.Origin{Mirror: true}}, nil, resolver.CaseNoValues},
		{resolver.Answer{Outcome: resolver.Referral}, nil, resolver.CaseReferral},
		{resolver.Answer{Outcome: resolver.Absent}, nil, resolver.CaseAbsent},
		{resolver.Answer{Outcome: resolver.Absent, Below: true}, nil, resolver.CaseAbsentAbove},
		{resolver.Answer{Outcome: resolver.Refused, InZone: true}, nil, resolver.CaseRefused},
		{resolver.Answer{Outcome: resolver.Refused}, nil, resolver.CaseRefusedOutside},
		{resolver.Answer{}, nil, resolver.CaseUnavailable},
		{resolver.Answer{}, &resolver.Error{Kind: resolver.Malformed}, resolver.CaseMalformed},
		{resolver.Answer{}, fmt.Errorf("asking: %w", &resolver.Error{Kind: resolver.Overloaded}), resolver.CaseOverloaded},
		{resolver.Answer{}, &resolver.Error{Kind: resolver.Unauthenticated}, resolver.CaseUnauthenticated},
		{resolver.Answer{}, &resolver.Error{Kind: resolver.Unavailable}, resolver.CaseUnavailable},
		{resolver.Answer{}, errors.New("something else"), resolver.CaseUnavailable},
	} {
		if got := resolver.CaseOf(c.a, c.err); got != c.want {
			t.Errorf("%v, %v: got %v; want %v", c.a, c.err, got, c.want)
		}
	}
}

// What another server says ends in logs and on terminals.
func TestOneLine(t *testing.T) {
	t.Parallel()
	for said, want := range map[string]string{
		"":                              "",
		"größe: ask again":              "größe: ask again",
		"two\r\nlines":                  "two  lines",
		"\x1b[2J\x1b]0;title\x07 clear": " [2J ]0;title  clear",
		"c1 \u009b31m, del \x7f":        "c1  31m, del  ",
		"bad \xff\xfe octets":           "bad  octets",
		strings.Repeat("x", 2000):       strings.Repeat("x", 1024),
		strings.Repeat("x", 1023) + "ö": strings.Repeat("x", 1023),
	} {
		if got := resolver.OneLine(said); got != want {
			t.Errorf("%q: got %q, want %q", said, got, want)
		}
	}
}
