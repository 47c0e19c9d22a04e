package registry

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/journal"
	"github.com/nameplate-id/nameplate/registry/state"
)

// notice is when a child was first told of what is in force for a prefix, by this node's
// clock.
type notice struct {
	version uint64 // of the keyset
	since   time.Time
}

// toldNote is what the notes of a mirror begin with that hold a notice; the prefix follows.
// The frame's payload is
//
//	format   u8   1
//	version  u64  of the keyset
//	since    u64  milliseconds since 1970
//	prefix        to the end
//
// Where one is lost, the child has its time once more.
const (
	toldNote   = "told/"
	toldFormat = 1
	toldHead   = 1 + 8 + 8
)

func appendTold(dst []byte, p identifier.Prefix, n notice) []byte {
	dst = binary.BigEndian.AppendUint64(append(dst, toldFormat), n.version)
	dst = binary.BigEndian.AppendUint64(dst, uint64(n.since.UnixMilli()))
	return append(dst, p...)
}

func parseTold(b []byte) (p identifier.Prefix, n notice, err error) {
	if len(b) < toldHead || b[0] != toldFormat {
		return p, n, fmt.Errorf("when a child was told of a grant is not of format %d: use a newer release", toldFormat)
	}
	n = notice{binary.BigEndian.Uint64(b[1:]), time.UnixMilli(int64(binary.BigEndian.Uint64(b[9:])))}
	if p, err = identifier.ParsePrefix(string(b[toldHead:])); err == nil && string(p) != string(b[toldHead:]) {
		err = fmt.Errorf("prefix %q is not written as it is kept", b[toldHead:])
	}
	return p, n, err
}

// tell notes that the child is told of grants now. Where a key is taken away by one, that
// outlives a start: a child does not get its time anew with each.
func (r *Registry) tell(m *mirror, grants []identifier.Envelope) {
	if m.policy != identifier.PolicyMirror && m.policy != identifier.PolicyPointer {
		return // nothing of it is judged here
	}
	now := r.config.Clock()
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range grants {
		g, err := parseGrant(e)
		if err != nil {
			continue // by an older release; the child cannot take it in
		}
		p := g.delegation.Prefix
		current := r.holders.at(p)
		if current == nil || m.grantsTold[p].version == current.Keyset.Version {
			continue
		}
		n := notice{current.Keyset.Version, now}
		m.noteTold(p, n)
		if n.version > 1 && r.config.left != ruleTold {
			r.keepTold(m, p, n)
		}
	}
}

// keepTold writes a notice. It does not wait, and what cannot be written now is not.
func (r *Registry) keepTold(m *mirror, p identifier.Prefix, n notice) {
	payload := appendTold(nil, p, n)
	frame := journal.Frame{Log: m.number, Position: m.published.Load(), Kind: journal.KindTold, Payload: payload}
	err := r.journal.Append(frame, func(at, end journal.Offset) {
		if err := m.keepNote(toldNote+string(p), payload, at, end); err != nil {
			r.fail(fmt.Errorf("mirror of log %s: %w", m.log, err))
		}
	})
	if err != nil {
		r.config.Log.Warn("when a child was told of a grant was not kept: after a start it has its time once more", "log", m.log, "prefix", p, "error", err)
	}
}

// takeTold takes in a notice that is read again.
func (m *mirror) takeTold(payload []byte, at, end journal.Offset) error {
	p, n, err := parseTold(payload)
	if err != nil {
		return err
	}
	if err := m.keepNote(toldNote+string(p), payload, at, end); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.noteTold(p, n)
	return nil
}

// noteTold keeps one notice in memory. m.mu is held.
func (m *mirror) noteTold(p identifier.Prefix, n notice) {
	if m.grantsTold == nil {
		m.grantsTold = make(map[identifier.Prefix]notice)
	}
	m.grantsTold[p] = n
}

// loadTold reads what the state holds.
func (m *mirror) loadTold() error {
	for row, err := range m.state.Ascend(context.Background(), state.Notes, m.number, []byte(toldNote)) {
		if err != nil {
			return err
		}
		if !bytes.HasPrefix(row.Key, []byte(toldNote)) {
			break
		}
		note, err := summed(row.Key, row.Value)
		if err != nil {
			return err
		}
		p, n, err := parseTold(note)
		if err != nil {
			return err
		}
		m.noteTold(p, n)
	}
	return nil
}

// remind is called at a start, when all is read. What a child was told is not so old then
// that it would not have a third of its time still: this node may have ended before the child
// had heard, and clocks may have been set meanwhile.
func (m *mirror) remind(now time.Time, grace time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	oldest := now.Add(-grace * 2 / 3)
	for p, n := range m.grantsTold {
		if n.since.Before(oldest) {
			n.since = oldest
		}
		if n.since.After(now) {
			n.since = now
		}
		// The difference to now counts, whatever becomes of the clock.
		n.since = now.Add(n.since.Sub(now))
		m.grantsTold[p] = n
	}
}
