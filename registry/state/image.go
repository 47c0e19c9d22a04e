package state

import (
	"fmt"
	"hash/fnv"
	"io"
)

// meta is what a meta page says.
type meta struct {
	root, freelist, high, tx uint64
}

// image is a bbolt file whose structure is being checked: meta pages, free list,
// and every branch page. Leaf pages, which are nearly all, are only read by a full
// check.
type image struct {
	pageFile
	meta meta
	seen []uint64     // a bit for every page that something refers to
	stop func() error // asked for every page; may be nil
}

// openImage reads the meta pages. The error is a *notBolt when the file was never
// one of bbolt's.
func openImage(f io.ReaderAt, size int64) (*image, error) {
	m, err := readMeta(f)
	if err != nil {
		return nil, err
	}
	if m.high < 4 || m.high > uint64(size)/pageSize {
		return nil, brokenf("it has %d octets where its meta page says %d pages of %d: it was cut short", size, m.high, pageSize)
	}
	im := &image{pageFile: pageFile{f, m.high}, meta: m, seen: make([]uint64, m.high/64+1)}
	return im, im.claim(0, 2)
}

// notBolt says that a file has no meta page.
type notBolt struct{ reason string }

func (e *notBolt) Error() string { return e.reason }

// readMeta returns the newer of the two meta pages that are sound.
func readMeta(f io.ReaderAt) (meta, error) {
	var best meta
	var buf [pageHeaderSize + metaSumSize + 8]byte
	sound, known := false, false
	for i := range 2 {
		if _, err := f.ReadAt(buf[:], int64(i)*pageSize); err != nil {
			continue // as good as damaged
		}
		b := buf[pageHeaderSize:]
		if native.Uint32(b) != boltMagic {
			continue
		}
		known = true
		sum := fnv.New64a()
		sum.Write(b[:metaSumSize])
		if sum.Sum64() != native.Uint64(b[metaSumSize:]) || native.Uint32(b[4:]) != boltVersion {
			continue
		}
		if size := native.Uint32(b[8:]); size != pageSize {
			return meta{}, &notBolt{fmt.Sprintf("it is a bbolt file with pages of %d octets", size)}
		}
		m := meta{root: native.Uint64(b[16:]), freelist: native.Uint64(b[32:]), high: native.Uint64(b[40:]), tx: native.Uint64(b[48:])}
		if !sound || m.tx > best.tx {
			best, sound = m, true
		}
	}
	switch {
	case sound:
		return best, nil
	case known:
		return meta{}, brokenf("neither of its meta pages is sound")
	}
	return meta{}, &notBolt{"it does not begin as a bbolt file does"}
}

// claim marks pages as used, each of which only one thing may use.
func (im *image) claim(id, n uint64) error {
	for ; n > 0; id, n = id+1, n-1 {
		if id >= im.meta.high {
			return brokenf("page %d is used, but only %d pages are there", id, im.meta.high)
		}
		if im.seen[id/64]&(1<<(id%64)) != 0 {
			return brokenf("page %d is used twice", id)
		}
		im.seen[id/64] |= 1 << (id % 64)
	}
	return nil
}

// load reads a page and claims those that continue it; it itself is claimed where
// it is referred to.
func (im *image) load(id uint64) (page, error) {
	if im.stop != nil {
		if err := im.stop(); err != nil {
			return page{}, err
		}
	}
	p, err := im.read(id, nil)
	if err != nil {
		return page{}, err
	}
	return p, im.claim(id+1, p.more)
}

func (im *image) checkFreelist() error {
	id := im.meta.freelist
	if err := im.claim(id, 1); err != nil {
		return err
	}
	p, err := im.load(id)
	if err != nil {
		return err
	}
	if p.flags != freelistFlag {
		return brokenf("page %d is not the free list", id)
	}
	ids := p.data[pageHeaderSize:]
	count := uint64(p.count)
	if count == 0xFFFF {
		count, ids = native.Uint64(ids), ids[8:]
	}
	if count > uint64(len(ids)/8) {
		return brokenf("the free list cannot hold %d pages", count)
	}
	for i := range count {
		if err := im.claim(native.Uint64(ids[8*i:]), 1); err != nil {
			return err
		}
	}
	return nil
}

// tree checks the tree below a root page. row, when not nil, gets every row of
// the leaves, which are then all read.
func (im *image) tree(root uint64, row func(flags uint32, key, value []byte) error) error {
	depth, err := im.depth(root)
	if err != nil {
		return err
	}
	if err := im.claim(root, 1); err != nil {
		return err
	}
	return im.walk(root, depth, nil, nil, row)
}

// depth returns how many branch pages lead to a leaf.
func (im *image) depth(root uint64) (int, error) {
	var b [pageHeaderSize + elementSize]byte
	id := root
	for depth := range maxDepth {
		if id >= im.meta.high {
			return 0, brokenf("page %d is used, but only %d pages are there", id, im.meta.high)
		}
		if _, err := im.f.ReadAt(b[:], int64(id)*pageSize); err != nil {
			return 0, brokenf("page %d cannot be read: %v", id, err)
		}
		switch native.Uint16(b[8:]) {
		case leafFlag:
			return depth, nil
		case branchFlag:
			id = native.Uint64(b[pageHeaderSize+8:])
		default:
			return 0, brokenf("page %d is neither branch nor leaf", id)
		}
	}
	return 0, brokenf("the tree of page %d is too deep", root)
}

// walk checks a page and what is below it: depth more levels, and keys from low on
// and below high, where these are not nil.
func (im *image) walk(id uint64, depth int, low, high []byte, row func(uint32, []byte, []byte) error) error {
	if depth == 0 && row == nil {
		return nil
	}
	p, err := im.load(id)
	if err != nil {
		return err
	}
	if (p.flags == leafFlag) != (depth == 0) {
		return brokenf("page %d lies at the wrong depth", id)
	}
	if err := p.check(low, high); err != nil {
		return err
	}
	for i := range p.count {
		head, key, value, err := p.element(i)
		if err != nil {
			return err
		}
		if depth == 0 {
			err = row(native.Uint32(head), key, value)
		} else {
			err = im.descend(&p, i, depth-1, high, row)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// descend walks the i-th child of a branch.
func (im *image) descend(p *page, i, depth int, high []byte, row func(uint32, []byte, []byte) error) error {
	head, low, _, err := p.element(i)
	if err != nil {
		return err
	}
	if i+1 < p.count {
		if _, high, _, err = p.element(i + 1); err != nil {
			return err
		}
	}
	if err := im.claim(child(head), 1); err != nil {
		return err
	}
	return im.walk(child(head), depth, low, high, row)
}

// buckets returns the root pages of the buckets by name.
func (im *image) buckets() (map[string]uint64, error) {
	roots := make(map[string]uint64)
	err := im.tree(im.meta.root, func(flags uint32, key, value []byte) error {
		if flags != bucketFlag || len(value) < 16 {
			return brokenf("%q is no bucket", key)
		}
		roots[string(key)] = native.Uint64(value)
		return nil
	})
	return roots, err
}

// unclaimed returns a page that is neither used nor free, if there is one. Only a
// full check can tell.
func (im *image) unclaimed() (uint64, bool) {
	for id := range im.meta.high {
		if im.seen[id/64]&(1<<(id%64)) == 0 {
			return id, true
		}
	}
	return 0, false
}
