package journal_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/journal"
)

// shelf is a TileStore in memory.
type shelf map[[2]uint64][]byte

func (s shelf) Tile(level int, index uint64) ([]byte, error) {
	if t, ok := s[[2]uint64{uint64(level), index}]; ok {
		return t, nil
	}
	return nil, fmt.Errorf("there is no tile")
}

func (s shelf) put(tiles []journal.Tile) {
	for _, t := range tiles {
		s[[2]uint64{uint64(t.Level), t.Index}] = t.Hashes
	}
}

func leaf(i uint64) []byte { return []byte(fmt.Sprintf("leaf %d", i)) }

// grow returns the tree of n leaves, its tiles, and its root at every size.
func grow(n uint64) (*journal.Tree, shelf, []identifier.Hash) {
	tree, store := new(journal.Tree), shelf{}
	roots := []identifier.Hash{tree.Root()}
	for i := range n {
		store.put(tree.Append(leaf(i)))
		roots = append(roots, tree.Root())
	}
	return tree, store, roots
}

// mth is the definition of RFC 9162, section 2.1.1, word by word.
func mth(leaves [][]byte) identifier.Hash {
	switch len(leaves) {
	case 0:
		return sha256.Sum256(nil)
	case 1:
		return sha256.Sum256(append([]byte{0}, leaves[0]...))
	}
	k := 1
	for k*2 < len(leaves) {
		k *= 2
	}
	left, right := mth(leaves[:k]), mth(leaves[k:])
	return sha256.Sum256(slices.Concat([]byte{1}, left[:], right[:]))
}

// The tree that the Certificate Transparency project tests with
// (google/certificate-transparency, merkle_tree_test.cc).
func TestTreeVectors(t *testing.T) {
	leaves := []string{"", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"}
	roots := []string{
		"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
		"6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
		"fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
		"aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
		"d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
		"4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
		"76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
		"ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
		"5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
	}
	tree := new(journal.Tree)
	for i, want := range roots {
		if root := tree.Root(); hex.EncodeToString(root[:]) != want {
			t.Errorf("root of %d leaves: got %x, want %s", i, root, want)
		}
		if i < len(leaves) {
			b, _ := hex.DecodeString(leaves[i])
			tree.Append(b)
		}
	}
}

func TestTreeDefinition(t *testing.T) {
	_, _, roots := grow(700)
	var leaves [][]byte
	for size := range uint64(700) {
		if want := mth(leaves); roots[size] != want {
			t.Fatalf("root of %d leaves: got %x, want %x", size, roots[size], want)
		}
		leaves = append(leaves, leaf(size))
	}
}

// TestTreeReopened opens the tree at every size, from tiles that have got further,
// and goes on.
func TestTreeReopened(t *testing.T) {
	const n = 66_500 // three levels of tiles
	_, store, roots := grow(n)
	sizes := []uint64{65_279, 65_280, 65_281, 65_535, 65_536, 65_537, 65_792, 66_000, n}
	for size := range uint64(1030) {
		sizes = append(sizes, size)
	}
	for _, size := range sizes {
		tree, err := journal.OpenTree(size, store)
		if err != nil {
			t.Fatal(err)
		}
		if tree.Root() != roots[size] || tree.Size() != size {
			t.Fatalf("opened at %d: got size %d and another root", size, tree.Size())
		}
		for i := size; i < min(size+300, n); i++ {
			for _, tile := range tree.Append(leaf(i)) {
				if want := store[[2]uint64{uint64(tile.Level), tile.Index}]; !bytes.HasPrefix(want, tile.Hashes) {
					t.Fatalf("opened at %d, leaf %d: tile %d of level %d is another", size, i, tile.Index, tile.Level)
				}
			}
			if tree.Root() != roots[i+1] {
				t.Fatalf("opened at %d: another root at %d", size, i+1)
			}
		}
	}
}

// TestTiles compares the tiles with those of package tlog.
func TestTiles(t *testing.T) {
	const n = 66_000
	_, store, _ := grow(n)
	var hashes []tlog.Hash
	reader := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		var out []tlog.Hash
		for _, i := range indexes {
			out = append(out, hashes[i])
		}
		return out, nil
	})
	for i := range int64(n) {
		stored, err := tlog.StoredHashes(i, leaf(uint64(i)), reader)
		if err != nil {
			t.Fatal(err)
		}
		hashes = append(hashes, stored...)
	}
	tiles := tlog.NewTiles(journal.TileHeight, 0, n)
	if len(tiles) != len(store) {
		t.Errorf("got %d tiles, want %d", len(store), len(tiles))
	}
	for _, tile := range tiles {
		want, err := tlog.ReadTileData(tile, reader)
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := store.Tile(tile.L, uint64(tile.N)); !bytes.Equal(got, want) {
			t.Errorf("tile %s: got %d octets, want %d others", tile.Path(), len(got), len(want))
		}
	}
}

// TestTileOctetsStay checks that what Append gave out does not change.
func TestTileOctetsStay(t *testing.T) {
	tree := new(journal.Tree)
	var given []journal.Tile
	var copies [][]byte
	for i := range uint64(600) {
		if i == 300 { // a tree that goes another way must not reach into this one
			other := tree.Clone()
			for k := range uint64(300) {
				other.Append(leaf(k))
			}
		}
		for _, tile := range tree.Append(leaf(i)) {
			given = append(given, tile)
			copies = append(copies, slices.Clone(tile.Hashes))
		}
	}
	for i := range given {
		if !bytes.Equal(given[i].Hashes, copies[i]) {
			t.Fatalf("tile %d of level %d has changed since it was given out", given[i].Index, given[i].Level)
		}
	}
	if _, _, roots := grow(600); tree.Root() != roots[600] {
		t.Error("the tree has another root after a clone of it grew")
	}
}

func TestProofs(t *testing.T) {
	const n = 66_000
	_, store, roots := grow(n)
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.Uint64Range(1, n).Draw(t, "size")
		index := rapid.Uint64Range(0, size-1).Draw(t, "index")
		old := rapid.Uint64Range(0, size).Draw(t, "old")
		root, err := journal.Root(size, store)
		if err != nil || root != roots[size] {
			t.Fatalf("got root %x, error %v, want %x", root, err, roots[size])
		}
		inclusion, err := journal.ProveInclusion(index, size, store)
		if err != nil {
			t.Fatal(err)
		}
		if err := journal.CheckInclusion(inclusion, index, size, root, journal.LeafHash(leaf(index))); err != nil {
			t.Error(err)
		}
		if journal.CheckInclusion(inclusion, index, size, root, journal.LeafHash(leaf(index+1))) == nil {
			t.Error("the proof fits another leaf")
		}
		consistency, err := journal.ProveConsistency(old, size, store)
		if err != nil {
			t.Fatal(err)
		}
		if err := journal.CheckConsistency(consistency, old, size, roots[old], root); err != nil {
			t.Error(err)
		}
		wrong := roots[old]
		wrong[7] ^= 1
		if journal.CheckConsistency(consistency, old, size, wrong, root) == nil {
			t.Error("the proof fits another old root")
		}
		if len(inclusion) > 0 {
			inclusion[rapid.IntRange(0, len(inclusion)-1).Draw(t, "hash")][3] ^= 1
			if journal.CheckInclusion(inclusion, index, size, root, journal.LeafHash(leaf(index))) == nil {
				t.Error("a changed proof was accepted")
			}
		}
	})
}

func TestProofRefusals(t *testing.T) {
	_, store, roots := grow(300)
	var none identifier.Hash
	for name, err := range map[string]error{
		"inclusion of what is behind":   second(journal.ProveInclusion(300, 300, store)),
		"inclusion in no tree":          second(journal.ProveInclusion(0, 0, store)),
		"inclusion in a huge tree":      second(journal.ProveInclusion(0, 1<<63, store)),
		"tiles that are not there":      second(journal.ProveInclusion(0, 1000, store)),
		"tiles that are too short":      second(journal.ProveInclusion(299, 301, store)),
		"consistency backwards":         second(journal.ProveConsistency(301, 300, store)),
		"consistency with a huge tree":  second(journal.ProveConsistency(1, 1<<63, store)),
		"root of a huge tree":           second(journal.Root(1<<63, store)),
		"root of what is not there":     second(journal.Root(100_000, store)),
		"tree that is not there":        second(journal.OpenTree(100_000, store)),
		"tree with too short a tile":    second(journal.OpenTree(301, store)),
		"huge tree":                     second(journal.OpenTree(1<<63, store)),
		"checking a leaf behind":        journal.CheckInclusion(nil, 1, 1, roots[1], none),
		"checking a huge tree":          journal.CheckInclusion(nil, 1, 1<<63, roots[1], none),
		"checking backwards":            journal.CheckConsistency(nil, 2, 1, roots[2], roots[1]),
		"a proof where none is needed":  journal.CheckConsistency([]identifier.Hash{none}, 0, 1, roots[0], roots[1]),
		"nothing with a root":           journal.CheckConsistency(nil, 0, 1, none, roots[1]),
		"two roots for one size":        journal.CheckConsistency(nil, 1, 1, roots[1], roots[2]),
		"two roots for the empty tree":  journal.CheckConsistency(nil, 0, 0, roots[0], roots[1]),
		"consistency without its proof": journal.CheckConsistency(nil, 3, 7, roots[3], roots[7]),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if err := journal.CheckConsistency(nil, 5, 5, roots[5], roots[5]); err != nil {
		t.Error(err)
	}
}

func second[T any](_ T, err error) error { return err }

func BenchmarkTreeAppend(b *testing.B) {
	tree := new(journal.Tree)
	leaf := make([]byte, 250)
	b.ReportAllocs()
	for b.Loop() {
		tree.Append(leaf)
	}
}
