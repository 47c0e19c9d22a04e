package journal

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"path/filepath"
)

// Located is a frame and its place.
type Located struct {
	Frame
	At, End Offset
}

// Read returns the frame that begins at a place, and where it ends. The place is
// one that an append, a scan or another Read gave as the beginning or end of a
// frame, or 0: then it is the first frame at or behind it. At the end of what is
// synced the error is [io.EOF]. The payload is the caller's own.
func (j *Journal) Read(at Offset) (Frame, Offset, error) {
	for l, err := range j.scan(at, j.Synced(), 512) {
		return l.Frame, l.End, err
	}
	return Frame{}, at, io.EOF
}

// Scan gives the frames from one place up to another in order; the places are as
// for [Journal.Read], and what is not synced when Scan begins is not given. After
// an error it ends. A payload may be kept, but keeps up to a megabyte around it
// alive: copy what is to stay.
func (j *Journal) Scan(from, to Offset) iter.Seq2[Located, error] {
	return func(yield func(Located, error) bool) {
		j.scan(from, min(to, j.Synced()), walkBlock)(yield)
	}
}

// scan reads in blocks of that many octets. Everything before to is synced.
func (j *Journal) scan(from, to Offset, block int) iter.Seq2[Located, error] {
	return func(yield func(Located, error) bool) {
		segments := *j.segments.Load()
		for i := locate(segments, from); i < len(segments) && from < to; i++ {
			s := &segments[i]
			more, err := j.scanSegment(s, from, to, block, yield)
			if err != nil {
				yield(Located{}, err)
			}
			if err != nil || !more {
				return
			}
			from = s.end()
		}
	}
}

// scanSegment gives the frames of one segment. It reports whether the scan goes
// on in the next one.
func (j *Journal) scanSegment(s *segment, from, to Offset, block int, yield func(Located, error) bool) (bool, error) {
	file, err := j.files.open(s)
	if err != nil {
		return false, err
	}
	defer j.files.release(file)
	w := newWalker(file, s, max(segmentHeader, int64(from)-int64(s.base)))
	w.want = block
	w.limit = min(s.size, int64(to)-int64(s.base))
	for w.at < w.limit {
		f, at, err := w.next()
		var bad *badFrame
		switch {
		case errors.As(err, &bad):
			return false, s.damage(at, "%s, and it was synced", bad.reason)
		case err != nil:
			return false, fmt.Errorf("read %s: %w", s.path, err)
		case f.Kind == KindEnd:
			return true, nil
		case f.Kind == KindGroup:
			continue
		}
		if err := checkKind(s, f, at); err != nil {
			return false, err
		}
		if !yield(Located{f, s.offset(at), s.offset(w.at)}, nil) {
			return false, nil
		}
	}
	return false, nil
}

// dirOf returns the folder of a segment.
func dirOf(s *segment) string { return filepath.Dir(s.path) }
