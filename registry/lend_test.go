package registry_test

import (
	"reflect"
	"testing"

	"github.com/nameplate-id/nameplate/registry/identifier"
)

// What is lent is what Find finds, from the overlay and from the file.
func TestLendAgreesWithFind(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	holder := newKey(t)
	d := n.mustDelegate(grant("88.118", holder), n.root)
	private := grant("88.118.9", holder)
	private.Private = true
	n.mustDelegate(private, holder)
	there := grant("88.30", holder)
	there.Node = &identifier.Node{Name: "child", Key: newKey(t).Public(), Addresses: []identifier.Address{{IP: "127.0.0.1", GRPC: 2640}}}
	n.mustDelegate(there, n.root)
	n.mustRegister(signed(t, holder, d,
		put(mustID(t, "88.118"), nil, link("https://prefix.example/")),
		put(mustID(t, "88.118/a"), nil, link("https://a.example/")),
		put(mustID(t, "88.118/gone"), nil, link("https://gone.example/")),
		put(mustID(t, "88.118.8.1/b"), nil, link("https://b.example/"))))
	n.mustRegister(signed(t, holder, d, withdraw(n.record("88.118/gone"))))
	for range 2 {
		err := n.Lend(func(find func(prefix, key []byte) (*identifier.Delegation, bool, identifier.Stored)) {
			for _, text := range []string{"88.118", "88.118/a", "88.118/gone", "88.118/absent", "88.118.8.1/b", "88.118.8.1/a", "88.118.9/x", "88.30/x", "88.30.1", "88.31/x", "5/x"} {
				id := mustID(t, text)
				want, err := n.Find(t.Context(), id)
				if err != nil {
					t.Fatal(err)
				}
				delegation, inZone, stored := find([]byte(id.Prefix), identifier.AppendKey(nil, id))
				if inZone != want.InZone || delegation != want.Delegation {
					t.Errorf("%s: got %v, %v; want %v, %v", text, delegation, inZone, want.Delegation, want.InZone)
				}
				if stored == nil || stored.Withdrawn() {
					if want.Record != nil {
						t.Errorf("%s: got no record; want %v", text, want.Record)
					}
					continue
				}
				got, err := stored.Record(id)
				if err != nil || !reflect.DeepEqual(got, want.Record) {
					t.Errorf("%s: got %+v, %v; want %+v", text, got, err, want.Record)
				}
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		n.restart()
	}
}

// Outside of every zone nothing is lent.
func TestLendOutsideOfTheZone(t *testing.T) {
	t.Parallel()
	f := newFamily(t)
	err := f.child.Lend(func(find func(prefix, key []byte) (*identifier.Delegation, bool, identifier.Stored)) {
		for _, prefix := range []string{"88", "88.119", "5"} {
			if d, inZone, stored := find([]byte(prefix), []byte(prefix)); d != nil || inZone || stored != nil {
				t.Errorf("%s: got %v, %v, %v; want nothing", prefix, d, inZone, stored)
			}
		}
		if d, inZone, _ := find([]byte("88.118.1"), []byte("x")); d != nil || !inZone {
			t.Errorf("below the apex: got %v, %v; want the zone and no delegation", d, inZone)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Looking up in what is lent allocates nothing, but once for all.
func TestLendAllocations(t *testing.T) {
	n := newNode(t)
	holder := newKey(t)
	d := n.mustDelegate(grant("88.118", holder), n.root)
	id := mustID(t, "88.118.8/a")
	n.mustRegister(signed(t, holder, d, put(id, nil, link("https://a.example/"))))
	prefix, key := []byte(id.Prefix), identifier.AppendKey(nil, id)
	for range 2 {
		err := n.Lend(func(find func(prefix, key []byte) (*identifier.Delegation, bool, identifier.Stored)) {
			if got := testing.AllocsPerRun(100, func() {
				if _, _, s := find(prefix, key); s == nil {
					t.Fatal("the record is not lent")
				}
			}); got > 0 {
				t.Errorf("got %v allocations; want none", got)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		n.restart()
	}
}
