package resolver_test

import (
	"context"
	"errors"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/resolver"
)

// store gives one finding, or one error, to every question.
type store struct {
	finding identifier.Finding
	whole   identifier.ID // the identifier behind a hash
	err     error
}

func (s store) Find(context.Context, identifier.ID) (identifier.Finding, error) {
	return s.finding, s.err
}

func (s store) FindHashed(_ context.Context, p identifier.Prefix, _ identifier.Hash) (identifier.ID, identifier.Finding, error) {
	if s.finding.Record == nil {
		return identifier.ID{Prefix: p}, s.finding, s.err
	}
	return s.whole, s.finding, s.err
}

var (
	item    = identifier.ID{Prefix: "88.118.8", Suffix: "sn-42"}
	own     = identifier.PublicKey{Type: identifier.Ed25519, Raw: "own"}
	other   = identifier.PublicKey{Type: identifier.Ed25519, Raw: "other"}
	holders = identifier.Keyset{Version: 1, Threshold: 1, Keys: []identifier.PublicKey{{Type: identifier.Ed25519, Raw: "holder"}}}
)

func value(index uint32, typ string, ttl uint32, permissions identifier.Permissions) identifier.Value {
	return identifier.Value{Index: index, Type: typ, Data: []byte(typ), TTL: identifier.TTL{Seconds: ttl}, Permissions: permissions}
}

func link(index uint32, relation string, isDefault bool) identifier.Value {
	v := value(index, "URL", 3600, identifier.DefaultPermissions)
	v.Link = &identifier.Link{Relation: relation, Default: isDefault}
	return v
}

func record(values ...identifier.Value) *identifier.Record {
	return &identifier.Record{ID: item, Version: 3, Values: values}
}

func delegation(prefix identifier.Prefix, node *identifier.PublicKey, private bool) *identifier.Delegation {
	d := &identifier.Delegation{Prefix: prefix, Epoch: 1, Keyset: holders, Private: private}
	if node != nil {
		d.Node = &identifier.Node{Name: "n1", Key: *node}
	}
	return d
}

func TestAuthorityOutcome(t *testing.T) {
	const hidden = identifier.AdminRead | identifier.AdminWrite
	public := value(1, "DESC", 60, identifier.DefaultPermissions)
	prefix := identifier.ID{Prefix: "88.118.8"}
	revoked := delegation("88.118.8", &other, true)
	revoked.Keyset = identifier.Keyset{}
	for _, c := range []struct {
		name     string
		finding  identifier.Finding
		id       identifier.ID
		outcome  resolver.Outcome
		below    bool
		lifetime time.Duration
	}{
		{"record", identifier.Finding{InZone: true, Record: record(public)}, item, resolver.Found, false, time.Minute},
		{"record without values", identifier.Finding{InZone: true, Record: record()}, item, resolver.Found, false, resolver.NegativeTTL},
		{"record with a hidden value", identifier.Finding{InZone: true, Record: record(value(1, "HS_SECKEY", 1, hidden), public)}, item, resolver.Found, false, time.Minute},
		{"record with hidden values only", identifier.Finding{InZone: true, Record: record(value(1, "HS_SECKEY", 1, hidden))}, item, resolver.Refused, false, resolver.NegativeTTL},
		{"write permission is not read permission", identifier.Finding{InZone: true, Record: record(value(1, "X", 1, identifier.PublicWrite))}, item, resolver.Refused, false, resolver.NegativeTTL},
		{"nothing", identifier.Finding{InZone: true}, item, resolver.Absent, false, resolver.NegativeTTL},
		{"tombstone", identifier.Finding{InZone: true, Record: &identifier.Record{ID: item, Version: 2, Withdrawn: true}}, item, resolver.Absent, false, resolver.NegativeTTL},
		{"something below", identifier.Finding{InZone: true, Below: true}, prefix, resolver.Absent, true, resolver.NegativeTTL},
		{"outside", identifier.Finding{Record: record(public)}, item, resolver.Refused, false, resolver.NegativeTTL},
		{"held here", identifier.Finding{InZone: true, Delegation: delegation("88.118.8", nil, false), Record: record(public)}, item, resolver.Found, false, time.Minute},
		{"names this node", identifier.Finding{InZone: true, Delegation: delegation("88.118.8", &own, false), Record: record(public)}, item, resolver.Found, false, time.Minute},
		{"names another node", identifier.Finding{InZone: true, Delegation: delegation("88.118.8", &other, false)}, item, resolver.Referral, false, resolver.ReferralTTL},
		{"another node's prefix itself", identifier.Finding{InZone: true, Delegation: delegation("88.118.8", &other, false), Record: record(public)}, prefix, resolver.Referral, false, resolver.ReferralTTL},
		{"another node's private prefix", identifier.Finding{InZone: true, Delegation: delegation("88.118.8", &other, true)}, item, resolver.Referral, false, resolver.ReferralTTL},
		{"revoked", identifier.Finding{InZone: true, Delegation: revoked, Record: record(public)}, item, resolver.Found, false, time.Minute},
		{"private, exists", identifier.Finding{InZone: true, Delegation: delegation("88.118.8", nil, true), Record: record(public)}, item, resolver.Refused, false, resolver.NegativeTTL},
		{"private, does not exist", identifier.Finding{InZone: true, Delegation: delegation("88.118.8", nil, true)}, item, resolver.Refused, false, resolver.NegativeTTL},
		{"private, a prefix below", identifier.Finding{InZone: true, Delegation: delegation("88.118", nil, true), Below: true}, prefix, resolver.Refused, false, resolver.NegativeTTL},
		{"private prefix itself", identifier.Finding{InZone: true, Delegation: delegation("88.118.8", nil, true), Record: record(public)}, prefix, resolver.Found, false, time.Minute},
		{"private prefix itself, absent", identifier.Finding{InZone: true, Delegation: delegation("88.118.8", nil, true)}, prefix, resolver.Absent, true, resolver.NegativeTTL},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.finding.Apex, c.finding.Position, c.finding.Log = "88", 7, identifier.LogID{1}
			a := resolver.NewAuthority(store{finding: c.finding}, resolver.Options{Node: own})
			got, err := a.Resolve(t.Context(), resolver.Query{ID: c.id})
			if err != nil {
				t.Fatal(err)
			}
			if got.Outcome != c.outcome || got.Below != c.below || got.Lifetime != c.lifetime || got.ID != c.id {
				t.Errorf("got %v, below %t, lifetime %v, %v; want %v, %t, %v, %v",
					got.Outcome, got.Below, got.Lifetime, got.ID, c.outcome, c.below, c.lifetime, c.id)
			}
			if want := (resolver.Origin{Log: identifier.LogID{1}, Position: 7}); got.Origin != want || got.Apex != "88" || got.InZone != c.finding.InZone {
				t.Errorf("got origin %v, apex %q, in zone %t; want %v, 88, %t", got.Origin, got.Apex, got.InZone, want, c.finding.InZone)
			}
			if (got.Record != nil) != (c.outcome == resolver.Found) || (got.Delegation != nil) != (c.outcome == resolver.Referral) {
				t.Errorf("a %v answer has record %v and delegation %v", got.Outcome, got.Record, got.Delegation)
			}
			if got.Outcome == resolver.Refused && got.Default != nil {
				t.Error("a refused answer tells the default link")
			}
		})
	}
}

// A private prefix answers alike, whether what is asked for exists or not.
func TestPrivateAnswersAlike(t *testing.T) {
	hash := identifier.Hash{9}
	for _, q := range []resolver.Query{{ID: item}, {ID: identifier.ID{Prefix: "88.118.8"}, SuffixHash: &hash}, {ID: item, Types: []string{"URL"}}} {
		f := identifier.Finding{InZone: true, Apex: "88", Delegation: delegation("88.118.8", nil, true)}
		absent, err1 := resolver.NewAuthority(store{finding: f}, resolver.Options{}).Resolve(t.Context(), q)
		f.Record = record(link(1, "gs1:pip", true))
		present, err2 := resolver.NewAuthority(store{finding: f, whole: item}, resolver.Options{}).Resolve(t.Context(), q)
		if err1 != nil || err2 != nil || !reflect.DeepEqual(absent, present) {
			t.Errorf("%v: got %+v, %v and %+v, %v", q, absent, err1, present, err2)
		}
	}
}

func TestAuthorityByHash(t *testing.T) {
	hash := identifier.Hash{9}
	q := resolver.Query{ID: identifier.ID{Prefix: item.Prefix}, SuffixHash: &hash}
	found := store{finding: identifier.Finding{InZone: true, Record: record(link(1, "", false))}, whole: item}
	if got, err := resolver.NewAuthority(found, resolver.Options{}).Resolve(t.Context(), q); err != nil || got.ID != item {
		t.Errorf("known hash: got %v, %v; want %v", got.ID, err, item)
	}
	hidden := store{finding: identifier.Finding{InZone: true, Record: record(value(1, "X", 1, 0))}, whole: item}
	if got, err := resolver.NewAuthority(hidden, resolver.Options{}).Resolve(t.Context(), q); err != nil || got.Outcome != resolver.Refused || got.ID != q.ID {
		t.Errorf("hidden record: got %v, %v, %v; want it refused without its name", got.Outcome, got.ID, err)
	}
	if got, err := resolver.NewAuthority(store{finding: identifier.Finding{InZone: true}}, resolver.Options{}).Resolve(t.Context(), q); err != nil || got.Outcome != resolver.Absent || got.ID != q.ID {
		t.Errorf("unknown hash: got %v, %v, %v; want absent and the prefix", got.Outcome, got.ID, err)
	}
	q.ID = item
	_, err := resolver.NewAuthority(found, resolver.Options{}).Resolve(t.Context(), q)
	if e, ok := errors.AsType[*resolver.Error](err); !ok || e.Kind != resolver.Malformed {
		t.Errorf("suffix and hash: got %v; want malformed", err)
	}
}

func TestAuthorityUnavailable(t *testing.T) {
	damage := errors.New("checksum of 88.118.8/sn-42 at page 7 differs")
	_, err := resolver.NewAuthority(store{err: damage}, resolver.Options{}).Resolve(t.Context(), resolver.Query{ID: item})
	e, ok := errors.AsType[*resolver.Error](err)
	if !ok || e.Kind != resolver.Unavailable || !errors.Is(err, damage) {
		t.Fatalf("got %v; want unavailable because of %v", err, damage)
	}
	if got, want := e.Detail, "what this node holds about 88.118.8/sn-42 cannot be read or trusted now: ask again later"; got != want {
		t.Errorf("got detail %q; want %q", got, want)
	}
}

func TestSelection(t *testing.T) {
	all := record(
		link(1, "https://gs1.org/voc/pip", true),
		link(2, "gs1:certificationInfo", false),
		value(3, "HS_SITE", 60, identifier.DefaultPermissions),
		value(4, "HS_SITE.PREFIX", 30, identifier.DefaultPermissions),
		value(5, "HS_SITES", 20, identifier.DefaultPermissions),
		value(6, "HS_SECKEY", 10, identifier.AdminRead),
		value(7, "URL", 50, identifier.DefaultPermissions),
	)
	for _, c := range []struct {
		name     string
		q        resolver.Query
		want     []uint32
		lifetime time.Duration
	}{
		{"all readable", resolver.Query{}, []uint32{1, 2, 3, 4, 5, 7}, 20 * time.Second},
		{"type", resolver.Query{Types: []string{"HS_SITE"}}, []uint32{3}, time.Minute},
		{"type and subtypes", resolver.Query{Types: []string{"HS_SITE."}}, []uint32{3, 4}, 30 * time.Second},
		{"a dot is no type", resolver.Query{Types: []string{"."}}, nil, 20 * time.Second},
		{"types are octets", resolver.Query{Types: []string{"hs_site"}}, nil, 20 * time.Second},
		{"index", resolver.Query{Indexes: []uint32{5}}, []uint32{5}, 20 * time.Second},
		{"union of index and type", resolver.Query{Types: []string{"HS_SITE"}, Indexes: []uint32{1, 3, 99}}, []uint32{1, 3}, time.Minute},
		{"hidden", resolver.Query{Indexes: []uint32{6}}, nil, 20 * time.Second},
		{"relation", resolver.Query{Relation: "gs1:pip"}, []uint32{1}, time.Hour},
		{"relation as a URI", resolver.Query{Relation: "https://ref.gs1.org/voc/certificationInfo"}, []uint32{2}, time.Hour},
		{"relation by its bare name in another case", resolver.Query{Relation: "certificationinfo"}, []uint32{2}, time.Hour},
		{"relation narrows types", resolver.Query{Relation: "gs1:pip", Types: []string{"HS_SITE"}}, nil, 20 * time.Second},
		{"unknown relation", resolver.Query{Relation: "gs1:dpp"}, nil, 20 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.q.ID = item
			a := resolver.NewAuthority(store{finding: identifier.Finding{InZone: true, Record: all}}, resolver.Options{})
			got, err := a.Resolve(t.Context(), c.q)
			if err != nil {
				t.Fatal(err)
			}
			var indexes []uint32
			for _, v := range got.Record.Values {
				indexes = append(indexes, v.Index)
			}
			if !reflect.DeepEqual(indexes, c.want) || got.Lifetime != c.lifetime {
				t.Errorf("got values %v for %v; want %v for %v", indexes, got.Lifetime, c.want, c.lifetime)
			}
			if got.Default == nil || got.Default.Index != 1 {
				t.Errorf("got default %v; want value 1", got.Default)
			}
		})
	}
	if len(all.Values) != 7 || all.Values[6].Index != 7 {
		t.Error("resolving changed the stored record")
	}
}

// The default link is never one that may not be read.
func TestDefaultLinkIsReadable(t *testing.T) {
	secret, open := link(1, "", true), link(2, "", false)
	secret.Permissions = identifier.AdminRead
	a := resolver.NewAuthority(store{finding: identifier.Finding{InZone: true, Record: record(secret, open)}}, resolver.Options{})
	got, err := a.Resolve(t.Context(), resolver.Query{ID: item})
	if err != nil || got.Default == nil || got.Default.Index != 2 {
		t.Errorf("got %v, %v; want value 2", got.Default, err)
	}
}

func TestAbsoluteTTL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := value(1, "DESC", 0, identifier.DefaultPermissions)
		v.TTL = identifier.TTL{Absolute: true, Seconds: uint32(time.Now().Add(time.Hour).Unix())}
		a := resolver.NewAuthority(store{finding: identifier.Finding{InZone: true, Record: record(v)}}, resolver.Options{})
		for _, want := range []time.Duration{time.Hour, 30 * time.Minute, 0, 0} {
			got, err := a.Resolve(t.Context(), resolver.Query{ID: item})
			if err != nil || got.Lifetime != want {
				t.Errorf("got %v, %v; want %v", got.Lifetime, err, want)
			}
			time.Sleep(30 * time.Minute)
		}
	})
}

func TestLifetimeIsCapped(t *testing.T) {
	a := resolver.NewAuthority(store{finding: identifier.Finding{InZone: true, Record: record(value(1, "X", 1<<32-1, identifier.DefaultPermissions))}}, resolver.Options{})
	got, err := a.Resolve(t.Context(), resolver.Query{ID: item})
	if err != nil || got.Lifetime != resolver.MaxLifetime {
		t.Errorf("got %v, %v; want %v", got.Lifetime, err, resolver.MaxLifetime)
	}
}

func TestSameRelation(t *testing.T) {
	for _, c := range []struct {
		asked, has string
		want       bool
	}{
		{"gs1:pip", "gs1:pip", true},
		{"gs1:pip", "https://gs1.org/voc/pip", true},
		{"https://ref.gs1.org/voc/pip", "http://www.gs1.org/voc/pip", true},
		{"GS1:PIP", "https://ref.gs1.org/voc/pip", true},
		{"pip", "gs1:pip", true},
		{"gs1:pip", "pip", false},
		{"gs1:pip", "gs1:pips", false},
		{"alternate", "Alternate", true},
		{"", "gs1:", false},
		{"https://other.example/voc/pip", "gs1:pip", false},
		{"https://gs1.org/voc/", "gs1:", false},
	} {
		if got := resolver.SameRelation(c.asked, c.has); got != c.want {
			t.Errorf("SameRelation(%q, %q): got %t; want %t", c.asked, c.has, got, c.want)
		}
	}
	if got, want := resolver.ExpandRelation("http://gs1.org/voc/pip"), "https://ref.gs1.org/voc/pip"; got != want {
		t.Errorf("got %q; want %q", got, want)
	}
}
