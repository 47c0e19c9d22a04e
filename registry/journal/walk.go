package journal

import (
	"bytes"
	"errors"
	"io"
)

// walkBlock is how much is read at a time, unless one frame needs more.
const walkBlock = 1 << 20

// walker reads the frames of one segment in order, of every kind. A block is
// never used again once frames of it have been given out.
type walker struct {
	file  io.ReaderAt
	seg   *segment
	at    int64 // of the next frame
	limit int64 // octets from here on are not looked at
	want  int   // how much to read at a time
	block []byte
	start int64  // of block in the segment
	raw   []byte // the frame given last, whole
}

func newWalker(file io.ReaderAt, s *segment, at int64) *walker {
	return &walker{file: file, seg: s, at: at, limit: s.size, want: walkBlock}
}

// next returns the next frame and where it begins. Where no frame stands the
// error is a *badFrame, and the walker stays there; every other error is one of
// reading.
func (w *walker) next() (f Frame, at int64, err error) {
	if w.limit-w.at < frameHeader {
		return Frame{}, w.at, errCut
	}
	b, err := w.octets(frameHeader)
	if err != nil {
		return Frame{}, w.at, err
	}
	n, err := frameLength(b, w.limit-w.at)
	if err != nil {
		return Frame{}, w.at, err
	}
	if b, err = w.octets(n); err != nil {
		return Frame{}, w.at, err
	}
	f, err = parseFrame(b, w.seg.seed, w.at)
	if err != nil {
		return Frame{}, w.at, err
	}
	at, w.raw = w.at, b
	w.at += int64(n)
	return f, at, nil
}

// octets returns the next n octets.
func (w *walker) octets(n int) ([]byte, error) {
	skip := w.at - w.start
	if skip+int64(n) <= int64(len(w.block)) {
		return w.block[skip : skip+int64(n)], nil
	}
	block := make([]byte, min(int64(max(n, w.want)), w.limit-w.at))
	if err := readFull(w.file, block, w.at); err != nil {
		return nil, err
	}
	w.block, w.start = block, w.at
	return block[:n], nil
}

// readFull reads len(b) octets from at on; what lies beyond the end of the file
// is zero.
func readFull(r io.ReaderAt, b []byte, at int64) error {
	n, err := r.ReadAt(b, at)
	if n == len(b) {
		return nil
	}
	if errors.Is(err, io.EOF) {
		clear(b[n:])
		return nil
	}
	return err
}

// findGroup looks, from octet at of a segment on and at every octet, for the
// beginning of a group or the end of the segment that names a synced offset beyond
// the given one: proof that what stands before that offset was synced once. It
// returns where that frame stands.
func findGroup(file io.ReaderAt, s *segment, id journalID, at int64, beyond Offset) (int64, bool, error) {
	block := make([]byte, max(0, min(walkBlock, s.size-at)))
	for at < s.size {
		b := block[:min(walkBlock, s.size-at)]
		if err := readFull(file, b, at); err != nil {
			return 0, false, err
		}
		for from := 0; ; {
			i := bytes.Index(b[from:], id[:])
			if i < 0 {
				break
			}
			i += from
			from = i + 1
			if i < frameHeader || i+groupPayload > len(b) {
				continue
			}
			frame := b[i-frameHeader : i+groupPayload]
			begin := at + int64(i-frameHeader)
			if n, err := frameLength(frame, s.size-begin); err != nil || n != groupSize {
				continue
			}
			f, err := parseFrame(frame, s.seed, begin)
			if err != nil || f.Kind != KindGroup && f.Kind != KindEnd {
				continue
			}
			if synced, err := parseGroup(f, id, s.offset(begin)); err == nil && synced > beyond {
				return begin, true, nil
			}
		}
		if len(b) < walkBlock {
			break
		}
		at += walkBlock - groupSize // a frame may lie across two blocks
	}
	return 0, false, nil
}

// firstUsed returns the first octet of a segment, from octet at on, that is not
// zero; the segment's size if all are.
func firstUsed(file io.ReaderAt, s *segment, at int64) (int64, error) {
	block := make([]byte, max(0, min(walkBlock, s.size-at)))
	zeros := make([]byte, len(block))
	for ; at < s.size; at += walkBlock {
		b := block[:min(walkBlock, s.size-at)]
		if err := readFull(file, b, at); err != nil {
			return 0, err
		}
		if bytes.Equal(b, zeros[:len(b)]) { // many times faster than looking for the octet
			continue
		}
		if used := bytes.TrimLeft(b, "\x00"); len(used) > 0 {
			return at + int64(len(b)-len(used)), nil
		}
	}
	return s.size, nil
}

// clearFrom writes zeros over what is not zero in a segment, of which octet at is
// the first; none if it is the segment's size.
func clearFrom(file File, s *segment, at int64) error {
	for at < s.size {
		next := min(at+walkBlock, s.size)
		if _, err := file.WriteAt(make([]byte, next-at), at); err != nil {
			return err
		}
		var err error
		if at, err = firstUsed(file, s, next); err != nil {
			return err
		}
	}
	return nil
}
