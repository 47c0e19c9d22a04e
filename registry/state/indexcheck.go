package state

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"go.etcd.io/bbolt"
)

// CheckIndex checks the index at path, which belongs to no open store, against this
// one: when it says that it knows every record of the state's newest commit, it must.
// One that does not say so, or is not there, is built again at the next start. The
// error is a [*DamageError] or that of reading.
func (s *Store) CheckIndex(path string) error {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("state: %w", err)
	}
	defer f.Close()
	h, err := readIndexHeader(f)
	if err != nil || h.journal != s.o.Journal {
		return nil // the next start makes a new one
	}
	s.committing.Lock()
	defer s.committing.Unlock()
	slots := make([]byte, indexSize(h.bits)-indexHead)
	if _, err := f.ReadAt(slots, indexHead); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("state: %w", err)
	}
	return s.checkIndex(path, h, slots)
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
