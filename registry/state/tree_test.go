package state_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/nameplate-id/nameplate/registry/state"
)

// A tree behaves as a sorted map, and a copy of it stays as it was.
func TestTreeAgainstMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type version struct {
			tree state.Tree
			rows map[string]string
		}
		var tree state.Tree
		rows := make(map[string]string)
		versions := []version{{tree, maps.Clone(rows)}}
		key := rapid.Custom(func(t *rapid.T) string { return fmt.Sprintf("%03d", rapid.IntRange(0, 400).Draw(t, "key")) })
		for range rapid.IntRange(1, 12).Draw(t, "edits") {
			keys := rapid.SliceOfN(key, 1, 150).Draw(t, "keys")
			if rapid.Bool().Draw(t, "ascending") {
				slices.Sort(keys)
			}
			values := make([]string, len(keys))
			for i := range keys {
				values[i] = fmt.Sprint(len(versions), ".", i)
				rows[keys[i]] = values[i]
			}
			tree.Put(keys, values)
			versions = append(versions, version{tree, maps.Clone(rows)})
		}
		for _, v := range versions {
			sorted := slices.Sorted(maps.Keys(v.rows))
			if got, want := v.tree.Len(), len(sorted); got != want {
				t.Fatalf("Len() = %d, want %d", got, want)
			}
			probe := key.Draw(t, "probe")
			if got, found := v.tree.Find(probe); got != v.rows[probe] || found != (v.rows[probe] != "") {
				t.Fatalf("Find(%s) = %q, %v, want %q", probe, got, found, v.rows[probe])
			}
			i, found := slices.BinarySearch(sorted, probe)
			var want []string
			for _, k := range sorted[i:] {
				want = append(want, k+"="+v.rows[k])
			}
			if got := v.tree.From(probe); !slices.Equal(got, want) {
				t.Fatalf("From(%s) = %v, want %v", probe, got, want)
			}
			floor := ""
			if found {
				floor = probe
			} else if i > 0 {
				floor = sorted[i-1]
			}
			if got, ok := v.tree.Floor(probe); got != floor || ok != (floor != "") {
				t.Fatalf("Floor(%s) = %q, %v, want %q", probe, got, ok, floor)
			}
		}
	})
}
