package registry_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/nameplate-id/nameplate/registry"
	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/replica"
)

// Each rule of how a node gets another log does what it is there for; and where it is left
// out, that is noticed.
func TestEachRuleOfSuccession(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		left  registry.Rule
		check func(*testing.T, registry.Rule) error
	}{
		"another log continues the one that counts": {registry.RuleBegins, otherLogBegins},
		"its genesis is signed by the node":         {registry.RuleGenesis, strangeGenesis},
		"it counts with its entries":                {registry.RuleEntries, helloAlone},
		"it repeats the newest rows":                {registry.RuleNewest, rowsRepeated},
		"it counts when it repeats the rows":        {registry.RuleRows, rowsForgotten},
		"what is held above comes first":            {registry.RuleUpper, upperFirst},
		"what collides is handed over":              {registry.RuleHand, collisionHanded},
		"nothing changes before it is":              {registry.RuleHanded, handedBefore},
		"a log of before is not adopted":            {registry.RuleOlder, olderLog},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := c.check(t, 0); err != nil {
				t.Error(err)
			}
			if err := c.check(t, c.left); err == nil {
				t.Error("nobody noticed that the rule was left out")
			} else {
				t.Log(err)
			}
		})
	}
}

// leave starts a node without a rule.
func (n *node) leave(left registry.Rule) {
	n.t.Helper()
	n.mustStop()
	registry.LeaveOut(&n.config, left)
	n.start()
}

func oneRow(t *testing.T, i int, text string) [][]identifier.Row {
	return [][]identifier.Row{{put(mustID(t, serial(i)), nil, link("https://maker.example/"+text))}}
}

// begun returns why a log may not begin with an entry at the parent.
func (f *family) begun(log identifier.LogID, payload []byte) *replica.Refusal {
	f.parent.t.Helper()
	m, err := f.parent.Mirror(f.parent.t.Context(), log, f.child.root.Public(), f.child.root.Public(), 1)
	if err != nil {
		f.parent.t.Fatal(err)
	}
	return m.Begins(payload)
}

// leftFamily is a family whose parent leaves out a rule, and has mirrored something.
func leftFamily(t *testing.T, left registry.Rule) *family {
	f := newFamily(t)
	f.parent.leave(left)
	f.join()
	f.child.mustRegister(signed(t, f.holder, f.delegation, oneRow(t, 1, "1")[0]...))
	f.send()
	return f
}

// A node has lost its disk but for its key, and begins another log.
func otherLogBegins(t *testing.T, left registry.Rule) error {
	f := leftFamily(t, left)
	folder := t.TempDir()
	if err := copyFile(filepath.Join(folder, "node.key"), filepath.Join(f.child.config.Folder, "node.key")); err != nil {
		t.Fatal(err)
	}
	other := openNode(t, registry.Config{Folder: folder, Parent: f.parent.root.Public()})
	first, err := other.Source().Entries(0, 1, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	if f.begun(other.LogID(), first[0]) == nil {
		return errors.New("a log that continues nothing may begin")
	}
	return nil
}

// Somebody else says which log continues the node's.
func strangeGenesis(t *testing.T, left registry.Rule) error {
	f := leftFamily(t, left)
	root, err := f.child.Source().Root(1)
	if err != nil {
		t.Fatal(err)
	}
	after := &identifier.Predecessor{Log: f.child.LogID(), Why: identifier.AfterRestore, Size: 1, Held: root, Own: root, Base: f.size}
	g := &identifier.Genesis{Log: identifier.LogID{1}, Key: f.child.root.Public(), Format: identifier.LogFormat, After: after}
	payload, err := identifier.AppendGenesis(nil, g)
	if err != nil {
		t.Fatal(err)
	}
	entry := func(key identifier.PrivateKey) []byte {
		e, err := identifier.AppendEntry(nil, &identifier.Entry{Kind: identifier.EntryGenesis, Time: time.UnixMilli(1), Envelope: identifier.Sign(identifier.GenesisType, payload, key)})
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	if r := f.begun(g.Log, entry(f.child.root)); r != nil {
		t.Fatal(r)
	}
	if f.begun(g.Log, entry(newKey(t))) == nil {
		return errors.New("a log may begin whose genesis the node has not signed")
	}
	return nil
}

func helloAlone(t *testing.T, left registry.Rule) error {
	f := leftFamily(t, left)
	before := f.child.LogID()
	f.fork(nil, oneRow(t, 2, "upper"), oneRow(t, 3, "own"))
	f.resolve()
	f.grants = 0
	f.join()
	if c, _ := f.parent.CopyOf(f.child.root.Public()); c == nil {
		return errors.New("the copy is gone with the Hello")
	}
	if found := f.mirrored(serial(1)); found.Record == nil || found.Log != before {
		return errors.New("a log counts with the Hello alone")
	}
	return nil
}

// forkedWithRow is a family whose child has logged a row of a child of its own, and whose log
// has forked then and is resolved; the child and the parent each leave out a rule.
func forkedWithRow(t *testing.T, child, parent registry.Rule) *family {
	f := leftFamily(t, parent)
	below := newNode(t)
	logRowOf(t, f.child, below)
	f.fork(nil, oneRow(t, 2, "upper"), oneRow(t, 3, "own"))
	registry.LeaveOut(&f.child.config, child)
	f.resolve()
	f.grants = 0
	f.join()
	f.send()
	return f
}

func rowsRepeated(t *testing.T, left registry.Rule) error {
	f := forkedWithRow(t, left, 0)
	if list := f.parent.Mirrors(); !list[1].Counts {
		return errors.New("the log does not count, because it does not repeat a row")
	}
	return nil
}

func rowsForgotten(t *testing.T, left registry.Rule) error {
	f := forkedWithRow(t, registry.RuleNewest, left)
	if list := f.parent.Mirrors(); list[1].Counts {
		return errors.New("a log counts that forgets a row")
	}
	return nil
}

// resolveWith resolves a fork with two changes that collide, at a child that leaves out a rule.
func resolveWith(t *testing.T, left registry.Rule) (*family, []registry.Handed) {
	f := newFamily(t)
	f.fork(nil, oneRow(t, 1, "upper"), oneRow(t, 1, "own"))
	registry.LeaveOut(&f.child.config, left)
	_, handed := f.resolve()
	return f, handed
}

func upperFirst(t *testing.T, left registry.Rule) error {
	f, _ := resolveWith(t, left)
	if got := string(f.child.record(serial(1)).Values[0].Data); got != "https://maker.example/upper" {
		return fmt.Errorf("of two that collide %s is there, on which nobody else has relied", got)
	}
	return nil
}

func collisionHanded(t *testing.T, left registry.Rule) error {
	if _, handed := resolveWith(t, left); !slices.ContainsFunc(handed, func(h registry.Handed) bool { return h.Collides }) {
		return errors.New("what collides is dropped without a word")
	}
	return nil
}

func handedBefore(t *testing.T, left registry.Rule) error {
	f := newFamily(t)
	f.fork(nil, oneRow(t, 1, "upper"), oneRow(t, 1, "own"))
	registry.LeaveOut(&f.child.config, left)
	f.child.mustStop()
	_, _ = f.child.config.Resolve(t.Context(), upper{parent: f.parent, key: f.child.root.Public()}, "", func(h *registry.Handed) error {
		if h == nil {
			return errors.New("the disk is full")
		}
		return nil
	})
	f.child.start()
	if f.child.status().Quarantine == nil {
		return errors.New("the log is another one, and what was handed over is nowhere")
	}
	return nil
}

// The log was continued, the parent has not heard of that, and the folder is restored.
func olderLog(t *testing.T, left registry.Rule) error {
	f := newFamily(t)
	f.fork(nil, oneRow(t, 1, "upper"), oneRow(t, 2, "own"))
	f.resolve()
	f.child.mustStop()
	if err := os.WriteFile(filepath.Join(f.child.config.Folder, "RESTORED"), []byte("restored from a backup\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	registry.LeaveOut(&f.child.config, left)
	f.child.start()
	held, err := upper{parent: f.parent, key: f.child.root.Public()}.Mirrored(t.Context(), 0)
	if err != nil || !f.child.Lacks() {
		t.Fatal(f.child.Lacks(), err)
	}
	if f.child.Adopts(held) {
		return errors.New("the node adopts the log that its own one continues")
	}
	return nil
}
