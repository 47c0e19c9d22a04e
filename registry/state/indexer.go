package state

import (
	"bytes"
	"context"
	"fmt"
	"sync/atomic"

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

// checkIndex checks that the slots of an index know every record.
func (s *Store) checkIndex(path string, h indexHeader, slots []byte) error {
	return s.read(func(tx *bbolt.Tx) error {
		if h.of.commit != uint64(tx.ID()) || h.of.applied != s.Applied() {
			return nil // it says that it does not
		}
		shape := new(shape)
		fresh, err := shape.follow(tx)
		if err != nil {
			return err
		}
		if layout, err := shape.layout(mappingOf(tx)); err != nil || layout != h.of.layout {
			return err // nor of this file
		}
		c := indexCheck{m: mappingOf(tx), leaves: shape.leaves, bits: h.bits, slots: slots}
		unknown := uint64(0)
		for _, id := range fresh {
			p, err := c.m.page(id)
			if err != nil {
				return err
			}
			for i := range p.count {
				_, key, _, err := p.element(i)
				if err != nil {
					return err
				}
				if len(key) < logSize || c.knows(hashOf(key), id, i) {
					continue
				}
				if unknown++; unknown > h.gaps {
					return &DamageError{path, fmt.Sprintf("it does not know where key %q is", key[logSize:])}
				}
			}
		}
		return nil
	})
}

// indexCheck looks for rows in the slots of an index.
type indexCheck struct {
	m      mapping
	leaves *leaves
	bits   uint32
	slots  []byte
}

// knows reports whether there is a hint that leads to a row, or no room for one. Two rows
// whose hashes agree in all bits that count have one hint, to either.
func (c *indexCheck) knows(hash, id uint64, element int) bool {
	full := true
	for i := range bucketSlots {
		h := hint(native.Uint64(c.slots[(hash&(1<<c.bits-1)*bucketSlots+uint64(i))*8:]))
		leads := c.leads(h, hash)
		if h == makeHint(hash, id, element) || leads && h.tag() == tagOf(hash) {
			return true
		}
		full = full && leads
	}
	return full || id >= 1<<pageBits || element >= 1<<elementBits
}

// leads reports whether a hint leads to a row that belongs into the same bucket.
func (c *indexCheck) leads(h hint, hash uint64) bool {
	if !c.leaves.has(h.page()) {
		return false
	}
	p, err := c.m.page(h.page())
	if err != nil || h.element() >= p.count {
		return false
	}
	_, key, _, err := p.element(h.element())
	if err != nil || len(key) < logSize {
		return false
	}
	there := hashOf(key)
	return tagOf(there) == h.tag() && (there^hash)&(1<<c.bits-1) == 0
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

// lookup returns what the row with a key in the mapped file has for a value, when the
// index leads there; nil when bbolt must be searched.
func (x *index) lookup(m mapping, of *leaves, hash uint64, stored []byte) []byte {
	b := x.bucket(hash)
	tag := tagOf(hash)
	for i := range b {
		h := hint(atomic.LoadUint64(&b[i]))
		if h.tag() != tag || !of.has(h.page()) {
			continue
		}
		if key, value := m.row(h.page(), h.element()); value != nil && bytes.Equal(key, stored) {
			return value
		}
	}
	return nil
}

// row returns key and value of an element of a leaf; nil when it is none.
func (m mapping) row(id uint64, element int) (key, value []byte) {
	head := m.octets(id*pageSize, pageSize)
	if head == nil || native.Uint64(head) != id || native.Uint16(head[8:]) != leafFlag || element >= int(native.Uint16(head[10:])) {
		return nil, nil
	}
	at := pageHeaderSize + element*elementSize
	if at+elementSize > pageSize {
		return nil, nil
	}
	e := head[at : at+elementSize]
	if native.Uint32(e) != 0 { // a bucket
		return nil, nil
	}
	start := id*pageSize + uint64(at) + uint64(native.Uint32(e[4:]))
	ksize, vsize := uint64(native.Uint32(e[8:])), uint64(native.Uint32(e[12:]))
	if ksize > logSize+MaxKey || vsize > MaxValue {
		return nil, nil
	}
	b := m.octets(start, ksize+vsize)
	if b == nil {
		return nil, nil
	}
	return b[:ksize:ksize], b[ksize:]
}
