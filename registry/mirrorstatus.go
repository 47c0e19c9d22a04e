package registry

import (
	"time"

	"github.com/nameplate-id/nameplate/registry/identifier"
)

// MirrorStatus is what an operator wants to know of a mirror.
type MirrorStatus struct {
	Log  identifier.LogID
	Node identifier.PublicKey
	// Size is how many entries the mirror has, all synced; Told how many the child said
	// it has, and Bad how many are marked because they break a rule.
	Size, Told, Bad uint64
	Root            identifier.Hash // over the Size entries
	// Age is how long ago the child last said that it has no more.
	Age time.Duration
	// Identifiers is how many resolve in it.
	Identifiers uint64
	// Lost is how many entries this node has acknowledged once, as the child says, while
	// it has fewer: it was restored. 0 when it has them.
	Lost uint64
	// Uncertain is how many of the Size entries, the last ones, are not known to be of the
	// child's log, because this node was restored: the child says so when it comes. As long
	// they are neither anchored nor sent to other top-level nodes.
	Uncertain uint64
	// Fences are those in force: by what the log is judged that it does not show itself.
	Fences []FenceStatus
	// Quarantine is why no more of the log is taken in; nil as a rule.
	Quarantine *Quarantine
	// Role is whose log it is: child; peer, another top-level node's; relayed, that of a
	// child of one. Policy is what is kept of it: mirror, whole
	// entries; pointer, entries without the contents of their rows; witness, checkpoints.
	Role, Policy string
	// Next is the policy by which it is being kept anew, with NextSize entries so far; empty
	// when it is kept as it is to be.
	Next     string
	NextSize uint64
	// Cosigned is how many entries the newest checkpoint covers that this node has cosigned
	// since its start; 0 for none.
	Cosigned uint64
	// Counts says that this is the log of its node that counts; others were continued, or
	// have not begun. After is the log that it continues; nil for none.
	Counts bool
	After  *identifier.Predecessor
}

// Mirrors returns the state of all mirrors, in the order in which they came.
func (r *Registry) Mirrors() []MirrorStatus {
	list := r.logs.mirrors()
	totals := r.state.Totals()
	status := make([]MirrorStatus, len(list))
	for i, m := range list {
		size, root := m.head()
		status[i] = MirrorStatus{Log: m.log, Node: m.node, Size: size, Root: root, Age: m.age(time.Now()), Identifiers: totals[m.number].Live, Quarantine: m.quarantine.Load(),
			Role: m.role.String(), Policy: m.policy.String(), Cosigned: r.anchors.cosigned(m.log), Counts: r.logs.counts(m), After: m.continues()}
		if next := r.logs.begun(m, m.wanted()); next != nil && next.policy != m.policy {
			status[i].Next, status[i].NextSize = next.policy.String(), next.published.Load()
		}
		status[i].Uncertain, status[i].Fences = r.uncertain(m, size), r.fencesInForce(m)
		m.mu.Lock()
		status[i].Told, status[i].Bad = max(m.told, status[i].Size), m.bad
		if m.lost > size {
			status[i].Lost = m.lost
		}
		m.mu.Unlock()
	}
	return status
}

// uncertain returns how many of so many entries of a mirror are not known to be of the log
// of its owner.
func (r *Registry) uncertain(m *mirror, size uint64) uint64 {
	if m.role == roleChild && r.marked.Load() != nil {
		return size // it is compared when this node's own log is whole
	}
	if certain := m.certain.Load(); certain != nil {
		return size - min(certain.Size, size)
	}
	return 0
}
