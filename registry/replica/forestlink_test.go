package replica_test

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/replica"
)

// link is what carries a log from one node to another: its own to the node above or to a
// peer, or that of a child to a peer.
type link struct {
	from, to, owner *member
	child           *replica.Child
	pace            *replica.Relay // of a child's log
	up, down        []replica.Message
	stream          *replica.Challenge // of the newest; nil when the other side knows of none
	greeted         bool
	open            bool
	tainted         bool // something was changed on the way, so that a refusal is right

	acked  uint64 // of the session
	credit uint64 // the most that the session has allowed
	grants uint64 // taken in, of the session
	asked  asked
	sends  *incarnation // the log that the machine is of
}

func (l *link) relayed() bool { return l.owner != l.from }

// inc returns the log that the link carries.
func (l *link) inc() *incarnation {
	if !l.relayed() {
		return l.from.incarnation
	}
	if log := l.from.logOf(l.owner); log > 0 {
		return l.from.f.logs[log-1]
	}
	return l.from.f.logs[l.owner.number-1] // none has come yet
}

// key returns the number of that log.
func (l *link) key() byte { return l.inc().log }

// at returns how much of the log there is, synced.
func (l *link) at() *place {
	if !l.relayed() {
		return l.from.fast
	}
	h := l.from.mirrorOf(l.key())
	return h.at(l.from.f, h.synced)
}

// The log as the machine reads it.

func (l *link) Entries(from uint64, entries, octets int) ([][]byte, error) {
	if l.relayed() {
		u, err := l.from.mirrorOf(l.key()).Unit(from)
		if err != nil {
			return nil, err
		}
		return u.Payloads[from-u.Start:], nil
	}
	payloads := l.at().payloads(from)
	end := 0
	for end < len(payloads) && end < entries {
		if octets -= len(payloads[end]); octets < 0 && end > 0 {
			break
		}
		end++
	}
	return payloads[:end], nil
}

func (l *link) Root(size uint64) (identifier.Hash, error) { return l.at().at(size).root, nil }

func (l *link) SignCheckpoint(size uint64) ([]byte, identifier.Hash, error) {
	p := l.at().at(size)
	if !l.relayed() {
		l.from.f.signed[signedAt{l.key(), size, p.root}] = p
		return quickNote(size, p.root, l.from.id, l.from.key.Public()), p.root, nil
	}
	if size == 0 {
		return nil, identifier.Hash{}, errGap
	}
	u, err := l.from.mirrorOf(l.key()).Unit(size - 1)
	if err != nil || u.End() != size {
		return nil, identifier.Hash{}, errGap
	}
	return u.Checkpoint, p.root, nil
}

func (l *link) Prove(old, size uint64) ([]identifier.Hash, error) { return l.at().at(size).prove(old) }

func (l *link) Subtrees() (uint64, []identifier.Hash, error) {
	p := l.at()
	return p.size, p.hashes(), nil
}

// restart makes the sending side anew, after a start of its node.
func (l *link) restart() {
	m := l.from
	l.sends = l.inc()
	config := replica.ChildConfig{
		Signer: m.key, ID: l.inc().id, Owner: l.owner.key.Public(), Log: l, Verify: verifyQuick, Parent: l.to.key.Public(), Octets: 200 << 10,
	}
	if l.to == m.above {
		config.Cosignature = verifyQuickCosignature
		config.Acked = func(identifier.PublicKey) uint64 { return m.acked }
	}
	if l.owner.pointed && l.relayed() {
		config.Kept = identifier.PolicyPointer
	}
	config.Prove(quickProof)
	l.child = replica.NewChild(config)
	l.child.LeaveOut(m.f.left)
	l.stream, l.greeted, l.open, l.pace, l.acked = nil, false, false, &replica.Relay{}, 0
	l.pace.LeaveOut(m.f.left)
	l.grow()
}

// grow tells the machine how much there is to be sent.
func (l *link) grow() {
	size := l.at().size
	if l.relayed() {
		for _, own := range l.from.links {
			if own.to == l.to && !own.relayed() {
				size = l.pace.May(size, l.from.fast.size, own.acked)
			}
		}
	}
	l.child.Grow(size)
}

// connect opens a stream.
func (l *link) connect() {
	m := l.from
	if l.sends != l.inc() {
		l.restart() // another log counts here
	}
	if l.child.Close(); l.relayed() && (m.mirrorOf(l.key()).certain != nil || l.owner.witnessed) {
		l.open = false
		return // its child decides first what of it is sent
	}
	if m.marked && !l.relayed() {
		l.child.Mark()
	}
	l.grow()
	if l.to == m.above {
		l.child.Keep(m.kept[0], m.kept[1])
	}
	var nonce replica.Nonce
	binary.BigEndian.PutUint64(nonce[:], m.f.draw())
	l.child.Open(nonce)
	l.stream, l.greeted, l.open = &replica.Challenge{Parent: l.to.key.Public()}, false, true
	l.ended()
	l.credit, l.grants = 0, 0
	binary.BigEndian.PutUint64(l.stream.Nonce[:], m.f.draw())
	l.down = append(l.down, l.stream)
}

// hangUp ends the stream.
func (l *link) hangUp() {
	l.child.Close()
	l.open = false
	l.ended()
}

// ended says that it is not known any more what the other side has.
func (l *link) ended() {
	l.acked = 0
	if l.to != l.from.above && l.from.anchors != nil {
		l.from.anchors.PeerHolds(l.to.key.Public(), l.inc().id, 0)
	}
	if !l.relayed() {
		l.relays()
	}
}

// relays tells the links that carry children's logs to the same node how far they may go.
func (l *link) relays() {
	for _, other := range l.from.links {
		if other.to == l.to && other.relayed() && other.child != nil {
			other.grow()
		}
	}
}

// parent returns the other side, once there is one.
func (l *link) parent() *replica.Parent {
	if h := l.to.held[l.key()]; h != nil {
		return h.parent
	}
	return nil
}

// make returns the receiving side, which begins with the first Hello.
func (l *link) make() (*replica.Parent, error) {
	m, owner := l.to, l.owner
	h := m.mirrorOf(l.key())
	if h.parent != nil {
		return h.parent, nil
	}
	end := h.at(m.f, h.synced)
	found := replica.Mirror{Size: end.size, Subtrees: end.hashes()}
	if h.synced > 0 {
		found.Checkpoint = h.units[h.synced-1].unit.Checkpoint
	}
	if row := h.certain; row != nil {
		found = replica.Mirror{Size: row.Size, Subtrees: end.at(row.Size).hashes(), Checkpoint: row.Checkpoint}
	}
	config := replica.ParentConfig{
		Signer: m.key, ID: m.id, Child: owner.key.Public(), Log: l.inc().id, Verify: verifyQuick, History: h, Window: replica.MaxOctets,
	}
	inc := l.inc()
	if owner.above == m {
		config.Row = func() (replica.Row, error) { return m.newest[inc.log], nil }
	}
	config.Begins = func(payload []byte) *replica.Refusal { return m.begins(inc, m.f.entryOf(payload)) }
	switch {
	case owner.witnessed:
		config.Policy, found.Subtrees = identifier.PolicyWitness, nil
	case owner.pointed:
		config.Policy = identifier.PolicyPointer
	}
	p, err := replica.NewParent(config, found)
	if err != nil {
		return nil, err
	}
	p.LeaveOut(m.f.left)
	if g, ok := m.gave[owner.number]; ok && owner.above == m && m.logOf(owner) == inc.log {
		p.Offer(g.envelope())
	}
	h.parent = p
	return p, nil
}

// admits reports whether a stream is let in.
func (l *link) admits() bool {
	m := l.to
	if !m.standing().TakesIn() || m.draining {
		return false
	}
	switch {
	case l.owner.above == m:
		g := m.gave[l.owner.number]
		return g.epoch > 0 && !g.revoked
	case l.relayed():
		return len(m.known[l.from.number]) > 0
	}
	return true
}

// receive delivers a message to the receiving side.
func (l *link) receive(x replica.Message) error {
	hello, ok := x.(*replica.Hello)
	if !ok {
		if p := l.parent(); p != nil && l.greeted {
			l.store(p, p.Receive(x))
			l.keepEvidence(p.Refusal())
		}
		return nil
	}
	if l.stream == nil || l.greeted || replica.CheckHelloBy(hello, l.stream, quickProof) != nil {
		return nil
	}
	if !l.admits() {
		l.stream = nil // it hangs up
		return nil
	}
	if r := l.to.hear(l.inc()); r != nil {
		l.stream = nil
		l.down = append(l.down, &replica.Refuse{Nonce: hello.Nonce, Reason: r.Reason, Detail: r.Detail})
		return nil
	}
	if e := l.to.apart[l.key()]; e != nil {
		l.stream = nil
		l.down = append(l.down, &replica.Refuse{Nonce: hello.Nonce, Reason: replica.Fork, Evidence: e.Held, Root: e.Root, Proof: e.Proof, Signed: e.Signed})
		return nil
	}
	tip, root, err := verifyQuick(hello.Tip, l.inc().id, l.owner.key.Public())
	if err == nil {
		err = l.settleMirror(tip, root)
	}
	if err != nil {
		return err
	}
	p, err := l.make()
	if err != nil {
		return err
	}
	l.greeted, l.tainted = true, false
	var s replica.Session
	binary.BigEndian.PutUint64(s[:], l.to.f.draw())
	p.Open(hello, s)
	if p.Status().Lost > 0 {
		l.to.f.note(foundLost)
	}
	return nil
}

// store appends a unit.
func (l *link) store(p *replica.Parent, u *replica.Unit) {
	if u == nil {
		return
	}
	h := l.to.mirrorOf(l.key())
	if h.certain != nil {
		if u = l.resent(p, h, u); u == nil {
			return
		}
	}
	end := h.at(l.to.f, len(h.units))
	if u.Witnessed() {
		end = l.witnessed(u, end)
	} else if end.size != u.Start {
		l.to.f.wrong = errors.New("the mirror has a gap")
	}
	if l.to.f.wrong != nil {
		return
	}
	for _, payload := range u.Payloads {
		if !u.Witnessed() {
			end = end.then(l.to.f.entryOf(payload))
		}
	}
	l.to.append(frame{unit: u, whose: l.key(), end: end}, func() {
		if p == h.parent {
			h.joins = 0
			p.Stored()
		}
	})
	if size, root, err := verifyQuick(u.Checkpoint, l.inc().id, l.owner.key.Public()); err != nil || size != end.size || root != end.root || l.to.f.signed[signedAt{l.key(), size, root}] == nil {
		l.to.f.wrong = fmt.Errorf("node %d stores %d entries of node %d that do not end where that one has signed", l.to.number, end.size, l.owner.number)
	}
}

func (l *link) String() string {
	s := l.child.Status()
	text := fmt.Sprintf("%d to %d of %d: connected %v, %d synced, %d acked, %d anchored, marked %v", l.from.number, l.to.number, l.owner.number, s.Connected, s.Synced, s.Acked, s.Anchored, s.Marked)
	if r := l.child.Refusal(); r != nil {
		text += ": " + r.Error()
	}
	return text
}
