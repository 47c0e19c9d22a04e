package state

import (
	"bytes"
	"encoding/binary"
)

// rowCost is what a row of the overlay counts beside its key and value: its share
// of nodes and slices.
const rowCost = 128

// generation is what one commit takes. Readers get it by value or by pointer from a
// snapshot and never change it.
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
	// sealed are the generations that take no more rows and are not committed yet, the
	// newest first. While committing is set, the last is being written to bbolt.
	sealed     []*generation
	committing bool
	// base is the id of the bbolt transaction that held everything older than
	// the generations. While committing is set, base+1 is the one that holds the oldest.
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
	old, replaced := tree.put(e, r)
	if replaced {
		if t.versioned() && version(old.value) >= version(r.value) {
			tree.put(e, old) // rare, so nothing is looked up before
			return
		}
		g.bytes += grown(old.value, r.value)
		return
	}
	g.rows++
	g.bytes += rowCost + int64(len(r.key)) + int64(len(r.value))
}

// grown returns how many octets a value keeps in memory beside those of the one that it
// replaces. The old one may share its memory with others, which keep it, so that counts
// on; but where the new one begins with the old one itself, as a tile of hashes does to
// which one was appended, only what is behind it is more.
func grown(old, value []byte) int64 {
	if len(old) > 0 && len(old) <= len(value) && &old[0] == &value[0] {
		return int64(len(value) - len(old))
	}
	return int64(len(value))
}

// seal makes the current generation one that takes no more rows, and begins another.
func (s *snapshot) seal() {
	s.sealed = append([]*generation{s.current}, s.sealed...)
	s.current = new(generation)
}

// empty reports whether everything is in bbolt.
func (s *snapshot) empty() bool { return s.current.rows == 0 && len(s.sealed) == 0 }

// end returns how far the journal is covered by what needs no gathering any more.
func (s *snapshot) end() uint64 {
	if len(s.sealed) == 0 {
		return 0
	}
	return s.sealed[0].end
}

// overlays appends the generations to ask, the newest first.
func (s *snapshot) overlays(to []*generation) []*generation {
	return append(append(to, s.current), s.sealed...)
}

// lookup returns what the overlay knows of a row, or nil. Of equal versions the one
// that came first counts.
func (s *snapshot) lookup(t Table, key []byte) *row {
	r, _ := s.lookupAnd(t, key)
	return r
}

// lookupAnd is lookup, and returns the key of the first row behind in any generation where
// there is no row with the key itself; nil when there is none.
func (s *snapshot) lookupAnd(t Table, key []byte) (r *row, behind []byte) {
	r, behind = s.current.trees[t].search(key)
	for _, g := range s.sealed {
		if r != nil && !t.versioned() {
			return r, nil
		}
		old, next := g.trees[t].search(key)
		if r == nil || old != nil && version(old.value) >= version(r.value) {
			r = old
		}
		if behind == nil || next != nil && bytes.Compare(next, behind) < 0 {
			behind = next
		}
	}
	return r, behind
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
	for _, g := range s.sealed {
		rows += g.rows
		octets += g.bytes
	}
	return rows, octets
}

// underPrefix reports whether a row's key begins with prefix.
func underPrefix(r *row, prefix []byte) bool {
	return r != nil && bytes.HasPrefix(r.key, prefix)
}
