package state_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/nameplate-id/nameplate/registry/state"
)

// stale leaves hints to pages that hold the records as they once were, as a crash
// between a commit and the index does.
func stale(t *testing.T) *indexed {
	x := newIndexed(t)
	x.run()
	x.fill(1, 3000)
	if err := x.s.Close(); err != nil {
		t.Fatal(err)
	}
	old, err := os.ReadFile(x.index())
	if err != nil {
		t.Fatal(err)
	}
	x.open()
	x.fill(2, 3000)
	if err := x.s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(x.index(), old, 0o600); err != nil {
		t.Fatal(err)
	}
	x.open()
	return x
}

// Hints to pages that are not of the commit do not count.
func TestIndexStale(t *testing.T) {
	t.Parallel()
	x := stale(t)
	x.check()
	x.run()
	x.check()
}

// If every page were trusted, it would show.
func TestIndexStaleControl(t *testing.T) {
	t.Parallel()
	x := stale(t)
	x.s.TrustPages()
	if x.wrong() == 0 {
		t.Error("hints to old pages are followed and nothing is wrong: the test before cannot fail")
	}
}

// Whatever stands in the index, what is found is what bbolt holds.
func TestIndexGarbage(t *testing.T) {
	t.Parallel()
	x := newIndexed(t)
	x.run()
	x.fill(1, 2000)
	r := rand.New(rand.NewPCG(3, 4))
	for round := range 60 {
		if err := x.s.Close(); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(x.index())
		if err != nil {
			t.Fatal(err)
		}
		switch round % 4 {
		case 0: // flip bits anywhere
			for range 1 + r.IntN(2000) {
				text[r.IntN(len(text))] ^= 1 << r.IntN(8)
			}
		case 1: // hints of other rows
			for range 500 {
				a, b := 4096+8*r.IntN((len(text)-4096)/8), 4096+8*r.IntN((len(text)-4096)/8)
				copy(text[a:a+8], text[b:b+8])
			}
		case 2: // the right tags with any page and element
			for at := 4096; at < len(text); at += 8 {
				if binary.NativeEndian.Uint64(text[at:]) != 0 && r.IntN(3) == 0 {
					binary.NativeEndian.PutUint32(text[at:], uint32(r.IntN(1<<17)))
				}
			}
		case 3:
			text = text[:r.IntN(len(text))]
		}
		if err := os.WriteFile(x.index(), text, 0o600); err != nil {
			t.Fatal(err)
		}
		x.open()
		x.check()
		x.put(uint64(round+2), map[string]string{key(round): fmt.Sprint("round ", round), key(round + 1): ""})
		x.check()
		if round%7 == 0 {
			x.run()
			x.check()
		}
	}
}

// A file that is cut under an open state costs one answer at most.
func TestIndexCut(t *testing.T) {
	t.Parallel()
	x := newIndexed(t)
	x.run()
	x.fill(1, 2000)
	if err := os.Truncate(x.index(), 4096); err != nil {
		t.Fatal(err)
	}
	var damage *state.DamageError
	err := x.s.View(func(r *state.Reader) error { r.Live(state.Records, 0, []byte(key(1))); return nil })
	if !errors.As(err, &damage) {
		t.Fatalf("got %v; want damage, once", err)
	}
	x.check()
	x.put(2, map[string]string{key(1): "more"})
	x.check()
}

// An index counts beside the very file that it was closed with. One that was built anew, or
// put back, may have had as many commits and have got as far, with its rows on other pages:
// then the index is no damage, and is made again.
func TestIndexOfAnotherFile(t *testing.T) {
	t.Parallel()
	build := func(first int) *indexed {
		x := newIndexed(t)
		x.run()
		for i := range 2 {
			rows := map[string]string{}
			for j := range 2_000 {
				rows[key((first+i)%2*2_000+j)] = "one"
			}
			x.put(1, rows)
			if err := x.s.WaitApplied(t.Context(), x.end); err != nil {
				t.Fatal(err)
			}
		}
		if err := x.s.WaitIndexed(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := x.s.Close(); err != nil {
			t.Fatal(err)
		}
		return x
	}
	x, y := build(0), build(1)
	now, err := os.ReadFile(y.path)
	if err == nil {
		err = os.WriteFile(x.path, now, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	o := x.options()
	o.Index = ""
	s, err := state.Open(x.path, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.CheckIndex(x.index()), s.Close()); err != nil {
		t.Error(err)
	}
	x.open()
	if x.s.Stats().Index.Complete {
		t.Error("the index of another file counts as whole")
	}
	x.check()
}
