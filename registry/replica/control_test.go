package replica_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/nameplate-id/nameplate/registry/replica"
)

// What a parent asks for, with the rule and without it.
func TestControlRules(t *testing.T) {
	for name, c := range map[string]struct {
		rule replica.Rule
		play func(*testing.T, replica.Rule) error
	}{
		"a disk that is nearly full":     {replica.RulePause, pausedChild},
		"a pause whose message was lost": {replica.RulePause, lostPause},
		"a parent that is being stopped": {replica.RuleDrain, drainedChild},
	} {
		t.Run(name, func(t *testing.T) {
			if err := c.play(t, 0); err != nil {
				t.Errorf("with all rules: %v", err)
			}
			if err := c.play(t, c.rule); err == nil {
				t.Error("without the rule: nothing is wrong")
			}
		})
	}
}

const lowDisk = "the disk is nearly full"

// A child that is told to wait waits, says why, and goes on when it may: also on another
// stream.
func pausedChild(t *testing.T, left replica.Rule) error {
	w, n := mirror(t, 3, left)
	n.parent.Pause(lowDisk)
	must(t, w.settle(n))
	if got := n.child.Status().Paused; got != lowDisk {
		t.Fatalf("the child waits because %q, want %q", got, lowDisk)
	}
	grow(w, n, 3)
	must(t, w.settle(n))
	if n.floor != 3 {
		return fmt.Errorf("the mirror has %d entries, want 3", n.floor)
	}
	w.connect(n)
	must(t, w.settle(n))
	if s := n.child.Status(); n.floor != 3 || s.Paused != lowDisk {
		return fmt.Errorf("on another stream the mirror has %d entries, want 3; the child waits because %q", n.floor, s.Paused)
	}
	n.parent.Resume()
	must(t, w.settle(n))
	if s := n.child.Status(); n.floor != 6 || s.Paused != "" {
		return fmt.Errorf("when it may, the mirror has %d entries, want 6; the child waits because %q", n.floor, s.Paused)
	}
	return nil
}

// The message is lost; the next heartbeat brings it again.
func lostPause(t *testing.T, left replica.Rule) error {
	w, n := mirror(t, 3, left)
	n.parent.Pause(lowDisk)
	for n.parent.Next() != nil {
	}
	n.parent.Tick()
	must(t, w.settle(n))
	grow(w, n, 3)
	must(t, w.settle(n))
	if s := n.child.Status(); n.floor != 3 || s.Paused != lowDisk {
		return fmt.Errorf("the mirror has %d entries, want 3; the child waits because %q", n.floor, s.Paused)
	}
	// So is the one that says to go on.
	n.parent.Resume()
	for n.parent.Next() != nil {
	}
	n.parent.Tick()
	must(t, w.settle(n))
	if s := n.child.Status(); n.floor != 6 || s.Paused != "" {
		return fmt.Errorf("when it may, the mirror has %d entries, want 6; the child waits because %q", n.floor, s.Paused)
	}
	return nil
}

// A child that is drained sends nothing more, ends the stream when what it has sent is
// acknowledged, and not before.
func drainedChild(t *testing.T, left replica.Rule) error {
	w, n := begin(t, 5, left)
	must(t, w.toParent(n, sendEntries(t, w, n)))
	grow(w, n, 3)
	n.parent.Drain("it gets a new version", 2*time.Second)
	for m := n.parent.Next(); m != nil; m = n.parent.Next() {
		w.toChild(n, m)
	}
	for m := n.child.Next(); m != nil; m = n.child.Next() {
		if _, ok := m.(*replica.Entries); ok {
			return errors.New("it sends more entries")
		}
	}
	if r := n.child.Refusal(); r != nil {
		return fmt.Errorf("it ends the stream before its entries are acknowledged: %w", r)
	}
	must(t, w.settle(n))
	r := n.child.Refusal()
	if r == nil || r.Reason != replica.Drained || r.After != 2*time.Second || !r.Reason.Passing() || r.Remote {
		t.Fatalf("the stream ended with %v, want drained", r)
	}
	if n.floor != 5 {
		return fmt.Errorf("the mirror has %d entries, want 5", n.floor)
	}
	w.connect(n)
	must(t, w.settle(n))
	if n.floor != 8 {
		return fmt.Errorf("when it is back, the mirror has %d entries, want 8", n.floor)
	}
	return nil
}

// A parent cannot send a child away for ever, and an order that is unknown ends the stream.
func TestControlIsBounded(t *testing.T) {
	w, n := mirror(t, 3, 0)
	n.parent.Drain("for ever", 1000*time.Hour)
	must(t, w.settle(n))
	if r := n.child.Refusal(); r == nil || r.After != replica.MaxAfter {
		t.Errorf("got %v, want that it stays away for %v", r, replica.MaxAfter)
	}
	_, n = mirror(t, 3, 0)
	n.parent.Tick()
	ack := n.parent.Next().(*replica.Ack)
	n.child.Receive(&replica.Control{Session: ack.Session, Order: 77})
	if r := n.child.Refusal(); r == nil || r.Reason != replica.Malformed {
		t.Errorf("got %v, want malformed", r)
	}
	// One of another session is dropped.
	_, n = mirror(t, 3, 0)
	n.child.Receive(&replica.Control{Session: replica.Session{1}, Order: replica.Drain})
	if n.child.Next(); n.child.Refusal() != nil {
		t.Error("an order of another session is obeyed")
	}
}
