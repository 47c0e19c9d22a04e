package folder_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nameplate-id/nameplate/registry/folder"
)

// node writes a folder as a node leaves it.
func node(t *testing.T, path string) {
	t.Helper()
	f := open(t, path)
	if _, err := f.NodeKey(true); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{folder.StateFile, folder.IndexFile, filepath.Join(folder.JournalDir, "segment")} {
		put(t, f.Join(name), "before")
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// build makes another log in the place for it.
func build(t *testing.T, f *folder.Folder) {
	t.Helper()
	scratch, err := f.Begin()
	if err != nil {
		t.Fatal(err)
	}
	if key := got(t, f.Join(folder.KeyFile)); got(t, filepath.Join(scratch, folder.KeyFile)) != key {
		t.Error("the other log would have another key")
	}
	put(t, filepath.Join(scratch, folder.JournalDir, "segment"), "built")
	put(t, filepath.Join(scratch, folder.StateFile), "built")
	put(t, filepath.Join(scratch, folder.ResolutionFile), "told")
}

// succeeded returns what is wrong with a folder in which another log has taken the place of
// log A, because of which entries may be missing.
func succeeded(t *testing.T, path string) error {
	for _, c := range []struct{ name, want string }{
		{filepath.Join(folder.JournalDir, "segment"), "built"},
		{folder.MarkFile, "it lacks entries\n"},
		{folder.StateFile, "-"},
		{folder.IndexFile, "-"},
		{"SUCCESSION", "-"},
		{filepath.Join("before", "A", folder.JournalDir, "segment"), "before"},
		{filepath.Join("before", "A", folder.ResolutionFile), "told"},
		{filepath.Join("incarnation.new", folder.StateFile), "-"},
	} {
		if have := got(t, filepath.Join(path, c.name)); have != c.want {
			return fmt.Errorf("%s says %q, want %q", c.name, have, c.want)
		}
	}
	return nil
}

// errCrash is the end of a process.
var errCrash = errors.New("the process ends here")

// crashAt makes another log and lets it take the place of log A, in a process that ends at a
// point.
func crashAt(t *testing.T, path, point string) (crashed bool) {
	f, err := folder.Open(path, func(at string) {
		if at == point {
			panic(errCrash)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close() // so does the system
	defer func() {
		if e := recover(); e != nil && e != errCrash {
			panic(e)
		} else {
			crashed = e != nil
		}
	}()
	build(t, f)
	if err := f.Succeed(folder.Succession{Before: "A", Mark: "it lacks entries"}); err != nil {
		t.Error(err)
	}
	return false
}

// Wherever a crash comes, the next process finds what was there before, or finishes.
func TestSuccession(t *testing.T) {
	t.Parallel()
	for _, point := range []string{"", folder.HookBegun, folder.HookDecided, folder.HookAside, folder.HookInPlace, folder.HookSucceeded} {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "node")
			node(t, path)
			if crashed := crashAt(t, path, point); crashed != (point != "") {
				t.Fatalf("crashed: %v", crashed)
			}
			f := open(t, path)
			if err := f.Finish(); err != nil {
				t.Fatal(err)
			}
			if point == folder.HookBegun {
				if have := got(t, f.Join(filepath.Join(folder.JournalDir, "segment"))); have != "before" {
					t.Errorf("nothing was decided, and the journal says %q", have)
				}
				build(t, f) // what the crash left is in nobody's way
				if err := f.Succeed(folder.Succession{Before: "A", Mark: "it lacks entries"}); err != nil {
					t.Fatal(err)
				}
			}
			if err := succeeded(t, path); err != nil {
				t.Error(err)
			}
			if told, err := f.Resolutions(); err != nil || len(told) != 1 || got(t, told[0]) != "told" {
				t.Errorf("resolutions %v, %v", told, err)
			}
		})
	}
}

// A log in which there was nothing is not kept, and a mark that was there goes.
func TestSuccessionOfNothing(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "node")
	node(t, path)
	f := open(t, path)
	if err := f.Mark("it lacks entries"); err != nil {
		t.Fatal(err)
	}
	build(t, f)
	if err := f.Succeed(folder.Succession{}); err != nil {
		t.Fatal(err)
	}
	if marker, err := f.Marker(); err != nil || marker != "" {
		t.Errorf("the mark says %q, %v", marker, err)
	}
	if have := got(t, f.Join(filepath.Join(folder.JournalDir, "segment"))); have != "built" {
		t.Errorf("the journal says %q", have)
	}
	if _, err := os.Stat(f.Join("before")); err == nil {
		t.Error("a log in which there was nothing is kept")
	}
}

// A log that was put aside, and came back from a backup, is put aside a second time beside
// the first, each with what is told of it.
func TestPutAsideTwice(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "node")
	node(t, path)
	f := open(t, path)
	for round := range 3 {
		put(t, f.Join(filepath.Join(folder.JournalDir, "segment")), fmt.Sprint("journal ", round))
		build(t, f)
		put(t, f.Join(filepath.Join("incarnation.new", folder.ResolutionFile)), fmt.Sprint("told ", round))
		if err := f.Succeed(folder.Succession{Before: "A"}); err != nil {
			t.Fatal(err)
		}
	}
	for round, place := range []string{"A", "A-2", "A-3"} {
		place = f.Join(filepath.Join("before", place))
		if have, want := got(t, filepath.Join(place, folder.JournalDir, "segment")), fmt.Sprint("journal ", round); have != want {
			t.Errorf("%s holds %q, want %q", place, have, want)
		}
		if have, want := got(t, filepath.Join(place, folder.ResolutionFile)), fmt.Sprint("told ", round); have != want {
			t.Errorf("%s tells %q, want %q", place, have, want)
		}
	}
}

// notSaid are files SUCCESSION that do not say what becomes of the journal.
var notSaid = []string{
	"", "{", "null", "[]", "7", `"A"`, "{} {}", `{"before":"A"} x`, `{"befor":"A"}`, `{"before":"A","mark":7}`,
	`{"before":".."}`, `{"before":"."}`, `{"before":"../elsewhere"}`, `{"before":"/elsewhere"}`, `{"before":"A/B"}`, `{"before":"A\u0000"}`,
}

// What cannot be read is not gone over: an operator has to look. Nothing is moved by it, nor
// deleted.
func TestSuccessionThatCannotBeRead(t *testing.T) {
	t.Parallel()
	for _, text := range notSaid {
		path := filepath.Join(t.TempDir(), "node")
		node(t, path)
		f := open(t, path)
		build(t, f)
		put(t, f.Join("SUCCESSION"), text)
		err := f.Finish()
		if err == nil || !strings.Contains(err.Error(), "remove the file") || got(t, f.Join("SUCCESSION")) != text {
			t.Errorf("%s: got %v", text, err)
		}
		if have := got(t, f.Join(filepath.Join(folder.JournalDir, "segment"))); have != "before" {
			t.Errorf("%s: the journal says %q", text, have)
		}
	}
}

// However the file SUCCESSION reads, no journal is put outside of the folder, and what is
// read is what would be written.
func FuzzSuccession(f *testing.F) {
	for _, text := range append(notSaid, "{}\n", `{"before":"A"}`, `{"before":"A","mark":"it lacks entries"}`, ` {"Before" : "A"}`) {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := folder.ParseSuccession(text)
		if err != nil {
			return
		}
		if s.Before != "" && (s.Before != filepath.Base(s.Before) || !filepath.IsLocal(s.Before) || s.Before == ".") {
			t.Errorf("%s: the journal would be put to %q", text, s.Before)
		}
		again, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := folder.ParseSuccession(again); err != nil || got != s {
			t.Errorf("%s: written again as %s, which reads as %v, %v", text, again, got, err)
		}
	})
}

// Each rule of how another log takes the place of the one that is there does what it is
// there for; and where it is left out, that is noticed.
func TestEachRule(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		left  folder.Rule
		check func(*testing.T, folder.Rule) error
	}{
		"the log of before is kept":          {folder.RuleKeep, logOfBefore},
		"a log that lacks entries is marked": {folder.RuleMarked, markedJournal},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := c.check(t, 0); err != nil {
				t.Error(err)
			}
			if err := c.check(t, c.left); err == nil {
				t.Error("nobody noticed that the rule was left out")
			}
		})
	}
}

func logOfBefore(t *testing.T, left folder.Rule) error {
	path := filepath.Join(t.TempDir(), "node")
	node(t, path)
	f := open(t, path)
	f.LeaveOut(left)
	build(t, f)
	if err := f.Succeed(folder.Succession{Before: "A", Mark: "it lacks entries"}); err != nil {
		return err
	}
	return succeeded(t, path)
}

// The mark cannot be written: the journal is not put in its place until it can.
func markedJournal(t *testing.T, left folder.Rule) error {
	path := filepath.Join(t.TempDir(), "node")
	node(t, path)
	f := open(t, path)
	f.LeaveOut(left)
	build(t, f)
	mark := f.Join(folder.MarkFile)
	put(t, filepath.Join(mark, "in the way"), "x")
	if err := f.Succeed(folder.Succession{Before: "A", Mark: "it lacks entries"}); err == nil {
		return errors.New("a journal that lacks entries is in its place without its mark")
	}
	if err := os.RemoveAll(mark); err != nil {
		t.Fatal(err)
	}
	if err := f.Finish(); err != nil {
		return err
	}
	return succeeded(t, path)
}
