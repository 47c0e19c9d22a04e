package state

import (
	"bytes"
	"encoding/binary"
	"sync/atomic"
)

// Wanted is a live record that [Reader.LiveAll] looks for.
type Wanted struct {
	Log   uint32
	Key   []byte // without the log number
	Value []byte // what was found; nil when there is none
}

// wantedAtOnce is for how many records memory is asked before the first is looked at.
const wantedAtOnce = 64

// LiveAll is [Reader.Live] in [Records] for many keys. Where the index leads to them,
// nearly all that a record costs is waiting for memory; here they wait together.
func (r *Reader) LiveAll(wanted []Wanted) {
	for len(wanted) > 0 {
		n := min(len(wanted), wantedAtOnce)
		r.liveSome(wanted[:n])
		wanted = wanted[n:]
	}
}

func (r *Reader) liveSome(wanted []Wanted) {
	if r.leaves != nil {
		r.reading = true
		r.approach(wanted)
		r.reading = false
	}
	for i := range wanted {
		w := &wanted[i]
		// What the index leads to may still have been replaced in the overlay.
		if r.leaves != nil && w.Value != nil && !r.replaced(w) {
			continue
		}
		w.Value = r.Live(Records, w.Log, w.Key)
	}
}

// replaced reports whether the overlay has a row for a record.
func (r *Reader) replaced(w *Wanted) bool {
	if r.snap.empty() {
		return false
	}
	r.key = appendKey(r.key[:0], w.Log, w.Key)
	return r.snap.lookup(Records, r.key) != nil
}

// approach sets the values of records that the index leads to, the others to nil. It
// goes over all of them once for each thing that has to come from memory, so that the
// processor waits for all at once: bucket, head of the row, row.
func (r *Reader) approach(wanted []Wanted) {
	var hashes [wantedAtOnce]uint64
	var hints [wantedAtOnce]hint
	x, m := r.s.index, r.file
	for i := range wanted {
		wanted[i].Value = nil
		hashes[i] = hashKey(wanted[i].Log, wanted[i].Key)
	}
	var touched uint64
	for i := range wanted {
		touched += atomic.LoadUint64(&x.bucket(hashes[i])[0])
	}
	for i := range wanted {
		b, tag := x.bucket(hashes[i]), tagOf(hashes[i])
		for j := range b {
			if h := hint(atomic.LoadUint64(&b[j])); h.tag() == tag && r.leaves.has(h.page()) {
				hints[i] = h
				break
			}
		}
	}
	pages := uint64(m.size) / pageSize
	for i := range wanted {
		if h := hints[i]; h != 0 && h.page() < pages {
			at := h.page() * pageSize
			touched += uint64(*(*byte)(m.pointer(at)))
			touched += uint64(*(*byte)(m.pointer(at + (pageHeaderSize+uint64(h.element())*elementSize)%pageSize)))
		}
	}
	r.touched += touched // or it need not be read at all
	var rows [wantedAtOnce]struct{ key, value []byte }
	for i := range wanted {
		if hints[i] != 0 {
			rows[i].key, rows[i].value = m.row(hints[i].page(), hints[i].element())
		}
	}
	for i := range wanted {
		if k := rows[i].key; len(k) > 0 {
			touched += uint64(k[0]) + uint64(k[len(k)-1])
		}
		for v := rows[i].value; len(v) > 0; v = v[min(len(v), 64):] {
			touched += uint64(v[0])
		}
	}
	r.touched += touched
	for i := range wanted {
		w, k := &wanted[i], rows[i].key
		if len(k) == logSize+len(w.Key) && binary.BigEndian.Uint32(k) == w.Log && bytes.Equal(k[logSize:], w.Key) {
			w.Value = rows[i].value
		}
	}
}
