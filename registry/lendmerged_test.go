package registry_test

import (
	"reflect"
	"slices"
	"testing"

	"github.com/nameplate-id/nameplate/registry"
	"github.com/nameplate-id/nameplate/registry/identifier"
)

// At a top-level node the logs of the others count as well: what is lent is what Find finds
// in all of them, or nothing.
func TestLendAtATopLevelNode(t *testing.T) {
	t.Parallel()
	peer := newNode(t)
	top := openNode(t, registry.Config{Folder: t.TempDir(), Peers: []identifier.PublicKey{peer.root.Public()}})
	holder := newKey(t)
	// again delegates a prefix in the next epoch.
	again := func(n *node, d *identifier.Delegation, change func(*identifier.Delegation)) *identifier.Delegation {
		next := *d
		next.Epoch, next.Keyset = d.Epoch+1, keyset(d.Keyset.Version+1, 1, holder)
		change(&next)
		return n.mustDelegate(&next, n.root)
	}
	same := func(*identifier.Delegation) {}
	register := func(n *node, d *identifier.Delegation, texts ...string) {
		var rows []identifier.Row
		for _, text := range texts {
			rows = append(rows, put(mustID(t, text), nil, link("https://"+n.root.Public().String()[8:12]+".example/")))
		}
		slices.SortFunc(rows, func(a, b identifier.Row) int { return identifier.Compare(a.ID, b.ID) })
		n.mustRegister(signed(t, holder, d, rows...))
	}
	register(top, top.mustDelegate(grant("88.1", holder), top.root), "88.1/own", "88.1.5/own")
	register(peer, peer.mustDelegate(grant("88.2", holder), peer.root), "88.2/peers", "88.2.5/peers")
	there := grant("88.3", holder)
	there.Node = &identifier.Node{Name: "child", Key: newKey(t).Public(), Addresses: []identifier.Address{{IP: "127.0.0.1", GRPC: 2640}}}
	peer.mustDelegate(there, peer.root)
	// Delegated by both: the higher epoch counts.
	register(top, top.mustDelegate(grant("88.4", holder), top.root), "88.4/own", "88.4/both")
	register(peer, again(peer, peer.mustDelegate(grant("88.4", holder), peer.root), same), "88.4/peers", "88.4/both")
	register(top, again(top, top.mustDelegate(grant("88.5", holder), top.root), same), "88.5/own", "88.5/both")
	register(peer, peer.mustDelegate(grant("88.5", holder), peer.root), "88.5/peers", "88.5/both")
	// The other one took it back: then nobody has it.
	mine := top.mustDelegate(grant("88.6", holder), top.root)
	register(top, mine, "88.6/own")
	again(peer, peer.mustDelegate(grant("88.6", holder), peer.root), func(d *identifier.Delegation) { d.Keyset = identifier.Keyset{Version: d.Keyset.Version} })

	mirror, err := top.Mirror(t.Context(), peer.LogID(), peer.root.Public(), peer.root.Public(), 0)
	if err != nil {
		t.Fatal(err)
	}
	tip, _ := peer.Source().Growth()
	copyLog(t, mirror, peer.Source(), 0, tip, 100)

	const none, stored, absent = 0, 1, 2
	want := map[string]int{
		"88.1/own": stored, "88.1.5/own": stored, "88.1/none": absent, "88.1.9/none": absent,
		"88.2/peers": none, "88.2.5/peers": none, "88.2/none": none, "88.3/x": none, "88.3.1/x": none,
		"88.4/own": none, "88.4/both": none, "88.4/peers": none, "88.4/none": none,
		"88.5/own": stored, "88.5/both": stored, "88.5/peers": absent, "88.5/none": absent,
		"88.6/own": stored, "88.6/none": none,
		"88.9/x": none, "5/x": none, // perhaps another log has a record
	}
	for range 2 {
		var texts []string
		for text := range want {
			texts = append(texts, text, text)
		}
		slices.Sort(texts)
		err := lend(top.Lend, loansOf(t, texts...), func(loans []identifier.Loan) {
			for i, loan := range loans {
				text, id := texts[i], mustID(t, texts[i])
				found, err := top.Find(t.Context(), id)
				if err != nil {
					t.Fatal(err)
				}
				got := none
				switch {
				case loan.Stored != nil:
					got = stored
					record, err := loan.Stored.Record(id)
					if err != nil || !reflect.DeepEqual(record, found.Record) || loan.Log != found.Log || loan.Position != found.Position {
						t.Errorf("%s: got %+v, %v, of log %s; want %+v", text, record, err, loan.Log, found)
					}
				case loan.Absent:
					got = absent
					if found.Record != nil || !found.InZone || found.Log != loan.Log {
						t.Errorf("%s: got absent; want %+v", text, found)
					}
				}
				if got != none && (loan.Delegation != found.Delegation || loan.InZone != found.InZone || loan.Apex != found.Apex) {
					t.Errorf("%s: got %+v; want %+v", text, loan, found)
				}
				if got != want[text] {
					t.Errorf("%s: got %d; want %d (1 is lent, 2 absent)", text, got, want[text])
				}
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		top.restart()
	}
}
