package registry_test

import (
	"reflect"
	"slices"
	"strings"
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
		texts := []string{"88.118", "88.118/a", "88.118/gone", "88.118/absent", "88.118.8.1/b", "88.118.8.1/a", "88.118.9/x", "88.30/x", "88.30.1", "88.31/x", "5/x"}
		texts = slices.Repeat(texts, 13) // more than are looked up together
		err := lend(n.Lend, loansOf(t, texts...), func(loans []identifier.Loan) {
			for i, loan := range loans {
				text, id := texts[i], mustID(t, texts[i])
				want, err := n.Find(t.Context(), id)
				if err != nil {
					t.Fatal(err)
				}
				if loan.InZone != want.InZone || loan.Delegation != want.Delegation || loan.Apex != want.Apex || loan.Grant != want.Grant || loan.Log != want.Log || loan.Position != want.Position {
					t.Errorf("%s: got %+v; want %+v", text, loan, want)
				}
				// Below 88.118 a record of the prefix may tell how to make one.
				if absent := text == "5/x" || text == "88.31/x"; absent != loan.Absent {
					t.Errorf("%s: got absent %v; want %v", text, loan.Absent, absent)
				}
				if loan.Stored == nil {
					if want.Record != nil {
						t.Errorf("%s: got no record; want %v", text, want.Record)
					}
					continue
				}
				got, err := loan.Stored.Record(id)
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

// What is asked for by its hash is lent as FindHashed finds it, and a hash that nobody knows
// leads to nothing, whatever key it looks like.
func TestLendByHash(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	holder := newKey(t)
	d := n.mustDelegate(grant("88.118", holder), n.root)
	long, gone := strings.Repeat("é", 200), strings.Repeat("ü", 200)
	// Its key behind that of the prefix has as many octets as a hash.
	short := strings.Repeat("s", 31)
	n.mustRegister(signed(t, holder, d,
		put(mustID(t, "88.118/"+short), nil, link("https://short.example/")),
		put(mustID(t, "88.118.8/"+long), nil, link("https://long.example/")),
		put(mustID(t, "88.118.8/"+gone), nil, link("https://gone.example/"))))
	n.mustRegister(signed(t, holder, d, withdraw(n.record("88.118.8/"+gone))))
	hashes := []struct {
		prefix identifier.Prefix
		hash   identifier.Hash
		key    string // what the loan's becomes
	}{
		{"88.118.8", identifier.SuffixHash(long), "88\x00118\x008\x00\x01" + long},
		{"88.118.8", identifier.SuffixHash(gone), "88\x00118\x008\x00\x01" + gone},
		{"88.118.8", identifier.SuffixHash("nobody knows it"), "88\x00118\x008\x00"},
		{"88.118", identifier.SuffixHash(long), "88\x00118\x00"},
		{"88.118", identifier.Hash([]byte("\x01" + short)), "88\x00118\x00"},
		{"5", identifier.SuffixHash(long), "5\x00"},
	}
	for range 2 {
		var loans []identifier.Loan
		for _, h := range hashes {
			loans = append(loans, identifier.Loan{Prefix: []byte(h.prefix), Key: identifier.AppendPrefixKey(nil, h.prefix), Hash: h.hash[:]})
		}
		err := lend(n.Lend, loans, func(loans []identifier.Loan) {
			for i, loan := range loans {
				h := hashes[i]
				id, want, err := n.FindHashed(t.Context(), h.prefix, h.hash)
				if err != nil {
					t.Fatal(err)
				}
				if string(loan.Key) != h.key || loan.InZone != want.InZone || loan.Delegation != want.Delegation || loan.Apex != want.Apex {
					t.Errorf("%d: got %+v; want key %q and %+v", i, loan, h.key, want)
				}
				if (loan.Stored == nil) != (want.Record == nil) || loan.Absent != (want.Record == nil) {
					t.Errorf("%d: got a record %t, absent %t; want %+v", i, loan.Stored != nil, loan.Absent, want.Record)
				}
				if loan.Stored == nil {
					continue
				}
				if got, err := loan.Stored.Record(id); err != nil || !reflect.DeepEqual(got, want.Record) {
					t.Errorf("%d: got %+v, %v; want %+v", i, got, err, want.Record)
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
	texts := []string{"88/x", "88.119/x", "5/x", "88.118.1/x"}
	err := lend(f.child.Lend, loansOf(t, texts...), func(loans []identifier.Loan) {
		for i, l := range loans {
			if below := i == 3; l.Delegation != nil || l.InZone != below || l.Stored != nil {
				t.Errorf("%s: got %v, %v, %v; want no delegation, no record and the zone only below the apex", texts[i], l.Delegation, l.InZone, l.Stored)
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Looking up in what is lent allocates nothing, but once for all.
func TestLendAllocations(t *testing.T) {
	if raced {
		t.Skip("the race detector lets pools lose what they hold")
	}
	n := newNode(t)
	holder := newKey(t)
	d := n.mustDelegate(grant("88.118", holder), n.root)
	id := mustID(t, "88.118.8/a")
	n.mustRegister(signed(t, holder, d, put(id, nil, link("https://a.example/"))))
	loans := loansOf(t, slices.Repeat([]string{"88.118.8/a"}, 200)...)
	f := func() {}
	allocations := func(loans []identifier.Loan) float64 {
		return testing.AllocsPerRun(100, func() {
			if err := n.Lend(loans, f); err != nil || loans[len(loans)-1].Stored == nil {
				t.Fatalf("got %v, %v; want the record", loans[len(loans)-1].Stored, err)
			}
		})
	}
	for range 2 {
		if one, many := allocations(loans[:1]), allocations(loans); many > one+1 {
			t.Errorf("got %v allocations for one loan and %v for %d; want no more", one, many, len(loans))
		}
		n.restart()
	}
}

// loansOf asks for identifiers.
func loansOf(t *testing.T, texts ...string) []identifier.Loan {
	t.Helper()
	loans := make([]identifier.Loan, len(texts))
	for i, text := range texts {
		id := mustID(t, text)
		loans[i] = identifier.Loan{Prefix: []byte(id.Prefix), Key: identifier.AppendKey(nil, id)}
	}
	return loans
}

// lend calls f with the loans while they can be read.
func lend(from func([]identifier.Loan, func()) error, loans []identifier.Loan, f func([]identifier.Loan)) error {
	return from(loans, func() { f(loans) })
}
