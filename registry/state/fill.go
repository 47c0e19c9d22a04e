package state

import (
	"bytes"

	"go.etcd.io/bbolt"
)

// orderedFill is how full a page is left when it splits and keys arrive in
// order: nothing will be put into it later. In all other cases bbolt's half full
// serves best.
const orderedFill = 0.95

// runRows is from how many new rows without an older one between them on they
// count as a run by themselves.
const runRows = 4

// maxTails is how many ends of runs are remembered for a table.
const maxTails = 1024

// fillFactor finds out whether the new rows of a commit arrive in order. It looks
// at the gaps between older rows into which they fall: rows in order fill one gap
// from its beginning, behind where the last commit stopped; scattered ones fall
// into a gap each. So it recognises any number of registrars that each count
// upwards in a prefix of their own, however slowly.
type fillFactor struct {
	tails map[string]struct{} // the last keys of the runs of earlier commits

	after     []byte // the older key behind the current gap; nil for the end
	rows      int    // new rows in the gap
	continues bool   // the gap begins where an earlier run ended
	last      []byte
	total     int // new rows
	inOrder   int // those of them that came in order
}

// insert notes a new row and the older key behind it. The cursor stands there.
func (f *fillFactor) insert(c *bbolt.Cursor, behind, key []byte) {
	if f.rows == 0 || !bytes.Equal(f.after, behind) {
		f.close()
		f.after = behind
		var before []byte
		if behind == nil {
			before, _ = c.Last()
		} else {
			before, _ = c.Prev()
		}
		_, f.continues = f.tails[string(before)]
		if f.continues {
			delete(f.tails, string(before))
		}
	}
	f.rows++
	f.total++
	f.last = key
}

// close ends the current gap.
func (f *fillFactor) close() {
	if f.rows == 0 {
		return
	}
	if f.continues || f.rows >= runRows {
		f.inOrder += f.rows
	}
	for k := range f.tails {
		if len(f.tails) < maxTails {
			break
		}
		delete(f.tails, k)
	}
	f.tails[string(f.last)] = struct{}{}
	f.rows = 0
}

// ordered reports whether most of the new rows came in order.
func (f *fillFactor) ordered() bool {
	f.close()
	return f.total > 0 && 4*f.inOrder >= 3*f.total
}
