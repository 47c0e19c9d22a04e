package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/journal"
	"github.com/nameplate-id/nameplate/registry/state"
)

// ledger is what the synced entries of the node's log add up to: the state, and what
// is kept in memory beside it. One routine takes an entry in, be it fresh from its
// sync, read again at a start, or read by a check. It never judges.
//
// Entries come in one at a time, in order; reading is free for all.
type ledger struct {
	number  uint32               // of the log, in journal and state
	node    identifier.PublicKey // the node's key; zero until the genesis tells it
	log     identifier.LogID
	state   *state.Store
	tree    *logTree
	bare    bool // checkpoints alone are here: there is no tree
	holders *holders
	// verifier is that of the node: all its logs share one.
	verifier *identifier.Verifier

	// published is how many entries readers see. grew is closed and made anew
	// whenever it grows.
	published atomic.Uint64
	base      atomic.Uint64 // positions that the node's logs before this one have used up
	grewMu    sync.Mutex
	grew      chan struct{}

	checkpoint atomic.Pointer[Checkpoint] // the newest
	quarantine atomic.Pointer[Quarantine] // why nothing is added any more; nil as a rule

	acknowledged acknowledged // of the node's own log
	levels       *levels      // of the node's own log
	suspicions   suspicions
	origins      origins
	previous     identifier.LogID // the log that this one continues; zero for none
	fences       fences           // of the logs of the node's children
}

func newLedger(number uint32, node identifier.PublicKey, s *state.Store, v *identifier.Verifier) *ledger {
	l := &ledger{number: number, node: node, state: s, verifier: v, grew: make(chan struct{}), levels: newLevels()}
	l.holders = newHolders(&l.node)
	return l
}

// doubtError is an error that a state built anew from the journal need not have.
type doubtError struct{ err error }

func (e *doubtError) Error() string { return e.err.Error() }
func (e *doubtError) Unwrap() error { return e.err }

func doubt(err error) error {
	if _, ok := errors.AsType[*keyError](err); ok || err == nil {
		return err
	}
	return &doubtError{err}
}

// keyError says that the log was begun with another node key.
type keyError struct{ have, want identifier.PublicKey }

func (e *keyError) Error() string {
	return fmt.Sprintf("node key %s is not the one that the log was begun with, %s: put the right one back", e.have, e.want)
}

// loadState sets up what is kept in memory from the state. Whatever is not as it
// should be puts the state in doubt.
func (l *ledger) loadState() error { return doubt(l.readState()) }

func (l *ledger) readState() error {
	position := l.state.Positions()[l.number]
	l.published.Store(position)
	if l.bare {
		return l.loadWitnessed()
	}
	tree, err := journal.OpenTree(position, tiles{l.state, l.number})
	if err != nil {
		return err
	}
	l.tree = &logTree{tree: tree}
	if position == 0 {
		return nil
	}
	if l.number == ownLog {
		genesis, err := l.note(genesisNote)
		if err != nil {
			return err
		}
		if err := l.loadGenesis(genesis); err != nil {
			return err
		}
	}
	checkpoint, err := l.note(checkpointNote)
	if err != nil {
		return err
	}
	if checkpoint != nil {
		c, err := l.readCheckpoint(checkpoint)
		if err != nil {
			return err
		}
		// The next one is signed over these hashes.
		if err := l.checkRoot(c); err != nil {
			return err
		}
		l.checkpoint.Store(c)
	}
	if err := errors.Join(l.loadQuarantine(), l.loadAcknowledged()); err != nil {
		return err
	}
	if l.number == ownLog {
		if err := l.loadReceipts(); err != nil {
			return err
		}
	}
	return errors.Join(l.loadHolders(), l.loadOrigins(), l.loadSuspicions(), l.loadFences())
}

// note returns a note that the state keeps beside the log; nil when there is none.
func (l *ledger) note(name string) (note []byte, err error) {
	err = l.state.View(func(v *state.Reader) error {
		b := v.Get(state.Notes, l.number, []byte(name))
		if b == nil {
			return nil
		}
		value, err := summed([]byte(name), b)
		note = bytes.Clone(value)
		return err
	})
	return note, err
}

// checkRoot compares a checkpoint with the entries that it covers.
func (l *ledger) checkRoot(signed *Checkpoint) error {
	size, _ := l.tree.head()
	if signed.Size > size {
		return fmt.Errorf("a checkpoint covers %d entries, and there are %d before it", signed.Size, size)
	}
	root, err := journal.Root(signed.Size, tiles{l.state, l.number})
	if err != nil {
		return err
	}
	if root != signed.Root {
		return fmt.Errorf("the checkpoint of size %d has root %x, the entries add up to %x", signed.Size, signed.Root, root)
	}
	return nil
}

// loadHolders reads the grants and the delegations.
func (l *ledger) loadHolders() error {
	var grants, delegations uint64
	for row, err := range l.state.Ascend(context.Background(), state.Notes, l.number, []byte(grantNote)) {
		if err != nil {
			return err
		}
		key, ok := bytes.CutPrefix(row.Key, []byte(grantNote))
		if !ok {
			break
		}
		if err := l.loadDelegation(key, row.Value, true); err != nil {
			return err
		}
		grants++
	}
	for row, err := range l.state.Ascend(context.Background(), state.Delegations, l.number, nil) {
		if err != nil {
			return err
		}
		if err := l.loadDelegation(row.Key, row.Value, false); err != nil {
			return err
		}
		delegations++
	}
	// Rows that are not there fail no checksum.
	if grants == 0 && l.published.Load() > 1 && l.number == ownLog {
		return errors.New("the state lacks the grant by which this node answers")
	}
	if t := l.state.Totals()[l.number]; delegations != t.Delegations+t.Revoked {
		return fmt.Errorf("the state has %d delegations and counts %d", delegations, t.Delegations+t.Revoked)
	}
	return nil
}

func (l *ledger) loadDelegation(key, value []byte, apex bool) error {
	stored, err := identifier.CheckStoredDelegation(key, value)
	if err != nil {
		return err
	}
	d, err := stored.Delegation()
	if err != nil {
		return err
	}
	l.holders.put(held{delegation: d, position: stored.Position(), granted: stored.Granted(), apex: apex})
	return nil
}

// loadGenesis checks that the log is signed by this node's key.
func (l *ledger) loadGenesis(payload []byte) error {
	g, err := identifier.ParseGenesis(payload)
	if err != nil {
		return fmt.Errorf("genesis: %w", err)
	}
	if l.node == (identifier.PublicKey{}) {
		l.node = g.Key
	}
	if g.Key != l.node {
		return &keyError{have: l.node, want: g.Key}
	}
	l.log = g.Log
	l.continued(g)
	if g.After != nil {
		l.base.Store(g.After.Base)
	}
	return nil
}

// counted returns how many positions the node's logs have used up, this one and those that
// it continues. It never goes down, so DNS takes it for its serial.
func (l *ledger) counted() uint64 { return l.base.Load() + l.published.Load() }

func (l *ledger) readCheckpoint(note []byte) (*Checkpoint, error) {
	size, root, err := journal.VerifyCheckpoint(note, l.log, l.node)
	if err != nil {
		return nil, err
	}
	return &Checkpoint{Size: size, Root: root, Time: now(), Note: bytes.Clone(note)}, nil
}

// replayFrame publishes a frame that was synced before the start, as the committer
// would have.
func (l *ledger) replayFrame(f journal.Located) error {
	if f.Log != l.number {
		return fmt.Errorf("frame of log %d: this release keeps no mirrors", f.Log)
	}
	switch f.Kind {
	case journal.KindReceipt:
		return l.takeReceipt(f.Payload, f.At, f.End)
	case journal.KindCheckpoint:
		c, err := l.readCheckpoint(f.Payload)
		if err != nil {
			return err
		}
		if size, root := l.tree.head(); c.Size == size && c.Root != root {
			return fmt.Errorf("the checkpoint of size %d has root %x, the entries add up to %x: the log or the state has been changed", size, c.Root, root)
		}
		return l.publishCheckpoint(c, f.At, f.End)
	case journal.KindAcknowledged:
		return l.replayAcknowledged(f)
	case journal.KindEntry:
		if f.Position != l.published.Load() {
			return fmt.Errorf("entry %d where %d should stand", f.Position, l.published.Load())
		}
		entry, err := identifier.ParseEntry(f.Payload)
		if err != nil {
			return fmt.Errorf("entry %d: %w", f.Position, err)
		}
		if entry.Kind == identifier.EntryGenesis {
			if err := l.loadGenesis(entry.Envelope.Payload); err != nil {
				return err
			}
		}
		x, err := effectOf(entry, f.Position, l.holders)
		if err != nil {
			return fmt.Errorf("entry %d: %w", f.Position, err)
		}
		return l.publish(published{effect: x, leaf: identifier.AppendLeaf(nil, entry), position: f.Position, at: f.At, end: f.End})
	}
	return nil
}

// published is a synced entry that becomes visible.
type published struct {
	effect
	leaf     []byte
	position uint64
	at, end  journal.Offset // of its frame
}

// publish makes synced entries visible: first to readers, all at once, then to those who
// watch. It is called in the order of the log. What brings something into force comes alone.
func (l *ledger) publish(entries ...published) error {
	batches := make([]state.Batch, len(entries))
	for i := range entries {
		e := &entries[i]
		batches[i] = state.Batch{
			Log: l.number, Position: e.position + 1, At: uint64(e.at), End: uint64(e.end),
			Mutations: append(e.mutations, l.tree.append(e.leaf)...),
		}
	}
	if err := l.state.Publish(context.Background(), batches...); err != nil {
		return err
	}
	for i := range entries {
		l.keep(&entries[i].effect)
	}
	l.grow(entries[len(entries)-1].position + 1)
	return nil
}

// keep keeps in memory what an entry brought into force.
func (l *ledger) keep(x *effect) {
	if x.holds != nil {
		l.suspect(x.holds)
		l.holders.put(*x.holds)
	}
	if x.fence != nil {
		l.fences.add(*x.fence)
	}
	if x.origin != nil {
		l.origins.add(x.origin.Origin, x.origin.position)
	}
}

// grow tells those who wait that readers see more.
func (l *ledger) grow(published uint64) {
	l.published.Store(published)
	l.grewMu.Lock()
	defer l.grewMu.Unlock()
	close(l.grew)
	l.grew = make(chan struct{})
}

// publishCheckpoint makes a synced checkpoint the newest one.
func (l *ledger) publishCheckpoint(c *Checkpoint, at, end journal.Offset) error {
	err := l.state.Publish(context.Background(), state.Batch{
		Log: l.number, Position: l.published.Load(), At: uint64(at), End: uint64(end),
		Mutations: []state.Mutation{noteMutation(checkpointNote, c.Note)},
	})
	if err != nil {
		return err
	}
	l.checkpoint.Store(c)
	return nil
}

// growth returns a channel that is closed when readers see more than they did.
func (l *ledger) growth() <-chan struct{} {
	l.grewMu.Lock()
	defer l.grewMu.Unlock()
	return l.grew
}

// gave reports whether a delegation or keyset change with the payload of an envelope was
// ever made in this log, for another node to answer.
func (l *ledger) gave(e *identifier.Envelope) (bool, error) {
	note, err := l.note(gaveNoteName(e))
	if err != nil {
		return false, &Error{Kind: Unavailable, Detail: "what is stored cannot be trusted: run 'nameplate check'", Err: err}
	}
	return note != nil, nil
}

// given returns the envelope by which a prefix was given to another node, or the newest
// keyset change of it; nil when there is none.
func (l *ledger) given(p identifier.Prefix, kind identifier.EntryKind) (*identifier.Envelope, error) {
	note, err := l.note(givenNoteName(p, kind))
	if err == nil && note == nil {
		return nil, nil
	}
	var e *identifier.Entry
	if err == nil {
		e, err = identifier.ParseLeaf(note)
	}
	if err != nil {
		return nil, &Error{Kind: Unavailable, Detail: "what is stored cannot be trusted: run 'nameplate check'", Err: err}
	}
	return &e.Envelope, nil
}
