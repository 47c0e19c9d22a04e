package state

import (
	"bytes"
	"encoding/binary"

	"go.etcd.io/bbolt"
)

// transaction is what a commit writes with.
type transaction struct {
	s     *Store
	tx    *bbolt.Tx
	pages pageFile
	roots trail // of the bucket that holds the others
}

func (s *Store) transaction(tx *bbolt.Tx) *transaction {
	pages := pageFile{f: s.file, high: uint64(tx.Size()) / pageSize}
	return &transaction{s: s, tx: tx, pages: pages, roots: trail{pageFile: pages, root: uint64(tx.Cursor().Bucket().Root())}}
}

// shelf is a bucket whose pages are checked before they change. Its keys ascend.
type shelf struct {
	*bbolt.Bucket
	trail trail
}

func (w *transaction) shelf(name string) (*shelf, error) {
	w.roots.path = w.roots.path[:0] // names do not ascend
	if err := w.roots.check([]byte(name), false); err != nil {
		return nil, err
	}
	b, err := bucket(w.tx, name)
	if err != nil {
		return nil, err
	}
	return &shelf{b, trail{pageFile: w.pages, root: uint64(b.Root())}}, nil
}

func (s *shelf) put(key, value []byte) error {
	if err := s.trail.check(key, false); err != nil {
		return err
	}
	return s.Put(key, value)
}

func (s *shelf) remove(key []byte) error {
	if err := s.trail.check(key, true); err != nil {
		return err
	}
	return s.Delete(key)
}

// fill puts all rows of a generation, table by table in the order of keys.
func (w *transaction) fill(g *generation, totals map[uint32]Totals) error {
	for t := Records; t < tables; t++ {
		if g.trees[t].n == 0 {
			continue
		}
		if err := w.fillTable(t, g.trees[t], totals); err != nil {
			return err
		}
	}
	logs, err := w.shelf(logsBucket)
	if err != nil {
		return err
	}
	var a ascent
	for a.seek(g.logs, nil); a.row() != nil; a.next() {
		log := binary.BigEndian.Uint32(a.row().key)
		t := totals[log]
		value := t.appendLog(nil, log, binary.BigEndian.Uint64(a.row().value))
		if err := logs.put(a.row().key, value); err != nil {
			return err
		}
	}
	b, err := w.shelf(headerBucket)
	if err != nil {
		return err
	}
	h := header{format: Format, journal: w.s.o.Journal, applied: g.end}
	return b.put([]byte(headerKey), h.encode())
}

func (w *transaction) fillTable(t Table, rows tree, totals map[uint32]Totals) error {
	tw, err := w.table(t)
	if err != nil {
		return err
	}
	var a ascent
	for a.seek(rows, nil); a.row() != nil; a.next() {
		if err := tw.put(a.row(), totals); err != nil {
			return err
		}
	}
	if tw.fill.ordered() {
		tw.live.FillPercent = orderedFill
	}
	return nil
}

// writer puts the rows of one table in ascending order.
type writer struct {
	table     Table
	live      *shelf
	withdrawn *shelf // of a versioned table, else nil
	fill      fillFactor
	// What is there already, of each.
	there search
	gone  search
}

// search looks for keys, of which each is above the last. It remembers in front of what the
// last one would have stood: new rows in order lie in the same place one after the other,
// and bbolt need not be asked for each. A row that is put meanwhile is no matter, for
// its key is below those that are still to come.
type search struct {
	cursor *bbolt.Cursor
	behind []byte // the key behind the last one that was not there; nil for the end
	known  bool
}

// find returns the value of a key, or false and the key behind it; nil when there is none.
// Where it had to search, the cursor stands at either.
func (s *search) find(key []byte) (value, behind []byte, found bool) {
	if s.known && (s.behind == nil || bytes.Compare(key, s.behind) < 0) {
		return nil, s.behind, false
	}
	k, v := s.cursor.Seek(key)
	if s.known = !bytes.Equal(k, key); !s.known {
		return v, nil, true
	}
	s.behind = k
	return nil, k, false
}

func (w *transaction) table(t Table) (*writer, error) {
	live, err := w.shelf(t.String())
	if err != nil {
		return nil, err
	}
	if w.s.tails[t] == nil {
		w.s.tails[t] = make(map[string]struct{})
	}
	tw := &writer{table: t, live: live, there: search{cursor: live.Cursor()}, fill: fillFactor{tails: w.s.tails[t]}}
	if !t.versioned() {
		return tw, nil
	}
	if tw.withdrawn, err = w.shelf(t.withdrawnBucket()); err != nil {
		return nil, err
	}
	tw.gone.cursor = tw.withdrawn.Cursor()
	return tw, nil
}

// put puts one row and counts what it changes.
func (w *writer) put(r *row, totals map[uint32]Totals) error {
	log := binary.BigEndian.Uint32(r.key)
	t := totals[log]
	var err error
	if w.table.versioned() {
		err = w.raise(r, &t)
	} else {
		err = w.replace(r, &t)
	}
	totals[log] = t
	return err
}

// replace puts or removes a row of a table without versions.
func (w *writer) replace(r *row, t *Totals) error {
	old, behind, found := w.there.find(r.key)
	if found {
		if err := w.plausible(old, 0); err != nil {
			return err
		}
		t.take(w.table, false, r.key, old)
	} else if r.value != nil {
		w.fill.insert(w.there.cursor, behind, r.key)
	}
	if r.value == nil {
		return w.live.remove(r.key)
	}
	t.put(w.table, false, r.key, r.value)
	return w.live.put(r.key, r.value)
}

// raise puts a row of a versioned table unless there is one of no lower version.
func (w *writer) raise(r *row, t *Totals) error {
	old, behind, wasLive := w.there.find(r.key)
	wasGone := false
	if !wasLive {
		old, _, wasGone = w.gone.find(r.key)
	}
	if wasLive || wasGone {
		if err := w.plausible(old, minVersioned); err != nil {
			return err
		}
		if version(old) >= version(r.value) {
			return nil
		}
		t.take(w.table, !wasLive, r.key, old)
	}
	t.put(w.table, r.gone, r.key, r.value)
	switch {
	case r.gone && wasLive:
		if err := w.live.remove(r.key); err != nil {
			return err
		}
	case !r.gone && !wasLive:
		w.fill.insert(w.there.cursor, behind, r.key)
		if !wasGone {
			break
		}
		if err := w.withdrawn.remove(r.key); err != nil {
			return err
		}
	}
	if r.gone {
		return w.withdrawn.put(r.key, r.value)
	}
	return w.live.put(r.key, r.value)
}

// plausible returns what is wrong with the size of a stored value.
func (w *writer) plausible(value []byte, least int) error {
	if len(value) < least || len(value) > MaxValue {
		return brokenf("a value in %v has %d octets", w.table, len(value))
	}
	return nil
}
