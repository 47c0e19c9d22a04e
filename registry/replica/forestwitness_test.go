package replica_test

import (
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/replica"
)

// A node of which the one above keeps checkpoints alone, or pointers. Nobody can give it back what it
// loses, and nobody but its parent looks at its log: a restore is a loss that is reported. It
// goes on with what it has.

// witness lets some nodes be witnessed, at least one, and pointers be kept of others.
func (f *forest) witness(pick pick) {
	for i, m := range f.nodes[topNodes:] {
		m.witnessed = pick(2) == 0 || i == len(f.nodes)-topNodes-1
		m.pointed = !m.witnessed && pick(2) == 0
	}
}

// lost reports whether a restore of the node, or of one below which it stands, takes what was
// acknowledged: there is nobody who has it.
func (m *member) lost() bool { return m.bare() || m.above != nil && m.above.lost() }

// bare reports whether nobody can give the node back what it loses of its log.
func (m *member) bare() bool { return m.witnessed || m.pointed }

// witness reports whether checkpoints alone are held.
func (h *heldLog) witness() bool { return len(h.units) > 0 && h.units[0].unit.Witnessed() }

// witnessedRoot returns the root of so many entries, where a checkpoint of that size was kept.
func (h *heldLog) witnessedRoot(size uint64) (identifier.Hash, error) {
	for _, u := range h.units[:h.synced] {
		if u.end.size == size {
			return u.end.root, nil
		}
	}
	return identifier.Hash{}, replica.ErrNoRoot
}

// witnessed returns where a log ends with a checkpoint that follows on the one before, or,
// where the witness was restored, on the newest row in its own log.
func (l *link) witnessed(u *replica.Unit, before *place) *place {
	f := l.to.f
	_, root, err := verifyQuick(u.Checkpoint, l.inc().id, l.owner.key.Public())
	end := f.signed[signedAt{l.key(), u.Size, root}]
	var proved error
	switch row := l.to.newest[l.key()]; {
	case err != nil || end == nil:
		f.fail("node %d witnesses %d entries of node %d that were not signed: %v", l.to.number, u.Size, l.owner.number, err)
	case before.size == u.Start && end.has(before):
		proved = u.Follows(before.root, root)
	case row.Size == u.Start && row.Size > before.size && end.at(row.Size).root == row.Root:
		f.note(fromRow)
		proved = u.Follows(row.Root, root)
	default:
		proved = errors.New("they are others")
	}
	if f.wrong == nil && proved != nil {
		f.fail("node %d witnesses %d entries of node %d, which do not follow on the %d that it has: %v", l.to.number, u.Size, l.owner.number, before.size, proved)
	}
	return end
}

// rowed returns how many entries a witness has by the newest row in its own log: what a row
// says was proved before it was logged. 0 where the other side is none.
func (l *link) rowed() uint64 {
	row := l.to.newest[l.key()]
	if !l.owner.witnessed || l.to != l.owner.above {
		return 0
	}
	return row.Size
}

// otherProof returns an Advance that is on its way, with another proof; nil when there is none.
func (l *link) otherProof() *replica.Advance {
	for _, x := range l.up {
		if a, ok := x.(*replica.Advance); ok {
			changed := *a
			changed.Proof = append(slices.Clone(a.Proof), identifier.Hash{1})
			l.tainted = true
			return &changed
		}
	}
	return nil
}

// rowHeld reports whether three top-level nodes ever held a row, in the log of the one above
// the node, that covers an entry: nobody but the node has the entry itself.
func (m *member) rowHeld(position uint64) bool {
	for _, i := range m.f.logs {
		if i.owner != m.above {
			continue
		}
		for _, p := range i.truth.way[1 : min(i.heldBy3, i.truth.size)+1] {
			if row := p.last.row; row != nil && row.log == m.log && row.Size > position {
				return true
			}
		}
	}
	return false
}

// compareCheckpoint compares the node's log with the newest checkpoint that is held above, as
// registry.Config.Resolve does: all that there is stands in the node's own.
func (j *joint) compareCheckpoint(log byte) {
	m, own := j.m, j.own
	i, h, row := m.f.logs[log-1], m.above.mirrorOf(log), m.above.rows[log]
	end, size, root := h.at(m.f, h.synced), row.Size, row.Root
	if end.size >= size {
		size, root = end.size, end.root
	}
	j.after.Base = max(j.after.Base, i.base()+size)
	switch {
	case m.after.Continues(i.id): // it was resolved, and is not heard of above yet
		j.unjoined(m.above.unjoined(m).Without(m.incarnation.genesis()))
	case i != m.incarnation:
		j.after.Log, j.after.Why, j.after.Size, j.after.Held, j.after.Own = i.id, identifier.AfterBeginning, size, root, identifier.Hash{}
		j.after.Continue(i.before()...)
		j.lost = true // what stood there nobody has
	case size > own.size:
		j.after.Why, j.after.Size, j.lost = identifier.AfterLoss, own.size, true
	case own.at(size).root != root:
		j.after.Why, j.after.Size, j.after.Held, j.after.Own = identifier.AfterFork, size, root, own.at(size).root
		j.lost = true
	default:
		j.unjoined(m.above.unjoined(m))
	}
}

// The same as TestRestores, where checkpoints alone are kept of some logs: a fifth as many
// histories.
func TestWitnessedRestores(t *testing.T) {
	histories := *restores / 5
	if testing.Short() {
		histories = min(histories, 100)
	}
	var next atomic.Uint64
	var seen [events]atomic.Int64
	var running sync.WaitGroup
	for range 2 {
		running.Go(func() {
			for i := next.Add(1) - 1; i < histories && !t.Failed(); i = next.Add(1) - 1 {
				seed := *firstRestore + i
				if err := restoredBy(forestSteps, 0, seeded(seed), &seen, true); err != nil {
					t.Errorf("seed %d: %v", seed, err)
				}
			}
		})
	}
	running.Wait()
	for _, e := range []event{restoredBoth, foundLoss, foundLost, setAside, gotRooted, resolved, wentOver, fromRow} {
		if t.Logf("%s: %d", e, seen[e].Load()); seen[e].Load() == 0 && histories >= 1000 {
			t.Errorf("in none of %d histories: %s", histories, e)
		}
	}
}

// Without any one of these rules something is witnessed that was not signed, or lost without a
// word.
func TestWitnessedRulesAreNeeded(t *testing.T) {
	for rule, name := range map[replica.Rule]string{
		replica.RuleAdvance: "take a checkpoint with the proof that it follows",
		replica.RuleRow:     "heed the logged row",
		replica.RuleSync:    "acknowledge what is synced",
		replica.RuleAbove:   "cosign what the level above holds",
		replica.RuleMarked:  "write nothing before healing",
	} {
		t.Run(name, func(t *testing.T) {
			var seen [events]atomic.Int64
			for seed := range uint64(1000) {
				if err := restoredBy(forestSteps, rule, seeded(seed), &seen, true); err != nil {
					t.Logf("history %d: %v", seed+1, err)
					return
				}
			}
			t.Error("nobody noticed that the rule was left out")
		})
	}
}
