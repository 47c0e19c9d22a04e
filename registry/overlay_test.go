package registry_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/nameplate-id/nameplate/registry"
	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/state"
)

// An entry adds one hash to a tile that has up to 256 of them already. Only that hash counts
// against what may wait for the state, or many single registrations would wait for it
// after a few thousand.
func TestOverlayOfSingleRows(t *testing.T) {
	n := openNode(t, registry.Config{Folder: t.TempDir(), State: state.Options{Gather: time.Hour}})
	holder, d := maker(t, n)
	const rows = 100
	before := registry.Overlay(n.Registry)
	for i := range rows {
		n.mustRegister(signed(t, holder, d, put(identifier.ID{Prefix: "88.118", Suffix: fmt.Sprint("sn-", i)}, nil, link("https://maker.example/product/4711"))))
	}
	// A record, its key and its share of the overlay take some 400 octets; a tile of a hundred hashes 3,600.
	if got := (registry.Overlay(n.Registry) - before) / rows; got < 200 || got > 1000 {
		t.Errorf("a row counts %d octets on the average, want 200 to 1,000", got)
	}
}
