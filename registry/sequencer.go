package registry

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/journal"
)

// sequencer puts admitted entries into one order. What it judges by is the state,
// the overlay and the rows that wait for their sync, so that two changes of one
// identifier can share a sync. Readers see only what is synced.
type sequencer struct {
	registry *Registry

	// mu is held from judging an entry until it is queued, so that the order of
	// judging is the order of the log.
	mu   sync.Mutex
	next uint64 // the position of the next entry
	// judge has a lock of its own for what waits, because the journal's callbacks take it.
	judge

	// newest is closed when the entry that was queued last is synced; nil before the
	// first.
	newest <-chan struct{}

	// grantSyncs tells of the delegations in force that were queued by this process
	// when they were synced.
	grantSyncs map[identifier.Prefix]<-chan struct{}
}

// newSequencer returns a sequencer that goes on where the registry stands.
func newSequencer(r *Registry) *sequencer {
	return &sequencer{
		registry: r, next: r.published.Load(), judge: newJudge(r.ledger, r.holders.clone()),
		grantSyncs: make(map[identifier.Prefix]<-chan struct{}),
	}
}

// queue gives an entry the next position and hands it to the journal. After its
// sync it is made visible, then done is called, unless it is nil, and then the
// channel is closed. The caller holds mu.
func (s *sequencer) queue(e encoded, effectAt func(position uint64) (effect, error), done func(position uint64)) (<-chan struct{}, error) {
	r, position := s.registry, s.next
	r.config.Hook(HookEntry)
	synced := make(chan struct{})
	frame := journal.Frame{Log: ownLog, Position: position, Kind: journal.KindEntry, Payload: e.payload}
	err := r.journal.Append(frame, func(at, end journal.Offset) {
		r.config.Hook(HookEntrySynced)
		x, err := effectAt(position)
		var before *identifier.Delegation
		if x.holds != nil {
			before = r.holders.at(x.holds.delegation.Prefix)
		}
		if err == nil {
			err = r.publish(x, e.leaf, position, at, end)
		}
		if err == nil && x.holds != nil {
			r.logs.granted(*x.holds, before, e.Envelope)
		}
		if err != nil {
			// It is logged, so it must take effect: only a new start can see to that.
			r.fail(fmt.Errorf("entry %d: %w", position, err))
			return
		}
		if done != nil {
			done(position)
		}
		r.config.Hook(HookEntryVisible)
		close(synced)
	})
	switch {
	case err == nil:
		s.next++
		s.newest = synced
		return synced, nil
	case errors.Is(err, journal.ErrBusy):
		return nil, err
	case errors.Is(err, journal.ErrFull):
		return nil, &Error{Kind: Overloaded, Detail: diskFull, Err: err}
	}
	return nil, ending(err)
}

// newestQueued returns what is closed when everything that was queued is synced;
// nil when nothing was.
func (s *sequencer) newestQueued() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.newest
}

// write logs an entry of the node's own and waits for its sync.
func (s *sequencer) write(kind identifier.EntryKind, e identifier.Envelope) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	entry, err := encode(&identifier.Entry{Kind: kind, Time: s.registry.now(), Envelope: e})
	if err != nil {
		return err
	}
	x, err := effectOf(entry.Entry, s.next, s.holders)
	if err != nil {
		return err
	}
	synced, err := s.queue(entry, func(uint64) (effect, error) { return x, nil }, nil)
	if err != nil {
		return err
	}
	if x.holds != nil {
		s.holders.put(*x.holds)
	}
	return s.registry.awaitSync(context.Background(), synced)
}

// encoded is an entry with the octets that the journal keeps of it and those that
// the Merkle tree hashes.
type encoded struct {
	*identifier.Entry
	payload, leaf []byte
}

func encode(e *identifier.Entry) (encoded, error) {
	payload, err := identifier.AppendEntry(nil, e)
	if err != nil {
		return encoded{}, &Error{Kind: Malformed, Detail: "the entry cannot be logged", Err: err}
	}
	leaf, err := identifier.EntryLeaf(payload)
	if err != nil {
		return encoded{}, &Error{Kind: Malformed, Detail: "the entry cannot be logged", Err: err}
	}
	return encoded{Entry: e, payload: payload, leaf: leaf}, nil
}

// admission is what became of a proposal.
type admission struct {
	position  uint64
	duplicate bool
	synced    <-chan struct{} // closed after the sync that the answer must wait for; nil when there is none to wait for
}

// admit judges a change against everything before it and queues it. It returns
// before the sync.
func (s *sequencer) admit(p *proposal) (admission, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.registry.writable(); err != nil {
		return admission{}, err
	}
	if s.holders.at(p.header.Prefix) != p.holder {
		// The delegation changed since the signatures were checked.
		var err error
		if p.holder, err = s.authenticate(p.header, p.entry.Envelope); err != nil {
			return admission{}, err
		}
	}
	if err := s.checkHolder(p); err != nil {
		return admission{}, err
	}
	verdict, err := s.judgeRows(p)
	if err != nil {
		return admission{}, err
	}
	if verdict.fresh == 0 {
		return admission{position: verdict.position, duplicate: true, synced: verdict.synced}, nil
	}
	position := s.next
	synced, err := s.queueRows(p, verdict.there)
	return admission{position: position, synced: synced}, err
}

// queueRows queues a change and makes its fresh rows known to those judged after it.
func (s *sequencer) queueRows(p *proposal, there []bool) (<-chan struct{}, error) {
	// Held over both: the sync may be faster than we are, and forgets what is
	// remembered; and a change that is not queued must leave nothing behind, above
	// all not hide the row that its own would follow on.
	s.waitingMu.Lock()
	defer s.waitingMu.Unlock()
	position := s.next
	effectAt := func(position uint64) (effect, error) { return effectOfChecked(p.entry.Entry, p.hashes, position) }
	synced, err := s.queue(p.entry, effectAt, func(position uint64) { s.forget(p.entry.Rows, position) })
	if err == nil {
		s.remember(p, there, position, synced)
	}
	return synced, err
}
