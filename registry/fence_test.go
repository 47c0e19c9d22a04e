package registry_test

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nameplate-id/nameplate/registry"
	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/journal"
	"github.com/nameplate-id/nameplate/registry/replica"
)

// hurry gives the child that much time for a grant.
func (f *family) hurry(grace time.Duration) {
	f.parent.t.Helper()
	f.parent.config.Grace = grace
	f.parent.restart()
	f.grants = 0
	f.join()
}

// deaf tells the child what the parent grants, and the child does not take it in.
func (f *family) deaf() {
	f.mirror.Grants(f.grants)
}

// put registers something new at the child.
func (f *family) put(key identifier.PrivateKey, d *identifier.Delegation, text string) {
	t := f.parent.t
	t.Helper()
	f.child.mustRegister(signed(t, key, d, put(mustID(t, text), nil, link("https://maker.example/n"))))
}

// A child that leaves out what takes a key away, and goes on with what that key signs: from
// its second Hello on nothing of it counts, at its parent and at another top-level node,
// now and after a start, and when it comes to its senses nothing stands in the way. The
// control is a parent that never sets a fence: there the key goes on.
func TestFence(t *testing.T) {
	t.Parallel()
	next, other := newKey(t), newKey(t)
	grants := map[string]func(f *family) (back bool){
		"another keyset": func(f *family) bool {
			var err error
			if f.delegation, err = f.parent.changeKeys(f.delegation, keyset(2, 1, next), f.parent.root); err != nil {
				t.Fatal(err)
			}
			return true
		},
		"another epoch": func(f *family) bool {
			d := *f.delegation
			d.Epoch, d.Keyset = 2, keyset(2, 1, next)
			f.delegation = f.parent.mustDelegate(&d, f.parent.root)
			return true
		},
		"another node": func(f *family) bool {
			d := *f.delegation
			d.Epoch, d.Keyset.Version = 2, 2
			d.Node = &identifier.Node{Name: "other", Key: other.Public(), Addresses: d.Node.Addresses}
			f.parent.mustDelegate(&d, f.parent.root)
			return false
		},
		"taken back": func(f *family) bool {
			f.parent.mustDelegate(&identifier.Delegation{Prefix: "88.118", Epoch: 2, Keyset: identifier.Keyset{Version: 2}}, f.parent.root)
			return false
		},
	}
	for name, change := range grants {
		for _, grace := range []time.Duration{1, time.Hour} {
			t.Run(name+" within "+grace.String(), func(t *testing.T) {
				t.Parallel()
				playFence(t, grace, next, change)
			})
		}
	}
}

func playFence(t *testing.T, grace time.Duration, next identifier.PrivateKey, change func(*family) bool) {
	f := newFamily(t)
	// Another prefix of the child's, so that it is let in whatever becomes of the first.
	second := grant("88.119", f.holder)
	second.Node = f.delegation.Node
	f.parent.mustDelegate(second, f.parent.root)
	f.hurry(grace)
	revoked := f.delegation
	f.put(f.holder, revoked, "88.118/before")
	f.send()
	back := change(f)
	f.deaf()
	f.put(f.holder, revoked, "88.118/meanwhile")
	f.send()
	overdue := f.mirror.Overdue() != ""
	f.put(f.holder, revoked, "88.118/unsent")
	f.hello()
	f.put(f.holder, revoked, "88.118/late")
	f.put(f.holder, second, "88.119/untouched")
	f.send()

	fenced, bad := grace == 1, uint64(0)
	if fenced {
		bad = 1
	}
	if overdue != fenced {
		t.Errorf("the child has to say Hello again: %v, want %v", overdue, fenced)
	}
	// Of a prefix that is not the child's any more nothing is found in its log.
	held := back || !fenced
	want := map[string]bool{
		"88.118/before": held, "88.118/meanwhile": held, "88.118/unsent": held, "88.118/late": !fenced, "88.119/untouched": true,
	}
	if back && fenced {
		// The child comes to its senses.
		if f.mirror.Overdue() != "" {
			t.Error("a child that is fenced in has to say Hello again")
		}
		f.grants = 0
		f.join()
		f.put(next, f.delegation, "88.118/new")
		f.send()
		want["88.118/new"] = true
	}
	w := &watcher{node: openNode(t, registry.Config{Folder: t.TempDir(), Peers: []identifier.PublicKey{f.parent.root.Public()}})}
	v := &verdicts{family: f, pick: func(int) int { return 0 }}
	v.relay(w)
	for _, at := range []*node{f.parent, w.node} {
		for round := range 3 {
			c, _ := at.CopyOf(f.child.root.Public())
			for text, there := range want {
				found, err := c.Find(t.Context(), mustID(t, text))
				if err != nil || (found.Record != nil) != there {
					t.Errorf("round %d: %s: %+v, %v, want it there: %v", round, text, found.Record, err, there)
				}
			}
			for _, m := range at.Mirrors() {
				if m.Node == f.child.root.Public() && m.Bad != bad {
					t.Errorf("round %d: %d entries are marked, want %d", round, m.Bad, bad)
				}
			}
			if round == 0 {
				at.restart()
			} else {
				at.check()
				at.start()
			}
		}
	}
	f.child.check()
}

// An honest child that was away, and one that is slow, lose nothing by it: what they have
// logged before they heard of the grant counts, and so does all that follows on the grant.
func TestFenceSparesTheHonest(t *testing.T) {
	t.Parallel()
	f := newFamily(t)
	f.hurry(1)
	next := newKey(t)
	var err error
	before := f.delegation
	for i := range 5 {
		f.put(f.holder, before, serial(i))
	}
	if f.delegation, err = f.parent.changeKeys(before, keyset(2, 1, next), f.parent.root); err != nil {
		t.Fatal(err)
	}
	// It comes back, has taken the grant, and has sent nothing yet of what it has when it
	// has to come again.
	f.hello()
	f.put(f.holder, before, serial(5))
	f.takeGrants()
	f.put(next, f.delegation, serial(6))
	if f.mirror.Overdue() == "" {
		t.Fatal("the child need not say Hello again, though its log does not show the grant")
	}
	f.hello()
	f.put(next, f.delegation, serial(7))
	f.send()
	for i := range 8 {
		if f.mirrored(serial(i)).Record == nil {
			t.Errorf("%s is not in the mirror", serial(i))
		}
	}
	if got := f.parent.Mirrors()[0].Bad; got != 0 {
		t.Errorf("%d honest entries are marked", got)
	}
	if why := f.mirror.Overdue(); why != "" {
		t.Errorf("a child that shows the grant has to say Hello again: %s", why)
	}
	f.parent.check()
}

// A child that says in its Hello that it has many more entries than it has is asked to prove
// that what it sends was among those (see package replica). When it cannot, the next fence
// is where the mirror ends.
func TestFenceFarAhead(t *testing.T) {
	t.Parallel()
	f := newFamily(t)
	f.hurry(1)
	before := f.delegation
	if _, err := f.parent.changeKeys(before, keyset(2, 1, newKey(t)), f.parent.root); err != nil {
		t.Fatal(err)
	}
	f.deaf()
	f.send()
	const far = 1 << 40
	if err := f.mirror.Fence(t.Context(), far, identifier.Hash{1}); err != nil {
		t.Fatal(err)
	}
	if got := f.mirror.Fenced(f.size); got != (replica.Fence{Size: far, Root: identifier.Hash{1}}) {
		t.Fatalf("the next fence is %+v", got)
	}
	f.put(f.holder, before, "88.118/late")
	f.mirror.Unproved() // as the stream was that brought it
	f.hello()
	if got := f.mirror.Fenced(f.size); got.Size != 0 {
		t.Errorf("there is a fence ahead, %+v, though the nearer one counts", got)
	}
	f.send()
	if f.mirrored("88.118/late").Record != nil {
		t.Error("what a revoked key signed resolves behind a fence that lies far ahead")
	}
	f.parent.restart()
	f.hello()
	if got := f.mirror.Fenced(f.size); got.Size != 0 {
		t.Errorf("after a start there is a fence ahead, %+v", got)
	}
	f.parent.check()
}

// A child that says with each Hello that it has fewer entries does not fill its parent's log
// with fences: it is turned away until it has had its time again. Without the rule there is
// one for each.
func TestFencedSeldom(t *testing.T) {
	t.Parallel()
	for left, want := range map[registry.Rule]int{0: 2, registry.RuleSeldom: 20} {
		f := newFamily(t)
		var late atomic.Int64
		f.parent.config.Clock = func() time.Time { return time.Unix(late.Load(), 0) }
		registry.LeaveOut(&f.parent.config, left)
		f.hurry(15 * time.Second)
		if _, err := f.parent.changeKeys(f.delegation, keyset(2, 1, newKey(t)), f.parent.root); err != nil {
			t.Fatal(err)
		}
		f.deaf()
		before, turned := f.parent.status().Position, 0
		late.Store(20)
		for i := range uint64(20) {
			if i == 10 {
				late.Add(15)
			}
			if err := f.mirror.Fence(t.Context(), 1000-i, identifier.Hash{1}); err != nil {
				if r, ok := errors.AsType[*replica.Refusal](err); !ok || r.Reason != replica.Unavailable {
					t.Fatalf("got %v, want a refusal", err)
				}
				turned++
			}
		}
		if got := int(f.parent.status().Position - before); got != want || turned != 20-want {
			t.Errorf("rule %d is left out: %d fences are logged and %d Hellos turned away, want %d and %d", left, got, turned, want, 20-want)
		}
	}
}

// A node that has logged a keyset does not get away with an older grant behind it, though its
// parent has once made that. Where the rule is left out it does.
func TestMirrorDoesNotGoBack(t *testing.T) {
	t.Parallel()
	for _, left := range []registry.Rule{0, registry.RuleBack} {
		f := newFamily(t)
		registry.LeaveOut(&f.parent.config, left)
		f.parent.restart()
		f.join()
		found, bad := f.goBack()
		if left == 0 && (found || bad != 2) {
			t.Errorf("what a revoked key signed behind the grant that once named it is found: %v; %d entries are marked, want the grant and the change", found, bad)
		}
		if left != 0 && !found {
			t.Error("nobody noticed that the rule was left out")
		}
		if left == 0 {
			f.parent.check()
		}
	}
}

// goBack logs the first grant again behind the one that took the key away, and a change by
// that key. It returns whether that resolves in the mirror, and how many entries are marked.
func (f *family) goBack() (found bool, bad uint64) {
	t := f.parent.t
	t.Helper()
	first, _ := f.mirror.Grants(0)
	before := *f.delegation
	if _, err := f.parent.changeKeys(f.delegation, keyset(2, 1, newKey(t)), f.parent.root); err != nil {
		t.Fatal(err)
	}
	f.takeGrants()
	f.send()
	size, _ := f.child.Source().Growth()
	payloads, err := f.child.Source().Entries(0, int(size), 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	c := signed(t, f.holder, &before, put(mustID(t, serial(1)), nil, link("https://thief.example/")))
	for _, e := range []*identifier.Entry{
		{Kind: identifier.EntryGrant, Time: time.UnixMilli(1), Envelope: first[0]},
		{Kind: identifier.EntryChange, Time: time.UnixMilli(1), Envelope: c.Envelope, IDSeed: c.IDSeed, ValueSeed: c.ValueSeed, Rows: c.Rows},
	} {
		payload, err := identifier.AppendEntry(nil, e)
		if err != nil {
			t.Fatal(err)
		}
		payloads = append(payloads, payload)
	}
	f.forceUnit(payloads)
	return f.mirrored(serial(1)).Record != nil, f.parent.Mirrors()[0].Bad
}

// forceUnit appends to the mirror what the child's node key signs, whatever its registry
// would have said: the end of a log with these entries.
func (f *family) forceUnit(payloads [][]byte) {
	t := f.parent.t
	t.Helper()
	var tree journal.Tree
	for _, p := range payloads {
		leaf, err := identifier.EntryLeaf(p)
		if err != nil {
			t.Fatal(err)
		}
		tree.Append(leaf)
	}
	note, err := journal.SignCheckpoint(tree.Size(), tree.Root(), f.child.LogID(), f.child.root)
	if err != nil {
		t.Fatal(err)
	}
	u := &replica.Unit{Start: f.size, Payloads: payloads[f.size:], Checkpoint: note, Root: tree.Root()}
	synced := make(chan struct{})
	if err := f.mirror.Append(t.Context(), u, func() { close(synced) }); err != nil {
		t.Fatal(err)
	}
	<-synced
	f.size = u.End()
}
