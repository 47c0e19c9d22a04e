package registry_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/nameplate-id/nameplate/registry"
	"github.com/nameplate-id/nameplate/registry/backup"
	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/journal"
	"github.com/nameplate-id/nameplate/registry/replica"
)

// anchoredFamily is a family whose parent has an anchor file and logs rows often.
func anchoredFamily(t *testing.T) *family {
	t.Helper()
	f := &family{holder: newKey(t)}
	// In the folder itself, where a backup could find it.
	folder := t.TempDir()
	f.parent = openNode(t, registry.Config{Folder: folder, Anchor: filepath.Join(folder, "anchor"), CheckpointEvery: 10 * time.Millisecond})
	f.child = openNode(t, registry.Config{Folder: t.TempDir(), Parent: f.parent.root.Public()})
	f.delegation = grant("88.118", f.holder)
	f.delegation.Node = &identifier.Node{
		Name: "child", Key: f.child.root.Public(), Addresses: []identifier.Address{{IP: "127.0.0.1", GRPC: 2640}},
	}
	f.parent.mustDelegate(f.delegation, f.parent.root)
	f.join()
	return f
}

// receipt waits for the child's receipt for so many entries.
func (f *family) receipt(size uint64) *replica.Receipt {
	t := f.parent.t
	t.Helper()
	late := time.After(20 * time.Second)
	for {
		a, more := f.mirror.Anchoring()
		if a.AnchoredSize == size {
			return a.Anchored
		}
		select {
		case <-more:
		case <-late:
			t.Fatalf("no receipt for %d entries, but for %d", size, a.AnchoredSize)
		}
	}
}

func TestReceiptRaisesTheLevel(t *testing.T) {
	f := anchoredFamily(t)
	first := f.child.mustRegister(signed(t, f.holder, f.delegation, put(mustID(t, "88.118/sn-1"), nil, link("https://maker.example/1"))))
	if first.Level != registry.Local {
		t.Errorf("got level %v before anybody has heard of it", first.Level)
	}
	f.send()
	r := f.receipt(f.size)
	if err := f.child.Source().AcceptReceipt(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if got := f.child.LevelOf(first.Position); got != registry.Rooted {
			t.Errorf("got level %v; want it rooted: the parent is a top-level node", got)
		}
		got, size := f.child.ReceiptFor(first.Position, registry.Rooted)
		if size != f.size || got == nil || string(got.Note) != string(r.Note) {
			t.Errorf("got a receipt for %d entries; want one for %d", size, f.size)
		}
		if got, _ := f.child.ReceiptFor(f.size, registry.Anchored); got != nil {
			t.Error("there is a receipt for an entry that is not there")
		}
		f.child.restart()
	}
	// Another checkpoint, or one that another node cosigned, raises nothing.
	forged := *r
	forged.Cosigner = f.child.root.Public()
	if err := f.child.Source().AcceptReceipt(t.Context(), &forged); err == nil {
		t.Error("a receipt that is not cosigned is taken")
	}
	f.child.check()
	// The parent cosigns the same again after a start, from what is in its log.
	f.parent.restart()
	f.join()
	if again := f.receipt(f.size); again.Cosigner != f.parent.root.Public() {
		t.Errorf("got a receipt by %s", again.Cosigner)
	}
	before := f.parent.status().Position
	time.Sleep(100 * time.Millisecond)
	if now := f.parent.status().Position; now != before {
		t.Errorf("the log grows from %d to %d entries while the child's does not", before, now)
	}
	f.parent.check()
}

// No anchor is ever part of a backup, wherever it lies.
func TestBackupHasNoAnchor(t *testing.T) {
	f := anchoredFamily(t)
	f.send()
	f.receipt(f.size)
	note, err := os.ReadFile(f.parent.config.Anchor)
	if err != nil {
		t.Fatal(err)
	}
	to := t.TempDir()
	if _, err := backup.Make(t.Context(), f.parent.config, to, true); err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir(to, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if d.Name() == "anchor" || string(text) == string(note) {
			t.Errorf("%s is the anchor", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A mirror marks rows of children that break a rule, keeps those before, and goes on.
func TestMirrorJudgesRows(t *testing.T) {
	f := newFamily(t)
	below, key := identifier.LogID{7}, newKey(t)
	row := func(size uint64, root byte, by identifier.PrivateKey) identifier.ChildRow {
		r := identifier.ChildRow{Log: below, Node: key.Public(), Size: size, Root: identifier.Hash{root}}
		note, err := journal.SignCheckpoint(r.Size, r.Root, r.Log, by)
		if err != nil {
			t.Fatal(err)
		}
		if r.Signature, err = journal.CheckpointSignature(note, r.Log, by.Public()); err != nil {
			t.Fatal(err)
		}
		return r
	}
	bad := uint64(0)
	for _, c := range []struct {
		name string
		row  identifier.ChildRow
		bad  bool
	}{
		{"the first", row(5, 1, key), false},
		{"the same again", row(5, 1, key), false},
		{"another root", row(5, 2, key), true},
		{"fewer entries", row(4, 1, key), true},
		{"by another key", row(6, 1, newKey(t)), true},
		{"more entries", row(9, 1, key), false},
		{"fewer than the newest", row(8, 1, key), true},
	} {
		if err := registry.LogChildren(t.Context(), f.child.Registry, []identifier.ChildRow{c.row}); err != nil {
			t.Fatal(err)
		}
		f.send()
		if c.bad {
			bad++
		}
		if got := f.parent.Mirrors()[0].Bad; got != bad {
			t.Errorf("%s: %d entries are marked, want %d", c.name, got, bad)
			bad = got
		}
	}
	// The same when several come in one unit, and when the journal is read again.
	f.parent.restart()
	if got := f.parent.Mirrors()[0].Bad; got != bad {
		t.Errorf("after a start %d entries are marked, want %d", got, bad)
	}
	f.parent.check()
}

// Which of the delegations of a prefix counts does not depend on the order in which the
// logs are looked at, nor on how often.
func TestMergedDelegationIsAFunctionOfTheLogs(t *testing.T) {
	keys := []identifier.PrivateKey{newKey(t), newKey(t), newKey(t)}
	rapid.Check(t, func(t *rapid.T) {
		var logs []*identifier.Delegation
		for range rapid.IntRange(1, 8).Draw(t, "delegations") {
			d := grant("88", keys[rapid.IntRange(0, 2).Draw(t, "key")])
			d.Epoch, d.Keyset.Version = rapid.Uint64Range(1, 2).Draw(t, "epoch"), rapid.Uint64Range(1, 2).Draw(t, "version")
			logs = append(logs, d)
		}
		merged := func(list []*identifier.Delegation) *identifier.Delegation {
			var best *identifier.Delegation
			for _, d := range list {
				if registry.Counts(d, best) {
					best = d
				}
			}
			return best
		}
		encoded := func(d *identifier.Delegation) string {
			b, err := identifier.AppendDelegation(nil, d)
			if err != nil {
				t.Fatal(err)
			}
			return string(b)
		}
		want := encoded(merged(logs))
		shuffled := rapid.Permutation(slices.Concat(logs, logs)).Draw(t, "order")
		if encoded(merged(shuffled)) != want {
			t.Fatal("another order gives another delegation")
		}
	})
}
