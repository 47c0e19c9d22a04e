package state

import (
	"bytes"
	"encoding/binary"
	"io"
)

// bbolt trusts its pages: a branch that leads back to itself makes it recurse
// until the process dies, a free list that names a page in use makes it write over
// that, a row that claims to have two gigabytes makes it copy them. So the pages
// are read and checked here too, without bbolt: the structure of the file before
// it is opened (see image), and every page before a commit changes it (see trail).
//
// The format is bbolt's version 2, in the byte order of the machine:
//
//	page    id u64, flags u16, count u16, more pages that continue it u32; elements
//	meta    magic, version, page size, flags u32; root bucket u64, u64;
//	        free list, high-water mark, transaction u64; FNV-64a of these
//	branch  per child: position u32, key size u32, page u64; then the keys
//	leaf    per row: flags u32, position u32, key size u32, value size u32; then
//	        keys and values
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
	// maxMore is how many pages may continue one: bbolt leaves four rows together,
	// however large they are.
	maxMore  = 4*(MaxValue+MaxKey+logSize+elementSize)/pageSize + 1
	maxDepth = 24 // of a tree; 64-bit page numbers and two children a branch reach less
)

var native = binary.NativeEndian

// pageFile is a bbolt file of which pages are read.
type pageFile struct {
	f    io.ReaderAt
	high uint64 // how many pages there are
}

// page is one page with those that continue it.
type page struct {
	id    uint64
	flags uint16
	count int
	more  uint64 // how many pages continue it
	data  []byte
}

// read reads a page into buf, or a larger slice.
func (f pageFile) read(id uint64, buf []byte) (page, error) {
	if id >= f.high {
		return page{}, brokenf("page %d is used, but only %d pages are there", id, f.high)
	}
	if cap(buf) < pageSize {
		buf = make([]byte, pageSize)
	}
	buf = buf[:pageSize]
	if _, err := f.f.ReadAt(buf, int64(id)*pageSize); err != nil {
		return page{}, brokenf("page %d cannot be read: %v", id, err)
	}
	p := page{id: id, flags: native.Uint16(buf[8:]), count: int(native.Uint16(buf[10:])), more: uint64(native.Uint32(buf[12:])), data: buf}
	switch {
	case native.Uint64(buf) != id:
		return page{}, brokenf("page %d says that it is page %d", id, native.Uint64(buf))
	case p.flags != branchFlag && p.flags != leafFlag && p.flags != freelistFlag:
		return page{}, brokenf("page %d has flags %x", id, p.flags)
	case p.more >= f.high-id || p.flags != freelistFlag && p.more > maxMore:
		return page{}, brokenf("page %d cannot reach over %d more", id, p.more)
	case p.more == 0:
		return p, nil
	}
	p.data = append(buf, make([]byte, p.more*pageSize)...)
	if _, err := f.f.ReadAt(p.data[pageSize:], int64(id+1)*pageSize); err != nil {
		return page{}, brokenf("page %d cannot be read to its end: %v", id, err)
	}
	return p, nil
}

// element returns the parts of a branch's child or of a row: the fixed octets,
// the key, the value.
func (p *page) element(i int) (head, key, value []byte, err error) {
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

// child returns the page that a branch's element leads to.
func child(head []byte) uint64 { return native.Uint64(head[8:]) }

// check checks a branch or a leaf in itself: every element lies in it, the keys
// ascend, from low on and below high where these are not nil, and there are as
// many pages as the elements need.
func (p *page) check(low, high []byte) error {
	if p.flags == freelistFlag {
		return brokenf("page %d is neither branch nor leaf", p.id)
	}
	if pageHeaderSize+p.count*elementSize > len(p.data) {
		return brokenf("page %d cannot hold %d elements", p.id, p.count)
	}
	if p.count == 0 && p.flags == branchFlag {
		return brokenf("branch page %d is empty", p.id)
	}
	size := pageHeaderSize + p.count*elementSize
	before := low
	for i := range p.count {
		_, key, value, err := p.element(i)
		if err != nil {
			return err
		}
		if c := bytes.Compare(before, key); c > 0 || c == 0 && i > 0 || high != nil && bytes.Compare(key, high) >= 0 {
			return brokenf("the keys of page %d are out of order", p.id)
		}
		before = key
		size += len(key) + len(value)
	}
	if (size-1)/pageSize != int(p.more) {
		return brokenf("page %d has %d octets on %d pages", p.id, size, p.more+1)
	}
	return nil
}
