package resolver

import (
	"slices"
	"sync"
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/nameplate-id/nameplate/registry/identifier"
)

// cut is one prefix and the nodes that answer for it, as a referral named them. It
// does not change, but for what is remembered of its nodes.
type cut struct {
	prefix  identifier.Prefix
	nodes   []identifier.Node // that hold it
	mirrors []identifier.Node // that hold a copy
	// referral is the answer that named the nodes, and parent where it came from; a
	// top-level cut has neither.
	referral Answer
	parent   *cut
	depth    int // referrals from a top-level node
	learned  time.Time

	mu      sync.Mutex
	checked time.Time // when the parent was last asked about it
	lame    map[Endpoint]time.Time
}

const (
	// recheckAfter is how long the referral to a node that does not answer is believed
	// before the parent is asked again.
	recheckAfter = 5 * time.Second
	// lameFor is how long a node that did not answer for its prefix is asked last.
	lameFor = 10 * time.Second
	// referralMost is the longest that a referral is kept.
	referralMost = time.Hour
)

// newCut makes the cut that a referral from a parent names.
func newCut(parent *cut, a *Answer, now time.Time) *cut {
	c := &cut{
		prefix: a.Delegation.Prefix, nodes: []identifier.Node{*a.Delegation.Node}, mirrors: a.Delegation.Mirrors,
		referral: *a, parent: parent, depth: parent.depth + 1, learned: now, checked: now,
	}
	c.referral.Lifetime = min(max(a.Lifetime, 0), referralMost)
	return c
}

// expired reports whether the referral may not be used any more.
func (c *cut) expired(now time.Time) bool {
	return c.parent != nil && now.Sub(c.learned) >= c.referral.Lifetime
}

// answer is the referral as an answer to a question, as old as it is.
func (c *cut) answer(q *Query, now time.Time) Answer {
	return aged(c.referral, q.ID, now.Sub(c.learned))
}

// aged returns an answer that was kept for some time. Times are whole seconds, as on
// every wire.
func aged(a Answer, id identifier.ID, kept time.Duration) Answer {
	kept = kept.Truncate(time.Second)
	a.Lifetime = max(0, a.Lifetime-kept)
	a.Origin.Age += kept
	a.ID = id
	return a
}

// mayRecheck claims the asking of the parent; false when that was done lately.
func (c *cut) mayRecheck(now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now.Sub(c.checked) < recheckAfter {
		return false
	}
	c.checked = now
	return true
}

// markLame remembers that a node did not answer for the prefix. What a top-level
// node does not answer for says nothing about the next question.
func (c *cut) markLame(e Endpoint, now time.Time) {
	if c.parent == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lame == nil {
		c.lame = make(map[Endpoint]time.Time)
	}
	c.lame[e] = now.Add(lameFor)
}

func (c *cut) isLame(e Endpoint, now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return now.Before(c.lame[e])
}

// names reports whether the referral names the same node and the same mirrors, with the
// same keys and at the same addresses.
func (c *cut) names(d *identifier.Delegation) bool {
	same := func(a, b identifier.Node) bool {
		return a.Key == b.Key && a.HandleKey == b.HandleKey && slices.Equal(a.Addresses, b.Addresses)
	}
	return len(c.nodes) == 1 && same(c.nodes[0], *d.Node) && slices.EqualFunc(c.mirrors, d.Mirrors, same)
}

// cuts is what a walk remembers of the tree, bounded in octets.
type cuts struct {
	top    *cut
	byName *otter.Cache[identifier.Prefix, *cut]
}

func newCuts(top *cut, octets int64) (*cuts, error) {
	c, err := otter.New(&otter.Options[identifier.Prefix, *cut]{
		MaximumWeight: uint64(octets),
		Weigher:       func(_ identifier.Prefix, c *cut) uint32 { return c.weight() },
	})
	return &cuts{top: top, byName: c}, err
}

// weight is about what a cut takes, in octets.
func (c *cut) weight() uint32 {
	n := 1024 + 2*len(c.prefix) // the cut, its answer, the keys of the holder, the table's own
	if d := c.referral.Delegation; d != nil {
		n += delegationWeight(d)
	}
	return uint32(n)
}

func delegationWeight(d *identifier.Delegation) int {
	n := 256
	for _, k := range d.Keyset.Keys {
		n += 32 + len(k.Raw)
	}
	if d.Node != nil {
		n += nodeWeight(d.Node)
	}
	for i := range d.Mirrors {
		n += nodeWeight(&d.Mirrors[i])
	}
	return n
}

func nodeWeight(n *identifier.Node) int {
	return 128 + len(n.Name) + len(n.Key.Raw) + len(n.HandleKey.Raw) + 64*len(n.Addresses)
}

// longest returns the deepest cut that covers a prefix and has not expired.
func (k *cuts) longest(p identifier.Prefix, now time.Time) *cut {
	for up := p != ""; up; p, up = p.Parent() {
		if p == "" {
			break
		}
		if c, ok := k.byName.GetIfPresent(p); ok && !c.expired(now) {
			return c
		}
	}
	return k.top
}

// learn keeps a cut.
func (k *cuts) learn(c *cut) {
	if c.referral.Lifetime > 0 {
		k.byName.Set(c.prefix, c)
	}
}

// forget drops a cut, unless another has taken its place.
func (k *cuts) forget(c *cut) {
	k.byName.ComputeIfPresent(c.prefix, func(old *cut) (*cut, otter.ComputeOp) {
		if old == c {
			return nil, otter.InvalidateOp
		}
		return old, otter.CancelOp
	})
}

// flush drops every cut at or below a prefix, and those above that lead there.
func (k *cuts) flush(p identifier.Prefix) int {
	n := 0
	for at := range k.byName.Keys() {
		if p.Covers(at) || at.Covers(p) {
			if _, ok := k.byName.Invalidate(at); ok {
				n++
			}
		}
	}
	return n
}
