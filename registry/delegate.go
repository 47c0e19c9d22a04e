package registry

import (
	"bytes"
	"context"
	"fmt"

	"github.com/nameplate-id/nameplate/registry/identifier"
)

// Delegate logs a signed delegation or keyset change. A delegation gives a prefix
// to a holder, moves it or takes it back; who holds what lies above signs it. A
// keyset change replaces the keys of a delegated prefix; its present keys sign it,
// or who holds what lies above. At return without an error it is synced and in
// force: changes by other keys are refused from then on. What is in force already
// is not logged again. The error is always an [*Error]. It may be called concurrently.
func (r *Registry) Delegate(ctx context.Context, e identifier.Envelope) (Receipt, error) {
	g, err := parseGrant(e)
	if err != nil {
		return Receipt{}, &Error{Kind: Malformed, Detail: "the delegation breaks a rule", Err: err}
	}
	return r.submit(ctx, len(g.entry.payload), func() (admission, error) { return r.sequencer.admitGrant(g) })
}

// grant is a signed statement about who holds a prefix.
type grant struct {
	entry encoded
	// delegation is what will be in force; for a keyset change only its prefix,
	// epoch and keyset are known before the sequencer fills in the rest.
	delegation identifier.Delegation
	keysetOnly bool
}

func parseGrant(e identifier.Envelope) (*grant, error) {
	if err := e.Check(); err != nil {
		return nil, err
	}
	if e.PayloadType == identifier.KeysetType {
		k, err := identifier.ParseKeysetChange(e.Payload)
		if err == nil {
			err = k.Check()
		}
		if err != nil {
			return nil, err
		}
		entry, err := encode(&identifier.Entry{Kind: identifier.EntryKeyset, Time: now(), Envelope: e})
		return &grant{
			entry:      entry,
			delegation: identifier.Delegation{Prefix: k.Prefix, Epoch: k.Epoch, Keyset: k.Keyset},
			keysetOnly: true,
		}, err
	}
	if e.PayloadType != identifier.DelegationType {
		return nil, &identifier.RuleError{What: "the envelope",
			Rule: fmt.Sprintf("a delegation has the payload type %s, a keyset change %s", identifier.DelegationType, identifier.KeysetType),
			Mend: "sign a delegation, or register this as a change"}
	}
	d, err := identifier.ParseDelegation(e.Payload)
	if err == nil {
		err = d.Check()
	}
	if err != nil {
		return nil, err
	}
	entry, err := encode(&identifier.Entry{Kind: identifier.EntryDelegation, Time: now(), Envelope: e})
	return &grant{entry: entry, delegation: *d}, err
}

// admitGrant judges a delegation or keyset change and queues it.
func (s *sequencer) admitGrant(g *grant) (admission, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.registry.writable(); err != nil {
		return admission{}, err
	}
	d := &g.delegation
	current := s.holders.at(d.Prefix)
	if g.keysetOnly {
		if current == nil || current.Revoked() {
			return admission{}, refuse(Denied, "prefix %q is not delegated here: there is no keyset to change", d.Prefix)
		}
		epoch, keyset := d.Epoch, d.Keyset
		*d = *current
		d.Epoch, d.Keyset = epoch, keyset
	}
	if current != nil && sameDelegation(current, d) {
		return admission{position: s.holders.heldAt(d.Prefix).position, synced: s.grantSyncs[d.Prefix], duplicate: true}, nil
	}
	if err := s.checkFollows(g, current); err != nil {
		return admission{}, err
	}
	if err := s.checkGrantor(g, current); err != nil {
		return admission{}, err
	}
	h := held{delegation: d, position: s.next, granted: s.next, apex: s.holders.heldAt(d.Prefix).apex}
	if g.keysetOnly {
		h.granted = s.holders.heldAt(d.Prefix).granted
	}
	synced, err := s.queue(g.entry, func(uint64) (effect, error) { return effectOfDelegation(h) }, nil)
	if err != nil {
		return admission{}, err
	}
	s.holders.put(h)
	s.grantSyncs[d.Prefix] = synced
	return admission{position: h.position, synced: synced}, nil
}

func sameDelegation(a, b *identifier.Delegation) bool {
	x, errA := identifier.AppendDelegation(nil, a)
	y, errB := identifier.AppendDelegation(nil, b)
	return errA == nil && errB == nil && bytes.Equal(x, y)
}
