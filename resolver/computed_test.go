package resolver_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/resolver"
)

// holding is a store of records and delegations.
type holding struct {
	records     map[identifier.ID]*identifier.Record
	delegations map[identifier.Prefix]*identifier.Delegation
	broken      identifier.ID
}

var errBroken = errors.New("damage")

func (h *holding) Find(_ context.Context, id identifier.ID) (identifier.Finding, error) {
	f := identifier.Finding{InZone: true, Record: h.records[id]}
	if h.broken == id && id.Prefix != "" {
		return f, errBroken
	}
	if f.Record != nil && f.Record.Withdrawn {
		f.Record, f.Withdrawn = nil, true
	}
	for p, ok := id.Prefix, true; ok && f.Delegation == nil; p, ok = p.Parent() {
		f.Delegation = h.delegations[p]
	}
	if id.IsPrefix() {
		for other := range h.records {
			f.Below = f.Below || other != id && id.Prefix.Covers(other.Prefix)
		}
	}
	return f, nil
}

func (h *holding) FindHashed(ctx context.Context, p identifier.Prefix, hash identifier.Hash) (identifier.ID, identifier.Finding, error) {
	for id := range h.records {
		if id.Prefix == p && identifier.SuffixHash(id.Suffix) == hash {
			f, err := h.Find(ctx, id)
			return id, f, err
		}
	}
	f, err := h.Find(ctx, identifier.ID{Prefix: p})
	f.Record = nil
	return identifier.ID{Prefix: p}, f, err
}

func (h *holding) put(canonical string, version uint64, values ...identifier.Value) {
	id, err := identifier.ParseCanonical(canonical)
	if err != nil {
		panic(err)
	}
	for i := range values {
		values[i].Index = uint32(i + 1)
	}
	h.records[id] = &identifier.Record{ID: id, Version: version, Time: time.Unix(int64(version), 0), Values: values, RowHash: identifier.Hash{1}}
}

func of(typ, data string) identifier.Value {
	return identifier.Value{Type: typ, Data: []byte(data), TTL: identifier.TTL{Seconds: 600}, Permissions: identifier.DefaultPermissions}
}

func namespace(in string) identifier.Value {
	return of("HS_NAMESPACE", `<namespace><template delimiter="-">`+in+`</template></namespace>`)
}

// templated is a node that holds 88 with a template, 88.118 of somebody else without
// one, 88.119 with one, 88.120 private with one, 88.121 at another node, and a prefix
// of GS1.
func templated() *holding {
	h := &holding{records: map[identifier.ID]*identifier.Record{}, delegations: map[identifier.Prefix]*identifier.Delegation{
		"88.118": delegation("88.118", nil, false), "88.119": delegation("88.119", nil, false),
		"88.120": delegation("88.120", nil, true), "88.121": delegation("88.121", &other, false),
		"gs1.9.5.0.6": delegation("gs1.9.5.0.6", nil, false),
	}}
	serial := `<if test="matches" expression="[0-9]{4}"><value type="URL" data="https://maker.example/${extension}"/><foreach><value/></foreach></if>`
	h.put("88", 7, namespace(serial))
	h.put("88.118/other-record", 1, of("DESC", "x"))
	h.put("88.119", 9, namespace(serial))
	h.put("88.119/sn", 1, of("DESC", "Pump"), of("HS_SECKEY", "secret"))
	h.records[identifier.ID{Prefix: "88.119", Suffix: "sn"}].Values[1].Permissions = identifier.AdminRead
	h.put("88.119/sn-0042", 3, of("DESC", "stored"))
	h.put("88.119/sn-0043", 3)
	h.records[identifier.ID{Prefix: "88.119", Suffix: "sn-0043"}].Withdrawn = true
	h.put("88.119.5/x", 1, of("DESC", "x"))
	h.put("88.120", 1, namespace(serial))
	h.put("88.121", 1, namespace(serial))
	h.put("88.122", 1, of("HS_NAMESPACE", "<namespace><template delimiter='-'><broken/></template></namespace>"))
	h.put("88.123", 1, namespace(serial))
	h.records[identifier.ID{Prefix: "88.123"}].Values[0].Permissions = identifier.AdminRead
	h.put("88.124", 1, of("HS_NAMESPACE", "<namespace><contact>x</contact></namespace>"))
	h.put("88.125", 1, namespace(`<notfound/>`))
	h.put("88.126", 1, namespace(`<foreach>`+strings.Repeat(`<value/>`, 300)+`</foreach>`))
	h.put("88.126/sn", 1, of("DESC", "x"))
	h.put("88.127", 1, of("HS_NAMESPACE", `<namespace><template delimiter="-" ref="1:0.NA/88.119"/></namespace>`))
	h.put("88.128", 1, of("HS_NAMESPACE", `<namespace><template delimiter="-" ref="1:0.NA/88.120"/></namespace>`))
	h.put("gs1.9.5.0.6", 2, of("HS_NAMESPACE", `<namespace><template delimiter="/21/"><value type="URL" data="https://maker.example/${extension}"/></template></namespace>`))
	return h
}

func TestTemplateAnswersForWhatIsNotStored(t *testing.T) {
	for _, c := range []struct{ canonical, want string }{
		{"88/sn-0001", "found, version 7: 1 URL https://maker.example/0001"},
		{"88/sn-1", "absent"},
		{"88/sn", "absent"},
		{"88.119/sn-0001", "found, version 9: 1 URL https://maker.example/0001; 2 DESC Pump"},
		{"88.119/sn-0042", "found, version 3: 1 DESC stored"},
		{"88.119/sn-0043", "absent"},
		{"88.119.5/sn-0001", "found, version 9: 1 URL https://maker.example/0001"},
		{"88.119.6.7/sn-0001", "found, version 9: 1 URL https://maker.example/0001"},
		// A template of another holder does not reach into a delegated prefix.
		{"88.118/sn-0001", "absent"},
		{"88.118.1/sn-0001", "absent"},
		{"88.120/sn-0001", "refused"},
		{"88.121/sn-0001", "referral"},
		{"88.122/sn-0001", "absent"},
		{"88.123/sn-0001", "found, version 7: 1 URL https://maker.example/0001"},
		{"88.124/sn-0001", "found, version 7: 1 URL https://maker.example/0001"},
		{"88.125/sn-0001", "absent"},
		{"88.126/sn-0001", "error"},
		{"88.127/sn-0001", "found, version 1: 1 URL https://maker.example/0001"},
		{"88.128/sn-0001", "found, version 1: 1 URL https://maker.example/0001"},
		{"gs1.9.5.0.6.0.0.0.1.3.4.3.5/010/21/SN-42", "found, version 2: 1 URL https://maker.example/SN-42"},
		{"gs1.9.5.0.6.0.0.0.1.3.4.3.5/010", "absent"},
		// Names above what a template gives are there, for QNAME minimisation.
		{"gs1.9.5.0.6.0.0.0.1", "absent, something below"},
		{"gs1.9.5.0", "absent, something below"},
		{"88.119.6", "absent, something below"},
		{"88.118.1", "absent"},
		{"88.122.1", "absent"},
	} {
		t.Run(c.canonical, func(t *testing.T) {
			id, err := identifier.ParseCanonical(c.canonical)
			if err != nil {
				t.Fatal(err)
			}
			a := resolver.NewAuthority(templated(), resolver.Options{Node: own})
			got := told(a.Resolve(t.Context(), resolver.Query{ID: id}))
			if got != c.want {
				t.Errorf("got %q; want %q", got, c.want)
			}
		})
	}
}

// told writes an answer in short.
func told(a resolver.Answer, err error) string {
	if err != nil {
		return "error"
	}
	s := a.Outcome.String()
	if a.Below {
		s += ", something below"
	}
	if a.Outcome != resolver.Found {
		return s
	}
	var values []string
	for _, v := range a.Record.Values {
		values = append(values, fmt.Sprintf("%d %s %s", v.Index, v.Type, v.Data))
	}
	return fmt.Sprintf("%s, version %d: %s", s, a.Record.Version, strings.Join(values, "; "))
}

func TestTemplateIsSelectedFromLikeARecord(t *testing.T) {
	a := resolver.NewAuthority(templated(), resolver.Options{Node: own})
	id := identifier.ID{Prefix: "88.119", Suffix: "sn-0001"}
	for _, c := range []struct {
		q    resolver.Query
		want string
	}{
		{resolver.Query{Types: []string{"DESC"}}, "found, version 9: 2 DESC Pump"},
		{resolver.Query{Indexes: []uint32{1}}, "found, version 9: 1 URL https://maker.example/0001"},
		{resolver.Query{Types: []string{"EMAIL"}}, "found, version 9: "},
		{resolver.Query{Authoritative: true}, "found, version 9: 1 URL https://maker.example/0001; 2 DESC Pump"},
	} {
		c.q.ID = id
		got, err := a.Resolve(t.Context(), c.q)
		if told(got, err) != c.want {
			t.Errorf("%+v: got %q; want %q", c.q, told(got, err), c.want)
		}
		if got.Default == nil || string(got.Default.Data) != "https://maker.example/0001" {
			t.Errorf("%+v: got default link %+v; want the link that was made", c.q, got.Default)
		}
		if got.Record.RowHash != (identifier.Hash{}) || got.Lifetime != 600*time.Second && got.Lifetime != 86400*time.Second {
			t.Errorf("%+v: got row hash %x, lifetime %v; want no hash, for nothing was logged", c.q, got.Record.RowHash, got.Lifetime)
		}
	}
}

// A name in DNS that carries only a hash tells nobody what to compute from.
func TestTemplateNeedsTheWholeIdentifier(t *testing.T) {
	a := resolver.NewAuthority(templated(), resolver.Options{Node: own})
	for prefix, want := range map[identifier.Prefix]resolver.Kind{"88.119": resolver.Unavailable, "88.118": 0} {
		hash := identifier.SuffixHash("sn-0001")
		_, err := a.Resolve(t.Context(), resolver.Query{ID: identifier.ID{Prefix: prefix}, SuffixHash: &hash})
		var e *resolver.Error
		if errors.As(err, &e) != (want != 0) || e != nil && e.Kind != want {
			t.Errorf("%s: got %v; want kind %d", prefix, err, want)
		}
	}
	hash := identifier.SuffixHash("sn-0042")
	got, err := a.Resolve(t.Context(), resolver.Query{ID: identifier.ID{Prefix: "88.119"}, SuffixHash: &hash})
	if told(got, err) != "found, version 3: 1 DESC stored" {
		t.Errorf("got %q; want the stored record", told(got, err))
	}
}

// What cannot be read on the way to a template is no answer, and not that there is none.
func TestTemplateOnADamagedStore(t *testing.T) {
	for _, broken := range []identifier.ID{{Prefix: "88.119"}, {Prefix: "88.119", Suffix: "sn"}} {
		h := templated()
		h.broken = broken
		a := resolver.NewAuthority(h, resolver.Options{Node: own})
		_, err := a.Resolve(t.Context(), resolver.Query{ID: identifier.ID{Prefix: "88.119", Suffix: "sn-0001"}})
		if !errors.Is(err, errBroken) {
			t.Errorf("%v: got %v; want an error that names the damage", broken, err)
		}
	}
}
