package registry

import (
	"bytes"
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
	// holders as of the last queued entry: ahead of the registry's by what waits.
	holders *holders

	// waiting has its own lock because the journal's callbacks take it.
	waitingMu sync.Mutex
	waiting   map[string]*waitingRow // by key: the newest row that waits for its sync

	// newest is closed when the entry that was queued last is synced; nil before the
	// first.
	newest <-chan struct{}

	// grantSyncs tells of the delegations in force that were queued by this process
	// when they were synced.
	grantSyncs map[identifier.Prefix]<-chan struct{}
}

// newSequencer returns a sequencer that goes on where the registry stands.
func newSequencer(r *Registry) *sequencer {
	s := &sequencer{
		registry: r, next: r.published.Load(), holders: newHolders(),
		waiting: make(map[string]*waitingRow), grantSyncs: make(map[identifier.Prefix]<-chan struct{}),
	}
	for _, h := range r.holders.list() {
		s.holders.put(h)
	}
	return s
}

// queue gives an entry the next position and hands it to the journal. After its
// sync it is made visible, then done is called, unless it is nil, and then the
// channel is closed. The caller holds mu.
func (s *sequencer) queue(e encoded, effectAt func(position uint64) (effect, error), done func(position uint64)) (<-chan struct{}, error) {
	r, position := s.registry, s.next
	synced := make(chan struct{})
	frame := journal.Frame{Log: ownLog, Position: position, Kind: journal.KindEntry, Payload: e.payload}
	err := r.journal.Append(frame, func(at, end journal.Offset) {
		x, err := effectAt(position)
		if err == nil {
			err = r.publish(x, e.leaf, position, at, end)
		}
		if err != nil {
			// It is logged, so it must take effect: only a new start can see to that.
			r.fail(fmt.Errorf("entry %d: %w", position, err))
			return
		}
		if done != nil {
			done(position)
		}
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
	entry, err := encode(&identifier.Entry{Kind: kind, Time: now(), Envelope: e})
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

// waitingRow is a row that is queued but not synced.
type waitingRow struct {
	position uint64
	version  uint64
	hash     identifier.Hash
	row      *identifier.Row
	synced   <-chan struct{}
}

// proposal is a change on its way in: all that could be worked out without
// knowing what stands before it.
type proposal struct {
	entry  encoded
	header identifier.Header
	hashes []identifier.Hash // of the rows
	// holder is the delegation that the signatures were checked against.
	holder *identifier.Delegation
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
		if p.holder, err = s.registry.authenticate(s.holders, p.header, p.entry.Envelope); err != nil {
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

// checkHolder checks that every row belongs to the prefix whose holder signed, and
// not to a longer delegation below it.
func (s *sequencer) checkHolder(p *proposal) error {
	var bad []RowError
	var last identifier.Prefix
	lastHeld := false
	for i := range p.entry.Rows {
		prefix := p.entry.Rows[i].ID.Prefix
		if i == 0 || prefix != last {
			last, lastHeld = prefix, s.holders.of(prefix).delegation == p.holder
		}
		if !lastHeld {
			bad = append(bad, RowError{Row: i, ID: p.entry.Rows[i].ID,
				Reason: fmt.Sprintf("prefix %s is delegated on to another holder, who must sign", s.holders.of(prefix).delegation.Prefix)})
		}
	}
	if bad != nil {
		return &Error{Kind: Denied, Detail: fmt.Sprintf("prefix %q does not hold every row", p.header.Prefix), Rows: bad}
	}
	return nil
}

// verdict is what judging the rows of a change found.
type verdict struct {
	fresh    int             // rows that are not there yet
	there    []bool          // by row
	position uint64          // of the newest entry that a row that is there came with
	synced   <-chan struct{} // of that entry, while it waits for its sync
}

// judgeRows compares every row with the current version of its identifier.
func (s *sequencer) judgeRows(p *proposal) (verdict, error) {
	// Waiting rows first, the store after: a row that is published in between is
	// then found in the store, in the other order in neither.
	standing := s.standingOf(p.entry.Rows)
	if err := s.registry.readCurrent(p.entry.Rows, standing); err != nil {
		return verdict{}, err
	}
	v := verdict{there: make([]bool, len(standing))}
	var bad []RowError
	for i := range p.entry.Rows {
		var reason string
		v.there[i], reason = standing[i].judge(&p.entry.Rows[i])
		switch {
		case reason != "":
			bad = append(bad, RowError{Row: i, ID: p.entry.Rows[i].ID, Reason: reason,
				Version: standing[i].version, RowHash: standing[i].hash})
		case !v.there[i]:
			v.fresh++
		case standing[i].position >= v.position:
			v.position, v.synced = standing[i].position, standing[i].synced
		}
	}
	if bad != nil {
		return verdict{}, &Error{Kind: Conflict, Rows: bad,
			Detail: fmt.Sprintf("%d of %d rows do not follow on what is there; nothing was logged: leave them out, or sign them for the next version", len(bad), len(p.entry.Rows))}
	}
	return v, nil
}

// standing is what an identifier has now.
type standing struct {
	version   uint64 // 0: it never was
	withdrawn bool
	hash      identifier.Hash
	position  uint64
	synced    <-chan struct{} // while it waits for its sync
	// same says that the content is that of the row it was looked up for.
	same bool
	// known is false until the version has been found among the waiting or in the store.
	known bool
}

// judge reports whether the row is there already, or why it does not follow.
func (c *standing) judge(row *identifier.Row) (there bool, reason string) {
	switch {
	case row.Version == c.version && c.same:
		return true, ""
	case row.Version == c.version:
		return false, fmt.Sprintf("version %d is there with other content", c.version)
	case row.Version != c.version+1:
		return false, fmt.Sprintf("the current version is %d, the row makes %d", c.version, row.Version)
	case row.Replaces != c.hash:
		return false, fmt.Sprintf("the row replaces %x, version %d is %x", row.Replaces[:4], c.version, c.hash[:4])
	case row.Op == identifier.Withdraw && (c.version == 0 || c.withdrawn):
		return false, "there is nothing to withdraw"
	}
	return false, ""
}

// standingOf looks the rows up among those that wait for their sync.
func (s *sequencer) standingOf(rows []identifier.Row) []standing {
	found := make([]standing, len(rows))
	s.waitingMu.Lock()
	defer s.waitingMu.Unlock()
	if len(s.waiting) == 0 {
		return found
	}
	var key []byte
	for i := range rows {
		key = identifier.AppendKey(key[:0], rows[i].ID)
		w := s.waiting[string(key)]
		if w == nil {
			continue
		}
		found[i] = standing{
			known: true, version: w.version, hash: w.hash, position: w.position, synced: w.synced,
			withdrawn: w.row.Op == identifier.Withdraw, same: sameContent(w.row, &rows[i]),
		}
	}
	return found
}

// remember notes the fresh rows of a queued change. The caller holds waitingMu.
func (s *sequencer) remember(p *proposal, there []bool, position uint64, synced <-chan struct{}) {
	for i := range p.entry.Rows {
		if there[i] {
			continue // the row that made this version keeps its hash
		}
		row := &p.entry.Rows[i]
		s.waiting[string(identifier.AppendKey(nil, row.ID))] = &waitingRow{
			position: position, version: row.Version, hash: p.hashes[i], row: row, synced: synced,
		}
	}
}

// forget drops the rows of a change that readers can see now, unless a later
// change of theirs waits.
func (s *sequencer) forget(rows []identifier.Row, position uint64) {
	s.waitingMu.Lock()
	defer s.waitingMu.Unlock()
	var key []byte
	for i := range rows {
		key = identifier.AppendKey(key[:0], rows[i].ID)
		if w := s.waiting[string(key)]; w != nil && w.position == position {
			delete(s.waiting, string(key))
		}
	}
}

// sameContent reports whether two rows make the same record of an identifier.
func sameContent(a, b *identifier.Row) bool {
	if a.Op != b.Op || a.Op == identifier.Withdraw {
		return a.Op == b.Op
	}
	x, errA := identifier.AppendContent(nil, spelled(a), a.Values)
	y, errB := identifier.AppendContent(nil, spelled(b), b.Values)
	return errA == nil && errB == nil && bytes.Equal(x, y)
}

// spelled returns the spelling of a row, empty when it is the canonical text.
func spelled(r *identifier.Row) string {
	if r.Spelling == r.ID.String() {
		return ""
	}
	return r.Spelling
}
