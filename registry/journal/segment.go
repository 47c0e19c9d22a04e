package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Offset is a place in the journal: octets from its beginning, over all segments.
type Offset uint64

const (
	segmentMagic  = "NPJ1"
	segmentFormat = 1
	segmentHeader = 64
	segmentSuffix = ".seg"
	newSuffix     = ".seg.new" // one whose creation is not finished

	// segmentTail is what the frames of a segment leave free at its end: room to
	// close the last group and to end the segment.
	segmentTail = 2 * groupSize
)

// Limits of Options.SegmentSize.
const (
	DefaultSegmentSize = 64 << 20
	MinSegmentSize     = 4 << 10
	MaxSegmentSize     = 1 << 30
)

// segment is one file of the journal. It does not change once it exists.
type segment struct {
	path   string
	number uint64
	base   Offset // of its first octet
	size   int64
	seed   uint32 // see frameSeed
}

func newSegment(dir string, id journalID, number uint64, base Offset, size int64) segment {
	return segment{path: segmentPath(dir, number), number: number, base: base, size: size, seed: frameSeed(id, number)}
}

func segmentPath(dir string, number uint64) string {
	return filepath.Join(dir, fmt.Sprintf("%016x%s", number, segmentSuffix))
}

// end returns where the next segment begins.
func (s *segment) end() Offset { return s.base + Offset(s.size) }

// offset returns the place of octet at.
func (s *segment) offset(at int64) Offset { return s.base + Offset(at) }

func (s *segment) damage(at int64, format string, args ...any) error {
	return &DamageError{Path: s.path, Segment: s.number, Offset: at, Reason: fmt.Sprintf(format, args...)}
}

// appendHeader appends a segment's header.
func (s *segment) appendHeader(dst []byte, id journalID) []byte {
	n := len(dst)
	dst = append(dst, segmentMagic...)
	dst = binary.BigEndian.AppendUint32(dst, segmentFormat)
	dst = binary.BigEndian.AppendUint64(dst, s.number)
	dst = binary.BigEndian.AppendUint64(dst, uint64(s.base))
	dst = binary.BigEndian.AppendUint64(dst, uint64(s.size))
	dst = append(dst, id[:]...)
	dst = append(dst, make([]byte, 12)...)
	return binary.BigEndian.AppendUint32(dst, crc32.Checksum(dst[n:], castagnoli))
}

// parseSegmentHeader reads the header of the file at path.
func parseSegmentHeader(path string, b []byte) (segment, journalID, error) {
	foreign := func(at int64, format string, args ...any) (segment, journalID, error) {
		return segment{}, journalID{}, &FormatError{Path: path, Offset: at, Reason: fmt.Sprintf(format, args...)}
	}
	if string(b[:4]) != segmentMagic {
		return foreign(0, "this is not a segment of a Nameplate journal")
	}
	if binary.BigEndian.Uint32(b[60:]) != crc32.Checksum(b[:60], castagnoli) {
		return segment{}, journalID{}, &DamageError{Path: path, Reason: "the checksum of the segment's header does not match"}
	}
	if format := binary.BigEndian.Uint32(b[4:]); format != segmentFormat {
		return foreign(4, "it has format %d and this version reads format %d: use a newer version of nameplate", format, segmentFormat)
	}
	s := segment{
		path:   path,
		number: binary.BigEndian.Uint64(b[8:]),
		base:   Offset(binary.BigEndian.Uint64(b[16:])),
		size:   int64(binary.BigEndian.Uint64(b[24:])),
	}
	id := journalID(b[32:48])
	s.seed = frameSeed(id, s.number)
	if s.size < MinSegmentSize || s.size > MaxSegmentSize {
		return foreign(24, "a segment cannot have %d octets", s.size)
	}
	return s, id, nil
}

// readSegment reads and checks the header of the segment at path, and the
// file's length.
func readSegment(fsys FS, path string) (segment, journalID, error) {
	f, err := fsys.Open(path)
	if err != nil {
		return segment{}, journalID{}, err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return segment{}, journalID{}, err
	}
	var b [segmentHeader]byte
	if n, err := f.ReadAt(b[:], 0); err != nil && !(err == io.EOF && n < len(b)) {
		return segment{}, journalID{}, err
	}
	s, id, err := parseSegmentHeader(path, b[:])
	if err != nil {
		return segment{}, journalID{}, err
	}
	if size != s.size {
		return segment{}, journalID{}, s.damage(min(size, s.size), "the file has %d octets and its header says %d", size, s.size)
	}
	return s, id, nil
}

// listing is what the folder of a journal holds.
type listing struct {
	id       journalID
	segments []segment // in order, without a gap
	unborn   []string  // files whose creation a crash interrupted
}

// list reads the headers of all segments in a folder and checks that they follow
// on one another. It changes nothing.
func list(fsys FS, dir string) (listing, error) {
	names, err := fsys.List(dir)
	if err != nil {
		return listing{}, err
	}
	var l listing
	var numbers []uint64
	for _, name := range names {
		switch {
		case strings.HasSuffix(name, newSuffix):
			l.unborn = append(l.unborn, filepath.Join(dir, name))
		case strings.HasSuffix(name, segmentSuffix):
			number, err := strconv.ParseUint(strings.TrimSuffix(name, segmentSuffix), 16, 64)
			if err != nil || filepath.Join(dir, name) != segmentPath(dir, number) {
				return listing{}, &FormatError{Path: filepath.Join(dir, name), Reason: "a segment is named by 16 hexadecimal digits"}
			}
			numbers = append(numbers, number)
		}
	}
	slices.Sort(numbers)
	base := Offset(0)
	for i, number := range numbers {
		if number != uint64(i) {
			missing := segment{path: segmentPath(dir, uint64(i)), number: uint64(i)}
			return listing{}, missing.damage(0, "the segment is missing and later ones are there")
		}
		s, id, err := readSegment(fsys, segmentPath(dir, number))
		switch {
		case err != nil:
			return listing{}, err
		case s.number != number:
			return listing{}, &FormatError{Path: s.path, Offset: 8, Reason: fmt.Sprintf("it is segment %d under a wrong name", s.number)}
		case i > 0 && id != l.id:
			return listing{}, &FormatError{Path: s.path, Offset: 32, Reason: "it belongs to another journal than the segments before it"}
		case s.base != base:
			return listing{}, &FormatError{Path: s.path, Offset: 16, Reason: fmt.Sprintf("it begins at %d of the journal and the segments before it end at %d", s.base, base)}
		}
		l.id, base = id, s.end()
		l.segments = append(l.segments, s)
	}
	return l, nil
}

// syncDirError marks a failure after which it is not known which files there are.
type syncDirError struct{ err error }

func (e *syncDirError) Error() string { return e.err.Error() }
func (e *syncDirError) Unwrap() error { return e.err }

// createSegment makes the file of a segment, header and room for all of it, so
// that it appears under its name only once it is whole and synced.
//
// All of it is written with zeros, until urgent says that the segment is needed: a
// file system notes in its own log which octets of the room that a file was only
// promised have been written, so a sync of octets written for the first time takes
// about twice as long as one of octets that are written again (ext4: 1.7 times).
func createSegment(fsys FS, s *segment, id journalID, urgent func() bool, hook func(point string)) (File, error) {
	temporary := strings.TrimSuffix(s.path, segmentSuffix) + newSuffix
	if err := fsys.Remove(temporary); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	f, err := fsys.Create(temporary)
	if err != nil {
		return nil, err
	}
	if err := writeSegment(fsys, f, s, id, temporary, urgent, hook); err != nil {
		f.Close()
		if renamed := (*syncDirError)(nil); !errors.As(err, &renamed) {
			fsys.Remove(temporary) // give back what room it took
		}
		return nil, err
	}
	return f, nil
}

func writeSegment(fsys FS, f File, s *segment, id journalID, temporary string, urgent func() bool, hook func(point string)) error {
	if err := f.Allocate(0, s.size); err != nil {
		return err
	}
	if err := writeZeros(f, s.size, urgent); err != nil {
		return err
	}
	if _, err := f.WriteAt(s.appendHeader(nil, id), 0); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	hook(HookSegment)
	if err := fsys.Rename(temporary, s.path); err != nil {
		return err
	}
	if err := fsys.SyncDir(filepath.Dir(s.path)); err != nil {
		return &syncDirError{err}
	}
	return nil
}

// zerosAtOnce is how many zeros are written and synced at once: few enough that a sync
// of the active segment does not wait long behind them. Segments smaller than that are
// left as they are.
const zerosAtOnce = 1 << 20

// writeZeros writes the first octets of a file with zeros, as far as it gets before
// urgent says that there is no time for more.
func writeZeros(f File, size int64, urgent func() bool) error {
	if size < zerosAtOnce {
		return nil
	}
	zeros := make([]byte, zerosAtOnce)
	for at := int64(0); at+zerosAtOnce <= size && !urgent(); at += zerosAtOnce {
		if _, err := f.WriteAt(zeros, at); err != nil {
			return err
		}
		if err := f.Sync(); err != nil {
			return err
		}
	}
	return nil
}
