package registry_test

import (
	"testing"

	"github.com/nameplate-id/nameplate/registry"
	"github.com/nameplate-id/nameplate/registry/identifier"
)

// What is suspect stays so when a log is continued as another one, whatever its position is
// there, and nothing else becomes so: whichever of the two histories the keyset stands in
// that says it.
func TestSuspicionsGoOn(t *testing.T) {
	t.Parallel()
	for _, where := range []string{"shared", "above", "node"} {
		t.Run(where, func(t *testing.T) {
			t.Parallel()
			f := newFamily(t)
			old, next := f.delegation, newKey(t)
			position := func() uint64 { return f.child.status().Position }
			// A good one, a bad one, what says so, and one by the new key.
			say := func() {
				f.put(f.holder, old, "88.118/early")
				since := position()
				f.put(f.holder, old, "88.118/bad")
				d, err := f.child.changeKeys(old, keysetSince(f.child.LogID(), since, 2, next), f.holder)
				if err != nil {
					t.Fatal(err)
				}
				f.put(next, d, "88.118/new")
			}
			others := func(name string) func() {
				return func() {
					for _, text := range []string{"1", "2", "3"} {
						f.put(f.holder, old, "88.118/"+name+text)
					}
				}
			}
			shared, above, own := others("shared"), others("above"), others("node")
			want := map[string]bool{"88.118/early": false, "88.118/bad": true, "88.118/new": false, "88.118/shared1": false}
			switch where {
			case "shared":
				first := shared
				shared = func() { first(); say() }
				d := *old
				d.Keyset = keysetSince(f.child.LogID(), 0, 2, next)
				by := func(text string) func() { return func() { f.put(next, &d, text) } }
				above, own = by("88.118/above1"), by("88.118/node1")
				want["88.118/above1"], want["88.118/node1"] = false, false
			case "above":
				above = say // and what the old key has signed at the node is handed over
			case "node":
				own = say
				want["88.118/above1"], want["88.118/above3"] = false, false
			}
			f.forkBy(shared, above, own)
			check := func(round int) {
				t.Helper()
				for text, suspect := range want {
					for name, found := range map[string]identifier.Finding{"child": f.child.find(text), "mirror": f.mirrored(text)} {
						if found.Record == nil || found.Record.Suspect != suspect {
							t.Errorf("log %d, %s: %s: %+v, want suspect %v", round, name, text, found.Record, suspect)
						}
					}
				}
				for name, n := range map[string]*node{"child": f.child, "mirror": f.parent} {
					if list := suspicionsOf(n, f.child.LogID()); len(list) != 1 {
						t.Errorf("log %d, %s: suspicions %+v, want one", round, name, list)
					}
				}
			}
			for round := range 2 {
				if round == 1 { // once more: the places are found in the third log too
					d := *old
					d.Keyset = keyset(2, 1, next)
					by := func(text string) func() { return func() { f.put(next, &d, text) } }
					f.forkBy(func() {}, by("88.118/again-above"), by("88.118/again-node"))
				}
				f.resolve()
				f.grants = 0
				f.join()
				f.send()
				check(round)
				f.parent.check()
				f.child.check()
				f.parent.start()
				f.child.start()
				f.grants = 0
				f.join()
				check(round)
				for _, m := range f.parent.Mirrors() {
					if m.Counts && m.Bad != 0 {
						t.Errorf("log %d: %d entries are marked", round, m.Bad)
					}
				}
			}
		})
	}
}

// suspicionsOf returns what is suspect of a log.
func suspicionsOf(n *node, log identifier.LogID) (list []registry.Suspicion) {
	for _, s := range n.Suspicions() {
		if s.Log == log {
			list = append(list, s)
		}
	}
	return list
}
