package registry_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nameplate-id/nameplate/registry"
	"github.com/nameplate-id/nameplate/registry/journal"
)

var cutKills = flag.Int("cutkills", 2, "how often TestCutKilled kills a node at each point")

// cutPoints are where a node is killed that cuts a mirror, and the passings until then: what
// is kept of it are two units.
var cutPoints = []struct {
	point    string
	passings int
}{
	{registry.HookCut, 1},
	{registry.HookNumber, 1},
	{registry.HookCutUnit, 2},
	{journal.HookWrite, 2},
	{journal.HookSynced, 2},
	{registry.HookHeal, 1},
	{registry.HookHealed, 1},
}

// uncut is a family whose parent, restored, is about to cut the mirror of its child: what the
// folder holds then, and the child's log of today.
type uncut struct {
	*aged
	folder string // of the parent, with nothing but journal, key and mark
}

func newUncut(t *testing.T) *uncut {
	t.Helper()
	f := &uncut{folder: filepath.Join(t.TempDir(), "uncut")}
	f.aged = newAged(t, func(c *registry.Config) {
		from := c.Folder
		c.Hook = func(point string) {
			if _, err := os.Stat(f.folder); point != registry.HookCut || err == nil {
				return
			}
			if err := keepJournal(f.folder, from); err != nil {
				t.Error(err)
			}
		}
	}, false, 3, behind{"b", 2}, true)
	f.parent.mustStop()
	f.parent.config.Hook = nil
	return f
}

// keepJournal copies what a crash would leave of a folder whose state is lost.
func keepJournal(to, from string) error {
	err := os.CopyFS(filepath.Join(to, "journal"), os.DirFS(filepath.Join(from, "journal")))
	for _, name := range []string{"node.key", "RESTORED"} {
		err = errors.Join(err, copyFile(filepath.Join(to, name), filepath.Join(from, name)))
	}
	return err
}

// killAt heals a copy of the folder in a process that is killed at a point, and lets the
// parent go on with what is left.
func (f *uncut) killAt(point string, n int, ignoreSync bool) error {
	t := f.parent.t
	v := victim{Folder: filepath.Join(t.TempDir(), "node"), SegmentSize: 1 << 20, Heal: true, Point: point, N: n, IgnoreSync: ignoreSync}
	if err := os.CopyFS(v.Folder, os.DirFS(f.folder)); err != nil {
		return err
	}
	order, err := json.Marshal(v)
	if err != nil {
		return err
	}
	notes, err := os.CreateTemp(t.TempDir(), "notes")
	if err != nil {
		return err
	}
	defer notes.Close()
	process := exec.Command(os.Args[0], "-test.run=^$")
	process.Env = append(os.Environ(), victimVariable+"="+string(order))
	process.ExtraFiles = []*os.File{notes}
	var said bytes.Buffer
	process.Stderr = &said
	if err := process.Run(); err == nil || err.Error() != "signal: killed" {
		return fmt.Errorf("the process ended by itself: %v: %s", err, said.String())
	}
	if ignoreSync {
		// What is derived has outlived what it derives from, and would say so.
		if err := os.RemoveAll(filepath.Join(v.Folder, "state.db")); err != nil {
			return err
		}
	}
	f.parent.config.Folder = v.Folder
	return nil
}

// goesOn lets the parent start, heal where it is marked still, and take in the child's log.
func (f *uncut) goesOn() error {
	f.parent.start()
	defer f.parent.mustStop()
	if f.parent.ReadOnly() != "" {
		f.unmark(f.parent)
	}
	return errors.Join(f.goOn(), f.whole())
}

// A node that is killed while it cuts a mirror, with a journal that loses what was not synced,
// is marked still and cuts it again, or has cut it: the child's log is whole then, and no
// history is taken for a fork.
func TestCutKilled(t *testing.T) {
	t.Parallel()
	f := newUncut(t)
	killed := 0
	for i := range *cutKills {
		for _, p := range cutPoints {
			if err := f.killAt(p.point, 1+i%p.passings, false); err != nil {
				t.Fatalf("killed at %s: %v", p.point, err)
			}
			if _, err := registry.Check(t.Context(), f.parent.config.Folder, journal.Options{}, nil); err != nil {
				t.Fatalf("killed at %s: %v", p.point, err)
			}
			if err := f.goesOn(); err != nil {
				t.Fatalf("killed at %s: %v", p.point, err)
			}
			if _, err := registry.Check(t.Context(), f.parent.config.Folder, journal.Options{}, nil); err != nil {
				t.Fatalf("killed at %s, and whole again: %v", p.point, err)
			}
			killed++
		}
	}
	t.Logf("killed %d times, the mirror was whole each time", killed)
}

// The control: where the journal does not sync, the node is not marked any more and has not
// cut the mirror. The child's log is taken for a fork then.
func TestCutKilledNotices(t *testing.T) {
	t.Parallel()
	f := newUncut(t)
	if err := f.killAt(registry.HookHealed, 1, true); err != nil {
		t.Fatal(err)
	}
	err := f.goesOn()
	if err == nil || !strings.Contains(err.Error(), "taken for a fork") {
		t.Fatalf("the journal was not synced, and what was noticed is: %v", err)
	}
	t.Logf("noticed: %v", err)
}
