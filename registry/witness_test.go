package registry_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nameplate-id/nameplate/registry"
	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/replica"
)

// newKept returns a family whose parent keeps of the child's log what a policy says.
func newKept(t *testing.T, policy identifier.Policy) *family {
	f := &family{parent: newNode(t), holder: newKey(t)}
	f.child = openNode(t, registry.Config{Folder: t.TempDir(), Parent: f.parent.root.Public()})
	f.delegation = grant("88.118", f.holder)
	f.delegation.Policy = policy
	f.delegation.Node = &identifier.Node{Name: "child", Key: f.child.root.Public(), Addresses: []identifier.Address{{IP: "127.0.0.1", GRPC: 2640}}}
	f.parent.mustDelegate(f.delegation, f.parent.root)
	f.join()
	return f
}

// unitTo makes the unit that leads a witness to a size of the child's log.
func (f *family) unitTo(size uint64) *replica.Unit {
	t := f.parent.t
	t.Helper()
	source := f.child.Source()
	u := &replica.Unit{Start: f.size, Size: size}
	from := f.size
	var err error
	if from == 0 {
		if u.Payloads, err = source.Entries(0, 1, 1<<20); err != nil {
			t.Fatal(err)
		}
		from = 1
	}
	if from < size {
		if u.Proof, err = source.Prove(from, size); err != nil {
			t.Fatal(err)
		}
	}
	if u.Checkpoint, u.Root, err = source.SignCheckpoint(size); err != nil {
		t.Fatal(err)
	}
	return u
}

// advance leads the witness to all that the child has.
func (f *family) advance() {
	t := f.parent.t
	t.Helper()
	tip, _ := f.child.Source().Growth()
	if tip == f.size {
		return
	}
	f.append(f.unitTo(tip))
	f.mirror.Heard(tip)
}

func (f *family) append(u *replica.Unit) {
	t := f.parent.t
	t.Helper()
	synced := make(chan struct{})
	if err := f.mirror.Append(t.Context(), u, func() { close(synced) }); err != nil {
		t.Fatal(err)
	}
	<-synced
	f.size = u.End()
}

// A witness knows how much the child has logged, answers with a referral, and tells the
// same after a start and by a check.
func TestWitness(t *testing.T) {
	f := newKept(t, identifier.PolicyWitness)
	if got := f.mirror.Policy(); got != identifier.PolicyWitness {
		t.Fatalf("policy %v", got)
	}
	f.advance()
	for _, text := range []string{"88.118/a", "88.118/b"} {
		f.child.mustRegister(signed(t, f.holder, f.delegation, put(mustID(t, text), nil, link("https://maker.example/"+text))))
		f.advance()
	}
	check := func(where string) {
		t.Helper()
		if err := f.parent.WaitApplied(t.Context()); err != nil {
			t.Fatal(err)
		}
		s := f.parent.Mirrors()[0]
		root, err := f.child.Source().Root(s.Size)
		if err != nil || s.Policy != "witness" || s.Bad != 0 || s.Size != f.child.status().Position || s.Root != root || s.Identifiers != 0 || !s.Counts {
			t.Errorf("%s: %+v, %v", where, s, err)
		}
		if c, _ := f.parent.CopyOf(f.child.root.Public()); c != nil {
			t.Errorf("%s: there is a copy to answer from", where)
		}
		if found := f.parent.find("88.118/a"); found.Record != nil || found.Delegation == nil || found.Delegation.Node == nil {
			t.Errorf("%s: found %+v, want the delegation alone", where, found)
		}
		if u, err := f.mirror.Unit(s.Size - 1); err != nil || u.End() != s.Size {
			t.Errorf("%s: the newest checkpoint is %+v, %v", where, u, err)
		}
		if u, err := f.mirror.Unit(0); err != nil || u.Start != 0 || len(u.Payloads) != 1 {
			t.Errorf("%s: the first checkpoint is %+v, %v", where, u, err)
		}
	}
	check("at once")
	f.parent.check()
	f.parent.start()
	f.join()
	check("after a start")
	f.child.mustRegister(signed(t, f.holder, f.delegation, put(mustID(t, "88.118/c"), nil, link("https://maker.example/c"))))
	f.advance()
	check("and further")
	f.parent.restart()
	f.join()
	check("after a clean start")
	f.parent.check()
}

// What does not follow on what is there is not taken in, whoever brings it: the process ends
// before it makes anything of it, and does not begin again with it.
func TestWitnessTakesNothingUnproved(t *testing.T) {
	for name, change := range map[string]func(*replica.Unit){
		"another proof":         func(u *replica.Unit) { u.Proof[0][0]++ },
		"no proof":              func(u *replica.Unit) { u.Proof = nil },
		"from further on":       func(u *replica.Unit) { u.Start++ },
		"of another size":       func(u *replica.Unit) { u.Size++ },
		"entries":               func(u *replica.Unit) { u.Size, u.Payloads = 0, [][]byte{{1}} },
		"the checkpoint before": func(u *replica.Unit) { u.Checkpoint = nil },
	} {
		t.Run(name, func(t *testing.T) {
			f := newKept(t, identifier.PolicyWitness)
			f.advance()
			before := f.parent.Mirrors()[0]
			f.child.mustRegister(signed(t, f.holder, f.delegation, put(mustID(t, "88.118/a"), nil, link("https://maker.example/a"))))
			tip, _ := f.child.Source().Growth()
			u := f.unitTo(tip)
			change(u)
			if u.Checkpoint == nil {
				var err error
				if u.Checkpoint, _, err = f.child.Source().SignCheckpoint(f.size); err != nil {
					t.Fatal(err)
				}
			}
			if err := f.mirror.Append(t.Context(), u, func() { t.Error("it was taken") }); err != nil {
				t.Fatal(err)
			}
			for late := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
				if _, err := f.mirror.Open(); err != nil {
					break
				}
				if time.Now().After(late) {
					t.Fatal("the node goes on")
				}
			}
			_ = f.parent.stop() // with what ended it
			if s := f.parent.Mirrors()[0]; s.Size != before.Size || s.Root != before.Root {
				t.Errorf("%+v, want what was there", s)
			}
		})
	}
}

// A prefix that goes to another node while the witness is down is told to the node that had
// it, though nothing here says what that one knows.
func TestWitnessedChildHearsThatItsPrefixWent(t *testing.T) {
	f := newKept(t, identifier.PolicyWitness)
	f.advance()
	moved := *f.delegation
	moved.Epoch, moved.Keyset.Version = 2, 2
	node := *f.delegation.Node
	node.Name, node.Key = "another", newKey(t).Public()
	moved.Node = &node
	f.parent.mustDelegate(&moved, f.parent.root)
	f.parent.restart()
	if err := f.parent.Admits(f.child.root.Public()); err != nil {
		t.Fatalf("a child that has not heard of it is not let in: %v", err)
	}
	f.grants = 0
	f.join()
	f.advance()
	_, err := f.child.Register(t.Context(), signed(t, f.holder, f.delegation, put(mustID(t, "88.118/a"), nil, link("https://maker.example/a"))))
	if err == nil {
		t.Error("the child registers below a prefix that is another node's")
	}
	// One whose prefixes were taken back is not let in.
	back := identifier.Delegation{Prefix: "88.118", Epoch: 3, Keyset: identifier.Keyset{Version: 3}}
	f.parent.mustDelegate(&back, f.parent.root)
	if err := f.parent.Admits(f.child.root.Public()); err == nil || !strings.Contains(err.Error(), "any more") {
		t.Errorf("a node without prefixes: %v", err)
	}
}

// restoreChild puts the child back to what it had, by a backup, and lets it write as if
// nobody had noticed.
func (f *family) restoreChild(backup string) {
	t := f.parent.t
	t.Helper()
	f.child.mustStop()
	f.child.config.Folder = filepath.Join(t.TempDir(), "old")
	if err := os.CopyFS(f.child.config.Folder, os.DirFS(backup)); err != nil {
		t.Fatal(err)
	}
	f.child.start()
	if healed, err := f.child.Source().Heal(); err != nil || !healed {
		t.Fatal(healed, err)
	}
}

// A child that has lost what was witnessed, or has written its history anew, goes on with
// another log, which says so; its parent has nothing of the entries, and takes it for the one
// that counts with its first checkpoint.
func TestForkResolveUnderOtherPolicies(t *testing.T) {
	row := func(i int, text string) []identifier.Row {
		return []identifier.Row{put(mustID(t, serial(i)), nil, link("https://maker.example/"+text))}
	}
	for name, c := range map[string]struct {
		policy identifier.Policy
		own    int // entries that are written anew
		why    string
	}{
		"witness, loss": {identifier.PolicyWitness, 0, "loss"},
		"witness, fork": {identifier.PolicyWitness, 5, "fork"},
		"pointer, loss": {identifier.PolicyPointer, 0, "loss"},
		"pointer, fork": {identifier.PolicyPointer, 5, "fork"},
		// The parent has more than the child, which has other entries: both know it.
		// The same, and nobody has noticed.
		"pointer, unseen fork": {identifier.PolicyPointer, 2, "loss"},
		"pointer, short fork":  {identifier.PolicyPointer, 1, "fork"},
	} {
		t.Run(name, func(t *testing.T) {
			f, below := newKept(t, c.policy), newNode(t)
			push := f.advance
			if c.policy == identifier.PolicyPointer {
				push = func() { f.sendAs(identifier.SealEntry) }
			}
			f.child.mustRegister(signed(t, f.holder, f.delegation, row(0, "shared")...))
			push()
			backup := filepath.Join(t.TempDir(), "backup")
			f.child.mustStop()
			if err := os.CopyFS(backup, os.DirFS(f.child.config.Folder)); err != nil {
				t.Fatal(err)
			}
			f.child.start()
			for i := range 3 {
				f.child.mustRegister(signed(t, f.holder, f.delegation, row(1+i, "lost")...))
			}
			logRowOf(t, f.child, below) // which nobody gives back either
			push()
			highest := f.size
			f.restoreChild(backup)
			for i := range c.own {
				f.child.mustRegister(signed(t, f.holder, f.delegation, row(1+i, "anew")...))
			}
			before := f.child.LogID()
			if c.own == 1 {
				f.setAside()
			}
			told, handed := f.resolve()
			if told.Why != c.why || len(handed) != 0 || int(told.Own) != 0 || told.Upper != 0 {
				t.Errorf("resolution %+v, handed over %d", told, len(handed))
			}
			if f.child.LogID() == before {
				t.Fatal("it is the same log")
			}
			found := f.child.find(serial(0))
			if found.Record == nil || found.Position <= highest {
				t.Errorf("what was there is found as %+v, want a position behind %d", found, highest)
			}
			// The parent goes over to it.
			f.grants = 0
			f.join()
			if f.parent.Mirrors()[0].Counts != true {
				t.Error("a Hello alone has changed the log")
			}
			push()
			mirrors := f.parent.Mirrors()
			if len(mirrors) != 2 || mirrors[0].Counts || !mirrors[1].Counts || mirrors[1].After == nil || mirrors[1].After.Log != before || mirrors[1].Bad != 0 {
				t.Errorf("the parent holds %+v", mirrors)
			}
			var r *replica.Refusal
			if _, err := f.parent.Mirror(t.Context(), before, f.child.root.Public(), f.child.root.Public(), 3); !errors.As(err, &r) || r.Reason != replica.Succeeded {
				t.Errorf("the log before is answered with %v", err)
			}
			f.parent.check()
		})
	}
}
