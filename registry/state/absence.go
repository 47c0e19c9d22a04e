package state

import (
	"bytes"
	"encoding/binary"

	"go.etcd.io/bbolt"
)

// A leaf page has no checksum, and its rows only one of their own. Where a key has
// changed, a search for the right one goes astray at that row at the latest, in a
// branch page at the child it is about, and ends beside it: next to a row that fails
// its checksum, or between two that are not in order. So whoever finds nothing looks
// at both neighbours.

// checkAbsence checks that bbolt does not hold the row that r.key names, and remembers how
// far it holds no other either.
func (r *Reader) checkAbsence(t Table) {
	live, checked := r.checkNeighbours(t, r.cursor(t), r.key, false)
	var withdrawn []byte
	if t.versioned() {
		withdrawn, checked = r.checkNeighbours(t, r.withdrawnCursor(t), r.key, true)
	}
	if checked {
		r.gap.set(t, r.key, live, withdrawn)
	}
}

// gap is where a table holds nothing: behind a key and in front of the next ones, live and
// withdrawn; nil where there is none. Whoever registers many identifiers in order asks for
// one after the other that is not there: all of them have the same neighbours, which have
// been looked at.
type gap struct {
	table           Table
	from            []byte // nil where nothing is known
	live, withdrawn []byte
}

// set makes the gap one that begins with a key.
func (g *gap) set(t Table, from, live, withdrawn []byte) {
	*g = gap{table: t, from: append(g.from[:0], from...), live: live, withdrawn: withdrawn}
}

// holds reports whether a key of a table lies in the gap.
func (g *gap) holds(t Table, key []byte) bool {
	return len(g.from) > 0 && g.table == t && bytes.Compare(g.from, key) <= 0 &&
		(g.live == nil || bytes.Compare(key, g.live) < 0) && (g.withdrawn == nil || bytes.Compare(key, g.withdrawn) < 0)
}

// checkNeighbours checks the rows next to where a key would stand that is not there, and
// returns the key of the one behind; false when nothing is checked here. What is wrong is a
// panic that the view makes a [*DamageError] of.
func (r *Reader) checkNeighbours(t Table, c *bbolt.Cursor, key []byte, withdrawn bool) (next []byte, checked bool) {
	if r.s.o.CheckRow == nil {
		return nil, false
	}
	missed := &r.missedLive
	if withdrawn {
		missed = &r.missedWithdrawn
	}
	behind, value := missed.key, missed.value
	if missed.cursor != c {
		behind, value = r.seek(c, key)
	}
	*missed = miss{} // the cursor moves on
	r.checkNeighbour(t, behind, value, withdrawn)
	var farBehind []byte
	if behind != nil {
		if farBehind, _ = r.next(c); farBehind != nil {
			r.prev(c, false) // back again; at the end it has not moved
		}
	}
	before, value := r.prev(c, behind == nil)
	r.checkNeighbour(t, before, value, withdrawn)
	var farBefore []byte
	if before != nil {
		farBefore, _ = r.prev(c, false)
	}
	// A changed log number shows in no checksum, but in the order.
	r.reading = true
	last := []byte(nil)
	for _, k := range [...][]byte{farBefore, before, key, behind, farBehind} {
		if k == nil {
			continue
		}
		if bytes.Compare(last, k) > 0 {
			panic(brokenf("the keys of %v are out of order", t))
		}
		last = k
	}
	r.reading = false
	return behind, true
}

// prev moves a cursor to the row before, or to the last of all.
func (r *Reader) prev(c *bbolt.Cursor, last bool) (k, v []byte) {
	r.reading = true
	if last {
		k, v = c.Last()
	} else {
		k, v = c.Prev()
	}
	return r.checked(k, v)
}

func (r *Reader) checkNeighbour(t Table, key, value []byte, withdrawn bool) {
	if len(key) < logSize {
		return // none, or the pad
	}
	r.reading = true
	if r.snap.positions.get(key[:logSize]) == nil {
		panic(brokenf("%v has a row of log %d, of which nothing else is known", t, binary.BigEndian.Uint32(key)))
	}
	if err := r.s.o.CheckRow(t, Row{Key: key[logSize:], Value: value, Withdrawn: withdrawn}); err != nil {
		panic(err)
	}
	r.reading = false
}
