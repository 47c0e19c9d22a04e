package replica_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/replica"
	"github.com/nameplate-id/nameplate/registry/replica/replicatest"
)

// What a witness gets, what it takes and what it notices: with each rule, and without it.
func TestWitnessRules(t *testing.T) {
	for name, c := range map[string]struct {
		rule replica.Rule
		play func(*testing.T, replica.Rule) error
	}{
		"checkpoints alone are sent":                 {replica.RuleWitness, checkpointsAlone},
		"a checkpoint of another history":            {replica.RuleAdvance, rewritten},
		"a child that lacks entries":                 {replica.RulePointer, witnessedLoss},
		"a witness that was restored":                {replica.RuleRow, restoredWitness},
		"an acknowledgement before the sync":         {replica.RuleSync, unsyncedAdvance},
		"an acknowledgement of a stream before this": {replica.RuleSession, oldAdvance},
		"more than was allowed":                      {replica.RuleCredit, manyAdvances},
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

// witnessed returns a child and its witness, which has a checkpoint of all its entries.
func witnessed(t *testing.T, entries int, left replica.Rule) *duo {
	t.Helper()
	d := newDuo(t, entries, identifier.PolicyWitness, 0)
	d.meet()
	if s := d.child.Status(); !s.Connected || s.Acked != uint64(entries) {
		t.Fatalf("%+v, %v", s, d.child.Refusal())
	}
	d.left = left
	d.child.LeaveOut(left)
	d.parent.LeaveOut(left)
	return d
}

func checkpointsAlone(t *testing.T, left replica.Rule) error {
	d := newDuo(t, 600, identifier.PolicyWitness, left)
	d.meet()
	changes(t, d.log, 600, 900)
	d.meet()
	if s := d.child.Status(); s.Acked != 900 || !s.Connected {
		return fmt.Errorf("acknowledged are %d of 900: %v", s.Acked, d.parent.Refusal())
	}
	for i, u := range d.stored {
		if !u.Witnessed() || len(u.Payloads) > 1 || len(u.Payloads) == 1 && u.Start > 0 {
			return fmt.Errorf("unit %d has %d entries", i, len(u.Payloads))
		}
		// It is the same from the disk.
		again, err := replica.ParseUnit(replica.AppendUnit(nil, u))
		if err != nil || again.End() != u.End() || again.Start != u.Start || !bytes.Equal(again.Checkpoint, u.Checkpoint) {
			t.Errorf("unit %d from the disk: %+v, %v", i, again, err)
		}
		if bytes.Contains(replica.AppendUnit(nil, u)[1:], []byte("sn-5")) {
			return errors.New("the witness knows what is registered")
		}
	}
	if n := len(d.stored); n != 2 {
		t.Errorf("%d units are stored, want one for each growth", n)
	}
	// What it has got is what it goes on with after a start.
	d.restart(t)
	changes(t, d.log, 900, 901)
	d.meet()
	if s := d.child.Status(); s.Acked != 901 {
		t.Errorf("after a start %d of 901 are acknowledged: %v", s.Acked, d.parent.Refusal())
	}
	return nil
}

// other returns a log of the same node that shares some entries with another one.
func other(t *testing.T, l *replicatest.Log, shared, entries int) *replicatest.Log {
	t.Helper()
	o := replicatest.NewLog(1)
	for _, p := range l.Payloads()[:shared] {
		o.Append(p)
	}
	changes(t, o, 1000+shared, 1000+entries)
	return o
}

// advance makes what would lead a witness on in a log.
func advance(t *testing.T, d *duo, l *replicatest.Log, old, size uint64, root identifier.Hash) *replica.Advance {
	t.Helper()
	m := &replica.Advance{Session: replica.Session{d.drawn}, Old: old, Root: root}
	var err error
	if m.Checkpoint, _, err = l.SignCheckpoint(size); err != nil {
		t.Fatal(err)
	}
	if old == 0 {
		m.First, old = l.Payloads()[0], 1
	}
	if m.Proof, err = l.Prove(old, size); err != nil {
		t.Fatal(err)
	}
	return m
}

// A child that has written its history anew, and says nothing of it, is found out by the
// proof; one that says what it has shows a fork.
func rewritten(t *testing.T, left replica.Rule) error {
	for _, size := range []int{7, 8} { // a power of two begins its proof with the root
		d := witnessed(t, size, left)
		now := other(t, d.log, 3, 20)
		root, err := d.log.Root(uint64(size))
		must(t, err)
		if u := d.parent.Receive(advance(t, d, now, uint64(size), 20, root)); u != nil {
			return errors.New("a checkpoint of another history was taken")
		}
		if r := d.parent.Refusal(); r == nil || r.Reason != replica.Mismatch || r.Evidence != nil {
			t.Errorf("size %d: got %v, want a mismatch", size, r)
		}

		d = witnessed(t, size, left)
		root, err = now.Root(uint64(size))
		must(t, err)
		d.parent.Receive(advance(t, d, now, uint64(size), 20, root))
		r := d.parent.Refusal()
		if r == nil || r.Duty() != replica.SetAside {
			return fmt.Errorf("a proved fork is told as %v", r)
		}
		if e, err := r.Evidence.Check(replicatest.VerifyCheckpoint); err != nil || e.Size != uint64(size) || e.SignedSize != 20 {
			t.Errorf("size %d: the evidence shows %+v, %v", size, e, err)
		}
		// The child is shown the same, and has its own evidence of it.
		d.child.Receive(d.parent.Next())
		if r := d.child.Refusal(); r == nil || r.Reason != replica.Fork {
			t.Errorf("size %d: the child says %v", size, r)
		}
	}
	// And an honest one that was restored and wrote on, as it hears where the witness is.
	d := witnessed(t, 9, left)
	d.log = other(t, d.log, 4, 12)
	d.restart(t)
	d.meet()
	for side, r := range map[string]*replica.Refusal{"child": d.child.Refusal(), "witness": d.parent.Refusal()} {
		if r == nil || r.Duty() != replica.SetAside {
			t.Errorf("the %s says %v, want a fork with evidence", side, r)
		}
	}
	return nil
}

func witnessedLoss(t *testing.T, left replica.Rule) error {
	d := witnessed(t, 4, left)
	changes(t, d.log, 4, 9)
	d.meet()
	d.log.Restore(6)
	d.restart(t)
	d.meet()
	r := d.child.Refusal()
	if r == nil || r.Reason != replica.Loss || r.Duty() != replica.MarkLog {
		return fmt.Errorf("a child that lacks entries is told %v, want loss", r)
	}
	// One whose checkpoint is of the size of one that was kept shows a fork, though it has
	// fewer entries.
	d.log = other(t, d.log, 2, 4)
	d.restart(t)
	d.meet()
	if r := d.child.Refusal(); r == nil || r.Reason != replica.Fork || r.Evidence == nil {
		t.Errorf("a child that has forked is told %v", r)
	}
	if r := d.parent.Refusal(); r == nil || r.Duty() != replica.SetAside {
		t.Errorf("its witness says %v", r)
	}
	return nil
}

// The witness is restored to a time before it had anything of the log, its own log says how
// much it had, and the child has written anew.
func restoredWitness(t *testing.T, left replica.Rule) error {
	d := witnessed(t, 10, left)
	d.row = replica.Row{Size: 10, Checkpoint: d.stored[0].Checkpoint}
	d.row.Root, _ = d.log.Root(10)
	d.stored = nil
	honest := d.log
	d.log = other(t, d.log, 4, 12)
	d.restart(t)
	d.meet()
	if r := d.child.Refusal(); r == nil || r.Duty() != replica.SetAside {
		return fmt.Errorf("a history that was written anew is told as %v", r)
	}
	// One that does not begin where the row says is none of this release.
	d.log = honest
	changes(t, d.log, 10, 15)
	d.restart(t)
	d.drawn++
	d.child.Open(replica.Nonce{d.drawn})
	d.child.Grow(d.log.Synced())
	d.child.Receive(&replica.Challenge{Nonce: replica.Nonce{d.drawn, 1}, Parent: replicatest.NodeKey(200).Public()})
	d.parent.Open(d.child.Next().(*replica.Hello), replica.Session{d.drawn})
	if w, ok := d.parent.Next().(*replica.Welcome); !ok || w.Fence != (replica.Fence{Size: 10, Root: d.row.Root}) || len(w.Checkpoint) > 0 {
		t.Errorf("it is welcomed with %+v", w)
	}
	d.parent.Receive(advance(t, d, d.log, 0, 12, identifier.Hash{}))
	if r := d.parent.Refusal(); r == nil || r.Reason != replica.Malformed || len(d.stored) > 0 {
		t.Errorf("a first checkpoint of another size: got %v", r)
	}
	// The honest one shows its first entry, and goes on from the row.
	d.restart(t)
	d.meet()
	if s := d.child.Status(); s.Acked != 15 || len(d.stored) != 2 || d.stored[0].Size != 10 || len(d.stored[0].Payloads) != 1 || d.stored[1].Start != 10 {
		t.Errorf("%d of 15 are acknowledged, stored are %d units: %v", s.Acked, len(d.stored), d.parent.Refusal())
	}
	// A witness that has the first entry goes on from the row at once.
	changes(t, d.log, 15, 20)
	var err error
	d.row.Size = 20
	d.row.Checkpoint, d.row.Root, err = d.log.SignCheckpoint(20)
	must(t, err)
	changes(t, d.log, 20, 22)
	d.restart(t)
	d.meet()
	if s := d.child.Status(); s.Acked != 22 || len(d.stored) != 3 || d.stored[2].Start != 20 {
		t.Errorf("%d of 22 are acknowledged, stored are %d units: %v", s.Acked, len(d.stored), d.parent.Refusal())
	}
	return nil
}

func unsyncedAdvance(t *testing.T, left replica.Rule) error {
	d := witnessed(t, 3, left)
	if u := d.parent.Receive(advance(t, d, other(t, d.log, 3, 5), 3, 5, d.parent.Status().Root)); u == nil {
		t.Fatal(d.parent.Refusal())
	}
	d.parent.Tick()
	if m, ok := d.parent.Next().(*replica.Ack); !ok || m.Size != 3 {
		return fmt.Errorf("before the sync %+v is said", m)
	}
	return nil
}

func oldAdvance(t *testing.T, left replica.Rule) error {
	d := witnessed(t, 3, left)
	changes(t, d.log, 3, 5)
	m := advance(t, d, d.log, 3, 5, d.parent.Status().Root)
	m.Session = replica.Session{99}
	if u := d.parent.Receive(m); u != nil {
		return errors.New("a message of another session was taken")
	}
	return nil
}

// A child that does not wait for acknowledgements fills no memory.
func manyAdvances(t *testing.T, left replica.Rule) error {
	d := witnessed(t, 2, left)
	l := other(t, d.log, 2, 3)
	var octets int
	for size := uint64(3); ; size++ {
		root, err := l.Root(size - 1)
		must(t, err)
		m := advance(t, d, l, size-1, size, root)
		// Others may have signed it, too; so each is large.
		m.Checkpoint = append(m.Checkpoint, bytes.Repeat([]byte("— other AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"), 60)...)
		u := d.parent.Receive(m)
		if u == nil {
			if r := d.parent.Refusal(); r == nil || r.Reason != replica.Malformed {
				t.Fatalf("refused for %v", r)
			}
			return nil
		}
		if octets += len(u.Checkpoint); octets > replica.DefaultWindow+replica.MaxOctets {
			return errors.New("more is in memory than was allowed")
		}
		l.Append(replicatest.Entry(size, 0))
		l.Sync()
	}
}

// What breaks the protocol ends the stream, and costs nothing.
func TestMalformedAdvance(t *testing.T) {
	for name, change := range map[string]func(*replica.Advance){
		"too many hashes":           func(m *replica.Advance) { m.Proof = make([]identifier.Hash, replica.MaxProof+1) },
		"a first entry in between":  func(m *replica.Advance) { m.First = []byte{1} },
		"no first entry":            func(m *replica.Advance) { m.Old = 0 },
		"a checkpoint that is none": func(m *replica.Advance) { m.Checkpoint = []byte("no") },
		"a checkpoint too large":    func(m *replica.Advance) { m.Checkpoint = make([]byte, replica.MaxCheckpoint+1) },
		"from beyond its end":       func(m *replica.Advance) { m.Old = 6 },
	} {
		t.Run(name, func(t *testing.T) {
			d := witnessed(t, 3, 0)
			changes(t, d.log, 3, 5)
			m := advance(t, d, d.log, 3, 5, d.parent.Status().Root)
			change(m)
			if u := d.parent.Receive(m); u != nil || d.parent.Refusal() == nil || d.parent.Refusal().Reason != replica.Malformed {
				t.Errorf("got %v, %v; want it refused as malformed", u, d.parent.Refusal())
			}
		})
	}
	d := witnessed(t, 3, 0)
	d.parent.Receive(&replica.Entries{Session: replica.Session{d.drawn}, Start: 3, Payloads: [][]byte{{1}}})
	if r := d.parent.Refusal(); r == nil || r.Reason != replica.Malformed {
		t.Errorf("entries at a witness: %v", r)
	}
	d = newDuo(t, 3, identifier.PolicyMirror, 0)
	d.meet()
	d.parent.Receive(&replica.Advance{Session: replica.Session{d.drawn}})
	if r := d.parent.Refusal(); r == nil || r.Reason != replica.Malformed {
		t.Errorf("a checkpoint alone at a mirror: %v", r)
	}
	d = witnessed(t, 3, 0)
	d.parent.Receive(&replica.Fetch{Session: replica.Session{d.drawn}, From: 1})
	if r := d.parent.Refusal(); r == nil || r.Reason != replica.Loss {
		t.Errorf("a witness that is asked for entries says %v", r)
	}
}

// Messages are lost and doubled, both sides end and begin again, the witness loses what it
// had not synced: in the end it has what the child has, and it never acknowledged more than
// it had on its disk.
func TestWitnessGetsThere(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		d := newDuo(t, 1, identifier.PolicyWitness, 0)
		var up, down []replica.Message
		var waiting []*replica.Unit
		var greeted byte // the stream that has had its Hello
		deliver := func(m replica.Message, toParent bool) {
			if !toParent {
				if a, ok := m.(*replica.Ack); ok && a.Size > 0 && (len(d.stored) == 0 || a.Size > d.stored[len(d.stored)-1].End()) {
					rt.Fatalf("%d entries are acknowledged, %d units are stored", a.Size, len(d.stored))
				}
				d.child.Receive(m)
			} else if hello, ok := m.(*replica.Hello); ok {
				if greeted != d.drawn { // a stream has one
					greeted = d.drawn
					d.parent.Open(hello, replica.Session{d.drawn})
				}
			} else if u := d.parent.Receive(m); u != nil {
				waiting = append(waiting, u)
			}
		}
		sync := func() {
			for _, u := range waiting {
				d.stored = append(d.stored, u)
				d.parent.Stored()
			}
			waiting = nil
		}
		open := func() {
			d.drawn++
			up, down = nil, []replica.Message{&replica.Challenge{Nonce: replica.Nonce{d.drawn, 1}, Parent: replicatest.NodeKey(200).Public()}}
			d.child.Open(replica.Nonce{d.drawn})
		}
		crash := func() {
			waiting = nil // lost with what was not synced
			d.restart(t)
			open()
		}
		next := uint64(1)
		ask := func() {
			d.child.Grow(d.log.Synced())
			if m := d.child.Next(); m != nil {
				up = append(up, m)
			}
			if m := d.parent.Next(); m != nil {
				down = append(down, m)
			}
		}
		open()
		for range rapid.IntRange(10, 200).Draw(rt, "steps") {
			switch rapid.IntRange(0, 9).Draw(rt, "step") {
			case 0, 1:
				for range 2 {
					d.log.Append(replicatest.Entry(next, 0))
					next++
				}
				d.log.Sync()
			case 2, 3, 4:
				ask()
			case 5, 6:
				queue, toParent := &up, true
				if rapid.Bool().Draw(rt, "down") {
					queue, toParent = &down, false
				}
				if len(*queue) == 0 {
					break
				}
				i := rapid.IntRange(0, len(*queue)-1).Draw(rt, "which")
				m := (*queue)[i]
				if !rapid.Bool().Draw(rt, "doubled") {
					*queue = append((*queue)[:i:i], (*queue)[i+1:]...)
				}
				if rapid.IntRange(0, 9).Draw(rt, "lost") > 0 {
					deliver(m, toParent)
				}
			case 7:
				sync()
			case 8:
				d.child.Tick()
				d.parent.Tick()
			case 9:
				if rapid.IntRange(0, 4).Draw(rt, "crash") == 0 {
					crash()
				}
			}
			for side, r := range map[string]*replica.Refusal{"child": d.child.Refusal(), "witness": d.parent.Refusal()} {
				if r != nil && r.Reason != replica.Silent {
					rt.Fatalf("the %s says %v", side, r)
				}
			}
		}
		sync()
		crash()
		for range 10 {
			d.child.Tick()
			d.parent.Tick()
			d.child.Busy()
			d.parent.Busy()
			for range 20 {
				ask()
				for _, m := range up {
					deliver(m, true)
				}
				for _, m := range down {
					deliver(m, false)
				}
				up, down = nil, nil
				sync()
			}
		}
		if s := d.child.Status(); s.Acked != d.log.Synced() {
			rt.Fatalf("in the end %d of %d are acknowledged: %+v, %v, %v", s.Acked, d.log.Synced(), s, d.child.Refusal(), d.parent.Refusal())
		}
	})
}

// The row of a witnessed log may be cosigned when enough top-level nodes have it in the log
// of the witness; there is nothing else to have.
func TestAnchorsOfAWitness(t *testing.T) {
	own, log := replicatest.LogID(200), replicatest.LogID(1)
	a := replica.NewAnchors(replica.PeersAbove, own, 4)
	a.Logged(replica.LoggedRow{Position: 6, Row: identifier.ChildRow{Log: log, Size: 10}})
	for i := range byte(2) {
		a.PeerHolds(replicatest.NodeKey(210+i).Public(), own, 6)
	}
	for _, c := range []struct {
		witness bool
		held    uint64
		due     bool
	}{{true, 6, false}, {false, 7, false}, {true, 7, true}} {
		a.Witness(log, c.witness)
		a.PeerHolds(replicatest.NodeKey(210).Public(), own, c.held)
		a.PeerHolds(replicatest.NodeKey(211).Public(), own, c.held)
		_, due := a.Due(log)
		if acked := a.Acknowledged(log, 12); due != c.due || (acked == 10) != c.due {
			t.Errorf("%+v: due %v, acknowledged for anchoring %d", c, due, acked)
		}
	}
}
