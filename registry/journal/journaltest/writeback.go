package journaltest

import (
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"

	"github.com/nameplate-id/nameplate/registry/journal"
)

// WriteBack is the operating system's file system with a cache in the memory of
// this process in front of it: octets reach a file only in Sync, sector by sector
// in random order. So a SIGKILL loses what was not synced, and one that comes in
// the middle of a Sync leaves any part of it, as a power cut would. Names are not
// held back. Nothing is really synced: only the process is to be killed, not the
// machine.
type WriteBack struct {
	// IgnoreSync lets Sync do nothing, so that a test can show that it would notice.
	IgnoreSync bool

	journal.Disk
	mu    sync.Mutex
	files map[string]*cache
}

var _ journal.FS = (*WriteBack)(nil)

// cache holds the sectors of a file that were written and not synced.
type cache struct {
	mu      sync.Mutex
	sectors map[int64][]byte // by number
}

// SyncDir implements [journal.FS].
func (*WriteBack) SyncDir(string) error { return nil }

// Create implements [journal.FS].
func (w *WriteBack) Create(name string) (journal.File, error) {
	return w.open(name, os.O_RDWR|os.O_CREATE|os.O_EXCL)
}

// Open implements [journal.FS].
func (w *WriteBack) Open(name string) (journal.File, error) { return w.open(name, os.O_RDONLY) }

// OpenWrite implements [journal.FS].
func (w *WriteBack) OpenWrite(name string) (journal.File, error) { return w.open(name, os.O_RDWR) }

func (w *WriteBack) open(name string, flag int) (journal.File, error) {
	f, err := os.OpenFile(name, flag, 0o600)
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.files == nil {
		w.files = make(map[string]*cache)
	}
	name = filepath.Clean(name)
	if w.files[name] == nil || flag&os.O_CREATE != 0 {
		w.files[name] = &cache{sectors: make(map[int64][]byte)}
	}
	return &cachedFile{File: f, cache: w.files[name], ignoreSync: w.IgnoreSync}, nil
}

// Rename implements [journal.FS].
func (w *WriteBack) Rename(old, name string) error {
	if err := os.Rename(old, name); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	old, name = filepath.Clean(old), filepath.Clean(name)
	w.files[name] = w.files[old]
	delete(w.files, old)
	return nil
}

// cachedFile is an open file of a WriteBack.
type cachedFile struct {
	*os.File
	cache      *cache
	ignoreSync bool
}

func (f *cachedFile) ReadAt(b []byte, at int64) (int, error) {
	f.cache.mu.Lock()
	defer f.cache.mu.Unlock()
	n, err := f.File.ReadAt(b, at)
	if err != nil && err != io.EOF {
		return n, err
	}
	// The files of a journal have their full length before they are written to,
	// so that no sector lies beyond what was read.
	for i := at / Sector; i*Sector < at+int64(n); i++ {
		if sector := f.cache.sectors[i]; sector != nil {
			from := max(at, i*Sector)
			copy(b[from-at:n], sector[from-i*Sector:])
		}
	}
	return n, err
}

func (f *cachedFile) WriteAt(b []byte, at int64) (int, error) {
	f.cache.mu.Lock()
	defer f.cache.mu.Unlock()
	for done := 0; done < len(b); {
		i := (at + int64(done)) / Sector
		sector := f.cache.sectors[i]
		if sector == nil {
			sector = make([]byte, Sector)
			if _, err := f.File.ReadAt(sector, i*Sector); err != nil && err != io.EOF {
				return done, err
			}
			f.cache.sectors[i] = sector
		}
		done += copy(sector[at+int64(done)-i*Sector:], b[done:])
	}
	return len(b), nil
}

func (f *cachedFile) Sync() error {
	if f.ignoreSync {
		return nil
	}
	f.cache.mu.Lock()
	defer f.cache.mu.Unlock()
	numbers := make([]int64, 0, len(f.cache.sectors))
	for i := range f.cache.sectors {
		numbers = append(numbers, i)
	}
	rand.Shuffle(len(numbers), func(i, k int) { numbers[i], numbers[k] = numbers[k], numbers[i] })
	for _, i := range numbers {
		if _, err := f.File.WriteAt(f.cache.sectors[i], i*Sector); err != nil {
			return err
		}
		delete(f.cache.sectors, i)
	}
	return nil
}

func (f *cachedFile) Allocate(_, size int64) error {
	if old, err := f.Size(); err != nil || size <= old {
		return err
	}
	return f.Truncate(size)
}

func (f *cachedFile) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}
