package replica_test

import (
	"fmt"
	"slices"

	"github.com/nameplate-id/nameplate/registry/replica"
)

// logRows logs what a node holds of its children, as once a second.
func (m *member) logRows() {
	for _, c := range m.below {
		m.logRow(m.logOf(c))
		for _, beside := range m.unjoined(c).Held {
			m.logRow(beside[15])
		}
	}
}

func (m *member) logRow(log byte) {
	h := m.held[log]
	if h == nil || h.synced == 0 || h.certain != nil {
		return
	}
	last := h.units[h.synced-1]
	if last.end.size == m.newest[log].Size || !m.anchors.Grows(m.f.logs[log-1].id, last.end.size) {
		return // the next rows are logged when the last are synced
	}
	m.write(&entry{row: &loggedRow{log, replica.Row{Size: last.end.size, Root: last.end.root, Checkpoint: last.unit.Checkpoint}}})
}

// cosign gives children the receipts that are due.
func (m *member) cosign() {
	if !m.standing().Writes() {
		return
	}
	for _, c := range m.below {
		log := m.logOf(c)
		h := m.held[log]
		if h == nil || h.parent == nil {
			continue
		}
		i := m.f.logs[log-1]
		h.parent.Anchor(m.anchors.Acknowledged(i.id, h.at(m.f, h.synced).size))
		if r, ok := m.anchors.Due(i.id); ok {
			m.receipt(i, h, r, m.anchors.Top())
		}
		if r, ok := m.anchors.Rooted(i.id, m.kept[1]); ok && !m.anchors.Top() {
			m.receipt(i, h, r, true)
		}
	}
}

// receipt cosigns a row. From here on nobody may lose it unnoticed.
func (m *member) receipt(c *incarnation, h *heldLog, r replica.LoggedRow, top bool) {
	f, size, root := m.f, r.Row.Size, r.Row.Root
	note := cosignQuick(quickNote(size, root, c.id, c.owner.key.Public()), m.key)
	h.parent.Cosign(&replica.Receipt{Note: note, Cosigner: m.key.Public(), Top: top}, size)
	at := cosignature{m.number, c.log, size}
	if before, ok := f.cosigned[at]; ok && before != root && !f.untold {
		f.fail("node %d cosigns two roots of the first %d entries of node %d", m.number, size, c.owner.number)
	}
	f.cosigned[at] = root
	if _, known := c.anchored[size]; !known {
		c.anchored[size], c.receipts[size] = root, f.signed[signedAt{c.log, size, root}]
	}
	switch {
	case c.astray || m.astray:
	case m.above == nil && size > c.heldBy3 && !c.owner.witnessed:
		f.fail("%d entries of node %d are cosigned, three top-level nodes hold %d", size, c.owner.number, c.heldBy3)
	case m.witnessed && m.rowHeld(r.Position):
	case r.Position >= m.heldBy3:
		f.fail("node %d cosigns what its entry %d says, three top-level nodes hold %d of them", m.number, r.Position, m.heldBy3)
	}
}

func (f *forest) fail(format string, args ...any) {
	if f.wrong == nil {
		f.wrong = fmt.Errorf(format, args...)
	}
}

// count notes how much of a log three top-level nodes hold.
func (f *forest) count(i *incarnation) {
	var sizes []uint64
	for _, top := range f.tops {
		switch h := top.held[i.log]; {
		case top.incarnation == i:
			sizes = append(sizes, top.fast.size)
		case h != nil:
			sizes = append(sizes, h.at(f, h.synced).size)
		default:
			sizes = append(sizes, 0)
		}
	}
	slices.Sort(sizes)
	i.heldBy3 = max(i.heldBy3, sizes[topNodes-3])
}

// check returns what is not as it has to be, after every step.
func (f *forest) check() error {
	for _, m := range f.nodes {
		if err := m.check(); err != nil {
			return fmt.Errorf("node %d: %w", m.number, err)
		}
	}
	for _, l := range f.links {
		if err := l.check(); err != nil {
			return fmt.Errorf("from node %d to node %d, log of node %d: %w", l.from.number, l.to.number, l.owner.number, err)
		}
	}
	return f.wrong
}

// check checks what is about a node alone.
func (m *member) check() error {
	if m.anew && !m.f.untold {
		return fmt.Errorf("it has written anew what was anchored, and every restore was told")
	}
	if m.forked != nil && !m.astray {
		return fmt.Errorf("it has set its log aside, and has one history")
	}
	// Whoever may lack nothing answers; for one that may, the node above does.
	if s := m.standing(); !s.Answers() && (!m.marked || m.above == nil) {
		return fmt.Errorf("it does not answer, and lacks nothing")
	}
	if m.marked && m.above != nil && !m.above.marked && !m.above.standing().Answers() {
		return fmt.Errorf("neither it nor the node above answers")
	}
	return nil
}

// check checks what is about the log that a link carries, and what both ends of it hold.
func (l *link) check() error {
	f, owner := l.to.f, l.inc()
	h := l.to.held[owner.log]
	if h == nil {
		h = &heldLog{}
	}
	held := h.at(f, h.synced)
	if h.synced > 0 && len(h.units[h.synced-1].unit.Checkpoint) == 0 {
		return fmt.Errorf("the mirror of %d entries ends with no checkpoint", held.size)
	}
	if !owner.astray && !owner.truth.has(held) {
		return fmt.Errorf("the mirror has %d entries, which are not the first of the %d that were ever synced", held.size, owner.truth.size)
	}
	if l.to.apart[owner.log] != nil && !owner.astray {
		return fmt.Errorf("the log is set aside, and has one history")
	}
	if err := l.checkStatus(held); err != nil {
		return err
	}
	if l.to == l.from.above {
		return l.checkAnchored()
	}
	return nil
}

// live reports whether both ends know of the stream.
func (l *link) live() bool { return l.child.Status().Connected && l.stream != nil && l.greeted }

func (l *link) checkStatus(held *place) error {
	s := l.child.Status()
	if s.Connected && s.InFlight > max(l.credit, s.Credit) {
		return fmt.Errorf("%d octets are under way, %d are allowed", s.InFlight, l.credit)
	}
	if l.live() && s.Acked > max(held.size, l.rowed()) {
		return fmt.Errorf("%d entries are acknowledged, %d are on the disk", s.Acked, held.size)
	}
	if l.live() && s.Anchored > l.owner.heldBy3 && !l.owner.witnessed && l.to.above == nil && l.to == l.from.above && !l.owner.astray {
		return fmt.Errorf("%d entries are taken for anchored, three top-level nodes hold %d", s.Anchored, l.owner.heldBy3)
	}
	p := l.parent()
	if p == nil {
		return nil
	}
	t := p.Status()
	stored, h := held.size, l.to.held[l.key()]
	if h.certain != nil {
		stored = h.certain.Size
	}
	if size := l.rowed(); t.Stored == size && size > stored {
		stored = size // the witness was restored, and goes on from there
	}
	if t.Stored != stored && t.Stored+1 != h.joins {
		return fmt.Errorf("the parent counts %d stored, the disk has %d", t.Stored, stored)
	}
	if t.InFlight > replica.MaxOctets {
		return fmt.Errorf("the parent holds %d octets, the window is %d", t.InFlight, replica.MaxOctets)
	}
	if !l.greeted {
		t.Refusal = nil // of a stream before, perhaps of when the node had another log
	}
	for _, r := range []*replica.Refusal{s.Refusal, t.Refusal} {
		if r != nil && (r.Reason == replica.Malformed || r.Reason == replica.Mismatch || r.Reason == replica.Unauthenticated) && !l.tainted {
			return r
		}
	}
	return nil
}

// checkAnchored returns an error when a node whose parent has welcomed it lacks what is
// anchored, or holds something else in its place, without having reported it: a node that
// works again after it was told of a restore has asked.
func (l *link) checkAnchored() error {
	m, above := l.from, l.to
	if m.marked || m.forked != nil || m.lossTold || above.apart[m.log] != nil || !l.live() {
		return nil
	}
	if above.marked || above.unheard || above.forked != nil {
		return nil // it takes in nothing, or does not know yet that it must not
	}
	acked := l.child.Status().Acked
	for size, root := range m.anchored {
		if size > m.fast.size {
			return fmt.Errorf("%d entries are anchored, it has %d, and nobody was told", size, m.fast.size)
		}
		if acked >= size && m.fast.at(size).root != root {
			return fmt.Errorf("the first %d entries are anchored, it has others, and nobody was told", size)
		}
	}
	return nil
}

// checkRow checks a row that was added to a node's log: its size never goes down.
func (m *member) checkRow(row *loggedRow) {
	if before := m.rows[row.log]; row.Size <= before.Size {
		m.f.fail("node %d logs that node %d has %d entries, after %d", m.number, m.f.logs[row.log-1].owner.number, row.Size, before.Size)
	}
	m.rows[row.log] = row.Row
}
