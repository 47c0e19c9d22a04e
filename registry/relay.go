package registry

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/journal"
	"github.com/nameplate-id/nameplate/registry/replica"
)

// Top-level nodes mirror one another. Each sends each of the others its own log, and the
// logs of its children as it has them itself: the same units, which end with checkpoints
// that the child signed. So the others need not believe it anything.

// Peer is another top-level node that this one sends logs to. Its methods may be called
// concurrently.
type Peer struct {
	r   *Registry
	key identifier.PublicKey

	mu sync.Mutex
	// acked is how many entries of this node's own log the peer has on disk, as it said
	// last on the stream that is open; 0 while there is none.
	acked uint64
}

// Peer returns where the logs for a top-level node come from.
func (r *Registry) Peer(key identifier.PublicKey) *Peer { return &Peer{r: r, key: key} }

// Source returns this node's own log for the peer.
func (p *Peer) Source() *PeerSource { return &PeerSource{Source: p.r.Source(), peer: p} }

// Relays returns the logs of this node's children, for the peer. Of those that are witnessed
// here the peer has the rows in this node's own log.
func (p *Peer) Relays() []*Relay {
	var all []*Relay
	for _, m := range p.r.logs.mirrors() {
		if m.role == roleChild && m.certain.Load() == nil && p.r.logs.counts(m) && !m.witness() {
			all = append(all, &Relay{peer: p, mirror: &Mirror{r: p.r, m: m}})
		}
	}
	return all
}

// PeerSource is this node's own log as a peer gets it: as a parent does, but that a peer
// grants nothing and cosigns nothing.
type PeerSource struct {
	*Source
	peer *Peer
}

// AcceptGrant takes nothing: no top-level node is above another.
func (s *PeerSource) AcceptGrant(context.Context, identifier.Envelope) error { return nil }

// AcceptReceipt takes none.
func (s *PeerSource) AcceptReceipt(context.Context, *replica.Receipt) error { return nil }

// Receipts says that none are waited for.
func (s *PeerSource) Receipts() (anchored, rooted uint64) { return 0, 0 }

// Acknowledged says that the peer has so many entries on its disk.
func (s *PeerSource) Acknowledged(parent identifier.PublicKey, size uint64) {
	s.Source.Acknowledged(parent, size)
	s.peer.mu.Lock()
	s.peer.acked = size // less than before, when the peer was restored
	s.peer.mu.Unlock()
	s.r.anchors.peerHolds(s.peer.key, s.r.log, size)
}

// Ended says that it is not known any more what the peer has of this node's own log: when
// it comes back it may have been restored.
func (s *PeerSource) Ended() {
	s.peer.mu.Lock()
	s.peer.acked = 0
	s.peer.mu.Unlock()
	s.r.anchors.peerHolds(s.peer.key, s.r.log, 0)
}

// Anchored is nothing that a peer has to say.
func (s *PeerSource) Anchored(uint64) {}

// Heal says that the log has everything that this peer holds. When enough others are heard
// that are not marked themselves ([replica.Recovery]), the node begins again, and continues
// its log as another one: what a peer holds that was not heard may be something else.
func (s *PeerSource) Heal() (healed bool, err error) {
	r := s.r
	r.recovery.mu.Lock()
	defer r.recovery.mu.Unlock()
	if r.Due() {
		return false, nil // it is about to begin again
	}
	before := r.recovery.machine.Heard()
	r.recovery.machine.Hear(s.peer.key, r.published.Load())
	if now := r.recovery.machine.Heard(); now > before {
		r.config.Log.Info("a top-level node that is whole holds no more of this node's log", "heard", now, "needed", r.recovery.machine.Need())
	}
	if !r.recovery.machine.Whole(r.published.Load()) {
		return false, nil
	}
	if err := r.folder.Mark(incarnationDue); err != nil {
		return false, err
	}
	r.fail(ErrAgain)
	return false, nil
}

// Relay is the log of a child as a peer of this node gets it.
type Relay struct {
	peer   *Peer
	mirror *Mirror

	mu   sync.Mutex
	pace replica.Relay
}

// LogID returns the id of the log.
func (s *Relay) LogID() identifier.LogID { return s.mirror.m.log }

// Number returns the number of the mirror that is sent. Another one may take its place.
func (s *Relay) Number() uint32 { return s.mirror.m.number }

// Policy returns what is kept of the log here, and so can be sent.
func (s *Relay) Policy() identifier.Policy { return s.mirror.m.policy }

// Owner returns the node key that the log is signed with.
func (s *Relay) Owner() identifier.PublicKey { return s.mirror.m.node }

// Growth returns how many entries may be sent, and a channel that is closed when there
// may be more.
func (s *Relay) Growth() (uint64, <-chan struct{}) {
	m := s.mirror.m
	grew := m.growth()
	have := m.published.Load()
	own := s.mirror.r.published.Load() // after have: it covers what have rests on
	s.peer.mu.Lock()
	acked := s.peer.acked
	s.peer.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	size := s.pace.May(have, own, acked)
	if size == have {
		return size, grew
	}
	soon := make(chan struct{})
	time.AfterFunc(relayLook, func() { close(soon) })
	return size, soon
}

// relayLook is how often a relay looks whether the peer has got further.
const relayLook = 50 * time.Millisecond

// Entries returns the entries from a position on to the end of the unit that has it: only
// there the child has signed a checkpoint.
func (s *Relay) Entries(from uint64, _, _ int) ([][]byte, error) {
	u, err := s.mirror.Unit(from)
	if err != nil {
		return nil, err
	}
	return slices.Clone(u.Payloads[from-u.Start:]), nil
}

// Root returns the Merkle root of the first size entries.
func (s *Relay) Root(size uint64) (identifier.Hash, error) { return s.mirror.Root(size) }

// Subtrees returns the roots of the complete subtrees of everything that is here, and how
// many entries that is.
func (s *Relay) Subtrees() (uint64, []identifier.Hash, error) {
	size, subtrees := s.mirror.m.tree.edge()
	return size, subtrees, nil
}

// SignCheckpoint returns the checkpoint that the child signed over the first size entries.
// There is one where a unit ends.
func (s *Relay) SignCheckpoint(size uint64) ([]byte, identifier.Hash, error) {
	fail := func(err error) ([]byte, identifier.Hash, error) {
		return nil, identifier.Hash{}, fmt.Errorf("checkpoint of log %s at %d: %w", s.mirror.m.log, size, err)
	}
	if size == 0 {
		return fail(errors.New("the child has signed none"))
	}
	u, err := s.mirror.Unit(size - 1)
	if err != nil {
		return fail(err)
	}
	signed, root, err := journal.VerifyCheckpoint(u.Checkpoint, s.mirror.m.log, s.mirror.m.node)
	if err == nil && signed != size {
		err = fmt.Errorf("the child has signed one at %d", signed)
	}
	if err != nil {
		return fail(err)
	}
	return u.Checkpoint, root, nil
}

// Prove returns the proof that the first old entries are the beginning of the first size.
func (s *Relay) Prove(old, size uint64) ([]identifier.Hash, error) { return s.mirror.Prove(old, size) }

// Acked returns 0: nothing is remembered of what a peer has of a child's log.
func (s *Relay) Acked(identifier.PublicKey) uint64 { return 0 }

// Acknowledged says that the peer has so many entries on its disk.
func (s *Relay) Acknowledged(_ identifier.PublicKey, size uint64) {
	s.mirror.r.anchors.peerHolds(s.peer.key, s.mirror.m.log, size)
}

// Ended says that it is not known any more what the peer has of the child's log.
func (s *Relay) Ended() { s.mirror.r.anchors.peerHolds(s.peer.key, s.mirror.m.log, 0) }

// errRelayed is the answer to everything that only a child does with its own log.
var errRelayed = errors.New("the log is a child's: only the child adds to it")

// AcceptGrant takes nothing.
func (s *Relay) AcceptGrant(context.Context, identifier.Envelope) error { return nil }

// AcceptReceipt takes none.
func (s *Relay) AcceptReceipt(context.Context, *replica.Receipt) error { return nil }

// Receipts says that none are waited for.
func (s *Relay) Receipts() (anchored, rooted uint64) { return 0, 0 }

// Anchored is nothing that a peer has to say.
func (s *Relay) Anchored(uint64) {}

// Marked returns "": whether the child lacks entries is not known here.
func (s *Relay) Marked() string { return "" }

// Mark refuses: a peer that has more of the log than this node waits until the child has
// sent it here too.
func (s *Relay) Mark(context.Context, string) error { return errRelayed }

// TakeBack refuses.
func (s *Relay) TakeBack(context.Context, *replica.Unit) error { return errRelayed }

// Heal refuses.
func (s *Relay) Heal() (bool, error) { return false, errRelayed }

// Again does nothing: the log is not this node's.
func (s *Relay) Again() bool { return false }

// Forked keeps evidence that the child has signed two histories of its log.
func (s *Relay) Forked(_ context.Context, e *replica.Evidence) error {
	s.mirror.Refused(&replica.Refusal{Reason: replica.Fork, Detail: "a top-level node has another history of the log than this one", Evidence: e})
	return nil
}
