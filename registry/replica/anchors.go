package replica

import (
	"slices"

	"github.com/nameplate-id/nameplate/registry/identifier"
)

// Above says what lies above a node, and so who must hold a child's checkpoint before
// the node cosigns it.
type Above uint8

const (
	// NothingAbove: a node that nobody anchors. It cosigns nothing.
	NothingAbove Above = iota
	// ParentAbove: the row stands in the node's own log, which its parent holds.
	ParentAbove
	// PeersAbove: a top-level node. More than half of the top-level nodes, three of
	// five, hold the child's entries themselves, and the row in the node's own log: a
	// node that is restored together with its child has to learn what there was.
	PeersAbove
	// FileAbove: the row stands in the node's own log, and the anchor file holds a
	// checkpoint of that.
	FileAbove
)

// maxRows is how many rows of one log wait to be cosigned or rooted. While the level
// above is away, the newest takes the place of the last.
const maxRows = 64

// Anchors decides which rows of children a parent may cosign. It does no I/O; it may
// not be used by several goroutines at once.
//
// What it is told is on the disks of those that it is told of, and is told again after a
// start: the newest row of every log from the parent's own log, the rest by the streams.
// So it stores nothing, and a crash costs a cosignature the time until it can be made
// again.
type Anchors struct {
	above  Above
	own    identifier.LogID
	quorum int // top-level nodes that must hold a log, this one among them
	held   uint64
	logs   map[identifier.LogID]*anchored
	peers  map[identifier.PublicKey]map[identifier.LogID]uint64

	left rule
}

// anchored is one child's log.
type anchored struct {
	rows    []LoggedRow // positions and sizes ascend
	witness bool        // checkpoints alone are kept of it
}

// LoggedRow is a row of a child that stands in this node's own log, synced.
type LoggedRow struct {
	Position uint64 // of the entry that has it
	Row      identifier.ChildRow
}

// NewAnchors returns anchors for a node with this log and so many peers.
func NewAnchors(above Above, own identifier.LogID, peers int) *Anchors {
	return &Anchors{
		above: above, own: own, quorum: (peers+1)/2 + 1,
		logs: make(map[identifier.LogID]*anchored), peers: make(map[identifier.PublicKey]map[identifier.LogID]uint64),
	}
}

// Grows reports whether a row of this size is to be logged for a log: the size of its
// rows never goes down, and one that stands still says nothing.
func (a *Anchors) Grows(log identifier.LogID, size uint64) bool {
	l := a.logs[log]
	return l == nil || len(l.rows) == 0 || !a.left.lacks(ruleGrow, size > l.rows[len(l.rows)-1].Row.Size)
}

// Logged says that a row is synced in this node's own log. One that does not grow, in
// the log or in size, is not taken.
func (a *Anchors) Logged(r LoggedRow) {
	l := a.of(r.Row.Log)
	if n := len(l.rows); n > 0 {
		last := l.rows[n-1]
		if a.left.lacks(ruleGrow, r.Position > last.Position && r.Row.Size > last.Row.Size) {
			return
		}
		if n == maxRows {
			l.rows = l.rows[:n-1]
		}
	}
	l.rows = append(l.rows, r)
}

func (a *Anchors) of(log identifier.LogID) *anchored {
	if a.logs[log] == nil {
		a.logs[log] = &anchored{}
	}
	return a.logs[log]
}

// Witness says whether checkpoints alone are kept of a log here. There are no entries then
// that other top-level nodes could hold: they hold its rows, in this node's own log, and a
// row is all that was witnessed.
func (a *Anchors) Witness(log identifier.LogID, alone bool) {
	if alone || a.logs[log] != nil {
		a.of(log).witness = alone
	}
}

func (a *Anchors) witnesses(log identifier.LogID) bool {
	l := a.logs[log]
	return l != nil && l.witness
}

// Hold says that the parent has acknowledged so many entries of this node's own log for
// anchoring, or that the anchor file holds a checkpoint over them.
func (a *Anchors) Hold(size uint64) { a.held = max(a.held, size) }

// PeerHolds says that a peer has so many entries of a log on its disk: of this node's
// own, or of a child's. What it says last counts: a peer that was restored holds less than
// it did. When its stream has ended that is nothing, until it says again what it holds.
func (a *Anchors) PeerHolds(peer identifier.PublicKey, log identifier.LogID, size uint64) {
	if a.peers[peer] == nil {
		a.peers[peer] = make(map[identifier.LogID]uint64)
	}
	before := a.peers[peer][log]
	a.peers[peer][log] = size
	if a.left == ruleNow {
		a.peers[peer][log] = max(a.peers[peer][log], before)
	}
}

// among returns how many entries of a log as many top-level nodes hold as must, when
// this one holds so many.
func (a *Anchors) among(log identifier.LogID, stored uint64) uint64 {
	sizes := []uint64{stored}
	for _, of := range a.peers {
		sizes = append(sizes, of[log])
	}
	if a.left == ruleQuorum {
		return stored
	}
	if len(sizes) < a.quorum {
		return 0
	}
	slices.Sort(sizes)
	return sizes[len(sizes)-a.quorum]
}

// may reports whether a row may be cosigned.
func (a *Anchors) may(r LoggedRow) bool {
	switch a.above {
	case ParentAbove, FileAbove:
		return !a.left.lacks(ruleAbove, r.Position < a.held)
	case PeersAbove:
		return (a.witnesses(r.Row.Log) || r.Row.Size <= a.among(r.Row.Log, r.Row.Size)) && !a.left.lacks(ruleAbove, r.Position < a.among(a.own, r.Position+1))
	}
	return false
}

// Due returns the newest row of a log that may be cosigned now, if there is one.
func (a *Anchors) Due(log identifier.LogID) (LoggedRow, bool) {
	return a.newest(log, a.may)
}

// Rooted returns the newest row of a log that may be cosigned and stands among the first
// covered entries of this node's own log, which are rooted. Rows before it are forgotten.
func (a *Anchors) Rooted(log identifier.LogID, covered uint64) (LoggedRow, bool) {
	r, ok := a.newest(log, func(r LoggedRow) bool { return r.Position < covered && a.may(r) })
	if ok {
		l := a.logs[log]
		l.rows = slices.DeleteFunc(l.rows, func(x LoggedRow) bool { return x.Position < r.Position })
	}
	return r, ok
}

func (a *Anchors) newest(log identifier.LogID, good func(LoggedRow) bool) (LoggedRow, bool) {
	if l := a.logs[log]; l != nil {
		for _, r := range slices.Backward(l.rows) {
			if good(r) {
				return r, true
			}
		}
	}
	return LoggedRow{}, false
}

// Acknowledged returns how many entries of a child's log this node acknowledges for
// anchoring, of those that it has stored: so many the child may take as held above when
// it cosigns for its own children.
func (a *Anchors) Acknowledged(log identifier.LogID, stored uint64) uint64 {
	if l := a.logs[log]; l != nil && l.witness && len(l.rows) > 0 {
		// A witness that was restored goes on from the row: what that says was proved.
		stored = max(stored, l.rows[len(l.rows)-1].Row.Size)
	}
	switch a.above {
	case ParentAbove:
		return stored
	case PeersAbove:
		if !a.witnesses(log) {
			return a.among(log, stored)
		}
	}
	due, _ := a.Due(log)
	return min(due.Row.Size, stored)
}

// Own returns how many entries of this node's own log are rooted without anybody's
// cosignature, of so many that it has: those that enough top-level nodes hold, or that
// the anchor file covers.
func (a *Anchors) Own(size uint64) uint64 {
	switch a.above {
	case PeersAbove:
		return a.among(a.own, size)
	case FileAbove:
		return min(a.held, size)
	}
	return 0
}

// Top reports whether a cosignature of this node is one of a top-level node.
func (a *Anchors) Top() bool { return a.above == PeersAbove || a.above == FileAbove }
