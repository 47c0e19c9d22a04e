package resolver

import (
	"github.com/nameplate-id/nameplate/registry/identifier"
)

// Lender is a [Store] that can lend what it holds as it is stored.
type Lender interface {
	// Lend fills in loans, all from one snapshot, with what [Store.Find] would find
	// about their identifiers, and calls f while the records can be read. f must be short
	// and ask the store for nothing else.
	Lend(loans []identifier.Loan, f func()) error
}

// Lend fills in what questions about identifiers that have a suffix are answered with,
// and calls f while it can be read: the stored record where [Authority.Resolve] would
// answer Found from the authority's own store, provided all values may be read by all,
// which the caller checks; Absent where it would answer that. Any other loan has neither. f is not called when the store lends
// nothing. The numbers that f returns are of no use here.
func (a *Authority) Lend(loans []identifier.Loan, f func() (found, absent int)) error {
	lender, ok := a.store.(Lender)
	if !ok {
		return nil
	}
	return lender.Lend(loans, func() {
		for i := range loans {
			l := &loans[i]
			d := l.Delegation
			if !l.InZone || d != nil && !d.Revoked() && (d.Private || d.Node != nil && !a.is(d.Node.Key)) {
				l.Stored, l.Absent = nil, false
			}
		}
		f()
	})
}
