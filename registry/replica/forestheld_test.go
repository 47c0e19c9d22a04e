package replica_test

import (
	"slices"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/replica"
)

// heldLog is a mirror on a disk.
type heldLog struct {
	units  []heldUnit
	synced int
	parent *replica.Parent // nil until the first Hello after a start
	worth  worth
	// joins is 1 beyond where a unit begins that was sent again, while its rest is not
	// stored: the machine counts what came before.
	joins uint64
	// certain is up to where it is the log of whose it is for certain; nil for all of it.
	certain *replica.Row
}

type heldUnit struct {
	unit *replica.Unit
	end  *place
}

// worth is what a holder has judged a log to say last.
type worth struct {
	epoch   uint64
	revoked bool
}

// at returns where a mirror ends.
func (h *heldLog) at(f *forest, units int) *place {
	if units == 0 {
		return f.origin
	}
	return h.units[units-1].end
}

func (m *member) mirrorOf(whose byte) *heldLog {
	if m.held[whose] == nil {
		m.held[whose] = &heldLog{}
	}
	return m.held[whose]
}

// cut leaves of a mirror what a row says.
func (h *heldLog) cut(f *forest, whose byte, row replica.Row) {
	for len(h.units) > 0 && h.units[len(h.units)-1].unit.Start >= row.Size {
		h.units = h.units[:len(h.units)-1]
	}
	if last := len(h.units) - 1; last >= 0 {
		u, end := h.units[last].unit, h.units[last].end.at(row.Size)
		h.units = append(slices.Clip(h.units[:last]), heldUnit{replica.CutUnit(u, row), end})
	}
	h.certain = nil
	h.synced, h.parent, h.worth, h.joins = len(h.units), nil, worth{}, 0
	for _, p := range h.at(f, h.synced).way[1:] {
		h.heed(p.last, f.verdicts[judgedAt{whose, p}])
	}
}

// The mirror as the machine reads it.

func (h *heldLog) Unit(position uint64) (*replica.Unit, error) {
	for _, u := range h.units[:h.synced] {
		if u.unit.Start <= position && position < u.unit.End() {
			return u.unit, nil
		}
	}
	return nil, errGap
}

func (h *heldLog) Root(size uint64) (identifier.Hash, error) {
	if h.witness() {
		return h.witnessedRoot(size)
	}
	return h.units[h.synced-1].end.at(size).root, nil
}

func (h *heldLog) Prove(old, size uint64) ([]identifier.Hash, error) {
	if h.witness() {
		return nil, errGap
	}
	return h.units[h.synced-1].end.at(size).prove(old)
}

// judge judges the entries of the next unit of a mirror, which is synced now. What it
// finds must be what everybody else has found who had the log up to there.
func (m *member) judge(whose byte, h *heldLog) {
	u := h.units[h.synced]
	h.synced++
	owner := m.f.logs[whose-1].owner
	for _, p := range u.end.way[u.unit.Start+1:] {
		e, good := p.last, true
		m.know(owner.number, e)
		switch {
		case e.taken > 0:
			good = owner.above != nil && m.known[owner.above.number][given{owner.number, e.taken, e.revoked}]
		case e.epoch > 0 && owner.above != nil:
			good = !e.bad && h.worth.epoch == e.epoch && !h.worth.revoked
		case e.epoch > 0:
			good = !e.bad
		}
		at := judgedAt{whose, p}
		if e.taken > 0 && !m.f.forgotten[owner.number] && !owner.above.known[owner.above.number][given{owner.number, e.taken, e.revoked}] {
			m.f.forgotten[owner.number] = true
			m.f.note(forgotGrant)
		}
		if before, judged := m.f.verdicts[at]; judged && before != good && !m.f.forgotten[owner.number] {
			m.f.fail("node %d judges entry %d of node %d to be good: %v; somebody else did not", m.number, p.size-1, whose, good)
		}
		m.f.verdicts[at] = good
		if !good {
			m.f.note(judgedBad)
		}
		h.heed(e, good)
	}
}

// heed notes which grant counts.
func (h *heldLog) heed(e *entry, good bool) {
	if e.taken > 0 && good {
		h.worth = worth{e.taken, e.revoked}
	}
}
