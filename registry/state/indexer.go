package state

import (
	"bytes"
	"context"

	"go.etcd.io/bbolt"
)

// The applier keeps the index behind its commits:
//
//	commit to bbolt            durable
//	follow the tree            which leaves are new, which are gone
//	new snapshot               readers see the leaves of the commit
//	note the rows of new leaves, forget what was withdrawn
//
// A crash between any two leaves an index that says it belongs to no commit, for that
// is what its header says from the opening to the end of a clean close. Its hints may
// lead anywhere; a hint counts only where it leads to a leaf of the reader's own
// commit and to a row with the key in question. Such a row is the one that a search
// would find, for a tree has a key only once. So nothing here can make a reader
// find what bbolt would not find, nor miss what it would: where no hint counts, bbolt
// is searched.
//
// After such a start the applier walks the tree between its commits and notes
// all rows again.

// openIndex opens the index beside the file. Without one everything works.
func (s *Store) openIndex(tx *bbolt.Tx) {
	if s.o.Index == "" {
		return
	}
	shape := new(shape)
	if _, s.indexError = shape.follow(tx); s.indexError != nil {
		return
	}
	of := indexOf{commit: uint64(tx.ID()), applied: s.applied}
	if of.layout, s.indexError = shape.layout(mappingOf(tx)); s.indexError != nil {
		return
	}
	s.index, s.indexError = openIndex(s.o.Index, s.o.Journal, of)
	if s.index != nil {
		s.shape = shape
	}
}

// closeIndex closes the index, which belongs to a commit if it is complete. No reader is left.
func (s *Store) closeIndex(of indexOf) error {
	if s.index == nil {
		return nil
	}
	return s.index.close(of)
}

// lastIndexOf returns to which commit the index belongs that is closed now. The file is still
// open.
func (s *Store) lastIndexOf() (of indexOf) {
	if s.index == nil {
		return of
	}
	s.mu.Lock()
	failed := s.failed
	of = indexOf{commit: uint64(s.snap.Load().base), applied: s.applied}
	s.mu.Unlock()
	if failed != nil || !s.index.complete {
		s.index.complete = false // of a commit that nobody knows of
		return of
	}
	s.index.guarded(s.path, func() error {
		return s.read(func(tx *bbolt.Tx) (err error) {
			of.layout, err = s.shape.layout(mappingOf(tx))
			return err
		})
	})
	return of
}

// followTree takes in which leaves the commit that was just made has. It returns those
// that are new, and none when the index is not to be used any more.
func (s *Store) followTree() (of *leaves, fresh []uint64) {
	if s.index == nil || s.index.off.Load() {
		return nil, nil
	}
	s.index.guarded(s.path, func() error {
		return s.read(func(tx *bbolt.Tx) (err error) {
			fresh, err = s.shape.follow(tx)
			return err
		})
	})
	if s.index.off.Load() {
		return nil, nil
	}
	return s.shape.leaves, fresh
}

// note notes where the rows of a commit are.
func (s *Store) note(g *generation, of *leaves, fresh []uint64) {
	if of == nil {
		return
	}
	s.index.guarded(s.o.Index, func() error {
		if err := s.growIndex(); err != nil {
			return err
		}
		var a ascent
		for a.seek(g.trees[Records], nil); a.row() != nil; a.next() {
			if a.row().gone {
				s.index.remove(hashOf(a.row().key))
			}
		}
		return s.read(func(tx *bbolt.Tx) error {
			m := mappingOf(tx)
			for _, id := range fresh {
				p, err := m.page(id)
				if err != nil {
					return err
				}
				if err := s.noteLeaf(&p, of); err != nil {
					return err
				}
			}
			return nil
		})
	})
}

// growIndex makes room for all records. When it did, all rows are noted again: some of
// them found no place before.
func (s *Store) growIndex() error {
	grew, err := s.index.grow(s.liveRecords())
	if grew {
		s.index.lacking = s.index.lacking || s.index.complete
		s.index.begin()
		s.indexNext = nil
		s.mu.Lock()
		s.indexed = false
		s.mu.Unlock()
	}
	return err
}

// noteLeaf notes where the rows of a leaf are.
func (s *Store) noteLeaf(p *page, of *leaves) error {
	var hashes [notedAtOnce]uint64
	var elements [notedAtOnce]int
	for next := 0; next < p.count; {
		n := 0
		for ; next < p.count && n < notedAtOnce; next++ {
			_, key, _, err := p.element(next)
			if err != nil {
				return err
			}
			if len(key) >= logSize { // not the pad
				hashes[n], elements[n] = hashOf(key), next
				n++
			}
		}
		s.index.approach(hashes[:n])
		for i := range n {
			s.index.put(hashes[i], p.id, elements[i], of)
		}
	}
	return nil
}

// notedAtOnce is for how many rows memory is asked before the first is noted.
const notedAtOnce = 32

// liveRecords returns how many records of all logs are live.
func (s *Store) liveRecords() (n uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.totals {
		n += t.Live
	}
	return n
}

// indexing reports whether the index does not know every record yet.
func (s *Store) indexing() bool {
	return s.index != nil && !s.index.complete && !s.index.off.Load()
}

// indexSome notes the rows of the next branch of leaves.
func (s *Store) indexSome() {
	s.committing.Lock()
	defer s.committing.Unlock()
	if s.ended || !s.indexing() {
		return
	}
	s.index.guarded(s.o.Index, func() error {
		if err := s.growIndex(); err != nil {
			return err
		}
		return s.read(func(tx *bbolt.Tx) error {
			next, err := s.noteBranch(mappingOf(tx), s.indexNext)
			s.indexNext, s.index.complete = next, next == nil
			return err
		})
	})
}

// noteBranch notes the rows of the leaves that have one parent with the leaf of a
// key, and returns the key behind them; nil when there is none. A leaf that is not
// sound is left out: whoever searches it will say so.
func (s *Store) noteBranch(m mapping, from []byte) (next []byte, err error) {
	id, low := s.shape.root, []byte(nil)
	for depth := s.shape.depth; ; depth-- {
		p, err := m.page(id)
		if err != nil {
			return nil, err
		}
		if depth == 0 {
			s.noteSound(&p, low, next)
			return next, nil
		}
		if depth == 1 {
			return next, s.noteChildren(m, &p, next)
		}
		at := place{page: p}
		i, err := at.childOf(from)
		if err != nil {
			return nil, err
		}
		head, first, _, err := p.element(i)
		if err != nil {
			return nil, err
		}
		id, low = child(head), first
		if i+1 < p.count {
			_, key, _, err := p.element(i + 1)
			if err != nil {
				return nil, err
			}
			next = bytes.Clone(key)
		}
	}
}

// noteChildren notes the rows of a branch's leaves, whose keys are below high.
func (s *Store) noteChildren(m mapping, branch *page, high []byte) error {
	for i := range branch.count {
		head, low, _, err := branch.element(i)
		if err != nil {
			return err
		}
		behind := high
		if i+1 < branch.count {
			if _, behind, _, err = branch.element(i + 1); err != nil {
				return err
			}
		}
		if p, err := m.page(child(head)); err == nil {
			s.noteSound(&p, low, behind)
		}
	}
	return nil
}

func (s *Store) noteSound(p *page, low, high []byte) {
	if p.flags == leafFlag && p.check(low, high) == nil {
		_ = s.noteLeaf(p, s.shape.leaves) // it was just checked
	}
}

// WaitIndexed waits until the index knows every record that was committed before, or
// is known not to be of use. The applier must run.
func (s *Store) WaitIndexed(ctx context.Context) error {
	return s.wait(ctx, func() bool { return s.indexed })
}

// tellIndexed wakes who waits for the index.
func (s *Store) tellIndexed() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.indexed {
		s.indexed = true
		s.broadcast()
	}
}

// IndexStats are figures about the index.
type IndexStats struct {
	// Complete says that it knows every record, as far as there is room.
	Complete bool
	// Octets of its file in use; 0 when there is none.
	Octets int64
	// Err is why there is none where there should be one; nil otherwise.
	Err error
}

func (s *Store) indexStats() IndexStats {
	st := IndexStats{Err: s.indexError}
	if s.index != nil && !s.index.off.Load() {
		st.Octets = indexSize(s.index.bits.Load())
		s.mu.Lock()
		st.Complete = s.indexed
		s.mu.Unlock()
	}
	return st
}
