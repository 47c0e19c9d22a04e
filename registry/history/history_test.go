package history_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/nameplate-id/nameplate/registry/history"
	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/journal"
	"github.com/nameplate-id/nameplate/registry/replica"
	"github.com/nameplate-id/nameplate/registry/replica/replicatest"
)

var node = replicatest.NodeKey(1)

// log is one history of a log, in memory.
type log struct {
	payloads [][]byte
	tree     *journal.Tree
	tiles    map[[2]uint64][]byte
}

// logOf returns a log of entries with these numbers.
func logOf(numbers ...uint64) *log {
	l := &log{tiles: make(map[[2]uint64][]byte)}
	var err error
	if l.tree, err = journal.OpenTree(0, l); err != nil {
		panic(err)
	}
	for _, n := range numbers {
		payload := replicatest.Entry(n, 0)
		leaf, err := identifier.EntryLeaf(payload)
		if err != nil {
			panic(err)
		}
		l.payloads = append(l.payloads, payload)
		for _, tile := range l.tree.Append(leaf) {
			l.tiles[[2]uint64{uint64(tile.Level), tile.Index}] = slices.Clone(tile.Hashes)
		}
	}
	return l
}

func (l *log) size() uint64 { return uint64(len(l.payloads)) }

func (l *log) Tile(level int, index uint64) ([]byte, error) {
	return l.tiles[[2]uint64{uint64(level), index}], nil
}

func (l *log) Leaf(position uint64) ([]byte, error) {
	return identifier.EntryLeaf(l.payloads[position])
}

func (l *log) own() history.Own {
	return history.Own{Log: replicatest.LogID(1), Node: node.Public(), Size: l.size(), Root: l.tree.Root(), Store: l}
}

// held is a log as another node holds it.
type held struct {
	id      identifier.LogID
	portion uint64 // entries in a unit
	row     uint64
	*log
}

func (h held) Of(identifier.LogID) history.Upper { return h }

func (h held) Mirrored(_ context.Context, position uint64) (history.Held, error) {
	found := history.Held{Log: h.id, Size: h.size(), Row: h.row, Policy: identifier.PolicyMirror}
	if position >= h.size() {
		return found, nil
	}
	start := position - position%h.portion
	u := &replica.Unit{Start: start, Payloads: h.payloads[start:min(start+h.portion, h.size())]}
	u.Root = replicatest.Root(h.payloads[:u.End()])
	u.Checkpoint = replicatest.SignCheckpoint(u.End(), u.Root, h.id, node)
	found.Unit = u
	return found, nil
}

// away holds nothing of the node.
type away struct{}

func (away) Of(identifier.LogID) history.Upper { return away{} }

func (away) Mirrored(context.Context, uint64) (history.Held, error) {
	return history.Held{}, fmt.Errorf("nobody knows the node: %w", history.ErrNotMirrored)
}

// numbers returns entries from one number to below another.
func numbers(from, to uint64) (list []uint64) {
	for ; from < to; from++ {
		list = append(list, from)
	}
	return list
}

// check compares what is found of two logs that share their beginning with what was put there.
func check(p *history.Parting, own, upper *log, shared uint64) error {
	if forked := shared < min(own.size(), upper.size()); p.Forked() != forked {
		return fmt.Errorf("forked: %v, want %v", p.Forked(), forked)
	}
	if p.Shared != shared || p.Size != upper.size() {
		return fmt.Errorf("they share %d entries of %d, want %d of %d", p.Shared, p.Size, shared, upper.size())
	}
	if a := p.After; p.Forked() && (a.Size <= shared || a.Held != replicatest.Root(upper.payloads[:a.Size]) || a.Own != replicatest.Root(own.payloads[:a.Size]) || a.Held == a.Own) {
		return fmt.Errorf("that they part is not shown by %+v", a)
	}
	if base := max(own.size(), upper.size()); p.After.Base != base || !p.After.Continues(replicatest.LogID(1)) {
		return fmt.Errorf("the next log begins at %d, want %d: %+v", p.After.Base, base, p.After)
	}
	at := shared
	err := p.Entries(context.Background(), func(position uint64, payload []byte) error {
		if position != at || !slices.Equal(payload, upper.payloads[position]) {
			return fmt.Errorf("entry %d is given at %d", position, at)
		}
		at++
		return nil
	})
	if err == nil && at != upper.size() {
		err = fmt.Errorf("%d entries are given, want %d", at-shared, upper.size()-shared)
	}
	return err
}

// Where two histories part is found, whatever each has behind that and in whatever units the
// one above is held.
func TestCompare(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		shared := rapid.Uint64Range(1, 40).Draw(t, "shared")
		own := logOf(append(numbers(0, shared), numbers(1000, 1000+rapid.Uint64Range(0, 20).Draw(t, "own"))...)...)
		upper := logOf(append(numbers(0, shared), numbers(2000, 2000+rapid.Uint64Range(0, 20).Draw(t, "upper"))...)...)
		portion := rapid.Uint64Range(1, 30).Draw(t, "portion")
		p, err := history.Compare(context.Background(), own.own(), held{replicatest.LogID(1), portion, 0, upper})
		if err == nil {
			err = check(p, own, upper, shared)
		}
		if err != nil {
			t.Fatal(err)
		}
	})
}

// What is not two histories of one log is told apart.
func TestCompareWithout(t *testing.T) {
	t.Parallel()
	own := logOf(numbers(0, 5)...)
	for name, c := range map[string]struct {
		upper  history.Upper
		why    identifier.Succession
		shared uint64
	}{
		"nobody to ask":              {nil, identifier.AfterRestore, 5},
		"nobody who holds it":        {away{}, 0, 5},
		"both have lost something":   {held{replicatest.LogID(1), 2, 9, logOf(numbers(0, 3)...)}, identifier.AfterLoss, 3},
		"a log of which a row tells": {held{replicatest.LogID(2), 2, 9, logOf()}, identifier.AfterLoss, 0},
	} {
		p, err := history.Compare(t.Context(), own.own(), c.upper)
		if err != nil || p.After.Why != c.why || p.Shared != c.shared || p.Forked() {
			t.Errorf("%s: %+v, %v", name, p, err)
		}
	}
}

// tampered has another payload in the last unit.
type tampered struct{ held }

func (x tampered) Mirrored(ctx context.Context, position uint64) (history.Held, error) {
	found, err := x.held.Mirrored(ctx, position)
	if u := found.Unit; u != nil && u.End() == found.Size {
		u.Payloads = slices.Clone(u.Payloads)
		u.Payloads[len(u.Payloads)-1] = replicatest.Entry(7777, 0)
	}
	return found, err
}

// Entries that the node has not signed are not given out; and where the rule is left out, they
// are.
func TestEntriesAddUp(t *testing.T) {
	t.Parallel()
	own := logOf(0, 1, 2, 10)
	upper := tampered{held{replicatest.LogID(1), 3, 0, logOf(0, 1, 2, 20, 21, 22, 23)}}
	given := func(left history.Rule) (n int, err error) {
		p, err := history.Compare(t.Context(), own.own(), upper)
		if err != nil {
			t.Fatal(err)
		}
		p.LeaveOut(left)
		err = p.Entries(t.Context(), func(uint64, []byte) error { n++; return nil })
		return n, err
	}
	if n, err := given(0); n != 3 || err == nil || !strings.Contains(err.Error(), "entries 6 to 6") {
		t.Errorf("%d entries are given: %v", n, err)
	}
	if n, err := given(history.RuleAddsUp); n != 4 || err != nil {
		t.Errorf("without the rule %d entries are given: %v", n, err)
	}
}

// An error of whoever reads the entries ends that.
func TestEntriesEnd(t *testing.T) {
	t.Parallel()
	p, err := history.Compare(t.Context(), logOf(0, 10).own(), held{replicatest.LogID(1), 2, 0, logOf(0, 20, 21, 22)})
	if err != nil {
		t.Fatal(err)
	}
	want := errors.New("enough")
	if err := p.Entries(t.Context(), func(uint64, []byte) error { return want }); !errors.Is(err, want) {
		t.Error(err)
	}
}
