package resolver

import (
	"github.com/nameplate-id/nameplate/registry/identifier"
)

// Lender is a [Store] that can lend what it holds as it is stored.
type Lender interface {
	// Lend calls f with a way to look up in one snapshot. find returns what
	// [Store.Find] would find about the identifier with this prefix, in text, and this
	// key ([identifier.AppendKey]), with the record, withdrawn or not, as it is stored:
	// checked, nil when there is none or it cannot be trusted, and valid until f
	// returns. find keeps neither slice and allocates nothing. f must be short and ask
	// the store for nothing else.
	Lend(f func(find func(prefix, key []byte) (d *identifier.Delegation, inZone bool, s identifier.Stored))) error
}

// View calls f with a way to find what questions about identifiers that have a suffix
// are answered with: the stored record where [Authority.Resolve] would answer Found
// from the authority's own store, provided all values may be read by all; the caller
// checks that. Anything else is nil. f is not called when the store lends nothing. The
// number that f returns is of no use here.
func (a *Authority) View(f func(find func(prefix, key []byte) identifier.Stored) int) error {
	lender, ok := a.store.(Lender)
	if !ok {
		return nil
	}
	return lender.Lend(func(look func(prefix, key []byte) (*identifier.Delegation, bool, identifier.Stored)) {
		f(func(prefix, key []byte) identifier.Stored {
			d, inZone, stored := look(prefix, key)
			switch {
			case !inZone || stored == nil || stored.Withdrawn():
				return nil
			case d != nil && !d.Revoked() && (d.Private || d.Node != nil && !a.is(d.Node.Key)):
				return nil
			}
			return stored
		})
	})
}
