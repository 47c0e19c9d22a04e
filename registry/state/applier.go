package state

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"time"

	"go.etcd.io/bbolt"
)

// Run applies what is published until the context ends or the store is closed,
// and then returns nil. It may run once at a time. It returns an error when
// something cannot be committed: from then on nothing can be published or waited
// for, and the process should end. What was published is in the journal.
func (s *Store) Run(ctx context.Context) error {
	s.mu.Lock()
	if err := s.end(); err != nil || s.running {
		s.mu.Unlock()
		if err == nil {
			err = errors.New("state: the applier runs already")
		}
		return err
	}
	s.running = true
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.running = false
		s.broadcast()
		s.mu.Unlock()
	}()
	for s.gather(ctx) {
		if err := s.apply(); err != nil {
			return err
		}
	}
	return nil
}

// gather waits until there is something to commit and has waited long enough for
// more. It returns false when the applier is to end.
func (s *Store) gather(ctx context.Context) bool {
	select {
	case <-s.wake:
	case <-ctx.Done():
		return false
	case <-s.stop:
		return false
	}
	timer := time.NewTimer(s.o.Gather)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-s.hurry:
	case <-ctx.Done():
		return false
	case <-s.stop:
		return false
	}
	return true
}

// apply commits everything that was published before it was called.
func (s *Store) apply() error {
	s.committing.Lock()
	defer s.committing.Unlock()

	s.mu.Lock()
	if err := s.failed; err != nil {
		s.mu.Unlock()
		return err
	}
	old := s.snap.Load()
	g := old.current
	if g.end == 0 {
		s.mu.Unlock()
		return nil
	}
	s.snap.Store(&snapshot{current: new(generation), committing: g, base: old.base, positions: old.positions})
	totals := maps.Clone(s.totals)
	s.mu.Unlock()
	s.o.Hook(PointFreeze)

	id, err := s.commit(g, totals)
	if err != nil {
		err = fmt.Errorf("state: applying up to journal offset %d: %w", g.end, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.broadcast()
	if err != nil {
		// The generation stays visible; what bbolt holds is what it held before.
		s.failed = err
		return err
	}
	old = s.snap.Load()
	s.snap.Store(&snapshot{current: old.current, base: id, positions: old.positions})
	s.applied, s.totals = g.end, totals
	s.o.Hook(PointDrop)
	return nil
}

// commit writes a generation in one transaction and returns its id.
func (s *Store) commit(g *generation, totals map[uint32]Totals) (id int, err error) {
	err = guard(s.path, func() error {
		tx, err := s.db.Begin(true)
		if err != nil {
			return err
		}
		defer tx.Rollback()
		id = tx.ID()
		s.o.Hook(PointBegin)
		if err := s.fill(tx, g, totals); err != nil {
			return err
		}
		s.o.Hook(PointRows)
		return tx.Commit()
	})
	if err == nil {
		s.o.Hook(PointCommit)
	}
	return id, err
}

// fill puts all rows of a generation, table by table in the order of keys.
func (s *Store) fill(tx *bbolt.Tx, g *generation, totals map[uint32]Totals) error {
	for t := Records; t < tables; t++ {
		if g.trees[t].n == 0 {
			continue
		}
		w, err := s.writer(tx, t)
		if err != nil {
			return err
		}
		var a ascent
		for a.seek(g.trees[t], nil); a.row() != nil; a.next() {
			if err := w.put(a.row(), totals); err != nil {
				return err
			}
		}
		w.finish()
	}
	logs, err := bucket(tx, logsBucket)
	if err != nil {
		return err
	}
	var a ascent
	for a.seek(g.logs, nil); a.row() != nil; a.next() {
		log := binary.BigEndian.Uint32(a.row().key)
		t := totals[log]
		value := t.appendLog(nil, log, binary.BigEndian.Uint64(a.row().value))
		if err := logs.Put(a.row().key, value); err != nil {
			return err
		}
	}
	h := header{format: Format, journal: s.o.Journal, applied: g.end}
	b, err := bucket(tx, headerBucket)
	if err != nil {
		return err
	}
	return b.Put([]byte(headerKey), h.encode())
}

// bucket returns a bucket that every state has.
func bucket(tx *bbolt.Tx, name string) (*bbolt.Bucket, error) {
	if b := tx.Bucket([]byte(name)); b != nil {
		return b, nil
	}
	return nil, brokenf("its bucket %q is missing", name)
}

// writer puts the rows of one table in ascending order.
type writer struct {
	table     Table
	live      *bbolt.Bucket
	cursor    *bbolt.Cursor
	withdrawn *bbolt.Bucket // of a versioned table, else nil
	fill      fillFactor
}

func (s *Store) writer(tx *bbolt.Tx, t Table) (*writer, error) {
	live, err := bucket(tx, t.String())
	if err != nil {
		return nil, err
	}
	if s.tails[t] == nil {
		s.tails[t] = make(map[string]struct{})
	}
	w := &writer{table: t, live: live, cursor: live.Cursor(), fill: fillFactor{tails: s.tails[t]}}
	if t.versioned() {
		w.withdrawn, err = bucket(tx, t.String()+withdrawnSuffix)
	}
	return w, err
}

// put puts one row and counts what it changes.
func (w *writer) put(r *row, totals map[uint32]Totals) error {
	k, old := w.cursor.Seek(r.key)
	found := bytes.Equal(k, r.key)
	if !w.table.versioned() {
		if r.value == nil {
			return w.live.Delete(r.key)
		}
		if !found {
			w.fill.insert(w.cursor, k, r.key)
		}
		return w.live.Put(r.key, r.value)
	}
	log := binary.BigEndian.Uint32(r.key)
	t := totals[log]
	if found {
		if len(old) < minVersioned {
			return brokenf("a value in %v has %d octets, fewer than its format and version", w.table, len(old))
		}
		if version(old) >= version(r.value) {
			return nil
		}
		t.take(w.table, false, r.key, old)
	} else if old = w.withdrawn.Get(r.key); old != nil {
		if len(old) < minVersioned {
			return brokenf("a value in %v has %d octets, fewer than its format and version", w.table, len(old))
		}
		if version(old) >= version(r.value) {
			return nil
		}
		t.take(w.table, true, r.key, old)
	}
	t.put(w.table, r.gone, r.key, r.value)
	totals[log] = t
	switch {
	case r.gone && found:
		if err := w.live.Delete(r.key); err != nil {
			return err
		}
	case !r.gone && !found:
		w.fill.insert(w.cursor, k, r.key)
		if old != nil {
			if err := w.withdrawn.Delete(r.key); err != nil {
				return err
			}
		}
	}
	if r.gone {
		return w.withdrawn.Put(r.key, r.value)
	}
	return w.live.Put(r.key, r.value)
}

// finish sets how full bbolt leaves the pages that it splits.
func (w *writer) finish() {
	if w.fill.ordered() {
		w.live.FillPercent = orderedFill
	}
}
