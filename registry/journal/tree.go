package journal

import (
	"crypto/sha256"
	"fmt"
	"slices"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/nameplate-id/nameplate/registry/identifier"
)

// Hashes of a tree are kept in tiles, as C2SP tlog-tiles lays them out: tile n of
// level l holds the roots of up to 256 complete subtrees of 256^l leaves each, of
// which the first is subtree 256·n. Its octets are those hashes, 32 each, one
// after another; the rightmost tile of a level may hold fewer, and only grows.
const (
	TileHeight = 8
	TileWidth  = 1 << TileHeight
)

// maxTree is how many leaves a tree may have, as package tlog counts them.
const maxTree = 1 << 62

// Tile is a tile as it is to be stored.
type Tile struct {
	Level  int
	Index  uint64
	Hashes []byte // never written to again
}

// TileStore is where somebody keeps the tiles of one tree.
type TileStore interface {
	// Tile returns the hashes of a tile as far as they are there. The octets are
	// only read, and not kept.
	Tile(level int, index uint64) ([]byte, error)
}

// Tree is the right edge of a Merkle tree (RFC 9162, section 2.1): what is needed
// to append leaves and to tell the root. It hashes about twice per leaf and holds
// about 10 KiB for a million leaves, 34 KiB at most for any log of this world. The
// zero Tree is empty. It may not be used by several goroutines at once.
type Tree struct {
	size uint64
	// subtrees holds the root of the complete subtree of 2^i leaves for every set
	// bit i of size.
	subtrees []tlog.Hash
	// tiles holds the hashes of the rightmost tile of every level; none if it is full.
	tiles [][]byte
}

// OpenTree returns the tree of the first size leaves, of which the store has the
// tiles. It reads at most one tile of each level; it does not verify them: compare
// the root with a checkpoint.
func OpenTree(size uint64, store TileStore) (*Tree, error) {
	if size > maxTree {
		return nil, fmt.Errorf("a log cannot have %d entries", size)
	}
	t := &Tree{size: size}
	for level := 0; size>>(TileHeight*level) > 0; level++ {
		complete := size >> (TileHeight * level) // subtrees of this level
		width := complete % TileWidth
		var hashes []byte
		if width > 0 {
			index := complete / TileWidth
			stored, err := store.Tile(level, index)
			if err != nil {
				return nil, fmt.Errorf("tile %d of level %d: %w", index, level, err)
			}
			if uint64(len(stored)) < width*tlog.HashSize {
				return nil, fmt.Errorf("tile %d of level %d has %d octets; %d leaves need %d", index, level, len(stored), size, width*tlog.HashSize)
			}
			hashes = slices.Clone(stored[:width*tlog.HashSize])
		}
		t.tiles = append(t.tiles, hashes)
		t.addSubtrees(hashes)
	}
	return t, nil
}

// addSubtrees adds the eight subtrees whose roots follow from the hashes of the
// rightmost tile of the next level.
func (t *Tree) addSubtrees(hashes []byte) {
	roots := make([]tlog.Hash, TileHeight)
	for bit := TileHeight - 1; bit >= 0; bit-- {
		if n := tlog.HashSize << bit; len(hashes)/n%2 == 1 {
			roots[bit] = subtreeRoot(hashes[:n])
			hashes = hashes[n:]
		}
	}
	t.subtrees = append(t.subtrees, roots...)
}

// subtreeRoot returns the root over hashes, of which there are a power of two.
func subtreeRoot(hashes []byte) tlog.Hash {
	if len(hashes) == tlog.HashSize {
		return tlog.Hash(hashes)
	}
	half := len(hashes) / 2
	return tlog.NodeHash(subtreeRoot(hashes[:half]), subtreeRoot(hashes[half:]))
}

// Size returns how many leaves there are.
func (t *Tree) Size() uint64 { return t.size }

// Append appends a leaf and returns the tiles that have changed, lowest level
// first: one, and one more for every 256 leaves, 65,536 and so on.
func (t *Tree) Append(leaf []byte) []Tile { return t.AppendHash(LeafHash(leaf)) }

// AppendHash appends a leaf of which only the hash is known.
func (t *Tree) AppendHash(leaf identifier.Hash) []Tile {
	h, changed := tlog.Hash(leaf), []Tile(nil)
	for bit := 0; ; bit++ {
		if bit%TileHeight == 0 {
			changed = append(changed, t.appendToTile(bit/TileHeight, h))
		}
		if t.size>>bit&1 == 0 {
			if bit == len(t.subtrees) {
				t.subtrees = append(t.subtrees, h)
			}
			t.subtrees[bit] = h
			break
		}
		h = tlog.NodeHash(t.subtrees[bit], h)
	}
	t.size++
	return changed
}

// appendToTile appends to the rightmost tile of a level. The octets that were
// given out before stay as they are: only those behind them are written.
func (t *Tree) appendToTile(level int, h tlog.Hash) Tile {
	if level == len(t.tiles) {
		t.tiles = append(t.tiles, nil)
	}
	hashes := append(t.tiles[level], h[:]...)
	t.tiles[level] = hashes
	if len(hashes) == TileWidth*tlog.HashSize {
		t.tiles[level] = nil
	}
	index := t.size >> (TileHeight * (level + 1))
	return Tile{Level: level, Index: index, Hashes: hashes[:len(hashes):len(hashes)]}
}

// Root returns the tree's root.
func (t *Tree) Root() identifier.Hash {
	if t.size == 0 {
		return sha256.Sum256(nil)
	}
	var root tlog.Hash
	first := true
	for bit := range t.subtrees {
		switch {
		case t.size>>bit&1 == 0:
		case first:
			root, first = t.subtrees[bit], false
		default:
			root = tlog.NodeHash(t.subtrees[bit], root)
		}
	}
	return identifier.Hash(root)
}

// Clone returns a tree to try leaves on.
func (t *Tree) Clone() *Tree {
	c := &Tree{size: t.size, subtrees: slices.Clone(t.subtrees), tiles: slices.Clone(t.tiles)}
	for i := range c.tiles {
		c.tiles[i] = slices.Clip(c.tiles[i]) // the next append copies it
	}
	return c
}

// LeafHash returns the hash of a leaf (RFC 9162, section 2.1.1).
func LeafHash(leaf []byte) identifier.Hash { return identifier.Hash(tlog.RecordHash(leaf)) }

// Subtrees returns the roots of the complete subtrees that the tree is made of, one
// for every set bit of its size, the largest first.
func (t *Tree) Subtrees() []identifier.Hash {
	var roots []identifier.Hash
	for bit := len(t.subtrees) - 1; bit >= 0; bit-- {
		if t.size>>bit&1 == 1 {
			roots = append(roots, identifier.Hash(t.subtrees[bit]))
		}
	}
	return roots
}
