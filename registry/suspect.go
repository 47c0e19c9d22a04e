package registry

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/state"
)

// A holder whose key was in the wrong hands says so with the keyset that replaces it, or
// whoever revokes the prefix does: what the log holds from a position on, up to that
// entry, is suspect. It is not taken out: a log is never rewritten, and some of it may be
// good. It is told with every answer that rests on it, until its holder has registered it
// anew.
//
// What is meant is what the keys of the prefix could have written: everything at and
// below it, but for what lies below a longer prefix that was delegated before that
// position, and so has keys of its own.

// Suspicion is a part of a log that is suspect.
type Suspicion struct {
	Log    identifier.LogID
	Prefix identifier.Prefix
	// Since is the position of the first entry that is meant, Until that of the one that
	// says so.
	Since, Until uint64
}

// suspicions are those of one log. They may be used concurrently.
type suspicions struct {
	any atomic.Bool // there are some
	mu  sync.RWMutex
	by  map[identifier.Prefix][]Suspicion
}

// suspectNote is what the notes begin with that say so: the prefix follows, and
// the position of the entry, eight octets. The note has the log's id, sixteen octets, and
// the position since when, eight.
const suspectNote = "suspect/"

// suspectMutation is the note of a keyset with a suspicion that an entry brings into force.
func suspectMutation(p identifier.Prefix, s *identifier.Suspicion, position uint64) state.Mutation {
	name := binary.BigEndian.AppendUint64(append([]byte(suspectNote), p...), position)
	return noteMutation(string(name), binary.BigEndian.AppendUint64(bytes.Clone(s.Log[:]), s.Since))
}

// suspect takes note of the suspicion that came into force with an entry, if it has one.
func (l *ledger) suspect(h *held) {
	if h.delegation.Keyset.Suspect == nil {
		return
	}
	if since, ok := l.suspectSince(h.delegation.Keyset.Suspect, h.position); ok {
		l.suspicions.add(Suspicion{Log: l.log, Prefix: h.delegation.Prefix, Since: since, Until: h.position})
	}
}

func (s *suspicions) add(x Suspicion) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.by == nil {
		s.by = make(map[identifier.Prefix][]Suspicion)
	}
	if !slices.Contains(s.by[x.Prefix], x) {
		s.by[x.Prefix] = append(s.by[x.Prefix], x)
	}
	s.any.Store(true)
}

// loadSuspicions reads the notes.
func (l *ledger) loadSuspicions() error {
	for row, err := range l.state.Ascend(context.Background(), state.Notes, l.number, []byte(suspectNote)) {
		if err != nil {
			return err
		}
		name, ok := bytes.CutPrefix(row.Key, []byte(suspectNote))
		if !ok {
			break
		}
		note, err := summed(row.Key, row.Value)
		if err != nil {
			return err
		}
		if len(name) < 8 || len(note) != 24 {
			return fmt.Errorf("a note of what is suspect has %d and %d octets", len(name), len(note))
		}
		prefix, position := name[:len(name)-8], binary.BigEndian.Uint64(name[len(name)-8:])
		said := &identifier.Suspicion{Log: identifier.LogID(note[:16]), Since: binary.BigEndian.Uint64(note[16:])}
		if since, ok := l.suspectSince(said, position); ok {
			l.suspicions.add(Suspicion{Log: l.log, Prefix: identifier.Prefix(prefix), Since: since, Until: position})
		}
	}
	return nil
}

// suspects reports whether what the entry at a position says about a prefix is suspect.
func (l *ledger) suspects(p identifier.Prefix, position uint64) bool {
	if !l.suspicions.any.Load() {
		return false
	}
	l.suspicions.mu.RLock()
	defer l.suspicions.mu.RUnlock()
	since := uint64(math.MaxUint64) // of the oldest delegation below the prefix that is looked at
	for q, ok := p, true; ok; q, ok = q.Parent() {
		for _, s := range l.suspicions.by[q] {
			if s.Since <= position && position < s.Until && since >= s.Since {
				return true
			}
		}
		if h := l.holders.heldAt(q); h.delegation != nil && !h.delegation.Revoked() {
			since = min(since, h.granted)
		}
	}
	return false
}

// list returns all of them, in the order of prefixes and positions.
func (s *suspicions) list() []Suspicion {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var all []Suspicion
	for _, of := range s.by {
		all = append(all, of...)
	}
	slices.SortFunc(all, func(a, b Suspicion) int {
		return cmp.Or(cmp.Compare(a.Prefix, b.Prefix), cmp.Compare(a.Until, b.Until))
	})
	return all
}

// Suspicions returns what is suspect of this node's own log, and of those that it mirrors.
func (r *Registry) Suspicions() []Suspicion {
	all := r.suspicions.list()
	for _, m := range r.logs.mirrors() {
		all = append(all, m.suspicions.list()...)
	}
	return all
}
