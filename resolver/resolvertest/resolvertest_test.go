package resolvertest

import (
	"context"
	"errors"
	"testing"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/resolver"
)

// No protocol at all loses nothing.
func TestWithoutAWire(t *testing.T) {
	for _, p := range []resolver.Protocol{resolver.DNS, resolver.GRPC, resolver.HTTP, resolver.Handle} {
		t.Run(string(p), func(t *testing.T) {
			Run(t, p, func(_ *testing.T, backend resolver.Resolver) resolver.Resolver { return direct{backend} })
		})
	}
}

// direct is a client without a wire.
type direct struct{ resolver.Resolver }

func (d direct) Resolve(ctx context.Context, q resolver.Query) (resolver.Answer, error) {
	if err := ctx.Err(); err != nil {
		return resolver.Answer{}, &resolver.Error{Kind: resolver.Unavailable, Err: err}
	}
	return d.Resolver.Resolve(ctx, q)
}

// Every loss is noticed, and is not when it is declared.
func TestLossIsNoticed(t *testing.T) {
	b := newBackend(fixtures())
	for _, part := range []Part{Permissions, Timestamps, References, ValueTTLs, LinkTexts, History, Holder, Place, Apex, Details, MalformedKind, OverloadedKind} {
		noticed := 0
		for _, f := range b.fixtures {
			want := b.expect(t.Context(), resolver.Query{ID: f.id})
			got := want.omit(part)
			if len(compare(want, got, nil)) > 0 {
				noticed++
			}
			if d := compare(want, got, []Omission{{Part: part, Because: "test"}}); len(d) > 0 {
				t.Errorf("%s, %s: declared, and yet %v", part, f.name, d)
			}
		}
		if noticed == 0 {
			t.Errorf("%s: nobody notices that it is lost", part)
		}
	}
}

// What no protocol may lose is noticed whatever is declared.
func TestNothingElseMayBeLost(t *testing.T) {
	b := newBackend(fixtures())
	var everything []Omission
	for _, p := range []Part{Permissions, Timestamps, References, ValueTTLs, LinkTexts, History, Holder, Place, Apex, Details, MalformedKind, OverloadedKind, Large} {
		everything = append(everything, Omission{p, "test"})
	}
	for name, lose := range map[string]func(*resolver.Answer){
		"outcome":    func(a *resolver.Answer) { a.Outcome++ },
		"identifier": func(a *resolver.Answer) { a.ID.Suffix += "x" },
		"in zone":    func(a *resolver.Answer) { a.InZone = !a.InZone },
		"below":      func(a *resolver.Answer) { a.Below = !a.Below },
		"lifetime":   func(a *resolver.Answer) { a.Lifetime += 1e9 },
		"mirror":     func(a *resolver.Answer) { a.Origin.Mirror = !a.Origin.Mirror },
		"age":        func(a *resolver.Answer) { a.Origin.Age += 1e9 },
		"record":     func(a *resolver.Answer) { a.Record = nil },
		"default":    func(a *resolver.Answer) { a.Default = nil },
		"version":    func(a *resolver.Answer) { a.Record = &identifier.Record{ID: a.Record.ID, Values: a.Record.Values} },
		"values":     func(a *resolver.Answer) { r := *a.Record; r.Values = r.Values[1:]; a.Record = &r },
		"delegation": func(a *resolver.Answer) { a.Delegation = nil },
		"node":       func(a *resolver.Answer) { d := *a.Delegation; d.Node = &identifier.Node{}; a.Delegation = &d },
		"value index": func(a *resolver.Answer) {
			a.Record, _ = changed(a.Record, nil, func(v *identifier.Value) { v.Index++ })
		},
		"value type": func(a *resolver.Answer) {
			a.Record, _ = changed(a.Record, nil, func(v *identifier.Value) { v.Type += "X" })
		},
		"value data": func(a *resolver.Answer) {
			a.Record, _ = changed(a.Record, nil, func(v *identifier.Value) { v.Data = []byte("other") })
		},
		"relation": func(a *resolver.Answer) {
			a.Record, _ = changed(a.Record, nil, func(v *identifier.Value) { v.Link = &identifier.Link{Relation: "x:y"} })
		},
	} {
		noticed := 0
		for _, f := range b.fixtures {
			want := b.expect(t.Context(), resolver.Query{ID: f.id})
			a := want.answer
			needsRecord := a.Record != nil && len(a.Record.Values) > 0 && a.Default != nil
			switch name {
			case "record", "default", "version", "values", "value index", "value type", "value data", "relation":
				if !needsRecord || f.large {
					continue
				}
			case "delegation", "node":
				if a.Delegation == nil {
					continue
				}
			}
			if want.err != nil || f.large {
				continue
			}
			got := want
			lose(&got.answer)
			if len(compare(want, got, everything)) == 0 {
				t.Errorf("%s, %s: nobody notices that it is wrong", name, f.name)
			}
			noticed++
		}
		if noticed == 0 {
			t.Errorf("%s: no fixture has it", name)
		}
	}
}

// A wrong answer in place of an error, and the other way round, is noticed.
func TestErrorsAreNoticed(t *testing.T) {
	b := newBackend(fixtures())
	for _, f := range b.fixtures {
		want := b.expect(t.Context(), resolver.Query{ID: f.id})
		got := result{err: &resolver.Error{Kind: resolver.Unauthenticated, Detail: "other"}}
		if want.err != nil && want.err.Kind == resolver.Unauthenticated {
			got = result{answer: resolver.Answer{Outcome: resolver.Absent}}
		}
		if len(compare(want, got, []Omission{{MalformedKind, "x"}, {OverloadedKind, "x"}})) == 0 {
			t.Errorf("%s: nobody notices that it ends otherwise", f.name)
		}
	}
	_, err := silent{}.Resolve(cancelled(t), resolver.Query{})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v; want cancelled", err)
	}
}

func cancelled(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

// The fixtures are what a registry could hold: canonical identifiers, contents
// that can be stored, delegations that can be signed.
func TestFixturesAreValid(t *testing.T) {
	for _, f := range fixtures() {
		if id, err := identifier.ParseCanonical(f.id.String()); err != nil || id != f.id {
			t.Errorf("%s: %v reads as %v, %v", f.name, f.id, id, err)
		}
		if r := f.answer.Record; r != nil {
			if _, err := identifier.AppendContent(nil, r.Spelling, r.Values); err != nil {
				t.Errorf("%s: %v", f.name, err)
			}
		}
		if d := f.answer.Delegation; d != nil {
			if err := d.Check(); err != nil {
				t.Errorf("%s: %v", f.name, err)
			}
			if !d.Prefix.Covers(f.id.Prefix) {
				t.Errorf("%s: the delegation of %s does not cover it", f.name, d.Prefix)
			}
		}
	}
}
