package replica_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/replica"
	"github.com/nameplate-id/nameplate/registry/replica/replicatest"
)

// forest is a tree of three levels whose nodes are restored from backups, one at a time
// or several at once: a top that is never restored (it has an anchor), a node below it,
// and leaves below that. Both sides of every stream are the production code; what is
// played are disks, network, and what a registry does with what the machines tell it.
type forest struct {
	nodes []*member // the top first
	drawn uint64
	left  replica.Rule
	rowOf map[string]*loggedRow // by the entry that it is
	// untold says that a node was put back once without a word: it may write anew what
	// was anchored, and is to be caught.
	untold bool
}

// member is a node of the forest.
type member struct {
	number   byte
	above    *member
	below    []*member
	key      identifier.PrivateKey
	frames   []frame // its journal
	synced   int
	marked   bool // a file
	waiting  []func()
	saved    []frame // a backup of its journal; nil for none
	log      *replicatest.Log
	child    *replica.Child // towards the node above
	mirrors  map[byte]*replica.Parent
	up, down []replica.Message // between it and the node above
	stream   *replica.Challenge
	greeted  bool
	open     bool

	rows   map[byte][]replica.Row // by child, of its own log, synced or not
	acked  uint64                 // what the node above has acknowledged once, as this one remembers
	forked bool                   // its own log is set aside
	apart  map[byte]bool          // children whose logs are set aside

	// What really happened to its log, which no crash and no restore takes away.
	truth    [][]byte                   // the entries that it has synced first at each position
	anchored map[uint64]identifier.Hash // root by size: nobody may lose it unnoticed
	astray   bool                       // it has synced two entries at one position
	lossTold bool                       // a loss was reported
	anew     bool                       // it has written anew what was anchored
	untold   bool                       // it was put back, and has not heard of it yet
}

// frame is one frame of a journal: exactly one of its fields is set.
type frame struct {
	entry []byte        // of the own log
	row   *loggedRow    // what the entry says of a child, when it is a row
	child byte          // whose unit it is
	unit  *replica.Unit // a child's
	acked uint64        // what the node above has acknowledged
	fork  byte          // whose log is set aside
	cut   *cut          // a mirror is shorter from here on
}

type loggedRow struct {
	child byte
	replica.Row
}

type cut struct {
	child byte
	replica.Row
}

func newForest(leaves int, left replica.Rule) *forest {
	f := &forest{left: left, rowOf: map[string]*loggedRow{}}
	for i := range 2 + leaves {
		m := &member{number: byte(i + 1), key: replicatest.NodeKey(byte(i + 1)), anchored: map[uint64]identifier.Hash{}}
		switch {
		case i == 1:
			m.above = f.nodes[0]
		case i > 1:
			m.above = f.nodes[1]
		}
		f.nodes = append(f.nodes, m)
		if m.above != nil {
			m.above.below = append(m.above.below, m)
		}
	}
	for _, m := range f.nodes {
		f.start(m)
		f.write(m, nil)
		f.sync(m)
	}
	return f
}

func (f *forest) draw() uint64 { f.drawn++; return f.drawn }

func (f *forest) lacks(r replica.Rule) bool { return f.left == r }

// start makes a node of its journal.
func (f *forest) start(m *member) {
	m.log = replicatest.NewLog(m.number)
	m.rows, m.apart, m.waiting = map[byte][]replica.Row{}, map[byte]bool{}, nil
	m.mirrors, m.acked, m.forked = map[byte]*replica.Parent{}, 0, false
	for _, x := range m.frames {
		switch {
		case x.entry != nil:
			m.log.Append(x.entry)
			if x.row != nil {
				m.rows[x.row.child] = append(m.rows[x.row.child], x.row.Row)
			}
		case x.acked > 0:
			m.acked = max(m.acked, x.acked)
		case x.fork == m.number:
			m.forked = true
		case x.fork > 0:
			m.apart[x.fork] = true
		}
	}
	m.log.Sync()
	m.remember()
	m.synced = len(m.frames)
	m.stream, m.greeted, m.open = nil, false, false
	for _, c := range m.below {
		c.stream, c.greeted = nil, false
	}
	m.child = nil
	if m.above != nil {
		m.child = replica.NewChild(replica.ChildConfig{
			Signer: m.key, ID: m.log.ID, Log: m.log, Verify: replicatest.VerifyCheckpoint, Parent: m.above.key.Public(),
			Acked: func(identifier.PublicKey) uint64 { return m.acked },
		})
		m.child.LeaveOut(f.left)
		if m.marked {
			m.child.Mark()
		}
		m.child.Grow(m.log.Synced())
	}
}

// held returns what a node's journal holds of a child's log, and its units.
func (m *member) held(child byte, frames []frame) (payloads [][]byte, checkpoint []byte, units []*replica.Unit) {
	for _, x := range frames {
		switch {
		case x.cut != nil && x.cut.child == child:
			for len(units) > 0 && units[len(units)-1].Start >= x.cut.Size {
				units = units[:len(units)-1]
			}
			payloads, checkpoint = payloads[:x.cut.Size:x.cut.Size], nil
			if last := len(units) - 1; last >= 0 {
				u := units[last]
				checkpoint = x.cut.Checkpoint
				units = append(slices.Clip(units[:last]), &replica.Unit{Start: u.Start, Payloads: u.Payloads[:x.cut.Size-u.Start], Checkpoint: checkpoint})
			}
		case x.unit != nil && x.child == child:
			payloads, checkpoint, units = append(payloads, x.unit.Payloads...), x.unit.Checkpoint, append(units, x.unit)
		}
	}
	return payloads, checkpoint, units
}

// heldBy is the mirror of a child as replica.History has it.
type heldBy struct {
	m     *member
	child byte
}

func (h heldBy) synced() ([][]byte, []*replica.Unit) {
	payloads, _, units := h.m.held(h.child, h.m.frames[:h.m.synced])
	return payloads, units
}

func (h heldBy) Root(size uint64) (identifier.Hash, error) {
	payloads, _ := h.synced()
	return replicatest.Root(payloads[:size]), nil
}

func (h heldBy) Prove(old, size uint64) ([]identifier.Hash, error) {
	payloads, _ := h.synced()
	return replicatest.Prove(payloads[:size], old)
}

func (h heldBy) Unit(position uint64) (*replica.Unit, error) {
	_, units := h.synced()
	for _, u := range units {
		if u.Start <= position && position < u.End() {
			return u, nil
		}
	}
	return nil, errGap
}

// mirror returns the parent's side of a child, which begins with its first Hello.
func (f *forest) mirror(m, c *member) (*replica.Parent, error) {
	if p := m.mirrors[c.number]; p != nil {
		return p, nil
	}
	payloads, checkpoint, _ := m.held(c.number, m.frames[:m.synced])
	p, err := replica.NewParent(replica.ParentConfig{
		Signer: m.key, ID: m.log.ID, Child: c.key.Public(), Log: c.log.ID, Verify: replicatest.VerifyCheckpoint,
		History: heldBy{m, c.number},
		Row: func() (replica.Row, error) {
			if rows := m.rows[c.number]; len(rows) > 0 {
				return rows[len(rows)-1], nil
			}
			return replica.Row{}, nil
		},
	}, replica.Mirror{Checkpoint: checkpoint, Size: uint64(len(payloads)), Subtrees: replicatest.Subtrees(payloads)})
	if err != nil {
		return nil, err
	}
	p.LeaveOut(f.left)
	m.mirrors[c.number] = p
	return p, nil
}

// append writes a frame, and tells after its sync.
func (m *member) append(x frame, synced func()) {
	m.frames = append(m.frames, x)
	if synced != nil {
		m.waiting = append(m.waiting, synced)
	}
}

// remember notes what is synced.
func (m *member) remember() {
	for i, payload := range m.log.Payloads() {
		if i == len(m.truth) {
			m.truth = append(m.truth, payload)
		}
		m.astray = m.astray || !bytes.Equal(m.truth[i], payload)
	}
}

// anchoredTo returns how many of its entries are anchored.
func (m *member) anchoredTo() (size uint64) {
	for anchored := range m.anchored {
		size = max(size, anchored)
	}
	return size
}

func (f *forest) sync(m *member) {
	m.synced = len(m.frames)
	m.log.Sync()
	m.remember()
	if m.child != nil {
		m.child.Grow(m.log.Synced())
	}
	waiting := m.waiting
	m.waiting = nil
	for _, synced := range waiting {
		synced()
	}
}

// write registers something, or logs a row of a child, where the node may.
func (f *forest) write(m *member, row *loggedRow) {
	if m.forked || m.marked && !f.lacks(replica.RuleMarked) {
		return
	}
	m.anew = m.anew || m.log.Synced()+uint64(m.log.Waiting()) < m.anchoredTo()
	payload := replicatest.Entry(f.draw(), 0)
	m.log.Append(payload)
	m.append(frame{entry: payload, row: row}, nil)
	if row != nil {
		f.rowOf[string(payload)] = row
		m.rows[row.child] = append(m.rows[row.child], row.Row)
	}
}

// logRows logs what a node holds of its children, as once a second.
func (f *forest) logRows(m *member) {
	for _, c := range m.below {
		p := m.mirrors[c.number]
		if p == nil || m.apart[c.number] {
			continue
		}
		s := p.Status()
		rows := m.rows[c.number]
		if s.Stored == 0 || len(rows) > 0 && rows[len(rows)-1].Size >= s.Stored {
			continue
		}
		f.write(m, &loggedRow{child: c.number, Row: replica.Row{Size: s.Stored, Root: s.Root, Checkpoint: m.checkpointOf(c.number)}})
	}
}

// crash ends a node's process; some of what it had not synced is lost.
func (f *forest) crash(m *member, keep int) {
	m.frames = slices.Clip(m.frames[:m.synced+keep])
	f.start(m)
}

func (f *forest) backup(m *member) { m.saved = slices.Clone(m.frames[:m.synced]) }

// restore puts a node back to its backup. Untold, nothing says so: a volume was put back
// below the file system, or an operator has accepted what is lost.
func (f *forest) restore(m *member, untold bool) {
	if m.saved == nil {
		return
	}
	m.frames = slices.Clone(m.saved)
	m.marked, m.untold = !untold, untold
	f.untold = f.untold || untold
	f.start(m)
}

// connect opens a stream to the node above.
func (f *forest) connect(m *member) {
	m.child.Close()
	if m.marked {
		m.child.Mark()
	}
	m.child.Grow(m.log.Synced())
	var nonce replica.Nonce
	binary.BigEndian.PutUint64(nonce[:], f.draw())
	m.child.Open(nonce)
	m.stream, m.greeted, m.open = &replica.Challenge{Parent: m.above.key.Public()}, false, true
	binary.BigEndian.PutUint64(m.stream.Nonce[:], f.draw())
	m.down = append(m.down, m.stream)
}

// toAbove delivers a message of a node to the one above.
func (f *forest) toAbove(m *member, x replica.Message) error {
	above := m.above
	hello, ok := x.(*replica.Hello)
	if !ok {
		p := above.mirrors[m.number]
		if p == nil {
			return nil
		}
		if u := p.Receive(x); u != nil {
			above.append(frame{child: m.number, unit: u}, func() {
				if p == above.mirrors[m.number] {
					p.Stored()
				}
			})
		}
		f.keepEvidence(m, p)
		return nil
	}
	if m.stream == nil || m.greeted || replica.CheckHello(hello, m.stream) != nil {
		return nil
	}
	if (above.marked || above.forked) && !f.lacks(replica.RuleServe) || above.apart[m.number] {
		m.stream = nil // it hangs up
		return nil
	}
	p, err := f.mirror(above, m)
	if err != nil {
		return err
	}
	m.greeted = true
	var s replica.Session
	binary.BigEndian.PutUint64(s[:], f.draw())
	p.Open(hello, s)
	return nil
}

// keepEvidence sets a child's log aside, durably, when there is evidence of a fork.
func (f *forest) keepEvidence(c *member, p *replica.Parent) {
	r := p.Refusal()
	if r == nil || r.Evidence == nil || c.above.apart[c.number] {
		return
	}
	c.above.apart[c.number] = true
	c.above.append(frame{fork: c.number}, nil)
	f.sync(c.above)
}

// toNode delivers a message of the node above.
func (f *forest) toNode(m *member, x replica.Message) error {
	m.child.Receive(x)
	if u := m.child.Returned(); u != nil {
		for _, payload := range u.Payloads {
			if err := f.takeBack(m, payload); err != nil {
				return err
			}
		}
		f.sync(m)
		m.child.Restored(true)
	}
	return f.heed(m)
}

// takeBack appends an entry that came back.
func (f *forest) takeBack(m *member, payload []byte) error {
	x := frame{entry: payload, row: f.rowOf[string(payload)]}
	m.log.Append(payload)
	m.append(x, nil)
	if x.row != nil {
		rows := m.rows[x.row.child]
		if len(rows) > 0 && rows[len(rows)-1].Size >= x.row.Size {
			return errors.New("the size of a row goes down")
		}
		m.rows[x.row.child] = append(rows, x.row.Row)
	}
	return nil
}

// heed does what the child's machine asks for, as rpc.Child does.
func (f *forest) heed(m *member) error {
	switch r := m.child.Refusal(); {
	case r == nil:
	case r.Reason == replica.Behind && !r.Remote && !f.lacks(replica.RuleMarked):
		m.marked = true
	case r.Reason == replica.Loss:
		m.marked, m.lossTold = true, true
	case r.Evidence != nil && !m.forked:
		m.forked = true
		m.append(frame{fork: m.number}, nil)
		f.sync(m)
	}
	if s := m.child.Status(); s.Connected && m.stream != nil && m.greeted {
		m.untold = false
	}
	if m.child.Healed() {
		m.marked = false
		m.child.Unmark()
		f.cutMirrors(m)
	}
	if s := m.child.Status(); s.Connected && !s.Marked && s.Acked > m.acked && s.Acked <= s.Synced {
		m.acked = s.Acked
		m.append(frame{acked: s.Acked}, nil)
	}
	return nil
}

// cutMirrors cuts each mirror of a node that has just healed its own log to the largest
// row that it agrees with.
func (f *forest) cutMirrors(m *member) {
	for _, c := range m.below {
		payloads, _, _ := m.held(c.number, m.frames[:m.synced])
		size := uint64(len(payloads))
		kept, err := replica.Cut(m.rows[c.number], size, heldBy{m, c.number})
		if err == nil && kept.Size < size {
			m.append(frame{cut: &cut{c.number, kept}}, nil)
		}
		delete(m.mirrors, c.number)
		c.stream = nil
	}
	f.sync(m)
}

// note remembers what is anchored now: the node above has logged a row of it, and the
// level above that has acknowledged the row.
func (f *forest) note(above *member) {
	if above.above == nil || above.marked {
		return
	}
	s := above.child.Status()
	if !s.Connected || s.Marked {
		return
	}
	entries := f.entriesOf(above)
	for _, x := range entries[:min(s.Acked, uint64(len(entries)))] {
		if x.row == nil {
			continue
		}
		for _, c := range above.below {
			if _, known := c.anchored[x.row.Size]; c.number == x.row.child && !known {
				c.anchored[x.row.Size] = x.row.Root
			}
		}
	}
}

// entriesOf returns the entries of a node's own log.
func (f *forest) entriesOf(m *member) []frame {
	var entries []frame
	for _, x := range m.frames {
		if x.entry != nil {
			entries = append(entries, x)
		}
	}
	return entries
}

func (m *member) String() string {
	s := fmt.Sprintf("node %d: %d entries, marked %v, forked %v, astray %v", m.number, m.log.Synced(), m.marked, m.forked, m.astray)
	if m.child != nil {
		s += fmt.Sprintf(", %+v", m.child.Status())
		if r := m.child.Refusal(); r != nil {
			s += ": " + r.Error()
		}
	}
	return s
}

// checkpointOf returns what the synced mirror of a child ends with.
func (m *member) checkpointOf(child byte) []byte {
	_, checkpoint, _ := m.held(child, m.frames[:m.synced])
	return checkpoint
}
