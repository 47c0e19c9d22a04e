package journal_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/nameplate-id/nameplate/registry/journal"
	"github.com/nameplate-id/nameplate/registry/journal/journaltest"
)

// closed returns a disk with a journal of several segments that was closed, and
// what it holds.
func closed(t *testing.T) (*journaltest.Disk, []journal.Frame) {
	t.Helper()
	disk := journaltest.NewDisk()
	frames := numbered(24)
	j := open(t, small(disk))
	for len(frames) > 0 { // in groups of several
		n := min(3, len(frames))
		appendAll(t, j, frames[:n]...)
		frames = frames[n:]
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	return disk, numbered(24)
}

func paths(t *testing.T, d *journaltest.Disk) []string {
	t.Helper()
	names, err := d.List(folder)
	if err != nil {
		t.Fatal(err)
	}
	for i := range names {
		names[i] = filepath.Join(folder, names[i])
	}
	return names
}

// reopened opens a journal whose files were tampered with. It returns how many of
// the frames are there; a frame that is none of them in its place fails the test.
func reopened(t *testing.T, d *journaltest.Disk, want []journal.Frame, what string) (int, error) {
	t.Helper()
	j, err := journal.Open(folder, 0, small(d))
	if err != nil {
		var damage *journal.DamageError
		var format *journal.FormatError
		if !errors.As(err, &damage) && !errors.As(err, &format) {
			t.Errorf("%s: got error %v, want damage or format", what, err)
		}
		return 0, err
	}
	defer j.Close()
	n := 0
	for l, err := range j.Scan(0, j.Synced()) {
		if err != nil {
			t.Errorf("%s: Open found nothing and Scan %v", what, err)
			return n, err
		}
		if n == len(want) || !same(l.Frame, want[n]) {
			t.Fatalf("%s: frame %d is a wrong one", what, n)
		}
		n++
	}
	return n, nil
}

// TestBitFlips flips a bit of every octet of a closed journal. Either Open refuses,
// or everything is there; Verify finds it in both cases, or says that octets stand
// behind the end.
func TestBitFlips(t *testing.T) {
	disk, want := closed(t)
	refused := 0
	for _, path := range paths(t, disk) {
		content := disk.Content(path)
		for i := range content {
			bit := byte(1) << (i % 8)
			content[i] ^= bit
			damaged := disk.Clone()
			damaged.SetContent(path, content)
			content[i] ^= bit
			what := fmt.Sprintf("%s, octet %d, bit %d", path, i, i%8)
			report, verr := journal.Verify(folder, small(damaged), nil)
			n, err := reopened(t, damaged, want, what)
			switch {
			case err != nil:
				refused++
			case n != len(want):
				t.Fatalf("%s: %d of %d frames are there and nothing was said", what, n, len(want))
			}
			if verr == nil && !report.Torn {
				t.Fatalf("%s: Verify found nothing", what)
			}
		}
	}
	if refused < 4000 {
		t.Errorf("Open refused %d flips, want at least those in frames", refused)
	}
}

// TestBitFlipsBeforeClosing does the same where a power cut came before the last
// group was closed: it alone may be cut off.
func TestBitFlipsBeforeClosing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := journaltest.NewDisk()
		j, err := journal.Open(folder, 0, small(disk))
		if err != nil {
			t.Fatal(err)
		}
		want := numbered(8)
		appendAll(t, j, want[:6]...)
		appendAll(t, j, want[6:]...)
		disk = disk.Crash(nil)
		j.Close()
		path := paths(t, disk)[0]
		content := disk.Content(path)
		for i := range content {
			content[i] ^= 0x10
			damaged := disk.Clone()
			damaged.SetContent(path, content)
			content[i] ^= 0x10
			if n, err := reopened(t, damaged, want, fmt.Sprintf("octet %d", i)); err == nil && n < 6 {
				t.Fatalf("octet %d: %d frames are there, and six were proven", i, n)
			}
		}
	})
}

// TestTruncations cuts a file at every length, and gives it its length back with
// zeros.
func TestTruncations(t *testing.T) {
	disk, want := closed(t)
	for _, path := range paths(t, disk) {
		content := disk.Content(path)
		for n := range content {
			damaged := disk.Clone()
			damaged.SetContent(path, content[:n])
			if _, err := reopened(t, damaged, want, fmt.Sprintf("%s cut at %d", path, n)); err == nil {
				t.Fatalf("%s cut at %d: nothing was said", path, n)
			}
			if _, err := journal.Verify(folder, small(damaged), nil); err == nil {
				t.Fatalf("%s cut at %d: Verify found nothing", path, n)
			}
			zeroed := slices.Clone(content)
			clear(zeroed[n:])
			damaged.SetContent(path, zeroed)
			got, err := reopened(t, damaged, want, fmt.Sprintf("%s zero from %d", path, n))
			// Without anything behind it, a journal that ends earlier is one.
			if last := path == lastUsed(t, disk); err == nil && got < len(want) && !last {
				t.Fatalf("%s zero from %d: %d frames are there and nothing was said", path, n, got)
			}
		}
	}
}

// lastUsed returns the last segment with frames: the one before the spare.
func lastUsed(t *testing.T, d *journaltest.Disk) string {
	names := paths(t, d)
	return names[len(names)-2]
}

// TestSectors loses, doubles and exchanges sectors.
func TestSectors(t *testing.T) {
	disk, want := closed(t)
	names := paths(t, disk)
	const n = journal.MinSegmentSize / journaltest.Sector
	r := rand.New(rand.NewPCG(1, 2))
	for range 3000 {
		from, to := names[r.IntN(len(names))], names[r.IntN(len(names))]
		i, k := r.IntN(n)*journaltest.Sector, r.IntN(n)*journaltest.Sector
		damaged := disk.Clone()
		source, target := damaged.Content(from), damaged.Content(to)
		octets := source[i : i+journaltest.Sector]
		if r.IntN(3) == 0 {
			octets = make([]byte, journaltest.Sector)
		}
		if slices.Equal(octets, target[k:k+journaltest.Sector]) {
			continue
		}
		copy(target[k:], octets)
		damaged.SetContent(to, target)
		what := fmt.Sprintf("sector at %d of %s is that at %d of %s", k, to, i, from)
		got, err := reopened(t, damaged, want, what)
		// The sector with the last frames also holds the group that closes them.
		if err == nil && got != len(want) && to != lastUsed(t, disk) {
			t.Fatalf("%s: %d frames are there and nothing was said", what, got)
		}
	}
}

// TestFiles takes segments away, exchanges them, and adds what is none.
func TestFiles(t *testing.T) {
	disk, want := closed(t)
	names := paths(t, disk)
	spare := names[len(names)-1]
	for _, path := range names {
		damaged := disk.Clone()
		damaged.SetContent(path, nil)
		if n, err := reopened(t, damaged, want, path+" is gone"); (err == nil) != (path == spare) || err == nil && n != len(want) {
			t.Errorf("%s is gone: got %d frames, error %v", path, n, err)
		}
	}
	other, _ := closed(t)
	second := names[1]
	later := append([]byte(nil), disk.Content(second)...)
	tests := []struct {
		name, path string
		content    []byte
		want       string
	}{
		{"another name", names[2], disk.Content(second), "wrong name"},
		{"another journal", second, other.Content(second), "another journal"},
		{"foreign", second, []byte(strings.Repeat("SQLite format 3\x00", 256)), "not a segment"},
		{"empty", second, []byte{}, "not a segment"},
		{"no number", folder + "/backup.seg", later, "16 hexadecimal digits"},
		{"capitals", folder + "/000000000000000A.seg", later, "16 hexadecimal digits"},
		{"gap", folder + "/0000000000000063.seg", later, "missing"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			damaged := disk.Clone()
			damaged.SetContent(test.path, test.content)
			_, err := reopened(t, damaged, want, test.name)
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), folder) {
				t.Errorf("got %v, want one that says %q and names the file", err, test.want)
			}
		})
	}
	left := disk.Clone()
	left.SetContent(folder+"/0000000000000063.seg.new", []byte("half"))
	left.SetContent(folder+"/README", []byte("ours"))
	if n, err := reopened(t, left, want, "leftovers"); err != nil || n != len(want) {
		t.Errorf("leftovers: got %d frames, error %v", n, err)
	}
	if left.Content(folder+"/0000000000000063.seg.new") != nil || left.Content(folder+"/README") == nil {
		t.Error("a half-made segment was left, or another file taken away")
	}
}

// TestEarlierDamage opens a journal behind the damage: only Verify and whoever
// reads there find it.
func TestEarlierDamage(t *testing.T) {
	disk := journaltest.NewDisk()
	j := open(t, small(disk))
	places := appendAll(t, j, numbered(40)...)
	j.Close()
	path := paths(t, disk)[0]
	content := disk.Content(path)
	content[places[3].at+30] ^= 1
	disk.SetContent(path, content)

	j, err := journal.Open(folder, places[35].end, small(disk))
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	var damage *journal.DamageError
	if _, _, err := j.Read(places[3].at); !errors.As(err, &damage) || damage.Offset != int64(places[3].at) {
		t.Errorf("Read: got %v, want damage at %d", err, places[3].at)
	}
	if _, _, err := j.Read(places[4].at); err != nil {
		t.Errorf("Read of the next frame: %v", err)
	}
	if err := j.Backup(t.Context(), "copy", j.Synced()); !errors.As(err, &damage) {
		t.Errorf("Backup: got %v, want damage", err)
	}
	if _, err := journal.Verify(folder, small(disk), nil); !errors.As(err, &damage) || damage.Offset != int64(places[3].at) || damage.Path != path {
		t.Errorf("Verify: got %v, want damage at %d", err, places[3].at)
	}
}

// TestVerifyEnds passes on the visitor's error.
func TestVerifyEnds(t *testing.T) {
	disk, want := closed(t)
	enough := errors.New("enough")
	n := 0
	_, err := journal.Verify(folder, small(disk), func(l journal.Located) error {
		if !same(l.Frame, want[n]) {
			t.Errorf("frame %d is another", n)
		}
		if n++; n == 5 {
			return enough
		}
		return nil
	})
	if err != enough || n != 5 {
		t.Errorf("got %v after %d frames", err, n)
	}
	if _, err := journal.Verify("nowhere", small(disk), nil); err == nil {
		t.Error("nothing was verified without an error")
	}
}
