package registry

import (
	"bytes"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/state"
)

// lending is what Lend needs for a call.
type lending struct {
	wanted []state.Wanted
	of     []int // which loan each is for
}

// Lend looks up in one snapshot of the state what Find would find about identifiers,
// with the records as they are stored, and calls f while they can be read. It keeps
// nothing of the loans and allocates nothing for each. f must be short, for the state's
// file may grow meanwhile, and ask the registry for nothing else, which may wait for f.
func (r *Registry) Lend(loans []identifier.Loan, f func()) error {
	if err := r.serves(); err != nil {
		return err
	}
	l, _ := r.lendings.Get().(*lending)
	if l == nil {
		l = new(lending)
	}
	defer func() {
		clear(l.wanted)
		r.lendings.Put(l)
	}()
	return r.state.View(func(v *state.Reader) error {
		l.wanted, l.of = l.wanted[:0], l.of[:0]
		for i := range loans {
			loan := &loans[i]
			loan.Stored = nil
			if i > 0 && bytes.Equal(loan.Prefix, loans[i-1].Prefix) {
				loan.Delegation, loan.InZone = loans[i-1].Delegation, loans[i-1].InZone
			} else {
				loan.Delegation, loan.InZone = r.covering(loan.Prefix)
			}
			if !loan.InZone || loan.Delegation != nil && r.elsewhere(loan.Delegation) {
				continue
			}
			l.wanted = append(l.wanted, state.Wanted{Log: r.number, Key: loan.Key})
			l.of = append(l.of, i)
		}
		v.LiveAll(l.wanted)
		for i := range l.wanted {
			w := &l.wanted[i]
			if w.Value == nil {
				continue
			}
			// Of one that is damaged Find says what is wrong.
			if stored, err := identifier.CheckStored(w.Key, w.Value); err == nil {
				loans[l.of[i]].Stored = stored
			}
		}
		f()
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
			if d == nil || h.hides(x.delegation) {
				d, apex = x.delegation, x.apex
			}
			if x.apex {
				return d, apex, true
			}
		}
		if len(p) == 0 {
			return nil, false, false
		}
		p = p[:max(0, bytes.LastIndexByte(p, '.'))]
	}
}
