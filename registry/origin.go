package registry

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/state"
)

// A keyset says since which position of which log something is suspect. When the log is
// continued as another one its entries are logged anew, at other positions, and what the
// holder has signed goes on naming the old ones. So who joins the histories marks the
// places: an origin says that what stood in that log from that position on follows. It is
// the node's word. A node that leaves it out gains nothing: then all that stands before
// the keyset is suspect.

// origins are the places that a log marks. They may be used concurrently.
type origins struct {
	mu sync.RWMutex
	at map[identifier.Origin][]uint64 // positions of the entries, ascending
}

func (o *origins) add(x identifier.Origin, position uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.at == nil {
		o.at = make(map[identifier.Origin][]uint64)
	}
	if !slices.Contains(o.at[x], position) {
		o.at[x] = append(o.at[x], position)
	}
}

// before returns the last place before a position that marks an origin. Where two
// histories were joined each has its own, and what one of them says is about itself.
func (o *origins) before(x identifier.Origin, position uint64) (at uint64, ok bool) {
	o.mu.RLock()
	defer o.mu.RUnlock()
	for _, p := range o.at[x] {
		if p < position {
			at, ok = p, true
		}
	}
	return at, ok
}

// originNote is what the notes begin with that keep the places: the log and the position in
// it follow, 24 octets, and the position of the entry, eight. The note is empty.
const originNote = "origin/"

// effectOfOrigin keeps a place.
func effectOfOrigin(e *identifier.Entry, position uint64) (effect, error) {
	o, err := identifier.ParseOrigin(e.Envelope.Payload)
	if err != nil {
		return effect{}, err
	}
	name := binary.BigEndian.AppendUint64(append([]byte(originNote), o.Log[:]...), o.Position)
	name = binary.BigEndian.AppendUint64(name, position)
	return effect{mutations: []state.Mutation{noteMutation(string(name), nil)}, origin: &place{o, position}}, nil
}

// place is where a log marks an origin.
type place struct {
	identifier.Origin
	position uint64
}

// weighOrigin takes a place in that the node has marked, in a log that continues another.
func (m *mirror) weighOrigin(e *identifier.Entry, position uint64) (effect, error) {
	if e.Envelope.SignedBy([]identifier.PublicKey{m.node}) == 0 {
		return effect{}, errors.New("the origin is not signed by the node's key")
	}
	if m.continues() == nil {
		return effect{}, errors.New("the log continues no other one, and has nothing of one")
	}
	return effectOfOrigin(e, position)
}

// loadOrigins reads the notes, and which log this one continues.
func (l *ledger) loadOrigins() error {
	genesis, err := l.note(genesisNote)
	if err != nil {
		return err
	}
	if genesis != nil {
		g, err := identifier.ParseGenesis(genesis)
		if err != nil {
			return err
		}
		l.continued(g)
	}
	for row, err := range l.state.Ascend(context.Background(), state.Notes, l.number, []byte(originNote)) {
		if err != nil {
			return err
		}
		name, ok := bytes.CutPrefix(row.Key, []byte(originNote))
		if !ok {
			break
		}
		if _, err := summed(row.Key, row.Value); err != nil {
			return err
		}
		if len(name) != 16+8+8 {
			return fmt.Errorf("a note of an origin has a name of %d octets", len(name))
		}
		l.origins.add(identifier.Origin{Log: identifier.LogID(name[:16]), Position: binary.BigEndian.Uint64(name[16:])}, binary.BigEndian.Uint64(name[24:]))
	}
	return nil
}

// continued notes which log this one continues.
func (l *ledger) continued(g *identifier.Genesis) {
	if g.After != nil {
		l.previous = g.After.Log
	}
}

// suspectSince returns from which position of this log on something is suspect that the
// entry at a position says so of; ok is false when it says nothing of this log.
func (l *ledger) suspectSince(s *identifier.Suspicion, position uint64) (since uint64, ok bool) {
	since = s.Since
	switch at, marked := l.origins.before(identifier.Origin{Log: s.Log, Position: s.Since}, position); {
	case s.Log == l.log:
	case marked:
		since = at
	case s.Log == l.previous:
		since = 1 // all of it, behind the genesis
	default:
		return 0, false
	}
	return since, since < position
}
