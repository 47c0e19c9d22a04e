package registry_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/nameplate-id/nameplate/registry"
	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/journal"
)

// gated lets a test hold up syncs, and notes at which points entries are.
type gated struct {
	mu     sync.Mutex
	gate   chan struct{} // nil while syncs go on
	points strings.Builder
	// inForce tells whether a delegation is, which is then noted; nil for none.
	inForce func() bool
}

func (g *gated) atSync(point string) {
	if point != journal.HookSync {
		return
	}
	g.mu.Lock()
	gate := g.gate
	g.mu.Unlock()
	if gate != nil {
		<-gate
	}
}

func (g *gated) at(point string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.inForce != nil && point == registry.HookEntryVisible && g.inForce() {
		g.points.WriteByte('V')
		return
	}
	switch point {
	case registry.HookEntry:
		g.points.WriteByte('q')
	case registry.HookEntrySynced:
		g.points.WriteByte('s')
	case registry.HookEntryVisible:
		g.points.WriteByte('v')
	}
}

func (g *gated) shut(inForce func() bool) (open func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inForce = inForce
	gate := make(chan struct{})
	g.gate = gate
	g.points.Reset()
	return func() {
		g.mu.Lock()
		g.gate = nil
		g.mu.Unlock()
		close(gate)
	}
}

func (g *gated) queued() int { return strings.Count(g.seen(), "q") }

func (g *gated) seen() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.points.String()
}

// What one sync makes durable becomes visible together, but for what brings a holder into
// force; and nobody hears of anything that does not resolve yet.
func TestEntriesOfOneSync(t *testing.T) {
	t.Parallel()
	var g gated
	n := openNode(t, registry.Config{Folder: t.TempDir(), Hook: g.at, Journal: journal.Options{SegmentSize: 1 << 20, Hook: g.atSync}})
	holder, d := maker(t, n)
	other := newKey(t)
	below := grant("88.118.9", other)

	open := g.shut(func() bool { return n.Holder("88.118.9").Prefix == "88.118.9" })
	var answering sync.WaitGroup
	queued := 0
	// queue calls something that queues an entry, and goes on once it has.
	queue := func(call func()) {
		answering.Go(call)
		for queued++; g.queued() < queued; {
			if t.Failed() {
				return
			}
		}
	}
	register := func(by identifier.PrivateKey, of *identifier.Delegation, id string) func() {
		return func() {
			if _, err := n.Register(t.Context(), signed(t, by, of, put(mustID(t, id), nil, link("https://maker.example/")))); err != nil {
				t.Error(err)
				return
			}
			if f, err := n.Find(t.Context(), mustID(t, id)); err != nil || f.Record == nil {
				t.Errorf("%s is registered and not found: %v", id, err)
			}
		}
	}
	queue(register(holder, d, serial(0))) // the sync that all others wait for
	for i := range 4 {
		queue(register(holder, d, serial(i+1)))
	}
	queue(func() {
		if _, err := n.delegate(below, holder); err != nil {
			t.Error(err)
		}
		if got := n.Holder("88.118.9"); got == nil || got.Prefix != below.Prefix {
			t.Errorf("it is delegated, and %v holds it", got)
		}
	})
	for i := range 3 {
		queue(register(other, below, fmt.Sprintf("88.118.9/%d", i)))
	}
	open()
	answering.Wait()
	if t.Failed() {
		return
	}
	// Of each of the two syncs all rows above the delegation, the delegation, and all below it.
	// The first one is that of a single entry, or where the journal is slow to begin of more.
	const visible = "vvvvv" + "V" + "VVV"
	got, found := g.seen(), false
	for first := range queued {
		first++
		s := func(n int) string { return strings.Repeat("s", n) }
		found = found || got == strings.Repeat("q", queued)+s(first)+visible[:first]+s(queued-first)+visible[first:]
	}
	if !found {
		t.Errorf("entries are queued, synced and visible in the order %s, want all of a sync together", got)
	}
	n.restart()
	if n.record("88.118.9/2").Version != 1 || n.record(serial(4)).Version != 1 {
		t.Error("not all is there after a start")
	}
}
