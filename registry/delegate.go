package registry

import (
	"context"

	"github.com/nameplate-id/nameplate/registry/identifier"
)

// Delegate logs a signed delegation or keyset change. A delegation gives a prefix
// to a holder, moves it or takes it back; who holds what lies above signs it. A
// keyset change replaces the keys of a delegated prefix; its present keys sign it,
// or who holds what lies above. A delegation that names another node hides what was
// delegated below it until the prefix comes back: it is that node's to delegate now. At return without an error it is synced and in
// force: changes by other keys are refused from then on. What is in force already
// is not logged again. The error is always an [*Error]. It may be called concurrently.
func (r *Registry) Delegate(ctx context.Context, e identifier.Envelope) (Receipt, error) {
	g, err := parseGrant(e)
	if err != nil {
		return Receipt{}, &Error{Kind: Malformed, Detail: "the delegation breaks a rule", Err: err}
	}
	kind := identifier.EntryDelegation
	if g.keysetOnly {
		kind = identifier.EntryKeyset
	}
	entry, err := encode(&identifier.Entry{Kind: kind, Time: r.now(), Envelope: e})
	if err != nil {
		return Receipt{}, err
	}
	return r.submit(ctx, len(entry.payload), func() (admission, error) { return r.sequencer.admitGrant(g, entry) })
}

// admitGrant judges a delegation or keyset change and queues it.
func (s *sequencer) admitGrant(g *grant, entry encoded) (admission, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.registry.writable(); err != nil {
		return admission{}, err
	}
	h, there, err := s.judgeGrant(g, s.next)
	if err != nil {
		return admission{}, err
	}
	d := h.delegation
	if there {
		return admission{position: h.position, synced: s.grantSyncs[d.Prefix], duplicate: true}, nil
	}
	q, err := s.queue(entry, func(uint64) (effect, error) { return effectOfDelegation(h, &g.envelope) }, nil)
	if err != nil {
		return admission{}, err
	}
	s.holders.put(h)
	s.grantSyncs[d.Prefix] = q.visible
	return admitted(q), nil
}
