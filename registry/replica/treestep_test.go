package replica_test

import (
	"flag"
	"fmt"
	"testing"

	"github.com/nameplate-id/nameplate/registry/replica"
)

// step does one thing that may happen in a forest.
func (f *forest) step(pick pick) error {
	m := f.nodes[pick(len(f.nodes))]
	below := f.nodes[1+pick(len(f.nodes)-1)]
	switch pick(14) {
	case 0, 1:
		for range 1 + pick(3) {
			f.write(m, nil)
		}
	case 2, 3:
		f.sync(m)
	case 4:
		if !below.open || below.child.Refusal() != nil || pick(12) == 0 {
			f.connect(below)
		}
	case 5, 6, 7, 8, 9:
		for range 1 + pick(6) {
			f.send(below, pick(2) == 0)
			if err := f.deliver(below, pick(2) == 0, pick); err != nil {
				return err
			}
		}
	case 10:
		f.logRows(m)
		if pick(3) == 0 {
			return f.calm()
		}
	case 11:
		f.backup(below)
	default:
		return f.trouble(m, below, pick)
	}
	return nil
}

// trouble does what seldom happens.
func (f *forest) trouble(m, below *member, pick pick) error {
	switch pick(9) {
	case 0:
		f.crash(m, pick(1+len(m.frames)-m.synced))
	case 1:
		f.restore(below, false)
	case 2:
		// Both at once, or a node and all below it.
		f.restore(below, false)
		for _, c := range below.below {
			f.restore(c, false)
		}
		if above := below.above; above.above != nil {
			f.restore(above, false)
		}
	case 3:
		if pick(6) == 0 {
			f.restore(below, true)
		}
	case 4:
		take(&below.up, pick) // lost
	case 5:
		take(&below.down, pick)
	case 6:
		below.child.Tick()
	case 7:
		if p := below.above.mirrors[below.number]; p != nil {
			p.Tick()
		}
	default:
		below.child.Close()
		below.open = false
	}
	return nil
}

func (f *forest) send(m *member, up bool) {
	if up && m.open {
		m.up = appendMessage(m.up, m.child.Next())
	}
	if p := m.above.mirrors[m.number]; !up && p != nil && m.stream != nil {
		m.down = appendMessage(m.down, p.Next())
		f.keepEvidence(m, p)
	}
}

func (f *forest) deliver(m *member, up bool, pick pick) error {
	if up {
		if x, ok := take(&m.up, pick); ok {
			return f.toAbove(m, x)
		}
	} else if x, ok := take(&m.down, pick); ok {
		return f.toNode(m, x)
	}
	return nil
}

// check returns what is not as it has to be, after every step.
func (f *forest) check() error {
	for _, m := range f.nodes[1:] {
		f.note(m)
		if err := f.checkMember(m); err != nil {
			return fmt.Errorf("node %d: %w", m.number, err)
		}
	}
	return nil
}

func (f *forest) checkMember(m *member) error {
	if m.anew && !f.untold {
		return fmt.Errorf("it has written anew what was anchored, and every restore was told")
	}
	if (m.forked || m.above.apart[m.number]) && !m.astray {
		return fmt.Errorf("its log is set aside, and it has one history")
	}
	payloads, checkpoint, _ := m.above.held(m.number, m.above.frames[:m.above.synced])
	if len(payloads) > 0 && len(checkpoint) == 0 {
		return fmt.Errorf("the mirror of %d entries ends with no checkpoint", len(payloads))
	}
	if !m.astray && len(payloads) > len(m.truth) {
		return fmt.Errorf("the mirror has %d entries, and %d were ever synced", len(payloads), len(m.truth))
	}
	if s := m.child.Status(); s.Connected && m.stream != nil && m.greeted && s.Acked > uint64(len(payloads)) {
		return fmt.Errorf("%d entries are acknowledged, %d are on the disk", s.Acked, len(payloads))
	}
	if m.marked || m.forked || m.lossTold || m.above.apart[m.number] {
		return nil
	}
	if m.above.marked || m.above.untold || m.above.forked {
		return nil // it takes in nothing, or does not know yet that it must not
	}
	// What is anchored is there, or will be noticed to be missing: a node that works again
	// after it was told of a restore has asked.
	if m.child.Status().Connected && m.stream != nil && m.greeted {
		return f.checkAnchored(m)
	}
	return nil
}

// checkAnchored returns an error when a node whose parent has welcomed it lacks what is
// anchored, or holds something else in its place, without having reported it.
func (f *forest) checkAnchored(m *member) error {
	for size, root := range m.anchored {
		if size > m.log.Synced() {
			return fmt.Errorf("%d entries are anchored, it has %d, and nobody was told", size, m.log.Synced())
		}
		if m.child.Status().Acked < size {
			continue // not compared yet
		}
		if now, err := m.log.Root(size); err != nil || now != root {
			return fmt.Errorf("the first %d entries are anchored, it has others, and nobody was told: %v", size, err)
		}
	}
	return nil
}

// calm lets everything get where it belongs, as most of the time: entries to the parents,
// rows of them up to the top.
func (f *forest) calm() error {
	for range 2 {
		for _, m := range f.nodes[1:] {
			if !m.open || m.child.Refusal() != nil {
				f.connect(m)
			}
			m.child.Tick()
			if err := f.settle(m); err != nil {
				return err
			}
		}
		for _, m := range f.nodes {
			f.logRows(m)
			f.sync(m)
		}
	}
	for _, m := range f.nodes[1:] {
		if err := f.settle(m); err != nil {
			return err
		}
	}
	return nil
}

// heal lets nothing go wrong any more, until every node that was not set aside has
// everything, and its mirror too.
func (f *forest) heal() error {
	for range 24 {
		healed := true
		for _, m := range f.nodes {
			f.sync(m)
			if m.above == nil {
				continue
			}
			if !m.open || m.child.Refusal() != nil {
				f.connect(m)
			}
			if err := f.settle(m); err != nil {
				return err
			}
			m.child.Tick()
			if p := m.above.mirrors[m.number]; p != nil {
				p.Tick()
			}
			healed = healed && f.healed(m)
		}
		if healed {
			return nil
		}
	}
	var left string
	for _, m := range f.nodes {
		left += "; " + m.String()
	}
	return fmt.Errorf("not healed%s", left)
}

// stuck reports whether only people can help a node: its log is set aside here or above,
// or a loss was reported.
func (m *member) stuck() bool {
	if m.above == nil {
		return false
	}
	r := m.child.Refusal()
	return m.forked || m.above.apart[m.number] || r != nil && r.Reason == replica.Loss
}

// healed reports whether a node has nothing more to wait for. A marked node that is stuck
// takes in nothing of those below it.
func (f *forest) healed(m *member) bool {
	if m.stuck() || m.above.stuck() {
		return true
	}
	s := m.child.Status()
	return !m.marked && s.Connected && s.Acked == m.log.Synced()
}

func (f *forest) settle(m *member) error {
	for idle := false; !idle; {
		f.send(m, true)
		f.send(m, false)
		idle = len(m.up)+len(m.down) == 0
		for _, up := range []bool{true, false} {
			if err := f.deliver(m, up, oldest); err != nil {
				return err
			}
		}
		for _, x := range f.nodes {
			if x.synced < len(x.frames) {
				f.sync(x)
				idle = false
			}
		}
		if err := f.check(); err != nil {
			return err
		}
	}
	return nil
}

// restored lets things happen in a forest, and then nothing bad any more.
func restored(leaves, steps int, left replica.Rule, pick pick) error {
	f := newForest(leaves, left)
	for i := range steps {
		if err := f.step(pick); err != nil {
			return fmt.Errorf("step %d: %w", i, err)
		}
		if err := f.check(); err != nil {
			return fmt.Errorf("after step %d: %w", i, err)
		}
	}
	if err := f.heal(); err != nil {
		return fmt.Errorf("healing: %w", err)
	}
	return nil
}

var restores = flag.Uint64("restores", 5000, "how many histories with restores TestRestores plays")

// Whatever is restored, at one node or at several at once: nothing that is anchored gets
// lost or replaced without a word, no history forks without evidence on both sides, none
// is taken for a fork that is not one, and once nothing goes wrong any more everything
// that was not set aside is whole again.
func TestRestores(t *testing.T) {
	histories := *restores
	if testing.Short() {
		histories = 300
	}
	for seed := range histories {
		pick := seeded(seed)
		if err := restored(1+pick(2), 150, 0, pick); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
}

// And over as many as there is time for.
func FuzzRestores(f *testing.F) {
	f.Add(uint64(1))
	f.Fuzz(func(t *testing.T, seed uint64) {
		pick := seeded(seed)
		if err := restored(1+pick(2), 250, 0, pick); err != nil {
			t.Error(err)
		}
	})
}

// Without any one of these rules something is lost or forks without a word, and a thousand
// histories show it.
func TestRestoreRulesAreNeeded(t *testing.T) {
	for rule, name := range map[replica.Rule]string{
		replica.RulePrefix: "compare roots, not positions",
		replica.RuleMarked: "write nothing before healing",
		replica.RuleServe:  "serve no children before healing",
		replica.RuleRow:    "heed the logged row",
		replica.RuleSync:   "acknowledge what is synced",
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(1000) {
				pick := seeded(seed)
				if err := restored(1+pick(2), 150, rule, pick); err != nil {
					t.Logf("history %d: %v", seed+1, err)
					return
				}
			}
			t.Error("nobody noticed that the rule was left out")
		})
	}
}
