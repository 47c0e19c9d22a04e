package state

import "bytes"

// trail checks the pages that a commit is about to change, once each, as they were
// when it began. bbolt would read a damaged page as it is, and write what comes of
// it over sound ones. The keys must ascend.
type trail struct {
	pageFile
	root uint64
	path []place // from the root to the leaf last checked
}

// place is a page on the way to a leaf, and the keys that belong below it.
type place struct {
	page
	low, high []byte
	siblings  bool // those beside it are checked too
}

// check checks the pages that a change of key touches: those that lead to its leaf
// and the leaf, and when the row is removed those beside them, which bbolt may merge.
func (t *trail) check(key []byte, removed bool) error {
	n := len(t.path)
	for n > 0 && !t.path[n-1].covers(key) {
		n--
	}
	if n == 0 {
		if err := t.enter(0, t.root, nil, nil, nil); err != nil {
			return err
		}
		n = 1
	}
	t.path = t.path[:n]
	for t.path[len(t.path)-1].flags == branchFlag {
		if err := t.descend(key); err != nil {
			return err
		}
	}
	if !removed {
		return nil
	}
	for i := 1; i < len(t.path); i++ {
		if err := t.checkSiblings(&t.path[i-1], &t.path[i]); err != nil {
			return err
		}
	}
	return nil
}

func (p *place) covers(key []byte) bool {
	return bytes.Compare(p.low, key) <= 0 && (p.high == nil || bytes.Compare(key, p.high) < 0)
}

// enter puts a page at a depth of the path. first is the least key that it may
// hold itself; at the left edge, keys from low on belong there too.
func (t *trail) enter(depth int, id uint64, first, low, high []byte) error {
	if depth == maxDepth {
		return brokenf("the tree of page %d is too deep", t.root)
	}
	var buf []byte
	if depth < cap(t.path) {
		buf = t.path[:depth+1][depth].data // of a page that was there before
	}
	p, err := t.read(id, buf)
	if err != nil {
		return err
	}
	if err := p.check(first, high); err != nil {
		return err
	}
	t.path = append(t.path[:depth], place{page: p, low: low, high: high})
	return nil
}

// descend goes on to the child that a key belongs to.
func (t *trail) descend(key []byte) error {
	depth := len(t.path)
	p := &t.path[depth-1]
	i, err := p.childOf(key)
	if err != nil {
		return err
	}
	head, first, _, err := p.element(i)
	if err != nil {
		return err
	}
	low, high := first, p.high
	if i == 0 {
		low = p.low
	}
	if i+1 < p.count {
		if _, high, _, err = p.element(i + 1); err != nil {
			return err
		}
	}
	return t.enter(depth, child(head), first, low, high)
}

// childOf returns the last child whose key is not above the given one, or the first.
func (p *place) childOf(key []byte) (int, error) {
	lo, hi := 0, p.count
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		_, k, _, err := p.element(mid)
		if err != nil {
			return 0, err
		}
		if bytes.Compare(k, key) <= 0 {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return max(0, lo-1), nil
}

// checkSiblings checks the pages to the left and right of a child.
func (t *trail) checkSiblings(parent, of *place) error {
	if of.siblings {
		return nil
	}
	of.siblings = true
	for i := range parent.count {
		head, _, _, err := parent.element(i)
		if err != nil {
			return err
		}
		if child(head) != of.id {
			continue
		}
		for _, k := range []int{i - 1, i + 1} {
			if k < 0 || k >= parent.count {
				continue
			}
			if err := t.checkChild(parent, k); err != nil {
				return err
			}
		}
		return nil
	}
	return brokenf("page %d does not lead to page %d", parent.id, of.id)
}

// checkChild checks the i-th child of a branch in itself.
func (t *trail) checkChild(parent *place, i int) error {
	head, first, _, err := parent.element(i)
	if err != nil {
		return err
	}
	high := parent.high
	if i+1 < parent.count {
		if _, high, _, err = parent.element(i + 1); err != nil {
			return err
		}
	}
	p, err := t.read(child(head), nil)
	if err != nil {
		return err
	}
	return p.check(first, high)
}
