package registry_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nameplate-id/nameplate/registry"
	"github.com/nameplate-id/nameplate/registry/history"
	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/replica"
)

// heldCopy is a copy of a log as another top-level node holds it.
type heldCopy struct {
	log   identifier.LogID
	units []*replica.Unit
}

func (c heldCopy) Mirrored(_ context.Context, position uint64) (history.Held, error) {
	if len(c.units) == 0 {
		return history.Held{}, history.ErrNotMirrored
	}
	held := history.Held{Log: c.log, Size: c.units[len(c.units)-1].End()}
	for _, u := range c.units {
		if u.Start <= position && position < u.End() {
			held.Unit = u
		}
	}
	return held, nil
}

func (c heldCopy) Of(identifier.LogID) history.Upper { return c }

// copyOf returns the first size entries of a node's log, in units of so many.
func copyOf(n *node, size, portion uint64) heldCopy {
	n.t.Helper()
	c := heldCopy{log: n.LogID()}
	source := n.Source()
	for at := uint64(0); at < size; {
		payloads, err := source.Entries(at, int(min(portion, size-at)), 1<<20)
		if err != nil {
			n.t.Fatal(err)
		}
		u := &replica.Unit{Start: at, Payloads: payloads}
		if u.Checkpoint, u.Root, err = source.SignCheckpoint(u.End()); err != nil {
			n.t.Fatal(err)
		}
		c.units, at = append(c.units, u), u.End()
	}
	return c
}

// away is a node that does not answer.
type away struct{}

func (away) Of(identifier.LogID) history.Upper { return away{} }

func (away) Mirrored(context.Context, uint64) (history.Held, error) {
	return history.Held{}, errors.New("nobody is there")
}

// Of what the other top-level nodes hold, the history that is not the node's own is joined
// with it, if enough of them say what they hold, and if it is one.
func TestOtherHistory(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	holder, d := maker(t, n)
	fill(t, n, holder, d, 0, 2) // five entries
	n.mustStop()
	folders := t.TempDir()
	branch := func(name string, from, to int) *node {
		folder := filepath.Join(folders, name)
		if err := os.CopyFS(folder, os.DirFS(n.config.Folder)); err != nil {
			t.Fatal(err)
		}
		x := openNode(t, registry.Config{Folder: folder})
		fill(t, x, holder, d, from, to)
		return x
	}
	upper, third, own := branch("upper", 10, 16), branch("third", 20, 22), branch("own", 30, 32)
	size := func(x *node) uint64 { return x.status().Position }
	small, large := copyOf(upper, size(upper)-2, 2), copyOf(upper, size(upper), 3)
	ours, early, other, nothing := copyOf(own, size(own)-1, 1), copyOf(own, 4, 4), copyOf(third, size(third), 2), heldCopy{}
	own.mustStop()
	for name, c := range map[string]struct {
		uppers []history.Upper
		want   int // index
		err    string
	}{
		"the larger one":             {[]history.Upper{small, large, ours, early}, 1, ""},
		"one that is not like it":    {[]history.Upper{ours, early, nothing, small}, 3, ""},
		"three of four":              {[]history.Upper{away{}, nothing, small, ours}, 2, ""},
		"two of four":                {[]history.Upper{away{}, nothing, small, away{}}, 0, "2 of 4 other top-level nodes have an answer, and 3 must"},
		"the one of two that is not": {[]history.Upper{away{}, small}, 0, "1 of 2 other top-level nodes have an answer, and 2 must"},
		"three histories":            {[]history.Upper{small, ours, other, large}, 0, "two histories of log"},
		"nobody holds any":           {[]history.Upper{nothing, nothing}, 0, "no log of this node is mirrored there"},
		"nobody holds another":       {[]history.Upper{early, ours}, 1, ""},
	} {
		got, err := own.config.OtherHistory(t.Context(), c.uppers)
		switch {
		case c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)):
			t.Errorf("%s: %v, want an error: %s", name, err, c.err)
		case c.err != "":
		case err != nil:
			t.Errorf("%s: %v", name, err)
		default:
			x, _ := got.Mirrored(t.Context(), 0)
			want, _ := c.uppers[c.want].Mirrored(t.Context(), 0)
			if x.Size != want.Size {
				t.Errorf("%s: the copy of %d entries is chosen, want that of %d", name, x.Size, want.Size)
			}
		}
	}

	// The log that continues both counts wherever one of the two is held.
	var handed []registry.Handed
	told, err := own.config.Resolve(t.Context(), large, "", func(h *registry.Handed) error {
		if h != nil {
			handed = append(handed, *h)
		}
		return nil
	})
	if err != nil || told.Handed != 0 || told.Upper == 0 || told.Own == 0 {
		t.Fatalf("%+v, %+v, %v", told, handed, err)
	}
	own.start()
	for name, c := range map[string]struct {
		held heldCopy
		good bool
	}{"the other": {large, true}, "a part of it": {small, true}, "the node's own": {ours, true}, "what both share": {early, true}, "a third one": {other, false}} {
		w := openNode(t, registry.Config{Folder: t.TempDir(), Peers: []identifier.PublicKey{n.root.Public()}})
		keep := func(c heldCopy) *replica.Refusal {
			m, err := w.Mirror(t.Context(), c.log, n.root.Public(), n.root.Public(), 0)
			if err != nil {
				t.Fatal(err)
			}
			if r := m.Begins(c.units[0].Payloads[0]); r != nil {
				return r
			}
			for _, u := range c.units {
				synced := make(chan struct{})
				if err := m.Append(t.Context(), u, func() { close(synced) }); err != nil {
					t.Fatal(err)
				}
				<-synced
			}
			return nil
		}
		if r := keep(c.held); r != nil {
			t.Fatal(r)
		}
		if r := keep(copyOf(own, size(own), 256)); (r == nil) != c.good {
			t.Errorf("%s is held: %v", name, r)
		} else if list := w.Mirrors(); c.good && (len(list) != 2 || !list[1].Counts || list[1].Bad != 0) {
			t.Errorf("%s is held: %+v", name, list)
		}
	}
}

// What comes from above may be anything: it is refused, whatever it lacks.
func TestHeldWithoutItsBeginning(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.mustStop()
	folder := t.TempDir()
	if err := copyFile(filepath.Join(folder, "node.key"), filepath.Join(n.config.Folder, "node.key")); err != nil {
		t.Fatal(err)
	}
	x := openNode(t, registry.Config{Folder: folder}) // another log of the same node
	holder, d := maker(t, x)
	fill(t, x, holder, d, 0, 2)
	held := copyOf(x, x.status().Position, 2)
	whole := held.units
	for name, units := range map[string][]*replica.Unit{
		"nothing at its beginning":     whole[1:],
		"another unit in its place":    append([]*replica.Unit{{Start: 0, Payloads: whole[1].Payloads, Checkpoint: whole[1].Checkpoint}}, whole[1:]...),
		"a unit that has no entries":   append([]*replica.Unit{{Start: 0, Checkpoint: whole[0].Checkpoint}}, whole[1:]...),
		"a checkpoint of another size": append([]*replica.Unit{{Start: 0, Payloads: whole[0].Payloads[:1], Checkpoint: whole[0].Checkpoint}}, whole[1:]...),
	} {
		if _, err := n.config.OtherHistory(t.Context(), []history.Upper{heldCopy{held.log, units}}); err == nil || !strings.Contains(err.Error(), "0 of 1 other top-level nodes have an answer") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := n.config.OtherHistory(t.Context(), []history.Upper{held}); err != nil {
		t.Errorf("all of it: %v", err)
	}
}
