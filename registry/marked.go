package registry

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/nameplate-id/nameplate/registry/folder"
	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/journal"
	"github.com/nameplate-id/nameplate/registry/replica"
)

// A marked node is one that may lack entries of its own log: it was restored, or its
// start could not rule that out. It takes no changes, takes in no logs of children, and
// where it has a parent it does not answer either, for the parent does so in its place
// from its mirror, which is newer. The mark is a file, so that it outlives the process.
// It goes when the parent, or the anchor of a node without one, says that nothing came
// after what is here, or when an operator accepts what is lost ([AcceptRestored]).

// checkRestored decides at the start whether the node is marked.
func (r *Registry) checkRestored() error {
	if q := r.quarantine.Load(); q != nil {
		r.config.Log.Error("no changes are taken", "why", r.ReadOnly())
	}
	why, asked, err := r.anchorAllows()
	if err != nil {
		return err
	}
	marker, err := r.folder.Marker()
	if err != nil {
		return err
	}
	copied, err := r.folder.IsCopy()
	if err != nil {
		return err
	}
	switch {
	case why != "": // by the anchor
	case marker != "" && asked && !r.asks():
		if err := r.folder.Unmark(); err != nil { // the anchor agrees
			return err
		}
	case marker == incarnationDue:
		why = marker
	case marker != "" && r.asks():
		r.restored.Store(strings.HasPrefix(marker, folder.Restored))
		why = "this node may lack entries of its log and asks " + r.asked() + " for them: " + marker
	case marker != "":
		why = "this folder was restored from a backup and nothing says that nothing came after it: start it with its anchor, or run 'nameplate restore --accept' if you know"
	case copied && r.asks():
		// Only somebody who can be asked makes it worth asking.
		why = "this folder is a copy, and the node asks " + r.asked() + " whether entries are missing in it"
		if err := r.folder.Mark(why); err != nil {
			return err
		}
	}
	if err := r.folder.Settle(); err != nil {
		return err
	}
	if why != "" {
		r.config.Log.Warn("no changes are taken", "why", why)
		r.marked.Store(&why)
	}
	return nil
}

func (r *Registry) hasParent() bool { return r.config.Parent != (identifier.PublicKey{}) }

// asks reports whether somebody holds the node's log who can be asked.
func (r *Registry) asks() bool { return r.hasParent() || len(r.config.Peers) > 0 }

func (r *Registry) asked() string {
	if r.hasParent() {
		return "its parent"
	}
	return "the other top-level nodes"
}

// ReadOnly returns why no changes are taken; "" when they are.
func (r *Registry) ReadOnly() string {
	if r.standing().Writes() {
		return ""
	}
	if q := r.quarantine.Load(); q != nil {
		return q.text()
	}
	if why := r.marked.Load(); why != nil {
		return *why
	}
	return ""
}

// standing returns what this node may do.
func (r *Registry) standing() replica.Standing {
	return replica.Standing{Marked: r.marked.Load() != nil, Forked: r.quarantine.Load() != nil, Above: r.asks()}
}

// serves returns an error while questions are left to the node's parent.
func (r *Registry) serves() error {
	why := r.marked.Load()
	if why == nil || r.standing().Answers() {
		return nil
	}
	return &Error{Kind: Unavailable, Detail: *why}
}

// takesIn returns an error while this node takes in no logs of children.
func (r *Registry) takesIn() error {
	s := r.standing()
	switch {
	case s.TakesIn():
		return nil
	case s.Forked:
		return &replica.Refusal{Reason: replica.Unavailable, Detail: "this node has forked, and takes in no logs before its operator has resolved that: run 'nameplate fork show' there"}
	}
	return &replica.Refusal{Reason: replica.Unavailable, Detail: "this node was restored and gets its own log whole first: come back in a moment"}
}

// Marked returns why entries of the log may be missing here; "" when none are.
func (s *Source) Marked() string {
	if why := s.r.marked.Load(); why != nil {
		return *why
	}
	return ""
}

// Mark says that entries of the log are missing here. From its return on nothing is
// added to it but by TakeBack, also after a restart, until Heal.
func (s *Source) Mark(ctx context.Context, why string) error {
	if s.r.restored.Load() {
		why = folder.Restored + ": " + why // the next start has to know that, too
	}
	if err := s.r.folder.Mark(why); err != nil {
		return err
	}
	if before := s.r.marked.Load(); before == nil || *before != why { // its parent says so again each time it is asked
		s.r.config.Log.Error("no changes are taken", "why", why)
	}
	q := s.r.sequencer
	q.mu.Lock()
	s.r.marked.Store(&why)
	newest := q.newest
	q.mu.Unlock()
	if newest == nil {
		return nil
	}
	return s.r.awaitSync(ctx, newest)
}

// Heal says that the log has everything that the parent holds: changes are taken again,
// unless the anchor says that there was more.
func (s *Source) Heal() (healed bool, err error) {
	r := s.r
	why, _, err := r.anchorAllows()
	if err != nil {
		return false, err
	}
	if why != "" {
		return false, fmt.Errorf("the parent holds no more entries, but %s", why)
	}
	if err := r.certify(context.Background()); err != nil {
		return false, fmt.Errorf("what is certain of the children's logs cannot be told: %w", err)
	}
	r.config.Hook(HookHeal)
	if err := r.folder.Unmark(); err != nil {
		return false, err
	}
	r.config.Hook(HookHealed)
	r.marked.Store(nil)
	r.restored.Store(false)
	return true, r.anchors.load() // rows of children may have come back
}

// TakeBack appends a unit of this node's own log, which the parent has given back, behind
// what is there. Its entries were admitted once, so they are taken in like those that a
// start reads again. The unit is synced and in force at return. After an error a part
// of it may be there.
func (s *Source) TakeBack(ctx context.Context, u *replica.Unit) error {
	r := s.r
	if r.marked.Load() == nil {
		return errors.New("the node does not know that its log lacks entries")
	}
	if next := r.published.Load(); u.Start != next {
		return fmt.Errorf("entries from %d on come back, the log has %d", u.Start, next)
	}
	r.config.Hook(HookTakeBack)
	for i, payload := range u.Payloads {
		if err := r.takeBackEntry(ctx, u.Start+uint64(i), payload); err != nil {
			return fmt.Errorf("entry %d: %w", u.Start+uint64(i), err)
		}
	}
	if newest := r.sequencer.newestQueued(); newest != nil {
		if err := r.awaitSync(ctx, newest); err != nil {
			return err
		}
	}
	r.config.Hook(HookTookBack)
	size, root := r.tree.head()
	if size != u.End() || root != u.Root {
		return fmt.Errorf("the log has %d entries with root %x, and should have %d with root %x", size, root, u.End(), u.Root)
	}
	return r.keepCheckpoint(ctx, &Checkpoint{Size: size, Root: root, Time: r.now(), Note: u.Checkpoint})
}

// takeBackEntry queues one entry. It waits while there is no room.
func (r *Registry) takeBackEntry(ctx context.Context, position uint64, payload []byte) error {
	entry, err := identifier.ParseEntry(payload)
	if err != nil {
		return err
	}
	leaf, err := identifier.EntryLeaf(payload)
	if err != nil {
		return err
	}
	e := encoded{Entry: entry, payload: payload, leaf: leaf}
	for {
		if err := r.waitRoom(ctx, len(payload)); err != nil {
			return err
		}
		err := r.sequencer.takeBack(position, e)
		if !errors.Is(err, journal.ErrBusy) && !errors.Is(err, journal.ErrFull) {
			return err
		}
	}
}

// takeBack queues an entry as it stood in the log.
func (s *sequencer) takeBack(position uint64, e encoded) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.next != position {
		return fmt.Errorf("it comes where entry %d should", s.next)
	}
	if e.Kind == identifier.EntryGenesis {
		if err := s.loadGenesis(e.Envelope.Payload); err != nil {
			return err
		}
	}
	x, err := effectOf(e.Entry, position, s.holders)
	if err != nil {
		return err
	}
	if _, err := s.queue(e, func(uint64) (effect, error) { return x, nil }, nil); err != nil {
		return err
	}
	if x.holds != nil {
		s.holders.put(*x.holds)
	}
	// A change may have been looked up by now that has its turn when the node has healed.
	for i := range e.Rows {
		s.touched.by(position, identifier.AppendKey(nil, e.Rows[i].ID))
	}
	return nil
}

// AcceptRestored lets a restored node take changes although nobody could be asked
// whether something came after its backup. Whatever was acknowledged after it is then
// lost for good. The node must not run.
func AcceptRestored(path string) error {
	f, err := folder.Open(path, nil)
	if err != nil {
		return err
	}
	defer f.Close()
	marker, err := f.Marker()
	if err != nil {
		return err
	}
	if marker == "" {
		return fmt.Errorf("%s was not restored, or was accepted before", path)
	}
	return f.Unmark()
}
