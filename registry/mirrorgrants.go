package registry

import (
	"bytes"
	"cmp"
	"slices"
	"sync"

	"github.com/nameplate-id/nameplate/registry/identifier"
)

// grantList is what a child is to be told, in order. It only grows.
type grantList struct {
	mu   sync.Mutex
	list []identifier.Envelope
	more chan struct{}
}

func (g *grantList) add(e identifier.Envelope) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.list = append(g.list, e)
	if g.more != nil {
		close(g.more)
		g.more = nil
	}
}

// takeOver makes a list that of another one. Whoever waits for more asks again.
func (g *grantList) takeOver(from *grantList) {
	from.mu.Lock()
	defer from.mu.Unlock()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.list = from.list
	if from.more != nil {
		close(from.more)
		from.more = nil
	}
}

func (g *grantList) since(from uint64) ([]identifier.Envelope, <-chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.more == nil {
		g.more = make(chan struct{})
	}
	return slices.Clone(g.list[min(from, uint64(len(g.list))):]), g.more
}

// granted tells the children of a delegation or keyset that has come into force: the one
// that answers now, and the one that did before.
func (l *logs) granted(h held, before *identifier.Delegation, e identifier.Envelope) {
	if h.apex {
		return
	}
	told := map[*mirror]bool{}
	for _, d := range []*identifier.Delegation{h.delegation, before} {
		if d == nil || d.Node == nil {
			continue
		}
		for _, m := range l.mirrors() {
			if m.node == d.Node.Key && !told[m] {
				told[m] = true
				m.grants.add(e)
			}
		}
	}
}

// gather puts together what a child is to be told when its mirror is new here: the
// prefixes that it has by this node's log, and those that it thinks it has.
func (m *mirror) gather() error {
	var given []identifier.Prefix // where its log does not say what it thinks it has
	if m.witness() {
		var err error
		if given, err = m.grantor().gaveTo(m.node); err != nil {
			return err
		}
	}
	list := slices.DeleteFunc(m.grantor().holders.list(), func(h held) bool {
		named := h.delegation.Node != nil && h.delegation.Node.Key == m.node
		return h.apex || !named && !m.holders.heldAt(h.delegation.Prefix).apex && !slices.Contains(given, h.delegation.Prefix)
	})
	slices.SortFunc(list, func(a, b held) int { return cmp.Compare(a.position, b.position) })
	for _, h := range list {
		given, err := m.grantor().given(h.delegation.Prefix, identifier.EntryDelegation)
		if err != nil {
			return err
		}
		if given == nil {
			continue // delegated by a release that did not keep it
		}
		m.grants.add(*given)
		keys, err := m.grantor().given(h.delegation.Prefix, identifier.EntryKeyset)
		if err != nil {
			return err
		}
		if keys != nil && h.position != h.granted && !bytes.Equal(keys.Payload, given.Payload) {
			m.grants.add(*keys)
		}
	}
	return nil
}

// gatherAgain does so when more is known than before, and nobody was told of anything yet.
func (m *mirror) gatherAgain() error {
	m.grants.mu.Lock()
	m.grants.list = nil
	m.grants.mu.Unlock()
	return m.gather()
}
