package registry_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nameplate-id/nameplate/registry"
	"github.com/nameplate-id/nameplate/registry/backup"
	"github.com/nameplate-id/nameplate/registry/journal"
)

// A node that runs is backed up, and what is restored of it takes no changes and signs
// nothing until somebody says that nothing came after.
func TestBackupRestore(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	holder, d := maker(t, n)
	n.mustRegister(signed(t, holder, d, put(mustID(t, serial(1)), nil, link("https://maker.example/1"))))
	n.check()
	n.start()
	to, restored := filepath.Join(t.TempDir(), "backup"), filepath.Join(t.TempDir(), "restored")
	m, err := backup.Make(t.Context(), n.config, to, true)
	if err != nil {
		t.Fatal(err)
	}
	if m.Entries != 4 || !m.HoldsKey || m.NodeKey != n.root.Public() {
		t.Errorf("manifest %+v", m)
	}
	if _, err := backup.Make(t.Context(), n.config, to, true); err == nil {
		t.Error("a backup over a backup: no error")
	}
	if _, err := backup.Restore(t.Context(), registry.Config{Folder: restored}, to, ""); err != nil {
		t.Fatal(err)
	}
	var points counter
	again := openNode(t, registry.Config{Folder: restored, Hook: points.hook})
	change := signed(t, holder, d, put(mustID(t, serial(2)), nil, link("https://maker.example/2")))
	for range 2 {
		again.record(serial(1))
		_, err = again.Register(t.Context(), change)
		wantKind(t, err, registry.ReadOnly)
		_, err = again.delegate(grant("99", holder), n.root)
		wantKind(t, err, registry.ReadOnly)
		if s := again.status(); !strings.Contains(s.ReadOnly, "restored from a backup") {
			t.Errorf("status %+v", s)
		}
		if err := again.Healthy(t.Context()); err != nil {
			t.Errorf("a node that takes no changes still answers: %v", err)
		}
		again.restart()
	}
	again.mustStop()
	if points.of(registry.HookSigned) != 0 {
		t.Error("a restored node signed a checkpoint")
	}
	if err := registry.AcceptRestored(restored); err != nil {
		t.Fatal(err)
	}
	if err := registry.AcceptRestored(restored); err == nil {
		t.Error("accepted twice")
	}
	again.start()
	again.mustRegister(change)
	again.check()
}

func TestRestoreThatWasInterrupted(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "RESTORED"), []byte("restored\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := registry.Open(registry.Config{Folder: folder}); err == nil || !strings.Contains(err.Error(), "not restored to the end") {
			t.Errorf("open: %v", err)
		}
	}
}

// anchored returns a closed node with an anchor, and the configuration of a copy of its
// folder as it was when its log had five entries, and no checkpoint over them. Its own
// log has eight.
func anchored(t *testing.T) (n *node, old registry.Config) {
	t.Helper()
	n = openNode(t, registry.Config{Folder: t.TempDir(), Anchor: filepath.Join(t.TempDir(), "anchor"), CheckpointEvery: time.Hour})
	holder, d := maker(t, n)
	fill(t, n, holder, d, 0, 2)
	n.status()
	old = n.config
	old.Folder = filepath.Join(t.TempDir(), "old")
	if err := os.CopyFS(old.Folder, os.DirFS(n.config.Folder)); err != nil {
		t.Fatal(err)
	}
	fill(t, n, holder, d, 2, 5)
	n.mustStop()
	return n, old
}

func anchoredSize(t *testing.T, n *node) uint64 {
	t.Helper()
	note, err := os.ReadFile(n.config.Anchor)
	if err != nil {
		t.Fatal(err)
	}
	size, _, err := journal.VerifyCheckpoint(note, n.LogID(), n.Key())
	if err != nil {
		t.Fatal(err)
	}
	return size
}

// A folder put back to an older state of itself is noticed, and cannot make the
// anchor forget what came after.
func TestAnchor(t *testing.T) {
	t.Parallel()
	n, old := anchored(t)
	if got := anchoredSize(t, n); got != 8 {
		t.Fatalf("the anchor has %d entries, want 8", got)
	}
	back := openNode(t, old)
	for range 2 {
		_, err := back.delegate(grant("99", newKey(t)), back.root)
		if e := wantKind(t, err, registry.ReadOnly); !strings.Contains(e.Detail, "the log had 8 entries, this folder holds 5") {
			t.Errorf("refused: %v", e)
		}
		back.record(serial(1))
		if err := registry.SignCheckpoint(t.Context(), back.Registry); err != nil {
			t.Error(err)
		}
		back.restart()
		if got := anchoredSize(t, n); got != 8 {
			t.Fatalf("the anchor has %d entries now", got)
		}
	}
	back.mustStop()

	// The log itself is what the anchor says.
	n.start()
	n.mustDelegate(grant("99", newKey(t)), n.root)
	n.mustStop()
	if got := anchoredSize(t, n); got != 9 {
		t.Errorf("the anchor has %d entries, want 9", got)
	}

	// Restored whole, it takes changes as soon as the anchor agrees.
	if err := os.WriteFile(filepath.Join(n.config.Folder, "RESTORED"), []byte("restored\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	n.start()
	n.mustDelegate(grant("98", newKey(t)), n.root)
	n.mustStop()
	if _, err := os.Stat(filepath.Join(n.config.Folder, "RESTORED")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the marker: %v", err)
	}
}

// A log that went another way than the anchor says is not added to.
func TestAnchorOfAnotherHistory(t *testing.T) {
	t.Parallel()
	n, old := anchored(t)
	astray := old
	astray.Anchor = ""
	other := openNode(t, astray)
	for _, prefix := range []string{"91", "92", "93", "94"} {
		p := mustID(t, prefix).Prefix
		other.mustDelegate(grant(p, newKey(t)), other.root)
	}
	other.mustStop()
	back := openNode(t, old)
	_, err := back.delegate(grant("99", newKey(t)), back.root)
	if e := wantKind(t, err, registry.ReadOnly); !strings.Contains(e.Detail, "rewritten") {
		t.Errorf("refused: %v", e)
	}
	back.mustStop()
	if got := anchoredSize(t, n); got != 8 {
		t.Errorf("the anchor has %d entries now", got)
	}
}

func TestAnchorThatCannotBeRead(t *testing.T) {
	t.Parallel()
	n, _ := anchored(t)
	stranger := newNode(t)
	stranger.mustStop()
	strange := stranger.config
	strange.Anchor = n.config.Anchor
	if _, err := registry.Open(strange); err == nil || !strings.Contains(err.Error(), "is not one of this log") {
		t.Errorf("another log's anchor: %v", err)
	}
	rewrite(t, n.config.Anchor, func(b []byte) []byte { return b[:len(b)-9] })
	if _, err := registry.Open(n.config); err == nil || !strings.Contains(err.Error(), "anchor") {
		t.Errorf("an anchor that was cut: %v", err)
	}
}

// An anchor that cannot be written is no reason to stop; the next one may do.
func TestAnchorThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(t.TempDir(), "volume")
	n := openNode(t, registry.Config{Folder: t.TempDir(), Anchor: filepath.Join(folder, "anchor")})
	if err := registry.SignCheckpoint(t.Context(), n.Registry); err == nil {
		t.Error("no error")
	}
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	maker(t, n)
	n.mustStop()
	if got := anchoredSize(t, n); got != 3 {
		t.Errorf("the anchor has %d entries, want 3", got)
	}
}

// A copy of a folder is noticed, also where the file system gives its files the numbers of
// those that were there before: the node asks its parent before it takes changes. The
// folder itself goes on.
func TestCopiedFolder(t *testing.T) {
	t.Parallel()
	f := newFamily(t)
	change := signed(t, f.holder, f.delegation, put(mustID(t, serial(1)), nil, link("https://maker.example/1")))
	f.child.restart()
	f.child.mustRegister(change)
	folder, copied := f.child.config.Folder, filepath.Join(t.TempDir(), "copy")
	for range 20 {
		f.child.mustStop()
		if err := os.CopyFS(copied, os.DirFS(folder)); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(os.RemoveAll(folder), os.CopyFS(folder, os.DirFS(copied)), os.RemoveAll(copied)); err != nil {
			t.Fatal(err)
		}
		f.child.start()
		if why := f.child.ReadOnly(); !strings.Contains(why, "is a copy") {
			t.Fatalf("a copy is taken for the original: %q", why)
		}
		if healed, err := f.child.Source().Heal(); err != nil || !healed {
			t.Fatal(healed, err)
		}
		f.child.restart()
		f.child.mustRegister(change)
	}
}

// A backup of a log that had nothing but its beginning is restored: who opens it without
// knowing that there is a parent writes nothing into it.
func TestRestoreOfABeginning(t *testing.T) {
	t.Parallel()
	n := openNode(t, registry.Config{Folder: t.TempDir(), Parent: newKey(t).Public()})
	n.mustStop()
	to, restored := filepath.Join(t.TempDir(), "backup"), filepath.Join(t.TempDir(), "restored")
	if m, err := backup.Make(t.Context(), n.config, to, true); err != nil || m.Entries != 1 {
		t.Fatal(m, err)
	}
	if _, err := backup.Restore(t.Context(), registry.Config{Folder: restored}, to, ""); err != nil {
		t.Fatal(err)
	}
	again := openNode(t, registry.Config{Folder: restored, Parent: n.config.Parent})
	if s := again.status(); s.Position != 1 || s.ReadOnly == "" {
		t.Errorf("the restored log has %d entries, want 1; read-only %q", s.Position, s.ReadOnly)
	}
}

// Who only reads the folder of a node with a parent adds nothing to its log: what a node
// without one begins with would stand where the parent's grant is to come.
func TestReadingABeginning(t *testing.T) {
	t.Parallel()
	n := openNode(t, registry.Config{Folder: t.TempDir(), Parent: newKey(t).Public()})
	n.mustStop()
	r, err := registry.Open(registry.Config{Folder: n.config.Folder, Bare: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if s := openNode(t, n.config).status(); s.Position != 1 {
		t.Errorf("the log has %d entries, want 1", s.Position)
	}
}
