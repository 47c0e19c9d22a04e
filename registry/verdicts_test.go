package registry_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"

	"github.com/nameplate-id/nameplate/registry"
	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/replica"
)

var verdictHistories = flag.Uint64("verdicts", 12, "how many histories TestVerdicts plays")

// What an entry of a child's log is worth does not depend on who judges it, nor on when:
// its parent as it comes, another top-level node that gets it in other portions and some
// time later, one that gets everything at the end, and each of them once more after a
// start.
func TestVerdicts(t *testing.T) {
	t.Parallel()
	var fences, marked atomic.Uint64
	t.Cleanup(func() {
		if n, m := fences.Load(), marked.Load(); n == 0 || m == 0 {
			t.Errorf("%d fences were set and %d entries marked in all histories: it shows nothing", n, m)
		}
	})
	for seed := range *verdictHistories {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			v, differ := playVerdicts(t, seed, false)
			if differ != "" {
				t.Error(differ)
			}
			fences.Add(v.fences)
			marked.Add(v.marked)
		})
	}
}

// A watcher that gets the child's log before what the parent has granted since finds other
// things, and that is seen.
func TestVerdictsNotice(t *testing.T) {
	t.Parallel()
	for seed := range uint64(12) {
		if _, differ := playVerdicts(t, seed, true); differ != "" {
			return
		}
	}
	t.Error("nobody noticed that the logs came in the wrong order")
}

// playVerdicts plays a history, and returns what two nodes do not agree on.
func playVerdicts(t *testing.T, seed uint64, early bool) (v *verdicts, differ string) {
	v = newVerdicts(t, rand.New(rand.NewPCG(seed, 9)).IntN)
	v.early = early
	for range 40 {
		v.step()
	}
	return v, v.finish()
}

// verdicts is a family, and two other top-level nodes that keep the child's log.
type verdicts struct {
	*family
	pick  func(int) int
	keys  []identifier.PrivateKey // all that ever were the holder's
	soon  *watcher
	tried []string
	early bool // the child's log comes before the rest of the parent's

	fences, marked uint64 // how many there are at the end
}

// watcher is another top-level node.
type watcher struct {
	*node
	own, child uint64 // what was sent of the parent's log, and of the child's
}

func newVerdicts(t *testing.T, pick func(int) int) *verdicts {
	v := &verdicts{family: newFamily(t), pick: pick}
	v.keys, v.forges = []identifier.PrivateKey{v.holder}, pick(2) == 0
	v.hurry(1)
	v.soon = v.watcher()
	return v
}

func (v *verdicts) watcher() *watcher {
	return &watcher{node: openNode(v.parent.t, registry.Config{Folder: v.parent.t.TempDir(), Peers: []identifier.PublicKey{v.parent.root.Public()}})}
}

func (v *verdicts) step() {
	t := v.parent.t
	switch v.pick(14) {
	case 0, 1, 2, 3:
		v.register(v.keys[len(v.keys)-1])
	case 4:
		v.register(v.keys[v.pick(len(v.keys))]) // perhaps one that counts no more
	case 5:
		next := *v.delegation
		next.Epoch, next.Keyset = next.Epoch+1, keyset(next.Keyset.Version+1, 1, v.nextKey())
		v.delegation = v.parent.mustDelegate(&next, v.parent.root)
	case 6:
		var err error
		if v.delegation, err = v.parent.changeKeys(v.delegation, keyset(v.delegation.Keyset.Version+1, 1, v.nextKey()), v.parent.root); err != nil {
			t.Fatal(err)
		}
	case 7:
		v.takeGrants()
	case 8:
		if v.forges {
			v.forge()
		}
	case 9:
		v.send()
	case 10:
		v.send()
		v.relay(v.soon)
	case 11, 12:
		// It hears what the parent has granted, says Hello again, and takes it in later or
		// never: what it leaves out is fenced.
		v.deaf()
		v.hello()
	default:
		n := []*node{v.parent, v.child, v.soon.node}[v.pick(3)]
		n.restart()
		v.grants = 0
		v.join()
	}
}

func (v *verdicts) nextKey() identifier.PrivateKey {
	v.keys = append(v.keys, newKey(v.parent.t))
	return v.keys[len(v.keys)-1]
}

// register puts something new, or a second version of what is there.
func (v *verdicts) register(key identifier.PrivateKey) {
	t := v.parent.t
	text := serial(v.pick(20))
	v.tried = append(v.tried, text)
	found := v.child.find(text)
	row := put(mustID(t, text), found.Record, link("https://maker.example/n"))
	// Signed for what the parent has given last, whatever the child knows of it: the child
	// may refuse it.
	v.child.Register(t.Context(), signed(t, key, v.delegation, row))
}

// forge lets the child's node log a grant that nobody made.
func (v *verdicts) forge() {
	t := v.parent.t
	forged := *v.delegation
	thief := newKey(t)
	forged.Epoch, forged.Keyset = forged.Epoch+uint64(v.pick(2)), keyset(forged.Keyset.Version+1, 1, thief)
	e := identifier.Sign(identifier.DelegationType, delegationPayload(t, &forged), v.child.root)
	if v.child.Source().AcceptGrant(t.Context(), e) == nil {
		v.child.Register(t.Context(), signed(t, thief, &forged, put(mustID(t, "88.118/stolen"), v.child.find("88.118/stolen").Record, link("https://thief.example/"))))
	}
}

// relay sends a watcher what there is of the parent's log, and then of the child's mirror.
func (v *verdicts) relay(w *watcher) {
	t := v.parent.t
	t.Helper()
	parent := v.parent.root.Public()
	own, err := w.Mirror(t.Context(), v.parent.LogID(), parent, parent, 0)
	if err != nil {
		t.Fatal(err)
	}
	tip, _ := v.parent.Source().Growth()
	if v.early {
		w.own = copyLog(t, own, v.parent.Source(), w.own, 3, 3) // genesis, root, the child's prefix
		defer func() { w.own = copyLog(t, own, v.parent.Source(), w.own, tip, 1+uint64(v.pick(5))) }()
	} else {
		w.own = copyLog(t, own, v.parent.Source(), w.own, tip, 1+uint64(v.pick(5)))
	}
	child, err := w.Mirror(t.Context(), v.child.LogID(), v.child.root.Public(), parent, 0)
	if err != nil {
		t.Fatal(err)
	}
	w.child = copyLog(t, child, v.child.Source(), w.child, v.size, 1+uint64(v.pick(5)))
}

// copyLog sends a log in units of so many entries.
func copyLog(t testing.TB, m *registry.Mirror, source *registry.Source, from, tip, most uint64) uint64 {
	t.Helper()
	for from < tip {
		payloads, err := source.Entries(from, int(min(most, tip-from)), 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		u := &replica.Unit{Start: from, Payloads: payloads}
		if u.Checkpoint, u.Root, err = source.SignCheckpoint(u.End()); err != nil {
			t.Fatal(err)
		}
		synced := make(chan struct{})
		if err := m.Append(t.Context(), u, func() { close(synced) }); err != nil {
			t.Fatal(err)
		}
		<-synced
		from = u.End()
	}
	return from
}

func (v *verdicts) finish() (differ string) {
	v.takeGrants()
	v.register(v.keys[len(v.keys)-1])
	v.send()
	tip, _ := v.parent.Source().Growth()
	for _, l := range v.parent.watched(0, int(tip)) {
		if l.Entry.Kind == identifier.EntryFence {
			v.fences++
		}
	}
	v.marked = v.parent.Mirrors()[0].Bad
	late := v.watcher()
	v.relay(v.soon)
	v.relay(late)
	for round := range 2 {
		want := v.verdict(v.parent)
		for i, w := range []*watcher{v.soon, late} {
			if got := v.verdict(w.node); got != want {
				differ = fmt.Sprintf("round %d, watcher %d: got %s\nwant what the parent found: %s", round, i, got, want)
			}
		}
		for _, n := range []*node{v.parent, v.soon.node, late.node} {
			if round == 0 {
				n.restart()
			} else {
				n.check()
			}
		}
	}
	return differ
}

// verdict tells what a node makes of the child's log: how many entries it has marked, and
// what resolves.
func (v *verdicts) verdict(n *node) string {
	t := n.t
	var text string
	for _, m := range n.Mirrors() {
		if m.Node == v.child.root.Public() {
			text = fmt.Sprintf("%d of %d entries marked", m.Bad, m.Size)
		}
	}
	c, _ := n.CopyOf(v.child.root.Public())
	if c == nil {
		t.Fatal("there is no copy")
	}
	for _, id := range append(v.tried, "88.118/stolen") {
		found, err := c.Find(t.Context(), mustID(t, id))
		if err != nil {
			t.Fatal(err)
		}
		if found.Record != nil {
			text += fmt.Sprintf(", %s version %d", id, found.Record.Version)
		}
	}
	return text
}
