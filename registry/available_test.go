package registry_test

import (
	"testing"
	"time"

	"github.com/nameplate-id/nameplate/registry"
	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/journal"
	"github.com/nameplate-id/nameplate/registry/replica"
)

// forks tells the parent of evidence that the child has signed two histories.
func (f *family) forks() {
	t := f.parent.t
	t.Helper()
	size := f.size
	held, root, err := f.child.Source().SignCheckpoint(size)
	if err != nil {
		t.Fatal(err)
	}
	root[0] ^= 1
	signed, err := journal.SignCheckpoint(size, root, f.child.LogID(), f.child.root)
	if err != nil {
		t.Fatal(err)
	}
	f.mirror.Refused(&replica.Refusal{Reason: replica.Fork, Evidence: &replica.Evidence{
		Node: f.child.root.Public(), Log: f.child.LogID(), Held: held, Signed: signed,
	}})
	if f.parent.Mirrors()[0].Quarantine == nil {
		t.Fatal("the log is not set aside")
	}
}

// Whatever is wrong with a child or its parent, the parent answers from the mirror, with
// what it has verified last, and says how old that is; a record that it has no more than
// heard of is not one.
func TestMirrorAnswersInEveryFault(t *testing.T) {
	room := &disk{}
	room.free.Store(500 << 20)
	for name, fault := range map[string]func(*family){
		"the child has ended":  func(f *family) { f.child.mustStop() },
		"the child has forked": (*family).forks,
		"the child sends what is bad": func(f *family) {
			thief := newKey(f.parent.t)
			forged := grant("88.118", thief)
			forged.Epoch, forged.Keyset.Version, forged.Node = 2, 2, f.delegation.Node
			e := identifier.Sign(identifier.DelegationType, delegationPayload(f.parent.t, forged), f.child.root)
			if err := f.child.Source().AcceptGrant(f.parent.t.Context(), e); err != nil {
				f.parent.t.Fatal(err)
			}
			f.send()
			f.child.mustRegister(signed(f.parent.t, thief, forged, put(mustID(f.parent.t, "88.118/more"), nil, link("https://thief.example/"))))
		},
		"the child has more than it sends": func(f *family) {
			f.child.mustRegister(signed(f.parent.t, f.holder, f.delegation, put(mustID(f.parent.t, "88.118/more"), nil, link("https://maker.example/"))))
			f.mirror.Heard(f.child.status().Position)
		},
		"the parent's disk is low": func(f *family) {
			room.free.Store(0)
			until(f.parent.t, "the disk is low", func() bool { return f.parent.DiskLow() != "" })
		},
		"the parent has started again": func(f *family) { f.parent.restart() },
		"the prefix was taken back above": func(f *family) {
			f.parent.mustDelegate(&identifier.Delegation{Prefix: "88.118", Epoch: 2, Keyset: identifier.Keyset{Version: 2}}, f.parent.root)
		},
	} {
		t.Run(name, func(t *testing.T) {
			room.free.Store(500 << 20)
			f := &family{parent: openNode(t, registry.Config{Folder: t.TempDir(), Volume: room.volume}), holder: newKey(t)}
			f.child = openNode(t, registry.Config{Folder: t.TempDir(), Parent: f.parent.root.Public()})
			f.delegation = grant("88.118", f.holder)
			f.delegation.Node = &identifier.Node{Name: "child", Key: f.child.root.Public(), Addresses: []identifier.Address{{IP: "127.0.0.1", GRPC: 2640}}}
			f.parent.mustDelegate(f.delegation, f.parent.root)
			f.join()
			f.child.mustRegister(signed(t, f.holder, f.delegation, put(mustID(t, "88.118/a"), nil, link("https://maker.example/a"))))
			f.send()
			fault(f)
			time.Sleep(20 * time.Millisecond)
			c, age := f.parent.CopyOf(f.child.root.Public())
			if c == nil {
				t.Fatal("there is no copy")
			}
			found, err := c.Find(t.Context(), mustID(t, "88.118/a"))
			if err != nil || found.Record == nil || string(found.Record.Values[0].Data) != "https://maker.example/a" {
				t.Errorf("found %+v, %v", found, err)
			}
			if age < 20*time.Millisecond {
				t.Errorf("it is said to be %v old", age)
			}
			if found, err := c.Find(t.Context(), mustID(t, "88.118/more")); err != nil || found.Record != nil {
				t.Errorf("what is not there is found: %+v, %v", found, err)
			}
			if err := f.parent.Healthy(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}
