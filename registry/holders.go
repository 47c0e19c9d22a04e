package registry

import (
	"maps"
	"slices"
	"sync"

	"github.com/nameplate-id/nameplate/registry/identifier"
)

// holders knows who holds which prefix: the grant at the apex, and every
// delegation below it that has not been revoked. It is kept in memory because
// each question asks for every ancestor of a prefix, and delegations are few.
// It may be used concurrently.
//
// The longest delegation that covers a prefix holds it, as far down as this node answers:
// one that names another node hides everything below it, as a zone cut does (RFC 1034,
// section 4.2.1). What was delegated below before is not in force any more, and nothing
// can be registered or delegated there, but it stays in the log: when the prefix comes
// back, so does it. Whoever moves a prefix means all of it; two nodes that both answered
// for what lies below would be two truths.
type holders struct {
	node     *identifier.PublicKey // this node's key, once the log has told it
	mu       sync.RWMutex
	byPrefix map[identifier.Prefix]held
}

// held is a delegation and how it came about.
type held struct {
	delegation *identifier.Delegation
	// position is that of the log entry that made it what it is, granted that of
	// the delegation that it rests on.
	position, granted uint64
	// apex marks a grant: this node answers for the prefix by it.
	apex bool
}

func newHolders(node *identifier.PublicKey) *holders {
	return &holders{node: node, byPrefix: make(map[identifier.Prefix]held)}
}

// hides reports whether a delegation names another node, so that nothing below it is in
// force here.
func (h *holders) hides(d *identifier.Delegation) bool { return d.Node != nil && d.Node.Key != *h.node }

// put makes a delegation current. A revoked one is kept: its epoch and its keyset
// version go on counting. The delegation must not be changed afterwards.
func (h *holders) put(x held) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.byPrefix[x.delegation.Prefix] = x
}

// at returns the delegation of exactly this prefix, even when it is revoked; nil
// when there never was one.
func (h *holders) at(p identifier.Prefix) *identifier.Delegation { return h.heldAt(p).delegation }

// heldAt is [holders.at] with how it came about.
func (h *holders) heldAt(p identifier.Prefix) held {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.byPrefix[p]
}

// holding is who holds a prefix, and by which grant this node knows.
type holding struct {
	delegation *identifier.Delegation // the longest in force that covers; nil outside every apex
	apex       identifier.Prefix
	grant      *identifier.Delegation // by which this node has the apex
	inZone     bool
}

// of returns who holds p: the longest delegation in force that covers it.
func (h *holders) of(p identifier.Prefix) holding {
	h.mu.RLock()
	defer h.mu.RUnlock()
	var found holding
	for q, ok := p, true; ok; q, ok = q.Parent() {
		x := h.byPrefix[q]
		if x.delegation == nil || x.delegation.Revoked() {
			continue
		}
		if found.delegation == nil || h.hides(x.delegation) {
			found.delegation = x.delegation
		}
		if x.apex {
			found.apex, found.grant, found.inZone = q, x.delegation, true
			return found
		}
	}
	return holding{}
}

// above returns who holds what lies above p and may so delegate p.
func (h *holders) above(p identifier.Prefix) holding {
	parent, ok := p.Parent()
	if !ok {
		return holding{}
	}
	return h.of(parent)
}

// list returns everything that is held, revoked delegations too.
func (h *holders) list() []held {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return slices.Collect(maps.Values(h.byPrefix))
}

// clone returns holders that go their own way from here on.
func (h *holders) clone() *holders {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return &holders{node: h.node, byPrefix: maps.Clone(h.byPrefix)}
}
