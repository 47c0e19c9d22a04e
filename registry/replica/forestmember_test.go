package replica_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/replica"
	"github.com/nameplate-id/nameplate/registry/replica/replicatest"
)

// member is a node of the forest.
type member struct {
	f      *forest
	number byte
	key    quickKey
	above  *member
	below  []*member
	peers  []*member

	frames  []frame // its journal
	synced  int
	marked  bool      // a file
	saved   [][]frame // backups, the newest last
	waiting []func()

	witnessed bool // the node above keeps checkpoints of its log alone
	pointed   bool // or pointers, and so do the others at the top

	low      bool // its disk is
	draining bool // it is being stopped

	// What the journal adds up to.
	end, fast *place               // its log: all, and what is synced
	newest    map[byte]replica.Row // by log
	rows      map[byte]replica.Row // the newest that is synced
	gave      map[byte]given       // the newest to each child
	epoch     uint64               // the newest that it was given, and whether it was taken away
	revoked   bool
	acked     uint64 // what the node above has acknowledged once
	forked    *replica.Evidence
	apart     map[byte]*replica.Evidence // logs that are set aside
	held      map[byte]*heldLog          // by log
	known     map[byte]map[given]bool    // by whose log, what it ever gave to whom
	kept      [2]uint64                  // of receipts: any, rooted
	anchors   *replica.Anchors
	links     []*link // that it opens

	*incarnation                           // its log
	lines        map[byte]*replica.Lineage // the logs that each node has had whose logs are here
	recovery     *replica.Recovery         // of a top-level node that was restored
	back         bool                      // it was put back, and nobody was asked yet
	reported     bool                      // an operator was told that something is lost
	lossTold     bool                      // a loss was reported
	anew         bool                      // it has written anew what was anchored
	unheard      bool                      // it was put back untold, and has not heard of it yet
}

// incarnation is a log of a node, and what really happened to it, which no crash and no
// restore takes away.
type incarnation struct {
	log      byte // its number: that of the node for its first one
	id       identifier.LogID
	owner    *member
	after    *identifier.Predecessor
	truth    *place                     // the first history that was synced
	anchored map[uint64]identifier.Hash // root by size: what a receipt was given for
	receipts map[uint64]*place          // the same, in full
	heldBy3  uint64                     // entries that three top-level nodes ever held at once
	told     *place                     // the most that a parent has acknowledged
	astray   bool                       // two entries at one position were synced
}

// frame is one frame of a journal: exactly one of its fields is set.
type frame struct {
	entry   *entry        // of the own log
	unit    *replica.Unit // of the log of whose
	whose   byte
	end     *place
	cut     *cut     // a mirror is shorter from here on
	certain *certain // up to where a mirror is
	acked   uint64   // what the node above has acknowledged
	fork    byte     // the log that is set aside
	shown   *replica.Evidence
	receipt [2]uint64
	next    *incarnation // the own log from here on; it has nothing yet
}

type cut struct {
	whose byte
	replica.Row
}

type certain struct {
	whose byte
	row   *replica.Row
}

// start makes a node of its journal.
func (m *member) start() {
	f := m.f
	m.anchors, m.incarnation, m.lines = nil, f.logs[m.number-1], map[byte]*replica.Lineage{}
	m.waiting, m.end, m.acked, m.forked, m.kept = nil, f.origin, 0, nil, [2]uint64{}
	m.newest, m.rows = map[byte]replica.Row{}, map[byte]replica.Row{}
	m.gave, m.epoch, m.revoked = map[byte]given{}, 0, false
	m.apart, m.held = map[byte]*replica.Evidence{}, map[byte]*heldLog{}
	m.known, m.fast = map[byte]map[given]bool{}, f.origin
	for _, x := range m.frames {
		m.queue(x)
		m.absorb(x)
	}
	m.synced = len(m.frames)
	m.remember()
	m.anchor()
	m.recover()
	for _, l := range m.links {
		l.restart()
	}
	for _, l := range f.links {
		if l.to == m {
			l.stream, l.greeted = nil, false
		}
	}
}

// anchor begins to decide anew what may be cosigned.
func (m *member) anchor() {
	above := replica.NothingAbove
	switch {
	case m.above != nil:
		above = replica.ParentAbove
	case len(m.peers) > 0:
		above = replica.PeersAbove
	}
	m.anchors = replica.NewAnchors(above, m.id, topNodes-1)
	m.anchors.LeaveOut(m.f.left)
	m.loadRows()
}

// queue takes in what a frame says before its sync: what counts for whoever adds to the
// log.
func (m *member) queue(x frame) {
	switch e := x.entry; {
	case x.unit != nil:
		h := m.mirrorOf(x.whose)
		h.units = append(h.units, heldUnit{x.unit, x.end})
	case x.next != nil:
		m.incarnation, m.end = x.next, m.f.origin
		m.newest, m.gave = map[byte]replica.Row{}, map[byte]given{}
	case e == nil:
	default:
		m.end = m.end.then(e)
		switch {
		case e.row != nil:
			m.newest[e.row.log] = e.row.Row
		case e.given != nil:
			m.gave[e.given.child] = *e.given
		case e.taken > 0:
			m.epoch, m.revoked = e.taken, e.revoked
		}
	}
}

// absorb takes in what a frame says once it is synced, in the order of the journal. While
// the node starts there are no machines yet.
func (m *member) absorb(x frame) {
	switch {
	case x.entry != nil:
		m.fast = m.fast.then(x.entry)
		m.know(m.number, x.entry)
		if x.entry.row != nil {
			m.checkRow(x.entry.row)
		}
		if m.above == nil && m.anchors != nil {
			m.f.count(m.incarnation)
		}
		if e := x.entry; e.row != nil && m.anchors != nil {
			m.logged(m.fast)
		} else if e.given != nil && m.anchors != nil {
			m.offer(*e.given)
		}
	case x.unit != nil:
		if h := m.mirrorOf(x.whose); x.unit.Witnessed() {
			h.synced++ // there is nothing to judge
		} else {
			m.judge(x.whose, h)
		}
		m.succeed(x.whose)
		if m.above == nil && m.anchors != nil {
			m.f.count(m.f.logs[x.whose-1])
		}
	case x.next != nil:
		m.fast, m.rows = m.f.origin, map[byte]replica.Row{}
	case x.cut != nil:
		m.mirrorOf(x.cut.whose).cut(m.f, x.cut.whose, x.cut.Row)
	case x.certain != nil:
		h := m.mirrorOf(x.certain.whose)
		h.certain = x.certain.row
	case x.fork > 0 && x.fork == m.log:
		m.forked = x.shown
	case x.fork > 0:
		m.apart[x.fork] = x.shown
	default:
		m.acked = max(m.acked, x.acked)
		m.kept = [2]uint64{max(m.kept[0], x.receipt[0]), max(m.kept[1], x.receipt[1])}
	}
}

// know notes what the log of a node gives to its children.
func (m *member) know(whose byte, e *entry) {
	if e.given == nil {
		return
	}
	if m.known[whose] == nil {
		m.known[whose] = map[given]bool{}
	}
	m.known[whose][*e.given] = true
}

// loadRows tells the machine of the newest row of every child.
func (m *member) loadRows() {
	seen := map[byte]bool{}
	for _, p := range slices.Backward(m.fast.way[1:]) {
		if row := p.last.row; row != nil && !seen[row.log] {
			seen[row.log] = true
			m.logged(p)
		}
	}
}

// logged tells the machine of a row that is synced.
func (m *member) logged(p *place) {
	row := p.last.row
	i := m.f.logs[row.log-1]
	m.anchors.Witness(i.id, i.owner.witnessed)
	m.anchors.Logged(replica.LoggedRow{Position: p.size - 1, Row: identifier.ChildRow{Log: i.id, Node: i.owner.key.Public(), Size: row.Size, Root: row.Root}})
}

// add adds an entry to the own log.
func (m *member) add(e *entry) {
	octets := 0
	if m.f.large && m.f.drawn%7 == 0 {
		octets = 90 << 10
	}
	m.f.fill(e, replicatest.Entry(m.f.draw(), octets))
	m.append(frame{entry: e}, nil)
}

// append writes a frame, and tells after its sync.
func (m *member) append(x frame, synced func()) {
	m.frames = append(m.frames, x)
	m.queue(x)
	if synced != nil {
		m.waiting = append(m.waiting, synced)
	}
}

// remember notes what is synced.
func (m *member) remember() {
	switch {
	case m.fast.has(m.truth):
		m.truth = m.fast
	case !m.truth.has(m.fast):
		m.astray = true
	}
}

func (m *member) sync() {
	for m.synced < len(m.frames) {
		m.synced++
		m.absorb(m.frames[m.synced-1])
	}
	m.remember()
	for _, l := range m.links {
		l.grow()
	}
	waiting := m.waiting
	m.waiting = nil
	for _, synced := range waiting {
		synced()
	}
}

// standing is what the node may do.
func (m *member) standing() replica.Standing {
	return replica.Standing{Marked: m.marked, Forked: m.forked != nil, Above: m.above != nil}.Without(m.f.left)
}

// register registers something, where the node may.
func (m *member) register(bad bool) {
	if m.above != nil && (m.epoch == 0 || m.revoked) {
		return // it has no prefix
	}
	if m.low {
		return
	}
	m.write(&entry{epoch: max(1, m.epoch), bad: bad})
}

// write adds an entry to the log, where the node may.
func (m *member) write(e *entry) bool {
	if !m.standing().Writes() {
		return false
	}
	m.anew = m.anew || m.end.size < m.anchoredTo()
	m.add(e)
	return true
}

// anchoredTo returns how many of its entries are anchored.
func (m *member) anchoredTo() (size uint64) {
	for anchored := range maps.Keys(m.anchored) {
		size = max(size, anchored)
	}
	return size
}

// crash ends a node's process; some of what it had not synced is lost.
func (m *member) crash(keep int) {
	m.frames = slices.Clip(m.frames[:m.synced+keep])
	m.start()
}

// backups is how many backups there are of a node.
const backups = 3

func (m *member) backup() {
	m.saved = append(m.saved, slices.Clone(m.frames[:m.synced]))
	m.saved = m.saved[max(0, len(m.saved)-backups):]
}

// restore puts a node back to one of its backups. Untold, nothing says so: a volume was
// put back below the file system, or an operator has accepted what is lost.
func (m *member) restore(untold bool, pick pick) {
	if len(m.saved) == 0 {
		return
	}
	m.frames = slices.Clone(m.saved[pick(len(m.saved))])
	m.marked, m.unheard, m.back = !untold, untold, !untold
	m.f.untold = m.f.untold || untold
	m.f.restored++
	m.f.note(restoredOne)
	m.start()
	for _, l := range m.f.links {
		if l.to == m {
			l.hangUp() // nobody takes longer to notice than a restore
		}
	}
}

// takeBack appends an entry that came back.
func (m *member) takeBack(payload []byte) error {
	e := m.f.entryOf(payload)
	if e.row != nil && m.newest[e.row.log].Size >= e.row.Size {
		return errors.New("the size of a row goes down")
	}
	m.append(frame{entry: e}, nil)
	return nil
}

func (m *member) String() string {
	s := fmt.Sprintf("node %d: %d entries, marked %v, forked %v, astray %v, epoch %d, revoked %v, receipts %v, rows %v, anchored %v", m.number, m.fast.size, m.marked, m.forked != nil, m.astray, m.epoch, m.revoked, m.kept, sizesOf(m.rows), slices.Sorted(maps.Keys(m.anchored)))
	for _, l := range m.links {
		s += "\n\t" + l.String()
	}
	return s
}

func sizesOf(rows map[byte]replica.Row) map[byte]uint64 {
	sizes := map[byte]uint64{}
	for log, row := range rows {
		sizes[log] = row.Size
	}
	return sizes
}
