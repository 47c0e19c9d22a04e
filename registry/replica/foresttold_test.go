package replica_test

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/replica"
)

// What a node does with what the machines of its streams tell it.

// Grants are told by what they are.
func (g given) envelope() identifier.Envelope {
	b := binary.BigEndian.AppendUint64([]byte{g.child, 0}, g.epoch)
	if g.revoked {
		b[1] = 1
	}
	return identifier.Envelope{Payload: b}
}

func givenBy(e identifier.Envelope) given {
	return given{child: e.Payload[0], revoked: e.Payload[1] == 1, epoch: binary.BigEndian.Uint64(e.Payload[2:])}
}

// keepEvidence does what the end of a stream asks of the receiving side.
func (l *link) keepEvidence(r *replica.Refusal) {
	if r != nil && r.Duty() == replica.SetAside {
		if err := l.checkEvidence(r.Evidence); err != nil {
			l.to.f.fail("%v", err)
		}
		l.to.setAside(l.key(), r.Evidence)
	}
}

// checkEvidence checks that evidence is some, of the log that the link carries.
func (l *link) checkEvidence(e *replica.Evidence) error {
	if e.Log != l.inc().id || e.Node != l.owner.key.Public() {
		return fmt.Errorf("the evidence is of log %s of node %s", e.Log, e.Node)
	}
	_, err := e.Check(verifyQuick)
	return err
}

// setAside durably sets a log aside.
func (m *member) setAside(whose byte, shown *replica.Evidence) {
	if m.apart[whose] != nil || whose == m.log && m.forked != nil {
		return
	}
	m.append(frame{fork: whose, shown: shown}, nil)
	m.f.note(setAside)
	before := m.others(whose)
	m.sync()
	if now := m.others(whose); !slices.Equal(before, now) {
		m.f.fail("node %d sets the log of node %d aside, and other streams end: %v, then %v", m.number, whose, before, now)
	}
}

// others returns which streams of other logs a node has taken in.
func (m *member) others(whose byte) (connected []bool) {
	for _, l := range m.f.links {
		if l.to == m && l.key() != whose {
			p := l.parent()
			connected = append(connected, p != nil && p.Status().Connected)
		}
	}
	return connected
}

// deliver delivers a message to the sending side.
func (l *link) deliver(x replica.Message) error {
	was := l.child.Status()
	before := was.Connected
	l.asked.hear(x, was)
	l.child.Receive(x)
	if u := l.child.Returned(); u != nil && u.Start != l.from.end.size {
		l.hangUp() // another peer was faster
		return nil
	} else if u != nil {
		l.from.f.note(tookBack)
		for _, payload := range u.Payloads {
			if err := l.from.takeBack(payload); err != nil {
				return err
			}
		}
		l.from.sync()
		l.child.Restored(true)
	}
	if s := l.child.Status(); s.Connected && !before {
		l.acked = s.Acked
		l.asked = asked{session: x.(*replica.Welcome).Session}
	} else if was.Paused == "" && s.Paused != "" {
		l.from.f.note(pausedOne)
	}
	return l.heed()
}

// heed does what the machine asks for, as whoever drives it has to.
func (l *link) heed() error {
	m := l.from
	if r := l.child.Refusal(); r != nil {
		if l.relayed() && r.Remote && (r.Reason == replica.OtherLog || r.Reason == replica.Succeeded) && m.standing().TakesIn() && m.f.left != replica.RuleJoin {
			m.recall(l.to, l.owner, false)
			return nil
		}
		switch r.Duty() {
		case replica.MarkLog:
			if !l.relayed() {
				m.sync() // nothing is on its way to the log any more
				if m.marked = true; m.above == nil {
					return m.mark(l, r)
				}
				if r.Reason == replica.Succeeded {
					m.adopt()
					return nil
				}
				m.lossTold = m.lossTold || r.Reason == replica.Loss
				m.f.note(map[bool]event{true: foundLoss, false: foundBehind}[r.Reason == replica.Loss])
			}
		case replica.SetAside:
			if err := l.checkEvidence(r.Evidence); err != nil {
				return err
			}
			m.setAside(l.key(), r.Evidence)
		}
	}
	s := l.child.Status()
	if !s.Connected {
		return nil
	}
	l.credit = max(l.credit, s.Credit)
	if !l.relayed() && l.greeted {
		m.unheard = false
	}
	if m.above == nil && m.marked && !l.relayed() {
		return m.hearPeer(l, s)
	}
	if l.child.Healed() && !l.relayed() {
		m.marked, m.back = false, false
		m.f.note(healedOne)
		l.child.Unmark()
		m.certify(m.fast)
	}
	if s = l.child.Status(); !s.Marked && s.Acked <= s.Synced {
		l.acknowledged(s)
	}
	return nil
}

// acknowledged takes note of what the other side has.
func (l *link) acknowledged(s replica.ChildStatus) {
	m := l.from
	l.acked = s.Acked
	if l.to != m.above {
		m.anchors.PeerHolds(l.to.key.Public(), l.inc().id, s.Acked)
		if !l.relayed() {
			l.relays()
		}
		return
	}
	m.anchors.Hold(s.Anchored)
	if s.Acked > m.acked {
		m.append(frame{acked: s.Acked}, nil)
		m.acked = s.Acked
		if s.Acked > m.told.size {
			m.told = m.fast.at(s.Acked)
		}
	}
}

// takeGrant lets the node deal with a grant.
func (l *link) takeGrant(taken bool) error {
	g := l.child.Grant()
	if g == nil {
		return nil
	}
	m := l.from
	if g.Number != l.grants && m.f.left != replica.RuleSession {
		return fmt.Errorf("node %d is to take in grant %d instead of %d", m.number, g.Number, l.grants)
	}
	if x := givenBy(g.Envelope); taken && (x.epoch > m.epoch || x.epoch == m.epoch && x.revoked != m.revoked) {
		taken = m.write(&entry{taken: x.epoch, revoked: x.revoked})
	}
	if taken {
		l.grants++
	}
	l.child.Granted(taken)
	return nil
}

// keepReceipt lets the node store a receipt.
func (l *link) keepReceipt(stored bool) error {
	r := l.child.Receipt()
	if r == nil || !stored {
		return nil
	}
	m := l.from
	size, root, err := r.Check(replica.Verifier{Checkpoint: verifyQuick, Cosignature: verifyQuickCosignature}, m.id, m.key.Public())
	if err != nil {
		return err
	}
	if m.fast.size < size || m.fast.at(size).root != root {
		return fmt.Errorf("node %d keeps a receipt for %d entries that it does not have", m.number, size)
	}
	m.append(frame{receipt: receiptOf(size, r.Top)}, func() {
		m.f.note(map[bool]event{true: gotRooted, false: gotReceipt}[r.Top])
		m.kept = [2]uint64{max(m.kept[0], size), max(m.kept[1], receiptOf(size, r.Top)[1])}
		l.child.Keep(m.kept[0], m.kept[1])
	})
	return nil
}

func receiptOf(size uint64, top bool) [2]uint64 {
	if top {
		return [2]uint64{size, size}
	}
	return [2]uint64{size, 0}
}
