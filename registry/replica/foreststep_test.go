package replica_test

import (
	"fmt"
	"slices"

	"github.com/nameplate-id/nameplate/registry/replica"
	"github.com/nameplate-id/nameplate/registry/replica/replicatest"
)

// step does one thing that may happen in a forest.
func (f *forest) step(pick pick) error {
	m := f.nodes[pick(len(f.nodes))]
	if pick(2) == 0 {
		m = f.nodes[topNodes-1+pick(len(f.nodes)-topNodes+1)] // mostly those that have parents
	}
	l := f.links[pick(len(f.links))]
	if pick(3) > 0 {
		l = f.down[pick(len(f.down))]
	}
	switch pick(15) {
	case 0, 1:
		for range 1 + pick(3) {
			m.register(pick(10) == 0)
		}
	case 2, 3:
		m.sync()
	case 4:
		if !l.open || l.child.Refusal() != nil || pick(12) == 0 {
			l.connect()
		}
	case 5, 6, 7, 8, 9:
		for range 1 + pick(6) {
			l.send(pick(2) == 0)
			if err := l.pass(pick(2) == 0, pick); err != nil {
				return err
			}
		}
	case 10:
		m.logRows()
		m.cosign()
		if pick(3) == 0 {
			f.resolve(func() bool { return pick(2) == 0 })
			return f.calm()
		}
	case 11:
		m.backup()
	case 12:
		if err := l.takeGrant(pick(4) > 0); err != nil {
			return err
		}
		return l.keepReceipt(pick(4) > 0)
	default:
		return f.trouble(m, l, pick)
	}
	return nil
}

// trouble does what seldom happens.
func (f *forest) trouble(m *member, l *link, pick pick) error {
	below := f.down[pick(len(f.down))].from
	switch pick(15) {
	case 14:
		below.above.control(pick)
	case 13:
		f.tops[pick(topNodes)].restoreTop(pick)
	case 0, 1:
		f.note(crashedOne)
		m.crash(pick(1 + len(m.frames) - m.synced))
	case 2:
		below.restore(false, pick)
	case 3:
		below.restoreAll(pick)
	case 4:
		if f.forks || pick(6) == 0 {
			below.restore(true, pick)
		}
	case 5:
		take(&l.up, pick) // lost
	case 6:
		take(&l.down, pick)
	case 7:
		l.child.Tick()
	case 8:
		l.tick()
	case 9:
		below.above.give(below, pick(2) == 0)
	case 10:
		return f.damage(pick)
	case 11:
		if p := l.parent(); p != nil {
			p.Credit([]uint64{0, replica.MaxOctets}[pick(2)])
		}
	default:
		l.hangUp()
	}
	return nil
}

// restoreAll puts back a node and all below it at once, and the one above where that has
// one above it.
func (m *member) restoreAll(pick pick) {
	before := m.f.restored
	m.restore(false, pick)
	for _, c := range m.below {
		c.restore(false, pick)
	}
	if m.above.above != nil {
		m.above.restore(false, pick)
	} else if pick(2) == 0 {
		m.above.restoreTop(pick)
	}
	if m.f.restored > before+1 {
		m.f.note(restoredBoth)
	}
}

// restoreTop puts back a top-level node, as long as three others can tell what it lacks:
// with more than two at once, people have to.
func (m *member) restoreTop(pick pick) {
	others := 0
	for _, peer := range m.peers {
		if peer.marked {
			others++
		}
	}
	if others < 2 {
		m.restore(false, pick)
	}
}

// give gives a child what it has for another epoch, or takes it away.
func (m *member) give(c *member, revoked bool) {
	if g := m.gave[c.number]; g.epoch > 0 && g.revoked != revoked {
		m.write(&entry{given: &given{child: c.number, epoch: g.epoch + 1, revoked: revoked}})
		if revoked {
			m.f.note(revokedOne)
		}
	}
}

// tick lets a heartbeat's time pass on the receiving side, which looks again whether it
// has to do with the sender.
func (l *link) tick() {
	p := l.parent()
	if p == nil || !l.greeted {
		return
	}
	p.Tick()
	if !l.admits() {
		p.Refuse(&replica.Refusal{Reason: replica.UnknownNode, Detail: "no prefix is delegated to it any more"})
	}
	if e := l.to.apart[l.key()]; e != nil {
		p.Refuse(&replica.Refusal{Reason: replica.Fork, Evidence: e})
	}
}

// damage delivers entries that are not what was sent, on some stream that carries any.
func (f *forest) damage(pick pick) error {
	for _, l := range f.links[pick(len(f.links)):] {
		l.send(true)
		at := slices.IndexFunc(l.up, func(m replica.Message) bool { _, ok := m.(*replica.Entries); return ok })
		if at < 0 {
			if a := l.otherProof(); a != nil {
				f.note(damagedOne)
				return l.receive(a)
			}
			continue
		}
		e := *l.up[at].(*replica.Entries)
		e.Payloads = slices.Clone(e.Payloads)
		e.Payloads[pick(len(e.Payloads))] = replicatest.Entry(f.draw(), 0)
		l.tainted = true
		f.note(damagedOne)
		return l.receive(&e)
	}
	return nil
}

func (l *link) send(up bool) {
	if up && l.open {
		l.up = appendMessage(l.up, l.next())
	}
	if p := l.parent(); !up && p != nil && l.stream != nil && l.greeted {
		l.to.ask(p)
		l.down = appendMessage(l.down, p.Next())
		l.keepEvidence(p.Refusal())
	}
}

// pass delivers a message at one of the two ends, if there is one.
func (l *link) pass(up bool, pick pick) error {
	if up {
		if x, ok := take(&l.up, pick); ok {
			return l.receive(x)
		}
	} else if x, ok := take(&l.down, pick); ok {
		return l.deliver(x)
	}
	return nil
}

// calm lets everything get where it belongs, as most of the time: entries to the parents
// and peers, rows of them up to the top, receipts down.
func (f *forest) calm() error {
	for range 2 {
		if err := f.settleAll(); err != nil {
			return err
		}
		for _, m := range f.nodes {
			m.logRows()
			m.sync()
		}
	}
	return f.settleAll()
}

// settleAll lets a heartbeat's time pass in which nothing goes wrong.
func (f *forest) settleAll() error {
	for _, l := range f.links {
		if !l.open || l.child.Refusal() != nil {
			l.connect()
		}
		l.child.Tick()
		l.tick()
		if err := l.settle(); err != nil {
			return err
		}
	}
	for _, m := range f.nodes {
		m.cosign()
	}
	for _, l := range f.down {
		if err := l.settle(); err != nil {
			return err
		}
	}
	return f.check()
}

// settle lets both ends send until neither has anything to say, and nothing goes wrong.
func (l *link) settle() error {
	for idle := false; !idle; {
		l.send(true)
		l.send(false)
		idle = len(l.up)+len(l.down) == 0
		for _, up := range []bool{true, false} {
			if err := l.pass(up, oldest); err != nil {
				return err
			}
		}
		if err := l.takeGrant(true); err != nil {
			return err
		}
		if err := l.keepReceipt(true); err != nil {
			return err
		}
		for _, m := range []*member{l.from, l.to} {
			if m.synced < len(m.frames) {
				m.sync()
				idle = false
			}
		}
		if err := l.check(); err != nil {
			return fmt.Errorf("from node %d to node %d, log of node %d: %w", l.from.number, l.to.number, l.owner.number, err)
		}
	}
	return l.to.f.wrong
}

// forestRounds is how many heartbeats may pass until everything is where it belongs.
const forestRounds = 24

// heal lets nothing go wrong any more, until every node that was not set aside has
// everything, and so have its mirrors, and a receipt for all of it.
func (f *forest) heal() error {
	for _, m := range f.nodes {
		if m.sync(); m.draining {
			m.stop()
		}
		m.low = false
	}
	for _, l := range f.links {
		l.tainted = true // what was changed on the way may still lead to a refusal
		if p := l.parent(); p != nil {
			p.Credit(replica.MaxOctets)
		}
	}
	for range forestRounds {
		for _, m := range f.nodes {
			for _, c := range m.below {
				m.give(c, false)
			}
			m.logRows()
			m.sync()
		}
		f.resolve(func() bool { return true })
		if err := f.settleAll(); err != nil {
			return err
		}
		if !slices.ContainsFunc(f.links, func(l *link) bool { return !l.healed() }) {
			return f.checkWhole()
		}
	}
	var left string
	for _, l := range f.links {
		if !l.healed() {
			left += fmt.Sprintf("\nthe log of node %d from %d to %d is not", l.owner.number, l.from.number, l.to.number)
		}
	}
	for _, m := range f.nodes {
		left += "\n" + m.String()
	}
	return fmt.Errorf("not healed after %d heartbeats%s", forestRounds, left)
}

// stuck reports whether only people can help a node: its log is set aside here or above,
// or a loss was reported; or the node above is stuck, and takes in nothing.
func (m *member) stuck() bool {
	if m.forked != nil || m.above != nil && (m.above.apart[m.log] != nil || m.above.stuck()) {
		return true
	}
	return slices.ContainsFunc(m.links, func(l *link) bool {
		r := l.child.Refusal()
		return !l.relayed() && r != nil && r.Reason == replica.Loss
	})
}

// healed reports whether a link has nothing more to wait for.
func (l *link) healed() bool {
	m := l.owner
	if l.relayed() && m.witnessed {
		return true // others have the rows alone
	}
	if r := l.child.Refusal(); l.relayed() && r != nil && (r.Reason == replica.Behind || m.pointed && r.Reason == replica.Loss) {
		// The node and its child were restored at once, to a time before what a peer holds.
		// Nobody gives that back: the child writes on, and then there is a fork.
		m.f.note(peerHasMore)
		return true
	}
	h := l.to.held[l.key()]
	if m.marked || h == nil || h.at(m.f, h.synced) != m.fast && l.rowed() != m.fast.size {
		return false
	}
	s := l.child.Status()
	if !s.Connected || s.Acked != m.fast.size {
		return false
	}
	if l.to.logOf(m) != m.log {
		return false
	}
	return l.to != m.above || m.kept[0] == m.fast.size && m.kept[1] == m.fast.size
}

// checkWhole returns an error when something was lost that only one restore took.
func (f *forest) checkWhole() error {
	for _, m := range f.nodes {
		if f.restored <= 1 && !f.untold && !m.lost() && (!m.fast.has(m.told) || m.stuck()) {
			return fmt.Errorf("node %d was acknowledged %d entries and has %d or others, and only one node was restored once:\n%v\n%v", m.number, m.told.size, m.fast.size, m, m.above)
		}
		if m.above != nil && !m.reported && !m.lossTold && !m.stuck() {
			if err := m.checkKept(); err != nil {
				return err
			}
		}
	}
	return nil
}
