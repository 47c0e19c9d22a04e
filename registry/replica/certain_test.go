package replica_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/replica"
)

// parting is a log of which the roots alone are known: two are the same up to where they
// part.
type parting struct {
	replica.History
	parts, name uint64
	asked       int
}

func (h *parting) root(size uint64) (root identifier.Hash) {
	root[0] = byte(size)
	if size > h.parts {
		root[1] = byte(h.name)
	}
	return root
}

func (h *parting) Root(size uint64) (identifier.Hash, error) {
	h.asked++
	return h.root(size), nil
}

// What is certain of a mirror does not depend on the order of the rows, and the largest one
// alone tells where it agrees.
func TestCut(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.Uint64Range(0, 40).Draw(t, "size")
		parts := rapid.Uint64Range(0, 40).Draw(t, "parts")
		mirror, other := &parting{parts: parts, name: 1}, &parting{parts: parts, name: 2}
		var rows []replica.Row
		var kept uint64
		astray := false
		for range rapid.IntRange(0, 8).Draw(t, "rows") {
			row := replica.Row{Size: rapid.Uint64Range(1, 40).Draw(t, "row")}
			good := rapid.Bool().Draw(t, "good") || row.Size <= parts
			if row.Root = other.root(row.Size); good {
				row.Root = mirror.root(row.Size)
			}
			rows = append(rows, row)
			if good && row.Size <= size {
				kept = max(kept, row.Size)
			}
		}
		for _, row := range rows {
			astray = astray || row.Size <= size && row.Size > kept
		}
		for name, order := range map[string]func(a, b replica.Row) int{
			"as they came": nil,
			"ascending":    func(a, b replica.Row) int { return int(a.Size) - int(b.Size) },
			"descending":   func(a, b replica.Row) int { return int(b.Size) - int(a.Size) },
		} {
			rows := slices.Clone(rows)
			if order != nil {
				slices.SortStableFunc(rows, order)
			}
			gotKept, gotAstray, err := replica.Cut(rows, size, mirror)
			if err != nil || gotKept.Size != kept || gotAstray != astray {
				t.Errorf("%s: %d entries are kept, astray %v, %v; want %d, %v", name, gotKept.Size, gotAstray, err, kept, astray)
			}
		}
	})
}

// Of rows for years no more is worked out than of the largest, where that one agrees.
func TestCuttingByTheLargest(t *testing.T) {
	mirror := &parting{parts: 1000}
	var c replica.Cutting
	for size := uint64(1000); size > 0; size-- {
		if err := c.Weigh(replica.Row{Size: size, Root: mirror.root(size)}, 1000, mirror); err != nil {
			t.Fatal(err)
		}
	}
	if kept, astray := c.Found(); kept.Size != 1000 || astray || mirror.asked != 1 {
		t.Errorf("%d entries are kept, astray %v, after %d roots", kept.Size, astray, mirror.asked)
	}
}
