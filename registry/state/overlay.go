package state

import (
	"bytes"
	"encoding/binary"
)

// rowCost is what a row of the overlay counts beside its key and value: its share
// of nodes and slices.
const rowCost = 128

// generation is what was published between two commits. Readers get it by value
// or by pointer from a snapshot and never change it.
type generation struct {
	trees [tables]tree
	logs  tree   // log number → its row in the snapshot's positions, for the commit
	rows  int    // in all trees
	bytes int64  // what they count against the limit
	end   uint64 // journal offset behind the last batch; 0 when there is none
}

// snapshot is what a reader captures in one atomic load. It never changes.
type snapshot struct {
	current *generation
	// committing is the generation that is being written to bbolt, or nil.
	committing *generation
	// base is the id of the bbolt transaction that held everything older than
	// both generations. While committing is set, base+1 is the one that holds it.
	base int
	// leaves are those of the records in transaction base; nil when the index is not
	// to be used.
	leaves *leaves
	// positions holds how many entries of every log have been published: log
	// number → u64.
	positions tree
}

// put puts a row unless the generation holds a version that is not lower.
func (g *generation) put(e *edit, t Table, r row) {
	tree := &g.trees[t]
	if t.versioned() {
		if old := tree.get(r.key); old != nil && version(old.value) >= version(r.value) {
			return
		}
	}
	old, replaced := tree.put(e, r)
	if replaced {
		g.bytes += int64(len(r.value)) - int64(len(old.value))
		return
	}
	g.rows++
	g.bytes += rowCost + int64(len(r.key)) + int64(len(r.value))
}

// overlays returns the generations to ask, the newer one first.
func (s *snapshot) overlays() [2]*generation { return [2]*generation{s.current, s.committing} }

// lookup returns what the overlay knows of a row, or nil. Of equal versions the one
// that came first counts.
func (s *snapshot) lookup(t Table, key []byte) *row {
	r := s.current.trees[t].get(key)
	if s.committing == nil || r != nil && !t.versioned() {
		return r
	}
	if old := s.committing.trees[t].get(key); r == nil || old != nil && version(old.value) >= version(r.value) {
		return old
	}
	return r
}

// position returns how many entries of a log the snapshot holds.
func (s *snapshot) position(log uint32) uint64 {
	var key [logSize]byte
	binary.BigEndian.PutUint32(key[:], log)
	if r := s.positions.get(key[:]); r != nil {
		return binary.BigEndian.Uint64(r.value)
	}
	return 0
}

// sum returns the rows and octets that wait to be committed.
func (s *snapshot) sum() (rows int, octets int64) {
	rows, octets = s.current.rows, s.current.bytes
	if s.committing != nil {
		rows += s.committing.rows
		octets += s.committing.bytes
	}
	return rows, octets
}

// underPrefix reports whether a row's key begins with prefix.
func underPrefix(r *row, prefix []byte) bool {
	return r != nil && bytes.HasPrefix(r.key, prefix)
}
