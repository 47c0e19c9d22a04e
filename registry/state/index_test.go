package state_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nameplate-id/nameplate/registry/state"
)

// indexed is a state with an index, and what it should hold.
type indexed struct {
	t    testing.TB
	path string
	s    *state.Store
	end  uint64
	want map[string]string // live records of log 0
}

func newIndexed(t testing.TB) *indexed {
	x := &indexed{t: t, path: filepath.Join(t.TempDir(), "state.db"), want: map[string]string{}}
	x.open()
	t.Cleanup(func() { x.s.Close() })
	return x
}

func (x *indexed) index() string { return x.path + ".index" }

func (x *indexed) options() state.Options {
	return state.Options{Journal: journalID, Index: x.index(), Gather: time.Millisecond}
}

func (x *indexed) open() {
	x.t.Helper()
	var err error
	if x.s, err = state.Open(x.path, x.options()); err != nil {
		x.t.Fatalf("Open: %v", err)
	}
}

// close closes the state, or leaves it as a crash does, and opens it again.
func (x *indexed) again(crash bool) {
	x.t.Helper()
	leave := x.s.Close
	if crash {
		leave = x.s.Abandon
	}
	if err := leave(); err != nil {
		x.t.Fatal(err)
	}
	x.open()
}

// put publishes records and commits them. An empty value is a tombstone.
func (x *indexed) put(version uint64, rows map[string]string) {
	x.t.Helper()
	b := state.Batch{Position: x.end + 1, At: x.end, End: x.end + 1}
	for key, text := range rows {
		m := state.Mutation{Table: state.Records, Key: []byte(key), Value: content(version, text), Withdrawn: text == ""}
		b.Mutations = append(b.Mutations, m)
		delete(x.want, key)
		if text != "" {
			x.want[key] = string(content(version, text))
		}
	}
	x.end++
	if err := x.s.Publish(x.t.Context(), b); err != nil {
		x.t.Fatal(err)
	}
	if err := x.s.Apply(); err != nil {
		x.t.Fatal(err)
	}
}

// fill puts so many records.
func (x *indexed) fill(version uint64, n int) {
	rows := map[string]string{}
	for i := range n {
		rows[key(i)] = fmt.Sprintf("record %d of version %d", i, version)
	}
	x.put(version, rows)
}

func key(i int) string { return fmt.Sprintf("88\x00118\x008\x00\x01sn-%06d", i*37%1000003) }

// wrong returns how many records are not found as they are, both ways. Of some keys
// there is no record.
func (x *indexed) wrong() int {
	x.t.Helper()
	wrong := 0
	err := x.s.View(func(r *state.Reader) error {
		wanted := []state.Wanted{{Key: []byte("absent")}, {Key: []byte("88\x00")}}
		for k := range x.want {
			wanted = append(wanted, state.Wanted{Key: []byte(k)})
		}
		r.LiveAll(wanted)
		for _, w := range wanted {
			want := x.want[string(w.Key)]
			if string(w.Value) != want || string(r.Get(state.Records, 0, w.Key)) != want {
				wrong++
			}
		}
		return nil
	})
	if err != nil {
		x.t.Fatal(err)
	}
	return wrong
}

func (x *indexed) check() {
	x.t.Helper()
	if wrong := x.wrong(); wrong > 0 {
		x.t.Fatalf("%d of %d records are not found as they are", wrong, len(x.want))
	}
}

// share returns which part of the records the index leads to.
func (x *indexed) share() float64 {
	x.t.Helper()
	known := 0
	err := x.s.View(func(r *state.Reader) error {
		for k := range x.want {
			if r.Indexed(0, []byte(k)) {
				known++
			}
		}
		return nil
	})
	if err != nil {
		x.t.Fatal(err)
	}
	return float64(known) / float64(len(x.want))
}

// run lets the applier work until the index knows everything.
func (x *indexed) run() {
	x.t.Helper()
	ctx, stop := context.WithCancel(x.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- x.s.Run(ctx) }()
	if err := x.s.WaitIndexed(ctx); err != nil {
		x.t.Fatal(err)
	}
	stop()
	if err := <-ended; err != nil {
		x.t.Fatal(err)
	}
}

// The index knows what is committed, and nothing that was withdrawn; it is there again
// after a clean stop, and made again after a crash.
func TestIndex(t *testing.T) {
	t.Parallel()
	x := newIndexed(t)
	x.run()
	const most = 0.97 // a bucket has room for eight
	knows := func(when string) {
		t.Helper()
		x.check()
		if got := x.share(); got < most {
			t.Errorf("%s: the index leads to %.3f of the records; want %v", when, got, most)
		}
		if got := x.s.Stats().Index; !got.Complete || got.Err != nil || got.Octets == 0 {
			t.Errorf("%s: got %+v; want a complete index", when, got)
		}
	}
	x.fill(1, 50_000) // doubles the table twice
	x.run()
	knows("after a commit")
	r := rand.New(rand.NewPCG(1, 2))
	for version := range uint64(20) {
		rows := map[string]string{}
		for range 500 {
			i := r.IntN(60_000)
			rows[key(i)] = fmt.Sprint("again ", i)
			if r.IntN(5) == 0 {
				rows[key(i)] = ""
			}
		}
		x.put(version+2, rows)
		x.check()
	}
	x.run() // the table may have been doubled again
	knows("after many commits")
	x.again(false)
	knows("after a clean stop")
	x.again(true)
	x.check()
	if got := x.s.Stats().Index; got.Complete {
		t.Errorf("after a crash: got %+v; want an index that knows that it may not know all", got)
	}
	x.run()
	knows("after a crash and some time")
	x.again(true)
	if err := x.s.Abandon(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(x.index()); err != nil {
		t.Fatal(err)
	}
	x.open()
	x.check()
	x.run()
	knows("without the file")
}

// A table that is doubled while it is in use, and from which rows are withdrawn, passes
// the check: rows that had no place before are noted again.
func TestCheckIndexGrown(t *testing.T) {
	t.Parallel()
	x := newIndexed(t)
	x.run()
	check := func(when string) {
		t.Helper()
		x.run()
		if err := x.s.Close(); err != nil {
			t.Fatal(err)
		}
		o := x.options()
		o.Index = ""
		s, err := state.Open(x.path, o)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.CheckIndex(x.index()); err != nil {
			t.Errorf("%s: %v", when, err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		x.open()
	}
	for rows := 5_000; rows <= 60_000; rows += 5_000 {
		x.fill(1, rows)
	}
	check("after it was doubled")
	gone := map[string]string{}
	for i := range 20_000 {
		gone[key(i*3)] = ""
	}
	x.put(2, gone)
	check("after rows were withdrawn")
}

// A check finds one flipped bit, in a hint or in nothing that matters.
func TestCheckIndex(t *testing.T) {
	t.Parallel()
	x := newIndexed(t)
	x.run()
	x.fill(1, 20_000)
	if err := x.s.Close(); err != nil {
		t.Fatal(err)
	}
	sound, err := os.ReadFile(x.index())
	if err != nil {
		t.Fatal(err)
	}
	check := func() error {
		o := x.options()
		o.Index = ""
		s, err := state.Open(x.path, o)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		return s.CheckIndex(x.index())
	}
	if err := check(); err != nil {
		t.Fatalf("a sound index: %v", err)
	}
	for at := 4096; at < len(sound); at += 8 * 1001 {
		if binary.NativeEndian.Uint64(sound[at:]) == 0 {
			continue
		}
		broken := bytes.Clone(sound)
		broken[at+at%7] ^= 1 << (at % 5)
		if err := os.WriteFile(x.index(), broken, 0o600); err != nil {
			t.Fatal(err)
		}
		var damage *state.DamageError
		if err := check(); !errors.As(err, &damage) {
			t.Errorf("octet %d: got %v; want damage", at, err)
		}
	}
	if err := os.Remove(x.index()); err != nil {
		t.Fatal(err)
	}
	if err := check(); err != nil {
		t.Errorf("without an index: %v", err)
	}
	x.open()
}
