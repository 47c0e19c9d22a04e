package intake

import (
	"context"
	"fmt"
	"sync"

	"github.com/nameplate-id/nameplate/registry/identifier"
)

// holders remembers who holds which prefix, as the node said. It may be used
// concurrently.
type holders struct {
	node Node
	mu   sync.Mutex
	// known are delegations by their own prefix, asked by the prefix that was asked for.
	known, asked map[identifier.Prefix]*identifier.Delegation
}

// maxAsked bounds what is remembered of a file with very many prefixes.
const maxAsked = 100_000

func newHolders(node Node) *holders {
	return &holders{
		node:  node,
		known: map[identifier.Prefix]*identifier.Delegation{},
		asked: map[identifier.Prefix]*identifier.Delegation{},
	}
}

// remembered returns who holds a prefix, as far as that is known. Unless exact, the
// longest known delegation that covers it will do: a file has many prefixes below few
// delegations, and the node says so where a longer one exists.
func (h *holders) remembered(p identifier.Prefix, exact bool) (*identifier.Delegation, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if d, ok := h.asked[p]; ok || exact {
		return d, ok
	}
	for q, ok := p, true; ok; q, ok = q.Parent() {
		if d := h.known[q]; d != nil {
			return d, true
		}
	}
	return nil, false
}

// ask asks the node who holds a prefix; nil when nobody does.
func (h *holders) ask(ctx context.Context, p identifier.Prefix) (*identifier.Delegation, error) {
	d, err := h.node.Holder(ctx, p)
	if err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if d != nil {
		if known := h.known[d.Prefix]; known != nil && same(known, d) {
			d = known // so that its batches go together
		}
		h.known[d.Prefix] = d
	}
	if len(h.asked) >= maxAsked {
		clear(h.asked)
	}
	h.asked[p] = d
	return d, nil
}

// forget drops a delegation that the node no longer goes by.
func (h *holders) forget(d *identifier.Delegation) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, m := range []map[identifier.Prefix]*identifier.Delegation{h.known, h.asked} {
		for p, remembered := range m {
			if remembered == d {
				delete(m, p)
			}
		}
	}
}

// same reports whether two delegations are signed for alike.
func same(a, b *identifier.Delegation) bool {
	return a.Prefix == b.Prefix && a.Epoch == b.Epoch && a.Keyset.Version == b.Keyset.Version
}

// holder returns who holds a prefix; nil when nobody does. It waits for a node that
// has been heard and went away.
func (i *Intake) holder(ctx context.Context, p identifier.Prefix, exact bool) (*identifier.Delegation, error) {
	if d, ok := i.holders.remembered(p, exact); ok {
		return d, nil
	}
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		d, err := i.holders.ask(ctx, p)
		if err == nil {
			i.hear()
			return d, nil
		}
		if i.lastHeard().IsZero() || i.silence() > i.options.Patience {
			return nil, fmt.Errorf("ask who holds prefix %q: %w", p, err)
		}
		if err := sleep(ctx, pause); err != nil {
			return nil, err
		}
	}
}

// forgetAsked drops what was said about the prefixes of some rows, so that it is
// asked again.
func (h *holders) forgetAsked(rows []*row) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, r := range rows {
		delete(h.asked, r.registration.ID.Prefix)
	}
}
