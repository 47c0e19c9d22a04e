package replica_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/nameplate-id/nameplate/registry/replica"
)

// What one top-level node alone holds, and was not asked for, because it was away.

// away lets some top-level nodes be away, and all others be there.
func (w *twice) away(tops ...*member) {
	for _, top := range w.tops {
		top.draining = false
	}
	for _, top := range tops {
		top.draining = true
	}
}

// there reports whether an entry is in the log of the node, or was handed over.
func (w *twice) there(e *entry) bool {
	if w.handed[e] {
		return true
	}
	for _, p := range w.node.fast.way[1:] {
		if p.last.first() == e {
			return true
		}
	}
	return false
}

// forgets lets the node write something that gets to the one above it and, with the row that
// says so, to the last top-level node alone, and puts both back to before that.
func forgets(t *testing.T, left replica.Rule) *twice {
	w := newTwice(t, true, left)
	w.last.backup()
	w.away(w.tops[1 : topNodes-1]...)
	w.write()
	w.above.logRows()
	w.above.sync()
	w.try(w.settleAll())
	held, log := w.last.currentEnd(w.above), w.node.log
	if row := rowsOf(w.forest, held); len(row) != 1 || row[0].Size != w.node.fast.size || w.last.held[log].synced == 0 {
		t.Fatalf("the one that is not asked holds %v", row)
	}
	w.away(w.last)
	w.restoreBoth()
	return w
}

// The row is larger than the child's log ever gets: that one stays as it is.
func TestRowOfOne(t *testing.T) {
	for left, good := range map[replica.Rule]bool{0: true, replica.RulePast: false} {
		if err := forgets(t, left).heal(); (err == nil) != good {
			t.Errorf("without rule %d: %v", left, err)
		}
	}
}

// The child goes on with another log, in which two histories are joined, and neither is the one
// that was not asked for. Who holds that refuses the log, and says so to the one that sends it,
// for as long as people let it: when it is put back to a time before, it takes the log in.
func TestThirdHistoryOfOne(t *testing.T) {
	w := forgets(t, 0)
	w.goOn()
	w.away()
	w.rest()
	var told *replica.Refusal
	for _, l := range w.above.links {
		if l.to == w.last && l.owner == w.node {
			told = l.child.Refusal()
		}
	}
	if told == nil || !told.Remote || told.Reason != replica.OtherLog || w.last.logOf(w.node) == w.node.log {
		t.Fatalf("the one that sends the log is told %v", told)
	}
	w.last.restore(false, first)
	w.try(w.heal())
	if w.last.logOf(w.node) != w.node.log {
		t.Error("the log does not count where the other history was")
	}
}

// The entries are more, too. The child's next one forks, with evidence at all three, and people
// are told.
func TestEntriesOfOne(t *testing.T) {
	w := forgets(t, 0)
	log := w.node.log
	w.away()
	w.rest()
	if w.node.forked != nil || w.happened[setAside] > 0 {
		t.Fatal("the node is taken to have forked before it wrote anything")
	}
	w.node.register(false)
	w.node.sync()
	written := w.node.end.last.first()
	w.rest()
	if w.node.forked == nil || w.above.apart[log] == nil || w.last.apart[log] == nil {
		t.Fatalf("evidence at the node: %v, above: %v, at the one that was away: %v", w.node.forked, w.above.apart[log], w.last.apart[log])
	}
	if w.tops[1].apart[log] != nil {
		t.Error("one that has one history alone sets the log aside")
	}
	w.try(w.heal())
	if !w.node.reported || w.node.log == log || !w.there(written) {
		t.Errorf("reported: %v, log %d after %d, what was written is there: %v", w.node.reported, w.node.log, log, w.there(written))
	}
}

// A node went on three times after one log, and of the three logs two are held by one top-level
// node each, which was away when the one above the node was restored, and the other one was.
// People have let that one go on with two answers of four. Each of the two that were away has
// the log that counts joined with what it holds.
func threeBeside(t *testing.T, left replica.Rule) error {
	w := newTwice(t, true, left)
	var logs []byte
	var written []*entry
	goesOn := func() {
		w.goOn()
		w.try(w.settleAll())
		logs, written = append(logs, w.node.log), append(written, w.node.end.last.first())
	}
	first, second := w.last, w.tops[topNodes-2]
	w.away(w.tops[1 : topNodes-1]...)
	goesOn()
	w.away(first)
	w.restoreBoth()
	w.away(append(w.tops[1:topNodes-2:topNodes-2], first)...)
	goesOn()
	w.away(first, second)
	w.restoreBoth()
	if !w.above.marked {
		t.Fatal("two answers of four are enough")
	}
	w.above.goOn()
	for range 6 {
		w.try(w.settleAll())
	}
	goesOn()
	if first.logOf(w.node) != logs[0] || second.logOf(w.node) != logs[1] || w.above.logOf(w.node) != logs[2] {
		t.Fatalf("the logs are not beside one another: %d, %d, %d of %v", first.logOf(w.node), second.logOf(w.node), w.above.logOf(w.node), logs)
	}
	w.away(first)
	for range 6 {
		w.resolve(func() bool { return true })
		w.try(w.calm())
	}
	if left == 0 && (w.happened[joinedBeside] != 1 || !w.there(written[1])) {
		t.Errorf("%d logs were joined when one of two is back", w.happened[joinedBeside])
	}
	w.away()
	if err := w.heal(); err != nil {
		return err
	}
	if left == 0 && w.happened[joinedBeside] != 2 {
		t.Errorf("%d logs were joined", w.happened[joinedBeside])
	}
	for i, e := range written {
		if !w.there(e) {
			return fmt.Errorf("what was written into log %d is in no log, and was not handed over", logs[i])
		}
	}
	if w.node.reported {
		return errors.New("a loss is reported")
	}
	return nil
}
