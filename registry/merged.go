package registry

import (
	"bytes"

	"github.com/nameplate-id/nameplate/registry/identifier"
)

// The top-level nodes answer for the root together. What they delegate is what their five
// logs say, merged: a pure function of the logs, the same at every node that has the same
// entries of them, whatever came first. Of the delegations of one prefix the one with the
// highest epoch counts, then that with the highest keyset version, and of two that are
// still equal the one whose encoding comes first; a revoked one that counts takes the
// prefix back in all logs. The longest prefix whose delegation counts and is not revoked
// covers an identifier. Whoever's log has it says where the answer is: the node that it
// names, or the top-level node itself, whose log is mirrored here. What nobody holds is
// looked up in all logs.

// merge makes an answer of all top-level nodes of what this node found by itself. find
// looks the same up in another log.
func (r *Registry) merge(own identifier.Finding, p identifier.Prefix, find func(*ledger) (identifier.Finding, error)) (identifier.Finding, error) {
	peers := r.logs.peers()
	if len(peers) == 0 || own.Grant != nil && own.Apex != "" {
		return own, nil
	}
	holder, d := r.mergedAt(p, peers)
	switch {
	case d != nil && holder == nil: // this node's own log has it
		return own, nil
	case d != nil && d.Node != nil && d.Node.Key != r.node:
		f := identifier.Finding{Log: holder.log, Position: holder.counted(), InZone: true, Delegation: d}
		return f, nil
	case d != nil:
		return find(holder)
	}
	// Nobody has delegated it on.
	for _, m := range peers {
		if own.Record != nil {
			break
		}
		f, err := find(m.ledger)
		if err != nil {
			return own, err
		}
		if f.InZone && f.Record != nil {
			return f, nil
		}
		own.Below = own.Below || f.Below
	}
	return own, nil
}

// mergedAt returns the delegation that covers a prefix in the merged state, and whose log
// has it: nil for this node's own. There is none where only the root covers it.
func (r *Registry) mergedAt(p identifier.Prefix, peers []*mirror) (*ledger, *identifier.Delegation) {
	for q, ok := p, true; ok && q != ""; q, ok = q.Parent() {
		var holder *ledger
		var best *identifier.Delegation
		if h := r.holders.heldAt(q); h.delegation != nil && !h.apex {
			best = h.delegation
		}
		for _, m := range peers {
			if h := m.ledger.holders.heldAt(q); h.delegation != nil && !h.apex && counts(h.delegation, best) {
				holder, best = m.ledger, h.delegation
			}
		}
		if best != nil && !best.Revoked() {
			return holder, best
		}
	}
	return nil, nil
}

// counts reports whether of two delegations of one prefix the first one counts. It is a
// strict order, so it does not matter in which order logs are looked at.
func counts(d, than *identifier.Delegation) bool {
	switch {
	case than == nil:
		return true
	case d.Epoch != than.Epoch:
		return d.Epoch > than.Epoch
	case d.Keyset.Version != than.Keyset.Version:
		return d.Keyset.Version > than.Keyset.Version
	}
	x, errX := identifier.AppendDelegation(nil, d)
	y, errY := identifier.AppendDelegation(nil, than)
	return errX == nil && errY == nil && bytes.Compare(x, y) < 0
}
