package replica_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/replica"
)

// fenced returns the first fence behind so many entries.
func (n *node) fenced(size uint64) (first replica.Fence) {
	for _, f := range n.fences {
		if f.Size > size && (first.Size == 0 || f.Size < first.Size) {
			first = f
		}
	}
	return first
}

// lateEntries plays a child that has said in a Hello that it has many more entries than it
// has, and goes on below that. It reports whether one of them gets into the mirror.
func lateEntries(t *testing.T, left replica.Rule) error {
	w, n := mirror(t, 5, left)
	n.fences = []replica.Fence{{Size: 1 << 40, Root: identifier.Hash{1}}}
	w.connect(n)
	grow(w, n, 1)
	n.tainted = true
	must(t, w.settle(n))
	if r := n.parent.Refusal(); left == 0 && (r == nil || r.Reason != replica.Unproved || !r.Reason.Passing()) {
		t.Errorf("got refusal %v, want unproved", r)
	}
	if n.floor > 5 {
		return fmt.Errorf("the mirror has %d entries, and took in what was not there when it was fenced", n.floor)
	}
	return nil
}

// What a child sends up to a fence has to be what it had there: with the proof, in a
// message that does not go past it. One that had it gets through, whatever follows.
func TestFence(t *testing.T) {
	const at = 300 // more than a message has
	other := identifier.Hash{1}
	for name, c := range map[string]struct {
		harm func(e *replica.Entries)
		want replica.Reason
	}{
		"as it is":         {func(*replica.Entries) {}, 0},
		"no proof":         {func(e *replica.Entries) { e.Proof = nil }, replica.Unproved},
		"another proof":    {func(e *replica.Entries) { e.Proof[0] = other }, replica.Unproved},
		"half of a proof":  {func(e *replica.Entries) { e.Proof = e.Proof[1:] }, replica.Unproved},
		"a proof too long": {func(e *replica.Entries) { e.Proof = make([]identifier.Hash, 1000) }, replica.Unproved},
	} {
		t.Run(name, func(t *testing.T) {
			w, n := begin(t, at, 0)
			root, err := n.log.Root(at)
			must(t, err)
			n.fences = []replica.Fence{{Size: at, Root: root}}
			e := *sendEntries(t, w, n)
			if len(e.Payloads) != replica.MaxEntries || len(e.Proof) == 0 {
				t.Fatalf("the child sends %d entries and a proof of %d hashes", len(e.Payloads), len(e.Proof))
			}
			c.harm(&e)
			n.tainted = c.want != 0
			must(t, w.toParent(n, &e))
			if c.want != 0 {
				if r := n.parent.Refusal(); r == nil || r.Reason != c.want {
					t.Errorf("got refusal %v, want %v", r, c.want)
				}
				return
			}
			// More is there by the time that the rest goes.
			grow(w, n, 10)
			rest := sendEntries(t, w, n)
			if end := rest.Start + uint64(len(rest.Payloads)); end != at || len(rest.Proof) != 0 {
				t.Errorf("the child sends up to %d with a proof of %d hashes, the fence is at %d", end, len(rest.Proof), at)
			}
			must(t, w.toParent(n, rest))
			must(t, errors.Join(w.settle(n), w.check()))
			if n.floor != at+10 || n.parent.Refusal() != nil {
				t.Errorf("the mirror has %d entries, want %d; %v", n.floor, at+10, n.parent.Refusal())
			}
		})
	}
}

// A message that goes past a fence which it begins before is not taken: the child might hide
// behind its end what was not there.
func TestFenceIsNotSteppedOver(t *testing.T) {
	w, n := begin(t, 5, 0)
	e := sendEntries(t, w, n)
	root, err := n.log.Root(3)
	must(t, err)
	n.fences = []replica.Fence{{Size: 3, Root: root}}
	w.connect(n)
	for !n.child.Status().Connected {
		w.send(n, false)
		w.send(n, true)
		must(t, errors.Join(w.deliver(n, false, oldest), w.deliver(n, true, oldest)))
	}
	again := *e
	again.Session = sendEntries(t, w, n).Session
	n.tainted = true
	must(t, w.toParent(n, &again))
	if r := n.parent.Refusal(); r == nil || r.Reason != replica.Unproved {
		t.Errorf("got refusal %v, want unproved", r)
	}
}

// A child that has passed one fence hears of the next one in another Welcome.
func TestTwoFences(t *testing.T) {
	w, n := begin(t, 10, 0)
	for _, size := range []uint64{4, 7} {
		root, err := n.log.Root(size)
		must(t, err)
		n.fences = append(n.fences, replica.Fence{Size: size, Root: root})
	}
	must(t, w.settle(n))
	if r := n.parent.Refusal(); r == nil || r.Reason != replica.Unavailable || n.floor != 4 {
		t.Fatalf("got refusal %v at %d, want the child to connect again at 4", r, n.floor)
	}
	w.connect(n)
	must(t, w.settle(n))
	if n.floor != 10 || n.parent.Refusal() != nil {
		t.Errorf("the mirror has %d entries, want 10; %v", n.floor, n.parent.Refusal())
	}
}
