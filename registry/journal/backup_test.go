package journal_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nameplate-id/nameplate/registry/journal"
	"github.com/nameplate-id/nameplate/registry/journal/journaltest"
)

// TestBackupWhileAppending copies a journal on real files several times while
// others append, opens each copy, compares it, and appends to it.
func TestBackupWhileAppending(t *testing.T) {
	dir := t.TempDir()
	o := journal.Options{SegmentSize: 64 << 10}
	j, err := journal.Open(filepath.Join(dir, "journal"), 0, o)
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	ctx, stop := context.WithCancel(t.Context())
	var appenders sync.WaitGroup
	for i := range 4 {
		appenders.Go(func() {
			payload := bytes.Repeat([]byte{byte(i)}, 300)
			for ctx.Err() == nil {
				if j.Append(journal.Frame{Kind: journal.KindEntry, Payload: payload}, nil) != nil {
					j.Wait(ctx, len(payload))
				}
				time.Sleep(20 * time.Microsecond)
			}
		})
	}
	for _, name := range []string{"a", "b", "c", "d"} {
		time.Sleep(30 * time.Millisecond)
		upTo := j.Synced()
		target := filepath.Join(dir, name)
		if err := j.Backup(ctx, target, upTo); err != nil {
			t.Fatal(err)
		}
		compareCopy(t, j, target, upTo, o)
	}
	stop()
	appenders.Wait()
}

// compareCopy compares a copy with the journal up to a place.
func compareCopy(t *testing.T, j *journal.Journal, dir string, upTo journal.Offset, o journal.Options) {
	t.Helper()
	report, err := journal.Verify(dir, o, nil)
	if err != nil || report.Torn {
		t.Fatalf("the copy: got %+v, error %v", report, err)
	}
	// The caller's state may have got as far as the copy.
	c, err := journal.Open(dir, upTo, o)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var want []journal.Located
	for l, err := range j.Scan(0, upTo) {
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, l)
	}
	got := 0
	for l, err := range c.Scan(0, c.Synced()) {
		if err != nil {
			t.Fatal(err)
		}
		if got == len(want) || !same(l.Frame, want[got].Frame) || l.At != want[got].At || l.End != want[got].End {
			t.Fatalf("frame %d of the copy is another one or elsewhere", got)
		}
		got++
	}
	if got != len(want) || got == 0 {
		t.Errorf("the copy has %d frames, want %d", got, len(want))
	}
	appendAll(t, c, entry("goes on"))
}

// TestBackupPlaces copies up to every place that a caller can know.
func TestBackupPlaces(t *testing.T) {
	disk := journaltest.NewDisk()
	j := open(t, small(disk))
	frames := numbered(24)
	places := appendAll(t, j, frames...)
	for i, p := range places {
		for n, upTo := range []journal.Offset{p.at, p.end} {
			target := "copy"
			if err := j.Backup(t.Context(), target, upTo); err != nil {
				t.Fatalf("up to %d: %v", upTo, err)
			}
			c, err := journal.Open(target, upTo, small(disk))
			if err != nil {
				t.Fatalf("up to %d: %v", upTo, err)
			}
			if got := read(t, c); !slices.EqualFunc(got, frames[:i+n], same) {
				t.Errorf("up to %d: got %d frames, want %d", upTo, len(got), i+n)
			}
			c.Close()
			names, _ := disk.List(target)
			for _, name := range names {
				disk.SetContent(filepath.Join(target, name), nil)
			}
		}
	}
	for _, upTo := range []journal.Offset{0, 63, j.Synced() + 1, places[3].at + 5} {
		if err := j.Backup(t.Context(), "wrong", upTo); err == nil {
			t.Errorf("a copy up to %d was made", upTo)
		}
	}
}

func TestBackupRefuses(t *testing.T) {
	disk := journaltest.NewDisk()
	j := open(t, small(disk))
	appendAll(t, j, numbered(20)...)
	if err := j.Backup(t.Context(), folder, j.Synced()); !errors.Is(err, fs.ErrExist) {
		t.Errorf("onto itself: got %v, want that it exists", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := j.Backup(ctx, "copy", j.Synced()); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: got %v", err)
	}
}

// TestBackupInterrupted ends the machine at every operation of a backup. What is
// there then must not pass for a copy.
func TestBackupInterrupted(t *testing.T) {
	whole := false
	for n := 1; !whole; n++ {
		synctest.Test(t, func(t *testing.T) {
			disk := journaltest.NewDisk()
			j, err := journal.Open(folder, 0, small(disk))
			if err != nil {
				t.Fatal(err)
			}
			want := numbered(24)
			appendAll(t, j, want...)
			time.Sleep(time.Second)
			disk.Halt(n)
			err = j.Backup(t.Context(), "copy", j.Synced())
			whole = err == nil
			after := disk.Crash(func() bool { return true })
			j.Close()
			report, verr := journal.Verify("copy", small(after), nil)
			if err == nil && verr != nil {
				t.Errorf("halted at operation %d: the backup was made, and its copy is refused: %v", n, verr)
			}
			if verr == nil && report.Entries != uint64(len(want)) {
				t.Errorf("halted at operation %d: the copy has %d of %d entries and is not refused", n, report.Entries, len(want))
			}
		})
	}
}

// TestBackupIsSparse copies a short journal with long segments.
func TestBackupIsSparse(t *testing.T) {
	dir := t.TempDir()
	j, err := journal.Open(filepath.Join(dir, "journal"), 0, journal.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	appendAll(t, j, entry("short"))
	target := filepath.Join(dir, "copy")
	if err := j.Backup(t.Context(), target, j.Synced()); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(target, "0000000000000000.seg"))
	if err != nil || info.Size() != journal.DefaultSegmentSize {
		t.Fatalf("got %v, error %v", info, err)
	}
	compareCopy(t, j, target, j.Synced(), journal.Options{})
}

// TestCopy copies a journal that another has open, and that goes on.
func TestCopy(t *testing.T) {
	disk := journaltest.NewDisk()
	if _, ok, err := journal.Identify(folder, small(disk)); ok || err != nil {
		t.Errorf("no journal: got %v, error %v", ok, err)
	}
	j := open(t, small(disk))
	want := numbered(24)
	places := appendAll(t, j, want[:20]...)
	appendAll(t, j, want[20:]...) // its group says that the one before is synced
	upTo, err := journal.Copy(t.Context(), folder, "copy", small(disk))
	if err != nil || upTo < places[19].end {
		t.Fatalf("copied up to %d, error %v, want %d at least", upTo, err, places[19].end)
	}
	id, _, err := journal.Identify(folder, small(disk))
	if other, ok, copyErr := journal.Identify("copy", small(disk)); !ok || err != nil || copyErr != nil || other != id {
		t.Errorf("the copy has id %x, the journal %x; errors %v, %v", other, id, copyErr, err)
	}
	c, err := journal.Open("copy", upTo, small(disk))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if got := read(t, c); len(got) < 20 || !slices.EqualFunc(got, want[:len(got)], same) {
		t.Errorf("the copy has %d frames, or others", len(got))
	}
	if _, err := journal.Copy(t.Context(), "nowhere", "copy 2", small(disk)); err == nil {
		t.Error("nothing was copied without an error")
	}
}
