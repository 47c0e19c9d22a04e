package state

import (
	"encoding/binary"
	"unsafe"

	"github.com/cespare/xxhash/v2"
	"go.etcd.io/bbolt"
)

// shape is what the tree of the live records looks like as of one commit: which pages
// are its branches and which its leaves. It follows from commit to commit by reading
// only the branches that changed: bbolt never changes a page that a commit refers to,
// nor uses it for something else before the commit after. So a page that two commits
// in a row refer to is the same in both, with everything below it.
type shape struct {
	root     uint64
	depth    int // how many branches lead to a leaf
	branches map[uint64]struct{}
	leaves   *leaves
}

// recordsRoot returns the page in which the tree of the live records begins.
func recordsRoot(tx *bbolt.Tx) (uint64, error) {
	b, err := bucket(tx, Records.String())
	if err != nil {
		return 0, err
	}
	return uint64(b.Root()), nil
}

// follow makes the shape that of a transaction, which is that of the next commit, and
// returns the leaves that are new.
func (s *shape) follow(tx *bbolt.Tx) (fresh []uint64, err error) {
	root, err := recordsRoot(tx)
	if err != nil {
		return nil, err
	}
	m := mappingOf(tx)
	depth, err := m.depth(root)
	if err != nil {
		return nil, err
	}
	w := shapeWalk{m: m, before: s.branches, kept: make(map[uint64]struct{}), edit: s.leaves.edit()}
	if err := w.enter(root, depth); err != nil {
		return nil, err
	}
	if s.leaves != nil {
		if err := w.leave(s.root, s.depth); err != nil {
			return nil, err
		}
	}
	branches := w.before
	if branches == nil {
		branches = make(map[uint64]struct{})
	}
	for _, id := range w.left {
		delete(branches, id)
	}
	for _, id := range w.entered {
		branches[id] = struct{}{}
	}
	for _, id := range w.found {
		w.edit.add(id)
		if s.leaves == nil || !s.leaves.has(id) {
			fresh = append(fresh, id)
		}
	}
	*s = shape{root: root, depth: depth, branches: branches, leaves: w.edit.done()}
	return fresh, nil
}

// layout returns a digest of which page every leaf has and with which key it begins. Of two
// trees with the same rows and the same layout each row is in the same place.
func (s *shape) layout(m mapping) (uint64, error) {
	d := xxhash.New()
	err := m.addLayout(d, s.root, s.depth)
	return d.Sum64(), err
}

func (m mapping) addLayout(d *xxhash.Digest, id uint64, depth int) error {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:], id)
	if depth == 0 {
		_, err := d.Write(b[:8])
		return err
	}
	p, err := m.page(id)
	if err != nil {
		return err
	}
	for i := range p.count {
		head, key, _, err := p.element(i)
		if err != nil {
			return err
		}
		binary.BigEndian.PutUint64(b[8:], uint64(len(key)))
		_, _ = d.Write(b[:]) // it never fails
		_, _ = d.Write(key)
		if err := m.addLayout(d, child(head), depth-1); err != nil {
			return err
		}
	}
	return nil
}

// shapeWalk is one step from a commit to the next.
type shapeWalk struct {
	m             mapping
	before        map[uint64]struct{} // the branches of the commit before
	kept          map[uint64]struct{} // those of them that the new one has too
	entered, left []uint64            // branches
	found         []uint64            // leaves below those entered
	edit          *leafEdit
}

// enter walks what the new commit does not share with the one before.
func (w *shapeWalk) enter(id uint64, depth int) error {
	if depth == 0 {
		w.found = append(w.found, id)
		return nil
	}
	if _, ok := w.before[id]; ok {
		w.kept[id] = struct{}{}
		return nil
	}
	w.entered = append(w.entered, id)
	return w.m.children(id, func(child uint64) error { return w.enter(child, depth-1) })
}

// leave walks what the commit before does not share with the new one.
func (w *shapeWalk) leave(id uint64, depth int) error {
	if depth == 0 {
		w.edit.remove(id)
		return nil
	}
	if _, ok := w.kept[id]; ok {
		return nil
	}
	w.left = append(w.left, id)
	return w.m.children(id, func(child uint64) error { return w.leave(child, depth-1) })
}

// octets returns n octets of the file from an offset on; nil when they do not lie in it.
func (m mapping) octets(at, n uint64) []byte {
	if at > uint64(m.size) || n > uint64(m.size)-at {
		return nil
	}
	return unsafe.Slice((*byte)(m.pointer(at)), n)
}

// pointer returns where an offset of the file is in memory.
func (m mapping) pointer(at uint64) unsafe.Pointer {
	base := m.base // bbolt tells a number, and nothing of it is Go's memory
	return unsafe.Add(*(*unsafe.Pointer)(unsafe.Pointer(&base)), at)
}

// page returns a branch or a leaf where it is mapped.
func (m mapping) page(id uint64) (page, error) {
	if id >= uint64(m.size)/pageSize {
		return page{}, brokenf("page %d is used, but only %d pages are there", id, uint64(m.size)/pageSize)
	}
	b := m.octets(id*pageSize, pageSize)
	p := page{id: id, flags: native.Uint16(b[8:]), count: int(native.Uint16(b[10:])), more: uint64(native.Uint32(b[12:]))}
	if native.Uint64(b) != id || p.flags != branchFlag && p.flags != leafFlag || p.more > maxMore {
		return page{}, brokenf("page %d is neither branch nor leaf", id)
	}
	if p.data = m.octets(id*pageSize, (p.more+1)*pageSize); p.data == nil || pageHeaderSize+p.count*elementSize > len(p.data) {
		return page{}, brokenf("page %d cannot hold %d elements", id, p.count)
	}
	return p, nil
}

// children calls f with the pages that a branch leads to.
func (m mapping) children(id uint64, f func(child uint64) error) error {
	p, err := m.page(id)
	if err != nil {
		return err
	}
	if p.flags != branchFlag {
		return brokenf("page %d lies at the wrong depth", id)
	}
	for i := range p.count {
		if err := f(child(p.data[pageHeaderSize+i*elementSize:])); err != nil {
			return err
		}
	}
	return nil
}

// depth returns how many branches lead to a leaf.
func (m mapping) depth(root uint64) (int, error) {
	id := root
	for depth := range maxDepth {
		p, err := m.page(id)
		switch {
		case err != nil:
			return 0, err
		case p.flags == leafFlag:
			return depth, nil
		case p.count == 0:
			return 0, brokenf("branch page %d is empty", id)
		}
		id = child(p.data[pageHeaderSize:])
	}
	return 0, brokenf("the tree of page %d is too deep", root)
}
