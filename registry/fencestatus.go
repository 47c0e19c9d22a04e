package registry

import (
	"encoding/binary"
	"time"

	"github.com/nameplate-id/nameplate/registry/identifier"
)

// FenceStatus is a fence in force: entries of a child's log are judged by a delegation that
// the log itself does not show.
type FenceStatus struct {
	// Size is the position of the first entry that is judged by it. The mirror may not have
	// got there yet.
	Size uint64
	// Since is when it was logged here, by this node's clock, and Position where. Since is
	// zero when the entry cannot be read.
	Since    time.Time
	Position uint64
	// Prefix, Epoch and Keyset, a version, are those of the delegation.
	Prefix        identifier.Prefix
	Epoch, Keyset uint64
	// Revoked says that the delegation takes the prefix away from everybody.
	Revoked bool
}

// fencesInForce returns the fences of a child's log that are in force, in the order in which
// they were logged. One is until the log shows its delegation or a newer one.
func (r *Registry) fencesInForce(m *mirror) (list []FenceStatus) {
	if m.role != roleChild {
		return nil
	}
	for _, f := range r.fences.of(m.log) {
		d := &f.Delegation
		if f.Size > 0 && r.fences.covers(m.log, d, f.Size-1) || r.shows(m, &f) {
			continue // one that lies before it says so already
		}
		x := FenceStatus{Size: f.Size, Position: f.position, Prefix: d.Prefix, Epoch: d.Epoch, Keyset: d.Keyset.Version, Revoked: d.Revoked()}
		if e, err := r.readEntry(f.position); err == nil {
			x.Since = e.Time
		}
		list = append(list, x)
	}
	return list
}

// shows reports whether the log of a child itself has the delegation of a fence, or a newer
// one.
func (r *Registry) shows(m *mirror, f *fence) bool {
	h := m.holders.heldAt(f.Delegation.Prefix)
	switch {
	case !h.apex || olderThan(h.delegation, &f.Delegation):
		return false
	case h.position != f.Size:
		return true // by an entry before it, or behind
	}
	// By the fence, or by the very entry that stands there.
	u, err := r.unitOf(m, f.Size)
	if err != nil {
		return false
	}
	e, err := identifier.ParseEntry(u.Payloads[f.Size-u.Start])
	if err != nil || e.Kind != identifier.EntryGrant && e.Kind != identifier.EntryKeyset {
		return false
	}
	bad, err := m.note(string(binary.BigEndian.AppendUint64([]byte(badNote), f.Size)))
	if err != nil || bad != nil {
		return false
	}
	g, err := parseGrant(e.Envelope)
	return err == nil && g.delegation.Prefix == f.Delegation.Prefix && g.delegation.Keyset.Version >= f.Delegation.Keyset.Version
}
