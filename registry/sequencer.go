package registry

import (
	"context"
	"errors"
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

	publisher publisher

	touched *touched // which identifiers what is queued has changed

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
		registry: r, publisher: publisher{registry: r}, next: r.published.Load(), judge: newJudge(r.ledger, r.holders.clone()),
		touched: newTouched(), grantSyncs: make(map[identifier.Prefix]<-chan struct{}),
	}
}

// queue gives an entry the next position and hands it to the journal. After its
// sync it is made visible, then done is called, unless it is nil, and then
// what tells of it is closed. The caller holds mu.
func (s *sequencer) queue(e encoded, effectAt func(position uint64) (effect, error), done func(position uint64)) (*queued, error) {
	s.registry.config.Hook(HookEntry)
	q := &queued{encoded: e, position: s.next, visible: make(chan struct{}), done: done, effectAt: effectAt}
	err := s.publisher.append(q)
	switch {
	case err == nil:
		s.next++
		s.newest = q.visible
		return q, nil
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
	q, err := s.queue(entry, func(uint64) (effect, error) { return x, nil }, nil)
	if err != nil {
		return err
	}
	if x.holds != nil {
		s.holders.put(*x.holds)
	}
	return s.registry.awaitSync(context.Background(), q.visible)
}

// encoded is an entry with the octets that the journal keeps of it and those that
// the Merkle tree hashes.
type encoded struct {
	*identifier.Entry
	payload, leaf []byte
}

func encode(e *identifier.Entry) (encoded, error) {
	payload, err := identifier.AppendEntry(nil, e)
	return encodedAs(e, payload, err)
}

// encodeExamined is encode for an entry that carries a change which was examined.
func encodeExamined(e *identifier.Entry, x *identifier.Examined) (encoded, error) {
	payload, err := x.AppendEntry(nil, e)
	return encodedAs(e, payload, err)
}

func encodedAs(e *identifier.Entry, payload []byte, err error) (encoded, error) {
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
	queued    *queued         // what was queued for it; nil for nothing
}

// admitted is the admission of an entry that was queued.
func admitted(q *queued) admission {
	return admission{position: q.position, synced: q.visible, queued: q}
}

// admit judges a change against everything before it and queues it. before is what was
// seen of it already. It returns before the sync.
func (s *sequencer) admit(p *proposal, before sighting) (admission, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.registry.writable(); err != nil {
		return admission{}, err
	}
	if s.holders.at(p.rows.Header.Prefix) != p.holder {
		// The delegation changed since the signatures were checked.
		var err error
		if p.holder, err = s.authenticate(p.rows.Header, p.entry.Envelope); err != nil {
			return admission{}, err
		}
	}
	if err := s.checkHolder(p); err != nil {
		return admission{}, err
	}
	verdict, err := s.judgeRows(p, func(found []standing) { s.recall(before, p, found) })
	if err != nil {
		return admission{}, err
	}
	if verdict.fresh == 0 {
		return admission{position: verdict.position, duplicate: true, synced: verdict.synced}, nil
	}
	q, err := s.queueRows(p, verdict.there)
	if err != nil {
		return admission{}, err
	}
	return admitted(q), nil
}

// queueRows queues a change and makes its fresh rows known to those judged after it.
func (s *sequencer) queueRows(p *proposal, there []bool) (*queued, error) {
	// Held over both: the sync may be faster than we are, and forgets what is
	// remembered; and a change that is not queued must leave nothing behind, above
	// all not hide the row that its own would follow on.
	s.waitingMu.Lock()
	defer s.waitingMu.Unlock()
	effectAt := func(position uint64) (effect, error) { return effectOfExamined(p.entry.Entry, p.rows, position) }
	q, err := s.queue(p.entry, effectAt, func(position uint64) { s.forget(p, position) })
	if err == nil {
		s.remember(p, there, q.position, q.visible)
		for i := range p.entry.Rows {
			s.touched.by(q.position, p.rows.Key(i))
		}
	}
	return q, err
}
