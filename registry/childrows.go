package registry

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/journal"
	"github.com/nameplate-id/nameplate/registry/replica"
	"github.com/nameplate-id/nameplate/registry/state"
)

// A parent logs how far its children's logs are synced here: once a second an entry with
// a row for every child whose log has grown. The row has the child's signature over its
// size and root. Whoever mirrors the parent's log so holds, of every log one level
// further down, the newest checkpoint that the parent had.

// childNote is what the notes begin with that keep the newest row of a child's log; the
// log's id follows. The value is the position of the entry, eight octets, and the row.
const childNote = "child/"

func childNoteName(log identifier.LogID) string { return childNote + string(log[:]) }

func childMutation(r *identifier.ChildRow, position uint64) (state.Mutation, error) {
	value, err := r.Append(binary.BigEndian.AppendUint64(nil, position))
	return noteMutation(childNoteName(r.Log), value), err
}

func parseChildNote(value []byte) (replica.LoggedRow, error) {
	if len(value) < 8 {
		return replica.LoggedRow{}, errors.New("the row of a child's log has been cut")
	}
	row, err := identifier.ParseChildRow(value[8:])
	if err != nil {
		return replica.LoggedRow{}, err
	}
	return replica.LoggedRow{Position: binary.BigEndian.Uint64(value), Row: *row}, nil
}

// childRow returns the newest row that the log has of a child's log; ok tells whether
// it has one.
func (l *ledger) childRow(log identifier.LogID) (r replica.LoggedRow, ok bool, err error) {
	value, err := l.note(childNoteName(log))
	if err != nil || value == nil {
		return replica.LoggedRow{}, false, err
	}
	r, err = parseChildNote(value)
	return r, err == nil, err
}

// effectOfChildren keeps the newest row of each log.
func effectOfChildren(e *identifier.Entry, position uint64) (effect, error) {
	var x effect
	for i := range e.Children {
		m, err := childMutation(&e.Children[i], position)
		if err != nil {
			return effect{}, err
		}
		x.mutations = append(x.mutations, m)
	}
	return x, nil
}

// weighChildren judges rows of children in the log of a child: they are what the child's
// key has signed, each is what its own child has signed, and none goes down.
func (m *mirror) weighChildren(e *identifier.Entry, position uint64) (effect, error) {
	if e.Envelope.SignedBy([]identifier.PublicKey{m.node}) == 0 {
		return effect{}, fmt.Errorf("the rows of children are not signed by the node's key")
	}
	if _, err := e.CheckChildren(); err != nil {
		return effect{}, err
	}
	for i := range e.Children {
		r := &e.Children[i]
		if _, err := journal.AssembleCheckpoint(r.Size, r.Root, r.Log, r.Node, r.Signature); err != nil {
			return effect{}, err
		}
		before, ok := m.rows[r.Log]
		if !ok {
			last, there, err := m.childRow(r.Log)
			if err != nil {
				return effect{}, err
			}
			if !there {
				continue
			}
			before = last.Row
		}
		if r.Size < before.Size || r.Size == before.Size && r.Root != before.Root {
			return effect{}, fmt.Errorf("the row of log %s has %d entries with root %x, the one before %d with root %x: a row never goes down, nor another way",
				r.Log, r.Size, r.Root, before.Size, before.Root)
		}
	}
	for _, r := range e.Children {
		m.rows[r.Log] = r
	}
	return effectOfChildren(e, position)
}

// logChildren logs a row for every child whose synced log has grown since its last row, and
// for every log that stands beside that, and returns when they are synced.
func (r *Registry) logChildren(ctx context.Context) error {
	if r.ReadOnly() != "" {
		return nil
	}
	var rows []identifier.ChildRow
	for _, m := range r.logs.mirrors() {
		c := m.checkpoint.Load()
		if m.role != roleChild || c == nil || m.certain.Load() != nil || !r.anchors.grows(m.log, c.Size) || !r.logs.counts(m) && !r.logs.standsBeside(m) || m.recall.whole(r.config.Clock()) != nil {
			continue
		}
		signature, err := journal.CheckpointSignature(c.Note, m.log, m.node)
		if err == nil {
			_, err = journal.AssembleCheckpoint(c.Size, c.Root, m.log, m.node, signature)
		}
		if err != nil {
			r.config.Log.Warn("a child's checkpoint cannot be anchored", "log", m.log, "error", err)
			continue
		}
		rows = append(rows, identifier.ChildRow{Log: m.log, Node: m.node, Size: c.Size, Root: c.Root, Signature: signature})
	}
	slices.SortFunc(rows, func(a, b identifier.ChildRow) int { return bytes.Compare(a.Log[:], b.Log[:]) })
	for chunk := range slices.Chunk(rows, identifier.MaxRows) {
		if err := r.logRows(ctx, chunk); err != nil {
			return err
		}
	}
	return nil
}

// logRows logs one entry with rows of children.
func (r *Registry) logRows(ctx context.Context, rows []identifier.ChildRow) error {
	header, _, err := identifier.HashChildren(rows)
	if err != nil {
		return err
	}
	entry, err := encode(&identifier.Entry{
		Kind: identifier.EntryChildren, Time: r.now(), Children: rows,
		Envelope: identifier.Sign(identifier.ChildrenType, header.Append(nil), r.key),
	})
	if err != nil {
		return err
	}
	r.config.Hook(HookChildren)
	_, err = r.submit(ctx, len(entry.payload), func() (admission, error) { return r.sequencer.admitChildren(entry) })
	return err
}

// admitChildren queues an entry with rows of children.
func (s *sequencer) admitChildren(entry encoded) (admission, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.registry.writable(); err != nil {
		return admission{}, err
	}
	q, err := s.queue(entry, func(position uint64) (effect, error) { return effectOfChildren(entry.Entry, position) },
		func(position uint64) { s.registry.anchors.logged(entry.Children, position) })
	if err != nil {
		return admission{}, err
	}
	return admitted(q), nil
}

// readEntry reads an entry of the node's own log from the journal.
func (r *Registry) readEntry(position uint64) (*identifier.Entry, error) {
	at, err := r.locate(position)
	if err != nil {
		return nil, err
	}
	var found *identifier.Entry
	_, _, err = r.replay(context.Background(), at, position, position+1, func(l Logged) error {
		found = l.Entry
		return nil
	})
	if err == nil && found == nil {
		err = fmt.Errorf("entry %d is not in the journal", position)
	}
	return found, err
}
