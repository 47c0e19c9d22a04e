package registry

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/journal"
	"github.com/nameplate-id/nameplate/registry/replica"
	"github.com/nameplate-id/nameplate/registry/state"
)

// mirror is a child's log as its parent keeps it: the same entries, judged by the same
// rules as if they were admitted here, adding up to a state of their own. An entry that
// breaks a rule is kept, so that the log stays what the child signed; it is marked, and
// adds nothing.
//
// What an entry is worth depends on the child's log before it, and for a grant on what
// this node's own log says at that place of the journal. So it is the same whenever the
// journal is read again.
type mirror struct {
	judge
	role   role
	via    identifier.PublicKey // who sends it, of a relayed log
	logs   *logs
	after  *identifier.Predecessor // which log it continues; nil for none, or while it is empty
	policy identifier.Policy
	grants grantList
	// lacking says that the child had fewer entries than the mirror at its last Hello.
	lacking atomic.Bool
	// unproved says that it did not keep to a fence.
	unproved atomic.Bool
	rows     map[identifier.LogID]identifier.ChildRow // of the unit that is taken in
	newest   map[identifier.LogID]identifier.ChildRow // the newest of each log, of all units before
	goneOn   bool                                     // it has more than its genesis and rows of children

	instead    uint32                      // the number of the mirror whose place it takes; 0 for none
	entries    uint64                      // as soon as it has so many
	replaced   atomic.Bool                 // another one has taken its place
	certain    atomic.Pointer[replica.Row] // up to where it is the child's log for certain; nil for all of it
	generation atomic.Uint32               // counts how often that was decided

	recall recalled // whether another top-level node gives it, or its own node has brought it

	// queueMu is held while something is queued that has to stand before or behind the
	// child's next unit; queued is where the newest of those ends.
	queueMu sync.Mutex
	queued  uint64

	mu         sync.Mutex
	grantsTold map[identifier.Prefix]notice // what was told to the child, and is not known to be in its log
	fenced     map[identifier.Prefix]notice // when a fence was logged last since the start, and by which keyset
	heard      time.Time                    // when the child was last known to have no more than the mirror
	told       uint64                       // how many entries the child said it has
	bad        uint64                       // entries that are marked
	lost       uint64                       // entries that were acknowledged once, as the child said
}

func newMirror(n numbering, all *logs) *mirror {
	l := newLedger(n.number, n.node, all.own.state, all.own.verifier)
	l.log, l.bare = n.log, n.policy == identifier.PolicyWitness
	return &mirror{
		judge: newJudge(l, l.holders), role: n.role, via: n.via, policy: n.policy, instead: n.instead, entries: n.entries, logs: all,
		rows: make(map[identifier.LogID]identifier.ChildRow), newest: make(map[identifier.LogID]identifier.ChildRow),
	}
}

// grantor returns the log whose grants count: the parent's; of a relayed log that of the
// node which relays it.
func (m *mirror) grantor() *ledger {
	if m.role == roleRelay {
		if via := m.logs.of(m.via); via != nil {
			return via.ledger
		}
	}
	return m.logs.own
}

// load reads what the state holds of the mirror.
func (m *mirror) load() error {
	if err := m.loadState(); err != nil {
		return err
	}
	genesis, err := m.note(genesisNote)
	if err != nil {
		return doubt(err)
	}
	if genesis != nil {
		g, err := identifier.ParseGenesis(genesis)
		if err != nil {
			return doubt(err)
		}
		m.follow(g)
	}
	for row, err := range m.state.Ascend(context.Background(), state.Notes, m.number, []byte(badNote)) {
		if err != nil {
			return doubt(err)
		}
		if !bytes.HasPrefix(row.Key, []byte(badNote)) {
			break
		}
		m.bad++
	}
	rows, err := m.childRows() // what is not in the state yet comes with the frames
	if err != nil {
		return doubt(err)
	}
	for _, r := range rows {
		m.newest[r.Log] = r
	}
	m.goneOn = len(m.holders.list()) > 0
	if err := errors.Join(m.loadCertain(), m.loadTold()); err != nil {
		return doubt(err)
	}
	if m.role != roleChild {
		return nil // whose parent is another node
	}
	return m.gather()
}

// badNote is what the notes begin with that say why an entry is marked; its position
// follows, eight octets.
const badNote = "bad/"

func badMutation(position uint64, reason error) state.Mutation {
	const most = 512 // octets of a reason
	text := reason.Error()
	if len(text) > most {
		text = text[:most]
	}
	return noteMutation(string(binary.BigEndian.AppendUint64([]byte(badNote), position)), []byte(text))
}

// takeFrame takes in a unit from the journal.
func (m *mirror) takeFrame(f journal.Located) error {
	u, err := replica.ParseUnit(f.Payload)
	if err != nil {
		return err
	}
	return m.take(u, f.At, f.End)
}

// take judges the entries of a unit that is synced and makes them visible, all at once.
func (m *mirror) take(u *replica.Unit, at, end journal.Offset) error {
	if m.witness() {
		return m.takeWitnessed(u, at, end)
	}
	if u.Start != m.published.Load() || u.Witnessed() {
		return fmt.Errorf("unit of log %s at %d where %d should stand", m.log, u.Start, m.published.Load())
	}
	c, err := m.readCheckpoint(u.Checkpoint)
	if err != nil {
		return err
	}
	var mutations []state.Mutation
	var marked uint64
	for i, payload := range u.Payloads {
		position := u.Start + uint64(i)
		leaf, err := identifier.EntryLeaf(payload)
		if err != nil {
			return fmt.Errorf("entry %d of log %s: %w", position, m.log, err)
		}
		fenced, err := m.passFences(position)
		if err != nil {
			return fmt.Errorf("entry %d of log %s: %w", position, m.log, err)
		}
		mutations = append(mutations, fenced...)
		x, err := m.weigh(payload, position)
		// What cannot be read says nothing about the entry: it is judged again at the next
		// start. A mark would stay.
		if e, ok := errors.AsType[*Error](err); ok && e.Kind == Unavailable {
			return fmt.Errorf("entry %d of log %s: %w", position, m.log, err)
		}
		if err != nil {
			mutations = append(mutations, badMutation(position, err))
			marked++
		}
		m.keep(&x)
		mutations = append(append(mutations, x.mutations...), m.tree.append(leaf)...)
	}
	if size, root := m.tree.head(); size != c.Size || root != c.Root {
		return fmt.Errorf("the entries of log %s add up to root %x at %d, the checkpoint of size %d has %x", m.log, root, size, c.Size, c.Root)
	}
	succeeds, err := m.succession()
	if err != nil {
		return doubt(err)
	}
	err = m.state.Publish(context.Background(), state.Batch{
		Log: m.number, Position: u.End(), At: uint64(at), End: uint64(end),
		Mutations: append(append(mutations, noteMutation(checkpointNote, u.Checkpoint)), succeeds...),
	})
	if err != nil {
		return err
	}
	clear(m.waiting)
	maps.Copy(m.newest, m.rows)
	clear(m.rows)
	m.mu.Lock()
	m.bad += marked
	m.mu.Unlock()
	m.taken(c, succeeds != nil && !m.pending())
	return m.logs.replace(m, false)
}

// taken makes a checkpoint the newest one, up to which everything is published; from here on
// the log may count.
func (m *mirror) taken(c *Checkpoint, counts bool) {
	m.checkpoint.Store(c)
	m.ledger.grow(c.Size)
	if counts {
		m.logs.mu.Lock()
		m.logs.count(m)
		m.logs.mu.Unlock()
	}
}

// weigh works out what an entry of the child's log adds, or why it is marked.
func (m *mirror) weigh(payload []byte, position uint64) (effect, error) {
	e, err := identifier.ParseEntry(payload)
	if err != nil {
		return effect{}, err
	}
	if err := e.Envelope.Check(); err != nil {
		return effect{}, err
	}
	m.goneOn = m.goneOn || e.Kind != identifier.EntryGenesis && e.Kind != identifier.EntryChildren
	switch e.Kind {
	case identifier.EntryGenesis:
		return m.weighGenesis(e, position)
	case identifier.EntryChange:
		return m.weighChange(e, position)
	case identifier.EntryGrant:
		return m.weighGrant(e, position)
	case identifier.EntryChildren:
		return m.weighChildren(e, position)
	case identifier.EntryFence:
		return m.weighFence(e, position)
	case identifier.EntryOrigin:
		return m.weighOrigin(e, position)
	case identifier.EntryDelegation, identifier.EntryKeyset:
		g, err := parseGrant(e.Envelope)
		if err != nil {
			return effect{}, err
		}
		if g.keysetOnly {
			if x, err := m.weighKeyset(g, position); !errors.Is(err, errNotGiven) {
				return x, err
			}
		}
		h, there, err := m.judgeGrant(g, position)
		if err != nil || there {
			return effect{}, err
		}
		return effectOfDelegation(h, &g.envelope)
	}
	return effect{}, fmt.Errorf("an entry of kind %d is not known here", e.Kind)
}

func (m *mirror) weighGenesis(e *identifier.Entry, position uint64) (effect, error) {
	g, err := identifier.ParseGenesis(e.Envelope.Payload)
	switch {
	case err != nil:
		return effect{}, err
	case position != 0:
		return effect{}, fmt.Errorf("a log has one genesis, at position 0")
	case g.Log != m.log || g.Key != m.node:
		return effect{}, fmt.Errorf("the genesis names log %s and key %s", g.Log, g.Key)
	case e.Envelope.SignedBy([]identifier.PublicKey{m.node}) == 0:
		return effect{}, fmt.Errorf("the genesis is not signed by the node's key")
	}
	m.follow(g) // whether it comes to count is another question: see succession
	return effectOf(e, position, m.holders)
}

// weighGrant takes a grant for good when this node's own log has ever made it: to the
// child, or away from it again. Whether that log has gone on since does not matter. A
// mirror that is filled late, at a parent that was restored or at another top-level node,
// has to find what was found when the entry was new. But a child goes from one to the
// next, and not back.
func (m *mirror) weighGrant(e *identifier.Entry, position uint64) (effect, error) {
	d, err := identifier.ParseDelegation(e.Envelope.Payload)
	if err != nil {
		return effect{}, err
	}
	if m.role == rolePeer {
		return m.weighRoot(e, d, position)
	}
	gave, err := m.grantor().gave(&e.Envelope)
	if err != nil {
		return effect{}, err
	}
	before := m.holders.heldAt(d.Prefix)
	switch {
	case !gave:
		return effect{}, fmt.Errorf("the grant of prefix %q in epoch %d is not what this node has delegated", d.Prefix, d.Epoch)
	case !before.apex && (d.Node == nil || d.Node.Key != m.node):
		return effect{}, fmt.Errorf("the grant of prefix %q names another node", d.Prefix)
	case before.apex && m.logs.left.lacks(ruleBack, d.Keyset.Version >= before.delegation.Keyset.Version):
		return effect{}, fmt.Errorf("the grant of prefix %q with keyset %d comes behind the one with keyset %d", d.Prefix, d.Keyset.Version, before.delegation.Keyset.Version)
	}
	return effectOfDelegation(held{delegation: d, position: position, granted: position, apex: true}, &e.Envelope)
}

// weighRoot takes the grant of the root for good by which a top-level node answers: it
// stands behind the genesis, and the node has signed it for itself.
func (m *mirror) weighRoot(e *identifier.Entry, d *identifier.Delegation, position uint64) (effect, error) {
	if d.Prefix != "" || m.holders.heldAt("").apex || e.Envelope.SignedBy([]identifier.PublicKey{m.node}) == 0 {
		return effect{}, fmt.Errorf("the grant of prefix %q: a top-level node has one, of the root, behind its genesis", d.Prefix)
	}
	return effectOfDelegation(held{delegation: d, position: position, granted: position, apex: true}, &e.Envelope)
}

// weighKeyset takes in the keyset of a prefix that this node has given to the child, in the
// epoch and behind the keyset that the child's log has: it may be signed by who holds what
// lies above, whom the child's log does not know.
func (m *mirror) weighKeyset(g *grant, position uint64) (effect, error) {
	before := m.holders.heldAt(g.delegation.Prefix)
	gave, err := m.grantor().gave(&g.envelope)
	if err != nil {
		return effect{}, err
	}
	if !before.apex || !gave {
		return effect{}, errNotGiven
	}
	d := *before.delegation
	if d.Epoch != g.delegation.Epoch || d.Keyset.Version > g.delegation.Keyset.Version {
		return effect{}, fmt.Errorf("keyset %d of prefix %q in epoch %d comes behind keyset %d in epoch %d",
			g.delegation.Keyset.Version, d.Prefix, g.delegation.Epoch, d.Keyset.Version, d.Epoch)
	}
	d.Keyset = g.delegation.Keyset
	return effectOfDelegation(held{delegation: &d, position: position, granted: before.granted, apex: true}, &g.envelope)
}

var errNotGiven = errors.New("not what this node has given")

func (m *mirror) weighChange(e *identifier.Entry, position uint64) (effect, error) {
	if sealed := m.policy == identifier.PolicyPointer; e.Sealed() != sealed {
		return effect{}, fmt.Errorf("the log is kept as %v, and the change came with contents: %v", m.policy, !e.Sealed())
	}
	x, err := e.Change().Examine()
	if err != nil {
		return effect{}, err
	}
	p := &proposal{entry: encoded{Entry: e}, rows: x}
	if p.holder, err = m.authenticate(x.Header, e.Envelope); err != nil {
		return effect{}, err
	}
	if err := m.checkHolder(p); err != nil {
		return effect{}, err
	}
	v, err := m.judgeRows(p, nil)
	if err != nil {
		return effect{}, err
	}
	m.remember(p, v.there, position, nil)
	return effectOfExamined(e, x, position)
}

// age returns how old what the mirror holds may be: how long ago the child last said
// that it has no more.
func (m *mirror) age(now time.Time) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.heard.IsZero() {
		return maxAge
	}
	return min(max(0, now.Sub(m.heard)), maxAge)
}

// maxAge is the age of a mirror of which nothing has been heard since the start.
const maxAge = 24 * time.Hour

// hear notes what the child says it has, in words or by what it sends.
func (m *mirror) hear(size uint64, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.told = max(m.told, size)
	if m.told <= m.published.Load() {
		m.heard = now
	}
}
