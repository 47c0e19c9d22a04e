package registry

import (
	"bytes"
	"fmt"
	"slices"
	"sync"

	"github.com/nameplate-id/nameplate/registry/identifier"
)

// judge decides whether something follows on what a log holds: who may sign it, and
// whether its versions are the next ones. What it says depends on the log alone, never
// on a clock. The sequencer judges so before it logs, and a parent judges so what a child
// has logged.
type judge struct {
	*ledger // what is published
	// holders as of the last entry that was judged to be good: ahead of the ledger's by
	// what waits.
	holders *holders

	// waiting are rows that were judged and are not published yet.
	waitingMu sync.Mutex
	waiting   map[string]*waitingRow // by key: the newest
}

func newJudge(l *ledger, known *holders) judge {
	return judge{ledger: l, holders: known, waiting: make(map[string]*waitingRow)}
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
	entry encoded
	rows  *identifier.Examined // of the entry, and the header
	// holder is the delegation that the signatures were checked against.
	holder *identifier.Delegation
}

// authenticate checks that the header names a delegation that is current here and
// that enough of its keys have signed. It returns that delegation.
func (j *judge) authenticate(h identifier.Header, e identifier.Envelope) (*identifier.Delegation, error) {
	covers, d := j.holders.of(h.Prefix), j.holders.at(h.Prefix)
	if covers.inZone && covers.delegation.Prefix == h.Prefix {
		d = covers.delegation // another keyset may have come into force between the two
	}
	switch {
	case d == nil || d.Revoked() || !covers.inZone:
		return nil, refuse(Denied, "prefix %q is not delegated here: name the delegated prefix that covers the rows, or have it delegated first", h.Prefix)
	case j.elsewhere(d):
		return nil, refuse(Denied, "prefix %q is answered by node %q: register there", h.Prefix, d.Node.Name)
	case covers.delegation.Prefix != h.Prefix:
		hidden := covers.delegation
		return nil, refuse(Denied, "prefix %q lies below %q, which is answered by node %q: have it delegated and register there", h.Prefix, hidden.Prefix, hidden.Node.Name)
	case d.Epoch != h.Epoch:
		return nil, refuse(Denied, "prefix %q is in epoch %d, the change names %d: sign it again with the current one", h.Prefix, d.Epoch, h.Epoch)
	case !d.Accepts(h):
		return nil, oldKeyset(d, h)
	}
	if h.Agent != "" {
		if d.NoAgents {
			return nil, refuse(Denied, "the holder of prefix %q forbids agents: sign with the holder's key", h.Prefix)
		}
		if j.verifier.SignedBy(e, []identifier.PublicKey{j.node}) == 0 {
			return nil, refuse(Unauthenticated, "a change made by an agent is signed by this node: it is not")
		}
		return d, nil
	}
	switch n := j.verifier.SignedBy(e, d.Keyset.Keys); {
	case n >= d.Keyset.Threshold:
		return d, nil
	case d.Keyset.Version != h.KeysetVersion:
		return nil, oldKeyset(d, h)
	default:
		return nil, refuse(Unauthenticated, "%d good signatures by keys of prefix %q, %d are needed: sign with the holder's key", n, h.Prefix, d.Keyset.Threshold)
	}
}

func oldKeyset(d *identifier.Delegation, h identifier.Header) error {
	return refuse(Denied, "the keyset of prefix %q is version %d, the change names %d: sign it again with a current key", h.Prefix, d.Keyset.Version, h.KeysetVersion)
}

// checkHolder checks that every row belongs to the prefix whose holder signed, and
// not to a longer delegation below it.
func (j *judge) checkHolder(p *proposal) error {
	var bad []RowError
	var last identifier.Prefix
	lastHeld := false
	for i := range p.entry.Rows {
		prefix := p.entry.Rows[i].ID.Prefix
		if i == 0 || prefix != last {
			last, lastHeld = prefix, j.holders.of(prefix).delegation == p.holder
		}
		if !lastHeld {
			bad = append(bad, RowError{Row: i, ID: p.entry.Rows[i].ID,
				Reason: fmt.Sprintf("prefix %s is delegated on to another holder, who must sign", j.holders.of(prefix).delegation.Prefix)})
		}
	}
	if bad != nil {
		return &Error{Kind: Denied, Detail: fmt.Sprintf("prefix %q does not hold every row", p.rows.Header.Prefix), Rows: bad}
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

// judgeRows compares every row with the current version of its identifier. What does
// not wait for its sync is looked up, unless recall, which may be nil, knows it.
func (j *judge) judgeRows(p *proposal, recall func([]standing)) (verdict, error) {
	// Waiting rows first, the store after: a row that is published in between is
	// then found in the store, in the other order in neither.
	standing := j.standingOf(p)
	if recall != nil {
		recall(standing)
	}
	if slices.ContainsFunc(standing, unknownStanding) {
		if _, err := j.readCurrent(p, standing); err != nil {
			return verdict{}, err
		}
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

func unknownStanding(c standing) bool { return !c.known }

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
func (j *judge) standingOf(p *proposal) []standing {
	rows := p.entry.Rows
	found := make([]standing, len(rows))
	j.waitingMu.Lock()
	defer j.waitingMu.Unlock()
	if len(j.waiting) == 0 {
		return found
	}
	for i := range rows {
		w := j.waiting[string(p.rows.Key(i))]
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
func (j *judge) remember(p *proposal, there []bool, position uint64, synced <-chan struct{}) {
	keys, waiting := p.rows.Keys(), make([]waitingRow, len(p.entry.Rows))
	for i := range p.entry.Rows {
		if there[i] {
			continue // the row that made this version keeps its hash
		}
		row := &p.entry.Rows[i]
		waiting[i] = waitingRow{position: position, version: row.Version, hash: p.rows.Hashes[i], row: row, synced: synced}
		j.waiting[keys[i]] = &waiting[i]
	}
}

// forget drops the rows of a change that readers can see now, unless a later
// change of theirs waits.
func (j *judge) forget(p *proposal, position uint64) {
	j.waitingMu.Lock()
	defer j.waitingMu.Unlock()
	for i := range p.entry.Rows {
		key := p.rows.Key(i)
		if w := j.waiting[string(key)]; w != nil && w.position == position {
			delete(j.waiting, string(key))
		}
	}
}

// sameContent reports whether two rows make the same record of an identifier.
func sameContent(a, b *identifier.Row) bool {
	if a.Op != b.Op || a.Op == identifier.Withdraw || a.Sealed != nil || b.Sealed != nil {
		return a.Op == b.Op // of sealed ones only who has the contents can tell more
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
