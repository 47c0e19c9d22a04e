package replica_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/nameplate-id/nameplate/registry/replica"
)

// twice is a forest in which a node below the top goes on with another log.
type twice struct {
	*forest
	t     *testing.T
	above *member // a top-level node, or one below it
	node  *member
	last  *member // the top-level node that is asked last
}

func first(int) int { return 0 }

// newTwice returns one in which everything is where it belongs, with backups of the node and
// of the one above it.
func newTwice(t *testing.T, top bool, left replica.Rule) *twice {
	f := newForest(1, 1, left)
	w := &twice{forest: f, t: t, node: f.nodes[topNodes+1], last: f.tops[topNodes-1]}
	if top {
		w.node = f.nodes[topNodes]
	}
	w.above = w.node.above
	w.rest()
	w.above.backup()
	w.node.backup()
	return w
}

func (w *twice) try(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// rest lets everything get where it belongs, all the way up and down.
func (w *twice) rest() {
	w.t.Helper()
	for range 3 {
		w.try(w.calm())
	}
}

// write registers something and lets it get to the node above.
func (w *twice) write() {
	w.t.Helper()
	w.node.register(false)
	w.node.sync()
	l := w.node.links[0]
	l.grow()
	w.try(l.settle())
}

// goOn lets the log of the node fork and be continued as another one, which has an entry of
// its own.
func (w *twice) goOn() {
	w.t.Helper()
	saved := w.node.saved
	w.node.backup()
	w.write()
	w.node.saved = w.node.saved[len(w.node.saved)-1:]
	w.node.restore(true, first)
	w.node.saved = saved
	w.node.register(false)
	w.node.sync()
	for range 3 {
		w.try(w.settleAll())
	}
	log := w.node.log
	w.resolve(func() bool { return true })
	if w.node.log == log {
		w.t.Fatal("the node has not gone on with another log")
	}
	for range 3 {
		w.try(w.settleAll())
	}
	w.write()
}

// restoreBoth puts both back to before the node went on.
func (w *twice) restoreBoth() {
	w.t.Helper()
	w.above.restore(false, first)
	w.node.restore(false, first)
	for range 6 {
		w.try(w.settleAll())
	}
}

// A node went on with another log, and it and the node above it were put back to a time before
// that, at once. With all rules nothing that was anchored is lost, and in the end there is one
// log that contains everything, wherever the one between is held. Without one of the rules
// there is not.
func TestEachRuleOfTheLogBetween(t *testing.T) {
	for name, c := range map[string]struct {
		rule replica.Rule
		play func(*testing.T, replica.Rule) error
	}{
		"one holds it, which the others refuse":   {replica.RuleJoin, heldByOne},
		"one holds it, which is asked too late":   {replica.RuleJoin, heldByOneAgain},
		"nobody holds it but the row says so":     {replica.RuleJoin, heldByNobody},
		"two hold one each, beside a third one":   {replica.RuleJoin, threeBeside},
		"entries of the log, and not another one": {replica.RuleRecall, moreOfOne},
	} {
		t.Run(name, func(t *testing.T) {
			if err := c.play(t, 0); err != nil {
				t.Errorf("with all rules: %v", err)
			}
			if err := c.play(t, c.rule); err == nil {
				t.Error("without the rule: nothing is wrong")
			}
		})
	}
}

// The log between was anchored: the top-level node above is given it back by three others, and
// the node adopts it, without anybody's help. What one of the two rules prevents the other one
// mends, with help.
func TestLogBetweenComesBack(t *testing.T) {
	w := newTwice(t, true, 0)
	w.goOn()
	w.rest()
	between := w.node.log
	w.restoreBoth()
	if w.node.log != between || w.node.marked {
		t.Errorf("the node has log %d, not log %d; marked: %v", w.node.log, between, w.node.marked)
	}
	w.try(w.heal())
	if w.node.log != between || w.node.reported {
		t.Errorf("the node has log %d, not log %d; a loss was reported: %v", w.node.log, between, w.node.reported)
	}
}

// The log between got to one other top-level node alone, which is away while the one above the
// node heals. goesOn says that the node goes on once more meanwhile.
func between(t *testing.T, left replica.Rule, goesOn bool) error {
	w := newTwice(t, true, left)
	others := w.tops[1 : topNodes-1] // but the last
	for _, top := range others {
		top.draining = true
	}
	w.goOn()
	written := w.node.end.last.first()
	w.above.logRows() // which the one that is asked last has to find again
	w.above.sync()
	w.try(w.settleAll())
	if w.last.logOf(w.node) != w.node.log {
		return errors.New("the one that is asked last does not hold the log")
	}
	for _, top := range others {
		top.draining = false
	}
	w.last.draining = true
	w.restoreBoth()
	if goesOn {
		w.goOn()
	} else {
		w.write()
	}
	if err := w.heal(); err != nil {
		return err
	}
	if left == 0 && (w.happened[foundBeside] == 0 || w.happened[joinedBeside] == 0) {
		t.Errorf("it was found %d times and joined with another one %d times", w.happened[foundBeside], w.happened[joinedBeside])
	}
	there := w.handed[written]
	for _, p := range w.node.fast.way[1:] {
		there = there || p.last.first() == written
	}
	if !there {
		return errors.New("what was written between is in no log, and was not handed over")
	}
	return nil
}

func heldByOne(t *testing.T, left replica.Rule) error      { return between(t, left, true) }
func heldByOneAgain(t *testing.T, left replica.Rule) error { return between(t, left, false) }

// The node stands below one that is not at the top, whose own log comes back and says that
// there was another log. Nobody has that: it is reported.
func heldByNobody(t *testing.T, left replica.Rule) error {
	w := newTwice(t, false, left)
	w.goOn()
	w.rest()
	w.restoreBoth()
	if err := w.heal(); err != nil {
		return err
	}
	if !w.node.reported {
		return errors.New("no loss was reported")
	}
	return nil
}

// The log is the same, and three others hold more of it than the two that were restored: it is
// given back, and no loss is reported.
func moreOfOne(t *testing.T, left replica.Rule) error {
	w := newTwice(t, true, left)
	w.write()
	w.rest()
	had := w.node.fast
	w.restoreBoth()
	w.write()
	if err := w.heal(); err != nil {
		return err
	}
	if !w.node.fast.has(had) || w.node.reported {
		return fmt.Errorf("the log has %d entries, not those %d that were anchored; a loss was reported: %v", w.node.fast.size, had.size, w.node.reported)
	}
	return nil
}
