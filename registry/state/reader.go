package state

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"runtime/debug"

	"go.etcd.io/bbolt"
)

// Reader reads one snapshot of the state: everything that was published before
// [Store.View] was called, and nothing later. It belongs to one goroutine and to
// the call that made it.
type Reader struct {
	s    *Store
	snap *snapshot
	// leaves are those of the transaction; nil when the index is not to be used.
	leaves *leaves
	tx     *bbolt.Tx
	file   mapping
	key    []byte // of the row that is being looked for: log number, key
	room   [128]byte

	live      [tables]*bbolt.Cursor
	withdrawn [tables]*bbolt.Cursor

	gap  gap // where bbolt was last found to hold nothing
	over gap // the same of the overlay
	// What was last looked for and not found, so that its neighbours need not be searched.
	missedLive, missedWithdrawn miss

	touched uint64 // of what was read for no other reason than that it be near

	// reading is set while bbolt is at work: a panic then is damage.
	reading bool
}

// View calls f with a reader and returns what f returns. Everything that the
// reader gives is valid until f returns.
//
// f should be short and must not wait for the store: the pages that a reader may
// still see are not written again, so while it lasts the file grows instead. Scans
// belong to [Store.Ascend].
//
// A [*DamageError] says that a page cannot be read or does not make sense. Others
// may be sound: that other calls fail too is not said.
func (s *Store) View(f func(*Reader) error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	r := &Reader{s: s}
	r.key = r.room[:0]
	defer r.done(&err)
	if err := r.begin(); err != nil {
		return err
	}
	err = f(r)
	if r.reading { // f recovered what it should have let through
		return &DamageError{s.path, "a page does not make sense"}
	}
	return err
}

// begin captures the overlay and then opens a transaction.
//
// The order matters. A row leaves the overlay only after bbolt holds it, so a
// transaction that is opened after the capture finds what the capture lacks. The
// other way round, the applier may commit a row and drop it from the overlay in
// between: the transaction is too old for it, and the overlay too young.
//
// Should the applier get more than one commit ahead in between, the transaction
// holds rows that the capture does not know of; then both are taken anew.
func (r *Reader) begin() error {
	for {
		r.snap = r.s.snap.Load()
		r.s.o.Hook(PointView)
		tx, err := r.s.begin(false)
		if err != nil {
			return err
		}
		r.tx = tx
		ahead := tx.ID() - r.snap.base
		if ahead == 0 || ahead == 1 && r.snap.committing {
			r.file = mappingOf(tx)
			if ahead == 0 && r.s.index != nil && !r.s.index.off.Load() {
				r.leaves = r.snap.leaves
			}
			return nil
		}
		r.tx = nil
		_ = tx.Rollback() // of a reader: it cannot fail
	}
}

// done ends the transaction and makes damage of a panic that is damage.
func (r *Reader) done(err *error) {
	p := recover()
	if f, ok := p.(fault); ok && r.s.index.holds(f.Addr()) {
		r.s.index.off.Store(true) // it was cut; the next call does without it
	}
	if f, ok := p.(fault); ok && !r.reading && r.tx != nil {
		// f read octets that it got from the reader.
		r.reading = r.file.at(f.Addr())
	}
	if r.tx != nil {
		_ = r.tx.Rollback() // of a reader: it cannot fail
		r.tx = nil
	}
	switch {
	case p == nil:
	case r.reading:
		*err = &DamageError{r.s.path, reason(p)}
	default:
		panic(p)
	}
}

// Position returns how many entries of a log the snapshot holds.
func (r *Reader) Position(log uint32) uint64 { return r.snap.position(log) }

// Get returns the value of a row, be it withdrawn or not; nil when there is none.
func (r *Reader) Get(t Table, log uint32, key []byte) []byte {
	r.key = appendKey(r.key[:0], log, key)
	value, _ := r.find(t, r.overlaid(t))
	return value
}

// overlaid returns what the overlay knows of the row that r.key names, or nil.
func (r *Reader) overlaid(t Table) *row {
	if r.over.holds(t, r.key) {
		return nil
	}
	row, behind := r.snap.lookupAnd(t, r.key)
	if row == nil && !r.snap.empty() {
		r.over.set(t, r.key, behind, nil)
	}
	return row
}

// Live returns the value of a row that is not withdrawn; nil when there is none.
// It costs less than Get where there is nothing.
func (r *Reader) Live(t Table, log uint32, key []byte) []byte {
	r.key = appendKey(r.key[:0], log, key)
	row := r.snap.lookup(t, r.key)
	if row == nil {
		value := r.stored(t)
		if value == nil {
			r.checkNeighbours(t, r.cursor(t), r.key, false)
		}
		return value
	}
	value, gone := r.find(t, row)
	if gone {
		return nil
	}
	return value
}

// find returns the value of the row that r.key names, and whether it is withdrawn.
// over is what the overlay has. Where versions count, it only does above the version
// that bbolt holds: of equal ones the first stays, as it does in a commit. The
// second need not be the same to the last octet, since the change that repeats a row
// may have been signed anew.
func (r *Reader) find(t Table, over *row) (value []byte, gone bool) {
	if over != nil && !t.versioned() {
		return over.value, over.gone
	}
	if r.gap.holds(t, r.key) {
		if over == nil {
			return nil, false
		}
		return over.value, over.gone
	}
	value = r.stored(t)
	if value == nil && t.versioned() {
		value = r.get(r.withdrawnCursor(t), r.key, &r.missedWithdrawn)
		gone = value != nil
	}
	if over == nil && value == nil {
		r.checkAbsence(t)
	}
	if over != nil && (len(value) < minVersioned || version(value) < version(over.value)) {
		return over.value, over.gone
	}
	return value, gone
}

// AnyWithPrefix reports whether there is a row whose key begins with prefix and
// that is not withdrawn. Its work does not depend on how many there are, nor on
// how many were withdrawn or removed, but for those that are not committed yet.
func (r *Reader) AnyWithPrefix(t Table, log uint32, prefix []byte) bool {
	r.key = appendKey(r.key[:0], log, prefix)
	prefix = r.key
	cursor := r.cursor(t)
	stored, _ := r.seek(cursor, prefix)
	r.missedLive = miss{}

	// Where one of the overlays has a row, it hides those of the same key below
	// it. So the rows are met in the order of keys, and the first that is not
	// hidden decides.
	var few [2]*generation
	generations := r.snap.overlays(few[:0])
	var room [2]ascent
	over := room[:]
	if len(generations) > len(room) {
		over = make([]ascent, len(generations))
	}
	for i, g := range generations {
		over[i].seek(g.trees[t], prefix)
	}
	for {
		var first []byte
		if bytes.HasPrefix(stored, prefix) {
			first = stored
		}
		gone := false
		for i := len(over) - 1; i >= 0; i-- { // the newest says the last word
			row := over[i].row()
			if !underPrefix(row, prefix) {
				continue
			}
			if first == nil || bytes.Compare(row.key, first) <= 0 {
				first, gone = row.key, row.gone
			}
		}
		if first == nil {
			r.checkNeighbours(t, cursor, prefix, false)
			return false
		}
		if !gone {
			return true
		}
		if bytes.Equal(stored, first) {
			stored, _ = r.next(cursor)
		}
		for i := range over {
			if row := over[i].row(); row != nil && bytes.Equal(row.key, first) {
				over[i].next()
			}
		}
	}
}

// Run returns where in the journal to begin reading for the entry of a log at a
// position: the journal offset of an entry at or before it, and its position. ok
// is false when none is known.
func (r *Reader) Run(log uint32, position uint64) (at, first uint64, ok bool) {
	want := runRow(log, position, 0).key
	r.key = append(r.key[:0], want...)
	k, v := r.floor(r.cursor(runs), r.key)
	var few [2]*generation
	for _, g := range r.snap.overlays(few[:0]) {
		if row := g.trees[runs].floor(want); row != nil && bytes.Compare(row.key, k) >= 0 {
			k, v = row.key, row.value
		}
	}
	if len(k) != len(want) || len(v) != 8 || !bytes.Equal(k[:logSize], want[:logSize]) {
		return 0, 0, false
	}
	return binary.BigEndian.Uint64(v), binary.BigEndian.Uint64(k[logSize:]), true
}

// cursor returns the cursor over a table in bbolt.
func (r *Reader) cursor(t Table) *bbolt.Cursor {
	if r.live[t] == nil {
		r.live[t] = r.open(t.String())
	}
	return r.live[t]
}

func (r *Reader) withdrawnCursor(t Table) *bbolt.Cursor {
	if r.withdrawn[t] == nil {
		r.withdrawn[t] = r.open(t.withdrawnBucket())
	}
	return r.withdrawn[t]
}

func (r *Reader) open(name string) *bbolt.Cursor {
	r.reading = true
	b := r.tx.Bucket([]byte(name))
	if b == nil {
		panic(fmt.Sprintf("its bucket %q is missing", name))
	}
	r.reading = false
	return b.Cursor()
}

// stored returns the value of the live row that r.key names in bbolt, or nil.
func (r *Reader) stored(t Table) []byte {
	if t == Records && r.leaves != nil {
		r.reading = true
		value := r.s.index.lookup(r.file, r.leaves, hashOf(r.key), r.key)
		r.reading = false
		if value != nil {
			return value
		}
	}
	return r.get(r.cursor(t), r.key, &r.missedLive)
}

// miss is where a cursor stands that did not find a key: at the row behind it.
type miss struct {
	cursor     *bbolt.Cursor // nil when it has moved since
	key, value []byte
}

// get returns the value of a key in bbolt, or nil and where the cursor stands.
func (r *Reader) get(c *bbolt.Cursor, key []byte, missed *miss) []byte {
	k, v := r.seek(c, key)
	if !bytes.Equal(k, key) {
		*missed = miss{c, k, v}
		return nil
	}
	*missed = miss{}
	return v
}

// seek moves a cursor to the first key not below the given one.
func (r *Reader) seek(c *bbolt.Cursor, key []byte) (k, v []byte) {
	r.reading = true
	k, v = c.Seek(key)
	return r.checked(k, v)
}

func (r *Reader) next(c *bbolt.Cursor) (k, v []byte) {
	r.reading = true
	k, v = c.Next()
	return r.checked(k, v)
}

// floor moves a cursor to the last key not above the given one.
func (r *Reader) floor(c *bbolt.Cursor, key []byte) (k, v []byte) {
	r.reading = true
	k, v = c.Seek(key)
	switch {
	case k == nil:
		k, v = c.Last()
	case !bytes.Equal(k, key):
		k, v = c.Prev()
	}
	return r.checked(k, v)
}

// checked ends a reading with octets that lie where they can be read.
func (r *Reader) checked(k, v []byte) ([]byte, []byte) {
	if err := r.file.check(k, v); err != nil {
		panic(err)
	}
	r.reading = false
	return k, v
}
