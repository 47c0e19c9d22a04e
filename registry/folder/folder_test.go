package folder_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nameplate-id/nameplate/registry/folder"
)

// open opens a folder until the test ends.
func open(t *testing.T, path string) *folder.Folder {
	t.Helper()
	f, err := folder.Open(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// put writes a file, and the folders that it is in.
func put(t *testing.T, path, text string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o750), os.WriteFile(path, []byte(text), 0o640)); err != nil {
		t.Fatal(err)
	}
}

// got returns what a file says; "-" where there is none.
func got(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "-"
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestOneProcess(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "new", "node")
	f := open(t, path)
	if _, err := folder.Open(path, nil); err == nil || !strings.Contains(err.Error(), "in use by process") {
		t.Errorf("opened twice: %v", err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, path)
}

// A journal is not begun anew where there was one.
func TestMayBegin(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ file, want string }{
		"empty":                  {"", ""},
		"with a key":             {folder.KeyFile, ""},
		"with an index":          {folder.IndexFile, ""},
		"with a state":           {folder.StateFile, "has a state and no journal"},
		"restored half":          {folder.MarkFile, "was not restored to the end"},
		"with what a check left": {filepath.Join("check.new", folder.StateFile), ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := open(t, t.TempDir())
			if c.file != "" {
				put(t, f.Join(c.file), "x")
			}
			if err := f.MayBegin(); (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestMark(t *testing.T) {
	t.Parallel()
	f := open(t, t.TempDir())
	want := func(want string) {
		t.Helper()
		if have, err := f.Marker(); err != nil || have != want {
			t.Errorf("the mark says %q, %v; want %q", have, err, want)
		}
	}
	want("")
	for _, why := range []string{"entries are missing", "more are"} {
		if err := f.Mark(why); err != nil {
			t.Fatal(err)
		}
		want(why)
	}
	put(t, f.Join(folder.MarkFile), "\n") // by hand
	want(folder.Restored)
	for range 2 {
		if err := f.Unmark(); err != nil {
			t.Fatal(err)
		}
		want("")
	}
}

// A folder that was copied is told from the one that a node wrote last, wherever it stands.
func TestPlace(t *testing.T) {
	t.Parallel()
	f := open(t, filepath.Join(t.TempDir(), "node"))
	isCopy := func(f *folder.Folder, want bool) {
		t.Helper()
		if have, err := f.IsCopy(); err != nil || have != want {
			t.Errorf("a copy: %v, %v; want %v", have, err, want)
		}
	}
	isCopy(f, false) // nobody has settled in it
	for range 2 {
		if err := f.Settle(); err != nil {
			t.Fatal(err)
		}
		isCopy(f, false)
	}
	if text := strings.TrimSpace(got(t, f.Join("PLACE"))); text == "-" || text == "" {
		t.Skip("this file system tells nothing of a file by which a copy could be noticed")
	}
	copied, moved := filepath.Join(t.TempDir(), "copied"), filepath.Join(t.TempDir(), "moved")
	if err := os.CopyFS(copied, os.DirFS(f.Join(""))); err != nil {
		t.Fatal(err)
	}
	c := open(t, copied)
	isCopy(c, true)
	if err := errors.Join(f.Close(), os.Rename(f.Join(""), moved)); err != nil {
		t.Fatal(err)
	}
	isCopy(open(t, moved), false)
	if err := os.Remove(c.Join("PLACE.MARK")); err != nil {
		t.Fatal(err)
	}
	isCopy(c, true)
	if err := c.Settle(); err != nil {
		t.Fatal(err)
	}
	isCopy(c, false)
}

func TestNodeKey(t *testing.T) {
	t.Parallel()
	f := open(t, t.TempDir())
	if _, err := f.NodeKey(false); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a key that is missing: %v", err)
	}
	made, err := f.NodeKey(true)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(f.Join(folder.KeyFile)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key's file: %v, %v", info, err)
	}
	for range 2 {
		if have, err := f.NodeKey(true); err != nil || have.Public() != made.Public() {
			t.Errorf("key %v, %v; want %v", have.Public(), err, made.Public())
		}
	}
	if have, err := folder.NodeKey(f.Join("")); err != nil || have.Public() != made.Public() {
		t.Errorf("key %v, %v; want %v", have.Public(), err, made.Public())
	}
	put(t, f.Join(folder.KeyFile), "no key")
	if _, err := f.NodeKey(true); err == nil || got(t, f.Join(folder.KeyFile)) != "no key" {
		t.Errorf("a key that cannot be read: %v, and the file says %q", err, got(t, f.Join(folder.KeyFile)))
	}
}

// A file that was to be replaced is whole or as it was before, and nothing is left beside it.
func TestWriteFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	for _, text := range []string{"one", "two", "two"} {
		if err := folder.WriteFile(path, []byte(text), 0o640); err != nil || got(t, path) != text {
			t.Errorf("got %q, %v; want %q", got(t, path), err, text)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "taken"), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := folder.WriteFile(filepath.Join(dir, "taken"), []byte("x"), 0o640); err == nil {
		t.Error("a folder was replaced by a file")
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 {
		t.Errorf("the folder has %v, %v", entries, err)
	}
}
