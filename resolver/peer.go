package resolver

import (
	"container/list"
	"io"
	"net/netip"
	"sync"
	"time"

	"github.com/nameplate-id/nameplate/registry/identifier"
)

// Endpoint is one way to ask one node: an address, a protocol, and the key by which
// the node is known, if it has one.
type Endpoint struct {
	Node     string // its name, for people
	Key      identifier.PublicKey
	At       netip.AddrPort
	Protocol Protocol
}

const (
	// deadFirst is how long an endpoint that failed is left alone; every further
	// failure doubles it, up to deadMost: so long it may take until a node that is
	// back is asked again.
	deadFirst = time.Second
	deadMost  = 4 * time.Second
	// failuresDead is how many failures in a row make an endpoint dead. One that does
	// not answer in time is dead at once: waiting is what costs.
	failuresDead = 2
	// forgetAfter is how long a measured latency counts.
	forgetAfter = 10 * time.Minute
)

// peer is what a walk knows of an endpoint.
type peer struct {
	Endpoint
	client Resolver
	place  *list.Element // in the order of last use; guarded by the table
	users  int           // guarded by the table

	mu       sync.Mutex
	latency  time.Duration // smoothed; 0 while not known
	measured time.Time
	heard    time.Time // when it last answered
	failures int       // in a row
	deadTill time.Time
}

// standing is what a peer is like at a moment.
type standing struct {
	usual time.Duration // how long it takes to answer; 0 while not known
	dead  bool
	// probe says that it was dead: nobody knows whether it answers.
	probe bool
}

// standing returns what the peer is like now.
func (p *peer) standing(now time.Time) standing {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := standing{usual: p.latency}
	if now.Sub(p.measured) > forgetAfter {
		s.usual = 0
	}
	if p.failures >= failuresDead {
		s.dead, s.probe = now.Before(p.deadTill), true
	}
	return s
}

// probed claims the one question that finds out whether a dead peer is back; false
// when somebody else has claimed it.
func (p *peer) probed(now time.Time, until time.Duration) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now.Before(p.deadTill) {
		return false
	}
	p.deadTill = now.Add(until)
	return true
}

// answered notes that the peer answered.
func (p *peer) answered(now time.Time, took time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.latency == 0 || now.Sub(p.measured) > forgetAfter {
		p.latency = took
	} else {
		p.latency += (took - p.latency) / 4
	}
	p.latency = max(p.latency, time.Microsecond)
	p.measured, p.heard, p.failures, p.deadTill = now, now, 0, time.Time{}
}

// lastHeard returns when the peer last answered.
func (p *peer) lastHeard() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.heard
}

// overtaken notes that another peer answered while this one was being waited for.
func (p *peer) overtaken(now time.Time, after time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if after > p.latency {
		p.latency += (after - p.latency) / 2
		p.measured = now
	}
}

// failed notes that the peer gave no answer to a question that began at some time; late
// says that it gave nothing at all until the time was over. What was asked before the
// last answer says nothing any more: the peer has come back since.
func (p *peer) failed(began, now time.Time, late bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if began.Before(p.heard) {
		return
	}
	p.failures++
	if late {
		p.failures = max(p.failures, failuresDead)
	}
	if p.failures >= failuresDead {
		p.deadTill = now.Add(min(deadMost, deadFirst<<min(p.failures-failuresDead, 10)))
	}
}

// peers is a bounded table of the endpoints that were asked last.
type peers struct {
	dial func(Endpoint) (Resolver, error)
	most int

	mu    sync.Mutex
	known map[Endpoint]*peer
	order list.List // least recently used first
}

// take returns the peer of an endpoint; it is not closed before [peers.release].
func (t *peers) take(e Endpoint) (*peer, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if p := t.known[e]; p != nil {
		p.users++
		t.order.MoveToBack(p.place)
		return p, nil
	}
	client, err := t.dial(e)
	if err != nil {
		return nil, err
	}
	p := &peer{Endpoint: e, client: client, users: 1}
	p.place = t.order.PushBack(p)
	t.known[e] = p
	t.shrink()
	return p, nil
}

// hold keeps a peer that is taken for one more user.
func (t *peers) hold(p *peer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p.users++
}

func (t *peers) release(p *peer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p.users--
	t.shrink()
}

// shrink closes what was not used for longest. What is in use stays, and goes with
// its last user.
func (t *peers) shrink() {
	for e := t.order.Front(); e != nil && t.order.Len() > t.most; {
		p := e.Value.(*peer)
		e = e.Next()
		if p.users == 0 {
			t.drop(p)
		}
	}
}

func (t *peers) drop(p *peer) {
	t.order.Remove(p.place)
	delete(t.known, p.Endpoint)
	if c, ok := p.client.(io.Closer); ok {
		_ = c.Close() // nobody uses it; there is nobody to tell
	}
}

// close closes every client.
func (t *peers) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, p := range t.known {
		t.drop(p)
	}
}
