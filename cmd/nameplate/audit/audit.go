// Package audit verifies a log from its first entry on, trusting nobody but the
// node's key.
//
// It checks that
//
//   - entry 0 is the genesis, signed by the node,
//   - every delegation and keyset follows on the one before it and is signed by who
//     held the prefix, or what lies above it, at that place in the log,
//   - every change is signed by enough keys of who held its prefix at that place, or
//     by the node as an agent where the holder allows agents,
//   - the rows of every change are those that were signed, and lie below the prefix,
//   - the rows about the node's children are signed by the node, each by its child, and
//     none goes down,
//   - every checkpoint is signed by the node, and its root is that of the entries.
//
// It does not follow the versions of single identifiers; "nameplate check" does,
// which builds the state. It keeps about 33 octets in memory for each entry.
package audit

import (
	"errors"
	"fmt"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/journal"
)

// Auditor follows one log. It is for one goroutine.
type Auditor struct {
	node    identifier.PublicKey
	log     identifier.LogID
	tree    *journal.Tree
	tiles   tiles
	held    map[identifier.Prefix]*identifier.Delegation
	rows    map[identifier.LogID]identifier.ChildRow // the newest of each child's log
	after   *identifier.Predecessor                  // the log that this one continues; nil for none
	given   map[identifier.Prefix]bool               // what the node above gave to this one
	origins map[identifier.Origin]uint64             // where what stood in one of before follows
	summary Summary
}

// Summary is what has been verified.
type Summary struct {
	Log         identifier.LogID
	Node        identifier.PublicKey
	Entries     uint64
	Rows        uint64
	Delegations uint64 // and keysets
	Checkpoints uint64
	// Suspect are the parts that are suspect, as the entries themselves say.
	Suspect []Suspect
	// Size and Root are those of the newest checkpoint: what the node cannot take back.
	Size uint64
	Root identifier.Hash
}

// Suspect is a part of the log that may not be its holder's, because a key of the prefix
// was in the wrong hands: from an entry on, up to the one that says so.
type Suspect struct {
	Prefix       identifier.Prefix
	Since, Until uint64
}

// suspect takes note of what a keyset says: of this log, or of one that it continues, as far
// as the node has marked where what stood there follows. Without a mark all is meant that
// stands before.
func (a *Auditor) suspect(p identifier.Prefix, k *identifier.Keyset) {
	s := k.Suspect
	if s == nil {
		return
	}
	since := s.Since
	switch at, marked := a.origins[identifier.Origin{Log: s.Log, Position: s.Since}]; {
	case s.Log == a.log:
	case marked:
		since = at
	case a.after != nil && s.Log == a.after.Log:
		since = 1
	default:
		return
	}
	if since < a.tree.Size() {
		a.summary.Suspect = append(a.summary.Suspect, Suspect{Prefix: p, Since: since, Until: a.tree.Size()})
	}
}

// New returns an auditor of a log that a node signs. With the zero key it goes by the
// key that the genesis names: then the log is proved to be consistent, and not whose
// it is.
func New(node identifier.PublicKey) *Auditor {
	return &Auditor{node: node, tree: new(journal.Tree), tiles: tiles{}, held: map[identifier.Prefix]*identifier.Delegation{}, rows: map[identifier.LogID]identifier.ChildRow{}, origins: map[identifier.Origin]uint64{}, given: map[identifier.Prefix]bool{}}
}

// Summary returns what has been verified so far.
func (a *Auditor) Summary() Summary {
	s := a.summary
	s.Log, s.Node, s.Entries = a.log, a.node, a.tree.Size()
	return s
}

// Entry takes in the entry at a position, which must be the next. The error says
// what does not hold.
func (a *Auditor) Entry(position uint64, e *identifier.Entry) error {
	if position != a.tree.Size() {
		return fmt.Errorf("entry %d follows on %d entries: entries are missing", position, a.tree.Size())
	}
	if err := a.judge(position, e); err != nil {
		return fmt.Errorf("entry %d: %w", position, err)
	}
	for _, tile := range a.tree.Append(identifier.AppendLeaf(nil, e)) {
		a.tiles[place{tile.Level, tile.Index}] = tile.Hashes
	}
	return nil
}

func (a *Auditor) judge(position uint64, e *identifier.Entry) error {
	if (position == 0) != (e.Kind == identifier.EntryGenesis) {
		return errors.New("a log begins with a genesis, and has no other")
	}
	if want := e.Kind.PayloadType(); want == "" || e.Envelope.PayloadType != want {
		return fmt.Errorf("kind %d carries %q: it is unknown here, or wrong", e.Kind, e.Envelope.PayloadType)
	}
	switch e.Kind {
	case identifier.EntryGenesis:
		return a.genesis(e)
	case identifier.EntryChange:
		return a.change(e.Change())
	case identifier.EntryKeyset:
		return a.keyset(e)
	case identifier.EntryChildren:
		return a.children(e)
	case identifier.EntryFence:
		return a.fence(e)
	case identifier.EntryOrigin:
		return a.origin(e)
	}
	return a.delegation(e)
}

func (a *Auditor) genesis(e *identifier.Entry) error {
	g, err := identifier.ParseGenesis(e.Envelope.Payload)
	if err != nil {
		return err
	}
	if err := g.Check(); err != nil {
		return err
	}
	if a.node == (identifier.PublicKey{}) {
		a.node = g.Key
	}
	if g.Key != a.node {
		return fmt.Errorf("the log was begun by key %s and not by %s", g.Key, a.node)
	}
	a.log, a.after = g.Log, g.After
	return a.signedByNode(e.Envelope)
}

func (a *Auditor) signedByNode(e identifier.Envelope) error {
	if e.SignedBy([]identifier.PublicKey{a.node}) == 0 {
		return fmt.Errorf("it is not signed by the node, %s", a.node.ID())
	}
	return nil
}

// children verifies rows of children: signed by the node, each what its child has signed,
// and none going down.
func (a *Auditor) children(e *identifier.Entry) error {
	if err := a.signedByNode(e.Envelope); err != nil {
		return err
	}
	if _, err := e.CheckChildren(); err != nil {
		return err
	}
	for i := range e.Children {
		r := &e.Children[i]
		if _, err := journal.AssembleCheckpoint(r.Size, r.Root, r.Log, r.Node, r.Signature); err != nil {
			return err
		}
		before := a.rows[r.Log]
		if r.Size < before.Size || r.Size == before.Size && r.Root != before.Root {
			return fmt.Errorf("the row of log %s has %d entries, and one before it has %d, or another root", r.Log, r.Size, before.Size)
		}
		a.rows[r.Log] = *r
	}
	return nil
}

// origin verifies that the node has marked where what stood in a log of before follows.
func (a *Auditor) origin(e *identifier.Entry) error {
	if err := a.signedByNode(e.Envelope); err != nil {
		return err
	}
	o, err := identifier.ParseOrigin(e.Envelope.Payload)
	if err != nil {
		return err
	}
	if a.after == nil {
		return errors.New("the log continues no other one, and has nothing of one")
	}
	a.origins[o] = a.tree.Size()
	return nil
}

// fence verifies what the node says of a child's log.
func (a *Auditor) fence(e *identifier.Entry) error {
	if err := a.signedByNode(e.Envelope); err != nil {
		return err
	}
	f, err := identifier.ParseFence(e.Envelope.Payload)
	if err != nil {
		return err
	}
	return f.Check()
}

// change verifies a change against the delegation in force at its place.
func (a *Auditor) change(c *identifier.Change) error {
	h, _, err := c.Check()
	if err != nil {
		return err
	}
	a.summary.Rows += uint64(len(c.Rows))
	d := a.held[h.Prefix]
	switch {
	case d == nil || d.Revoked():
		return fmt.Errorf("prefix %q is not delegated at this place", h.Prefix)
	case !d.Accepts(h), h.Agent == "" && h.KeysetVersion != d.Keyset.Version && signedBy(c.Envelope, d) != nil:
		return fmt.Errorf("it is signed for epoch %d and keyset version %d of prefix %q, in force are %d and %d", h.Epoch, h.KeysetVersion, h.Prefix, d.Epoch, d.Keyset.Version)
	}
	for i := range c.Rows {
		if holder := a.holder(c.Rows[i].ID.Prefix); holder != d {
			return fmt.Errorf("row %d, %s, belongs to who holds prefix %q", i, c.Rows[i].ID, holder.Prefix)
		}
	}
	if h.Agent != "" {
		if d.NoAgents {
			return fmt.Errorf("it is made by an agent, which the holder of prefix %q forbids", h.Prefix)
		}
		return a.signedByNode(c.Envelope)
	}
	return signedBy(c.Envelope, d)
}

// signedBy verifies that enough keys of a holder have signed.
func signedBy(e identifier.Envelope, d *identifier.Delegation) error {
	if n := e.SignedBy(d.Keyset.Keys); n < d.Keyset.Threshold {
		return fmt.Errorf("it has %d good signatures by keys of prefix %q, %d are needed", n, d.Prefix, d.Keyset.Threshold)
	}
	return nil
}

// holder returns the longest delegation in force that covers a prefix; nil when there
// is none. One that names another node hides what lies below it.
func (a *Auditor) holder(p identifier.Prefix) *identifier.Delegation {
	var found *identifier.Delegation
	for q, ok := p, true; ok; q, ok = q.Parent() {
		d := a.held[q]
		if d == nil || d.Revoked() {
			continue
		}
		if found == nil || d.Node != nil && d.Node.Key != a.node {
			found = d
		}
	}
	return found
}

func (a *Auditor) keyset(e *identifier.Entry) error {
	k, err := identifier.ParseKeysetChange(e.Envelope.Payload)
	if err != nil {
		return err
	}
	if err := k.Check(); err != nil {
		return err
	}
	current := a.held[k.Prefix]
	switch {
	case current == nil || current.Revoked():
		return fmt.Errorf("prefix %q is not delegated at this place", k.Prefix)
	case a.given[k.Prefix] && k.Epoch == current.Epoch && k.Keyset.Version > current.Keyset.Version:
		// Of what this node itself was given the node above sends the newest keyset, which
		// may be signed there: it is verified in that log.
		a.take(current, k)
		return nil
	case k.Epoch != current.Epoch || k.Keyset.Version != current.Keyset.Version+1:
		return fmt.Errorf("epoch %d and keyset version %d of prefix %q do not follow on %d and %d", k.Epoch, k.Keyset.Version, k.Prefix, current.Epoch, current.Keyset.Version)
	}
	if signedBy(e.Envelope, current) != nil {
		if err := a.signedAbove(e.Envelope, k.Prefix); err != nil {
			return err
		}
	}
	a.take(current, k)
	return nil
}

// take brings a keyset into force.
func (a *Auditor) take(current *identifier.Delegation, k *identifier.KeysetChange) {
	next := *current
	next.Keyset = k.Keyset
	a.held[k.Prefix] = &next
	a.suspect(k.Prefix, &k.Keyset)
	a.summary.Delegations++
}

func (a *Auditor) delegation(e *identifier.Entry) error {
	d, err := identifier.ParseDelegation(e.Envelope.Payload)
	if err != nil {
		return err
	}
	if err := d.Check(); err != nil {
		return err
	}
	var epoch, version uint64
	if current := a.held[d.Prefix]; current != nil {
		epoch, version = current.Epoch, current.Keyset.Version
	}
	if e.Kind == identifier.EntryGrant {
		// What this node itself was given. Alone it gives itself the root; a grant from
		// above is verified in the log of the node above, whose keys are not in this one.
		if d.Prefix == "" {
			if err := a.signedByNode(e.Envelope); err != nil {
				return err
			}
		} else {
			a.given[d.Prefix] = true
		}
	} else {
		if d.Epoch != epoch+1 || d.Keyset.Version != version+1 {
			return fmt.Errorf("epoch %d and keyset version %d of prefix %q do not follow on %d and %d", d.Epoch, d.Keyset.Version, d.Prefix, epoch, version)
		}
		if err := a.signedAbove(e.Envelope, d.Prefix); err != nil {
			return err
		}
	}
	a.held[d.Prefix] = d
	a.suspect(d.Prefix, &d.Keyset)
	a.summary.Delegations++
	return nil
}

// signedAbove verifies that who holds what lies above a prefix has signed.
func (a *Auditor) signedAbove(e identifier.Envelope, p identifier.Prefix) error {
	parent, ok := p.Parent()
	above := a.holder(parent)
	if !ok || above == nil {
		return fmt.Errorf("nobody holds what lies above prefix %q at this place", p)
	}
	return signedBy(e, above)
}

// Checkpoint verifies a signed checkpoint of entries that have been taken in.
func (a *Auditor) Checkpoint(note []byte) error {
	size, root, err := journal.VerifyCheckpoint(note, a.log, a.node)
	if err != nil {
		return err
	}
	if size > a.tree.Size() {
		return fmt.Errorf("a checkpoint covers %d entries and there are %d: entries are missing", size, a.tree.Size())
	}
	have, err := journal.Root(size, a.tiles)
	if err != nil {
		return err
	}
	if have != root {
		return fmt.Errorf("the checkpoint of %d entries has root %x, the entries add up to %x: the log was changed after it was signed", size, root, have)
	}
	a.summary.Checkpoints++
	if size >= a.summary.Size {
		a.summary.Size, a.summary.Root = size, root
	}
	return nil
}

// tiles keeps the hashes of the tree.
type tiles map[place][]byte

type place struct {
	level int
	index uint64
}

// Tile implements [journal.TileStore].
func (t tiles) Tile(level int, index uint64) ([]byte, error) {
	hashes, ok := t[place{level, index}]
	if !ok {
		return nil, fmt.Errorf("tile %d of level %d is missing", index, level)
	}
	return hashes, nil
}
