package journal

import (
	"crypto/sha256"
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/nameplate-id/nameplate/registry/identifier"
)

// Root returns the root of the first size leaves of a tree whose tiles are stored.
func Root(size uint64, store TileStore) (identifier.Hash, error) {
	switch {
	case size == 0:
		return sha256.Sum256(nil), nil
	case size > maxTree:
		return identifier.Hash{}, fmt.Errorf("a log cannot have %d entries", size)
	}
	h, err := tlog.TreeHash(int64(size), hashReader(store))
	return identifier.Hash(h), err
}

// ProveInclusion returns the proof that leaf index is in the tree of the first
// size leaves (RFC 9162, section 2.1.3).
func ProveInclusion(index, size uint64, store TileStore) ([]identifier.Hash, error) {
	if size > maxTree || index >= size {
		return nil, fmt.Errorf("there is no entry %d among the first %d", index, size)
	}
	proof, err := tlog.ProveRecord(int64(size), int64(index), hashReader(store))
	return ours(proof), err
}

// CheckInclusion returns nil when the proof shows that the leaf with this hash is
// leaf index of the tree with size leaves and this root.
func CheckInclusion(proof []identifier.Hash, index, size uint64, root, leaf identifier.Hash) error {
	if size > maxTree || index >= size {
		return fmt.Errorf("there is no entry %d among the first %d", index, size)
	}
	if tlog.CheckRecord(theirs(proof), int64(size), tlog.Hash(root), int64(index), tlog.Hash(leaf)) != nil {
		return fmt.Errorf("the proof does not show that the entry is number %d among the first %d", index, size)
	}
	return nil
}

// ProveConsistency returns the proof that the tree of the first old leaves is the
// beginning of that of the first size leaves (RFC 9162, section 2.1.4). It is
// empty when old is 0 or size.
func ProveConsistency(old, size uint64, store TileStore) ([]identifier.Hash, error) {
	switch {
	case size > maxTree || old > size:
		return nil, fmt.Errorf("%d entries are not the beginning of %d", old, size)
	case old == 0:
		return nil, nil
	}
	proof, err := tlog.ProveTree(int64(size), int64(old), hashReader(store))
	return ours(proof), err
}

// CheckConsistency returns nil when the proof shows that the tree with old leaves
// and root oldRoot is the beginning of that with size leaves and this root.
func CheckConsistency(proof []identifier.Hash, old, size uint64, oldRoot, root identifier.Hash) error {
	refused := fmt.Errorf("the proof does not show that the first %d entries are the beginning of the %d", old, size)
	switch {
	case size > maxTree || old > size:
		return refused
	case old == 0:
		if len(proof) != 0 || oldRoot != sha256.Sum256(nil) || size == 0 && root != oldRoot {
			return refused
		}
		return nil
	}
	if tlog.CheckTree(theirs(proof), int64(size), tlog.Hash(root), int64(old), tlog.Hash(oldRoot)) != nil {
		return refused
	}
	return nil
}

func ours(hashes []tlog.Hash) []identifier.Hash {
	var out []identifier.Hash
	for _, h := range hashes {
		out = append(out, identifier.Hash(h))
	}
	return out
}

func theirs(hashes []identifier.Hash) []tlog.Hash {
	var out []tlog.Hash
	for _, h := range hashes {
		out = append(out, tlog.Hash(h))
	}
	return out
}

// errShortTile says that the store has not got as far as the tree.
var errShortTile = errors.New("the tile does not hold the hash yet")

// hashReader reads single hashes out of stored tiles, each tile once.
func hashReader(store TileStore) tlog.HashReader {
	type place struct {
		level int
		index int64
	}
	return tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		tiles := make(map[place][]byte)
		hashes := make([]tlog.Hash, 0, len(indexes))
		for _, index := range indexes {
			t := tlog.TileForIndex(TileHeight, index)
			at := place{t.L, t.N}
			tile, err := tiles[at], error(nil)
			if tile == nil {
				if tile, err = store.Tile(t.L, uint64(t.N)); err != nil {
					return nil, fmt.Errorf("tile %d of level %d: %w", t.N, t.L, err)
				}
				tiles[at] = tile
			}
			if len(tile) < t.W*tlog.HashSize {
				return nil, fmt.Errorf("tile %d of level %d: %w", t.N, t.L, errShortTile)
			}
			h, err := tlog.HashFromTile(t, tile, index)
			if err != nil {
				return nil, fmt.Errorf("tile %d of level %d: %w", t.N, t.L, err)
			}
			hashes = append(hashes, h)
		}
		return hashes, nil
	})
}
