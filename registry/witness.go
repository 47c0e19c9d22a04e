package registry

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/journal"
	"github.com/nameplate-id/nameplate/registry/replica"
	"github.com/nameplate-id/nameplate/registry/state"
)

// A log that is witnessed here has no entries but the first, no tree and no state: its
// mirror is the newest checkpoint, and in the journal all those before it with the proofs
// that lead from one to the next.

// witness reports whether checkpoints alone are kept of the log.
func (m *mirror) witness() bool { return m.policy == identifier.PolicyWitness }

// head returns how many entries of the log there are here, and their root.
func (l *ledger) head() (uint64, identifier.Hash) {
	if l.tree != nil {
		return l.tree.head()
	}
	if c := l.checkpoint.Load(); c != nil {
		return c.Size, c.Root
	}
	return 0, sha256.Sum256(nil) // RFC 9162, section 2.1.1
}

// loadWitnessed reads what the state holds of a log that is witnessed.
func (l *ledger) loadWitnessed() error {
	note, err := l.note(checkpointNote)
	if err != nil {
		return err
	}
	if note != nil {
		c, err := l.readCheckpoint(note)
		if err != nil {
			return err
		}
		l.checkpoint.Store(c)
	}
	if size, _ := l.head(); size != l.published.Load() {
		return fmt.Errorf("the checkpoint of log %s covers %d entries, and %d are witnessed", l.log, size, l.published.Load())
	}
	return errors.Join(l.loadQuarantine(), l.loadAcknowledged())
}

// takeWitnessed takes in a checkpoint that is synced, if it follows on the one before: that
// is looked at again here, because the journal is read again at a start.
func (m *mirror) takeWitnessed(u *replica.Unit, at, end journal.Offset) error {
	size, root := m.head()
	proved := false
	if u.Start > size {
		// The witness was restored, and went on from what this node's own log says. Where
		// that is a log that continues another one, it repeats the newest row alone.
		row, ok, err := m.grantor().childRow(m.log)
		if err != nil {
			return doubt(err)
		}
		if ok && row.Row.Size >= u.Start {
			size, root, proved = u.Start, row.Row.Root, row.Row.Size > u.Start
		}
	}
	if !u.Witnessed() || u.Start != size {
		return fmt.Errorf("unit of log %s at %d where a checkpoint that follows on %d should stand", m.log, u.Start, size)
	}
	c, err := m.readCheckpoint(u.Checkpoint)
	if err != nil {
		return err
	}
	if c.Size != u.Size {
		return fmt.Errorf("the checkpoint of log %s covers %d entries instead of %d", m.log, c.Size, u.Size)
	}
	if err := u.Follows(root, c.Root); err != nil && !proved {
		return fmt.Errorf("the checkpoint of log %s at %d: %w", m.log, c.Size, err)
	}
	mutations := []state.Mutation{noteMutation(checkpointNote, u.Checkpoint)}
	if u.Start == 0 {
		x, err := m.weigh(u.Payloads[0], 0)
		if err != nil {
			mutations = append(mutations, badMutation(0, err))
			m.mu.Lock()
			m.bad++
			m.mu.Unlock()
		}
		mutations = append(mutations, x.mutations...)
	}
	succeeds, err := m.succession()
	if err != nil {
		return doubt(err)
	}
	err = m.state.Publish(context.Background(), state.Batch{Log: m.number, Position: u.Size, At: uint64(at), End: uint64(end), Mutations: append(mutations, succeeds...)})
	if err != nil {
		return err
	}
	m.taken(c, succeeds != nil && !m.pending())
	return m.logs.replace(m, false)
}

// gaveTo returns the prefixes that this node's log has ever given to a node whose log is
// witnessed. Its log would say which of them it knows to be gone; a witness does not have
// that, and tells it of all.
func (l *ledger) gaveTo(node identifier.PublicKey) (prefixes []identifier.Prefix, err error) {
	first := []byte(gaveToNoteName(node, ""))
	for row, err := range l.state.Ascend(context.Background(), state.Notes, l.number, first) {
		if err != nil {
			return nil, err
		}
		if len(row.Key) < len(first) || !slices.Equal(row.Key[:len(first)], first) {
			break
		}
		value, err := summed(row.Key, row.Value)
		if err != nil {
			return nil, err
		}
		prefixes = append(prefixes, identifier.Prefix(value))
	}
	return prefixes, nil
}

// admitsWitnessed reports whether a node whose log is witnessed is let in though no
// delegation names it any more: one of its prefixes has gone to another node, and it may
// not have heard of it.
func (r *Registry) admitsWitnessed(m *mirror) bool {
	prefixes, err := r.gaveTo(m.node)
	return err == nil && slices.ContainsFunc(prefixes, func(p identifier.Prefix) bool {
		now := r.holders.at(p)
		return now != nil && !now.Revoked()
	})
}
