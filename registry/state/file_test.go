package state_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/nameplate-id/nameplate/registry/state"
)

// sound makes a closed state of some rows and returns its path.
func sound(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "state.db")
	s, err := state.Open(path, state.Options{Journal: journalID})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		publish(t, s, record(fmt.Sprint(i), 1))
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// Every file that is not this journal's state is refused by name and left as it is.
func TestOpenRefuses(t *testing.T) {
	is := func(target any) func(error) bool { return func(err error) bool { return errors.As(err, target) } }
	damage := is(new(*state.DamageError))
	foreign := is(new(*state.ForeignError))
	other := func(o *bbolt.Options) func(string) error {
		return func(path string) error {
			os.Remove(path)
			db, err := bbolt.Open(path, 0o600, o)
			if err != nil {
				return err
			}
			return errors.Join(db.Update(func(tx *bbolt.Tx) error {
				b, err := tx.CreateBucketIfNotExists([]byte("something"))
				return errors.Join(err, b.Put([]byte("k"), []byte("v")))
			}), db.Close())
		}
	}
	cut := func(size int64) func(string) error {
		return func(path string) error { return os.Truncate(path, size) }
	}
	for _, c := range []struct {
		name string
		make func(path string) error
		want func(error) bool
		text string
	}{
		{"text", func(path string) error { return os.WriteFile(path, []byte(strings.Repeat("id,name\n", 5000)), 0o600) }, foreign, "move it away"},
		{"another bbolt file", other(nil), foreign, "something else"},
		{"another bbolt file without free list", other(&bbolt.Options{NoFreelistSync: true}), foreign, "something else"},
		{"another bbolt file with large pages", other(&bbolt.Options{PageSize: 8192}), foreign, "8192"},
		{"folder", func(path string) error { return errors.Join(os.Remove(path), os.Mkdir(path, 0o700)) }, foreign, "regular"},
		{"empty", cut(0), damage, "empty"},
		{"cut in the first page", cut(100), damage, "cut short"},
		{"cut behind the first page", cut(4096), damage, "cut short"},
		{"cut behind the meta pages", cut(8192), damage, "cut short"},
		{"cut in the middle", cut(50_000), damage, "cut short"},
		{"newer", func(path string) error {
			return state.RewriteHeader(path, func(format *uint32, _ *[]byte) { *format = state.Format + 1 })
		}, is(new(*state.FormatError)), "has format 2, and this release reads up to 1"},
		{"header without checksum", func(path string) error {
			return state.RewriteHeader(path, func(_ *uint32, raw *[]byte) { (*raw)[10] ^= 1 })
		}, damage, "checksum"},
		{"header cut", func(path string) error {
			return state.RewriteHeader(path, func(_ *uint32, raw *[]byte) { *raw = (*raw)[:10] })
		}, damage, "header"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := sound(t)
			if err := c.make(path); err != nil {
				t.Fatal(err)
			}
			before, _ := os.ReadFile(path)
			s, err := state.Open(path, state.Options{Journal: journalID})
			if err == nil {
				s.Close()
			}
			if !c.want(err) || !strings.Contains(err.Error(), c.text) || !strings.Contains(err.Error(), path) {
				t.Errorf("Open: %v", err)
			}
			if after, _ := os.ReadFile(path); !bytes.Equal(before, after) {
				t.Error("Open changed the file")
			}
		})
	}
}

func TestOpenAnotherJournals(t *testing.T) {
	path := sound(t)
	_, err := state.Open(path, state.Options{Journal: [16]byte{9}})
	var journal *state.JournalError
	if !errors.As(err, &journal) || journal.Have != journalID || journal.Want != [16]byte{9} {
		t.Errorf("Open: %v, want a JournalError", err)
	}
}

func TestOpenFolderMissing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "none", "state.db")
	if _, err := state.Open(path, state.Options{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Open: %v, want that the folder does not exist", err)
	}
}

// What a crash leaves of a file that was being made is no hindrance.
func TestOpenAfterCrashWhileMaking(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	if err := os.WriteFile(path+".new", []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := state.Open(path, state.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	if _, err := os.Stat(path + ".new"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the half file: %v, want that it is gone", err)
	}
}

// A file that another process has open is not opened. The other process is this
// test's program, run again.
func TestOpenLocked(t *testing.T) {
	if path := os.Getenv("STATE_TEST_HOLD"); path != "" {
		if _, err := state.Open(path, state.Options{Journal: journalID}); err != nil {
			t.Fatal(err)
		}
		fmt.Println("open")
		time.Sleep(time.Minute)
		return
	}
	path := sound(t)
	holder := exec.Command(os.Args[0], "-test.run=^TestOpenLocked$")
	holder.Env = append(os.Environ(), "STATE_TEST_HOLD="+path)
	out, err := holder.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	_, err = state.Open(path, state.Options{Journal: journalID, LockTimeout: 50 * time.Millisecond})
	if !errors.Is(err, state.ErrLocked) || !strings.Contains(err.Error(), path) {
		t.Errorf("Open: %v, want ErrLocked", err)
	}
	holder.Process.Kill()
	holder.Wait()
	s, err := state.Open(path, state.Options{Journal: journalID})
	if err != nil {
		t.Fatalf("Open after the other process died: %v", err)
	}
	s.Close()
}

// The totals say the same of the same rows, whatever the order, the commits, the
// log's number and the rows that were there before; and another thing of others.
func TestTotals(t *testing.T) {
	rows := []state.Mutation{
		record("a", 1), record("b", 4), record("c", 2),
		{Table: state.Records, Key: []byte("d"), Value: content(3, ""), Withdrawn: true},
		{Table: state.Delegations, Key: []byte("p"), Value: content(1, "p")},
		{Table: state.Delegations, Key: []byte("q"), Value: content(2, ""), Withdrawn: true},
	}
	totals := func(log uint32, batches ...[]state.Mutation) state.Totals {
		s := open(t, state.Options{})
		for _, m := range batches {
			at := s.Published()
			b := state.Batch{Log: log, Position: s.Positions()[log] + 1, At: at, End: at + 9, Mutations: m}
			if err := s.Publish(t.Context(), b); err != nil {
				t.Fatal(err)
			}
			apply(t, s)
		}
		if err := s.Check(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		return s.Totals()[log]
	}
	same := func(a, b state.Totals) bool { // the rest depends on the journal
		a.Local, b.Local = state.Digest{}, state.Digest{}
		return a == b
	}
	want := totals(1, rows)
	if want.Live != 3 || want.Withdrawn != 1 || want.Delegations != 1 || want.Revoked != 1 {
		t.Errorf("totals are %+v", want)
	}
	reversed := slices.Clone(rows)
	slices.Reverse(reversed)
	before := []state.Mutation{record("b", 3), record("d", 2), {Table: state.Records, Key: []byte("c"), Value: content(1, ""), Withdrawn: true}}
	if got := totals(77, before, reversed[:2], reversed[2:], rows); !same(got, want) {
		t.Errorf("totals of the same rows are %+v, want %+v", got, want)
	}
	for i := range rows {
		changed := slices.Clone(rows)
		changed[i].Value = append(slices.Clone(changed[i].Value), 'x')
		if got := totals(1, changed); got.Records == want.Records && got.Others == want.Others {
			t.Errorf("the digests do not change with row %d", i)
		}
	}
}

func TestDigestArithmetic(t *testing.T) {
	one, top := state.Digest{31: 1}, state.Digest(bytes.Repeat([]byte{0xff}, 32))
	if got := state.AddDigests(top, one); got != (state.Digest{}) {
		t.Errorf("2²⁵⁶-1 + 1 = %x, want 0", got)
	}
	if got := state.SubDigests(state.Digest{}, one); got != top {
		t.Errorf("0 - 1 = %x, want 2²⁵⁶-1", got)
	}
	if got, want := state.AddDigests(state.Digest{24: 0xff, 25: 0xff, 26: 0xff, 27: 0xff, 28: 0xff, 29: 0xff, 30: 0xff, 31: 0xff}, one), (state.Digest{23: 1}); got != want {
		t.Errorf("2⁶⁴-1 + 1 = %x, want %x", got, want)
	}
}

// Pages are filled where keys arrive in order: in one stretch, in several at once,
// and one at a time. 17 of these rows fit on a page; 95 % are 16, and of single rows
// bbolt leaves 15, since it keeps three for the page behind.
func TestFill(t *testing.T) {
	if testing.Short() {
		t.Skip("takes many commits")
	}
	value := content(1, strings.Repeat("v", 191))
	row := func(prefix byte, i int) state.Mutation {
		return state.Mutation{Table: state.Records, Key: fmt.Appendf(nil, "88\x00118\x00%c\x00\x01%08d", prefix, i), Value: value}
	}
	for _, c := range []struct {
		name    string
		commits int
		rows    func(commit int) []state.Mutation
		least   float64 // of the leaf pages' octets
	}{
		{"one stretch", 40, func(n int) (rows []state.Mutation) {
			for i := range 500 {
				rows = append(rows, row('a', n*500+i))
			}
			return rows
		}, 0.92},
		{"eight registrars", 40, func(n int) (rows []state.Mutation) {
			for i := range 500 {
				rows = append(rows, row('a'+byte(i%8), n*63+i/8))
			}
			return rows
		}, 0.9},
		{"one at a time, before others", 600, func(n int) []state.Mutation {
			if n == 0 {
				return []state.Mutation{row('z', 1), row('z', 2), row('a', 0)}
			}
			return []state.Mutation{row('a', n)}
		}, 0.84},
		{"three, one at a time", 900, func(n int) []state.Mutation { return []state.Mutation{row('a'+byte(n%3), n/3)} }, 0.84},
	} {
		path := filepath.Join(t.TempDir(), "state.db")
		s, err := state.Open(path, state.Options{})
		if err != nil {
			t.Fatal(err)
		}
		rows := 0
		for n := range c.commits {
			m := c.rows(n)
			rows += len(m)
			publish(t, s, m...)
			apply(t, s)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		p, err := state.PagesOf(path, state.Records)
		if err != nil {
			t.Fatal(err)
		}
		pages := len(p.Leaves)
		fill := float64(p.Used) / float64(pages*4096)
		t.Logf("%s: %d rows in %d leaf pages, %.3f full, %.0f octets a row", c.name, rows, pages, fill, float64(pages*4096)/float64(rows))
		if fill < c.least {
			t.Errorf("%s: leaf pages are %.3f full, want %.2f", c.name, fill, c.least)
		}
	}
}
