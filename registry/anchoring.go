package registry

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/journal"
	"github.com/nameplate-id/nameplate/registry/replica"
)

// anchoring gives children their receipts, as [replica.Anchors] allows. It keeps in
// memory what each child is to be told; nothing of it is stored, because all of it
// follows again from the node's own log and from what the level above says:
//
//   - A crash before the entry with the rows is synced: the rows are logged after the
//     start, of what the mirrors hold then.
//   - A crash after that, before or after the cosignature was sent: the newest row of
//     every log is read from the state, and is cosigned, perhaps again and with another
//     time, as soon as the level above has said that it holds it. Nothing is cosigned
//     for that the log has no row, and a row has one root for its size.
//   - The child keeps what it got when that is synced in its own journal. Before, it
//     asks for it again with each heartbeat.
type anchoring struct {
	r *Registry

	mu      sync.Mutex
	machine *replica.Anchors
	told    map[identifier.LogID]*told
	wake    chan struct{} // there may be something to cosign
	// logs has the logs of every node of which the own log has rows; nil until somebody asks.
	logs map[identifier.PublicKey][]identifier.LogID
}

// told is what a child is to be told.
type told struct {
	anchored uint64
	receipt  *replica.Receipt // the newest
	size     uint64           // of the receipt
	rooted   *replica.Receipt // the newest that leads to a top-level node
	rootedTo uint64
	changed  chan struct{} // closed when there is more; nil when nobody waits
}

func newAnchoring(r *Registry) *anchoring {
	above := replica.NothingAbove
	switch {
	case r.config.Parent != identifier.PublicKey{}:
		above = replica.ParentAbove
	case len(r.config.Peers) > 0:
		above = replica.PeersAbove
	case r.config.Anchor != "":
		above = replica.FileAbove
	}
	return &anchoring{
		r: r, machine: replica.NewAnchors(above, r.log, len(r.config.Peers)), told: make(map[identifier.LogID]*told), wake: make(chan struct{}, 1),
	}
}

// load takes in the newest row that the node's own log has of every child's log. It may
// be called again, when entries have come that were not logged here.
func (a *anchoring) load() error {
	a.mu.Lock()
	a.logs = nil
	a.mu.Unlock()
	for _, m := range a.r.logs.mirrors() {
		if err := a.learn(m.log); err != nil {
			return err
		}
	}
	a.stir()
	return nil
}

// learn takes in the newest row that the node's own log has of a child's log. A log whose
// mirror was lost has one before it has a mirror again.
func (a *anchoring) learn(log identifier.LogID) error {
	row, ok, err := a.r.childRow(log)
	if err != nil || !ok {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.machine.Logged(row)
	return nil
}

// logsOf returns the logs of a node of which this node's own log has rows.
func (a *anchoring) logsOf(node identifier.PublicKey) ([]identifier.LogID, error) {
	a.mu.Lock()
	logs := a.logs
	a.mu.Unlock()
	if logs == nil {
		ctx, cancel := context.WithTimeout(context.Background(), applyTime)
		defer cancel()
		if err := a.r.WaitApplied(ctx); err != nil {
			return nil, err
		}
		rows, err := a.r.loggedRows()
		if err != nil {
			return nil, err
		}
		a.mu.Lock()
		if a.logs == nil {
			a.logs = make(map[identifier.PublicKey][]identifier.LogID)
		}
		for _, r := range rows {
			a.hasRow(&r.Row)
		}
		a.mu.Unlock()
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.logs[node]), nil
}

// hasRow notes that the own log has a row. The caller holds mu.
func (a *anchoring) hasRow(row *identifier.ChildRow) {
	if a.logs != nil && !slices.Contains(a.logs[row.Node], row.Log) {
		a.logs[row.Node] = append(a.logs[row.Node], row.Log)
	}
}

// stir lets the registry look again at what may be cosigned.
func (a *anchoring) stir() {
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

func (a *anchoring) grows(log identifier.LogID, size uint64) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.machine.Grows(log, size)
}

// logged takes in rows whose entry is synced.
func (a *anchoring) logged(rows []identifier.ChildRow, position uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, row := range rows {
		a.machine.Logged(replica.LoggedRow{Position: position, Row: row})
		a.hasRow(&row)
	}
	a.stir()
}

// hold takes in how many entries of the node's own log the level above holds.
func (a *anchoring) hold(size uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.machine.Hold(size)
	a.stir()
}

// peerHolds takes in how many entries of a log a peer has on its disk.
func (a *anchoring) peerHolds(peer identifier.PublicKey, log identifier.LogID, size uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.machine.PeerHolds(peer, log, size)
	a.stir()
}

// of returns what the child with a log is to be told. The caller holds mu.
func (a *anchoring) of(log identifier.LogID) *told {
	t := a.told[log]
	if t == nil {
		t = &told{}
		a.told[log] = t
	}
	return t
}

// cosigned returns for how many entries the newest receipt of a log is.
func (a *anchoring) cosigned(log identifier.LogID) uint64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.of(log).size
}

// cut says that the mirror of a log has no more than so many entries.
func (a *anchoring) cut(log identifier.LogID, size uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	t := a.of(log)
	t.anchored = min(t.anchored, size)
}

// pass cosigns what may be cosigned and has not been, and tells the streams.
//
// A node that takes no changes cosigns nothing: what it has logged may not be all that
// it had.
func (a *anchoring) pass() {
	if a.r.ReadOnly() != "" {
		return
	}
	for _, m := range a.r.logs.mirrors() {
		if m.role != roleChild {
			continue // others anchor what top-level nodes log, and what their children do
		}
		if err := a.passLog(m); err != nil {
			a.r.config.Log.Warn("a child's checkpoint is not cosigned", "log", m.log, "error", err)
		}
	}
	a.mu.Lock()
	own := a.machine.Own(a.r.published.Load())
	a.mu.Unlock()
	a.r.levels.raise(own, own)
}

func (a *anchoring) passLog(m *mirror) error {
	a.mu.Lock()
	t := a.of(m.log)
	before := *t
	a.machine.Witness(m.log, m.witness())
	t.anchored = max(t.anchored, a.machine.Acknowledged(m.log, m.published.Load()))
	due, isDue := a.machine.Due(m.log)
	above, covered := a.r.levels.root()
	rooted, isRooted := a.machine.Rooted(m.log, covered)
	top := a.machine.Top()
	a.mu.Unlock()

	var errs []error
	var receipt, chain *replica.Receipt
	var err error
	if isDue && due.Row.Size > before.size {
		if receipt, err = a.cosign(due, top); err != nil {
			errs = append(errs, err)
		}
	}
	if !top && isRooted && above != nil && rooted.Row.Size > before.rootedTo {
		if chain, err = a.chain(rooted, above, covered); err != nil {
			errs = append(errs, err)
		}
	}

	a.mu.Lock()
	defer a.mu.Unlock()
	if receipt != nil {
		t.receipt, t.size = receipt, due.Row.Size
	}
	if receipt != nil && top {
		t.rooted, t.rootedTo = receipt, due.Row.Size
	}
	if chain != nil {
		t.rooted, t.rootedTo = chain, rooted.Row.Size
	}
	if t.changed != nil && (receipt != nil || chain != nil || t.anchored > before.anchored) {
		close(t.changed)
		t.changed = nil
	}
	return errors.Join(errs...)
}

// cosign cosigns the checkpoint that a row stands for.
func (a *anchoring) cosign(r replica.LoggedRow, top bool) (*replica.Receipt, error) {
	row := &r.Row
	note, err := journal.AssembleCheckpoint(row.Size, row.Root, row.Log, row.Node, row.Signature)
	if err != nil {
		return nil, err
	}
	if note, err = journal.Cosign(note, row.Log, row.Node, a.r.config.Clock(), a.r.key); err != nil {
		return nil, err
	}
	a.r.config.Hook(HookCosigned)
	return &replica.Receipt{Note: note, Cosigner: a.r.key.Public(), Top: top}, nil
}

// chain makes a receipt that leads from a row to a top-level node: through the checkpoint
// of this node's own log that covers the entry with the row, and the receipt for that.
func (a *anchoring) chain(r replica.LoggedRow, above *replica.Receipt, covered uint64) (*replica.Receipt, error) {
	receipt, err := a.cosign(r, above.Top)
	if err != nil {
		return nil, err
	}
	entry, err := a.r.readEntry(r.Position)
	if err != nil {
		return nil, err
	}
	hashes, err := entry.CheckChildren()
	if err != nil {
		return nil, err
	}
	index := 0
	for index < len(entry.Children) && entry.Children[index].Log != r.Row.Log {
		index++
	}
	if index == len(entry.Children) {
		return nil, fmt.Errorf("entry %d has no row of log %s", r.Position, r.Row.Log)
	}
	inclusion, err := journal.ProveInclusion(r.Position, covered, tiles{a.r.state, ownLog})
	if err != nil {
		return nil, err
	}
	link := replica.Link{
		Log: a.r.log, Row: r.Row, Proof: identifier.ProveRow(hashes, index), Leaf: identifier.AppendLeaf(nil, entry),
		Position: r.Position, Inclusion: inclusion, Note: above.Note, Cosigner: above.Cosigner,
	}
	receipt.Links = append([]replica.Link{link}, above.Links...)
	return receipt, nil
}

// Anchoring is what a child is to be told of its log.
type Anchoring struct {
	// Acknowledged is how many entries are acknowledged for anchoring.
	Acknowledged uint64
	// Anchored and Rooted are the newest receipts, nil for none: any, and one that leads
	// to a top-level node. Behind each is for how many entries it is.
	Anchored     *replica.Receipt
	AnchoredSize uint64
	Rooted       *replica.Receipt
	RootedSize   uint64
}

// Anchoring returns what the child is to be told, and a channel that is closed when there
// is more.
func (m *Mirror) Anchoring() (Anchoring, <-chan struct{}) {
	a := m.r.anchors
	a.mu.Lock()
	defer a.mu.Unlock()
	t := a.of(m.m.log)
	now := m.m.standing()
	a.machine.Witness(m.m.log, now.witness())
	if t.changed == nil {
		t.changed = make(chan struct{})
	}
	t.anchored = max(t.anchored, a.machine.Acknowledged(m.m.log, now.published.Load()))
	return Anchoring{Acknowledged: t.anchored, Anchored: t.receipt, AnchoredSize: t.size, Rooted: t.rooted, RootedSize: t.rootedTo}, t.changed
}
