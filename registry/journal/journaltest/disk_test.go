package journaltest_test

import (
	"errors"
	"io/fs"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/nameplate-id/nameplate/registry/journal"
	"github.com/nameplate-id/nameplate/registry/journal/journaltest"
)

func must(t *testing.T, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

func write(t *testing.T, f journal.File, text string, at int64) {
	t.Helper()
	_, err := f.WriteAt([]byte(text), at)
	must(t, err)
}

// TestCrashForgets checks that only what was synced outlives a power cut, and that
// a restart of the process alone loses nothing.
func TestCrashForgets(t *testing.T) {
	d := journaltest.NewDisk()
	f, err := d.Create("d/a")
	must(t, err)
	write(t, f, "synced", 0)
	must(t, f.Sync())
	if got := d.Crash(nil).Content("d/a"); got != nil {
		t.Errorf("a file whose name was not synced outlived the crash: %q", got)
	}

	d = journaltest.NewDisk()
	f, err = d.Create("d/a")
	must(t, err)
	write(t, f, "synced", 0)
	must(t, f.Sync(), d.SyncDir("d"))
	write(t, f, "SYN", 0)
	must(t, d.Rename("d/a", "d/b"))
	if got := string(d.Content("d/b")); got != "SYNced" {
		t.Errorf("programs see %q", got)
	}
	restarted := d.Restart()
	if got := string(restarted.Content("d/b")); got != "SYNced" {
		t.Errorf("after a restart programs see %q", got)
	}
	crashed := restarted.Crash(nil)
	if got := string(crashed.Content("d/a")); got != "synced" || crashed.Content("d/b") != nil {
		t.Errorf("after a crash there is %q under the old name", got)
	}
	if _, err := f.WriteAt([]byte("x"), 0); !errors.Is(err, journaltest.ErrHalted) {
		t.Errorf("a write to the old disk: got %v", err)
	}
}

// TestCrashTears keeps the second of three sectors.
func TestCrashTears(t *testing.T) {
	d := journaltest.NewDisk()
	f, err := d.Create("a")
	must(t, err)
	must(t, f.Allocate(0, 3*journaltest.Sector), f.Sync(), d.SyncDir("."))
	octets := make([]byte, 3*journaltest.Sector)
	for i := range octets {
		octets[i] = 1
	}
	_, err = f.WriteAt(octets, 0)
	must(t, err)
	n := 0
	got := d.Crash(func() bool { n++; return n == 2 }).Content("a")
	if n != 3 || got[0] != 0 || got[journaltest.Sector] != 1 || got[2*journaltest.Sector] != 0 {
		t.Errorf("asked %d times; the sectors begin with %d %d %d, want 0 1 0", n, got[0], got[journaltest.Sector], got[2*journaltest.Sector])
	}
}

// TestFaults lets every operation fail once.
func TestFaults(t *testing.T) {
	d := journaltest.NewDisk()
	f, err := d.Create("a")
	must(t, err, d.SyncDir("."))
	write(t, f, "before", 0)
	must(t, f.Sync())

	d.FailSync(2, nil)
	must(t, f.Sync())
	write(t, f, "AFTER!", 0)
	if err := f.Sync(); !errors.Is(err, journaltest.ErrFault) {
		t.Errorf("second sync: got %v", err)
	}
	must(t, f.Sync())
	if seen, kept := string(d.Content("a")), string(d.Restart().Crash(nil).Content("a")); seen != "AFTER!" || kept != "before" {
		t.Errorf("after a sync that failed and one that did not, programs see %q and a crash leaves %q", seen, kept)
	}

	d = journaltest.NewDisk()
	f, err = d.Create("a")
	must(t, err)
	d.FailWrite(1)
	if n, err := f.WriteAt([]byte("half"), 0); n != 2 || !errors.Is(err, journaltest.ErrFault) || string(d.Content("a")) != "ha" {
		t.Errorf("a failing write wrote %d octets, error %v", n, err)
	}
	d.FailSyncDir(1)
	if err := d.SyncDir("."); !errors.Is(err, journaltest.ErrFault) {
		t.Errorf("SyncDir: got %v", err)
	}
	d.SetFree(10)
	if err := f.Allocate(0, 20); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("Allocate: got %v", err)
	}
	must(t, f.Allocate(0, 10))
	if _, err := d.Create("a"); !errors.Is(err, fs.ErrExist) {
		t.Errorf("Create: got %v", err)
	}
	if _, err := d.Open("b"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Open: got %v", err)
	}
	must(t, d.Remove("a"))
	g, err := d.Create("b")
	must(t, err, g.Allocate(0, 12))
	d.Halt(2)
	write(t, g, "x", 0)
	if _, err := g.WriteAt([]byte("y"), 0); !errors.Is(err, journaltest.ErrHalted) {
		t.Errorf("the second operation: got %v", err)
	}
}

// TestWriteBack reads through the cache, and looks at the file beside it.
func TestWriteBack(t *testing.T) {
	var w journaltest.WriteBack
	name := filepath.Join(t.TempDir(), "a")
	f, err := w.Create(name)
	must(t, err)
	defer f.Close()
	must(t, f.Allocate(0, 4096))
	write(t, f, "across the sectors", journaltest.Sector-4)
	read := func(fsys journal.FS) string {
		g, err := fsys.Open(name)
		must(t, err)
		defer g.Close()
		b := make([]byte, 18)
		_, err = g.ReadAt(b, journaltest.Sector-4)
		must(t, err)
		return string(b)
	}
	if got := read(&w); got != "across the sectors" {
		t.Errorf("through the cache: got %q", got)
	}
	if got := read(journal.Disk{}); got != string(make([]byte, 18)) {
		t.Errorf("beside the cache: got %q before Sync", got)
	}
	must(t, f.Sync())
	if got := read(journal.Disk{}); got != "across the sectors" {
		t.Errorf("beside the cache: got %q after Sync", got)
	}
	if size, err := f.Size(); err != nil || size != 4096 {
		t.Errorf("the file has %d octets, error %v", size, err)
	}
}
