package resolver_test

import (
	"errors"
	"testing"
	"time"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/resolver"
)

// copies are mirrors by the prefix of the delegation.
type copies map[identifier.Prefix]store

func (c copies) Mirror(d *identifier.Delegation) (resolver.Store, time.Duration) {
	s, ok := c[d.Prefix]
	if !ok {
		return nil, 0
	}
	return s, time.Duration(d.Prefix.Depth()) * time.Second
}

func TestAuthorityMirrors(t *testing.T) {
	deeper := identifier.PublicKey{Type: identifier.Ed25519, Raw: "deeper"}
	public := value(1, "DESC", 60, identifier.DefaultPermissions)
	refers := identifier.Finding{InZone: true, Delegation: delegation("88", &other, false)}
	inCopy := func(f identifier.Finding) identifier.Finding {
		f.InZone, f.Apex, f.Position, f.Log = true, "88", 7, identifier.LogID{2}
		return f
	}
	holds := inCopy(identifier.Finding{Record: record(public)})
	further := inCopy(identifier.Finding{Delegation: delegation("88.118", &deeper, false)})
	deepest := identifier.Finding{InZone: true, Apex: "88.118", Record: record(public)}
	// What is delegated from above names a mirror, what a copy refers to has two.
	refers.Delegation.Mirrors = []identifier.Node{{Name: "mirror"}}
	further.Delegation.Mirrors = []identifier.Node{{Name: "mirror"}, {Name: "second"}}
	for _, c := range []struct {
		name     string
		own      identifier.Finding
		copies   copies
		q        resolver.Query
		outcome  resolver.Outcome
		apex     identifier.Prefix
		mirror   bool
		age      time.Duration
		lifetime time.Duration
		names    identifier.Prefix // whom the delegation names
		mirrors  int
	}{
		{"not wanted", refers, copies{"88": {finding: holds}}, resolver.Query{}, resolver.Referral, "", false, 0, resolver.ReferralTTL, "88", 1},
		{"found", refers, copies{"88": {finding: holds}}, resolver.Query{Mirror: true}, resolver.Found, "88", true, time.Second, time.Minute, "88", 1},
		{"not authoritative enough", refers, copies{"88": {finding: holds}}, resolver.Query{Mirror: true, Authoritative: true}, resolver.Referral, "", false, 0, resolver.ReferralTTL, "88", 1},
		{"no copy", refers, copies{}, resolver.Query{Mirror: true}, resolver.Referral, "", false, 0, resolver.ReferralTTL, "88", 1},
		{"a copy that knows nothing yet", refers, copies{"88": {}}, resolver.Query{Mirror: true}, resolver.Referral, "", false, 0, resolver.ReferralTTL, "88", 1},
		{"a copy of another prefix", refers, copies{"88": {finding: identifier.Finding{InZone: true, Apex: ""}}}, resolver.Query{Mirror: true}, resolver.Referral, "", false, 0, resolver.ReferralTTL, "88", 1},
		{"a copy that refers", refers, copies{"88": {finding: further}}, resolver.Query{Mirror: true}, resolver.Referral, "88", true, time.Second, resolver.ReferralTTL, "88.118", 2},
		{"a copy that refers to a copy", refers, copies{"88": {finding: further}, "88.118": {finding: deepest}}, resolver.Query{Mirror: true}, resolver.Found, "88.118", true, 2 * time.Second, time.Minute, "88.118", 2},
		{"a copy that refers to itself", refers, copies{"88": {finding: inCopy(identifier.Finding{Delegation: delegation("88", &deeper, false)})}}, resolver.Query{Mirror: true}, resolver.Referral, "", false, 0, resolver.ReferralTTL, "88", 1},
		{"not delegated", identifier.Finding{InZone: true, Record: record(public)}, copies{"88": {finding: holds}}, resolver.Query{Mirror: true}, resolver.Found, "", false, 0, time.Minute, "", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := resolver.NewAuthority(store{finding: c.own}, resolver.Options{Node: own, Mirrors: c.copies})
			c.q.ID = item
			got, err := a.Resolve(t.Context(), c.q)
			if err != nil {
				t.Fatal(err)
			}
			if got.Outcome != c.outcome || got.Apex != c.apex || got.Origin.Mirror != c.mirror || got.Origin.Age != c.age || got.Lifetime != c.lifetime {
				t.Errorf("got %v from %q, mirror %t, %v old, for %v; want %v from %q, %t, %v, %v", got.Outcome, got.Apex,
					got.Origin.Mirror, got.Origin.Age, got.Lifetime, c.outcome, c.apex, c.mirror, c.age, c.lifetime)
			}
			// Whoever is named: where to ask, or whose zone it is.
			names, mirrors := identifier.Prefix(""), 0
			d := got.Delegation
			if (got.Outcome == resolver.Referral) != (d != nil) {
				t.Errorf("outcome %v, delegation %+v", got.Outcome, d)
			}
			if d == nil {
				d = got.Zone
			}
			if d != nil {
				names, mirrors = d.Prefix, len(d.Mirrors)
			}
			if names != c.names || mirrors != c.mirrors {
				t.Errorf("names %q and %d mirrors; want %q and %d", names, mirrors, c.names, c.mirrors)
			}
		})
	}
}

// A mirror cannot know that something is absent: it says what it knows.
func TestMirrorNeverSaysAbsent(t *testing.T) {
	refers := identifier.Finding{InZone: true, Delegation: delegation("88", &other, false)}
	for name, f := range map[string]identifier.Finding{
		"no record":    {},
		"something":    {Below: true},
		"a tombstone":  {Record: &identifier.Record{ID: item, Withdrawn: true}},
		"very private": {Delegation: delegation("88.118", nil, false)},
	} {
		f.InZone, f.Apex = true, "88"
		a := resolver.NewAuthority(store{finding: refers}, resolver.Options{Node: own, Mirrors: copies{"88": {finding: f}}})
		got, err := a.Resolve(t.Context(), resolver.Query{ID: item, Mirror: true})
		var e *resolver.Error
		var unheld *resolver.UnheldError
		if !errors.As(err, &e) || e.Kind != resolver.Unavailable || !errors.As(err, &unheld) {
			t.Errorf("%s: got %v, %v; want an UnheldError", name, got.Outcome, err)
			continue
		}
		if k := unheld.Answer; k.Apex != "88" || k.Zone == nil || k.Below != f.Below || !k.Origin.Mirror {
			t.Errorf("%s: got %+v; want what is known of the zone", name, k)
		}
	}
}

func TestFromMirrors(t *testing.T) {
	s := &source{answer: known(time.Hour)}
	if _, err := resolver.FromMirrors(s).Resolve(t.Context(), resolver.Query{ID: item}); err != nil || !s.asked[0].Mirror {
		t.Errorf("asked %+v, %v; want a mirror", s.asked, err)
	}
}

func TestForRecursive(t *testing.T) {
	s := &source{answer: known(time.Hour)}
	r := resolver.ForRecursive(s)
	if a, err := r.Resolve(t.Context(), resolver.Query{ID: item}); err != nil || a.Outcome != resolver.Refused || a.InZone || a.ID != item {
		t.Errorf("got %+v, %v; want refused outside", a, err)
	}
	if a, err := r.Resolve(t.Context(), resolver.Query{ID: item, Recursive: true}); err != nil || a.Outcome != resolver.Found {
		t.Errorf("got %v, %v; want found", a.Outcome, err)
	}
}
