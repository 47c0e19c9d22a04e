package journal

import (
	"errors"
	"fmt"
	"sort"
)

// tail is where a recovered journal goes on.
type tail struct {
	segment   int // index of the active one
	file      File
	end       int64
	groupOpen bool
	next      *ready // the segment behind the active one, if it is there
}

// checker reads segments frame by frame and checks that what it reads follows
// the specification.
type checker struct {
	id     journalID
	synced Offset // what the last group says
	closed bool   // the last frame says that all before it was synced
}

// check reads the frames of a segment from its beginning. It returns where the
// last one ends, and whether that one says that the segment ends there; if not,
// bad says why there is no frame. visit, unless nil, gets every frame of every
// kind and where it begins.
func (c *checker) check(w *walker, visit func(f Frame, at int64) error) (end int64, ended bool, bad *badFrame, err error) {
	s := w.seg
	for first := true; ; first = false {
		f, at, err := w.next()
		if errors.As(err, &bad) {
			return at, false, bad, nil
		}
		if err != nil {
			return at, false, nil, fmt.Errorf("read %s: %w", s.path, err)
		}
		if err := c.frame(s, f, at, first); err != nil {
			return at, false, nil, err
		}
		if visit != nil {
			if err := visit(f, at); err != nil {
				return at, false, nil, err
			}
		}
		if f.Kind == KindEnd {
			return w.at, true, nil, nil
		}
	}
}

// frame checks one frame whose checksum is right.
func (c *checker) frame(s *segment, f Frame, at int64, first bool) error {
	c.closed = false
	switch {
	case f.Kind == KindGroup, f.Kind == KindEnd && !first:
		synced, err := parseGroup(f, c.id, s.offset(at))
		if err != nil {
			return s.damage(at, "%v", err)
		}
		if synced < c.synced {
			return s.damage(at, "the group says that %d was synced before it, and one before said %d", synced, c.synced)
		}
		c.synced, c.closed = synced, true
		return nil
	case first:
		return s.damage(at, "a segment begins with a group, not with a frame of kind %q", f.Kind)
	}
	return checkKind(s, f, at)
}

// checkKind refuses, by name, frames that this version does not understand.
func checkKind(s *segment, f Frame, at int64) error {
	if f.Kind.carried() || f.Kind == KindEnd || f.Kind == KindGroup {
		return nil
	}
	return &FormatError{Path: s.path, Offset: at, Reason: fmt.Sprintf("a frame of kind %q, which this version does not understand: use a newer version of nameplate", f.Kind)}
}

// locate returns the index of the segment that holds a place.
func locate(segments []segment, at Offset) int {
	return max(0, sort.Search(len(segments), func(i int) bool { return segments[i].base > at })-1)
}

// recoverTail finds the end of the journal, cuts off what a crash left behind it,
// and syncs what stands before it.
func recoverTail(fsys FS, l listing, from Offset) (t tail, err error) {
	r := recovery{fsys: fsys, listing: l, checker: checker{id: l.id}, from: from}
	defer r.closeFiles()
	bad, err := r.read(nil)
	if err != nil {
		return tail{}, err
	}
	if err := r.judge(bad); err != nil {
		return tail{}, err
	}
	if err := r.mend(); err != nil {
		return tail{}, err
	}
	t = tail{segment: r.last, end: r.end, groupOpen: !r.checker.closed && r.end > segmentHeader}
	t.file = r.keep(r.last)
	if r.last+1 < len(l.segments) {
		t.next = &ready{l.segments[r.last+1], r.keep(r.last + 1)}
	}
	return t, nil
}

// recovery is one run of recoverTail.
type recovery struct {
	listing
	fsys     FS
	checker  checker
	from     Offset
	files    map[int]File
	readOnly bool
	last     int   // index of the segment where the journal ends
	end      int64 // octet where it ends
	reached  bool  // a frame begins or ends at from
	// used holds, of segment last and those behind it, the first octet behind its
	// frames that is not zero.
	used []int64
}

// file opens segment i, once.
func (r *recovery) file(i int) (File, error) {
	if f := r.files[i]; f != nil {
		return f, nil
	}
	open := r.fsys.OpenWrite
	if r.readOnly {
		open = r.fsys.Open
	}
	f, err := open(r.segments[i].path)
	if err != nil {
		return nil, err
	}
	if r.files == nil {
		r.files = make(map[int]File)
	}
	r.files[i] = f
	return f, nil
}

// free returns the octet of segment i from which on it holds no frames; i is that
// of the last segment with frames, or behind it.
func (r *recovery) free(i int) int64 {
	if i == r.last {
		return r.end
	}
	return segmentHeader
}

// keep takes the file of segment i out of those that are closed at the end.
func (r *recovery) keep(i int) File {
	f := r.files[i]
	delete(r.files, i)
	return f
}

func (r *recovery) closeFiles() {
	for _, f := range r.files {
		f.Close()
	}
}

// read reads all frames from the segment of r.from on, up to where none stands.
// visit, unless nil, gets every one, of every kind.
func (r *recovery) read(visit func(w *walker, f Frame, at int64) error) (*badFrame, error) {
	first := locate(r.segments, r.from)
	r.reached = r.from <= r.segments[first].base
	for r.last = first; ; r.last++ {
		s := &r.segments[r.last]
		f, err := r.file(r.last)
		if err != nil {
			return nil, err
		}
		w := newWalker(f, s, segmentHeader)
		end, ended, bad, err := r.checker.check(w, func(f Frame, at int64) error {
			r.reached = r.reached || s.offset(at) == r.from
			if visit == nil {
				return nil
			}
			return visit(w, f, at)
		})
		if err != nil {
			return nil, err
		}
		r.reached = r.reached || s.offset(end) == r.from
		if !ended {
			r.end = end
			return bad, nil
		}
		if r.last+1 == len(r.segments) {
			missing := segment{path: segmentPath(dirOf(s), s.number+1), number: s.number + 1}
			return nil, missing.damage(0, "the segment is missing, and the one before it ends by saying that it is there")
		}
		r.keep(r.last).Close()
	}
}

// judge decides whether where frames end is the end of the journal: nothing
// behind it and nothing that the caller knows may say that there was more.
func (r *recovery) judge(bad *badFrame) error {
	s := &r.segments[r.last]
	end := s.offset(r.end)
	if end < r.from {
		return s.damage(r.end, "%s, and the state has applied the journal up to %d", bad.reason, r.from)
	}
	if !r.reached {
		return s.damage(r.end, "no frame begins at %d, up to where the state has applied the journal: they do not belong together", r.from)
	}
	for i := r.last; i < len(r.segments); i++ {
		f, err := r.file(i)
		if err != nil {
			return err
		}
		used, err := firstUsed(f, &r.segments[i], r.free(i))
		if err != nil {
			return err
		}
		r.used = append(r.used, used)
		// A frame begins with its length, and that with zeros.
		at, found, err := findGroup(f, &r.segments[i], r.id, max(r.free(i), used-3), end)
		if err != nil {
			return err
		}
		if found {
			return s.damage(r.end, "%s, and a later group (%s, octet %d) proves that a frame was synced", bad.reason, r.segments[i].path, at)
		}
	}
	if r.last+2 < len(r.segments) {
		return s.damage(r.end, "%s, and later segments are there", bad.reason)
	}
	return nil
}

// mend cuts off the torn tail and makes sure of what stands before it.
//
// What was written since the last sync that is proven is written again: after a
// sync that failed, the kernel may show octets that it will never write.
//
// A crash in here leaves a torn tail, or none, and the next Open does the same.
func (r *recovery) mend() error {
	proven := max(r.from, r.checker.synced)
	for i := locate(r.segments, proven); i <= r.last; i++ {
		s := &r.segments[i]
		f, err := r.file(i)
		if err != nil {
			return err
		}
		from := max(segmentHeader, int64(proven)-int64(s.base))
		to := r.end
		if i < r.last {
			to = s.size
		}
		if err := rewrite(f, from, to); err != nil {
			return fmt.Errorf("write %s again: %w", s.path, err)
		}
	}
	for i := r.last; i < len(r.segments); i++ {
		s := &r.segments[i]
		f, err := r.file(i)
		if err != nil {
			return err
		}
		// Old octets behind the end could pass for frames once new ones lead up to them.
		if err := clearFrom(f, s, r.used[i-r.last]); err != nil {
			return fmt.Errorf("cut the torn tail of %s: %w", s.path, err)
		}
		if err := f.Allocate(r.free(i), s.size); err != nil {
			return fmt.Errorf("%w: %w", ErrFull, err)
		}
		if err := f.Sync(); err != nil {
			return fmt.Errorf("sync %s: %w", s.path, err)
		}
	}
	return nil
}

// rewrite reads octets of a file, writes the same again and syncs them.
func rewrite(f File, from, to int64) error {
	if from >= to {
		return nil
	}
	block := make([]byte, min(walkBlock, to-from))
	for at := from; at < to; at += int64(len(block)) {
		block = block[:min(int64(len(block)), to-at)]
		if err := readFull(f, block, at); err != nil {
			return err
		}
		if _, err := f.WriteAt(block, at); err != nil {
			return err
		}
	}
	return f.Sync()
}
