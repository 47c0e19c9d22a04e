package resolver_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/resolver"
)

// manner is how an address behaves.
type manner int

const (
	answers    manner = iota
	silent            // says nothing
	unwilling         // says at once that it cannot
	strangers         // says that it has no authority there
	sideways          // refers to another prefix
	upwards           // refers to the top
	circling          // refers to its own prefix
	mistaken          // answers about another identifier
	misplaced         // answers from a zone that does not cover the identifier
	mislabeled        // gives the record of another identifier
	manners
)

// house is one node of a world.
type house struct {
	name   string
	prefix identifier.Prefix
	mirror map[identifier.Prefix]bool // of whose logs it has a copy
	at     []netip.AddrPort
	manner []manner // by address
	delay  time.Duration
}

// world is a tree of nodes in memory. A record is there when its identifier is in
// records; its one value is the identifier itself.
type world struct {
	mu      sync.Mutex
	top     []*house
	held    map[identifier.Prefix]*house // by delegated prefix
	records map[identifier.ID]bool
	by      map[netip.AddrPort]*house
	asked   []question
	next    uint16
}

type question struct {
	house *house
	at    netip.AddrPort
	q     resolver.Query
}

func newWorld(tops int) *world {
	w := &world{held: map[identifier.Prefix]*house{}, records: map[identifier.ID]bool{}, by: map[netip.AddrPort]*house{}}
	for i := range tops {
		w.top = append(w.top, w.house(fmt.Sprintf("top-%d", i), "", 1))
	}
	return w
}

// house builds a node with some addresses.
func (w *world) house(name string, p identifier.Prefix, addresses int) *house {
	h := &house{name: name, prefix: p, mirror: map[identifier.Prefix]bool{}, manner: make([]manner, addresses)}
	for range addresses {
		w.next++
		at := netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, byte(w.next >> 8), byte(w.next)}), 2640)
		h.at = append(h.at, at)
		w.by[at] = h
	}
	return h
}

// delegate gives a prefix to a new node.
func (w *world) delegate(p identifier.Prefix, addresses int) *house {
	w.mu.Lock()
	defer w.mu.Unlock()
	h := w.house("node-"+p.String()+fmt.Sprint(w.next), p, addresses)
	w.held[p] = h
	return h
}

func (h *house) node() identifier.Node {
	n := identifier.Node{Name: h.name, Key: identifier.PublicKey{Type: identifier.Ed25519, Raw: h.name}}
	for _, at := range h.at {
		n.Addresses = append(n.Addresses, identifier.Address{IP: at.Addr().String(), GRPC: at.Port()})
	}
	return n
}

func (h *house) all(m manner) {
	for i := range h.manner {
		h.manner[i] = m
	}
}

// walk returns a walk over the world.
func (w *world) walk(change func(*resolver.WalkOptions)) *resolver.Walk {
	o := resolver.WalkOptions{Dial: w.dial}
	for _, h := range w.top {
		o.Roots = append(o.Roots, h.node())
	}
	if change != nil {
		change(&o)
	}
	walk, err := resolver.NewWalk(o)
	if err != nil {
		panic(err)
	}
	return walk
}

var errNobody = errors.New("nobody lives there")

func (w *world) dial(e resolver.Endpoint) (resolver.Resolver, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	h := w.by[e.At]
	if h == nil || e.Protocol != resolver.GRPC {
		return nil, errNobody
	}
	return &door{w, h, e.At}, nil
}

// door is one address of a house.
type door struct {
	world *world
	house *house
	at    netip.AddrPort
}

// Resolve implements [resolver.Resolver].
func (d *door) Resolve(ctx context.Context, q resolver.Query) (resolver.Answer, error) {
	w := d.world
	w.mu.Lock()
	w.asked = append(w.asked, question{d.house, d.at, q})
	m, delay := answers, d.house.delay
	for i, at := range d.house.at {
		if at == d.at {
			m = d.house.manner[i]
		}
	}
	a := w.answer(d.house, q)
	w.mu.Unlock()
	select {
	case <-time.After(delay):
	case <-ctx.Done():
		return resolver.Answer{}, gone(ctx)
	}
	switch m {
	case silent:
		<-ctx.Done()
		return resolver.Answer{}, gone(ctx)
	case unwilling:
		return resolver.Answer{}, &resolver.Error{Kind: resolver.Unavailable, Detail: "not now"}
	}
	if m == answers && a.Origin.Mirror && a.Outcome == resolver.Absent {
		return resolver.Answer{}, &resolver.Error{Kind: resolver.Unavailable, Detail: "only the node itself knows"}
	}
	return misbehave(m, a, d.house, q), nil
}

func gone(ctx context.Context) error {
	return &resolver.Error{Kind: resolver.Unavailable, Detail: "no answer", Err: ctx.Err()}
}

// answer is what an honest node says.
func (w *world) answer(h *house, q resolver.Query) resolver.Answer {
	apex, origin := h.prefix, resolver.Origin{}
	for {
		below, child := w.below(apex, q.ID.Prefix)
		if child == nil || child == h {
			break
		}
		if !h.mirror[below] || !q.Mirror || q.Authoritative {
			n := child.node()
			return resolver.Answer{Outcome: resolver.Referral, ID: q.ID, Apex: apex, InZone: true, Lifetime: resolver.ReferralTTL, Origin: origin,
				Delegation: &identifier.Delegation{Prefix: below, Epoch: 1, Node: &n}}
		}
		apex, origin = below, resolver.Origin{Mirror: true, Age: 7 * time.Second}
	}
	a := resolver.Answer{Outcome: resolver.Absent, ID: q.ID, Apex: apex, InZone: true, Lifetime: resolver.NegativeTTL, Origin: origin}
	if !apex.Covers(q.ID.Prefix) {
		a.Outcome, a.InZone, a.Apex = resolver.Refused, false, ""
		return a
	}
	if w.records[q.ID] {
		a.Outcome, a.Lifetime, a.Record = resolver.Found, time.Hour, recordOf(q.ID, q.ID.String())
	}
	return a
}

// below returns the shortest delegation under an apex that covers a prefix.
func (w *world) below(apex, p identifier.Prefix) (identifier.Prefix, *house) {
	var found identifier.Prefix
	var at *house
	for up := p; up.Depth() > apex.Depth(); up, _ = up.Parent() {
		if h := w.held[up]; h != nil {
			found, at = up, h
		}
	}
	return found, at
}

func recordOf(id identifier.ID, text string) *identifier.Record {
	return &identifier.Record{ID: id, Spelling: id.String(), Version: 1, Values: []identifier.Value{
		{Index: 1, Type: "DESC", Data: []byte(text), TTL: identifier.TTL{Seconds: 3600}, Permissions: identifier.DefaultPermissions},
	}}
}

// misbehave makes of an honest answer what a node says that is not.
func misbehave(m manner, a resolver.Answer, h *house, q resolver.Query) resolver.Answer {
	elsewhere := identifier.ID{Prefix: "666", Suffix: "poison"}
	refer := func(to identifier.Prefix) resolver.Answer {
		n := h.node()
		return resolver.Answer{Outcome: resolver.Referral, ID: q.ID, Apex: h.prefix, InZone: true, Lifetime: resolver.ReferralTTL,
			Delegation: &identifier.Delegation{Prefix: to, Epoch: 1, Node: &n}}
	}
	poison := a
	poison.Outcome, poison.Delegation, poison.Lifetime, poison.Record = resolver.Found, nil, time.Hour, recordOf(q.ID, "poison")
	switch m {
	case strangers:
		return resolver.Answer{Outcome: resolver.Refused, ID: q.ID, Lifetime: resolver.NegativeTTL}
	case sideways:
		return refer("666.1")
	case upwards:
		return refer("")
	case circling:
		return refer(h.prefix)
	case mistaken:
		poison.ID, poison.Record = elsewhere, recordOf(elsewhere, "poison")
		return poison
	case misplaced:
		poison.Apex = q.ID.Prefix + ".1"
		return poison
	case mislabeled:
		poison.Record = recordOf(elsewhere, "poison")
		return poison
	}
	return a
}

// take returns what was asked since it was called last.
func (w *world) take() []question {
	w.mu.Lock()
	defer w.mu.Unlock()
	asked := w.asked
	w.asked = nil
	return asked
}
