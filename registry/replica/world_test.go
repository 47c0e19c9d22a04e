package replica_test

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/replica"
	"github.com/nameplate-id/nameplate/registry/replica/replicatest"
)

var errGap = errors.New("the mirror on the disk has a gap")

// pick chooses one of n.
type pick func(n int) int

// world is a parent with some children, and a network that loses, doubles and
// reorders messages, and delivers those of old streams on new ones. Both sides are the
// production code; what is played here are disks, network and whoever drives it.
type world struct {
	disk     disk
	above    *above
	key      identifier.PrivateKey // the parent's
	children []*node
	drawn    uint64       // for nonces, sessions and entries
	left     replica.Rule // what both sides leave out
	window   uint64
	large    bool // there are large entries
}

// node is a child, and the parent's side of it.
type node struct {
	number  byte
	log     *replicatest.Log
	child   *replica.Child
	parent  *replica.Parent // nil until the first Hello after a start
	up      []replica.Message
	down    []replica.Message
	stream  *replica.Challenge // of the newest stream; nil when the parent knows of none
	greeted bool               // the stream's Hello came
	open    bool               // the child has a stream
	hello   *replica.Hello     // that the parent took

	grants [][]byte        // payloads of all
	taken  map[string]bool // by payload
	next   uint64          // number of the grant that the session comes to next

	floor     uint64 // how many entries the parent's disk has, synced; it never goes down
	written   uint64 // with those that are not synced
	checked   [2]int // the disk when it was last looked at
	fresh     int
	acked     uint64 // of the session
	credit    uint64 // the most that the session has allowed
	kept      uint64 // how many entries the child's newest receipt is for, synced
	rowHeld   uint64 // the largest row of it that three top-level nodes ever had
	heldAbove uint64 // how many of its entries the level above ever held
	tainted   bool   // something was changed on the way, so that a refusal is right
	fence     bool   // the next Hello is fenced
	fences    []replica.Fence
}

func newWorld(children int, left replica.Rule) *world {
	w := &world{key: replicatest.NodeKey(200), left: left, window: replica.MaxOctets, above: newAbove(replica.ParentAbove, left)}
	for i := range children {
		n := &node{number: byte(i + 1), log: replicatest.NewLog(byte(i + 1)), taken: map[string]bool{}}
		w.children = append(w.children, n)
		w.startChild(n)
		w.register(n, 0)
		w.syncChild(n)
	}
	return w
}

func (w *world) draw() uint64 { w.drawn++; return w.drawn }

func (w *world) nonce() (n replica.Nonce) {
	binary.BigEndian.PutUint64(n[:], w.draw())
	return n
}

func (w *world) startChild(n *node) {
	n.child = replica.NewChild(replica.ChildConfig{
		Signer: n.log.Key, ID: n.log.ID, Log: n.log, Verify: replicatest.VerifyCheckpoint, Parent: w.key.Public(), Octets: 200 << 10,
		Cosignature: replicatest.VerifyCosignature,
	})
	n.child.LeaveOut(w.left)
	n.child.Grow(n.log.Synced())
	rooted := uint64(0)
	if w.above.kind == replica.PeersAbove {
		rooted = n.kept
	}
	n.child.Keep(n.kept, rooted)
}

// startParent makes the parent's side of a child from what its disk holds.
func (w *world) startParent(n *node) error {
	m, err := w.disk.found(n.number)
	if err != nil {
		return err
	}
	n.parent, err = replica.NewParent(replica.ParentConfig{
		Signer: w.key, ID: replicatest.LogID(200), Child: n.log.Key.Public(), Log: n.log.ID, Verify: replicatest.VerifyCheckpoint, Window: w.window,
		History: copyOn{&w.disk, n.number}, Fence: n.fenced,
	}, m)
	if err != nil {
		return err
	}
	n.parent.LeaveOut(w.left)
	for _, g := range n.grants {
		n.parent.Offer(identifier.Envelope{Payload: g})
	}
	return nil
}

// connect opens a stream, of which the one before it may know nothing.
func (w *world) connect(n *node) {
	n.child.Open(w.nonce())
	n.open = true
	n.stream, n.greeted = &replica.Challenge{Nonce: w.nonce(), Parent: w.key.Public()}, false
	n.down = append(n.down, n.stream)
	n.acked, n.credit = 0, 0
}

func (w *world) register(n *node, octets int) { n.log.Append(replicatest.Entry(w.draw(), octets)) }

func (w *world) syncChild(n *node) {
	n.log.Sync()
	n.child.Grow(n.log.Synced())
}

func (w *world) grant(n *node) {
	g := binary.BigEndian.AppendUint64(nil, w.draw())
	n.grants = append(n.grants, g)
	if n.parent != nil {
		n.parent.Offer(identifier.Envelope{Payload: g})
	}
}

// toParent delivers a message to the parent's side.
func (w *world) toParent(n *node, m replica.Message) error {
	if hello, ok := m.(*replica.Hello); ok {
		if n.stream == nil || n.greeted || replica.CheckHello(hello, n.stream) != nil {
			return nil
		}
		if n.parent == nil {
			if err := w.startParent(n); err != nil {
				return err
			}
		}
		n.greeted, n.tainted, n.hello = true, false, hello
		if n.fence {
			n.fence = false
			size, root, err := replicatest.VerifyCheckpoint(hello.Tip, n.log.ID, n.log.Key.Public())
			if err != nil {
				return err
			}
			n.fences = append(n.fences, replica.Fence{Size: size, Root: root})
		}
		var s replica.Session
		binary.BigEndian.PutUint64(s[:], w.draw())
		n.parent.Open(hello, s)
		return nil
	}
	if n.parent == nil {
		return nil
	}
	if u := n.parent.Receive(m); u != nil {
		p := n.parent
		w.disk.append(n.number, u, func() {
			if p == n.parent {
				p.Stored()
			}
		})
	}
	return nil
}

// toChild delivers a message to a child.
func (w *world) toChild(n *node, m replica.Message) {
	before := n.child.Status().Connected
	n.child.Receive(m)
	if u := n.child.Returned(); u != nil {
		for _, p := range u.Payloads {
			n.log.Append(p)
		}
		n.log.Sync()
		n.child.Restored(true)
	}
	if n.child.Healed() {
		n.child.Unmark()
	}
	s := n.child.Status()
	if s.Connected && !before {
		n.next, n.acked = 0, s.Acked
	}
	if s.Connected {
		n.credit = max(n.credit, s.Credit)
	}
}

// takeGrant lets the child's registry deal with a grant.
func (w *world) takeGrant(n *node, taken bool) error {
	g := n.child.Grant()
	if g == nil {
		return nil
	}
	if g.Number != n.next && w.left != replica.RuleSession {
		return fmt.Errorf("child %d is to take in grant %d instead of %d", n.number, g.Number, n.next)
	}
	if taken {
		n.taken[string(g.Envelope.Payload)] = true
		n.next++
	}
	n.child.Granted(taken)
	return nil
}

// crashParent ends the parent's process and starts it again.
func (w *world) crashParent(keep int) {
	w.disk.crash(keep)
	w.above.restart(w.left)
	w.restartParent()
}

func (w *world) restartParent() {
	for _, n := range w.children {
		n.parent, n.stream, n.greeted = nil, nil, false
	}
}

// loseDisk gives the parent an empty disk.
func (w *world) loseDisk() {
	w.disk = disk{starts: w.disk.starts + 1}
	w.above = newAbove(w.above.kind, w.left)
	w.restartParent()
	for _, n := range w.children {
		n.floor, n.acked = 0, 0
		w.hangUp(n) // what it was told is no longer so
	}
}

func (w *world) crashChild(n *node, keep uint64) {
	n.log.Crash(keep)
	w.startChild(n)
	n.acked, n.open = 0, false
}

// hangUp ends the child's stream.
func (w *world) hangUp(n *node) {
	n.child.Close()
	n.open = false
}

// check returns what is not as it has to be, after every step.
func (w *world) check() error {
	for _, n := range w.children {
		if err := w.checkNode(n); err != nil {
			return fmt.Errorf("child %d: %w", n.number, err)
		}
	}
	return w.checkAnchors()
}

func (w *world) checkNode(n *node) error {
	if state := [2]int{len(w.disk.octets), w.disk.synced}; state != n.checked || n.fresh != w.disk.starts {
		if err := w.checkDisk(n); err != nil {
			return err
		}
		n.checked, n.fresh = state, w.disk.starts
	}
	if err := w.checkChild(n, n.floor); err != nil {
		return err
	}
	if n.parent == nil {
		return nil
	}
	s := n.parent.Status()
	if s.Stored != n.floor || s.Accepted != n.written {
		return fmt.Errorf("the parent counts %d stored and %d accepted, the disk has %d and %d", s.Stored, s.Accepted, n.floor, n.written)
	}
	if s.InFlight > w.window {
		return fmt.Errorf("the parent holds %d octets, the window is %d", s.InFlight, w.window)
	}
	return w.checkRefusal(n, s.Refusal)
}

// checkDisk checks what the parent's disk holds of a child's log.
func (w *world) checkDisk(n *node) error {
	durable, note, err := mirrored(w.disk.octets[:w.disk.synced], n.number)
	if err == nil {
		err = n.log.CheckMirror(durable, note)
	}
	if err != nil {
		return fmt.Errorf("what is synced: %w", err)
	}
	if uint64(len(durable)) < n.floor {
		return fmt.Errorf("the mirror had %d entries and has %d", n.floor, len(durable))
	}
	all, note, err := mirrored(w.disk.octets, n.number)
	if err == nil {
		err = n.log.CheckMirror(all, note)
	}
	if err != nil {
		return fmt.Errorf("what is written: %w", err)
	}
	n.floor, n.written = uint64(len(durable)), uint64(len(all))
	return nil
}

func (w *world) checkChild(n *node, durable uint64) error {
	s := n.child.Status()
	if err := w.checkRefusal(n, s.Refusal); err != nil || !s.Connected {
		return err
	}
	if s.Acked > durable {
		return fmt.Errorf("the child takes %d entries for stored, the parent has synced %d", s.Acked, durable)
	}
	if s.Acked < n.acked {
		return fmt.Errorf("what is acknowledged went down from %d to %d", n.acked, s.Acked)
	}
	n.acked = s.Acked
	if s.InFlight > n.credit {
		return fmt.Errorf("%d octets are under way, %d are allowed", s.InFlight, n.credit)
	}
	return nil
}

// checkRefusal allows refusals that a network or a disk can bring about.
func (w *world) checkRefusal(n *node, r *replica.Refusal) error {
	if r == nil || r.Reason.Passing() || n.tainted {
		return nil
	}
	return r
}
