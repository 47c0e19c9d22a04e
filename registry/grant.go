package registry

import (
	"bytes"
	"fmt"

	"github.com/nameplate-id/nameplate/registry/identifier"
)

// grant is a signed statement about who holds a prefix: a delegation or a keyset change.
type grant struct {
	envelope identifier.Envelope
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
		return &grant{
			envelope:   e,
			delegation: identifier.Delegation{Prefix: k.Prefix, Epoch: k.Epoch, Keyset: k.Keyset},
			keysetOnly: true,
		}, nil
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
	return &grant{envelope: e, delegation: *d}, nil
}

// judgeGrant judges a delegation or keyset change against everything before it. It
// returns what comes into force when it is logged at a position; or, when that is in
// force already, what is, and there.
func (j *judge) judgeGrant(g *grant, position uint64) (h held, there bool, err error) {
	d := g.delegation
	before := j.holders.heldAt(d.Prefix)
	current := before.delegation
	if g.keysetOnly {
		if current == nil || current.Revoked() {
			return held{}, false, refuse(Denied, "prefix %q is not delegated here: there is no keyset to change", d.Prefix)
		}
		d = *current
		d.Epoch, d.Keyset = g.delegation.Epoch, g.delegation.Keyset
	}
	if current != nil && sameDelegation(current, &d) {
		return before, true, nil
	}
	if err := j.checkFollows(g, current); err != nil {
		return held{}, false, err
	}
	if err := j.checkGrantor(g, current); err != nil {
		return held{}, false, err
	}
	h = held{delegation: &d, position: position, granted: position, apex: before.apex}
	if g.keysetOnly {
		h.granted = before.granted
	}
	return h, false, nil
}

// checkFollows checks that epoch and keyset version count on from the current ones.
func (j *judge) checkFollows(g *grant, current *identifier.Delegation) error {
	d := &g.delegation
	var epoch, version uint64
	if current != nil {
		epoch, version = current.Epoch, current.Keyset.Version
	}
	wantEpoch := epoch + 1
	if g.keysetOnly {
		wantEpoch = epoch
	}
	if d.Epoch == wantEpoch && d.Keyset.Version == version+1 {
		return nil
	}
	return refuse(Conflict, "prefix %q is in epoch %d with keyset version %d: sign for epoch %d and keyset version %d, not %d and %d",
		d.Prefix, epoch, version, wantEpoch, version+1, d.Epoch, d.Keyset.Version)
}

// checkGrantor checks that those have signed who may.
func (j *judge) checkGrantor(g *grant, current *identifier.Delegation) error {
	d, e := &g.delegation, g.envelope
	if g.keysetOnly && e.SignedBy(current.Keyset.Keys) >= current.Keyset.Threshold {
		return nil
	}
	above := j.holders.above(d.Prefix)
	switch {
	case !above.inZone:
		return refuse(Denied, "this node has no authority above prefix %q: ask the node that delegated what you hold", d.Prefix)
	case j.elsewhere(above.delegation):
		return refuse(Denied, "prefix %q is answered by node %q: delegate %q there", above.delegation.Prefix, above.delegation.Node.Name, d.Prefix)
	}
	keys := above.delegation.Keyset
	if n := e.SignedBy(keys.Keys); n < keys.Threshold {
		return refuse(Unauthenticated, "%d good signatures by keys of %s, which lies above %q, and the threshold is %d: sign with its holder's key",
			n, spoken(above.delegation.Prefix), d.Prefix, keys.Threshold)
	}
	return nil
}

// spoken is a prefix as an error names it.
func spoken(p identifier.Prefix) string {
	if p == "" {
		return "the root"
	}
	return fmt.Sprintf("prefix %q", p)
}

func sameDelegation(a, b *identifier.Delegation) bool {
	x, errA := identifier.AppendDelegation(nil, a)
	y, errB := identifier.AppendDelegation(nil, b)
	return errA == nil && errB == nil && bytes.Equal(x, y)
}
