package registry

import (
	"context"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/state"
)

// Find returns what the node holds about an identifier, as of the entries that are
// synced. A stored record that fails its checksum is an error: it is never taken
// for another value or for none. While the node's parent answers in its place, that is
// the error.
func (r *Registry) Find(ctx context.Context, id identifier.ID) (identifier.Finding, error) {
	if err := r.serves(); err != nil {
		return identifier.Finding{}, err
	}
	f, err := r.find(id)
	if err != nil {
		return f, err
	}
	return r.merge(f, id.Prefix, func(l *ledger) (identifier.Finding, error) { return l.find(id) })
}

// FindHashed returns what the node holds about the identifier below a prefix whose
// suffix has this hash, and which one it is. Where there is none the identifier is
// the prefix, and the finding has no record.
func (r *Registry) FindHashed(ctx context.Context, p identifier.Prefix, hash identifier.Hash) (identifier.ID, identifier.Finding, error) {
	if err := r.serves(); err != nil {
		return identifier.ID{}, identifier.Finding{}, err
	}
	id, f, err := r.findHashed(p, hash)
	if err != nil {
		return id, f, err
	}
	f, err = r.merge(f, p, func(l *ledger) (identifier.Finding, error) {
		other, f, err := l.findHashed(p, hash)
		if f.Record != nil {
			id = other
		}
		return f, err
	})
	return id, f, err
}

func (l *ledger) find(id identifier.ID) (identifier.Finding, error) {
	f := l.finding(id.Prefix)
	if !f.InZone || f.Delegation != nil && l.elsewhere(f.Delegation) {
		return f, nil
	}
	err := l.state.View(func(v *state.Reader) error { return l.fill(&f, v, id) })
	return f, err
}

func (l *ledger) findHashed(p identifier.Prefix, hash identifier.Hash) (identifier.ID, identifier.Finding, error) {
	id := identifier.ID{Prefix: p}
	f := l.finding(p)
	if !f.InZone || f.Delegation != nil && l.elsewhere(f.Delegation) {
		return id, f, nil
	}
	err := l.state.View(func(v *state.Reader) error {
		key := hashedKey(p, hash)
		b := v.Get(state.Hashed, l.number, key)
		if b == nil {
			return nil
		}
		suffix, err := summed(key, b)
		if err != nil {
			return err
		}
		id.Suffix = string(suffix)
		return l.fill(&f, v, id)
	})
	return id, f, err
}

// finding returns who holds a prefix.
func (l *ledger) finding(p identifier.Prefix) identifier.Finding {
	// The position first: what is found is at least as new.
	f := identifier.Finding{Log: l.log, Position: l.counted()}
	h := l.holders.of(p)
	f.InZone, f.Apex = h.inZone, h.apex
	if h.inZone && h.grant.Node != nil {
		f.Grant = h.grant
	}
	if h.inZone && (h.delegation.Prefix != h.apex || l.elsewhere(h.delegation)) {
		f.Delegation = h.delegation
	}
	return f
}

// fill reads the record, and whether something is below when there may be.
func (l *ledger) fill(f *identifier.Finding, v *state.Reader, id identifier.ID) error {
	var buffer [256]byte
	key := identifier.AppendKey(buffer[:0], id)
	if b := v.Get(state.Records, l.number, key); b != nil {
		stored, err := identifier.CheckStored(key, b)
		if err != nil {
			return err
		}
		if !stored.Withdrawn() {
			if f.Record, err = stored.Record(id); err == nil {
				f.Record.Suspect = l.suspects(id.Prefix, stored.Position())
			}
			return err
		}
		f.Withdrawn = true
	}
	if id.IsPrefix() {
		f.Below = v.AnyWithPrefix(state.Records, l.number, key) || v.AnyWithPrefix(state.Delegations, l.number, key)
	}
	return nil
}

// readCurrent looks up in the store the current version of each row that standing
// does not know yet, and returns how many entries of the log the store held.
func (l *ledger) readCurrent(p *proposal, found []standing) (size uint64, err error) {
	rows := p.entry.Rows
	err = l.state.View(func(v *state.Reader) error {
		size = v.Position(l.number)
		for i := range rows {
			if found[i].known {
				continue
			}
			found[i].known = true
			key := p.rows.Key(i)
			b := v.Get(state.Records, l.number, key)
			if b == nil {
				continue
			}
			stored, err := identifier.CheckStored(key, b)
			if err != nil {
				return err
			}
			found[i].version, found[i].withdrawn = stored.Version(), stored.Withdrawn()
			found[i].hash, found[i].position = stored.RowHash(), stored.Position()
			found[i].same = stored.SameContent(&rows[i])
		}
		return nil
	})
	if err != nil {
		return 0, &Error{Kind: Unavailable, Detail: "what is stored cannot be trusted: run 'nameplate check'", Err: err}
	}
	return size, nil
}

// Holder returns the longest delegation that covers a prefix: whose keys sign there,
// in which epoch. Where there is none below it, that is the grant by which this node
// answers; nil outside of what it answers for.
func (r *Registry) Holder(p identifier.Prefix) *identifier.Delegation {
	return r.holders.of(p).delegation
}
