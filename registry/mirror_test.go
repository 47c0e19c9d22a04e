package registry_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nameplate-id/nameplate/registry"
	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/replica"
)

// family is a parent and a child whose prefix is 88.118, with a holder.
type family struct {
	parent, child *node
	holder        identifier.PrivateKey
	delegation    *identifier.Delegation
	mirror        *registry.Mirror
	size          uint64 // of the mirror, as far as this test has sent
	grants        uint64
	forges        bool // the child says what nobody granted, and may refuse what was
}

func newFamily(t testing.TB) *family {
	t.Helper()
	f := &family{parent: newNode(t), holder: newKey(t)}
	f.child = openNode(t, registry.Config{Folder: t.TempDir(), Parent: f.parent.root.Public()})
	f.delegation = grant("88.118", f.holder)
	f.delegation.Node = &identifier.Node{
		Name: "child", Key: f.child.root.Public(), Addresses: []identifier.Address{{IP: "127.0.0.1", GRPC: 2640}},
	}
	f.parent.mustDelegate(f.delegation, f.parent.root)
	f.join()
	return f
}

// join says Hello and takes in what the parent grants.
func (f *family) join() {
	f.parent.t.Helper()
	f.hello()
	f.takeGrants()
}

// hello says Hello.
func (f *family) hello() {
	t := f.parent.t
	t.Helper()
	size, _ := f.child.Source().Growth()
	m, err := f.parent.Mirror(t.Context(), f.child.LogID(), f.child.root.Public(), f.child.root.Public(), size)
	if err != nil {
		t.Fatal(err)
	}
	root, err := f.child.Source().Root(size)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Settle(t.Context(), size, root); err != nil {
		t.Fatal(err)
	}
	if err := m.Fence(t.Context(), size, root); err != nil {
		t.Fatal(err)
	}
	opened, err := m.Open()
	if err != nil {
		t.Fatal(err)
	}
	f.mirror, f.size = m, opened.Size
}

func (f *family) takeGrants() {
	t := f.parent.t
	t.Helper()
	envelopes, _ := f.mirror.Grants(f.grants)
	for _, e := range envelopes {
		if err := f.child.Source().AcceptGrant(t.Context(), e); err != nil && !f.forges {
			t.Fatal(err)
		}
	}
	f.grants += uint64(len(envelopes))
}

// send brings the mirror up to the child's log, in units of at most three entries.
func (f *family) send() {
	f.parent.t.Helper()
	for {
		tip, _ := f.child.Source().Growth()
		if f.size == tip {
			f.mirror.Heard(tip)
			return
		}
		f.sendSome(3)
	}
}

// sendSome sends so many entries at the most.
func (f *family) sendSome(n int) {
	t := f.parent.t
	t.Helper()
	source := f.child.Source()
	payloads, err := source.Entries(f.size, n, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	u := &replica.Unit{Start: f.size, Payloads: payloads}
	if u.Checkpoint, u.Root, err = source.SignCheckpoint(u.End()); err != nil {
		t.Fatal(err)
	}
	synced := make(chan struct{})
	if err := f.mirror.Append(t.Context(), u, func() { close(synced) }); err != nil {
		t.Fatal(err)
	}
	<-synced
	f.size = u.End()
}

// mirrored asks the parent's mirror.
func (f *family) mirrored(text string) identifier.Finding {
	t := f.parent.t
	t.Helper()
	c, _ := f.parent.CopyOf(f.child.root.Public())
	if c == nil {
		t.Fatal("there is no copy")
	}
	found, err := c.Find(t.Context(), mustID(t, text))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestMirrorAnswersWhatTheChildWould(t *testing.T) {
	f := newFamily(t)
	first := put(mustID(t, "88.118/sn-1"), nil, link("https://maker.example/1"))
	f.child.mustRegister(signed(t, f.holder, f.delegation, first))
	for i := range 10 {
		f.child.mustRegister(signed(t, f.holder, f.delegation, put(mustID(t, serial(i)), nil, link("https://maker.example/n"))))
	}
	f.child.mustRegister(signed(t, f.holder, f.delegation, withdraw(f.child.record(serial(3)))))
	f.send()

	for round := range 3 {
		found := f.mirrored("88.118/sn-1")
		if found.Record == nil || string(found.Record.Values[0].Data) != "https://maker.example/1" || !found.InZone || found.Apex != "88.118" {
			t.Fatalf("round %d: %+v", round, found)
		}
		if found := f.mirrored(serial(3)); found.Record != nil {
			t.Errorf("round %d: a withdrawn record resolves in the mirror", round)
		}
		if found := f.parent.find("88.118/sn-1"); found.Delegation == nil || found.Record != nil {
			t.Errorf("round %d: the parent itself finds %+v, not the delegation alone", round, found)
		}
		if round == 0 {
			f.parent.restart()
		} else if round == 1 {
			f.child.restart()
		}
		f.join()
		f.send()
	}
	f.parent.check()
	f.child.check()
}

func TestMirrorKeepsBadEntriesAndGoesOn(t *testing.T) {
	f := newFamily(t)
	f.child.mustRegister(signed(t, f.holder, f.delegation, put(mustID(t, "88.118/a"), nil, link("https://maker.example/a"))))
	f.send()

	// The child's node forges what its holder never signed: it says that another key
	// holds the prefix, in a grant that the parent never made.
	thief := newKey(t)
	forged := grant("88.118", thief)
	forged.Epoch, forged.Keyset.Version, forged.Node = 2, 2, f.delegation.Node
	e := identifier.Sign(identifier.DelegationType, delegationPayload(t, forged), f.child.root)
	if err := f.child.Source().AcceptGrant(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	f.child.mustRegister(signed(t, thief, forged, put(mustID(t, "88.118/stolen"), nil, link("https://thief.example/"))))
	f.send()

	if found := f.mirrored("88.118/stolen"); found.Record != nil {
		t.Error("what a key without the prefix signed resolves in the mirror")
	}
	if found := f.mirrored("88.118/a"); found.Record == nil {
		t.Error("a bad entry took a good record away")
	}
	if got := f.parent.Mirrors(); len(got) != 1 || got[0].Bad != 2 || got[0].Size != f.child.status().Position {
		t.Errorf("mirrors %+v, want one with 2 bad entries", got)
	}
	f.parent.restart()
	if got := f.parent.Mirrors(); len(got) != 1 || got[0].Bad != 2 {
		t.Errorf("after a restart: %+v", got)
	}
	f.parent.check()
}

func TestMirrorFollowsGrants(t *testing.T) {
	f := newFamily(t)
	next := newKey(t)
	changed, err := f.parent.changeKeys(f.delegation, keyset(2, 1, next), f.parent.root)
	if err != nil {
		t.Fatal(err)
	}
	f.takeGrants()
	old := put(mustID(t, "88.118/old"), nil, link("https://maker.example/"))
	_, err = f.child.Register(t.Context(), signed(t, f.holder, f.delegation, old))
	wantKind(t, err, registry.Denied)
	f.child.mustRegister(signed(t, next, changed, put(mustID(t, "88.118/new"), nil, link("https://maker.example/"))))
	f.send()
	if f.mirrored("88.118/new").Record == nil {
		t.Error("what the new key signed does not resolve in the mirror")
	}

	// Taken back: the child refers to nobody and takes nothing.
	revoked := &identifier.Delegation{Prefix: "88.118", Epoch: 2, Keyset: identifier.Keyset{Version: 3}}
	f.parent.mustDelegate(revoked, f.parent.root)
	f.takeGrants()
	_, err = f.child.Register(t.Context(), signed(t, next, changed, old))
	wantKind(t, err, registry.Denied)
	f.send()
	if got := f.parent.Mirrors(); got[0].Bad != 0 {
		t.Errorf("%d honest entries are marked", got[0].Bad)
	}
	f.parent.check()
	f.child.check()
}

func TestMirrorRefusesStrangers(t *testing.T) {
	f := newFamily(t)
	stranger := newNode(t)
	_, err := f.parent.Mirror(t.Context(), stranger.LogID(), stranger.root.Public(), stranger.root.Public(), 2)
	if refusal, ok := err.(*replica.Refusal); !ok || refusal.Reason != replica.UnknownNode {
		t.Errorf("a node without a prefix: %v", err)
	}
	// Another log of the child is let in as far as its first entry, which must say that it
	// continues the one that is here. That many may be announced, and no more.
	f.child.mustRegister(signed(t, f.holder, f.delegation, put(mustID(t, serial(1)), nil, link("https://maker.example/1"))))
	f.send()
	first, err := f.child.Source().Entries(0, 1, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		m, err := f.parent.Mirror(t.Context(), identifier.LogID{byte(i), 1}, f.child.root.Public(), f.child.root.Public(), 2)
		if i >= 16 {
			if refusal, ok := err.(*replica.Refusal); !ok || refusal.Reason != replica.OtherLog {
				t.Errorf("the other log %d of the child: %v", i, err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, payload := range [][]byte{first[0], nil, []byte("garbage")} {
			if r := m.Begins(payload); r == nil || r.Reason != replica.OtherLog {
				t.Errorf("another log of the child that begins with %d octets: %v", len(payload), r)
			}
		}
	}
	if got := f.mirrored(serial(1)); got.Record == nil {
		t.Error("the log that counts does not any more")
	}
}

// A node that comes with the id of another one's log is turned away: rows, fences and receipts
// go by that.
func TestLogOfAnother(t *testing.T) {
	f := newFamily(t)
	sibling := newKey(t).Public()
	d := grant("88.119", newKey(t))
	d.Node = &identifier.Node{Name: "sibling", Key: sibling, Addresses: f.delegation.Node.Addresses}
	f.parent.mustDelegate(d, f.parent.root)
	lost := identifier.LogID{7} // but for its row
	row := identifier.ChildRow{Log: lost, Node: f.child.root.Public(), Size: 3, Signature: make([]byte, 64)}
	if err := registry.LogChildren(t.Context(), f.parent.Registry, []identifier.ChildRow{row}); err != nil {
		t.Fatal(err)
	}
	come := func(log identifier.LogID) *replica.Refusal {
		_, err := f.parent.Mirror(t.Context(), log, sibling, sibling, 1)
		refusal, ok := err.(*replica.Refusal)
		if !ok && err != nil {
			t.Fatal(err)
		}
		return refusal
	}
	for name, log := range map[string]identifier.LogID{"a sibling's": f.child.LogID(), "the parent's own": f.parent.LogID(), "one that is lost": lost} {
		if r := come(log); r == nil || r.Reason != replica.OtherLog {
			t.Errorf("a node comes with %s log: %v", name, r)
		}
	}
	if r := come(identifier.LogID{8}); r != nil {
		t.Error(r)
	}
	f.parent.leave(registry.RuleOwner)
	if r := come(f.child.LogID()); r != nil {
		t.Errorf("nobody noticed that the rule was left out: %v", r)
	}
}

func TestMirrorTellsAChildThatWasAwayOfAMove(t *testing.T) {
	f := newFamily(t)
	f.child.mustRegister(signed(t, f.holder, f.delegation, put(mustID(t, "88.118/a"), nil, link("https://maker.example/a"))))
	f.send()
	moved := grant("88.118", f.holder)
	moved.Epoch, moved.Keyset.Version = 2, 2
	moved.Node = &identifier.Node{Name: "other", Key: newKey(t).Public(), Addresses: f.delegation.Node.Addresses}
	f.parent.mustDelegate(moved, f.parent.root)

	// The parent starts again, so that nothing is left in its memory of who was there.
	f.parent.restart()
	f.grants = 0
	f.join()
	if found := f.child.find("88.118/a"); found.Delegation == nil || found.Delegation.Node.Name != "other" || found.Record != nil {
		t.Errorf("the child that lost its prefix finds %+v, not the other node", found)
	}
	f.send()
	if got := f.parent.Mirrors(); got[0].Bad != 0 {
		t.Errorf("%d honest entries are marked", got[0].Bad)
	}
}

// The parent gave the child a grant, was restored to a time before that, and knows nothing
// of it. Whatever it gives next has the same epoch.
func TestChildTakesWhatARestoredParentGives(t *testing.T) {
	f := newFamily(t)
	give := func(key identifier.PrivateKey) (*identifier.Delegation, identifier.Envelope) {
		next := *f.delegation
		next.Epoch, next.Keyset = 2, keyset(2, 1, key)
		return &next, identifier.Sign(identifier.DelegationType, delegationPayload(t, &next), f.parent.root)
	}
	_, envelope := give(newKey(t))
	if err := f.child.Source().AcceptGrant(t.Context(), envelope); err != nil {
		t.Fatal(err)
	}
	key := newKey(t)
	again, _ := give(key)
	f.parent.mustDelegate(again, f.parent.root)
	f.takeGrants()
	f.child.mustRegister(signed(t, key, again, put(mustID(t, "88.118/new"), nil, link("https://maker.example/"))))
	f.send()
	if f.mirrored("88.118/new").Record == nil {
		t.Error("what rests on the grant that the parent made again does not resolve in the mirror")
	}
	if got := f.parent.Mirrors(); got[0].Bad != 1 {
		t.Errorf("%d entries are marked, want the grant that was lost", got[0].Bad)
	}
	position := f.child.status().Position
	for range 2 { // and then they have all been there
		f.grants = 0
		f.takeGrants()
	}
	if got := f.child.status().Position; got != position {
		t.Errorf("grants that are there are logged again: %d entries, then %d", position, got)
	}
}

// A crash comes before the state has taken over a delegation: the child is told of it all
// the same.
func TestGrantOfBeforeACrash(t *testing.T) {
	t.Parallel()
	f := newFamily(t)
	f.send()
	f.parent.mustStop()
	f.parent.config.State.Gather = time.Hour
	f.parent.start()
	again := grant("88.119", f.holder)
	again.Node = f.delegation.Node
	f.parent.mustDelegate(again, f.parent.root)
	crashed := filepath.Join(t.TempDir(), "crashed")
	if err := os.CopyFS(crashed, os.DirFS(f.parent.config.Folder)); err != nil {
		t.Fatal(err)
	}
	f.parent.mustStop()
	f.parent.config = registry.Config{Folder: crashed, Journal: f.parent.config.Journal}
	f.parent.start()
	f.grants = 0
	f.join()
	if found := f.child.find("88.119/x"); !found.InZone || found.Apex != "88.119" {
		t.Errorf("the child was not told: %+v", found)
	}
}

// putBack starts the parent again with another configuration, marked, and gives it back what
// the level above has of its log: so many entries.
func (f *family) putBack(change func(*registry.Config)) (size uint64) {
	t := f.parent.t
	t.Helper()
	source := f.parent.Source()
	size, _ = source.Growth()
	payloads, err := source.Entries(0, 256, 1<<20)
	if err != nil || uint64(len(payloads)) != size {
		t.Fatal(len(payloads), err)
	}
	note, root, err := source.SignCheckpoint(size)
	if err != nil {
		t.Fatal(err)
	}
	f.parent.mustStop()
	change(&f.parent.config)
	f.parent.start()
	f.grants = 0
	if err := f.parent.Source().Mark(t.Context(), "restored"); err != nil {
		t.Fatal(err)
	}
	if have := f.parent.status().Position; have < size {
		u := &replica.Unit{Start: have, Payloads: payloads[have:], Checkpoint: note, Root: root}
		if err := f.parent.Source().TakeBack(t.Context(), u); err != nil {
			t.Fatal(err)
		}
	}
	return size
}
