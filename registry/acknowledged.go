package registry

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"sync"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/journal"
	"github.com/nameplate-id/nameplate/registry/state"
)

// acknowledged is how many entries of the node's own log each of its parents, by key,
// has ever said to have on disk. So a parent that was restored is told that it has lost
// something. It is written beside the next checkpoint: what a crash takes of it makes a
// node notice less, and never too much.
type acknowledged struct {
	mu    sync.Mutex
	sizes map[identifier.PublicKey]uint64
	dirty map[identifier.PublicKey]bool
}

// acknowledgedNote is what the notes begin with that hold it; the key's type and octets
// follow. The frame's payload is
//
//	format  u8   1
//	size    u64
//	type    u8   of the parent's node key
//	key          to the end
const (
	acknowledgedNote   = "acknowledged/"
	acknowledgedFormat = 1
	acknowledgedHead   = 1 + 8 + 1
)

func appendAcknowledged(dst []byte, parent identifier.PublicKey, size uint64) []byte {
	dst = append(dst, acknowledgedFormat)
	dst = binary.BigEndian.AppendUint64(dst, size)
	dst = append(dst, byte(parent.Type))
	return append(dst, parent.Raw...)
}

func parseAcknowledged(b []byte) (parent identifier.PublicKey, size uint64, err error) {
	if len(b) <= acknowledgedHead || len(b) > acknowledgedHead+maxKeyOctets || b[0] != acknowledgedFormat {
		return parent, 0, fmt.Errorf("what a parent acknowledged is not of format %d: use a newer release", acknowledgedFormat)
	}
	parent = identifier.PublicKey{Type: identifier.KeyType(b[9]), Raw: string(b[acknowledgedHead:])}
	return parent, binary.BigEndian.Uint64(b[1:]), parent.Check()
}

func acknowledgedNoteName(payload []byte) string { return acknowledgedNote + string(payload[9:]) }

// Acked returns how many entries a parent has ever acknowledged, as far as this node
// remembers.
func (s *Source) Acked(parent identifier.PublicKey) uint64 {
	a := &s.r.acknowledged
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.sizes[parent]
}

// Acknowledged says that a parent has so many entries on disk. It is durable some time
// later.
func (s *Source) Acknowledged(parent identifier.PublicKey, size uint64) {
	s.r.config.Hook(HookAcknowledged)
	a := &s.r.acknowledged
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.raise(parent, size) {
		a.dirty[parent] = true
	}
}

// Ended says nothing to this node: what a parent has acknowledged once it goes on
// remembering.
func (s *Source) Ended() {}

// raise notes a size; it reports whether it is news. The caller holds mu.
func (a *acknowledged) raise(parent identifier.PublicKey, size uint64) bool {
	if a.sizes == nil {
		a.sizes, a.dirty = map[identifier.PublicKey]uint64{}, map[identifier.PublicKey]bool{}
	}
	if size <= a.sizes[parent] {
		return false
	}
	a.sizes[parent] = size
	return true
}

// keepAcknowledged appends what is new to the journal. Nobody waits for its sync.
func (r *Registry) keepAcknowledged() error {
	a := &r.acknowledged
	a.mu.Lock()
	defer a.mu.Unlock()
	for parent := range a.dirty {
		size := a.sizes[parent]
		payload := appendAcknowledged(nil, parent, size)
		frame := journal.Frame{Log: ownLog, Position: size, Kind: journal.KindAcknowledged, Payload: payload}
		err := r.journal.Append(frame, func(at, end journal.Offset) {
			if err := r.keepNote(acknowledgedNoteName(payload), payload, at, end); err != nil {
				r.fail(fmt.Errorf("state: %w", err))
			}
		})
		if err != nil {
			return err
		}
		delete(a.dirty, parent)
	}
	return nil
}

// replay takes in what a frame says.
func (l *ledger) replayAcknowledged(f journal.Located) error {
	parent, size, err := parseAcknowledged(f.Payload)
	if err != nil {
		return err
	}
	l.acknowledged.mu.Lock()
	l.acknowledged.raise(parent, size)
	l.acknowledged.mu.Unlock()
	return l.keepNote(acknowledgedNoteName(f.Payload), f.Payload, f.At, f.End)
}

// loadAcknowledged reads what the state holds.
func (l *ledger) loadAcknowledged() error {
	for row, err := range l.state.Ascend(context.Background(), state.Notes, l.number, []byte(acknowledgedNote)) {
		if err != nil {
			return err
		}
		if !bytes.HasPrefix(row.Key, []byte(acknowledgedNote)) {
			break
		}
		value, err := summed(row.Key, row.Value)
		if err != nil {
			return err
		}
		parent, size, err := parseAcknowledged(value)
		if err != nil {
			return err
		}
		l.acknowledged.mu.Lock()
		l.acknowledged.raise(parent, size)
		l.acknowledged.mu.Unlock()
	}
	return nil
}

// keepNote puts a note of a synced frame into the state.
func (l *ledger) keepNote(name string, note []byte, at, end journal.Offset) error {
	return l.state.Publish(context.Background(), state.Batch{
		Log: l.number, Position: l.published.Load(), At: uint64(at), End: uint64(end),
		Mutations: []state.Mutation{noteMutation(name, note)},
	})
}
