package registry_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nameplate-id/nameplate/registry"
	"github.com/nameplate-id/nameplate/registry/identifier"
)

// A child that has lost its disk, but for its key, gets its own log back.
func TestAdoptOwnLog(t *testing.T) {
	t.Parallel()
	f := newFamily(t)
	for i := range 9 {
		f.child.mustRegister(signed(t, f.holder, f.delegation, put(mustID(t, serial(i)), nil, link("https://maker.example/n"))))
	}
	f.send()
	log, size := f.child.LogID(), f.size
	key, err := os.ReadFile(filepath.Join(f.child.config.Folder, "node.key"))
	if err != nil {
		t.Fatal(err)
	}
	f.child.mustStop()
	f.child.config.Folder = t.TempDir()
	if err := os.WriteFile(filepath.Join(f.child.config.Folder, "node.key"), key, 0o600); err != nil {
		t.Fatal(err)
	}
	f.child.start()
	held, err := upper{parent: f.parent, key: f.child.root.Public()}.Mirrored(t.Context(), 0)
	if err != nil || !f.child.Lacks() || !f.child.Adopts(held) || f.child.LogID() == log {
		t.Fatalf("%+v, %v: lacks %v, adopts %v", held, err, f.child.Lacks(), f.child.Adopts(held))
	}
	f.child.mustStop()
	if err := f.child.config.Adopt(t.Context(), upper{parent: f.parent, key: f.child.root.Public()}); err != nil {
		t.Fatal(err)
	}
	f.child.start()
	if f.child.LogID() != log || !strings.Contains(f.child.ReadOnly(), "restored from what is held above") {
		t.Fatalf("log %s, read-only %q", f.child.LogID(), f.child.ReadOnly())
	}
	for next := f.child.status().Position; next < size; next = f.child.status().Position {
		u, err := f.mirror.Unit(next)
		if err != nil {
			t.Fatal(err)
		}
		u.Root, err = f.mirror.Root(u.End())
		if err != nil {
			t.Fatal(err)
		}
		if u.Start < next {
			t.Fatalf("unit at %d, want %d", u.Start, next)
		}
		if err := f.child.Source().TakeBack(t.Context(), u); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := f.child.Source().Heal(); err != nil {
		t.Fatal(err)
	}
	f.child.record(serial(8))
	f.child.mustRegister(signed(t, f.holder, f.delegation, put(mustID(t, serial(9)), nil, link("https://maker.example/n"))))
	f.child.check()
}

// A log is continued twice while another top-level node is away, which mirrors it too: that
// one has never heard of the log in between, and the newest counts there all the same.
func TestSuccessionWithoutTheLogBetween(t *testing.T) {
	t.Parallel()
	f := newFamily(t)
	row := func(i int, text string) [][]identifier.Row {
		return [][]identifier.Row{{put(mustID(t, serial(i)), nil, link("https://maker.example/"+text))}}
	}
	w := openNode(t, registry.Config{Folder: t.TempDir(), Peers: []identifier.PublicKey{f.parent.root.Public()}})
	var own uint64
	relay := func() *registry.Mirror {
		parent := f.parent.root.Public()
		m, err := w.Mirror(t.Context(), f.parent.LogID(), parent, parent, 0)
		if err != nil {
			t.Fatal(err)
		}
		tip, _ := f.parent.Source().Growth()
		own = copyLog(t, m, f.parent.Source(), own, tip, 100)
		if m, err = w.Mirror(t.Context(), f.child.LogID(), f.child.root.Public(), parent, 0); err != nil {
			t.Fatal(err)
		}
		return m
	}
	copyLog(t, relay(), f.child.Source(), 0, f.child.status().Position, 100)
	next := func(upper, own int) {
		f.fork(nil, row(upper, "upper"), row(own, "own"))
		f.resolve()
		f.grants = 0
		f.join()
		f.send()
	}
	next(1, 2)
	next(3, 4)
	m := relay()
	payloads, err := f.child.Source().Entries(0, 1, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	if r := m.Begins(payloads[0]); r != nil {
		t.Fatal(r)
	}
	copyLog(t, m, f.child.Source(), 0, f.child.status().Position, 100)
	for round := range 2 {
		c, _ := w.CopyOf(f.child.root.Public())
		for i := 1; i <= 4; i++ {
			if found, err := c.Find(t.Context(), mustID(t, serial(i))); err != nil || found.Record == nil || found.Log != f.child.LogID() {
				t.Errorf("round %d: %s is %+v, %v", round, serial(i), found, err)
			}
		}
		w.restart()
	}
	w.check()
}

// A node whose parent holds another log of it begins again to adopt that, but not when it
// has asked already and there was nothing to adopt: it would do so for ever.
func TestAgainOnlyWhileItMayHelp(t *testing.T) {
	t.Parallel()
	for _, settled := range []bool{false, true} {
		r, err := registry.Open(registry.Config{Folder: t.TempDir(), Parent: newKey(t).Public()})
		if err != nil {
			t.Fatal(err)
		}
		if settled {
			r.Settle()
		}
		time.Sleep(2100 * time.Millisecond) // it does not do so more often
		if again := r.Source().Again(); again == settled {
			t.Errorf("asked before: %v, begins again: %v", settled, again)
		}
		if !settled {
			if err := r.Run(t.Context()); !errors.Is(err, registry.ErrAgain) {
				t.Error(err)
			}
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
}

// A restored node that is told what it lacks, and ends before it has that, is a restored one
// at its next start: it may adopt a log that came after its own. When it has healed it is
// one that has written since, and may not.
func TestMarkedStaysRestored(t *testing.T) {
	t.Parallel()
	f := newFamily(t)
	f.child.mustRegister(signed(t, f.holder, f.delegation, put(mustID(t, "88.118/a"), nil, link("https://maker.example/a"))))
	f.child.mustStop()
	if err := os.WriteFile(filepath.Join(f.child.config.Folder, "RESTORED"), []byte("restored from a backup\n"), 0o640); err != nil {
		t.Fatal(err)
	}
	f.child.start()
	if err := f.child.Source().Mark(t.Context(), "its log was continued as another one"); err != nil {
		t.Fatal(err)
	}
	f.child.mustStop()
	f.child.start()
	if !f.child.Lacks() {
		t.Error("after it was marked and started again, it is not known to be restored")
	}
	if healed, err := f.child.Source().Heal(); err != nil || !healed {
		t.Fatal(healed, err)
	}
	if err := f.child.Source().Mark(t.Context(), "its log was continued as another one"); err != nil {
		t.Fatal(err)
	}
	if f.child.Lacks() {
		t.Error("it has healed and written, and would put its log aside")
	}
}
