package replica_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/replica"
	"github.com/nameplate-id/nameplate/registry/replica/replicatest"
)

// meet connects a child whose log is not what it was, and lets both sides say what
// they have to.
func meet(t *testing.T, w *world, n *node) (child, parent *replica.Refusal) {
	t.Helper()
	w.startChild(n)
	w.connect(n)
	n.tainted = true
	for range 10 {
		w.send(n, true)
		w.send(n, false)
		must(t, errors.Join(w.deliver(n, true, oldest), w.deliver(n, false, oldest)))
		n.tainted = true
	}
	return n.child.Refusal(), n.parent.Refusal()
}

// contradict returns an error unless a refusal holds two checkpoints of the child with
// different roots for one size.
func contradict(n *node, r *replica.Refusal) error {
	held, one, err := replicatest.VerifyCheckpoint(r.Held, n.log.ID, n.log.Key.Public())
	if err != nil {
		return err
	}
	signed, other, err := replicatest.VerifyCheckpoint(r.Signed, n.log.ID, n.log.Key.Public())
	if err != nil {
		return err
	}
	if held != signed || one == other {
		return errors.New("the two checkpoints do not contradict each other")
	}
	return nil
}

func TestRestoredChild(t *testing.T) {
	w, n := mirror(t, 6, 0)
	n.log.Restore(4)
	child, parent := meet(t, w, n)
	if child == nil || child.Reason != replica.Behind || child.Remote || !child.Reason.Passing() || parent == nil || !parent.Remote {
		t.Fatalf("got %v and %v, want behind", child, parent)
	}
	n.child.Mark()
	w.connect(n)
	must(t, w.settle(n))
	if s := n.child.Status(); s.Synced != 6 || n.child.Marked() || !s.Connected || n.log.Synced() != 6 {
		t.Errorf("it has not got back what it lacks: %+v", s)
	}
	grow(w, n, 1)
	must(t, w.settle(n))
	if n.floor != 7 {
		t.Errorf("the mirror has %d entries, want 7", n.floor)
	}
}

// A restored child that has written before it asked, and has fewer entries than the mirror:
// a consistency proof shows it.
func TestForkOfAShorterLog(t *testing.T) {
	for restored := range uint64(6) {
		w, n := mirror(t, 9, 0)
		n.log.Restore(restored)
		grow(w, n, 2)
		child, parent := meet(t, w, n)
		if child == nil || child.Reason != replica.Fork || parent == nil || parent.Reason != replica.Fork {
			t.Fatalf("got %v and %v, want a fork", child, parent)
		}
		for side, r := range map[string]*replica.Refusal{"child": child, "parent": parent} {
			if r.Evidence == nil {
				t.Fatalf("the %s has no evidence", side)
			}
			d, err := r.Evidence.Check(replicatest.VerifyCheckpoint)
			if err != nil || d.Size != restored+2 || d.HeldSize != 9 || d.Held == d.Signed {
				t.Errorf("the %s shows %+v, %v", side, d, err)
			}
		}
	}
}

func TestForkOfOneSize(t *testing.T) {
	w, n := mirror(t, 6, 0)
	n.log.Restore(4)
	grow(w, n, 2)
	child, parent := meet(t, w, n)
	if child == nil || child.Reason != replica.Fork || !child.Remote || parent == nil || parent.Reason != replica.Fork {
		t.Fatalf("got %v and %v, want a fork", child, parent)
	}
	must(t, contradict(n, parent))
}

// The child has more than the mirror, and only it can see that the beginning differs.
func TestForkOfALongerLog(t *testing.T) {
	w, n := mirror(t, 6, 0)
	n.log.Restore(4)
	grow(w, n, 5)
	child, parent := meet(t, w, n)
	if child == nil || child.Reason != replica.Fork || child.Remote || parent == nil || parent.Reason != replica.Fork || !parent.Remote {
		t.Fatalf("got %v and %v, want a fork", child, parent)
	}
	must(t, contradict(n, child))
	must(t, contradict(n, parent))
}

// The parent has lost its mirror, and still has what the child had signed and it cosigned:
// that gets to the child before any entry shows the fork.
func TestForkThatAReceiptShows(t *testing.T) {
	w, n := mirror(t, 6, 0)
	note, _, err := n.log.SignCheckpoint(6)
	must(t, err)
	n.log.Restore(4)
	grow(w, n, 2)
	w.loseDisk()
	w.connect(n)
	for !n.child.Status().Connected {
		move(t, w, n, false)
		if !n.child.Status().Connected {
			move(t, w, n, true)
		}
	}
	n.tainted = true
	n.parent.Cosign(&replica.Receipt{Note: replicatest.Cosign(note, w.key), Cosigner: w.key.Public()}, 6)
	move(t, w, n, false)
	r := n.child.Refusal()
	if r == nil || r.Reason != replica.Fork || r.Duty() != replica.SetAside {
		t.Fatalf("got %v, want a fork with evidence", r)
	}
	must(t, contradict(n, r))
}

// A parent has evidence from somebody else, and the child, which was restored, has what
// both histories begin with: it can contradict neither, and is shown both.
func TestForkOfWhichTheChildHasTheBeginning(t *testing.T) {
	w, n := mirror(t, 6, 0)
	e := &replica.Evidence{
		Node: n.log.Key.Public(), Log: n.log.ID,
		Held:   replicatest.SignCheckpoint(9, identifier.Hash{1}, n.log.ID, n.log.Key),
		Signed: replicatest.SignCheckpoint(9, identifier.Hash{2}, n.log.ID, n.log.Key),
	}
	n.parent.Refuse(&replica.Refusal{Reason: replica.Fork, Detail: "it was set aside", Evidence: e})
	n.tainted = true
	must(t, w.settle(n))
	r := n.child.Refusal()
	if r == nil || r.Reason != replica.Fork || !r.Remote || r.Duty() != replica.SetAside {
		t.Fatalf("got %v, want a fork with evidence", r)
	}
	if _, err := r.Evidence.Check(replicatest.VerifyCheckpoint); err != nil {
		t.Error(err)
	}
}

// A parent believes no child that says it has forked, and shows nothing.
func TestForkWithoutEvidence(t *testing.T) {
	w, n := mirror(t, 6, 0)
	own, _, err := n.log.SignCheckpoint(6)
	must(t, err)
	for _, evidence := range [][]byte{nil, []byte("a fork"), own} {
		n.tainted = true // by the refusal before this one
		w.connect(n)
		must(t, w.settle(n))
		n.parent.Receive(&replica.Refuse{Nonce: replica.Nonce{}, Reason: replica.Fork}) // of another stream
		if r := n.parent.Refusal(); r != nil {
			t.Fatalf("got %v for a refusal of another stream", r)
		}
		hello := n.hello
		n.parent.Receive(&replica.Refuse{Nonce: hello.Nonce, Reason: replica.Fork, Evidence: evidence})
		if r := n.parent.Refusal(); r == nil || len(r.Held) != 0 || len(r.Signed) != 0 {
			t.Errorf("evidence %.20q: got %+v", evidence, r)
		}
	}
}

func TestSilence(t *testing.T) {
	for name, end := range map[string]func(n *node) *replica.Refusal{
		"the parent": func(n *node) *replica.Refusal { n.child.Tick(); return n.child.Refusal() },
		"the child":  func(n *node) *replica.Refusal { n.parent.Tick(); return n.parent.Refusal() },
	} {
		t.Run(name, func(t *testing.T) {
			_, n := mirror(t, 2, 0)
			for i := range 2 {
				if r := end(n); r != nil {
					t.Fatalf("given up after %d heartbeats: %v", i+1, r)
				}
			}
			if r := end(n); r == nil || r.Reason != replica.Silent || !r.Reason.Passing() {
				t.Errorf("got %v after 3 heartbeats", r)
			}
		})
	}
	w, n := mirror(t, 2, 0)
	for range 10 {
		n.child.Tick()
		n.parent.Tick()
		must(t, w.settle(n))
		n.child.Busy()
	}
}

func TestAnotherParent(t *testing.T) {
	_, n := begin(t, 2, 0)
	n.child.Receive(&replica.Challenge{Parent: replicatest.NodeKey(9).Public()})
	r := n.child.Refusal()
	if r == nil || r.Reason != replica.UnknownNode {
		t.Errorf("got %v, want that the key is not the one", r)
	}
	if m, ok := n.child.Next().(*replica.Refuse); !ok || m.Reason != r.Reason {
		t.Errorf("the parent is told %+v", m)
	}
}

func TestHelloOfAnother(t *testing.T) {
	w, n := begin(t, 2, 0)
	move(t, w, n, false)
	good := n.child.Next().(*replica.Hello)
	if r := replica.CheckHello(good, n.stream); r != nil {
		t.Fatal(r)
	}
	if r := replica.CheckHello(good, &replica.Challenge{Nonce: replica.Nonce{1}, Parent: n.stream.Parent}); r == nil || r.Reason != replica.Unauthenticated {
		t.Errorf("on another stream: %v", r)
	}
	if r := replica.CheckHello(good, &replica.Challenge{Nonce: n.stream.Nonce, Parent: replicatest.NodeKey(9).Public()}); r == nil || r.Reason != replica.Unauthenticated {
		t.Errorf("at another parent: %v", r)
	}
	for name, c := range map[string]struct {
		change func(*replica.Hello)
		want   replica.Reason
	}{
		"protocol":  {func(h *replica.Hello) { h.Protocol++ }, replica.BadProtocol},
		"node":      {func(h *replica.Hello) { h.Node = replicatest.NodeKey(9).Public() }, replica.Unauthenticated},
		"itself":    {func(h *replica.Hello) { h.Node = n.stream.Parent }, replica.Malformed},
		"log":       {func(h *replica.Hello) { h.Log[0]++ }, replica.Unauthenticated},
		"no log":    {func(h *replica.Hello) { h.Log = identifier.LogID{} }, replica.Malformed},
		"tip":       {func(h *replica.Hello) { h.Tip = h.Tip[1:] }, replica.Unauthenticated},
		"long tip":  {func(h *replica.Hello) { h.Tip = make([]byte, replica.MaxCheckpoint+1) }, replica.Malformed},
		"nonce":     {func(h *replica.Hello) { h.Nonce[0]++ }, replica.Unauthenticated},
		"signature": {func(h *replica.Hello) { h.Signature = nil }, replica.Unauthenticated},
	} {
		changed := *good
		c.change(&changed)
		if r := replica.CheckHello(&changed, n.stream); r == nil || r.Reason != c.want {
			t.Errorf("%s: got %v, want %v", name, r, c.want)
		}
	}
}

func TestWelcomeOfAnother(t *testing.T) {
	w, n := mirror(t, 2, 0)
	w.connect(n)
	move(t, w, n, false)
	move(t, w, n, true)
	w.send(n, false)
	good := n.down[0].(*replica.Welcome)
	for name, change := range map[string]func(*replica.Welcome){
		"parent":     func(m *replica.Welcome) { m.Parent = replicatest.NodeKey(9).Public() },
		"log":        func(m *replica.Welcome) { m.ParentLog[0]++ },
		"session":    func(m *replica.Welcome) { m.Session[0]++ },
		"nonce":      func(m *replica.Welcome) { m.Nonce[0]++ },
		"checkpoint": func(m *replica.Welcome) { m.Checkpoint = nil },
		"credit":     func(m *replica.Welcome) { m.Credit++ },
		"signature":  func(m *replica.Welcome) { m.Signature = nil },
	} {
		changed := *good
		change(&changed)
		n.child.Receive(&changed)
		if s := n.child.Status(); s.Connected || s.Refusal != nil {
			t.Errorf("%s: got %+v", name, s)
		}
	}
	n.child.Receive(good)
	if s := n.child.Status(); !s.Connected || s.Acked != 2 {
		t.Errorf("got %+v", s)
	}
}

// What a stream brought may still be on its way to the disk when the next one begins:
// the child is not welcomed before that is known.
func TestWelcomeWaitsForTheDisk(t *testing.T) {
	w, n := begin(t, 4, 0)
	must(t, w.toParent(n, sendEntries(t, w, n)))
	w.connect(n)
	move(t, w, n, false)
	move(t, w, n, true)
	if m := n.parent.Next(); m != nil {
		t.Fatalf("the parent sends %T before the sync", m)
	}
	w.disk.sync()
	if m, ok := n.parent.Next().(*replica.Welcome); !ok || len(m.Checkpoint) == 0 {
		t.Errorf("got %+v", m)
	}
}

// Entries that could not be stored come again.
func TestDropped(t *testing.T) {
	w, n := mirror(t, 2, 0)
	grow(w, n, 2)
	u := n.parent.Receive(sendEntries(t, w, n))
	if u == nil || u.Start != 2 || u.End() != 4 {
		t.Fatalf("got %+v", u)
	}
	n.parent.Dropped()
	must(t, w.settle(n))
	if r := n.child.Refusal(); r == nil || r.Reason != replica.Unavailable || !r.Reason.Passing() {
		t.Fatalf("got %v", r)
	}
	w.connect(n)
	must(t, w.settle(n))
	if n.floor != 4 {
		t.Errorf("the mirror has %d entries, want 4", n.floor)
	}
}

// A log that cannot be read ends the stream, and nobody else hears the cause.
func TestUnreadableLog(t *testing.T) {
	w, n := mirror(t, 2, 0)
	n.log.Readable = func() error { return errors.New("disk on fire") }
	grow(w, n, 1)
	must(t, w.settle(n))
	if r := n.child.Refusal(); r == nil || r.Reason != replica.Unavailable || !strings.Contains(r.Detail, "on fire") {
		t.Errorf("the child has %v", r)
	}
	if r := n.parent.Refusal(); r == nil || r.Reason != replica.Unavailable || strings.Contains(r.Detail, "on fire") {
		t.Errorf("the parent has %v", r)
	}
}

func TestMalformedEntries(t *testing.T) {
	for name, change := range map[string]func(*replica.Entries){
		"none":             func(m *replica.Entries) { m.Payloads = nil },
		"too many":         func(m *replica.Entries) { m.Payloads = make([][]byte, replica.MaxEntries+1) },
		"too large":        func(m *replica.Entries) { m.Payloads = [][]byte{make([]byte, replica.MaxOctets+1)} },
		"at the end":       func(m *replica.Entries) { m.Start = ^uint64(0) },
		"no leaf":          func(m *replica.Entries) { m.Payloads = [][]byte{{9}, {9}, {9}} },
		"no checkpoint":    func(m *replica.Entries) { m.Checkpoint = nil },
		"large checkpoint": func(m *replica.Entries) { m.Checkpoint = make([]byte, replica.MaxCheckpoint+1) },
		"another size":     func(m *replica.Entries) { m.Payloads = m.Payloads[:2] },
	} {
		w, n := begin(t, 3, 0)
		e := *sendEntries(t, w, n)
		change(&e)
		if u := n.parent.Receive(&e); u != nil || n.parent.Refusal() == nil || n.parent.Refusal().Reason != replica.Malformed {
			t.Errorf("%s: got %+v, %v", name, u, n.parent.Refusal())
		}
	}
}

// An entry that means nothing is an entry all the same: it is kept and blocks nobody.
func TestMeaninglessEntry(t *testing.T) {
	w, n := mirror(t, 2, 0)
	n.log.Append(append(replicatest.Entry(1000, 0), "what nobody asked for"...))
	grow(w, n, 1)
	must(t, w.settle(n))
	if n.floor != 4 {
		t.Errorf("the mirror has %d entries, want 4", n.floor)
	}
}

func TestMirrorThatDoesNotAddUp(t *testing.T) {
	w, n := mirror(t, 5, 0)
	good, err := w.disk.found(n.number)
	must(t, err)
	for name, change := range map[string]func(*replica.Mirror){
		"size":       func(m *replica.Mirror) { m.Size = 6 },
		"subtrees":   func(m *replica.Mirror) { m.Subtrees[0][0]++ },
		"fewer":      func(m *replica.Mirror) { m.Subtrees = m.Subtrees[:1] },
		"checkpoint": func(m *replica.Mirror) { m.Checkpoint = nil },
	} {
		changed := good
		changed.Subtrees = append([]identifier.Hash(nil), good.Subtrees...)
		change(&changed)
		_, err := replica.NewParent(replica.ParentConfig{
			Signer: w.key, Child: n.log.Key.Public(), Log: n.log.ID, Verify: replicatest.VerifyCheckpoint,
		}, changed)
		if err == nil {
			t.Errorf("%s: it passes", name)
		}
	}
}
