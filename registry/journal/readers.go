package journal

import (
	"slices"
	"sync"
)

// keptReaders is how many segments stay open that nobody reads.
const keptReaders = 32

// readers holds segments open for reading, so that not every Read opens a file
// and a long journal does not need a file descriptor for each of its segments.
type readers struct {
	fsys     FS
	mu       sync.Mutex
	byNumber map[uint64]*reader
	idle     []*reader // used least recently first
	closed   bool
}

// reader is one open segment.
type reader struct {
	File
	number uint64
	users  int
}

func newReaders(fsys FS) *readers {
	return &readers{fsys: fsys, byNumber: make(map[uint64]*reader)}
}

// open returns an open segment; the caller releases it.
func (r *readers) open(s *segment) (*reader, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil, ErrClosed
	}
	f := r.byNumber[s.number]
	if f == nil {
		file, err := r.fsys.Open(s.path)
		if err != nil {
			return nil, err
		}
		f = &reader{File: file, number: s.number}
		r.byNumber[s.number] = f
	}
	if i := slices.Index(r.idle, f); i >= 0 {
		r.idle = slices.Delete(r.idle, i, i+1)
	}
	f.users++
	return f, nil
}

// release lets go of an open segment.
func (r *readers) release(f *reader) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f.users--
	if f.users > 0 {
		return
	}
	r.idle = append(r.idle, f)
	for len(r.idle) > keptReaders || r.closed && len(r.idle) > 0 {
		old := r.idle[0]
		r.idle = slices.Delete(r.idle, 0, 1)
		delete(r.byNumber, old.number)
		old.Close()
	}
}

// close closes what nobody reads. A scan that still runs keeps its segment open
// until it releases it, and gets no other.
func (r *readers) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	for _, f := range r.idle {
		delete(r.byNumber, f.number)
		f.Close()
	}
	r.idle = nil
}
