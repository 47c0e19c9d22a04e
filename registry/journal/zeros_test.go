package journal

import (
	"bytes"
	"os"
	"testing"
)

// written counts the zeros that are written to a file, and what is not synced.
type written struct {
	File
	zeros, unsynced int64
}

func (w *written) WriteAt(b []byte, at int64) (int, error) {
	w.unsynced += int64(len(b))
	if len(bytes.Trim(b, "\x00")) == 0 {
		w.zeros += int64(len(b))
	}
	return w.File.WriteAt(b, at)
}

func (w *written) Sync() error { w.unsynced = 0; return w.File.Sync() }

// creating is a disk whose new file notes what is written.
type creating struct {
	Disk
	file *written
}

func (c *creating) Create(name string) (File, error) {
	f, err := c.Disk.Create(name)
	c.file = &written{File: f}
	return c.file, err
}

// A segment is written with zeros before it has its name, as far as there is time; its
// header stands and the rest is zero either way.
func TestSegmentZeros(t *testing.T) {
	t.Parallel()
	const size = 8 * zerosAtOnce
	for _, c := range []struct {
		name  string
		size  int64
		steps int // before it is urgent
		want  int64
	}{
		{"all", size, 100, size},
		{"part", size, 3, 3 * zerosAtOnce},
		{"none", size, 0, 0},
		{"small", zerosAtOnce / 2, 100, 0},
	} {
		s := newSegment(t.TempDir(), journalID{1}, 0, 0, c.size)
		disk, steps := &creating{}, 0
		unsynced := int64(-1) // when it gets its name
		f, err := createSegment(disk, &s, journalID{1}, func() bool { steps++; return steps > c.steps }, func(string) { unsynced = disk.file.unsynced })
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		if disk.file.zeros != c.want || unsynced != 0 {
			t.Errorf("%s: got %d zeros, %d octets not synced; want %d and 0", c.name, disk.file.zeros, unsynced, c.want)
		}
		header := s.appendHeader(nil, journalID{1})
		b, err := os.ReadFile(s.path)
		if err != nil || int64(len(b)) != c.size || !bytes.HasPrefix(b, header) || len(bytes.Trim(b[len(header):], "\x00")) > 0 {
			t.Errorf("%s: the segment has %d octets, its header or its rest is wrong, %v", c.name, len(b), err)
		}
	}
}
