package registry_test

import (
	"fmt"
	"testing"

	"github.com/nameplate-id/nameplate/registry/identifier"
)

// push brings what is kept of the child's log up to date, as its policy says.
func (f *family) push() {
	f.parent.t.Helper()
	switch f.mirror.Policy() {
	case identifier.PolicyPointer:
		f.sendAs(identifier.SealEntry)
	case identifier.PolicyWitness:
		f.advance()
	default:
		f.send()
	}
}

// keepAs delegates the child's prefix again, with another policy.
func (f *family) keepAs(p identifier.Policy) {
	f.parent.t.Helper()
	f.delegation.Epoch++
	f.delegation.Keyset.Version++
	f.delegation.Policy = p
	f.parent.mustDelegate(f.delegation, f.parent.root)
}

// What is kept of a log can be changed, from each policy to each. What was kept before counts
// until the other has as much; that is so after a start at any time, and by a check.
func TestPolicyChanges(t *testing.T) {
	all := []identifier.Policy{identifier.PolicyMirror, identifier.PolicyPointer, identifier.PolicyWitness}
	for _, from := range all {
		for _, to := range all {
			if from == to {
				continue
			}
			t.Run(fmt.Sprintf("%v to %v", from, to), func(t *testing.T) {
				f := newKept(t, from)
				register := func(i int) {
					t.Helper()
					f.child.mustRegister(signed(t, f.holder, f.delegation, put(mustID(t, serial(i)), nil, link("https://maker.example/n"))))
				}
				for i := range 5 {
					register(i)
				}
				f.push()
				before := f.size
				f.keepAs(to)
				if why := f.mirror.Overdue(); why == "" {
					t.Error("the child need not say Hello again")
				}
				f.takeGrants()
				register(5)

				f.join()
				// A witness begins with the checkpoint that is there; the others from nothing.
				held, now, next, begins := before, from, to.String(), uint64(0)
				if to == identifier.PolicyWitness {
					held, now, next, begins = 0, to, "", before
				}
				meanwhile := func(where string) {
					t.Helper()
					if f.mirror.Policy() != to || f.mirror.Held() != held || f.size != begins || f.mirror.Overdue() != "" {
						t.Fatalf("%s: policy %v, %d of %d entries are held beside, %q; want %v and %d", where, f.mirror.Policy(), f.mirror.Held(), f.size, f.mirror.Overdue(), to, held)
					}
					if row, err := f.mirror.Row(); err != nil || row.Size != held {
						t.Errorf("%s: the row is %+v, %v; want what was kept before", where, row, err)
					}
					s := f.parent.Mirrors()
					if len(s) != 1 || s[0].Policy != now.String() || s[0].Size != before || s[0].Next != next {
						t.Errorf("%s: %+v", where, s)
					}
					copied, _ := f.parent.CopyOf(f.child.root.Public())
					if (copied != nil) != (now == identifier.PolicyMirror) {
						t.Errorf("%s: a copy answers: %v", where, copied != nil)
					}
				}
				meanwhile("meanwhile")
				f.parent.restart()
				f.join()
				meanwhile("after a start")
				f.push()

				check := func(where string) {
					t.Helper()
					if err := f.parent.WaitApplied(t.Context()); err != nil {
						t.Fatal(err)
					}
					identifiers := uint64(6)
					if to == identifier.PolicyWitness {
						identifiers = 0
					}
					s := f.parent.Mirrors()
					root, err := f.child.Source().Root(f.size)
					if err != nil || len(s) != 1 || s[0].Policy != to.String() || s[0].Next != "" || s[0].Size != f.size || s[0].Root != root ||
						s[0].Bad != 0 || s[0].Identifiers != identifiers || !s[0].Counts {
						t.Errorf("%s: %+v, %v", where, s, err)
					}
					copied, _ := f.parent.CopyOf(f.child.root.Public())
					if (copied != nil) != (to == identifier.PolicyMirror) {
						t.Errorf("%s: a copy answers: %v", where, copied != nil)
					}
				}
				check("at once")
				f.parent.restart()
				f.join()
				check("after a start")
				// And back, twice: nothing is in the way of what was begun before.
				for range 2 {
					f.keepAs(from)
					f.takeGrants()
					f.join()
					f.keepAs(to)
					f.takeGrants()
					f.join()
					f.push()
				}
				check("after more changes")
				f.parent.restart()
				f.join()
				check("after a start behind them")
				f.parent.check()
			})
		}
	}
}

// A child that lacks entries gets them back from what has them, before that is given up.
func TestPolicyChangeAfterTheChildHealed(t *testing.T) {
	f := newKept(t, identifier.PolicyMirror)
	f.child.mustRegister(signed(t, f.holder, f.delegation, put(mustID(t, serial(1)), nil, link("https://maker.example/n"))))
	f.push()
	f.keepAs(identifier.PolicyWitness)
	m, err := f.parent.Mirror(t.Context(), f.child.LogID(), f.child.root.Public(), f.child.root.Public(), f.size-1)
	if err != nil || m.Policy() != identifier.PolicyMirror || m.Overdue() != "" {
		t.Errorf("a child with fewer entries: policy %v, overdue %q, %v", m.Policy(), m.Overdue(), err)
	}
}

// No policy is the policy of a log whose node has no prefix any more.
func TestPolicyOfANodeWithoutPrefixes(t *testing.T) {
	f := newKept(t, identifier.PolicyPointer)
	f.push()
	moved := *f.delegation
	moved.Epoch, moved.Keyset.Version = 2, 2
	node := *f.delegation.Node
	node.Key = newKey(t).Public()
	moved.Node, moved.Policy = &node, identifier.PolicyMirror
	f.parent.mustDelegate(&moved, f.parent.root)
	f.join()
	if f.mirror.Policy() != identifier.PolicyPointer || f.mirror.Overdue() != "" {
		t.Errorf("policy %v, overdue %q", f.mirror.Policy(), f.mirror.Overdue())
	}
}
