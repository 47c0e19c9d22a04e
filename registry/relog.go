package registry

import (
	"bytes"
	"context"
	"errors"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/journal"
	"github.com/nameplate-id/nameplate/registry/replica"
)

// relog goes through the journal of before. The mirrors in it stay as they are; they judge
// what stands in them by the entries before, so the order stays as well.
func (m *merger) relog(ctx context.Context) error {
	above := func() error {
		return m.parting.Entries(ctx, func(position uint64, payload []byte) error {
			return m.again(ctx, "above", position, payload)
		})
	}
	sure, err := m.certainties(ctx)
	if err != nil {
		return err
	}
	done := false
	for f, err := range m.old.journal.Scan(0, m.old.journal.Synced()) {
		if err != nil {
			return err
		}
		switch {
		case f.Log != ownLog && (f.Kind == journal.KindMirrored || f.Kind == journal.KindSession || f.Kind == journal.KindQuarantine || f.Kind == journal.KindCertain || f.Kind == journal.KindTold):
			frame, err := sure.cut(f.Frame)
			if err == nil && frame.Payload != nil {
				err = m.copy(ctx, frame)
			}
			if err != nil {
				return err
			}
		case f.Log == ownLog && f.Kind == journal.KindEntry:
			if f.Position >= m.parting.Shared && !done && m.config.left != ruleUpper {
				done = true
				if err := above(); err != nil {
					return err
				}
			}
			if err := m.again(ctx, "node", f.Position, f.Payload); err != nil {
				return err
			}
		}
	}
	if !done {
		if err := above(); err != nil {
			return err
		}
	}
	return m.certify(ctx, sure)
}

// certainByNumber is what is certain of the mirrors that are copied, by their numbers.
type certainByNumber map[uint32]certainty

// certainties tells what is certain of the mirrors of a top-level node that was restored and
// has healed. Where the log has forked nobody knows more of them than before.
func (m *merger) certainties(ctx context.Context) (certainByNumber, error) {
	if m.upper != nil || m.config.left == ruleCut || m.config.left == ruleCertain {
		return nil, nil
	}
	found, err := m.old.certainties(ctx)
	sure := certainByNumber{}
	for x, c := range found {
		sure[x.number] = c
	}
	return sure, err
}

// cut returns a frame of a mirror as it is copied: without what contradicts the node's own
// log, and without a payload when nothing is left of it.
func (sure certainByNumber) cut(f journal.Frame) (journal.Frame, error) {
	c, ok := sure[f.Log]
	if !ok || !c.astray || f.Kind != journal.KindMirrored {
		return f, nil
	}
	u, err := replica.ParseUnit(f.Payload)
	if err != nil {
		return f, err
	}
	if u.Start >= c.Size {
		f.Payload = nil
	} else if u.End() > c.Size {
		f.Payload = replica.AppendUnit(nil, replica.CutUnit(u, c.Row))
	}
	return f, nil
}

// certify says in the new journal what is certain of the mirrors.
func (m *merger) certify(ctx context.Context, sure certainByNumber) error {
	if newest := m.new.sequencer.newestQueued(); newest != nil {
		if err := m.new.awaitSync(ctx, newest); err != nil { // the mirrors are there then
			return err
		}
	}
	for number, c := range sure {
		if x := m.new.logs.numbered(number); !c.astray && x != nil {
			if err := m.new.noteCertain(ctx, x, &c.Row); err != nil {
				return err
			}
		}
	}
	return nil
}

// copy appends a frame of a mirror as it is.
func (m *merger) copy(ctx context.Context, f journal.Frame) error {
	f.Payload = bytes.Clone(f.Payload)
	for {
		if err := m.new.waitRoom(ctx, len(f.Payload)); err != nil {
			return err
		}
		synced := make(chan struct{})
		err := m.new.journal.Append(f, func(at, end journal.Offset) {
			if err := m.new.logs.replay(journal.Located{Frame: f, At: at, End: end}); err != nil {
				m.new.fail(err)
				return
			}
			close(synced)
		})
		if errors.Is(err, journal.ErrBusy) {
			continue
		}
		if err != nil {
			return err
		}
		m.new.sequencer.mu.Lock()
		m.new.sequencer.newest = synced // what is waited for at the end
		m.new.sequencer.mu.Unlock()
		return m.new.failure()
	}
}

// again logs an entry of a log of before anew, or hands over what cannot be.
func (m *merger) again(ctx context.Context, branch string, position uint64, payload []byte) error {
	e, err := identifier.ParseEntry(bytes.Clone(payload))
	if err != nil {
		return err
	}
	if err := m.markOrigins(ctx, branch, position); err != nil {
		return err
	}
	var duplicate bool
	switch e.Kind {
	case identifier.EntryGenesis, identifier.EntryChildren:
		return nil // the new log has its own, and repeats the rows
	case identifier.EntryFence:
		duplicate, err = m.new.relogFence(ctx, e)
	case identifier.EntryOrigin:
		err = m.new.relogOrigin(ctx, e)
	case identifier.EntryChange:
		duplicate, err = m.new.relogChange(ctx, e)
	case identifier.EntryGrant, identifier.EntryDelegation, identifier.EntryKeyset:
		duplicate, err = m.new.relogGrant(ctx, e)
	}
	if duplicate {
		m.told.There++
	}
	why, ok := errors.AsType[*Error](err)
	if !ok || why.Kind == Unavailable || why.Kind == Overloaded || why.Kind == ReadOnly {
		return err
	}
	return m.handOver(branch, position, e, why)
}

// handOver hands over what an entry brought, row by row.
func (m *merger) handOver(branch string, position uint64, e *identifier.Entry, why *Error) error {
	if m.config.left == ruleHand {
		return nil
	}
	if e.Kind != identifier.EntryChange {
		g, err := parseGrant(e.Envelope)
		if err != nil {
			return err
		}
		m.told.Handed++
		return m.handed(&Handed{Branch: branch, Entry: position, Prefix: g.delegation.Prefix, Reason: why.Error(), Collides: why.Kind == Conflict})
	}
	bad := make(map[int]RowError, len(why.Rows))
	for _, r := range why.Rows {
		bad[r.Row] = r
	}
	for i := range e.Rows {
		h := &Handed{Branch: branch, Entry: position, Row: &e.Rows[i], Prefix: e.Rows[i].ID.Prefix, Reason: "it was signed together with a row that is not in the new log"}
		if r, ok := bad[i]; ok {
			h.Reason, h.Version, h.Collides = r.Reason, r.Version, why.Kind == Conflict && r.Version == e.Rows[i].Version
		} else if len(bad) == 0 {
			h.Reason = why.Error()
		}
		m.told.Handed++
		if err := m.handed(h); err != nil {
			return err
		}
	}
	return nil
}

// relogChange admits a change that was admitted once, when it had not expired. It does not
// wait for its sync.
func (r *Registry) relogChange(ctx context.Context, e *identifier.Entry) (duplicate bool, err error) {
	x, err := e.Change().Examine()
	if err != nil {
		return false, &Error{Kind: Malformed, Detail: "the change breaks a rule", Err: err}
	}
	if e.Sealed() {
		return false, refuse(Malformed, "only the pointers of the change are here: its holder signs it again")
	}
	entry, err := encodeExamined(e, x)
	if err != nil {
		return false, err
	}
	p := &proposal{entry: entry, rows: x}
	if p.holder, err = r.sequencer.authenticate(x.Header, e.Envelope); err != nil {
		return false, err
	}
	return r.relog(ctx, len(entry.payload), func() (admission, error) { return r.sequencer.admit(p, sighting{}) })
}

// relogGrant admits a delegation, a keyset, or a grant from above.
func (r *Registry) relogGrant(ctx context.Context, e *identifier.Entry) (duplicate bool, err error) {
	g, err := parseGrant(e.Envelope)
	if err != nil {
		return false, &Error{Kind: Malformed, Detail: "the delegation breaks a rule", Err: err}
	}
	entry, err := encode(e)
	if err != nil {
		return false, err
	}
	if e.Kind == identifier.EntryGrant && g.delegation.Prefix == "" && e.Envelope.SignedBy([]identifier.PublicKey{r.node}) > 0 {
		if r.holders.heldAt("").apex {
			return true, nil
		}
		return false, r.sequencer.write(e.Kind, e.Envelope) // a node without a parent has it from itself
	}
	if e.Kind != identifier.EntryGrant {
		duplicate, err = r.relog(ctx, len(entry.payload), func() (admission, error) { return r.sequencer.admitGrant(g, entry) })
		if why, ok := errors.AsType[*Error](err); e.Kind == identifier.EntryDelegation || err == nil || ok && why.Kind == Conflict {
			return duplicate, err
		}
	}
	return r.relog(ctx, len(entry.payload), func() (admission, error) { return r.sequencer.admitFromAbove(g, entry) })
}

// markOrigins marks the places of which a keyset speaks, before the first entry that stood
// at or behind each. What both histories begin with is there once.
func (m *merger) markOrigins(ctx context.Context, branch string, position uint64) error {
	log := m.old.log
	if branch == "above" {
		log = m.parting.After.Log
	}
	for i := range m.origins {
		o := &m.origins[i]
		if o.Log != log || o.Position > position || o.marked[branch] || o.Position < m.parting.Shared && len(o.marked) > 0 {
			continue
		}
		if o.marked == nil {
			o.marked = make(map[string]bool)
		}
		o.marked[branch] = true
		e := &identifier.Entry{Kind: identifier.EntryOrigin, Time: m.new.now(), Envelope: identifier.Sign(identifier.OriginType, o.Append(nil), m.new.key)}
		if err := m.new.relogOrigin(ctx, e); err != nil {
			return err
		}
	}
	return nil
}

// relogOrigin admits an origin.
func (r *Registry) relogOrigin(ctx context.Context, e *identifier.Entry) error {
	entry, err := encode(e)
	if err != nil {
		return err
	}
	_, err = r.relog(ctx, len(entry.payload), func() (admission, error) {
		r.sequencer.mu.Lock()
		defer r.sequencer.mu.Unlock()
		q, err := r.sequencer.queue(entry, func(position uint64) (effect, error) { return effectOfOrigin(entry.Entry, position) }, nil)
		if err != nil {
			return admission{}, err
		}
		return admitted(q), nil
	})
	return err
}

// relogFence admits a fence: what it says of a child's log stays so.
func (r *Registry) relogFence(ctx context.Context, e *identifier.Entry) (duplicate bool, err error) {
	entry, err := encode(e)
	if err != nil {
		return false, err
	}
	return r.relog(ctx, len(entry.payload), func() (admission, error) { return r.sequencer.admitAgain(entry) })
}

// relog admits something as soon as there is room for it.
func (r *Registry) relog(ctx context.Context, octets int, admit func() (admission, error)) (duplicate bool, err error) {
	for {
		if err := r.waitRoom(ctx, octets); err != nil {
			return false, err
		}
		a, err := admit()
		if errors.Is(err, journal.ErrBusy) {
			continue
		}
		return a.duplicate, err
	}
}

// repeatRows logs the newest rows of the children of the log that this one continues,
// unless a crash came after that.
func (r *Registry) repeatRows() error {
	if r.published.Load() > 1 || len(r.config.rows) == 0 {
		return nil
	}
	for from := 0; from < len(r.config.rows); from += identifier.MaxRows {
		rows := r.config.rows[from:min(from+identifier.MaxRows, len(r.config.rows))]
		if err := r.logRows(context.Background(), rows); err != nil {
			return err
		}
	}
	return nil
}
