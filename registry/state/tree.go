package state

import (
	"bytes"
	"slices"
)

// maxRows is how many rows a node of a tree has at most. It is even, so that a
// full node splits into two halves around a middle row.
const maxRows = 32

// row is one row of a tree. Its bytes never change.
type row struct {
	key   []byte
	value []byte
	// gone marks a row that hides the one below it: withdrawn (then value is the
	// tombstone) or removed (then it is nil).
	gone bool
}

// tree is a B-tree whose nodes are shared between its versions: a copy of the
// struct is a snapshot. An edit copies the nodes on its way once, so readers of
// older versions need no lock.
type tree struct {
	root *node
	n    int
}

type node struct {
	edit *edit
	rows []row
	kids []*node // nil in a leaf, else one more than rows
}

// edit is the right to change the nodes that it made itself. It is over once the
// tree is handed to readers.
type edit struct{ _ byte }

// find returns where the key is in the node or belongs.
func (n *node) find(key []byte) (int, bool) {
	lo, hi := 0, len(n.rows)
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		switch c := bytes.Compare(n.rows[mid].key, key); {
		case c == 0:
			return mid, true
		case c < 0:
			lo = mid + 1
		default:
			hi = mid
		}
	}
	return lo, false
}

// get returns the row with the key, or nil.
func (t tree) get(key []byte) *row {
	r, _ := t.search(key)
	return r
}

// search returns the row with the key, or nil and the key of the first row behind; nil
// when there is none.
func (t tree) search(key []byte) (r *row, behind []byte) {
	for n := t.root; n != nil; {
		i, found := n.find(key)
		if found {
			return &n.rows[i], nil
		}
		if i < len(n.rows) {
			behind = n.rows[i].key
		}
		if n.kids == nil {
			break
		}
		n = n.kids[i]
	}
	return nil, behind
}

// floor returns the row with the greatest key not above the given one, or nil.
func (t tree) floor(key []byte) *row {
	var best *row
	for n := t.root; n != nil; {
		i, found := n.find(key)
		if found {
			return &n.rows[i]
		}
		if i > 0 {
			best = &n.rows[i-1]
		}
		if n.kids == nil {
			break
		}
		n = n.kids[i]
	}
	return best
}

// put puts a row in place of the one with the same key and returns that.
func (t *tree) put(e *edit, r row) (old row, replaced bool) {
	if t.root == nil {
		t.root = &node{edit: e, rows: []row{r}}
		t.n = 1
		return row{}, false
	}
	t.root = t.root.owned(e)
	if len(t.root.rows) >= maxRows {
		left := t.root
		middle, right := left.split(e)
		t.root = &node{edit: e, rows: []row{middle}, kids: []*node{left, right}}
	}
	old, replaced = t.root.put(e, r)
	if !replaced {
		t.n++
	}
	return old, replaced
}

// owned returns the node itself when the edit made it, else a copy.
func (n *node) owned(e *edit) *node {
	if n.edit == e {
		return n
	}
	c := &node{edit: e, rows: make([]row, len(n.rows), len(n.rows)+1)}
	copy(c.rows, n.rows)
	if n.kids != nil {
		c.kids = make([]*node, len(n.kids), len(n.kids)+1)
		copy(c.kids, n.kids)
	}
	return c
}

// split cuts a full node that the edit owns in two and returns the row between
// them and the right one.
func (n *node) split(e *edit) (row, *node) {
	const half = maxRows / 2
	middle := n.rows[half]
	right := &node{edit: e, rows: slices.Clone(n.rows[half+1:])}
	clear(n.rows[half:])
	n.rows = n.rows[:half]
	if n.kids != nil {
		right.kids = slices.Clone(n.kids[half+1:])
		clear(n.kids[half+1:])
		n.kids = n.kids[:half+1]
	}
	return middle, right
}

// put works on a node that the edit owns and that is not full.
func (n *node) put(e *edit, r row) (row, bool) {
	for {
		i, found := n.find(r.key)
		if found {
			old := n.rows[i]
			n.rows[i] = r
			return old, true
		}
		if n.kids == nil {
			n.rows = slices.Insert(n.rows, i, r)
			return row{}, false
		}
		kid := n.kids[i].owned(e)
		n.kids[i] = kid
		if len(kid.rows) >= maxRows {
			middle, right := kid.split(e)
			n.rows = slices.Insert(n.rows, i, middle)
			n.kids = slices.Insert(n.kids, i+1, right)
			switch c := bytes.Compare(r.key, middle.key); {
			case c == 0:
				continue // it is the middle row, which now stands here
			case c > 0:
				kid = right
			}
		}
		n = kid
	}
}

// ascent walks a tree in the order of keys. The zero ascent is at the end.
type ascent struct {
	stack []step
}

// step is a node on the way, and the row in it that comes next.
type step struct {
	n *node
	i int
}

// seek moves to the first row whose key is not below the given one.
func (a *ascent) seek(t tree, key []byte) {
	a.stack = a.stack[:0]
	for n := t.root; n != nil; {
		i, found := n.find(key)
		a.stack = append(a.stack, step{n, i})
		if found || n.kids == nil {
			break
		}
		n = n.kids[i]
	}
	a.settle()
}

// settle leaves the nodes that have no row left.
func (a *ascent) settle() {
	for len(a.stack) > 0 {
		top := a.stack[len(a.stack)-1]
		if top.i < len(top.n.rows) {
			return
		}
		a.stack = a.stack[:len(a.stack)-1]
	}
}

// row returns the row that the ascent is at; nil at the end.
func (a *ascent) row() *row {
	if len(a.stack) == 0 {
		return nil
	}
	top := a.stack[len(a.stack)-1]
	return &top.n.rows[top.i]
}

// next moves to the row behind.
func (a *ascent) next() {
	if len(a.stack) == 0 {
		return
	}
	top := &a.stack[len(a.stack)-1]
	top.i++
	if top.n.kids != nil {
		for n := top.n.kids[top.i]; n != nil; {
			a.stack = append(a.stack, step{n, 0})
			if n.kids == nil {
				break
			}
			n = n.kids[0]
		}
	}
	a.settle()
}
