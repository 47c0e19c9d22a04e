package registry

import (
	"context"
	"fmt"
	"slices"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/replica"
)

// What is kept of a log can be changed: by a delegation with another policy. The log is then
// taken in once more, from its beginning, under another number, and what was kept before
// goes on counting, and answering, until the other one has as many entries as that had. So
// neither of them is ever a mixture, and each is judged as if it had been kept so always.
// Meanwhile nothing that is new in the log is anchored. A witness begins with the checkpoint
// up to which the log was kept before, and counts at once.

// policyFor returns what is to be kept of the log of a node, by the delegations that name
// it: the most that one of them says. named is false when none does.
func policyFor(node identifier.PublicKey, list []held) (p identifier.Policy, named bool) {
	least := identifier.PolicyWitness + 1
	for _, h := range list {
		if d := h.delegation; !h.apex && !d.Revoked() && d.Node != nil && d.Node.Key == node {
			least = min(least, d.Policy)
		}
	}
	if least > identifier.PolicyWitness {
		return identifier.PolicyMirror, false
	}
	return least, true
}

// wanted returns what is to be kept of a log that is mirrored here: what is kept of it, while
// no delegation names its node.
func (m *mirror) wanted() identifier.Policy {
	if m.role == rolePeer {
		return m.policy
	}
	if p, named := policyFor(m.node, m.grantor().holders.list()); named {
		return p
	}
	return m.policy
}

// standing returns the mirror of the log that counts: another one while this one has yet to
// take its place.
func (m *mirror) standing() *mirror {
	if m.pending() {
		if before := m.logs.numbered(m.instead); before != nil {
			return before
		}
	}
	return m
}

// keep returns where a log is kept as it is to be. A child that lacks entries gets them back
// first, from what has them.
func (r *Registry) keep(ctx context.Context, m *mirror, size uint64) (*mirror, error) {
	p := m.wanted()
	if p == m.policy || !r.logs.counts(m) || size < m.published.Load() || m.certain.Load() != nil {
		return m, nil
	}
	if x := r.logs.begun(m, p); x != nil {
		return r.lead(ctx, m, x)
	}
	r.config.Log.Info("a log is to be kept in another way: until that has as much, it is kept as before",
		"log", m.log, "child", m.node, "policy", p, "before", m.policy, "entries", m.published.Load())
	n := numbering{log: m.log, node: m.node, role: m.role, via: m.via, policy: p, instead: m.number, entries: m.published.Load()}
	if _, err := r.giveNumber(ctx, n, func() bool { return r.logs.begun(m, p) != nil }); err != nil {
		return nil, err
	}
	if x := r.logs.begun(m, p); x != nil {
		return r.lead(ctx, m, x)
	}
	return r.logs.withID(m.node, m.log), nil // there was nothing to wait for
}

// lead leads a witness to the checkpoint up to which the log was kept before, so that it
// counts at once: the child may have nothing more to say. It returns where the log is kept.
func (r *Registry) lead(ctx context.Context, before, x *mirror) (*mirror, error) {
	r.logs.numbering.Lock()
	defer r.logs.numbering.Unlock()
	x.queueMu.Lock()
	begun := x.queued > 0 || x.published.Load() > 0
	x.queueMu.Unlock()
	c := before.checkpoint.Load()
	if !x.witness() || begun || c == nil {
		return x, nil
	}
	from := &Mirror{r: r, m: before}
	first, err := from.Unit(0)
	if err != nil {
		return nil, err
	}
	u := &replica.Unit{Size: c.Size, Payloads: first.Payloads[:1], Checkpoint: c.Note, Root: c.Root}
	if c.Size > 1 {
		if u.Proof, err = from.Prove(1, c.Size); err != nil {
			return nil, err
		}
	}
	synced := make(chan struct{})
	if err := r.appendUnit(ctx, x, u, func() { close(synced) }); err != nil {
		return nil, err
	}
	return x, r.awaitSync(ctx, synced)
}

// begun returns the mirror that is to take the place of another one, with a policy; nil for
// none.
func (l *logs) begun(before *mirror, p identifier.Policy) *mirror {
	l.mu.RLock()
	defer l.mu.RUnlock()
	i := slices.IndexFunc(l.beside, func(m *mirror) bool {
		return m.instead == before.number && m.policy == p && !m.replaced.Load()
	})
	if i < 0 {
		return nil
	}
	return l.beside[i]
}

// outdated returns why the child has to say Hello again, so that its log is kept in another
// way; "" when it need not.
func (m *Mirror) outdated() string {
	if p := m.m.wanted(); p != m.m.policy && m.r.logs.counts(m.m.standing()) && !m.m.lacking.Load() {
		return fmt.Sprintf("the log is to be kept as %v from now on, and not as %v: connect again", p, m.m.policy)
	}
	return ""
}

// Policy returns what is kept of the log.
func (m *Mirror) Policy() identifier.Policy { return m.m.policy }

// Held returns how many entries are kept by another policy, which counts until this one has
// as many; 0 for none.
func (m *Mirror) Held() uint64 {
	if before := m.m.standing(); before != m.m {
		return before.published.Load()
	}
	return 0
}

// rowBefore returns up to where the log is kept by another policy, which this one must not
// contradict; a row of no entries for none.
func (m *mirror) rowBefore() (row replica.Row) {
	before := m.standing()
	if c := before.checkpoint.Load(); before != m && c != nil {
		row = replica.Row{Size: c.Size, Root: c.Root, Checkpoint: c.Note}
	}
	return row
}
