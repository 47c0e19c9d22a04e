package replica_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/nameplate-id/nameplate/registry/replica"
	"github.com/nameplate-id/nameplate/registry/replica/replicatest"
)

// begin returns a world with one child, whose log has so many entries, and a stream
// over which nothing has gone yet.
func begin(t *testing.T, entries int, left replica.Rule) (*world, *node) {
	t.Helper()
	w := newWorld(1, left)
	n := w.children[0]
	grow(w, n, entries-1)
	w.connect(n)
	return w, n
}

func grow(w *world, n *node, entries int) {
	for range entries {
		w.register(n, 0)
	}
	w.syncChild(n)
}

// mirror returns a world in which the parent has all that the child has.
func mirror(t *testing.T, entries int, left replica.Rule) (*world, *node) {
	t.Helper()
	w, n := begin(t, entries, left)
	must(t, w.settle(n))
	if s := n.child.Status(); s.Acked != uint64(entries) || n.floor != s.Acked {
		t.Fatalf("the child has %d entries, of which %d are acknowledged and %d stored", entries, s.Acked, n.floor)
	}
	return w, n
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// move moves one message up or down and returns it.
func move(t *testing.T, w *world, n *node, up bool) replica.Message {
	t.Helper()
	queue := &n.down
	if up {
		queue = &n.up
	}
	w.send(n, up)
	if len(*queue) == 0 {
		t.Fatalf("nothing to be sent (up: %v)", up)
	}
	m := (*queue)[0]
	must(t, w.deliver(n, up, oldest))
	return m
}

// What each rule prevents, one by one: with all rules it does not happen, without that
// one it does.
func TestEachRule(t *testing.T) {
	for name, c := range map[string]struct {
		rule replica.Rule
		play func(*testing.T, replica.Rule) error
	}{
		"an acknowledgement of an old session":  {replica.RuleSession, oldAck},
		"a Welcome to an old Hello":             {replica.RuleNonce, oldWelcome},
		"entries that were changed":             {replica.RuleRoot, changedEntries},
		"entries that do not follow":            {replica.RuleGap, lostEntries},
		"an acknowledgement before the sync":    {replica.RuleSync, unsynced},
		"a parent that asks to wait":            {replica.RuleCredit, noCredit},
		"a row that goes down":                  {replica.RuleGrow, lowerRow},
		"entries that are new before a fence":   {replica.RuleFence, lateEntries},
		"a cosignature before the level above":  {replica.RuleAbove, earlyCosignature},
		"a cosignature before peers have a row": {replica.RuleAbove, lonelyRow},
		"a cosignature of one of five":          {replica.RuleQuorum, loneCosignature},
		"what a peer held before its restore":   {replica.RuleNow, restoredPeer},
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

// The parent loses its disk; what it acknowledged before arrives late.
func oldAck(t *testing.T, left replica.Rule) error {
	w, n := mirror(t, 5, left)
	n.parent.Tick()
	old := n.parent.Next().(*replica.Ack)
	w.loseDisk()
	w.connect(n)
	for {
		move(t, w, n, false)
		if n.child.Status().Connected {
			break
		}
		move(t, w, n, true)
	}
	move(t, w, n, true) // a heartbeat
	move(t, w, n, true) // all entries, not yet synced
	w.toChild(n, old)
	return errors.Join(w.check(), w.settle(n))
}

// The same with a Welcome.
func oldWelcome(t *testing.T, left replica.Rule) error {
	w, n := mirror(t, 5, left)
	w.connect(n)
	move(t, w, n, false) // challenge
	move(t, w, n, true)  // hello
	w.send(n, false)
	old := n.down[0].(*replica.Welcome)
	n.down = nil
	w.loseDisk()
	w.connect(n)
	move(t, w, n, false)
	move(t, w, n, true)
	w.toChild(n, old)
	return errors.Join(w.check(), w.settle(n))
}

func changedEntries(t *testing.T, left replica.Rule) error {
	w, n := begin(t, 5, left)
	e := *sendEntries(t, w, n)
	e.Payloads = slices.Clone(e.Payloads)
	e.Payloads[3] = replicatest.Entry(1000, 0)
	n.tainted = true
	err := errors.Join(w.toParent(n, &e), w.check())
	if r := n.parent.Refusal(); left == 0 && (r == nil || r.Reason != replica.Mismatch) {
		t.Errorf("got refusal %v, want a mismatch", r)
	}
	return err
}

// sendEntries goes on until the child sends entries, and takes them off the wire.
func sendEntries(t *testing.T, w *world, n *node) *replica.Entries {
	t.Helper()
	for range 10 {
		w.send(n, true)
		if len(n.up) > 0 {
			if e, ok := n.up[0].(*replica.Entries); ok {
				n.up = n.up[1:]
				return e
			}
			must(t, w.deliver(n, true, oldest))
		}
		w.send(n, false)
		if len(n.down) > 0 {
			must(t, w.deliver(n, false, oldest))
		}
	}
	t.Fatal("the child sends no entries")
	return nil
}

func lostEntries(t *testing.T, left replica.Rule) error {
	w, n := mirror(t, 3, left)
	grow(w, n, 2)
	sendEntries(t, w, n) // lost
	grow(w, n, 2)
	must(t, w.toParent(n, sendEntries(t, w, n)))
	if err := errors.Join(w.check(), w.settle(n)); err != nil {
		return err
	}
	if n.floor != 7 {
		t.Errorf("the mirror has %d entries, want 7", n.floor)
	}
	return nil
}

func unsynced(t *testing.T, left replica.Rule) error {
	w, n := begin(t, 5, left)
	must(t, w.toParent(n, sendEntries(t, w, n)))
	n.parent.Tick()
	for m := n.parent.Next(); m != nil; m = n.parent.Next() {
		w.toChild(n, m)
	}
	return w.check()
}

func noCredit(t *testing.T, left replica.Rule) error {
	w, n := mirror(t, 3, left)
	n.parent.Credit(0)
	must(t, w.settle(n))
	n.credit = 0
	grow(w, n, 3)
	if err := w.settle(n); err != nil {
		return err
	}
	if n.floor != 3 {
		t.Errorf("the mirror has %d entries, want 3", n.floor)
	}
	n.parent.Credit(1) // any credit is enough for any entry
	must(t, w.settle(n))
	if n.floor != 6 {
		t.Errorf("the mirror has %d entries, want 6", n.floor)
	}
	return nil
}

// The parent's mirror is put back to an older state of itself, and its log is not.
func lowerRow(t *testing.T, left replica.Rule) error {
	w, n := mirror(t, 5, left)
	must(t, w.logRow(n))
	w.above.sync()
	n.floor = 3
	return errors.Join(w.logRow(n), w.checkAnchors())
}

func earlyCosignature(t *testing.T, left replica.Rule) error {
	w, n := mirror(t, 5, left)
	return cosignedAt(t, w, n, func() { w.above.holds = 1; w.above.anchors.Hold(1) })
}

func loneCosignature(t *testing.T, left replica.Rule) error {
	w, n := begin(t, 5, left)
	w.above = newAbove(replica.PeersAbove, left)
	must(t, w.settle(n))
	return cosignedAt(t, w, n, func() {
		for i := range 2 {
			w.above.peers[i][n.log.ID] = 5
			w.above.anchors.PeerHolds(peerKey(i), n.log.ID, 5)
			w.peerHasRows(i)
		}
	})
}

// peerHasRows lets a peer have all of the parent's own log.
func (w *world) peerHasRows(i int) {
	w.above.peers[i][ownID] = uint64(w.above.synced)
	w.above.anchors.PeerHolds(peerKey(i), ownID, uint64(w.above.synced))
}

// Three have the entries, and none but the parent knows that it has them.
func lonelyRow(t *testing.T, left replica.Rule) error {
	w, n := begin(t, 5, left)
	w.above = newAbove(replica.PeersAbove, left)
	must(t, w.settle(n))
	for i := range 2 {
		w.above.peers[i][n.log.ID] = 5
		w.above.anchors.PeerHolds(peerKey(i), n.log.ID, 5)
	}
	return cosignedAt(t, w, n, func() { w.peerHasRows(0); w.peerHasRows(3) })
}

// Two peers had the entries; one of them was restored before the parent had a row.
func restoredPeer(t *testing.T, left replica.Rule) error {
	w, n := begin(t, 5, left)
	w.above = newAbove(replica.PeersAbove, left)
	must(t, w.settle(n))
	for i := range 2 {
		w.above.anchors.PeerHolds(peerKey(i), n.log.ID, 5)
	}
	w.above.peers[0][n.log.ID], w.above.peers[1][n.log.ID] = 5, 2
	w.above.anchors.PeerHolds(peerKey(1), n.log.ID, 2)
	return cosignedAt(t, w, n, func() {
		w.peerHasRows(0)
		w.peerHasRows(1)
		w.above.peers[1][n.log.ID] = 5
		w.above.anchors.PeerHolds(peerKey(1), n.log.ID, 5)
	})
}

// cosignedAt lets the parent cosign before and after the level above holds what it must.
func cosignedAt(t *testing.T, w *world, n *node, hold func()) error {
	must(t, w.logRow(n))
	w.above.sync()
	w.cosign(n)
	if err := w.settle(n); err != nil {
		return err
	}
	w.keepReceipt(n, true)
	if err := w.check(); err != nil {
		return err
	}
	if n.kept != 0 {
		t.Errorf("the child has a receipt for %d entries", n.kept)
	}
	hold()
	w.cosign(n)
	must(t, w.settle(n))
	w.keepReceipt(n, true)
	if n.kept != 5 {
		t.Errorf("the child has a receipt for %d entries, want 5", n.kept)
	}
	return w.check()
}
