package registry

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/journal"
	"github.com/nameplate-id/nameplate/registry/replica"
	"github.com/nameplate-id/nameplate/registry/state"
)

// Notes of the newest receipts that this node holds for its own log.
const (
	anchoredNote = "receipt/anchored"
	rootedNote   = "receipt/rooted" // one that leads to a top-level node
)

// levels knows how much of the node's own log has reached which level, and tells who
// waits. Sizes never go down while the process lives.
type levels struct {
	mu               sync.Mutex
	anchored, rooted uint64
	receipts         [2]*replica.Receipt // the newest: any, rooted
	sizes            [2]uint64           // of the receipts
	changed          chan struct{}
}

func newLevels() *levels { return &levels{changed: make(chan struct{})} }

// raise notes that so much is anchored, and so much rooted.
func (l *levels) raise(anchored, rooted uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.raiseLocked(anchored, rooted)
}

func (l *levels) raiseLocked(anchored, rooted uint64) {
	anchored = max(anchored, rooted)
	if anchored <= l.anchored && rooted <= l.rooted {
		return
	}
	l.anchored, l.rooted = max(l.anchored, anchored), max(l.rooted, rooted)
	close(l.changed)
	l.changed = make(chan struct{})
}

// take takes in a receipt that is synced.
func (l *levels) take(r *replica.Receipt, size uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	rooted := uint64(0)
	if r.Top {
		rooted = size
	}
	for i := range l.receipts {
		if (i == 0 || r.Top) && size > l.sizes[i] {
			l.receipts[i], l.sizes[i] = r, size
		}
	}
	l.raiseLocked(size, rooted)
}

// of returns the level of an entry, and what is closed when levels change.
func (l *levels) of(position uint64) (Level, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case position < l.rooted:
		return Rooted, l.changed
	case position < l.anchored:
		return Anchored, l.changed
	}
	return Local, l.changed
}

func (l *levels) heights() (anchored, rooted uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.anchored, l.rooted
}

// root returns the newest receipt that leads to a top-level node, and for how many
// entries it is.
func (l *levels) root() (*replica.Receipt, uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.receipts[1], l.sizes[1]
}

func (l *levels) held() [2]uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.sizes
}

// verifier checks the notes of receipts.
func verifier() replica.Verifier {
	return replica.Verifier{Checkpoint: journal.VerifyCheckpoint, Cosignature: VerifyCosignature}
}

// VerifyCosignature is journal.VerifyCosignature without the time.
func VerifyCosignature(note []byte, by identifier.PublicKey) error {
	_, err := journal.VerifyCosignature(note, by)
	return err
}

// takeReceipt takes in a receipt from the journal: it is the newest of its kind, or adds
// nothing.
func (l *ledger) takeReceipt(payload []byte, at, end journal.Offset) error {
	r, err := replica.ParseReceipt(payload)
	if err != nil {
		return err
	}
	size, _, err := r.Check(verifier(), l.log, l.node)
	if err != nil {
		return err
	}
	mutations, err := l.receiptMutations(r, size, payload)
	if err != nil {
		return err
	}
	err = l.state.Publish(context.Background(), state.Batch{
		Log: l.number, Position: l.published.Load(), At: uint64(at), End: uint64(end), Mutations: mutations,
	})
	if err == nil {
		l.levels.take(r, size)
	}
	return err
}

func (l *ledger) receiptMutations(r *replica.Receipt, size uint64, payload []byte) (mutations []state.Mutation, err error) {
	held := l.levels.held()
	if size > held[0] {
		mutations = append(mutations, noteMutation(anchoredNote, payload))
	}
	if r.Top && size > held[1] {
		mutations = append(mutations, noteMutation(rootedNote, payload))
	}
	return mutations, nil
}

// loadReceipts reads the newest receipts from the state.
func (l *ledger) loadReceipts() error {
	for _, name := range []string{anchoredNote, rootedNote} {
		payload, err := l.note(name)
		if err != nil {
			return err
		}
		if payload == nil {
			continue
		}
		r, err := replica.ParseReceipt(payload)
		if err != nil {
			return err
		}
		size, _, err := r.Check(verifier(), l.log, l.node)
		if err != nil {
			return err
		}
		l.levels.take(r, size)
	}
	return nil
}

// AcceptReceipt stores a receipt for this node's own log; it is synced at return, and
// the levels of what it covers go up. One that is not newer is no error.
func (s *Source) AcceptReceipt(ctx context.Context, r *replica.Receipt) error {
	size, _, err := r.Check(verifier(), s.r.log, s.r.key.Public())
	if err != nil {
		return &Error{Kind: Malformed, Detail: "the receipt does not hold", Err: err}
	}
	if held := s.r.levels.held(); size <= held[0] && (!r.Top || size <= held[1]) {
		return nil
	}
	payload, err := replica.AppendReceipt(nil, r)
	if err != nil {
		return &Error{Kind: Malformed, Detail: "the receipt cannot be stored", Err: err}
	}
	s.r.config.Hook(HookReceipt)
	synced := make(chan struct{})
	frame := journal.Frame{Log: ownLog, Position: size, Kind: journal.KindReceipt, Payload: payload}
	queue := func() error {
		return s.r.journal.Append(frame, func(at, end journal.Offset) {
			s.r.config.Hook(HookReceiptKept)
			if err := s.r.takeReceipt(payload, at, end); err != nil {
				s.r.fail(fmt.Errorf("receipt for %d entries: %w", size, err))
				return
			}
			s.r.anchors.stir() // the children's rows among them are rooted now
			close(synced)
		})
	}
	for {
		if err := s.r.waitRoom(ctx, len(payload)); err != nil {
			return err
		}
		if err := queue(); err == nil {
			return s.r.awaitSync(ctx, synced)
		} else if !errors.Is(err, journal.ErrBusy) && !errors.Is(err, journal.ErrFull) {
			return err
		}
	}
}

// Receipts returns for how many entries the newest stored receipts are: any, and one
// that leads to a top-level node.
func (s *Source) Receipts() (anchored, rooted uint64) {
	held := s.r.levels.held()
	return held[0], held[1]
}

// Anchored says that the parent acknowledges so many entries for anchoring.
func (s *Source) Anchored(size uint64) { s.r.anchors.hold(size) }

// ReceiptFor returns the newest receipt that covers the entry at a position: a checkpoint
// of this node's log with the cosignature of the level above, and for level Rooted the
// links that lead on to a top-level node. It is nil where there is none (yet): then the
// entry has not reached the level, or this is a top-level node, which others mirror and
// nobody cosigns for. Size is for how many entries it is. The receipt must not be changed.
func (r *Registry) ReceiptFor(position uint64, l Level) (receipt *replica.Receipt, size uint64) {
	r.levels.mu.Lock()
	defer r.levels.mu.Unlock()
	i := 0
	if l == Rooted {
		i = 1
	}
	if r.levels.receipts[i] == nil || position >= r.levels.sizes[i] {
		return nil, 0
	}
	return r.levels.receipts[i], r.levels.sizes[i]
}

// LevelOf returns the level that the entry at a position has reached.
func (r *Registry) LevelOf(position uint64) Level {
	l, _ := r.levels.of(position)
	return l
}

// Await waits until the entry at a position has reached a level, or ctx ends, and returns
// the level that it has then. Nothing is lost by not waiting: what is logged gets there.
func (r *Registry) Await(ctx context.Context, position uint64, want Level) Level {
	for {
		have, changed := r.levels.of(position)
		if have >= want {
			return have
		}
		select {
		case <-changed:
		case <-r.failed:
			return have
		case <-ctx.Done():
			return have
		}
	}
}
