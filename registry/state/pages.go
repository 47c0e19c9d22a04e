package state

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"io"
)

// bbolt trusts its pages: a branch that leads back to itself makes it recurse
// until the process dies, a free list that names a page in use makes it write
// over that. So the structure is checked here, by reading the file, before bbolt
// opens it: meta pages, free list, and every branch page. Leaf pages, which are
// nearly all, are only read by a full check; what is wrong in them shows when
// they are read.
//
// The format is bbolt's version 2, in the byte order of the machine:
//
//	page    id u64, flags u16, count u16, overflow u32, then elements
//	meta    magic, version, page size, flags u32; root bucket u64, u64;
//	        free list, high-water mark, transaction u64; FNV-64a of these
//	branch  per child: position u32, key size u32, page u64
//	leaf    per row: flags u32, position u32, key size u32, value size u32
//
// A position counts from the beginning of its element.
const (
	pageSize       = 4096
	pageHeaderSize = 16
	elementSize    = 16

	boltMagic   = 0xED0CDAED
	boltVersion = 2

	branchFlag   = 0x01
	leafFlag     = 0x02
	freelistFlag = 0x10
	bucketFlag   = 0x01 // of a leaf element

	metaSumSize = 56 // octets of a meta that its checksum covers
	maxDepth    = 24 // of a tree; 64-bit page numbers and two children a branch reach less
)

var native = binary.NativeEndian

// meta is what a meta page says.
type meta struct {
	root, freelist, high, tx uint64
}

// image is a bbolt file that is being checked.
type image struct {
	f    io.ReaderAt
	meta meta
	seen []uint64 // a bit for every page that something refers to
	full bool     // read the leaves too
}

// page is one page with those that continue it.
type page struct {
	id    uint64
	flags uint16
	count int
	data  []byte
}

// openImage reads the meta pages and checks the free list. The error is a
// *notBolt when the file was never one of bbolt's.
func openImage(f io.ReaderAt, size int64, full bool) (*image, error) {
	m, err := readMeta(f)
	if err != nil {
		return nil, err
	}
	if m.high < 4 || m.high > uint64(size)/pageSize {
		return nil, brokenf("it has %d octets where its meta page says %d pages of %d: it was cut short", size, m.high, pageSize)
	}
	im := &image{f: f, meta: m, seen: make([]uint64, m.high/64+1), full: full}
	if err := im.claim(0, 2); err != nil {
		return nil, err
	}
	return im, im.checkFreelist()
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

// read reads a page and claims those that continue it; it itself is claimed
// where it is referred to.
func (im *image) read(id uint64) (*page, error) {
	var head [pageHeaderSize]byte
	if _, err := im.f.ReadAt(head[:], int64(id)*pageSize); err != nil {
		return nil, brokenf("page %d cannot be read: %v", id, err)
	}
	p := &page{id: id, flags: native.Uint16(head[8:]), count: int(native.Uint16(head[10:]))}
	if got := native.Uint64(head[:]); got != id {
		return nil, brokenf("page %d says that it is page %d", id, got)
	}
	more := uint64(native.Uint32(head[12:]))
	if more >= im.meta.high-id {
		return nil, brokenf("page %d reaches behind the last page", id)
	}
	if err := im.claim(id+1, more); err != nil {
		return nil, err
	}
	p.data = make([]byte, (1+more)*pageSize)
	if _, err := im.f.ReadAt(p.data, int64(id)*pageSize); err != nil {
		return nil, brokenf("page %d cannot be read: %v", id, err)
	}
	if p.flags != freelistFlag && pageHeaderSize+p.count*elementSize > len(p.data) {
		return nil, brokenf("page %d cannot hold %d elements", id, p.count)
	}
	return p, nil
}

func (im *image) checkFreelist() error {
	id := im.meta.freelist
	if err := im.claim(id, 1); err != nil {
		return err
	}
	p, err := im.read(id)
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

// element returns where the i-th element's key and what follows it lie.
func (p *page) element(i int) (head, key, rest []byte, err error) {
	at := pageHeaderSize + i*elementSize
	head = p.data[at : at+elementSize]
	var pos, ksize, vsize uint64
	if p.flags == branchFlag {
		pos, ksize = uint64(native.Uint32(head)), uint64(native.Uint32(head[4:]))
	} else {
		pos, ksize, vsize = uint64(native.Uint32(head[4:])), uint64(native.Uint32(head[8:])), uint64(native.Uint32(head[12:]))
	}
	start := uint64(at) + pos
	if start+ksize+vsize > uint64(len(p.data)) || ksize == 0 {
		return nil, nil, nil, brokenf("element %d of page %d does not lie in it", i, p.id)
	}
	return head, p.data[start : start+ksize], p.data[start+ksize : start+ksize+vsize], nil
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
	if depth == 0 && row == nil && !im.full {
		return nil
	}
	p, err := im.read(id)
	if err != nil {
		return err
	}
	if want := [2]uint16{leafFlag, branchFlag}[min(depth, 1)]; p.flags != want {
		return brokenf("page %d has flags %x instead of %x", id, p.flags, want)
	}
	if p.count == 0 && depth > 0 {
		return brokenf("branch page %d is empty", id)
	}
	var before, next []byte
	for i := range p.count {
		head, key, value, err := p.element(i)
		if err != nil {
			return err
		}
		if before != nil && bytes.Compare(before, key) >= 0 || bytes.Compare(key, low) < 0 || high != nil && bytes.Compare(key, high) >= 0 {
			return brokenf("the keys of page %d are out of order", id)
		}
		before = key
		if depth == 0 {
			if row != nil {
				if err := row(native.Uint32(head), key, value); err != nil {
					return err
				}
			}
			continue
		}
		child := native.Uint64(head[8:])
		if err := im.claim(child, 1); err != nil {
			return err
		}
		next = high
		if i+1 < p.count {
			if _, next, _, err = p.element(i + 1); err != nil {
				return err
			}
		}
		if err := im.walk(child, depth-1, key, next, row); err != nil {
			return err
		}
	}
	return nil
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
