package replica_test

import (
	"fmt"
	"slices"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/replica"
	"github.com/nameplate-id/nameplate/registry/replica/replicatest"
)

// above is what lies above the parent of a world, and the parent's own log as far as it
// is of rows of children: each is an entry. What is played are disks, the level above, and
// how late the parent hears of it.
type above struct {
	kind    replica.Above
	anchors *replica.Anchors

	rows   []replica.LoggedRow
	synced int    // rows that are
	holds  uint64 // entries of the parent's log that the level above holds
	told   []uint64

	peers [4]map[identifier.LogID]uint64 // what the other top-level nodes hold
}

// ownID is the parent's own log.
var ownID = replicatest.LogID(200)

// peerKey is the node key of a peer.
func peerKey(i int) identifier.PublicKey { return replicatest.NodeKey(byte(210 + i)).Public() }

func newAbove(kind replica.Above, left replica.Rule) *above {
	a := &above{kind: kind}
	for i := range a.peers {
		a.peers[i] = make(map[identifier.LogID]uint64)
	}
	a.restart(left)
	return a
}

// restart makes the machine anew from what is synced: the newest row of each log.
func (a *above) restart(left replica.Rule) {
	a.anchors = replica.NewAnchors(a.kind, ownID, len(a.peers))
	a.anchors.LeaveOut(left)
	a.rows = a.rows[:a.synced]
	newest := make(map[identifier.LogID]replica.LoggedRow)
	for _, r := range a.rows {
		newest[r.Row.Log] = r
	}
	for _, r := range newest {
		a.anchors.Logged(r)
	}
}

// held returns up to which size the level above holds a log, whoever knows of it.
func (a *above) held(n *node) uint64 {
	var most uint64
	if a.kind == replica.PeersAbove {
		sizes := []uint64{n.floor}
		for _, p := range a.peers {
			sizes = append(sizes, p[n.log.ID])
		}
		slices.Sort(sizes)
		most = sizes[2] // three have so many
	}
	for _, r := range a.rows[:a.synced] {
		if r.Row.Log == n.log.ID && a.kind == replica.ParentAbove && r.Position < a.holds {
			most = max(most, r.Row.Size)
		}
	}
	return most
}

// rowHeld returns the size of the largest row of a log that three top-level nodes have.
func (a *above) rowHeld(n *node) (most uint64) {
	sizes := []uint64{uint64(a.synced)}
	for _, p := range a.peers {
		sizes = append(sizes, p[ownID])
	}
	slices.Sort(sizes)
	for _, r := range a.rows[:a.synced] {
		if r.Row.Log == n.log.ID && r.Position < sizes[2] {
			most = max(most, r.Row.Size)
		}
	}
	return most
}

// logRow logs a row of a child, when one is due.
func (w *world) logRow(n *node) error {
	a := w.above
	size := n.floor
	// The next rows are logged when the last are synced.
	waiting := slices.ContainsFunc(a.rows[a.synced:], func(r replica.LoggedRow) bool { return r.Row.Log == n.log.ID })
	if size == 0 || waiting || !a.anchors.Grows(n.log.ID, size) {
		return nil
	}
	note, root, err := n.log.SignCheckpoint(size)
	if err != nil {
		return err
	}
	signature, err := replicatest.NoteSignature(note)
	if err != nil {
		return err
	}
	a.rows = append(a.rows, replica.LoggedRow{
		Position: uint64(len(a.rows)), Row: identifier.ChildRow{Log: n.log.ID, Node: n.log.Key.Public(), Size: size, Root: root, Signature: signature},
	})
	return nil
}

func (a *above) sync() {
	for _, r := range a.rows[a.synced:] {
		a.anchors.Logged(r)
	}
	a.synced = len(a.rows)
}

// anchor does one thing that has to do with anchors.
func (w *world) anchor(n *node, pick pick) error {
	a := w.above
	switch pick(8) {
	case 0, 1:
		return w.logRow(n)
	case 2:
		a.sync()
	case 3: // the level above gets more
		if more := uint64(a.synced) - a.holds; a.kind == replica.ParentAbove && more > 0 {
			a.holds += uint64(1 + pick(int(more)))
			a.told = append(a.told, a.holds)
		}
		if p := a.peers[pick(len(a.peers))]; a.kind == replica.PeersAbove && p[n.log.ID] < n.floor {
			p[n.log.ID] += uint64(1 + pick(int(n.floor-p[n.log.ID])))
		}
	case 4: // the parent hears of it, or of what was so before
		if len(a.told) > 0 {
			a.anchors.Hold(a.told[pick(len(a.told))])
		}
		i := pick(len(a.peers))
		a.anchors.PeerHolds(peerKey(i), n.log.ID, a.peers[i][n.log.ID])
		if pick(2) == 0 {
			a.peers[i][ownID] = uint64(a.synced)
		}
		a.anchors.PeerHolds(peerKey(i), ownID, a.peers[i][ownID])
	case 5, 6:
		w.cosign(n)
	default:
		w.keepReceipt(n, pick(4) > 0)
	}
	return nil
}

// cosign gives a child the receipt that is due.
func (w *world) cosign(n *node) {
	if n.parent == nil {
		return
	}
	n.parent.Anchor(w.above.anchors.Acknowledged(n.log.ID, n.floor))
	r, ok := w.above.anchors.Due(n.log.ID)
	if !ok {
		return
	}
	note := replicatest.SignCheckpoint(r.Row.Size, r.Row.Root, r.Row.Log, n.log.Key)
	n.parent.Cosign(&replica.Receipt{Note: replicatest.Cosign(note, w.key), Cosigner: w.key.Public(), Top: w.above.anchors.Top()}, r.Row.Size)
}

// keepReceipt lets the child's registry store a receipt.
func (w *world) keepReceipt(n *node, stored bool) {
	r := n.child.Receipt()
	if r == nil || !stored {
		return
	}
	size, _, err := r.Check(verifier, n.log.ID, n.log.Key.Public())
	if err != nil {
		panic(err)
	}
	n.kept = max(n.kept, size)
	rooted := uint64(0)
	if r.Top {
		rooted = n.kept
	}
	n.child.Keep(n.kept, rooted)
}

var verifier = replica.Verifier{Checkpoint: replicatest.VerifyCheckpoint, Cosignature: replicatest.VerifyCosignature}

// checkAnchors returns what is not as it has to be: a cosignature that the level above
// knows nothing of, or a row that goes down.
func (w *world) checkAnchors() error {
	for _, n := range w.children {
		n.heldAbove = max(n.heldAbove, w.above.held(n))
		if n.kept > n.heldAbove {
			return fmt.Errorf("child %d has a receipt for %d entries, the level above holds %d", n.number, n.kept, n.heldAbove)
		}
		n.rowHeld = max(n.rowHeld, w.above.rowHeld(n))
		if w.above.kind == replica.PeersAbove && n.kept > n.rowHeld {
			return fmt.Errorf("child %d has a receipt for %d entries, three top-level nodes have a row of %d", n.number, n.kept, n.rowHeld)
		}
		if s := n.child.Status(); w.above.kind == replica.PeersAbove && s.Anchored > n.heldAbove {
			return fmt.Errorf("child %d takes %d entries for anchored, three top-level nodes hold %d", n.number, s.Anchored, n.heldAbove)
		}
	}
	newest := make(map[identifier.LogID]uint64)
	for _, r := range w.above.rows {
		if r.Row.Size <= newest[r.Row.Log] {
			return fmt.Errorf("the row of log %s goes from %d to %d", r.Row.Log, newest[r.Row.Log], r.Row.Size)
		}
		newest[r.Row.Log] = r.Row.Size
	}
	return nil
}

// anchorAll lets the level above hold everything, and the parent hear of it.
func (w *world) anchorAll() error {
	a := w.above
	for _, n := range w.children {
		if err := w.logRow(n); err != nil {
			return err
		}
		a.sync()
		for i := range a.peers {
			a.peers[i][n.log.ID] = max(a.peers[i][n.log.ID], n.floor)
			a.anchors.PeerHolds(peerKey(i), n.log.ID, a.peers[i][n.log.ID])
			a.peers[i][ownID] = uint64(a.synced)
			a.anchors.PeerHolds(peerKey(i), ownID, a.peers[i][ownID])
		}
	}
	a.holds = uint64(a.synced)
	a.anchors.Hold(a.holds)
	for _, n := range w.children {
		w.cosign(n)
		w.keepReceipt(n, true)
	}
	return nil
}
