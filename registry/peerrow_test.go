package registry_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/nameplate-id/nameplate/registry"
	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/journal"
)

// A top-level node was restored to a time before it logged a row of its child, and goes on with
// another log. One that was away alone has that row: it goes over to the log all the same, as
// soon as nothing more is repeated in it, and not before.
func TestRowThatOnePeerAloneHas(t *testing.T) {
	t.Parallel()
	n, below := newNode(t), newNode(t)
	n.mustStop()
	old := filepath.Join(t.TempDir(), "old")
	if err := os.CopyFS(old, os.DirFS(n.config.Folder)); err != nil {
		t.Fatal(err)
	}
	n.start()
	logRowOf(t, n, below)
	w := openNode(t, registry.Config{Folder: t.TempDir(), Peers: []identifier.PublicKey{n.root.Public()}})
	send := func(from, to uint64) {
		t.Helper()
		m, err := w.Mirror(t.Context(), n.LogID(), n.root.Public(), n.root.Public(), 0)
		if err != nil {
			t.Fatal(err)
		}
		copyLog(t, m, n.Source(), from, to, 1)
	}
	send(0, n.status().Position)

	n.mustStop()
	n.config.Folder = old
	if _, err := n.config.Resolve(t.Context(), nil, "", func(*registry.Handed) error { return nil }); err != nil {
		t.Fatal(err)
	}
	n.start()
	send(0, 1)
	if w.Mirrors()[1].Counts {
		t.Error("the log counts with its genesis alone, before any row could have been repeated")
	}
	w.restart()
	send(1, n.status().Position)
	for range 2 {
		if m := w.Mirrors()[1]; !m.Counts || m.Bad > 0 {
			t.Errorf("the log does not count, of which there is all: %+v", m)
		}
		w.restart()
	}
	w.check()
}

// logRowOf lets a node log how much another one has.
func logRowOf(t *testing.T, n, below *node) {
	t.Helper()
	size, _ := below.Source().Growth()
	note, root, err := below.Source().SignCheckpoint(size)
	if err != nil {
		t.Fatal(err)
	}
	row := identifier.ChildRow{Log: below.LogID(), Node: below.root.Public(), Size: size, Root: root}
	if row.Signature, err = journal.CheckpointSignature(note, row.Log, row.Node); err != nil {
		t.Fatal(err)
	}
	if err := registry.LogChildren(t.Context(), n.Registry, []identifier.ChildRow{row}); err != nil {
		t.Fatal(err)
	}
}
