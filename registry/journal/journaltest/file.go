package journaltest

import (
	"io"
	"io/fs"
	"slices"
	"syscall"
)

// inode is a file's content.
type inode struct {
	seen      []byte // what programs read
	allocated int64  // octets that have room
	durable   []byte
	pending   []write // since the last sync, in order
}

// write is a change of one sector, or of a file's length when octets is nil.
type write struct {
	at     int64
	octets []byte
}

// land lets pending writes reach the disk, or not, and forgets them.
func (f *inode) land(keep func() bool) {
	for _, w := range f.pending {
		if keep() {
			f.durable = w.apply(f.durable)
		}
	}
	f.pending = nil
}

func (w write) apply(b []byte) []byte {
	if w.octets == nil {
		return resize(b, w.at)
	}
	if end := w.at + int64(len(w.octets)); end > int64(len(b)) {
		b = resize(b, end)
	}
	copy(b[w.at:], w.octets)
	return b
}

func resize(b []byte, size int64) []byte {
	if size <= int64(len(b)) {
		return b[:size]
	}
	return append(b, make([]byte, size-int64(len(b)))...)
}

// file is an open file of a Disk.
type file struct {
	disk     *Disk
	inode    *inode
	name     string
	writable bool
	closed   bool
}

func (f *file) ReadAt(b []byte, at int64) (int, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if err := f.usable(); err != nil {
		return 0, err
	}
	if at >= int64(len(f.inode.seen)) {
		return 0, io.EOF
	}
	n := copy(b, f.inode.seen[at:])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func (f *file) WriteAt(b []byte, at int64) (int, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if err := f.mayWrite(); err != nil {
		return 0, err
	}
	if err := f.allocate(at + int64(len(b))); err != nil {
		return 0, err
	}
	if f.disk.writes.strikes() {
		f.put(b[:len(b)/2], at)
		return len(b) / 2, &fs.PathError{Op: "write", Path: f.name, Err: ErrFault}
	}
	f.put(b, at)
	return len(b), nil
}

func (f *file) usable() error {
	switch {
	case f.disk.halted:
		return ErrHalted
	case f.closed:
		return fs.ErrClosed
	}
	return nil
}

func (f *file) mayWrite() error {
	switch {
	case f.closed:
		return fs.ErrClosed
	case f.disk.off():
		return ErrHalted
	case !f.writable:
		return &fs.PathError{Op: "write", Path: f.name, Err: fs.ErrPermission}
	}
	return nil
}

// allocate takes room for the file's octets up to end.
func (f *file) allocate(end int64) error {
	more := end - f.inode.allocated
	switch {
	case more <= 0:
		return nil
	case f.disk.free < 0:
	case f.disk.free < more:
		return &fs.PathError{Op: "allocate", Path: f.name, Err: syscall.ENOSPC}
	default:
		f.disk.free -= more
	}
	f.inode.allocated = end
	return nil
}

// put writes sector by sector.
func (f *file) put(b []byte, at int64) {
	for len(b) > 0 {
		n := min(int64(len(b)), Sector-at%Sector)
		w := write{at, slices.Clone(b[:n])}
		f.inode.seen = w.apply(f.inode.seen)
		f.inode.pending = append(f.inode.pending, w)
		b, at = b[n:], at+n
	}
}

func (f *file) Allocate(_, size int64) error {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if err := f.mayWrite(); err != nil {
		return err
	}
	if err := f.allocate(size); err != nil {
		return err
	}
	if size > int64(len(f.inode.seen)) {
		f.resize(size)
	}
	return nil
}

func (f *file) Truncate(size int64) error {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if err := f.mayWrite(); err != nil {
		return err
	}
	f.resize(size)
	return nil
}

func (f *file) resize(size int64) {
	w := write{at: size}
	f.inode.seen = w.apply(f.inode.seen)
	f.inode.pending = append(f.inode.pending, w)
}

func (f *file) Sync() error {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	f.disk.count++
	switch {
	case f.closed:
		return fs.ErrClosed
	case f.disk.off():
		return ErrHalted
	case f.disk.lie:
		return nil
	case (!f.disk.named || f.disk.durable[f.name] == f.inode) && f.disk.syncs.strikes():
		f.inode.land(f.disk.keep)
		return &fs.PathError{Op: "sync", Path: f.name, Err: ErrFault}
	}
	f.inode.land(func() bool { return true })
	return nil
}

func (f *file) Size() (int64, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if err := f.usable(); err != nil {
		return 0, err
	}
	return int64(len(f.inode.seen)), nil
}

// Close makes everything else fail, as it does with a file of the operating system.
func (f *file) Close() error {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	f.closed = true
	return nil
}
