package registry

import (
	"bytes"
	"context"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/state"
)

// Export calls yield for every live record at or below a prefix that this node
// holds, in the order of keys, beginning behind the identifier after (the zero ID for
// the beginning). It gives at least what was acknowledged before the call; a record
// that changes meanwhile is given as it was or as it is. yield's error ends it and is
// returned; every other error is an [*Error].
func (r *Registry) Export(ctx context.Context, below identifier.Prefix, after identifier.ID, yield func(*identifier.Record) error) error {
	unavailable := func(err error) error {
		return &Error{Kind: Unavailable, Detail: "the state cannot be read: run 'nameplate check'", Err: err}
	}
	if err := r.WaitApplied(ctx); err != nil {
		return unavailable(err)
	}
	prefix := identifier.AppendPrefixKey(nil, below)
	from := prefix
	if after != (identifier.ID{}) {
		// Whatever after is, nothing before the prefix is below it.
		if behind := append(identifier.AppendKey(nil, after), 0); bytes.Compare(behind, prefix) > 0 {
			from = behind
		}
	}
	for row, err := range r.state.Ascend(ctx, state.Records, ownLog, from) {
		if err != nil {
			return unavailable(err)
		}
		if !bytes.HasPrefix(row.Key, prefix) {
			return nil
		}
		if row.Withdrawn {
			continue
		}
		record, position, err := recordOf(row)
		if err != nil {
			return unavailable(err)
		}
		if h := r.holders.of(record.ID.Prefix); !h.inZone || r.elsewhere(h.delegation) {
			continue // another node answers for it now
		}
		record.Suspect = r.suspects(record.ID.Prefix, position)
		if err := yield(record); err != nil {
			return err
		}
	}
	return nil
}

// recordOf returns a stored record, and the position of the entry that made it.
func recordOf(row state.Row) (*identifier.Record, uint64, error) {
	id, err := identifier.ParseKey(row.Key)
	if err != nil {
		return nil, 0, err
	}
	stored, err := identifier.CheckStored(row.Key, row.Value)
	if err != nil {
		return nil, 0, err
	}
	record, err := stored.Record(id)
	return record, stored.Position(), err
}
