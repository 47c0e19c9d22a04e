// Package journaltest has file systems for tests of what is built on a journal:
// [Disk], in memory, loses at a crash what was not synced, as a power cut does, and
// fails on demand; [WriteBack] lays the same forgetfulness over real files, so that
// kill -9 of the process is as hard on them as a power cut.
package journaltest

import (
	"errors"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"sync"

	"github.com/nameplate-id/nameplate/registry/journal"
)

// Sector is how many octets a disk writes whole or not at all.
const Sector = 512

// ErrFault is the error of writes and syncs that a test let fail.
var ErrFault = errors.New("input/output error (made by a test)")

// ErrHalted is the error of everything on a Disk after Halt, Crash or Restart.
var ErrHalted = errors.New("the machine has halted (made by a test)")

// Disk is a file system in memory. It keeps apart what programs see and what would
// be there after a power cut. All methods may be called from several goroutines.
type Disk struct {
	mu      sync.Mutex
	halted  bool
	names   map[string]*inode // what programs see
	durable map[string]*inode // what SyncDir has made durable
	changes []change          // of names since then
	free    int64             // octets that can still be allocated; below zero for no limit
	lie     bool              // Sync does nothing
	syncs   fault
	named   bool // they are syncs of files whose names are durable
	writes  fault
	dirs    fault
	halt    fault       // operations until nothing works any more
	keep    func() bool // decides what a failed sync has written
	count   int         // syncs that were asked for
}

// fault counts down the calls until one fails; zero for never.
type fault int

func (f *fault) strikes() bool {
	if *f > 0 {
		*f--
		return *f == 0
	}
	return false
}

// change is one change of a name: old is empty for a new file, name for a removal.
type change struct {
	old, name string
	file      *inode
}

var _ journal.FS = (*Disk)(nil)

// NewDisk returns an empty disk without a limit.
func NewDisk() *Disk {
	return &Disk{names: map[string]*inode{}, durable: map[string]*inode{}, free: -1, keep: func() bool { return false }}
}

// Crash cuts the power and returns the disk as the next start finds it. keep is
// asked for every sector written and every name changed since it was last synced,
// in order, whether it had reached the disk; nil for never. Names reach it in
// order: after the first that did not, none did. Whoever uses the old Disk from
// now on gets an error.
func (d *Disk) Crash(keep func() bool) *Disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.halted = true
	if keep == nil {
		keep = func() bool { return false }
	}
	after := NewDisk()
	after.free = d.free
	names := d.durable
	for _, c := range d.changes {
		if !keep() {
			break
		}
		c.apply(names)
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		file := names[name]
		file.land(keep)
		content := file.durable
		after.names[name] = &inode{seen: slices.Clone(content), durable: content, allocated: max(file.allocated, int64(len(content)))}
		after.durable[name] = after.names[name]
	}
	return after
}

func (c change) apply(names map[string]*inode) {
	if c.old != "" {
		delete(names, c.old)
	}
	if c.name != "" {
		names[c.name] = c.file
	}
}

// Halt lets the nth operation that changes something, from now on, fail, and every
// operation after it. Then Crash or Restart gives the disk for the next start.
func (d *Disk) Halt(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.halt = fault(n)
}

// Restart ends the process that uses the disk, but not the machine: what it wrote is
// still seen, and still not synced. Whoever uses the old Disk from now on gets an
// error.
func (d *Disk) Restart() *Disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.halted = true
	after := NewDisk()
	after.names, after.durable, after.changes = d.names, d.durable, d.changes
	after.free, after.lie = d.free, d.lie
	return after
}

// FailSync lets the nth sync of a file from now on fail. As a kernel may do, it
// leaves what was written readable, has written the sectors that keep picks (nil for
// none), and forgets that the others are not on the disk: a second Sync succeeds
// without writing them.
func (d *Disk) FailSync(n int, keep func() bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.syncs = fault(n)
	d.named = false
	if keep != nil {
		d.keep = keep
	}
}

// FailSyncNamed is FailSync of a file whose name SyncDir has made durable: of the segment that
// is written to, and not of the one that is made ready behind it.
func (d *Disk) FailSyncNamed(n int, keep func() bool) {
	d.FailSync(n, keep)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.named = true
}

// FailSyncDir lets the nth SyncDir from now on fail without doing anything.
func (d *Disk) FailSyncDir(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.dirs = fault(n)
}

// FailWrite lets the nth write from now on fail after its first half.
func (d *Disk) FailWrite(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.writes = fault(n)
}

// SetFree says how many octets can still be allocated; below zero for any number.
func (d *Disk) SetFree(octets int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.free = octets
}

// IgnoreSync lets every sync from now on report success without doing anything.
func (d *Disk) IgnoreSync() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lie = true
}

// Syncs returns how often a file was synced.
func (d *Disk) Syncs() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.count
}

// Content returns a copy of a file as programs see it; nil when there is none.
func (d *Disk) Content(name string) []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	if f := d.names[name]; f != nil {
		return slices.Clone(f.seen)
	}
	return nil
}

// SetContent replaces a file on the disk, durably: damage, for instance. Nil takes
// the file away.
func (d *Disk) SetContent(name string, content []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if content == nil {
		delete(d.names, name)
		delete(d.durable, name)
		return
	}
	f := &inode{seen: slices.Clone(content), durable: slices.Clone(content), allocated: int64(len(content))}
	d.names[name], d.durable[name] = f, f
}

// Clone returns a disk with the same files as programs see them, all durable.
func (d *Disk) Clone() *Disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := NewDisk()
	for name, f := range d.names {
		c.SetContent(name, f.seen)
	}
	return c
}

// MakeDir implements [journal.FS]. A Disk has no folders, only names.
func (d *Disk) MakeDir(string) error { return d.check() }

func (d *Disk) check() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.halted {
		return ErrHalted
	}
	return nil
}

// off reports whether nothing can be changed any more. d.mu is held.
func (d *Disk) off() bool {
	d.halted = d.halted || d.halt.strikes()
	return d.halted
}

// List implements [journal.FS].
func (d *Disk) List(dir string) ([]string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.halted {
		return nil, ErrHalted
	}
	var names []string
	for name := range d.names {
		if filepath.Dir(name) == filepath.Clean(dir) {
			names = append(names, filepath.Base(name))
		}
	}
	slices.Sort(names)
	return names, nil
}

// Create implements [journal.FS].
func (d *Disk) Create(name string) (journal.File, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.off():
		return nil, ErrHalted
	case d.names[name] != nil:
		return nil, &fs.PathError{Op: "create", Path: name, Err: fs.ErrExist}
	}
	f := &inode{}
	d.change(change{name: name, file: f})
	return &file{disk: d, inode: f, name: name, writable: true}, nil
}

// change applies a change to what programs see and remembers it. d.mu is held.
func (d *Disk) change(c change) {
	c.apply(d.names)
	d.changes = append(d.changes, c)
}

// Open implements [journal.FS].
func (d *Disk) Open(name string) (journal.File, error) { return d.open(name, false) }

// OpenWrite implements [journal.FS].
func (d *Disk) OpenWrite(name string) (journal.File, error) { return d.open(name, true) }

func (d *Disk) open(name string, writable bool) (journal.File, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.halted {
		return nil, ErrHalted
	}
	f := d.names[name]
	if f == nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return &file{disk: d, inode: f, name: name, writable: writable}, nil
}

// Rename implements [journal.FS].
func (d *Disk) Rename(old, name string) error { return d.move("rename", old, name) }

// Remove implements [journal.FS].
func (d *Disk) Remove(name string) error { return d.move("remove", name, "") }

func (d *Disk) move(op, old, name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.off() {
		return ErrHalted
	}
	f := d.names[old]
	if f == nil {
		return &fs.PathError{Op: op, Path: old, Err: fs.ErrNotExist}
	}
	if name == "" && d.free >= 0 {
		d.free += f.allocated
	}
	d.change(change{old: old, name: name, file: f})
	return nil
}

// SyncDir implements [journal.FS]. It syncs all folders.
func (d *Disk) SyncDir(dir string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.off():
		return ErrHalted
	case d.lie:
		return nil
	case d.dirs.strikes():
		return &fs.PathError{Op: "sync", Path: dir, Err: ErrFault}
	}
	for _, c := range d.changes {
		c.apply(d.durable)
	}
	d.changes = nil
	return nil
}
