package replica_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/replica"
)

// What a restored node's mirrors hold, and whether it is what their logs are now.

// ruleCut is a rule of whoever drives the machines: a mirror of a restored node is compared
// with the rows in its own log.
const ruleCut replica.Rule = 255

// certify decides what is certain of each mirror of a node that has just healed its own
// log, by the rows in its logs; a mirror that contradicts one is cut.
func (m *member) certify(logs ...*place) {
	for _, c := range m.below {
		log := m.logOf(c)
		h := m.held[log]
		if h == nil {
			continue
		}
		size := h.at(m.f, h.synced).size
		if size > 0 && m.apart[log] == nil && m.f.left != ruleCut && !c.witnessed {
			kept, astray, err := replica.Cut(rowsOfLog(log, logs), size, h)
			switch {
			case err != nil:
				m.f.fail("%v", err)
			case astray:
				m.cut(log, kept)
			case kept.Size < size:
				m.f.note(foundUncertain)
				m.append(frame{certain: &certain{log, &kept}}, nil)
			}
		}
		h.parent = nil
	}
	m.sync()
	m.loadRows()
	for _, l := range m.links {
		if l.relayed() {
			l.restart()
		}
	}
	for _, l := range m.f.links {
		if l.to == m && slices.Contains(m.below, l.owner) {
			l.stream, l.greeted = nil, false
		}
	}
}

func rowsOfLog(log byte, logs []*place) (rows []replica.Row) {
	for _, end := range logs {
		for _, p := range end.way[1:] {
			if row := p.last.row; row != nil && row.log == log {
				rows = append(rows, row.Row)
			}
		}
	}
	return rows
}

func (m *member) cut(whose byte, kept replica.Row) {
	m.f.note(cutOne)
	m.append(frame{cut: &cut{whose, kept}}, nil)
	m.sync()
}

// settle lets a Hello say what becomes of what is not certain of the mirror.
func (l *link) settleMirror(tip uint64, root identifier.Hash) error {
	h := l.to.mirrorOf(l.key())
	if h.certain == nil {
		return nil
	}
	kept := *h.certain
	v, err := replica.Greeted(kept, h.at(l.to.f, h.synced).size, h, tip, root)
	switch {
	case err != nil:
		return err
	case v == replica.Keep:
		l.to.f.note(keptRest)
		l.to.append(frame{certain: &certain{whose: l.key()}}, nil)
		l.to.sync()
		h.parent = nil
	case v == replica.Drop:
		l.to.cut(l.key(), kept)
	}
	return nil
}

// resent takes in a unit that begins within what is not certain. It returns what is to be
// stored; nil for nothing.
func (l *link) resent(p *replica.Parent, h *heldLog, u *replica.Unit) *replica.Unit {
	size := h.at(l.to.f, h.synced).size
	v, rest, err := replica.Resent(size, h, u)
	switch {
	case err != nil:
		l.to.f.fail("%v", err)
	case v == replica.Drop:
		p.Dropped()
		l.to.cut(l.key(), *h.certain)
	case u.End() < size:
		h.certain = &replica.Row{Size: u.End(), Root: u.Root, Checkpoint: u.Checkpoint}
		p.Stored()
	default:
		l.to.f.note(askedRest)
		l.to.append(frame{certain: &certain{whose: l.key()}}, nil)
		l.to.sync()
		if rest == nil {
			p.Stored()
		} else {
			h.joins = 1 + u.Start
		}
		return rest
	}
	return nil
}

// A node and its child were restored, and the child went on with another history; then the
// node is restored once more, from a backup that holds the one that was given up. Its own log
// contradicts that, or the child does as it comes: the mirror is cut, and nobody takes it
// for a fork. Without the rule it is one.
func TestCutMirrors(t *testing.T) {
	for name, c := range map[string]struct {
		given, now int
		by         event
	}{
		"its own log contradicts it": {3, 2, cutOne},
		"the child sends others":     {1, 3, foundUncertain},
	} {
		for _, left := range []replica.Rule{0, ruleCut} {
			t.Run(fmt.Sprintf("%s, left out %d", name, left), func(t *testing.T) {
				f := newForest(1, 1, left)
				m, c0, first, last := f.nodes[topNodes], f.nodes[topNodes+1], func(int) int { return 0 }, func(n int) int { return n - 1 }
				l := c0.links[0]
				try := func(err error) {
					t.Helper()
					if err != nil {
						t.Fatal(err)
					}
				}
				try(f.calm())
				m.backup()
				c0.backup()
				for range c.given {
					c0.register(false)
				}
				c0.sync()
				l.grow()
				try(l.settle())
				m.backup()
				m.restore(false, first)
				c0.restore(false, first)
				for range 3 {
					try(f.settleAll())
				}
				for range c.now {
					c0.register(false)
				}
				c0.sync()
				try(f.calm())
				m.restore(false, last)
				for range 3 {
					try(f.settleAll())
				}
				forked := c0.forked != nil || m.apart[c0.number] != nil
				if left != 0 {
					if !forked {
						t.Error("nobody noticed that the rule was left out")
					}
					return
				}
				if forked || f.happened[cutOne] == 0 || f.happened[c.by] == 0 {
					t.Errorf("forked %v, cut %d times, %v %d times", forked, f.happened[cutOne], c.by, f.happened[c.by])
				}
				try(f.heal())
			})
		}
	}
}

// A node and the one above it were restored at once, the one above to a time before. What the
// node has beyond the copy above, it keeps and sends: were it cut to that copy, as it is held
// above, what is anchored would be lost on both.
func TestRestoredLogIsNotCut(t *testing.T) {
	for _, cuts := range []bool{false, true} {
		f := newForest(1, 1, 0)
		m, c := f.nodes[topNodes], f.nodes[topNodes+1]
		last := func(n int) int { return n - 1 }
		if err := f.calm(); err != nil {
			t.Fatal(err)
		}
		m.backup()
		c.register(false)
		c.sync()
		for range 2 {
			if err := f.calm(); err != nil {
				t.Fatal(err)
			}
		}
		c.backup()
		anchored := c.anchoredTo()
		m.restore(false, last)
		c.restore(false, last)
		if held := m.mirrorOf(c.number); cuts {
			// The leaf is cut to what its parent's backup holds.
			keep := 0
			for size := uint64(0); keep < len(c.frames) && size < held.at(f, held.synced).size; keep++ {
				if c.frames[keep].entry != nil {
					size++
				}
			}
			c.frames = slices.Clone(c.frames[:keep])
			c.start()
		}
		for range 4 {
			if err := f.settleAll(); err != nil {
				t.Fatal(err)
			}
		}
		if lost := c.fast.size < anchored; lost != cuts || lost != c.lossTold {
			t.Errorf("cut %v: the log has %d entries, %d are anchored; a loss was told: %v", cuts, c.fast.size, anchored, c.lossTold)
		}
	}
}
