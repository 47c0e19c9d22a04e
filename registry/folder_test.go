package registry_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nameplate-id/nameplate/registry"
	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/journal"
	"github.com/nameplate-id/nameplate/registry/state"
)

// filled returns the configuration of a folder with ten records, closed.
func filled(t testing.TB) registry.Config {
	t.Helper()
	n := newNode(t)
	holder, d := maker(t, n)
	fill(t, n, holder, d, 0, 10)
	n.mustStop()
	return n.config
}

// intact opens a folder and checks that the ten records are there.
func intact(t testing.TB, c registry.Config) *node {
	t.Helper()
	n := openNode(t, c)
	for i := range 10 {
		n.record(serial(i))
	}
	return n
}

func TestSecondProcess(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	_, err := registry.Open(n.config)
	if err == nil || !strings.Contains(err.Error(), "in use by process "+strconv.Itoa(os.Getpid())) {
		t.Errorf("a second node on the folder: %v", err)
	}
	_, err = registry.Check(t.Context(), n.config.Folder, journal.Options{}, nil)
	if err == nil || !strings.Contains(err.Error(), "in use by process") {
		t.Errorf("a check of a node that runs: %v", err)
	}
	// The first one does not mind.
	maker(t, n)
	n.check()
}

func TestCheckOfNothing(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(t.TempDir(), "none")
	if _, err := registry.Check(t.Context(), folder, journal.Options{}, nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a folder that is not there: %v", err)
	}
	if _, err := os.Stat(folder); !errors.Is(err, fs.ErrNotExist) {
		t.Error("the check made it")
	}
	if _, err := registry.Check(t.Context(), t.TempDir(), journal.Options{}, nil); err == nil || !strings.Contains(err.Error(), "no journal") {
		t.Errorf("an empty folder: %v", err)
	}
}

func TestNodeKey(t *testing.T) {
	t.Parallel()
	c := filled(t)
	path := filepath.Join(c.Folder, "node.key")
	key, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	other, err := newKey(t).MarshalPEM()
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name    string
		content []byte
		says    string
	}{
		{"missing", nil, "put it back"},
		{"another's", other, "is not the one that the log was begun with"},
		{"no key", []byte("hello\n"), "node key"},
		{"cut short", key[:len(key)/2], "node key"},
	} {
		if test.content == nil {
			err = os.Remove(path)
		} else {
			err = os.WriteFile(path, test.content, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, err := registry.Open(c); err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v, want %q", test.name, err, test.says)
		}
		// A check does without the key, as a backup may, but not with a wrong one.
		_, err := registry.Check(t.Context(), c.Folder, c.Journal, nil)
		if (err != nil) != (test.content != nil) {
			t.Errorf("%s: check says %v", test.name, err)
		}
	}
	if err := os.WriteFile(path, key, 0o600); err != nil {
		t.Fatal(err)
	}
	intact(t, c).check()
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode of the key: %v, %v", info.Mode(), err)
	}
}

// A journal that is missing is not begun anew where there was one.
func TestMissingJournal(t *testing.T) {
	t.Parallel()
	c := filled(t)
	aside := filepath.Join(c.Folder, "aside")
	if err := os.Rename(filepath.Join(c.Folder, "journal"), aside); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the first must leave nothing behind
		if _, err := registry.Open(c); err == nil || !strings.Contains(err.Error(), "has a state and no journal") {
			t.Errorf("without the journal: %v", err)
		}
	}
	if err := errors.Join(os.Remove(filepath.Join(c.Folder, "journal")), os.Rename(aside, filepath.Join(c.Folder, "journal"))); err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	intact(t, c).check()
}

// rewrite changes a file as f says.
func rewrite(t testing.TB, path string, f func([]byte) []byte) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, f(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestForeignAndNewerFiles(t *testing.T) {
	t.Parallel()
	text := bytes.Repeat([]byte("This is a text of somebody else's. "), 4096)
	segment := filepath.Join("journal", "0000000000000000.seg")
	newerState := func(b []byte) []byte {
		// Pages that are free now still hold older headers.
		begin := []byte("header\x00\x00\x00\x01")
		for at := bytes.Index(b, begin); at >= 0; at = bytes.Index(b, begin) {
			row := b[at+len("header"):][:32]
			binary.BigEndian.PutUint32(row, 2)
			binary.BigEndian.PutUint32(row[28:], crc32.Checksum(row[:28], crc32.MakeTable(crc32.Castagnoli)))
		}
		return b
	}
	for _, test := range []struct {
		name, file string
		change     func([]byte) []byte
		says       string
	}{
		{"a segment that is a text", segment, func(b []byte) []byte { return text }, "not a segment of a Nameplate journal"},
		{"a segment of a newer format", segment, func(b []byte) []byte {
			binary.BigEndian.PutUint32(b[4:], 2)
			binary.BigEndian.PutUint32(b[60:], crc32.Checksum(b[:60], crc32.MakeTable(crc32.Castagnoli)))
			return b
		}, "use a newer version"},
		{"a state that is a text", "state.db", func(b []byte) []byte { return text }, "is no state of a Nameplate node"},
		{"a state of a newer format", "state.db", newerState, "use a newer nameplate"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := filled(t)
			path := filepath.Join(c.Folder, test.file)
			rewrite(t, path, test.change)
			before, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := registry.Open(c); err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("open: %v, want %q", err, test.says)
			}
			if _, err := registry.Check(t.Context(), c.Folder, c.Journal, nil); err == nil {
				t.Error("check: no error")
			}
			if after, err := os.ReadFile(path); err != nil || !bytes.Equal(before, after) {
				t.Errorf("the file was changed: %v", err)
			}
		})
	}
	t.Run("a state of another journal", func(t *testing.T) {
		c, other := filled(t), filled(t)
		rewrite(t, filepath.Join(c.Folder, "state.db"), func([]byte) []byte {
			b, err := os.ReadFile(filepath.Join(other.Folder, "state.db"))
			if err != nil {
				t.Fatal(err)
			}
			return b
		})
		var foreign *state.JournalError
		if _, err := registry.Open(c); !errors.As(err, &foreign) {
			t.Errorf("open: %v", err)
		}
	})
	t.Run("a segment of another journal", func(t *testing.T) {
		c, other := filled(t), filled(t)
		if err := os.Rename(filepath.Join(other.Folder, "journal", "0000000000000001.seg"), filepath.Join(c.Folder, "journal", "0000000000000001.seg")); err != nil {
			t.Fatal(err)
		}
		if _, err := registry.Open(c); err == nil || !strings.Contains(err.Error(), "belongs to another journal") {
			t.Errorf("open: %v", err)
		}
	})
}

// A state that is missing or damaged is built again, and gives what it gave.
func TestStateIsBuiltAgain(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		damage func(path string) error
	}{
		{"deleted", os.Remove},
		{"empty", func(path string) error { return os.Truncate(path, 0) }},
		{"cut short", func(path string) error { return os.Truncate(path, 9000) }},
		{"its meta pages gone wrong", func(path string) error { return overwrite(path, 30, 60, 0x55, 4096) }},
		{"all pages but these gone wrong", func(path string) error { return overwrite(path, 8192, 120_000, 0xAA) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := filled(t)
			before := intact(t, c)
			want := before.status()
			before.mustStop()
			path := filepath.Join(c.Folder, "state.db")
			if err := test.damage(path); err != nil {
				t.Fatal(err)
			}
			n := intact(t, c)
			got := n.status()
			if got.Identifiers != want.Identifiers || got.Delegations != want.Delegations || got.Position != want.Position || got.Checkpoint.Root != want.Checkpoint.Root {
				t.Errorf("status %+v, before %+v", got, want)
			}
			n.check()
			_, err := os.Stat(path + ".damaged")
			if kept := err == nil; kept != (test.name != "deleted") {
				t.Errorf("the damaged state was kept: %v", kept)
			}
		})
	}
}

// overwrite fills octets of a file, at each place.
func overwrite(path string, from, to int64, with byte, more ...int64) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	b := bytes.Repeat([]byte{with}, int(to-from))
	for _, at := range append([]int64{0}, more...) {
		if _, err := f.WriteAt(b, from+at); err != nil {
			return err
		}
	}
	return nil
}

// What the state says of the log itself, it says with a checksum; a state that is
// wrong about it is not believed, above all not when the next checkpoint is signed.
func TestStateThatDoesNotAddUp(t *testing.T) {
	t.Parallel()
	// A copy of a running node's folder, before its first checkpoint and with it.
	for _, checkpoint := range []bool{false, true} {
		n := openNode(t, registry.Config{Folder: t.TempDir(), CheckpointEvery: time.Hour})
		holder, d := maker(t, n)
		fill(t, n, holder, d, 0, 10)
		if checkpoint {
			if err := registry.SignCheckpoint(t.Context(), n.Registry); err != nil {
				t.Fatal(err)
			}
		}
		n.status()
		c := n.config
		c.Folder = filepath.Join(t.TempDir(), "copy")
		if err := os.CopyFS(c.Folder, os.DirFS(n.config.Folder)); err != nil {
			t.Fatal(err)
		}
		head, root := registry.Head(n.Registry)
		testStateThatDoesNotAddUp(t, c, n.LogID(), head, root, checkpoint)
	}
}

func testStateThatDoesNotAddUp(t *testing.T, c registry.Config, log identifier.LogID, head uint64, root identifier.Hash, checkpoint bool) {
	path := filepath.Join(c.Folder, "state.db")
	sound, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	journalBefore, err := os.ReadFile(filepath.Join(c.Folder, "journal", "0000000000000000.seg"))
	if err != nil {
		t.Fatal(err)
	}
	leaf := journalLeaf(t, c, 5)
	for _, test := range []struct {
		name   string
		within []byte // octets of the state, one of which is changed
	}{
		{"a hash", leaf[:]},
		{"the log's id", log[:]},
		{"the checkpoint", []byte("nameplate.id/log/")},
		{"the grant's key", []byte("grant/")},
		{"a delegation's key", []byte("\x00\x00\x00\x0088\x00118\x00\x01\x00\x00")},
		{"the genesis note's key", []byte("genesis")},
	} {
		for from, found := 0, 0; ; found++ {
			i := bytes.Index(sound[from:], test.within)
			if i < 0 {
				if found == 0 && (checkpoint || test.name != "the checkpoint") {
					t.Errorf("%s: not in the state", test.name)
				}
				break
			}
			from += i + 1
			damaged := bytes.Clone(sound)
			damaged[from-1+len(test.within)/2] ^= 0x04
			if err := os.WriteFile(path, damaged, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(c.Folder, "journal", "0000000000000000.seg"), journalBefore, 0o600); err != nil {
				t.Fatal(err)
			}
			n := intact(t, c)
			if size, got := registry.Head(n.Registry); size != head || got != root || n.LogID() != log {
				t.Errorf("%s, place %d: log %v, %d entries with root %x, want %v, %d, %x", test.name, from, n.LogID(), size, got, log, head, root)
			}
			if f := n.find("88.118/none"); f.Delegation == nil {
				t.Errorf("%s, place %d: the delegation is gone", test.name, from)
			}
			n.mustStop()
		}
	}
}

// journalLeaf returns the leaf hash of an entry of a closed folder.
func journalLeaf(t testing.TB, c registry.Config, position uint64) (hash identifier.Hash) {
	t.Helper()
	_, err := journal.Verify(filepath.Join(c.Folder, "journal"), c.Journal, func(f journal.Located) error {
		if f.Kind != journal.KindEntry || f.Position != position {
			return nil
		}
		leaf, err := identifier.EntryLeaf(f.Payload)
		hash = journal.LeafHash(leaf)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return hash
}

// Check compares the whole state with the journal, where Find looks at single rows.
func TestCheckFindsWhatDiffers(t *testing.T) {
	t.Parallel()
	c := filled(t)
	path := filepath.Join(c.Folder, "state.db")
	sound, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name   string
		within []byte
	}{
		{"a key", []byte("88\x00118\x00\x01sn-000004")},
		{"a value", []byte("https://x.example/")},
		{"a run", append(make([]byte, 4+8+7), 64+45)}, // entry 0 is behind the first segment's and the group's header
	} {
		if !bytes.Contains(sound, test.within) {
			t.Fatalf("%s: not in the state", test.name)
		}
		// Everywhere: some of it is in pages that are free now.
		changed := bytes.Clone(test.within)
		changed[len(changed)-1] ^= 0x02
		damaged := bytes.ReplaceAll(sound, test.within, changed)
		if err := os.WriteFile(path, damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := registry.Check(t.Context(), c.Folder, c.Journal, nil)
		if err == nil {
			t.Errorf("%s: no error", test.name)
		}
	}
	if err := os.WriteFile(path, sound, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := registry.Check(t.Context(), c.Folder, c.Journal, nil); err != nil {
		t.Error(err)
	}
	// A state that is ahead of its journal is not its own.
	c2 := filled(t)
	early, err := os.ReadFile(filepath.Join(c2.Folder, "state.db"))
	if err != nil {
		t.Fatal(err)
	}
	n := intact(t, c2)
	fill(t, n, n.root, n.Holder(""), 0, 0)
	n.mustRegister(signed(t, n.root, n.Holder(""), put(mustID(t, "77/a"), nil, link("https://x.example/"))))
	n.mustStop()
	if err := os.WriteFile(filepath.Join(c2.Folder, "state.db"), early, 0o600); err != nil {
		t.Fatal(err)
	}
	report, err := registry.Check(t.Context(), c2.Folder, c2.Journal, nil)
	if err != nil || report.Behind != 2 || report.Identifiers != 11 {
		t.Errorf("a state that is behind: %+v, %v", report, err)
	}
	intact(t, c2).record("77/a")
}
