package state

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"sync/atomic"
	"unsafe"

	"github.com/cespare/xxhash/v2"
)

// The file of the index: a page of header, then buckets of eight slots of 64 bits, one
// cache line each.
//
//	name      16 octets
//	format    u32
//	journal   16 octets
//	bits      u32   there are 2^bits buckets
//	commit    u64   id of the bbolt transaction all of whose records it holds; 0 for none
//	applied   u64   journal offset of that
//	layout    u64   of the tree of records then (see shape.layout)
//	gaps      u64   how many rows it may not know although their buckets have room
//	checksum  u32   CRC-32C of what stands before it
//
// Integers of the header are big-endian. A slot is a number in the byte order of the
// machine, as bbolt's pages are; 0 is an empty one:
//
//	tag      28 bits  of the key's hash, from bit 12 on
//	page     28 bits
//	element   8 bits
//
// The low bits of a hash choose the bucket. Together with the tag they are 40 bits of
// it, so a table can be doubled where it is, without the keys.
const (
	indexName   = "nameplate index\x00"
	indexFormat = 2
	indexHead   = pageSize
	indexFields = len(indexName) + 4 + 16 + 4 + 8 + 8 + 8 + 8 + 4

	bucketSlots = 8
	bucketSize  = bucketSlots * 8
	minBits     = 12
	maxBits     = 26 // 4 GiB
	// fullBucket is how many rows there may be for each bucket before the table is
	// doubled. At five, one row in forty has no place in its bucket any more.
	fullBucket = 5

	tagBits     = 28
	pageBits    = 28
	elementBits = 8
)

// hint is a slot: where a row may be.
type hint uint64

func makeHint(hash, page uint64, element int) hint {
	return hint(tagOf(hash)<<(pageBits+elementBits) | page<<elementBits | uint64(element))
}

func tagOf(hash uint64) uint64 { return hash >> minBits & (1<<tagBits - 1) }
func (h hint) tag() uint64     { return uint64(h) >> (pageBits + elementBits) }
func (h hint) page() uint64    { return uint64(h) >> elementBits & (1<<pageBits - 1) }
func (h hint) element() int    { return int(h & (1<<elementBits - 1)) }
func hashOf(stored []byte) uint64 { // of log number and key
	return hashKey(binary.BigEndian.Uint32(stored), stored[logSize:])
}

func hashKey(log uint32, key []byte) uint64 {
	return xxhash.Sum64(key) + uint64(log)*0x9e3779b97f4a7c15
}

// index is a table in a mapped file that tells where in bbolt a live record may be. It
// tells nothing else: whoever asks it looks whether the page is one of the commit that
// he reads, and whether the row there has the key. So it may be wrong, old, or half
// written; it is never synced but when it is closed.
//
// One goroutine at a time writes, any number read.
type index struct {
	file   *os.File
	memory []byte
	slots  []uint64      // all that fit the address space set aside, most of them behind the end of the file
	bits   atomic.Uint32 // as many buckets are in use
	// off is set when the file cannot be read or written: it was cut, or the disk is
	// full. Then nobody uses it any more.
	off atomic.Bool
	// complete says that it knows every record of the newest commit, as far as their
	// buckets have room, but for gaps. Only who writes uses both.
	complete bool
	// lacking says that where it is not complete it once was, and has grown since: what it
	// does not know had no room.
	lacking bool
	touched uint64 // of what was read for no other reason than that it be near
	// gaps is how often room was made in a full bucket, which a row may have missed before.
	gaps   uint64
	header indexHeader
}

// indexOf is which commit an index belongs to; all zeros for none. A state that was lost and
// built again, or put back, gets to the same number and the same place in the journal with its
// rows on other pages.
type indexOf struct {
	commit  uint64
	applied uint64
	layout  uint64
}

type indexHeader struct {
	journal [16]byte
	bits    uint32
	of      indexOf
	gaps    uint64
}

// openIndex opens the index at a path, which is complete when it belongs to this
// commit, and makes an empty one of anything else. It is nil where the system has no
// way to map it.
func openIndex(path string, journal [16]byte, of indexOf) (*index, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	x := &index{file: f}
	if err := x.open(journal, of); err != nil {
		f.Close()
		if errors.Is(err, errors.ErrUnsupported) {
			return nil, nil
		}
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return x, nil
}

func (x *index) open(journal [16]byte, of indexOf) error {
	h, err := readIndexHeader(x.file)
	if err != nil || h.journal != journal {
		h = indexHeader{journal: journal, bits: minBits}
		if err := x.file.Truncate(0); err != nil {
			return err
		}
	}
	x.complete = h.of == of && of.commit != 0
	x.header, x.gaps = h, h.gaps
	x.bits.Store(h.bits)
	if err := x.lengthen(h.bits); err != nil {
		return err
	}
	// Until it is closed it belongs to no commit.
	if err := x.writeHeader(indexOf{}); err != nil {
		return err
	}
	if x.memory, err = mapShared(x.file, int(indexSize(maxBits))); err != nil {
		return err
	}
	first := unsafe.Pointer(&x.memory[indexHead])
	x.slots = unsafe.Slice((*uint64)(first), bucketSlots<<maxBits)
	return nil
}

// lengthen makes room for so many buckets, on the disk too where the system can: some
// file systems have to take room before they can be read where nothing was written, and
// a reader whose read failed for want of it would have met damage.
func (x *index) lengthen(bits uint32) error {
	if err := x.file.Truncate(indexSize(bits)); err != nil {
		return err
	}
	return takeRoom(x.file, indexSize(bits))
}

func indexSize(bits uint32) int64 { return indexHead + bucketSize<<bits }

// readIndexHeader reads the header of a file that is as long as it says.
func readIndexHeader(f *os.File) (indexHeader, error) {
	var b [indexFields]byte
	if _, err := f.ReadAt(b[:], 0); err != nil {
		return indexHeader{}, err
	}
	info, err := f.Stat()
	if err != nil {
		return indexHeader{}, err
	}
	return parseIndexHeader(&b, info.Size())
}

// parseIndexHeader reads the header of a file that has so many octets.
func parseIndexHeader(b *[indexFields]byte, size int64) (indexHeader, error) {
	body, rest := b[:len(b)-4], b[len(indexName):]
	switch {
	case string(b[:len(indexName)]) != indexName:
		return indexHeader{}, errors.New("it does not begin as an index does")
	case crc32.Checksum(body, castagnoli) != binary.BigEndian.Uint32(b[len(body):]):
		return indexHeader{}, errors.New("the checksum of its header does not match")
	case binary.BigEndian.Uint32(rest) != indexFormat:
		return indexHeader{}, fmt.Errorf("its format is %d, and this release knows %d", binary.BigEndian.Uint32(rest), indexFormat)
	}
	h := indexHeader{
		journal: [16]byte(rest[4:20]), bits: binary.BigEndian.Uint32(rest[20:]),
		of:   indexOf{binary.BigEndian.Uint64(rest[24:]), binary.BigEndian.Uint64(rest[32:]), binary.BigEndian.Uint64(rest[40:])},
		gaps: binary.BigEndian.Uint64(rest[48:]),
	}
	if h.bits < minBits || h.bits > maxBits || size != indexSize(h.bits) {
		return indexHeader{}, fmt.Errorf("it has %d octets where 2^%d buckets are said to be", size, h.bits)
	}
	return h, nil
}

// append appends the header of an index with so many buckets that belongs to a commit.
func (h *indexHeader) append(b []byte) []byte {
	start := len(b)
	b = binary.BigEndian.AppendUint32(append(b, indexName...), indexFormat)
	b = append(b, h.journal[:]...)
	b = binary.BigEndian.AppendUint32(b, h.bits)
	for _, n := range []uint64{h.of.commit, h.of.applied, h.of.layout, h.gaps} {
		b = binary.BigEndian.AppendUint64(b, n)
	}
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b[start:], castagnoli))
}

// writeHeader says which commit the index belongs to.
func (x *index) writeHeader(of indexOf) error {
	h := indexHeader{journal: x.header.journal, bits: x.bits.Load(), of: of, gaps: x.gaps}
	_, err := x.file.WriteAt(h.append(make([]byte, 0, indexFields)), 0)
	return err
}

// bucket returns where the slots are that a key's hash chooses.
func (x *index) bucket(hash uint64) *[bucketSlots]uint64 {
	n := hash & (1<<x.bits.Load() - 1)
	return (*[bucketSlots]uint64)(x.slots[n*bucketSlots:])
}

// approach asks memory for the buckets of some hashes, so that what is done to one after
// the other waits for all at once.
func (x *index) approach(hashes []uint64) {
	var touched uint64
	for _, h := range hashes {
		touched += atomic.LoadUint64(&x.bucket(h)[0])
	}
	x.touched += touched // or it need not be read at all
}

// put notes where a row is. A hint in the same bucket that leads to no page of these
// leaves makes room when there is none.
func (x *index) put(hash, page uint64, element int, of *leaves) {
	if page >= 1<<pageBits || element >= 1<<elementBits {
		x.remove(hash)
		return
	}
	b := x.bucket(hash)
	tag, at := tagOf(hash), -1
	for i := range b {
		h := hint(atomic.LoadUint64(&b[i]))
		switch {
		case h != 0 && h.tag() == tag:
			atomic.StoreUint64(&b[i], uint64(makeHint(hash, page, element)))
			return
		case at < 0 && (h == 0 || !of.has(h.page())):
			at = i
		}
	}
	if at >= 0 {
		atomic.StoreUint64(&b[at], uint64(makeHint(hash, page, element)))
	}
}

// remove forgets a row.
func (x *index) remove(hash uint64) {
	b := x.bucket(hash)
	full, removed := true, uint64(0)
	for i := range b {
		h := hint(atomic.LoadUint64(&b[i]))
		full = full && h != 0
		if h != 0 && h.tag() == tagOf(hash) {
			atomic.StoreUint64(&b[i], 0)
			removed++
		}
	}
	if full {
		x.gaps += removed
	}
}

// begin says that all rows are to be noted again from the first.
func (x *index) begin() { x.complete, x.gaps = false, 0 }

// grow doubles the table until there is room for so many rows, and reports whether it
// did. Then rows that had no place before have one now, and are to be noted: see begin.
// Readers that still use the old size miss some rows meanwhile, and find them without
// the index.
func (x *index) grow(rows uint64) (grew bool, err error) {
	for bits := x.bits.Load(); bits < maxBits && rows > fullBucket<<bits; bits++ {
		if err := x.lengthen(bits + 1); err != nil {
			return grew, err
		}
		for n := range uint64(1) << bits {
			low := (*[bucketSlots]uint64)(x.slots[n*bucketSlots:])
			high := (*[bucketSlots]uint64)(x.slots[(n+1<<bits)*bucketSlots:])
			for i := range low {
				h := hint(atomic.LoadUint64(&low[i]))
				if h != 0 && h.tag()>>(bits-minBits)&1 != 0 {
					atomic.StoreUint64(&high[i], uint64(h))
					atomic.StoreUint64(&low[i], 0)
				}
			}
		}
		x.bits.Store(bits + 1)
		grew = true
		if err := x.writeHeader(indexOf{}); err != nil {
			return grew, err
		}
	}
	return grew, nil
}

// holds reports whether an address lies in the memory of the index.
func (x *index) holds(address uintptr) bool {
	return x != nil && address-uintptr(unsafe.Pointer(unsafe.SliceData(x.memory))) < uintptr(len(x.memory))
}

// guarded calls f, which writes. What keeps it from that, a file that was cut or a
// disk that is full, ends the use of the index and nothing else.
func (x *index) guarded(path string, f func() error) {
	if x.off.Load() {
		return
	}
	if err := guard(path, f); err != nil {
		x.complete = false
		x.off.Store(true)
	}
}

// close writes which commit the index belongs to, if it knows all of it, behind the
// slots. Nobody may use it any more.
func (x *index) close(of indexOf) error {
	var err error
	if x.complete && !x.off.Load() {
		if err = x.file.Sync(); err == nil {
			err = x.writeHeader(of)
		}
	}
	return errors.Join(err, unmap(x.memory), x.file.Close())
}

// lookup returns what the row with a key in the mapped file has for a value, when the
// index leads there; nil when bbolt must be searched.
func (x *index) lookup(m mapping, of *leaves, hash uint64, stored []byte) []byte {
	b := x.bucket(hash)
	tag := tagOf(hash)
	for i := range b {
		h := hint(atomic.LoadUint64(&b[i]))
		if h.tag() != tag || !of.has(h.page()) {
			continue
		}
		if key, value := m.row(h.page(), h.element()); value != nil && bytes.Equal(key, stored) {
			return value
		}
	}
	return nil
}

// row returns key and value of an element of a leaf; nil when it is none.
func (m mapping) row(id uint64, element int) (key, value []byte) {
	head := m.octets(id*pageSize, pageSize)
	if head == nil || native.Uint64(head) != id || native.Uint16(head[8:]) != leafFlag || element >= int(native.Uint16(head[10:])) {
		return nil, nil
	}
	at := pageHeaderSize + element*elementSize
	if at+elementSize > pageSize {
		return nil, nil
	}
	e := head[at : at+elementSize]
	if native.Uint32(e) != 0 { // a bucket
		return nil, nil
	}
	start := id*pageSize + uint64(at) + uint64(native.Uint32(e[4:]))
	ksize, vsize := uint64(native.Uint32(e[8:])), uint64(native.Uint32(e[12:]))
	if ksize > logSize+MaxKey || vsize > MaxValue {
		return nil, nil
	}
	b := m.octets(start, ksize+vsize)
	if b == nil {
		return nil, nil
	}
	return b[:ksize:ksize], b[ksize:]
}
