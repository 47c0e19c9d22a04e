package registry_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nameplate-id/nameplate/registry"
	"github.com/nameplate-id/nameplate/registry/history"
	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/replica"
)

// wentOn is a family that goes on with another log of the child and is then put back, both
// nodes at once, to a time before that. between is a copy of that log.
type wentOn struct {
	*family
	between heldCopy
}

func newWentOn(t *testing.T) *wentOn {
	t.Helper()
	w := &wentOn{family: newFamily(t)}
	w.add(1, "1")
	folders := t.TempDir()
	w.each(func(n *node, name string) {
		if err := os.CopyFS(filepath.Join(folders, name), os.DirFS(n.config.Folder)); err != nil {
			t.Fatal(err)
		}
	})
	w.goOn(2)
	w.add(4, "between")
	w.between = copyOf(w.child, w.size, 3)
	w.each(func(n *node, name string) { n.config.Folder = filepath.Join(folders, name) })
	return w
}

// each does something with either node while both are stopped.
func (w *wentOn) each(do func(*node, string)) {
	w.parent.t.Helper()
	w.child.mustStop()
	w.parent.mustStop()
	do(w.child, "child")
	do(w.parent, "parent")
	w.parent.start()
	w.child.start()
	if _, err := w.child.Source().Heal(); err != nil { // nobody has noticed
		w.parent.t.Fatal(err)
	}
	w.grants = 0
	w.join()
}

func (w *wentOn) add(i int, text string) {
	w.parent.t.Helper()
	w.child.mustRegister(signed(w.parent.t, w.holder, w.delegation, put(mustID(w.parent.t, serial(i)), nil, link("https://maker.example/"+text))))
	w.send()
}

// goOn lets the child's log fork and continues it as another one.
func (w *wentOn) goOn(i int) {
	t := w.parent.t
	t.Helper()
	row := func(i int) [][]identifier.Row {
		return [][]identifier.Row{{put(mustID(t, serial(i)), nil, link("https://maker.example/"+fmt.Sprint(i)))}}
	}
	w.fork(nil, row(i), row(i+1))
	w.resolve()
	w.join()
	w.send()
}

// refusal returns why the child's Hello is refused; nil when it is not.
func (w *wentOn) refusal() *replica.Refusal {
	_, err := w.parent.Mirror(w.parent.t.Context(), w.child.LogID(), w.child.root.Public(), w.child.root.Public(), w.child.status().Position)
	r, _ := errors.AsType[*replica.Refusal](err)
	return r
}

// A child went on with another log twice. The first one comes from another top-level node:
// the child takes no changes until it has joined the two, and nothing of either is lost.
func TestEachRuleOfRecall(t *testing.T) {
	for name, c := range map[string]struct {
		rule registry.Rule
		play func(*testing.T, registry.Rule) error
	}{
		"a log beside the one that counts": {registry.RuleJoin, besides},
		"a log whose row alone is left":    {registry.RuleJoin, rowAlone},
		"a parent that was restored":       {registry.RuleRecall, restoredParent},
		"a parent that ended meanwhile":    {registry.RulePart, endedWithin},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := c.play(t, 0); err != nil {
				t.Errorf("with all rules: %v", err)
			}
			if err := c.play(t, c.rule); err == nil {
				t.Error("without the rule: nothing is wrong")
			}
		})
	}
}

func besides(t *testing.T, left registry.Rule) error {
	w := newWentOn(t)
	w.goOn(5)
	w.add(7, "later")
	second := w.child.LogID()
	w.parent.leave(left)
	w.join()
	if _, err := w.parent.Recall(t.Context(), w.child.root.Public(), w.between); err != nil {
		t.Fatal(err)
	}
	if left == 0 {
		w.row(w.between)
	}
	for range 2 { // also after a start
		if r := w.refusal(); r == nil || r.Reason != replica.Succeeded {
			return fmt.Errorf("the child's Hello: %v", r)
		}
		w.parent.restart()
	}
	w.child.mustStop()
	w.child.start()
	told, handed := w.resolve()
	if len(handed) > 0 || told.Upper != w.between.units[len(w.between.units)-1].End() {
		t.Errorf("resolved %+v, handed over %v", told, handed)
	}
	w.grants = 0
	w.join()
	w.send()
	for _, i := range []int{1, 2, 3, 4, 5, 6, 7} {
		w.child.record(serial(i))
		if w.mirrored(serial(i)).Record == nil {
			t.Errorf("%s is not in the mirror of the joined log", serial(i))
		}
	}
	if a := w.child.status().After; !a.Whole || !a.Continues(second) || !a.Continues(w.between.log) {
		t.Errorf("the joined log continues %+v, not log %s and log %s", a, second, w.between.log)
	}
	if entries, err := w.parent.Recall(t.Context(), w.child.root.Public(), w.between); err != nil || entries > 0 {
		t.Errorf("what is continued is taken in again: %d entries, %v", entries, err)
	}
	return nil
}

// row checks that the parent logs a row of a log that stands beside: whoever holds one refuses
// the parent's next log otherwise.
func (w *wentOn) row(c heldCopy) {
	t := w.parent.t
	t.Helper()
	if err := registry.LogMirrors(t.Context(), w.parent.Registry); err != nil {
		t.Fatal(err)
	}
	key := w.child.root.Public()
	held, err := w.parent.MirroredFor(key, key, c.log, 0)
	if want := c.units[len(c.units)-1].End(); err != nil || held.Row != want || held.Size != want {
		t.Errorf("of the log that stands beside there are %d entries, and a row of %d, want %d: %v", held.Size, held.Row, want, err)
	}
	if held, err = w.parent.Mirrored(key, 0); err != nil || !slices.Equal(held.Apart.Held, []identifier.LogID{c.log}) || len(held.Apart.Lost) > 0 {
		t.Errorf("the child is shown %+v, %v", held.Apart, err)
	}
	if _, err := w.parent.MirroredFor(newKey(t).Public(), key, c.log, 0); err == nil {
		t.Error("a log is shown to another node than the one whose it is")
	}
}

// The parent ends while it takes in the log between: a part of it is not joined as if it were
// all, until the rest is there, or was waited for long enough.
func endedWithin(t *testing.T, left registry.Rule) error {
	w := newWentOn(t)
	w.goOn(5)
	var late atomic.Int64
	w.parent.config.Clock = func() time.Time { return time.Now().Add(time.Duration(late.Load())) }
	w.parent.leave(left)
	key, units := w.child.root.Public(), w.between.units
	if _, err := w.parent.Recall(t.Context(), key, breaksOff{w.between}); err == nil {
		t.Fatal("all of the log has come")
	}
	w.parent.restart()
	shown := func(want uint64) error {
		t.Helper()
		if err := registry.LogMirrors(t.Context(), w.parent.Registry); err != nil {
			t.Fatal(err)
		}
		held, err := w.parent.MirroredFor(key, key, w.between.log, 0)
		if r, ok := errors.AsType[*replica.Refusal](err); ok && r.Reason == replica.Unavailable {
			held = history.Held{}
		} else if err != nil {
			t.Fatal(err)
		}
		if held.Size != want || held.Row != want {
			return fmt.Errorf("%d entries are shown, and a row of %d, want %d", held.Size, held.Row, want)
		}
		return nil
	}
	if err := shown(0); err != nil {
		return err
	}
	if r := w.refusal(); r == nil || r.Reason != replica.Succeeded {
		t.Errorf("the child's Hello: %v", r)
	}
	late.Add(int64(11 * time.Minute))
	if err := shown(units[0].End()); err != nil {
		t.Error("nobody gives the rest: ", err)
	}
	if _, err := w.parent.Recall(t.Context(), key, w.between); err != nil {
		t.Fatal(err)
	}
	w.parent.restart()
	return shown(units[len(units)-1].End())
}

// breaksOff gives the first unit of a log.
type breaksOff struct{ heldCopy }

func (c breaksOff) Mirrored(ctx context.Context, position uint64) (history.Held, error) {
	if position >= c.units[0].End() {
		return history.Held{}, errors.New("the connection is gone")
	}
	return c.heldCopy.Mirrored(ctx, position)
}

func (c breaksOff) Of(identifier.LogID) history.Upper { return c }

// Nothing is left of the log between but what the parent's own log says of it.
func rowAlone(t *testing.T, left registry.Rule) error {
	w := newWentOn(t)
	w.parent.leave(left)
	last := w.between.units[len(w.between.units)-1]
	row := identifier.ChildRow{Log: w.between.log, Node: w.child.root.Public(), Size: last.End(), Root: last.Root, Signature: make([]byte, 64)}
	if err := registry.LogChildren(t.Context(), w.parent.Registry, []identifier.ChildRow{row}); err != nil {
		t.Fatal(err)
	}
	if r := w.refusal(); r == nil || r.Reason != replica.Loss {
		return fmt.Errorf("the child's Hello: %v", r)
	}
	told, _ := w.resolve()
	if told.Why != "loss" {
		t.Errorf("resolved %+v", told)
	}
	w.grants = 0
	w.join()
	w.send()
	w.add(8, "after")
	if base := w.child.status().After.Base; base < last.End() {
		t.Errorf("base %d: the %d positions that are lost were used up", base, last.End())
	}
	return nil
}

func restoredParent(t *testing.T, left registry.Rule) error {
	w := &wentOn{family: newFamily(t)}
	w.add(1, "1")
	folder := filepath.Join(t.TempDir(), "old")
	w.parent.mustStop()
	if err := os.CopyFS(folder, os.DirFS(w.parent.config.Folder)); err != nil {
		t.Fatal(err)
	}
	w.parent.start()
	w.grants = 0
	w.join()
	w.add(2, "2")
	w.add(3, "3")
	held := copyOf(w.child, w.size, 3)
	w.parent.mustStop()
	w.parent.config.Folder = folder
	w.parent.start()
	if err := w.parent.Source().Mark(t.Context(), "restored"); err != nil {
		t.Fatal(err)
	}
	w.parent.leave(left)
	if got := w.parent.Children(); !slices.Equal(got, []identifier.PublicKey{w.child.root.Public()}) {
		t.Errorf("children %v", got)
	}
	have := w.parent.Mirrors()[0].Size
	entries, err := w.parent.Recall(t.Context(), w.child.root.Public(), held)
	if err != nil {
		t.Fatal(err)
	}
	if size := w.parent.Mirrors()[0].Size; size != w.size || entries != size-have {
		return fmt.Errorf("%d entries came back, and the mirror has %d of %d", entries, size, w.size)
	}
	return nil
}

// What another top-level node gives is not believed.
func TestRecallOfStrangeEntries(t *testing.T) {
	t.Parallel()
	w := newWentOn(t)
	w.goOn(5)
	units := slices.Clone(w.between.units)
	u := *units[1]
	u.Payloads = slices.Clone(u.Payloads)
	u.Payloads[0] = units[0].Payloads[0]
	units[1] = &u
	before := w.parent.Mirrors()
	_, err := w.parent.Recall(t.Context(), w.child.root.Public(), heldCopy{w.between.log, units})
	if err == nil {
		t.Error("entries are taken in that the node has not signed")
	}
	// What came before them is the node's, and may stay.
	for _, m := range w.parent.Mirrors() {
		if m.Log == w.between.log && m.Size != units[0].End() {
			t.Errorf("%d entries were taken in, of which %d are good; before there were %v", m.Size, units[0].End(), before)
		}
	}
	strange := heldCopy{identifier.LogID{9}, w.between.units}
	if _, err := w.parent.Recall(t.Context(), w.child.root.Public(), strange); err == nil {
		t.Error("a log is taken in by another name than its genesis has")
	}
	if _, err := w.parent.Recall(t.Context(), newKey(t).Public(), w.between); err == nil {
		t.Error("a log is taken in as that of a node that has not signed it")
	}
}
