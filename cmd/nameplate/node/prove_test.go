package node_test

import (
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/nameplate-id/nameplate/registry"
	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/receipt"
)

// TestReceipts gets receipts of every level from the lowest of three nodes, and verifies
// them with keys alone.
func TestReceipts(t *testing.T) {
	c := nodeConfig(t, "top")
	c.Anchor = filepath.Join(t.TempDir(), "anchor")
	top := runNode(t, c)
	middle := below(t, top, "region", "88", top.key)
	lowest := below(t, middle, "maker", "88.118", middle.key)
	logged, err := lowest.Register(t.Context(), signed(t, "88.118/sn-1", "88.118", lowest.key))
	if err != nil {
		t.Fatal(err)
	}
	id, err := identifier.Parse("88.118/sn-1")
	if err != nil {
		t.Fatal(err)
	}
	lowestKey := []identifier.PublicKey{lowest.key.Public()}
	keys := receipt.Keys{
		Holders: lowestKey, Nodes: lowestKey, Parents: []identifier.PublicKey{middle.key.Public()}, Tops: []identifier.PublicKey{top.key.Public()},
	}
	for _, level := range []registry.Level{registry.Local, registry.Anchored, registry.Rooted, 0} {
		r, got, err := lowest.Prove(t.Context(), id, level, 20*time.Second)
		if err != nil {
			t.Fatalf("%v: %v", level, err)
		}
		if level == 0 {
			level = registry.Rooted // which it has reached by now
		}
		v, err := r.Verify(keys)
		if err != nil || v.Level() != level.String() || got != level || r.Position != logged.Position || r.Row.ID != id {
			t.Errorf("%v: got %+v of entry %d, %v", level, v, r.Position, err)
		}
	}
	unknown := id
	unknown.Suffix = "sn-2"
	_, _, err = lowest.Prove(t.Context(), unknown, registry.Local, time.Second)
	if e, ok := errors.AsType[*registry.Error](err); !ok || e.Kind != registry.Absent {
		t.Errorf("what was never registered: %v", err)
	}
}
