package registry

import (
	"bytes"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/state"
)

// lending is what Lend needs for a call.
type lending struct {
	wanted []state.Wanted
	of     []int  // which loan each is for
	shared []bool // whether the log of another top-level node may have it as well
	keys   []byte // of what is asked for by hash
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
		if cap(l.keys) > maxLentKeys {
			l.keys = nil
		}
		r.lendings.Put(l)
	}()
	peers := r.logs.peers()
	position := r.counted() // first: what is found is at least as new
	return r.state.View(func(v *state.Reader) error {
		l.wanted, l.of, l.shared, l.keys = l.wanted[:0], l.of[:0], l.shared[:0], l.keys[:0]
		shared, elsewhere := false, false // of the prefix of the loan
		bare := prefixes{reader: v, log: r.number}
		for i := range loans {
			loan := &loans[i]
			if i > 0 && bytes.Equal(loan.Prefix, loans[i-1].Prefix) {
				r.hold(loan, loans[i-1].Delegation, loans[i-1].Grant, loans[i-1].Apex, loans[i-1].InZone)
			} else {
				r.cover(loan)
				shared, elsewhere = r.merges(loan, peers)
			}
			loan.Log, loan.Position = r.log, position
			if elsewhere || !loan.InZone || loan.Delegation != nil && r.elsewhere(loan.Delegation) {
				continue
			}
			if loan.Hash != nil {
				known, err := l.unhash(v, loan, r.number)
				loan.Absent = !known && err == nil && !shared && bare.without(loan)
				if !known {
					continue
				}
			}
			l.wanted = append(l.wanted, state.Wanted{Log: r.number, Key: loan.Key})
			l.of = append(l.of, i)
			l.shared = append(l.shared, shared)
		}
		v.LiveAll(l.wanted)
		for i := range l.wanted {
			w, loan := &l.wanted[i], &loans[l.of[i]]
			if w.Value == nil {
				loan.Absent = !l.shared[i] && bare.without(loan)
				continue
			}
			// Of one that is damaged or suspect Find says so.
			if stored, err := identifier.CheckStored(w.Key, w.Value); err == nil && !r.suspects(identifier.Prefix(loan.Prefix), stored.Position()) {
				loan.Stored = stored
			}
		}
		f()
		return nil
	})
}

// maxLentKeys is how much room for the keys of identifiers that are asked for by hash is
// kept for the next call.
const maxLentKeys = 64 << 10

// unhash makes the key of a loan that of the identifier whose suffix has the hash, and
// reports whether the hash is known. An error says that this cannot be trusted.
func (l *lending) unhash(v *state.Reader, loan *identifier.Loan, log uint32) (known bool, err error) {
	at := len(l.keys)
	l.keys = append(append(l.keys, loan.Key...), loan.Hash...)
	key := l.keys[at:]
	b := v.Get(state.Hashed, log, key)
	if b == nil {
		return false, nil
	}
	suffix, err := summed(key, b)
	if err != nil {
		return false, err
	}
	l.keys = identifier.AppendSuffixKey(l.keys[:at+len(loan.Key)], suffix)
	loan.Key = l.keys[at:len(l.keys):len(l.keys)]
	return true, nil
}

// merges tells what [Registry.merge] makes of a loan at a top-level node: whether the logs
// of the others count as well where there is no record, and whether one of them counts
// instead of this node's own.
func (r *Registry) merges(loan *identifier.Loan, peers []*mirror) (shared, elsewhere bool) {
	if len(peers) == 0 || loan.Grant != nil && loan.Apex != "" {
		return false, false
	}
	holder, d := r.mergedAt(identifier.Prefix(loan.Prefix), peers)
	return d == nil, holder != nil
}

// prefixes tells whether there are records of the prefixes of loans. Loans that follow
// one another mostly have the same.
type prefixes struct {
	reader *state.Reader
	log    uint32
	last   []byte
	none   bool
}

// without reports whether a prefix and those above it have no record.
func (p *prefixes) without(l *identifier.Loan) bool {
	if p.last != nil && bytes.Equal(p.last, l.Prefix) {
		return p.none
	}
	p.last, p.none = l.Prefix, true
	// The key of a prefix ends in an octet of zero, those of all above it end in one
	// before; no suffix has one.
	for end := bytes.LastIndexByte(l.Key, 0); end >= 0 && p.none; end = bytes.LastIndexByte(l.Key[:end], 0) {
		p.none = p.reader.Live(state.Records, p.log, l.Key[:end+1]) == nil
	}
	return p.none
}

// cover sets who holds the prefix of a loan, as [ledger.finding] does.
func (l *ledger) cover(loan *identifier.Loan) {
	d, grant, inZone := l.holders.covering(loan.Prefix)
	if !inZone {
		l.hold(loan, nil, nil, "", false)
		return
	}
	apex := grant.Prefix
	if d == grant && !l.elsewhere(d) {
		d = nil
	}
	if grant.Node == nil {
		grant = nil
	}
	l.hold(loan, d, grant, apex, true)
}

func (l *ledger) hold(loan *identifier.Loan, d, grant *identifier.Delegation, apex identifier.Prefix, inZone bool) {
	loan.InZone, loan.Apex, loan.Grant, loan.Delegation = inZone, apex, grant, d
	loan.Stored, loan.Absent = nil, false
}

// covering is [holders.of] for a prefix in octets, without allocating: the longest
// delegation, and the grant of the apex.
func (h *holders) covering(p []byte) (d, grant *identifier.Delegation, inZone bool) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	for {
		x := h.byPrefix[identifier.Prefix(p)]
		if x.delegation != nil && !x.delegation.Revoked() {
			if d == nil || h.hides(x.delegation) {
				d = x.delegation
			}
			if x.apex {
				return d, x.delegation, true
			}
		}
		if len(p) == 0 {
			return nil, nil, false
		}
		p = p[:max(0, bytes.LastIndexByte(p, '.'))]
	}
}
