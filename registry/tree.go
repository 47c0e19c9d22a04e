package registry

import (
	"sync"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/journal"
	"github.com/nameplate-id/nameplate/registry/state"
)

// logTree is the Merkle tree over the synced entries of a log. Its
// hashes go into the state together with what the entries mean.
type logTree struct {
	mu     sync.Mutex
	tree   *journal.Tree
	stored []storedTile // the rightmost of each level
}

// append adds an entry's leaf and returns the rows of the tiles that it changed.
func (t *logTree) append(leaf []byte) []state.Mutation {
	t.mu.Lock()
	defer t.mu.Unlock()
	tiles := t.tree.Append(leaf)
	mutations := make([]state.Mutation, len(tiles))
	for i, tile := range tiles {
		if tile.Level == len(t.stored) {
			t.stored = append(t.stored, storedTile{})
		}
		key := state.AppendTileKey(nil, uint8(tile.Level), tile.Index)
		mutations[i] = state.Mutation{Table: state.Tiles, Key: key, Value: t.stored[tile.Level].grow(key, tile)}
	}
	return mutations
}

// head returns the size and the root.
func (t *logTree) head() (uint64, identifier.Hash) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.tree.Size(), t.tree.Root()
}

// subtrees returns the roots of the complete subtrees, the largest first.
func (t *logTree) subtrees() []identifier.Hash {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.tree.Subtrees()
}

// edge returns both at once: the size, and the roots of the complete subtrees.
func (t *logTree) edge() (uint64, []identifier.Hash) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.tree.Size(), t.tree.Subtrees()
}

// tiles reads the hashes that the state keeps.
type tiles struct {
	state *state.Store
	log   uint32
}

// Tile implements [journal.TileStore].
func (t tiles) Tile(level int, index uint64) ([]byte, error) {
	var hashes []byte
	err := t.state.View(func(v *state.Reader) error {
		key := state.AppendTileKey(nil, uint8(level), index)
		b := v.Get(state.Tiles, t.log, key)
		if b == nil {
			return &identifier.DamageError{Key: key, Reason: "the hash tile is missing"}
		}
		var err error
		hashes, err = tileHashes(key, b)
		return err
	})
	return hashes, err
}
