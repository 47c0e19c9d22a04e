package replica_test

import (
	"time"

	"github.com/nameplate-id/nameplate/registry/replica"
)

// What a node asks of those that send it logs: to wait, while its disk is low; to come
// back later, while it is being stopped.

// asked is what the receiving side has asked for on the stream that is open, as far as it
// has arrived: what the sending side has to keep to, whatever it thinks itself.
type asked struct {
	session       replica.Session
	paused, drain bool
}

// hear takes note of what arrives at the sending side.
func (a *asked) hear(x replica.Message, before replica.ChildStatus) {
	switch x := x.(type) {
	case *replica.Control:
		if !before.Connected || x.Session != a.session {
			return
		}
		switch x.Order {
		case replica.Pause:
			a.paused = true
		case replica.Resume:
			a.paused = false
		case replica.Drain:
			a.drain = true
		}
	case *replica.Ack:
		if before.Connected && x.Session == a.session && x.Size >= before.Acked && x.Credit > 0 {
			a.paused = false // what said Resume was lost
		}
	}
}

// next returns what the sending side sends next, and checks that it keeps to what it was
// asked.
func (l *link) next() replica.Message {
	f, before := l.from.f, l.child.Status()
	x := l.child.Next()
	if _, ok := x.(*replica.Entries); ok && (l.asked.paused || l.asked.drain) {
		f.fail("node %d was asked by node %d to send nothing of the log of node %d, and sends entries", l.from.number, l.to.number, l.owner.number)
	}
	if r := l.child.Refusal(); before.Connected && r != nil && r.Reason == replica.Drained {
		f.note(drainedOne)
		if before.InFlight > 0 {
			f.fail("node %d ends a stream while %d octets are not acknowledged", l.from.number, before.InFlight)
		}
	}
	return x
}

const lowVolume = "the disk is low"

// ask tells the receiving side of a stream what its node has to ask for.
func (m *member) ask(p *replica.Parent) {
	if m.low {
		p.Pause(lowVolume)
	} else {
		p.Resume()
	}
}

// drain begins to stop a node: all streams to it are to end, and no other is let in.
func (m *member) drain() {
	m.draining = true
	for _, l := range m.f.links {
		if p := l.parent(); l.to == m && p != nil {
			p.Drain("it gets a new version", time.Second)
		}
	}
}

// stop ends a node that is being stopped, and starts it again.
func (m *member) stop() {
	m.sync()
	m.draining = false
	m.start()
}

// control lets the disk of a node get low, or have room again; or stops a node.
func (m *member) control(pick pick) {
	switch {
	case m.draining:
		m.stop()
	case pick(3) == 0:
		m.drain()
	default:
		m.low = !m.low
	}
}
