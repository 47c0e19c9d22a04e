package journal

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// TestFill takes room where the file system cannot preallocate.
func TestFill(t *testing.T) {
	f, err := Disk{}.Create(filepath.Join(t.TempDir(), "f"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte("kept"), 0); err != nil {
		t.Fatal(err)
	}
	const size = 3<<20 + 5
	if err := f.(diskFile).fill(4, size); err != nil {
		t.Fatal(err)
	}
	octets, err := os.ReadFile(f.(diskFile).Name())
	if err != nil || len(octets) != size || !bytes.Equal(octets, append([]byte("kept"), make([]byte, size-4)...)) {
		t.Errorf("got %d octets that begin with %q, error %v", len(octets), octets[:4], err)
	}
}

func TestMakeDir(t *testing.T) {
	dir := t.TempDir()
	for range 2 {
		if err := (Disk{}).MakeDir(filepath.Join(dir, "a", "b")); err != nil {
			t.Fatal(err)
		}
	}
	name := filepath.Join(dir, "file")
	if err := os.WriteFile(name, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, wrong := range []string{name, filepath.Join(name, "below")} {
		if err := (Disk{}).MakeDir(wrong); err == nil {
			t.Errorf("%s was made a directory", wrong)
		}
	}
	if _, err := (Disk{}).OpenWrite(filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that is not there: got %v", err)
	}
	if err := (Disk{}).SyncDir(filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a folder that is not there: got %v", err)
	}
}

// TestReaders reads more segments than stay open.
func TestReaders(t *testing.T) {
	dir := t.TempDir()
	j, err := Open(dir, 0, Options{SegmentSize: MinSegmentSize})
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	var places []Offset
	for len(places) < 3*2*keptReaders {
		done := make(chan Offset)
		if err := j.Append(Frame{Kind: KindEntry, Payload: make([]byte, 1800)}, func(at, _ Offset) { done <- at }); err != nil {
			if err := j.Wait(t.Context(), 1800); err != nil {
				t.Fatal(err)
			}
			continue
		}
		places = append(places, <-done)
	}
	for range 2 {
		for _, at := range places {
			if _, _, err := j.Read(at); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n := len(j.files.byNumber); n != keptReaders || len(j.files.idle) != n {
		t.Errorf("%d segments are open and %d idle, want %d", n, len(j.files.idle), keptReaders)
	}
	// One that is being read when the journal is closed stays open until it is not.
	segments := *j.segments.Load()
	f, err := j.files.open(&segments[0])
	if err != nil {
		t.Fatal(err)
	}
	j.Close()
	if _, err := f.ReadAt(make([]byte, 8), 0); err != nil {
		t.Error(err)
	}
	j.files.release(f)
	if _, err := f.ReadAt(make([]byte, 8), 0); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("after it was released: got %v, want that it is closed", err)
	}
}
