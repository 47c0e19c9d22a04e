package registry

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/replica"
	"github.com/nameplate-id/nameplate/registry/state"
)

// What a child's log says is judged by the grants in it. A node that does not want a key
// to be revoked would leave out the grant that says so, and the key would go on signing
// for it. So its parent logs a fence: from a position of the child's log on, that grant
// is in force as if the child had logged it there.
//
// A fence stands in the parent's own log, before anything of the child's that it is about.
// So what an entry is worth is a function of positions in the two logs: it is the same at
// the parent, at the other top-level nodes, and whenever a journal is read again.
//
// An honest child logs a grant as soon as it hears of it. What it has logged before it
// heard counts, however late that gets here. So a child has some time from when it was
// first told; whoever has not shown the grant in its log by then has to say Hello again,
// and the fence is where its log ends then. An honest child has the grant before that
// place. The Hello binds the other: what it sends of before that place has to prove that
// it was there ([replica.Fence]). Who cannot prove it, because what was there is lost, gets
// another fence where the mirror ends.

// defaultGrace is how long a child has, from when it was told of a grant.
const defaultGrace = 15 * time.Second

// fence is a fence with its place in the log.
type fence struct {
	identifier.Fence
	position uint64
}

// fences are those in one log, by the logs that they are about. They may be used
// concurrently.
type fences struct {
	any atomic.Bool // there are some
	mu  sync.RWMutex
	by  map[identifier.LogID][]fence // in the order of their places
}

func (f *fences) add(x fence) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.by == nil {
		f.by = make(map[identifier.LogID][]fence)
	}
	f.by[x.Log] = append(slices.Clip(f.by[x.Log]), x)
	f.any.Store(true)
}

// of returns the fences that are about a log; they are not changed.
func (f *fences) of(log identifier.LogID) []fence {
	if !f.any.Load() {
		return nil
	}
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.by[log]
}

// covers reports whether there is a fence by a delegation, or a newer one of its prefix, at
// most so many entries from the beginning of a log.
func (f *fences) covers(log identifier.LogID, d *identifier.Delegation, size uint64) bool {
	return slices.ContainsFunc(f.of(log), func(x fence) bool {
		return x.Size <= size && x.Delegation.Prefix == d.Prefix && !olderThan(&x.Delegation, d)
	})
}

// olderThan reports whether one delegation of a prefix is not what the other one is, nor
// newer. Versions of keysets count through all epochs.
func olderThan(a, b *identifier.Delegation) bool {
	return a.Keyset.Version < b.Keyset.Version || a.Keyset.Version == b.Keyset.Version && !sameDelegation(a, b)
}

// fenceNote is what the notes begin with that keep fences: the log that one is about
// follows, sixteen octets, and the position of its entry, eight. The note is the payload.
const fenceNote = "fence/"

// effectOfFence keeps a fence.
func effectOfFence(e *identifier.Entry, position uint64) (effect, error) {
	f, err := identifier.ParseFence(e.Envelope.Payload)
	if err != nil {
		return effect{}, err
	}
	name := binary.BigEndian.AppendUint64(append([]byte(fenceNote), f.Log[:]...), position)
	return effect{
		mutations: []state.Mutation{noteMutation(string(name), e.Envelope.Payload)},
		fence:     &fence{Fence: *f, position: position},
	}, nil
}

// weighFence takes in a fence in the log of a node that is mirrored here: it is what that
// node has said. Who else mirrors the log that it is about judges by it.
func (m *mirror) weighFence(e *identifier.Entry, position uint64) (effect, error) {
	if e.Envelope.SignedBy([]identifier.PublicKey{m.node}) == 0 {
		return effect{}, errors.New("the fence is not signed by the node's key")
	}
	x, err := effectOfFence(e, position)
	if err != nil {
		return effect{}, err
	}
	if err := x.fence.Check(); err != nil {
		return effect{}, err
	}
	return x, nil
}

// loadFences reads the notes.
func (l *ledger) loadFences() error {
	var all []fence
	for row, err := range l.state.Ascend(context.Background(), state.Notes, l.number, []byte(fenceNote)) {
		if err != nil {
			return err
		}
		if len(row.Key) != len(fenceNote)+16+8 || string(row.Key[:len(fenceNote)]) != fenceNote {
			break
		}
		note, err := summed(row.Key, row.Value)
		if err != nil {
			return err
		}
		f, err := identifier.ParseFence(note)
		if err != nil {
			return err
		}
		all = append(all, fence{Fence: *f, position: binary.BigEndian.Uint64(row.Key[len(row.Key)-8:])})
	}
	for _, f := range all {
		l.fences.add(f)
	}
	return nil
}

// passFences brings into force what the fences at a position say, and returns what that
// adds to the state.
func (m *mirror) passFences(position uint64) ([]state.Mutation, error) {
	var mutations []state.Mutation
	for _, f := range m.grantor().fences.of(m.log) {
		d := &f.Delegation
		before := m.holders.heldAt(d.Prefix)
		if f.Size != position || before.apex && !olderThan(before.delegation, d) {
			continue
		}
		h := held{delegation: d, position: position, granted: position, apex: true}
		if before.apex && before.delegation.Epoch == d.Epoch {
			h.granted = before.granted
		}
		x, err := effectOfDelegation(h, nil)
		if err != nil {
			return nil, err
		}
		m.keep(&x)
		mutations = append(mutations, x.mutations...)
	}
	return mutations, nil
}

// missing returns what is in force for prefixes of the child's, and neither in its log as
// far as that is here nor fenced within so many entries, though the child was told of it
// long enough ago.
func (r *Registry) missing(m *mirror, size uint64) (list []*identifier.Delegation) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for p, t := range m.grantsTold {
		now, shown := r.holders.at(p), m.holders.heldAt(p)
		switch {
		case now == nil || now.Keyset.Version != t.version:
			continue // it will be told of another one
		case shown.apex && !olderThan(shown.delegation, now), !shown.apex && t.version == 1:
			delete(m.grantsTold, p) // or there is none before it by which anything could be signed
		case r.config.Clock().Sub(t.since) >= r.config.Grace && !r.fences.covers(m.log, now, size):
			list = append(list, now)
		}
	}
	slices.SortFunc(list, func(a, b *identifier.Delegation) int { return cmp.Compare(a.Prefix, b.Prefix) })
	return list
}

// Overdue returns why the child has to say Hello again; "" when it need not: it was told of
// a grant, had time to log it, and has not shown it in its log. [Mirror.Fence] then sees to
// it that what it leaves out counts all the same. Or its log is to be kept in another way.
func (m *Mirror) Overdue() string {
	if why := m.outdated(); why != "" {
		return why
	}
	if m.m.recall.again() {
		return "another log of the node came from another top-level node: connect again"
	}
	if m.m.role != roleChild || m.m.lacking.Load() || m.r.ReadOnly() != "" {
		return "" // one that gets entries of its own back takes no grants meanwhile
	}
	for _, d := range m.r.missing(m.m, ^uint64(0)) {
		return fmt.Sprintf("the grant of prefix %q with keyset %d is not in this log: connect again", d.Prefix, d.Keyset.Version)
	}
	return ""
}

// Fence is called for a Hello with a checkpoint of so many entries and this root, before
// anything that follows on them is taken in. Where the child was told of a grant long
// enough ago and does not show it, it logs a fence: entries from that position on are
// judged by the grant, here and wherever else the log is mirrored. It is durable at
// return. A child that has fewer entries than when it was fenced last is turned away, with a
// [*replica.Refusal], until as much time has passed again.
func (m *Mirror) Fence(ctx context.Context, size uint64, root identifier.Hash) (err error) {
	if m.m.role != roleChild || !m.r.logs.counts(m.m) || m.r.ReadOnly() != "" {
		return nil // where this node's own log is set aside, its children's logs go on
	}
	if m.m.unproved.Load() {
		// Nothing is on its way: the stream that could not prove is gone.
		if have := m.m.published.Load(); size > have {
			size = have
			if root, err = m.Root(have); err != nil {
				return err
			}
		}
	}
	for _, d := range m.r.missing(m.m, size) {
		if !m.m.unproved.Load() && m.r.fencedLately(m.m, d) {
			return &replica.Refusal{Reason: replica.Unavailable, Detail: fmt.Sprintf("the grant of prefix %q is not in this log, which was fenced a moment ago where it had more entries: come back in %v", d.Prefix, m.r.config.Grace)}
		}
		logged, err := m.r.logFence(ctx, m.m, &identifier.Fence{Log: m.m.log, Size: size, Root: root, Delegation: *d})
		if err != nil {
			return err
		}
		if logged {
			m.r.noteFenced(m.m, d)
		}
	}
	m.m.unproved.Store(false)
	return nil
}

// fencedLately reports whether the child has to wait for another fence by a delegation: one
// that says with each Hello that it has fewer entries gets one in the time that it has for a
// grant, and not one entry in this log for each Hello. A start forgets it.
func (r *Registry) fencedLately(m *mirror, d *identifier.Delegation) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	last, ok := m.fenced[d.Prefix]
	if !ok || last.version != d.Keyset.Version {
		return false
	}
	return r.config.left.lacks(ruleSeldom, r.config.Clock().Sub(last.since) >= r.config.Grace)
}

// noteFenced notes that a fence by a delegation was logged now.
func (r *Registry) noteFenced(m *mirror, d *identifier.Delegation) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fenced == nil {
		m.fenced = make(map[identifier.Prefix]notice)
	}
	m.fenced[d.Prefix] = notice{d.Keyset.Version, r.config.Clock()}
}

// Fenced returns the first fence behind so many entries that still has a meaning; a zero one
// for none. It has none where one of the same delegation stands before it, or the log shows
// that delegation.
func (m *Mirror) Fenced(size uint64) replica.Fence {
	var first replica.Fence
	if m.m.role != roleChild {
		return first
	}
	for _, x := range m.r.fences.of(m.m.log) {
		d := &x.Delegation
		if shown := m.m.holders.heldAt(d.Prefix); shown.apex && !olderThan(shown.delegation, d) {
			continue
		}
		if x.Size > size && (first.Size == 0 || x.Size < first.Size) && !m.r.fences.covers(m.m.log, d, x.Size-1) {
			first = replica.Fence{Size: x.Size, Root: x.Root}
		}
	}
	return first
}

// Unproved says that the child could not prove that what it sends was in its log when that
// was fenced.
func (m *Mirror) Unproved() { m.m.unproved.Store(true) }

// logFence logs a fence, unless the mirror is past it, and reports whether it did.
func (r *Registry) logFence(ctx context.Context, m *mirror, f *identifier.Fence) (logged bool, err error) {
	payload, err := identifier.AppendFence(nil, f)
	if err != nil {
		return false, err
	}
	entry, err := encode(&identifier.Entry{Kind: identifier.EntryFence, Time: r.now(), Envelope: identifier.Sign(identifier.FenceType, payload, r.key)})
	if err != nil {
		return false, err
	}
	receipt, err := r.submit(ctx, len(entry.payload), func() (admission, error) { return r.sequencer.admitFence(m, f, entry) })
	if logged = err == nil && !receipt.Duplicate; logged {
		r.config.Log.Warn("a child does not show a grant in its log: from here on it is judged by it all the same",
			"child", m.node, "log", m.log, "prefix", f.Delegation.Prefix, "keyset", f.Delegation.Keyset.Version, "position", f.Size)
	}
	return logged, err
}

// admitFence queues a fence before everything of the child's log that it is about.
func (s *sequencer) admitFence(m *mirror, f *identifier.Fence, entry encoded) (admission, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.registry.writable(); err != nil {
		return admission{}, err
	}
	m.queueMu.Lock()
	defer m.queueMu.Unlock()
	if f.Size < max(m.queued, m.published.Load()) {
		return admission{duplicate: true}, nil // the child lacks entries: it says Hello again when it has them back
	}
	return s.queueFence(entry)
}

// admitAgain queues a fence of a log that this one continues.
func (s *sequencer) admitAgain(entry encoded) (admission, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f, err := identifier.ParseFence(entry.Envelope.Payload)
	if err != nil {
		return admission{}, err
	}
	if s.fences.covers(f.Log, &f.Delegation, f.Size) {
		return admission{duplicate: true}, nil // both histories have it
	}
	return s.queueFence(entry)
}

func (s *sequencer) queueFence(entry encoded) (admission, error) {
	q, err := s.queue(entry, func(position uint64) (effect, error) { return effectOfFence(entry.Entry, position) }, nil)
	if err != nil {
		return admission{}, err
	}
	return admitted(q), nil
}
