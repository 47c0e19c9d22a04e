package rpc_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/nameplate-id/nameplate/registry"
	"github.com/nameplate-id/nameplate/registry/replica"
	"github.com/nameplate-id/nameplate/registry/replica/replicatest"
	"github.com/nameplate-id/nameplate/registry/rpc"
)

// A receipt goes down as soon as the registry has it, and what is acknowledged for
// anchoring with it.
func TestCosignedGoesDown(t *testing.T) {
	bubble(t, rpc.ParentConfig{}, func(t *testing.T, u *uplink) {
		defer u.serve()()
		u.source.grow(1, 3, 0)
		defer u.run(u.child)()
		time.Sleep(time.Second)
		synctest.Wait()
		size := u.source.Synced()
		note, _, err := u.source.SignCheckpoint(size)
		if err != nil {
			t.Fatal(err)
		}
		parent := replicatest.NodeKey(200)
		r := &replica.Receipt{Note: replicatest.Cosign(note, parent), Cosigner: parent.Public()}
		u.mirror().anchor(registry.Anchoring{Acknowledged: size, Anchored: r, AnchoredSize: size})
		synctest.Wait()
		u.source.mu.Lock()
		defer u.source.mu.Unlock()
		if len(u.source.receipts) != 1 || u.source.anchored != size {
			t.Fatalf("got %d receipts, %d entries acknowledged for anchoring; want 1 and %d", len(u.source.receipts), u.source.anchored, size)
		}
		if err := registry.VerifyCosignature(u.source.receipts[0].Note, parent.Public()); err != nil {
			t.Error(err)
		}
	})
}
