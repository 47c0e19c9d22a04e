package registry_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nameplate-id/nameplate/registry"
	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/replica"
)

// aged is a family whose parent was restored from a backup that holds more of the child's log
// than the parent had logged: three entries that are certain, and what was registered as "a"
// behind them.
type aged struct {
	*family
	shared uint64 // entries of the child that are certain
}

// behind is what was registered behind the certain part.
type behind struct {
	name string
	more int
}

// newAged makes one. The child's log goes on as now says; where that is another history than
// "a", both were restored to a time before "a" in between, and when logged says so, the
// parent's own log tells of what came then. Where the parent is a top-level node it continues
// its log as another one.
func newAged(t *testing.T, change func(*registry.Config), top bool, a int, now behind, logged bool) *aged {
	t.Helper()
	f := &aged{family: &family{holder: newKey(t)}}
	folders := t.TempDir()
	copyOf := func(n *node, name string) string {
		to := filepath.Join(folders, name)
		if err := os.CopyFS(to, os.DirFS(n.config.Folder)); err != nil {
			t.Fatal(err)
		}
		return to
	}
	f.parent = openNode(t, registry.Config{Folder: t.TempDir(), CheckpointEvery: time.Hour})
	f.child = openNode(t, registry.Config{Folder: t.TempDir(), Parent: f.parent.root.Public()})
	f.delegation = grant("88.118", f.holder)
	f.delegation.Node = &identifier.Node{Name: "child", Key: f.child.root.Public(), Addresses: []identifier.Address{{IP: "127.0.0.1", GRPC: 2640}}}
	f.parent.mustDelegate(f.delegation, f.parent.root)
	f.join()
	f.register("shared", 1)
	if err := f.trySend(); err != nil { // two units
		t.Fatal(err)
	}
	if f.shared = f.size; f.shared != 3 {
		t.Fatalf("%d entries are shared", f.shared)
	}
	f.log()
	f.stop()
	parent, child := copyOf(f.parent, "parent.before"), copyOf(f.child, "child.before")
	f.start()
	f.join()
	f.register("a", a)
	f.send()
	f.stop()
	backup := copyOf(f.parent, "parent.after")
	f.start()
	if now.name != "a" {
		f.stop()
		f.parent.config.Folder, f.child.config.Folder = parent, child
		f.start()
		f.unmark(f.parent)
		f.unmark(f.child)
		f.join()
		f.register(now.name, now.more)
	} else {
		f.join()
		f.register("more", now.more)
	}
	if logged {
		f.send()
		f.log()
	}
	f.putBack(func(c *registry.Config) {
		c.Folder = backup
		change(c)
	})
	if !top {
		f.unmark(f.parent)
		return f
	}
	f.parent.mustStop()
	if _, err := f.parent.config.Resolve(t.Context(), nil, "", func(h *registry.Handed) error {
		if h != nil {
			return errors.New(h.Reason)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	f.parent.start()
	return f
}

func (f *aged) stop()  { f.child.mustStop(); f.parent.mustStop() }
func (f *aged) start() { f.parent.start(); f.child.start(); f.grants = 0 }

// unmark lets a node go on that was restored, or copied.
func (f *aged) unmark(n *node) {
	f.parent.t.Helper()
	if healed, err := n.Source().Heal(); err != nil || !healed {
		f.parent.t.Fatal(healed, err)
	}
}

// log logs rows.
func (f *aged) log() {
	f.parent.t.Helper()
	if err := registry.LogMirrors(f.parent.t.Context(), f.parent.Registry); err != nil {
		f.parent.t.Fatal(err)
	}
}

func (f *aged) register(name string, n int) {
	f.parent.t.Helper()
	for i := range n {
		id := mustID(f.parent.t, fmt.Sprintf("88.118/%s-%d", name, i))
		f.child.mustRegister(signed(f.parent.t, f.holder, f.delegation, put(id, nil, link("https://maker.example/"+name))))
	}
}

// goOn lets the child come, and send what it has, as often as it is told to come again.
func (f *aged) goOn() error {
	for range 3 {
		f.grants = 0
		f.join()
		opened, err := f.mirror.Open()
		if err != nil {
			return err
		}
		root, err := f.child.Source().Root(min(opened.Size, f.child.status().Position))
		if err != nil {
			return err
		}
		if held, err := f.mirror.Root(min(opened.Size, f.child.status().Position)); err != nil || held != root {
			return fmt.Errorf("the first %d entries of the mirror are not the child's, and it is taken for a fork: %v", opened.Size, err)
		}
		if err := f.trySend(); err == nil {
			return nil
		}
	}
	return errors.New("the child is told to come again for ever")
}

// trySend is send, where the stream may end.
func (f *aged) trySend() error {
	source := f.child.Source()
	for tip, _ := source.Growth(); f.size < tip; {
		payloads, err := source.Entries(f.size, 2, 1<<20)
		if err != nil {
			return err
		}
		u := &replica.Unit{Start: f.size, Payloads: payloads}
		if u.Checkpoint, u.Root, err = source.SignCheckpoint(u.End()); err != nil {
			return err
		}
		synced := make(chan struct{})
		if err := f.mirror.Append(f.parent.t.Context(), u, func() { close(synced) }); err != nil {
			return err
		}
		<-synced
		f.size = u.End()
	}
	return nil
}

// whole returns an error unless the mirror is what the child has.
func (f *aged) whole() error {
	list := f.parent.Mirrors()
	size, root := registry.Head(f.child.Registry)
	if len(list) != 1 || list[0].Size != size || list[0].Root != root || !list[0].Counts || list[0].Bad != 0 || list[0].Uncertain != 0 || list[0].Quarantine != nil {
		return fmt.Errorf("mirrors %+v, the child has %d entries with root %x", list, size, root)
	}
	return nil
}

// A mirror that was restored is compared with the rows in its node's own log, which the level
// above gave back: what contradicts them is cut, and of what lies beyond them the child says
// what it is. So a history that was given up is not taken for a fork, and what only the mirror
// has is not lost.
func TestRestoredMirrors(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		a      int
		now    behind
		logged bool
		size   uint64 // of the mirror when the parent has healed
		left   registry.Rule
	}{
		"the parent's log contradicts it": {3, behind{"b", 2}, true, 3, registry.RuleCut},
		"the child has more, and others":  {2, behind{"b", 4}, true, 5, registry.RuleCertain},
		"the child has less, and others":  {3, behind{"b", 1}, false, 6, registry.RuleCertain},
		"the child lacks some of it":      {3, behind{"b", 0}, false, 6, 0},
		"the child has just that":         {2, behind{"a", 0}, false, 5, 0},
		"the child has more":              {2, behind{"a", 9}, false, 5, 0},
		"and the parent's log says so":    {2, behind{"a", 3}, true, 5, 0},
	} {
		for _, top := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, top-level %v", name, top), func(t *testing.T) {
				t.Parallel()
				f := newAged(t, func(*registry.Config) {}, top, c.a, c.now, c.logged)
				if got := f.parent.Mirrors()[0].Size; got != c.size {
					t.Fatalf("the mirror has %d entries when the parent has healed, want %d", got, c.size)
				}
				if got := f.parent.Mirrors()[0].Uncertain; got != c.size-f.shared {
					t.Errorf("%d of %d entries are told to be uncertain, want all behind the %d that are shared", got, c.size, f.shared)
				}
				position := f.parent.status().Position
				if f.log(); f.parent.status().Position != position {
					t.Error("the parent logs what is not certain")
				}
				f.parent.restart() // and remembers it
				if err := f.goOn(); err != nil {
					t.Fatal(err)
				}
				if c.now == (behind{"b", 0}) {
					f.takeRest()
				}
				if err := f.whole(); err != nil {
					t.Fatal(err)
				}
				f.log()
				if got := f.parent.status().Position; got == position && !c.logged {
					t.Error("the parent does not log what is certain by now")
				}
				f.check()
				f.register("later", 2)
				if err := errors.Join(f.goOn(), f.whole()); err != nil {
					t.Error(err)
				}
				f.parent.restart()
				if err := f.whole(); err != nil {
					t.Errorf("after a restart: %v", err)
				}
			})
			if c.left == 0 {
				continue
			}
			t.Run(fmt.Sprintf("%s, top-level %v, with a rule left out", name, top), func(t *testing.T) {
				t.Parallel()
				f := newAged(t, func(x *registry.Config) { registry.LeaveOut(x, c.left) }, top, c.a, c.now, c.logged)
				err := f.goOn()
				if err == nil {
					t.Error("nobody noticed")
				}
				t.Log(err)
			})
		}
	}
}

// check checks both folders.
func (f *aged) check() {
	for _, n := range []*node{f.parent, f.child} {
		n.check()
		n.start()
	}
}

// A crash while a mirror is cut leaves it as it was, and the node marked: it is cut again.
func TestCutThatWasInterrupted(t *testing.T) {
	t.Parallel()
	var left []string
	folders := t.TempDir()
	f := newAged(t, func(c *registry.Config) {
		from := c.Folder
		c.Hook = func(point string) {
			if point != registry.HookCut && point != registry.HookCutUnit {
				return
			}
			to := filepath.Join(folders, fmt.Sprint(len(left)))
			if err := keepJournal(to, from); err != nil {
				t.Error(err)
			}
			left = append(left, to)
		}
	}, false, 3, behind{"b", 2}, true)
	if len(left) < 2 {
		t.Fatalf("it was cut within %d steps", len(left))
	}
	f.parent.mustStop()
	for _, folder := range left {
		f.parent.config.Folder, f.parent.config.Hook = folder, nil
		f.parent.start()
		if m := f.parent.Mirrors()[0]; f.parent.ReadOnly() == "" || f.parent.status().Marked == "" || m.Uncertain != m.Size {
			t.Errorf("the node takes changes, or takes its mirror for certain: %+v", m)
		}
		f.unmark(f.parent)
		if err := errors.Join(f.goOn(), f.whole()); err != nil {
			t.Error(err)
		}
		f.check()
		f.parent.mustStop()
	}
}

func copyFile(to, from string) error {
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, b, 0o600)
}

// takeRest gives the child back what only the mirror has.
func (f *aged) takeRest() {
	t := f.parent.t
	t.Helper()
	if err := f.child.Source().Mark(t.Context(), "it lacks entries"); err != nil {
		t.Fatal(err)
	}
	for next := f.child.status().Position; next < f.parent.Mirrors()[0].Size; next = f.child.status().Position {
		u, err := f.mirror.Unit(next)
		if err != nil {
			t.Fatal(err)
		}
		if u.Root, err = f.mirror.Root(u.End()); err != nil {
			t.Fatal(err)
		}
		u.Payloads, u.Start = u.Payloads[next-u.Start:], next
		if err := f.child.Source().TakeBack(t.Context(), u); err != nil {
			t.Fatal(err)
		}
	}
	f.unmark(f.child)
}
