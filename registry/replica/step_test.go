package replica_test

import (
	"errors"
	"fmt"
	"slices"

	"github.com/nameplate-id/nameplate/registry/replica"
	"github.com/nameplate-id/nameplate/registry/replica/replicatest"
)

// step does one thing that may happen.
func (w *world) step(pick pick) error {
	n := w.children[pick(len(w.children))]
	switch pick(20) {
	case 16, 17, 18, 19:
		return w.anchor(n, pick)
	case 0, 1:
		octets := 0
		if w.large && pick(6) == 0 {
			octets = 90 << 10 // a dozen are a window
		}
		for range 1 + pick(6) {
			w.register(n, octets)
		}
	case 2, 3:
		w.syncChild(n)
	case 4:
		if !n.open || n.child.Refusal() != nil || pick(12) == 0 {
			w.connect(n)
		}
	case 5, 6:
		w.send(n, pick(2) == 0)
	case 7, 8:
		return w.deliver(n, pick(2) == 0, pick)
	case 9, 10, 11:
		for range 1 + pick(6) {
			w.send(n, pick(2) == 0)
			if err := w.deliver(n, pick(2) == 0, pick); err != nil {
				return err
			}
		}
	case 12, 13:
		w.disk.sync()
	case 14:
		if pick(3) == 0 {
			w.grant(n)
		}
		if pick(3) == 0 {
			n.fence = true
		}
		return w.takeGrant(n, pick(4) > 0)
	default:
		return w.trouble(n, pick)
	}
	return nil
}

// send lets one of the two sides send a message, if it has one.
func (w *world) send(n *node, up bool) {
	if up && n.open {
		n.up = appendMessage(n.up, n.child.Next())
	}
	if !up && n.parent != nil {
		n.down = appendMessage(n.down, n.parent.Next())
	}
}

func appendMessage(queue []replica.Message, m replica.Message) []replica.Message {
	if m == nil {
		return queue
	}
	return append(queue, m)
}

// deliver delivers a message to one of the two sides, if there is one.
func (w *world) deliver(n *node, up bool, pick pick) error {
	if up {
		if m, ok := take(&n.up, pick); ok {
			return w.toParent(n, m)
		}
		return nil
	}
	if m, ok := take(&n.down, pick); ok {
		w.toChild(n, m)
	}
	return nil
}

// trouble does something that seldom happens.
func (w *world) trouble(n *node, pick pick) error {
	switch pick(11) {
	case 0:
		w.crashParent(pick(1 + len(w.disk.octets) - w.disk.synced))
	case 1:
		w.crashChild(n, uint64(pick(1+n.log.Waiting())))
	case 2:
		take(&n.up, func(n int) int { return pick(n) }) // lost
	case 3:
		take(&n.down, func(n int) int { return pick(n) })
	case 4:
		if n.parent != nil {
			n.parent.Credit([]uint64{0, w.window}[pick(2)])
		}
	case 5:
		w.hangUp(n)
	case 6:
		if n.parent != nil {
			n.parent.Close()
		}
	case 7:
		if pick(4) == 0 {
			w.loseDisk()
		}
	case 8:
		if n.parent != nil {
			n.parent.Tick()
		}
	case 9:
		n.child.Tick()
	default:
		if m, ok := take(&n.up, pick); ok {
			return w.damage(n, m, pick)
		}
	}
	return nil
}

// damage delivers entries that are not what the child sent.
func (w *world) damage(n *node, m replica.Message, pick pick) error {
	e, ok := m.(*replica.Entries)
	if !ok {
		return nil
	}
	changed := *e
	changed.Payloads = slices.Clone(e.Payloads)
	changed.Payloads[pick(len(e.Payloads))] = replicatest.Entry(w.draw(), 0)
	n.tainted = true
	return w.toParent(n, &changed)
}

// take takes out a message: mostly the oldest, sometimes another one, and sometimes it
// leaves it where it is, so that it comes again.
func take(queue *[]replica.Message, pick pick) (replica.Message, bool) {
	if len(*queue) == 0 {
		return nil, false
	}
	at := 0
	if pick(8) == 0 {
		at = pick(len(*queue))
	}
	m := (*queue)[at]
	if pick(8) > 0 {
		*queue = slices.Delete(*queue, at, at+1)
	}
	return m, true
}

// healingRounds is how many heartbeats may pass until everything is where it belongs:
// a stream is given up after three without a word, the next one needs one, and what
// was lost is noticed with the next.
const healingRounds = 12

// heal lets nothing go wrong any more, and waits until every mirror is the child's log.
func (w *world) heal() error {
	for _, n := range w.children {
		w.syncChild(n)
		n.tainted = true // what was changed on the way may still lead to a refusal
		if n.parent != nil {
			n.parent.Credit(w.window)
		}
	}
	for range healingRounds {
		healed := true
		if err := w.anchorAll(); err != nil {
			return err
		}
		for _, n := range w.children {
			if err := w.round(n); err != nil {
				return err
			}
			healed = healed && n.floor == n.log.Synced() && n.child.Status().Acked == n.log.Synced() && n.kept == n.log.Synced() && len(n.taken) == len(n.grants)
		}
		if healed {
			return nil
		}
	}
	var left string
	for _, n := range w.children {
		left += fmt.Sprintf("; child %d has %d entries, the mirror %d; receipt for %d; %d of %d grants; %+v", n.number, n.log.Synced(), n.floor, n.kept, len(n.taken), len(n.grants), n.child.Status())
	}
	return fmt.Errorf("not healed after %d heartbeats%s", healingRounds, left)
}

// round is a heartbeat's time in which nothing goes wrong.
func (w *world) round(n *node) error {
	if !n.open || n.child.Refusal() != nil {
		w.connect(n)
	}
	if err := w.settle(n); err != nil {
		return err
	}
	n.child.Tick()
	if n.parent != nil {
		n.parent.Tick()
	}
	return w.check()
}

// oldest takes messages in their order, each once.
func oldest(int) int { return 1 }

// settle lets both sides send until neither has anything to say, and nothing goes wrong.
func (w *world) settle(n *node) error {
	for idle := false; !idle; {
		w.send(n, true)
		w.send(n, false)
		idle = len(n.up)+len(n.down) == 0
		if err := errors.Join(w.deliver(n, true, oldest), w.deliver(n, false, oldest), w.takeGrant(n, true)); err != nil {
			return err
		}
		if w.disk.synced < len(w.disk.octets) {
			w.disk.sync()
			idle = false
		}
		if err := w.check(); err != nil {
			return err
		}
	}
	return nil
}
