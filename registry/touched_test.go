package registry_test

import (
	"errors"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/nameplate-id/nameplate/registry"
	"github.com/nameplate-id/nameplate/registry/journal"
	"github.com/nameplate-id/nameplate/registry/replica"
	"github.com/nameplate-id/nameplate/registry/state"
)

// overtaking returns the configuration of a node in which something happens once it is armed:
// when a change has been looked up next, before it is judged.
func overtaking(t *testing.T, left registry.Rule, overtake *func()) (config registry.Config, armed *atomic.Bool) {
	armed = new(atomic.Bool)
	config = registry.Config{Folder: t.TempDir(), Journal: journal.Options{SegmentSize: 1 << 20}, State: state.Options{Hook: func(point string) {
		if point == state.PointView && armed.CompareAndSwap(true, false) {
			(*overtake)()
		}
	}}}
	registry.LeaveOut(&config, left)
	return config, armed
}

// overtaken registers an identifier whose change is overtaken by another one of the same
// identifier: it is looked up, then the other is logged and answers, then it is judged.
func overtaken(t *testing.T, left registry.Rule) error {
	var overtake func()
	config, armed := overtaking(t, left, &overtake)
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

// A change is looked up at a node that lacks entries, and has its turn when these have come
// back and changes are taken again: it follows on what came back.
func TestOvertakenByWhatComesBack(t *testing.T) {
	t.Parallel()
	var overtake func()
	config, armed := overtaking(t, 0, &overtake)
	n := openNode(t, config)
	holder, d := maker(t, n)
	n.mustStop()
	backup := filepath.Join(t.TempDir(), "backup")
	if err := os.CopyFS(backup, os.DirFS(config.Folder)); err != nil {
		t.Fatal(err)
	}
	n.start()
	have := n.status().Position
	n.mustRegister(signed(t, holder, d, put(mustID(t, serial(1)), nil, link("https://lost.example/"))))
	lost, err := n.Source().Entries(have, 256, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	note, root, err := n.Source().SignCheckpoint(have + uint64(len(lost)))
	if err != nil {
		t.Fatal(err)
	}
	n.mustStop()
	n.config.Folder = backup
	n.start()
	if err := n.Source().Mark(t.Context(), "restored"); err != nil {
		t.Fatal(err)
	}
	change, err := n.Verify(t.Context(), signed(t, holder, d, put(mustID(t, serial(1)), nil, link("https://other.example/"))))
	if err != nil {
		t.Fatal(err)
	}
	overtake = func() {
		if err := n.Source().TakeBack(t.Context(), &replica.Unit{Start: have, Payloads: lost, Checkpoint: note, Root: root}); err != nil {
			t.Error(err)
		}
		if healed, err := n.Source().Heal(); !healed || err != nil {
			t.Errorf("healed: %v, %v", healed, err)
		}
	}
	armed.Store(true)
	_, err = n.Log(t.Context(), change)
	if armed.Load() {
		t.Fatal("nothing was looked up")
	}
	wantKind(t, err, registry.Conflict)
	if got := string(n.record(serial(1)).Values[0].Data); got != "https://lost.example/" {
		t.Errorf("the identifier has %s", got)
	}
}
