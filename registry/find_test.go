package registry_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/nameplate-id/nameplate/registry"
	"github.com/nameplate-id/nameplate/registry/identifier"
)

// The longest prefix is compared by segment, never as a string.
func TestLongestPrefixBySegment(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	one, eleven, deep := newKey(t), newKey(t), newKey(t)
	d1 := n.mustDelegate(grant("88.1", one), n.root)
	d11 := n.mustDelegate(grant("88.11", eleven), n.root)
	d118 := n.mustDelegate(grant("88.1.8", deep), one)

	for _, test := range []struct {
		id   string
		want identifier.Prefix
	}{
		{"88.1/x", "88.1"}, {"88.1.9/x", "88.1"}, {"88.1.8/x", "88.1.8"}, {"88.1.8.8/x", "88.1.8"}, {"88.1.88/x", "88.1"},
		{"88.11/x", "88.11"}, {"88.11.8/x", "88.11"}, {"88.111/x", ""}, {"88/x", ""}, {"88.1x/x", ""},
	} {
		f := n.find(test.id)
		var got identifier.Prefix
		if f.Delegation != nil {
			got = f.Delegation.Prefix
		}
		if got != test.want || !f.InZone {
			t.Errorf("%s is held by %q, want %q", test.id, got, test.want)
		}
	}
	// And so is who may write.
	_, err := n.Register(t.Context(), signed(t, one, d1, put(mustID(t, "88.1.8/x"), nil, link("https://x.example/"))))
	wantKind(t, err, registry.Denied)
	n.mustRegister(signed(t, deep, d118, put(mustID(t, "88.1.8/x"), nil, link("https://x.example/"))))
	n.mustRegister(signed(t, one, d1, put(mustID(t, "88.1.88/x"), nil, link("https://x.example/"))))
	n.mustRegister(signed(t, eleven, d11, put(mustID(t, "88.11.8/x"), nil, link("https://x.example/"))))
	if _, err := identifier.SignChange(header(d1), []identifier.Row{put(mustID(t, "88.11/x"), nil, link("https://x.example/"))}, nil, one); err == nil {
		t.Error("88.1 covers 88.11")
	}
}

func TestBelow(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	holder := newKey(t)
	d := n.mustDelegate(grant("88.118", holder), n.root)
	n.mustRegister(signed(t, holder, d, put(mustID(t, "88.118.8.1/x"), nil, link("https://x.example/"))))
	check := func(when string, want map[string]bool) {
		t.Helper()
		for text, below := range want {
			if f := n.find(text); f.Below != below {
				t.Errorf("%s: %s: below is %v, want %v", when, text, f.Below, below)
			}
		}
	}
	there := map[string]bool{"88": true, "88.118": true, "88.118.8": true, "88.118.8.1": true, "88.118.8.1.2": false, "88.118.80": false, "88.1": false, "88.118.8.1/x": false, "88.118.8/x": false}
	check("fresh", there)
	n.restart()
	check("after a start", there)
	n.mustRegister(signed(t, holder, d, withdraw(n.record("88.118.8.1/x"))))
	gone := map[string]bool{"88": true, "88.118": true, "88.118.8": false, "88.118.8.1": false}
	check("withdrawn", gone)
	n.restart()
	check("withdrawn, after a start", gone)
	n.mustDelegate(&identifier.Delegation{Prefix: "88.118", Epoch: 2, Keyset: identifier.Keyset{Version: 2}}, n.root)
	check("revoked", map[string]bool{"88": false, "88.118": false})
}

func TestFindHashed(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	holder := newKey(t)
	d := n.mustDelegate(grant("88.118", holder), n.root)
	long := identifier.ID{Prefix: "88.118", Suffix: strings.Repeat("a long suffix ", 20)}
	other := identifier.ID{Prefix: "88.118.8", Suffix: long.Suffix}
	short := mustID(t, "88.118/short")
	n.mustRegister(signed(t, holder, d, put(long, nil, link("https://long.example/")), put(short, nil, link("https://short.example/"))))
	hash := identifier.SuffixHash(long.Suffix)
	for range 2 {
		id, f, err := n.FindHashed(t.Context(), "88.118", hash)
		if err != nil || id != long || f.Record == nil || string(f.Record.Values[0].Data) != "https://long.example/" {
			t.Errorf("%v, %+v, %v", id, f, err)
		}
		// The prefix belongs to it; a short suffix is not found by its hash; nor what is not there.
		for _, test := range []struct {
			prefix identifier.Prefix
			hash   identifier.Hash
		}{{other.Prefix, hash}, {"88", hash}, {"88.118", identifier.SuffixHash(short.Suffix)}, {"88.118", identifier.Hash{}}} {
			id, f, err := n.FindHashed(t.Context(), test.prefix, test.hash)
			if err != nil || id != (identifier.ID{Prefix: test.prefix}) || f.Record != nil || !f.InZone {
				t.Errorf("%s %x: %v, %+v, %v", test.prefix, test.hash[:4], id, f, err)
			}
		}
		n.restart()
	}
	n.mustRegister(signed(t, holder, d, withdraw(n.record(long.String()))))
	if id, f, err := n.FindHashed(t.Context(), "88.118", hash); err != nil || id != long || f.Record != nil {
		t.Errorf("withdrawn: %v, %+v, %v", id, f, err)
	}
	// Another node's prefix: nothing of it is told.
	there := grant("88.118", holder)
	there.Epoch, there.Keyset.Version, there.Node = 2, 2, elsewhere(t)
	n.mustDelegate(there, n.root)
	if id, f, err := n.FindHashed(t.Context(), "88.118", hash); err != nil || id.Suffix != "" || f.Delegation == nil || f.Delegation.Node == nil {
		t.Errorf("elsewhere: %v, %+v, %v", id, f, err)
	}
	n.check()
}

// exported returns what an export gives, as identifier@version.
func exported(t testing.TB, n *node, below identifier.Prefix, after identifier.ID) []string {
	t.Helper()
	var got []string
	err := n.Export(t.Context(), below, after, func(r *identifier.Record) error {
		got = append(got, fmt.Sprintf("%s@%d", r.ID, r.Version))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestExport(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	holder := newKey(t)
	d := n.mustDelegate(grant("88", holder), n.root)
	var rows []identifier.Row
	for _, text := range []string{"88/a", "88.0/a", "88.1/a", "88.1/b", "88.1.7/c", "88.11/a", "88.2/a"} {
		rows = append(rows, put(mustID(t, text), nil, link("https://x.example/")))
	}
	slices.SortFunc(rows, func(a, b identifier.Row) int { return identifier.Compare(a.ID, b.ID) })
	n.mustRegister(signed(t, holder, d, rows...))
	n.mustRegister(signed(t, holder, d, put(mustID(t, "88.1/b"), n.record("88.1/b"), link("https://y.example/"))))
	n.mustRegister(signed(t, holder, d, withdraw(n.record("88.11/a"))))

	for _, test := range []struct {
		below identifier.Prefix
		after string
		want  string
	}{
		{"", "", "88/a@1 88.0/a@1 88.1/a@1 88.1/b@2 88.1.7/c@1 88.2/a@1"},
		{"88.1", "", "88.1/a@1 88.1/b@2 88.1.7/c@1"},
		{"88.1", "88.1/a", "88.1/b@2 88.1.7/c@1"},
		{"88.1", "88/a", "88.1/a@1 88.1/b@2 88.1.7/c@1"}, // before all of it
		{"88.1", "88.2/a", ""},                           // behind all of it
		{"88.11", "", ""},
		{"", "88.1.7/c", "88.2/a@1"},
	} {
		var after identifier.ID
		if test.after != "" {
			after = mustID(t, test.after)
		}
		got := exported(t, n, test.below, after)
		want := strings.Fields(test.want)
		slices.Sort(got) // the order of keys is tested with the keys
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("below %q after %q: %v, want %v", test.below, test.after, got, want)
		}
	}
	errStop := errors.New("stop")
	if err := n.Export(t.Context(), "", identifier.ID{}, func(*identifier.Record) error { return errStop }); !errors.Is(err, errStop) {
		t.Errorf("yield's error: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	wantKind(t, n.Export(ctx, "", identifier.ID{}, func(*identifier.Record) error { return nil }), registry.Unavailable)
}

// Nothing that is not held here is found here, and outside of it nothing is told.
func TestFindOutsideOfTheZone(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	if f := n.find("10.1000/182"); !f.InZone || f.Record != nil || f.Delegation != nil || f.Log != n.LogID() || f.Position != 2 {
		t.Errorf("%+v", f)
	}
}
