package registry_test

import (
	"errors"
	"testing"

	"github.com/nameplate-id/nameplate/registry"
	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/journal"
	"github.com/nameplate-id/nameplate/registry/replica"
)

// A node and its child were put back without a word, and the child wrote anew what the node
// above has a row of. The node forks and is resolved; that its child has forked, the rows of
// the other history show, whatever the node's own rows say. One that agrees sets nothing aside.
func TestForkResolveSetsChildrenAside(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		more  int  // entries has the row in the history above than the mirror
		other bool // it has another root than the mirror
		left  registry.Rule
	}{
		"another root of a part": {-1, true, 0}, "another root of all": {0, true, 0}, "the same": {-1, false, 0}, "more than is here": {6, true, 0},
		"nobody looks": {-1, true, registry.RuleAstray},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFamily(t)
			below := openNode(t, registry.Config{Folder: t.TempDir(), Parent: f.child.root.Public()})
			key, log := below.root.Public(), below.LogID()
			mirror := func() *registry.Mirror {
				m, err := f.child.Mirror(t.Context(), log, key, key, 1)
				if err != nil {
					t.Fatal(err)
				}
				return m
			}
			d := grant("88.118.9", newKey(t))
			d.Node = &identifier.Node{Name: "below", Key: key, Addresses: []identifier.Address{{IP: "127.0.0.1", GRPC: 2640}}}
			var all uint64
			shared := func() {
				f.child.mustDelegate(d, f.holder)
				grants, _ := mirror().Grants(0)
				for _, g := range grants {
					if err := below.Source().AcceptGrant(t.Context(), g); err != nil {
						t.Fatal(err)
					}
				}
				all = below.status().Position
			}
			upper := func() {
				r := identifier.ChildRow{Log: log, Node: key, Size: all + uint64(c.more), Root: identifier.Hash{1}}
				var err error
				if !c.other {
					r.Root, err = below.Source().Root(r.Size)
				}
				note, failed := journal.SignCheckpoint(r.Size, r.Root, log, below.root)
				if err = errors.Join(err, failed); err == nil {
					r.Signature, err = journal.CheckpointSignature(note, log, key)
				}
				if err == nil {
					err = registry.LogChildren(t.Context(), f.child.Registry, []identifier.ChildRow{r})
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			own := func() {
				payloads, err := below.Source().Entries(0, 256, 1<<20)
				u := &replica.Unit{Payloads: payloads}
				if err == nil {
					u.Checkpoint, u.Root, err = below.Source().SignCheckpoint(all)
				}
				synced := make(chan struct{})
				if err == nil {
					err = mirror().Append(t.Context(), u, func() { close(synced) })
				}
				if err != nil {
					t.Fatal(err)
				}
				<-synced
				f.put(f.holder, f.delegation, "88.118/own") // so that the log is another one
			}
			f.forkBy(shared, upper, own)
			registry.LeaveOut(&f.child.config, c.left)
			f.resolve()
			q := f.child.Mirrors()[0].Quarantine
			if want := c.other && c.more <= 0 && c.left == 0; (q != nil) != want {
				t.Fatalf("the child's log is set aside: %+v, want %v", q, want)
			} else if want && q.Size != all+uint64(c.more) {
				t.Errorf("it differs within %d entries, want %d", q.Size, all+uint64(c.more))
			}
			f.child.restart()
			if again := f.child.Mirrors()[0].Quarantine; (again != nil) != (q != nil) {
				t.Errorf("after a start: %+v", again)
			}
		})
	}
}
