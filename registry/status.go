package registry

import (
	"context"
	"time"

	"github.com/nameplate-id/nameplate/registry/identifier"
)

// Status is what an operator wants to know of a registry.
type Status struct {
	Key      identifier.PublicKey // the node's
	Log      identifier.LogID
	Position uint64 // entries in the log, all of them synced
	// Synced and Applied are journal offsets: what is durable, and what the state
	// has taken over of it.
	Synced, Applied uint64
	// Identifiers, Withdrawn and Delegations are counted in the state, as of Applied.
	Identifiers, Withdrawn, Delegations uint64
	Checkpoint                          Checkpoint // the newest
	Level                               Level      // what a change reaches at the most
	// Anchored and Rooted are how many entries have reached those levels.
	Anchored, Rooted uint64
	// Receipt is the newest checkpoint that the level above has cosigned; empty for none.
	Receipt []byte
	// ReadOnly says why no changes are taken; empty when they are.
	ReadOnly string
	// Marked says why entries of the log may be missing here: the node was restored, or is a
	// copy, and has not heard how much was held elsewhere; empty when none are.
	Marked string
	// DiskLow says why neither changes nor entries of children are taken in for want of
	// room on the disk; empty when they are.
	DiskLow string
	// Suspicions are the parts of this log, and of those that are mirrored here, that are
	// suspect because a key was in the wrong hands.
	Suspicions []Suspicion
	// Quarantine is the evidence that two histories of the log were signed; nil when
	// none is known.
	Quarantine *Quarantine
	// After is the log that this one continues; nil for none. Resolution is what became of
	// that; nil where the folder does not tell.
	After      *identifier.Predecessor
	Resolution *Resolution
	// StateBytes is the size of the state's file.
	StateBytes int64
	// Apexes are the prefixes that this node answers for.
	Apexes []identifier.Prefix
}

// Checkpoint is a signed statement of a log's size and root.
type Checkpoint struct {
	Size uint64
	Root identifier.Hash
	Time time.Time // when this process signed it, or read it at its start
	Note []byte    // the signed note (C2SP tlog-checkpoint)
}

// Status returns the figures of the moment.
func (r *Registry) Status(context.Context) (Status, error) {
	stats, totals := r.state.Stats(), r.state.Totals()[ownLog]
	s := Status{
		Key: r.key.Public(), Log: r.log, Position: r.published.Load(),
		Synced: uint64(r.journal.Synced()), Applied: stats.Applied,
		Identifiers: totals.Live, Withdrawn: totals.Withdrawn, Delegations: totals.Delegations,
		Level: Local, StateBytes: stats.FileBytes,
	}
	if c := r.checkpoint.Load(); c != nil {
		s.Checkpoint = *c
	}
	s.ReadOnly, s.DiskLow, s.Quarantine = r.ReadOnly(), r.DiskLow(), r.quarantine.Load()
	if why := r.marked.Load(); why != nil {
		s.Marked = *why
	}
	s.Suspicions = r.Suspicions()
	s.After, s.Resolution = r.after, r.resolution
	s.Anchored, s.Rooted = r.levels.heights()
	switch {
	case s.Rooted > 0:
		s.Level = Rooted
	case s.Anchored > 0:
		s.Level = Anchored
	}
	if s.Anchored > 0 {
		if receipt, _ := r.ReceiptFor(0, Anchored); receipt != nil {
			s.Receipt = receipt.Note
		}
	}
	for _, h := range r.holders.list() {
		if h.apex && !h.delegation.Revoked() {
			s.Apexes = append(s.Apexes, h.delegation.Prefix)
		}
	}
	return s, nil
}

// Healthy returns why the registry cannot be relied on; nil when it can. A node that
// takes no changes is healthy: it is up, and says why it takes none.
func (r *Registry) Healthy(context.Context) error {
	if err := r.failure(); err != nil {
		return ending(err)
	}
	return nil
}

// WaitApplied waits until the state has taken over everything that is synced now.
func (r *Registry) WaitApplied(ctx context.Context) error {
	return r.state.WaitApplied(ctx, r.state.Published())
}
