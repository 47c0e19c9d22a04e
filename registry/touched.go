package registry

import "hash/maphash"

// touchedSlots is how many groups identifiers fall into: with some thousand rows on their
// way, few of those looked up share one with them.
const touchedSlots = 1 << 16

// touched tells which identifiers may have changed since a position of the log, so that
// a change can be looked up before its turn comes and only what has changed meanwhile
// need be looked up again. Identifiers whose keys have a hash in common change together.
// The sequencer's lock is held for both methods.
type touched struct {
	seed maphash.Seed
	size [touchedSlots]uint64 // of the log, with the newest entry that has a row of the group
}

func newTouched() *touched { return &touched{seed: maphash.MakeSeed()} }

func (t *touched) group(key []byte) *uint64 {
	return &t.size[maphash.Bytes(t.seed, key)%touchedSlots]
}

// by notes that the entry at a position has a row with a key.
func (t *touched) by(position uint64, key []byte) { *t.group(key) = position + 1 }

// since reports whether an entry at or behind a position may have a row with a key.
func (t *touched) since(position uint64, key []byte) bool { return *t.group(key) > position }

// sighting is what the identifiers of a change had when they were looked up, before the
// change had its turn.
type sighting struct {
	standing []standing // by row; nil when nothing was looked up
	size     uint64     // how many entries what was looked at held
}

// look looks the identifiers of a change up. It holds no lock.
func (s *sequencer) look(p *proposal) (sighting, error) {
	found := make([]standing, len(p.entry.Rows))
	size, err := s.readCurrent(p, found)
	if err != nil {
		return sighting{}, err
	}
	return sighting{found, size}, nil
}

// recall fills in what was looked up before and cannot have changed since. mu is held.
func (s *sequencer) recall(before sighting, p *proposal, found []standing) {
	for i := range before.standing {
		same := !s.touched.since(before.size, p.rows.Key(i))
		if !found[i].known && !s.registry.config.left.lacks(ruleLook, same) {
			found[i] = before.standing[i]
		}
	}
}
