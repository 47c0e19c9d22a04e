package state

import (
	"context"
	"encoding/binary"
	"fmt"
)

// One run is kept for this many entries of a log, or this many octets of journal,
// whichever comes first.
const (
	runEntries = 256
	runOctets  = 64 << 10
)

// Publish makes batches visible to readers, all at once, before it returns. They
// come in the order of the journal; one that was published before is skipped, so
// reading some frames again is harmless. Nothing is durable but in the journal.
//
// While the overlay is at its limit Publish waits; the error then is that of
// [Store.WaitRoom]. When it returns an error, no batch has become visible. Keys
// and values belong to the store from here on and must not be changed.
func (s *Store) Publish(ctx context.Context, batches ...Batch) error {
	for i := range batches {
		if err := batches[i].check(); err != nil {
			return err
		}
	}
	s.publishing.Lock()
	defer s.publishing.Unlock()
	if err := s.WaitRoom(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.end(); err != nil {
		return err
	}
	fresh, err := s.follow(batches)
	if err != nil || len(fresh) == 0 {
		return err
	}
	next := *s.snap.Load()
	g := *next.current
	next.current = &g
	e := new(edit)
	for _, b := range fresh {
		s.publish(&next, e, b)
		if next.current.rows >= s.o.CommitRows {
			next.seal()
			signal(s.hurry)
		}
	}
	s.snap.Store(&next)
	signal(s.wake)
	if next.current.rows >= s.o.GatherRows {
		signal(s.hurry)
	}
	return nil
}

// follow returns the batches that were not published before, or says why they do
// not follow on what was. mu is held.
func (s *Store) follow(batches []Batch) ([]*Batch, error) {
	var fresh []*Batch
	end := s.published
	moved := make(map[uint32]uint64, 1)
	for i := range batches {
		b := &batches[i]
		position, ok := moved[b.Log]
		if l := s.logs[b.Log]; !ok && l != nil {
			position = l.position
		}
		switch {
		case b.End <= end && b.Position <= position:
			continue // again
		case b.At < end:
			return nil, fmt.Errorf("state: the batch of log %d up to position %d lies at journal offset %d, but everything up to %d was published before it", b.Log, b.Position, b.At, end)
		case b.Position < position:
			return nil, fmt.Errorf("state: the batch at journal offset %d takes log %d from position %d back to %d", b.At, b.Log, position, b.Position)
		}
		end, moved[b.Log] = b.End, b.Position
		fresh = append(fresh, b)
	}
	return fresh, nil
}

// publish puts one batch into the snapshot that is being made. mu is held.
func (s *Store) publish(next *snapshot, e *edit, b *Batch) {
	g := next.current
	size := 2 * logSize
	for i := range b.Mutations {
		size += logSize + len(b.Mutations[i].Key)
	}
	keys := make([]byte, 0, size) // one allocation for the keys of all rows
	for i := range b.Mutations {
		m := &b.Mutations[i]
		start := len(keys)
		keys = appendKey(keys, b.Log, m.Key)
		gone := m.Withdrawn || m.Value == nil
		g.put(e, m.Table, row{key: keys[start:len(keys):len(keys)], value: m.Value, gone: gone})
	}
	l := s.logs[b.Log]
	if l == nil {
		l = new(logState)
		s.logs[b.Log] = l
	}
	if b.Position > l.position {
		if !l.hasRun || l.position-l.runPosition >= runEntries || b.At-l.runAt >= runOctets {
			g.put(e, runs, runRow(b.Log, l.position, b.At))
			l.runPosition, l.runAt, l.hasRun = l.position, b.At, true
		}
		l.position = b.Position
	}
	position := row{key: appendKey(keys[len(keys):], b.Log, nil), value: binary.BigEndian.AppendUint64(nil, b.Position)}
	next.positions.put(e, position)
	g.logs.put(e, position)
	g.end, s.published = b.End, b.End
}

// runRow returns the run that says: the entry of the log at a position begins at
// a journal offset, or is among those that do.
func runRow(log uint32, position, at uint64) row {
	key := binary.BigEndian.AppendUint32(nil, log)
	key = binary.BigEndian.AppendUint64(key, position)
	return row{key: key, value: binary.BigEndian.AppendUint64(nil, at)}
}

// heed takes a note away: what it asks for is being done.
func heed(c chan struct{}) {
	select {
	case <-c:
	default:
	}
}

// signal leaves a note for whoever listens next; one is enough.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
