package registry

import (
	"fmt"
	"sync"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/journal"
)

// publisher makes the node's own entries visible once they are synced: those of one sync
// together, for the state takes in many for little more than one.
type publisher struct {
	registry *Registry

	mu sync.Mutex
	// queued are entries that the journal has and that are not synced yet, in their order.
	queued []*queued
	// synced are entries that wait for others of the same sync. The journal's calls, which
	// come one after the other, have them to themselves.
	synced []*queued
}

// queued is an entry on its way through the journal.
type queued struct {
	encoded
	position uint64
	at, end  journal.Offset // once it is synced
	visible  chan struct{}  // closed when it is
	done     func(position uint64)

	effectAt func(position uint64) (effect, error)
	once     sync.Once
	effect   effect
	err      error
}

// prepare works out what the entry adds to the state. Whoever waits for the sync has the
// time for it; the journal's goroutine then finds it done.
func (q *queued) prepare() { q.once.Do(func() { q.effect, q.err = q.effectAt(q.position) }) }

// append hands an entry to the journal.
func (p *publisher) append(q *queued) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	// Before the journal has it: the sync may be faster than we are.
	p.queued = append(p.queued, q)
	frame := journal.Frame{Log: ownLog, Position: q.position, Kind: journal.KindEntry, Payload: q.payload}
	err := p.registry.journal.AppendTo(frame, p)
	if err != nil {
		p.queued[len(p.queued)-1] = nil
		p.queued = p.queued[:len(p.queued)-1]
	}
	return err
}

// next returns the entry that was queued first.
func (p *publisher) next() *queued {
	p.mu.Lock()
	defer p.mu.Unlock()
	q := p.queued[0]
	p.queued[0], p.queued = nil, p.queued[1:]
	return q
}

// Synced implements [journal.Receiver].
func (p *publisher) Synced(at, end journal.Offset, more bool) {
	p.registry.config.Hook(HookEntrySynced)
	q := p.next()
	q.at, q.end = at, end
	p.synced = append(p.synced, q)
	if more {
		return
	}
	defer func() {
		clear(p.synced)
		p.synced = p.synced[:0]
	}()
	for all := p.synced; len(all) > 0; {
		n := together(all)
		if err := p.publish(all[:n]); err != nil {
			// They are logged, so they must take effect: only a new start can see to that.
			p.registry.fail(err)
			return
		}
		all = all[n:]
	}
}

// together returns how many of the entries become visible at once: what brings something into
// force does so alone, between what was logged before and after it.
func together(entries []*queued) int {
	for i, q := range entries {
		q.prepare()
		if q.effect.inForce() {
			return max(i, 1)
		}
	}
	return len(entries)
}

// publish makes entries visible and tells those who wait for them.
func (p *publisher) publish(entries []*queued) error {
	r := p.registry
	all := make([]published, len(entries))
	for i, q := range entries {
		if q.err != nil {
			return fmt.Errorf("entry %d: %w", q.position, q.err)
		}
		all[i] = published{effect: q.effect, leaf: q.leaf, position: q.position, at: q.at, end: q.end}
	}
	var before *identifier.Delegation
	holds := entries[0].effect.holds
	if holds != nil {
		before = r.holders.at(holds.delegation.Prefix)
	}
	if err := r.ledger.publish(all...); err != nil {
		return fmt.Errorf("entry %d: %w", all[0].position, err)
	}
	if holds != nil {
		r.logs.granted(*holds, before, entries[0].Envelope)
	}
	for _, q := range entries {
		if q.done != nil {
			q.done(q.position)
		}
		r.config.Hook(HookEntryVisible)
		close(q.visible)
	}
	return nil
}
