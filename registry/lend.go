package registry

import (
	"bytes"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/state"
)

// Lend calls f with a way to look up in one snapshot of the state: what Find would
// find about the identifier with this prefix, in text, and this key
// ([identifier.AppendKey]), with the record as it is stored. That is nil when there
// is none or its checksum is wrong, and valid until f returns. Looking up keeps
// neither slice and allocates nothing. f must be short, for the state's file may grow
// meanwhile, and ask the registry for nothing else, which may wait for f.
func (r *Registry) Lend(f func(find func(prefix, key []byte) (d *identifier.Delegation, inZone bool, s identifier.Stored))) error {
	if err := r.serves(); err != nil {
		return err
	}
	return r.state.View(func(v *state.Reader) error {
		f(func(prefix, key []byte) (*identifier.Delegation, bool, identifier.Stored) {
			d, inZone := r.covering(prefix)
			if !inZone || d != nil && r.elsewhere(d) {
				return d, inZone, nil
			}
			b := v.Live(state.Records, r.number, key)
			if b == nil {
				return d, inZone, nil
			}
			stored, err := identifier.CheckStored(key, b)
			if err != nil {
				return d, inZone, nil // Find says what is wrong
			}
			return d, inZone, stored
		})
		return nil
	})
}

// covering is [ledger.finding] for a prefix in octets: the delegation that covers it
// and whether it is in a zone.
func (l *ledger) covering(p []byte) (*identifier.Delegation, bool) {
	d, apex, inZone := l.holders.covering(p)
	if d != nil && apex && !l.elsewhere(d) {
		d = nil
	}
	return d, inZone
}

// covering is [holders.of] for a prefix in octets, without allocating. apex says that
// the longest delegation is the grant itself.
func (h *holders) covering(p []byte) (d *identifier.Delegation, apex, inZone bool) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	for {
		x := h.byPrefix[identifier.Prefix(p)]
		if x.delegation != nil && !x.delegation.Revoked() {
			first := d == nil
			if first {
				d = x.delegation
			}
			if x.apex {
				return d, first, true
			}
		}
		if len(p) == 0 {
			return nil, false, false
		}
		p = p[:max(0, bytes.LastIndexByte(p, '.'))]
	}
}
