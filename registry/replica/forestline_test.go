package replica_test

import (
	"maps"
	"slices"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/replica"
)

// A top-level node that was restored asks the others, and goes on with another log.

// recover begins to ask, where the node may lack entries.
func (m *member) recover() {
	if m.recovery = nil; m.above == nil && m.marked {
		m.recovery = replica.NewRecovery(topNodes - 1)
		m.recovery.LeaveOut(m.f.left)
	}
}

// mark does what a peer asks for that holds more of this node's log than there is here, or
// knows of one that continues it.
func (m *member) mark(l *link, r *replica.Refusal) error {
	m.f.note(foundBehind)
	if now := l.to.line(m).Current(); r.Reason == replica.Succeeded && m.log != now[15] {
		// What continues the log is fetched from whoever has it, from its first entry on.
		m.f.note(adopted)
		m.next(m.f.logs[now[15]-1])
		m.sync()
	}
	m.recover()
	return nil
}

// hearPeer takes note of what an unmarked peer holds: a marked one lets nobody in.
func (m *member) hearPeer(l *link, s replica.ChildStatus) error {
	if !s.Connected || !l.live() {
		return nil
	}
	if m.recovery == nil {
		m.recover()
	}
	m.recovery.Hear(l.to.key.Public(), s.Acked)
	if m.recovery.Whole(m.fast.size) && l.child.Healed() && m.recallAll() {
		m.goOn()
	}
	return nil
}

// next makes another log the node's own.
func (m *member) next(i *incarnation) {
	m.append(frame{next: i}, nil)
	m.sync()
	m.anchor()
	for _, l := range m.links {
		if !l.relayed() {
			l.restart()
		}
	}
}

// goOn continues the log with another one: rows of children first, then what was there.
func (m *member) goOn() {
	m.sync()
	f, before, rows := m.f, m.fast, m.newest
	f.note(healedOne)
	f.note(continued)
	after := &identifier.Predecessor{Log: m.id, Why: identifier.AfterRestore, Size: before.size, Held: before.root, Base: m.base() + before.size, Whole: true}
	after.Continue(m.before()...)
	m.next(f.newLog(m, after))
	m.marked, m.recovery = false, nil
	m.add(&entry{genesis: m.incarnation})
	for _, log := range slices.Sorted(maps.Keys(rows)) {
		m.add(&entry{row: &loggedRow{log, rows[log]}})
	}
	for _, p := range before.way[1:] {
		if e := p.last; e.given != nil || e.epoch > 0 {
			m.add(&entry{given: e.given, epoch: e.epoch, bad: e.bad, again: e.first()})
		}
	}
	m.sync()
	m.certify(before, m.fast)
}

// base returns how many positions were used up before a log.
func (i *incarnation) base() uint64 {
	if i.after == nil {
		return 0
	}
	return i.after.Base
}

// before returns the logs that a log continues.
func (i *incarnation) before() []identifier.LogID {
	if i.after == nil {
		return nil
	}
	return append([]identifier.LogID{i.after.Log}, i.after.Before...)
}

func (i *incarnation) genesis() *identifier.Genesis {
	return &identifier.Genesis{Log: i.id, Key: i.owner.key.Public(), Format: identifier.LogFormat, After: i.after}
}

// line returns the logs that a node has had, as far as they are known here.
func (m *member) line(owner *member) *replica.Lineage {
	if m.lines[owner.number] == nil {
		m.lines[owner.number] = &replica.Lineage{}
		m.lines[owner.number].LeaveOut(m.f.left)
	}
	return m.lines[owner.number]
}

// hear returns why a log is not taken in.
func (m *member) hear(i *incarnation) *replica.Refusal {
	return m.line(i.owner).Hear(i.id, m.unjoined(i.owner))
}

// unjoined returns which logs of a child stand against the one that counts.
func (m *member) unjoined(owner *member) (u replica.Unjoined) {
	log := m.logOf(owner)
	if owner.above != m || log == 0 || m.mirrorOf(log).synced == 0 {
		return u
	}
	line := m.line(owner)
	for _, i := range m.f.logs {
		switch h := m.held[i.log]; {
		case i.owner != owner || i.log == log || line.Succeeded(i.id):
		case h != nil && h.synced > 0:
			if line.Beside(i.genesis(), m.current(owner)) {
				u.Held = append(u.Held, i.id)
			}
		case m.rows[i.log].Size > 0:
			u.Lost = append(u.Lost, i.id)
		}
	}
	return u
}

// begins returns why a log may not begin with an entry.
func (m *member) begins(i *incarnation, e *entry) *replica.Refusal {
	line := m.line(i.owner)
	if line.Current() == i.id {
		return nil
	}
	if e.genesis == nil {
		return &replica.Refusal{Reason: replica.Malformed, Detail: "a log begins with its genesis"}
	}
	if err := line.Follows(e.genesis.genesis(), m.current(i.owner)); err != nil {
		return &replica.Refusal{Reason: replica.OtherLog, Detail: err.Error()}
	}
	if m.f.left != replica.RuleJoin && len(m.unjoined(i.owner).Without(e.genesis.genesis()).Lost) > 0 {
		return &replica.Refusal{Reason: replica.OtherLog, Detail: "what is lost is not named"}
	}
	return nil
}

// current returns the log of a node that counts here, as it is held.
func (m *member) current(owner *member) replica.Held {
	end := m.currentEnd(owner)
	held := replica.Held{Size: end.size, Base: m.f.logs[m.line(owner).Current()[15]-1].base(), Root: func(size uint64) (identifier.Hash, error) { return end.at(size).root, nil }}
	held.Pointers = owner.pointed
	if h := m.mirrorOf(m.line(owner).Current()[15]); h.witness() {
		held.Root = func(size uint64) (identifier.Hash, error) {
			if size == end.size {
				return end.root, nil
			}
			return identifier.Hash{}, replica.ErrNoRoot
		}
	}
	return held
}

func (m *member) currentEnd(owner *member) *place {
	h := m.mirrorOf(m.line(owner).Current()[15])
	return h.at(m.f, h.synced)
}

// succeed lets a log count from the unit on with which it says all that it must.
func (m *member) succeed(log byte) {
	i := m.f.logs[log-1]
	line := m.line(i.owner)
	if line.Current() == (identifier.LogID{}) {
		line.Take(i.id)
	}
	if line.Current() == i.id {
		line.Continued(i.after)
		return
	}
	h := m.mirrorOf(log)
	if line.Succeeded(i.id) || line.Follows(i.genesis(), m.current(i.owner)) != nil {
		return
	}
	before := rowsOf(m.f, m.currentEnd(i.owner))
	for _, joined := range m.unjoined(i.owner).Held {
		if other := m.mirrorOf(joined[15]); i.after.Continues(joined) {
			before = append(before, rowsOf(m.f, other.at(m.f, other.synced))...)
		}
	}
	if i.owner.witnessed && i.owner.above == m || line.Repeats(before, rowsOf(m.f, h.at(m.f, h.synced)), (i.owner.above != m || i.owner.pointed) && goneOn(h.at(m.f, h.synced))) {
		line.Take(i.id)
		line.Continued(i.after)
		m.wentOver(i)
	}
}

// wentOver does what follows when another log of a node counts. While the node starts
// there are no machines yet.
func (m *member) wentOver(i *incarnation) {
	if m.anchors == nil || i.owner.above == nil {
		return
	}
	m.f.note(wentOver)
	if g, ok := m.gave[i.owner.number]; ok && i.owner.above == m {
		m.offer(g)
	}
	for _, l := range m.links {
		if l.owner == i.owner && l.relayed() {
			l.hangUp()
			l.restart()
		}
	}
}

// logOf returns the number of the log of a node that counts here; 0 for none.
func (m *member) logOf(owner *member) byte { return m.line(owner).Current()[15] }

// offer has a child told of what it was given, on a stream of the log that counts.
func (m *member) offer(g given) {
	if h := m.held[m.logOf(m.f.node(g.child))]; h != nil && h.parent != nil {
		h.parent.Offer(g.envelope())
	}
}

// rowsOf returns the newest rows that a log has.
func rowsOf(f *forest, end *place) (rows []identifier.ChildRow) {
	newest := map[byte]replica.Row{}
	for _, p := range end.way[1:] {
		if row := p.last.row; row != nil {
			newest[row.log] = row.Row
		}
	}
	for log, row := range newest {
		rows = append(rows, identifier.ChildRow{Log: f.logs[log-1].id, Size: row.Size, Root: row.Root})
	}
	return rows
}

// goneOn reports whether a log has more than its genesis and the rows that it repeats.
func goneOn(end *place) bool {
	return slices.ContainsFunc(end.way[1:], func(p *place) bool { return p.last.genesis == nil && p.last.row == nil })
}
