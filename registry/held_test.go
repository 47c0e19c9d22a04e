package registry_test

import (
	"encoding/binary"
	"testing"

	"github.com/nameplate-id/nameplate/registry"
	"github.com/nameplate-id/nameplate/registry/identifier"
)

// A parent's log has rows of more logs of a child than a genesis can name, and of all but one
// nothing else is left: the child is told of as many as it takes, the newest first.
func TestMoreLostThanANodeTakes(t *testing.T) {
	t.Parallel()
	f := newFamily(t)
	f.child.mustRegister(signed(t, f.holder, f.delegation, oneRow(t, 1, "1")[0]...))
	f.send()
	gone := newKey(t).Public() // of which there is no mirror
	const logs = identifier.MaxBefore + 76
	name := func(i int) (log identifier.LogID) {
		if i < logs/2 {
			log[0] = 1 // the older ones come last in the state
		}
		binary.BigEndian.PutUint16(log[1:], uint16(i))
		log[15] = 1
		return log
	}
	for _, node := range []identifier.PublicKey{f.child.root.Public(), gone} {
		var rows []identifier.ChildRow
		for i := range logs {
			if len(rows) == logs/2 {
				if err := registry.LogChildren(t.Context(), f.parent.Registry, rows); err != nil {
					t.Fatal(err)
				}
				rows = nil
			}
			row := identifier.ChildRow{Log: name(i), Node: node, Size: 2, Root: identifier.Hash{1}, Signature: make([]byte, 64)}
			if node == gone {
				row.Log[15] = 2
			}
			rows = append(rows, row)
		}
		if err := registry.LogChildren(t.Context(), f.parent.Registry, rows); err != nil {
			t.Fatal(err)
		}
		held, err := f.parent.Mirrored(node, 0)
		if err != nil {
			t.Fatal(err)
		}
		if len(held.Apart.Lost) != identifier.MaxBefore || held.Base < 2*(logs-1) {
			t.Errorf("%d logs are told, want %d; %d positions are used up, want %d and more", len(held.Apart.Lost), identifier.MaxBefore, held.Base, 2*(logs-1))
		}
		later := map[identifier.LogID]bool{}
		for _, row := range rows {
			later[row.Log] = row.Log != held.Log
		}
		for _, log := range held.Apart.Lost[:len(rows)-1] {
			if !later[log] {
				t.Errorf("log %s is told before one that is newer", log)
				break
			}
		}
	}
}
