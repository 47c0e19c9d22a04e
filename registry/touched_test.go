package registry_test

import (
	"errors"
	"sync/atomic"
	"testing"

	"github.com/nameplate-id/nameplate/registry"
	"github.com/nameplate-id/nameplate/registry/journal"
	"github.com/nameplate-id/nameplate/registry/state"
)

// overtaken registers an identifier whose change is overtaken by another one of the same
// identifier: it is looked up, then the other is logged and answers, then it is judged.
func overtaken(t *testing.T, left registry.Rule) error {
	var armed atomic.Bool
	var overtake func()
	config := registry.Config{Folder: t.TempDir(), Journal: journal.Options{SegmentSize: 1 << 20}, State: state.Options{Hook: func(point string) {
		if point == state.PointView && armed.CompareAndSwap(true, false) {
			overtake()
		}
	}}}
	registry.LeaveOut(&config, left)
	n := openNode(t, config)
	holder, d := maker(t, n)
	first, err := n.Verify(t.Context(), signed(t, holder, d, put(mustID(t, serial(1)), nil, link("https://first.example/"))))
	if err != nil {
		t.Fatal(err)
	}
	second := signed(t, holder, d, put(mustID(t, serial(1)), nil, link("https://second.example/")))
	overtake = func() { n.mustRegister(second) }
	armed.Store(true)
	_, err = n.Log(t.Context(), first)
	if got := string(n.record(serial(1)).Values[0].Data); got != "https://second.example/" {
		t.Errorf("the identifier has %s", got)
	}
	return err
}

// A change that was looked up before its turn follows on what was logged meanwhile.
func TestOvertaken(t *testing.T) {
	t.Parallel()
	err := overtaken(t, 0)
	wantKind(t, err, registry.Conflict)
	if e := (*registry.Error)(nil); errors.As(err, &e) && (len(e.Rows) != 1 || e.Rows[0].Version != 1) {
		t.Errorf("refused with %+v, want the row and its current version", e.Rows)
	}
}

// TestOvertakenNotices shows that it would be logged twice where that is not looked at.
func TestOvertakenNotices(t *testing.T) {
	t.Parallel()
	for range 10 {
		if overtaken(t, registry.RuleLook) == nil {
			return
		}
		// Another reader came first: then the second change did, too.
	}
	t.Error("it is refused where nothing is looked up again")
}
