package registry

import (
	"context"
	"fmt"
	"sync"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/journal"
)

// Source is a node's own log as it is sent to its parent. Its methods may be called
// concurrently; none of them holds up those who register.
type Source struct {
	r *Registry

	mu sync.Mutex
	// next is the position of the entry that is read next when the parent takes one
	// after another, and at where in the journal to look for it.
	next uint64
	at   journal.Offset
}

// Source returns the node's own log for its parent.
func (r *Registry) Source() *Source { return &Source{r: r} }

// LogID returns the id of the log.
func (s *Source) LogID() identifier.LogID { return s.r.log }

// Growth returns how many entries are synced, and a channel that is closed when there
// are more.
func (s *Source) Growth() (uint64, <-chan struct{}) {
	grew := s.r.growth()
	return s.r.published.Load(), grew
}

// Entries returns the payloads of entries as the journal has them, from a position on:
// at least one, at most so many, and more than the first only as far as they have so
// many octets together.
func (s *Source) Entries(from uint64, entries, octets int) ([][]byte, error) {
	s.r.config.Hook(HookSend)
	if from >= s.r.published.Load() {
		return nil, fmt.Errorf("entry %d is not synced yet", from)
	}
	s.mu.Lock()
	next, at := s.next, s.at
	s.mu.Unlock()
	if next != from || at == 0 {
		var err error
		if at, err = s.r.locate(from); err != nil {
			return nil, err
		}
	}
	var payloads [][]byte
	total := 0
	for from < s.r.published.Load() && len(payloads) < entries {
		frame, end, err := s.r.journal.Read(at)
		if err != nil {
			return nil, fmt.Errorf("entry %d: %w", from, err)
		}
		if frame.Kind == journal.KindEntry && frame.Log == ownLog && frame.Position == from {
			if total += len(frame.Payload); total > octets && len(payloads) > 0 {
				break
			}
			payloads = append(payloads, frame.Payload)
			from++
		}
		at = end
	}
	s.mu.Lock()
	s.next, s.at = from, at
	s.mu.Unlock()
	return payloads, nil
}

// Root returns the Merkle root of the first size entries.
func (s *Source) Root(size uint64) (identifier.Hash, error) {
	return s.r.rootOf(size)
}

// SignCheckpoint returns a checkpoint over the first size entries, and the root in it.
// A node that takes no changes signs them too, so that its parent can compare: what it
// has synced it has signed before, or it shows a fork.
func (s *Source) SignCheckpoint(size uint64) ([]byte, identifier.Hash, error) {
	root, err := s.Root(size)
	if err != nil {
		return nil, identifier.Hash{}, err
	}
	s.r.config.Hook(HookSendSigned)
	note, err := journal.SignCheckpoint(size, root, s.r.log, s.r.key)
	return note, root, err
}

// AcceptGrant takes in a delegation or keyset that the parent sent: what this node is to
// answer for, or not any more. It is logged, and in force and synced at return. One that
// is there already, or older than what is there, is no error. The parent is trusted to
// have judged it; whoever reads the log can see the signatures.
func (s *Source) AcceptGrant(ctx context.Context, e identifier.Envelope) error {
	s.r.config.Hook(HookGrant)
	g, err := parseGrant(e)
	if err != nil {
		return &Error{Kind: Malformed, Detail: "the grant breaks a rule", Err: err}
	}
	kind := identifier.EntryGrant
	if g.keysetOnly {
		kind = identifier.EntryKeyset
	}
	entry, err := encode(&identifier.Entry{Kind: kind, Time: s.r.now(), Envelope: e})
	if err != nil {
		return err
	}
	_, err = s.r.submit(ctx, len(entry.payload), func() (admission, error) { return s.r.sequencer.admitFromAbove(g, entry) })
	return err
}

// isThere reports whether a delegation is what a grant of the parent's says, or newer. One
// with the same keyset version that says something else is neither: the parent was restored
// to a time before it made that one, and what it says now counts.
func (g *grant) isThere(current *identifier.Delegation) bool {
	d := g.delegation
	if g.keysetOnly {
		if d.Epoch < current.Epoch {
			return true
		}
		d = *current
		d.Epoch, d.Keyset = g.delegation.Epoch, g.delegation.Keyset
	}
	return d.Keyset.Version < current.Keyset.Version || sameDelegation(current, &d)
}

// admitFromAbove queues a grant of the parent's.
func (s *sequencer) admitFromAbove(g *grant, entry encoded) (admission, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.registry.writable(); err != nil {
		return admission{}, err
	}
	before := s.holders.heldAt(g.delegation.Prefix)
	d := g.delegation
	current := before.delegation
	if current != nil && (before.apex || !g.keysetOnly) && g.isThere(current) {
		return admission{position: before.position, synced: s.grantSyncs[d.Prefix], duplicate: true}, nil
	}
	switch {
	case g.keysetOnly && (current == nil || !before.apex || current.Epoch != d.Epoch):
		return admission{}, refuse(Denied, "the keyset of prefix %q in epoch %d came without its grant", d.Prefix, d.Epoch)
	case g.keysetOnly:
		keyset := d.Keyset
		d = *current
		d.Keyset = keyset
	case current == nil && (d.Node == nil || d.Node.Key != s.node):
		return admission{}, refuse(Denied, "the grant of prefix %q names another node", d.Prefix)
	}
	h := held{delegation: &d, position: s.next, granted: s.next, apex: true}
	if g.keysetOnly {
		h.granted = before.granted
	}
	q, err := s.queue(entry, func(uint64) (effect, error) { return effectOfDelegation(h, &g.envelope) }, nil)
	if err != nil {
		return admission{}, err
	}
	s.holders.put(h)
	s.grantSyncs[d.Prefix] = q.visible
	return admitted(q), nil
}

// Signer returns the node's private key, for its connections with parent and children.
func (r *Registry) Signer() identifier.PrivateKey { return r.key }
