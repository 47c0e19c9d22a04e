package state

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

// mapSize is how much address space is set aside for the file, so that it need
// not be mapped anew while it grows to this size: that would wait for all
// readers, and new ones for it.
const mapSize int64 = 16 << 30

// growth is how much the file grows at a time.
const growth = 4 << 20

// Open opens the state at path and makes it when there is none. A file that is
// not sound, or not this journal's, is refused and left as it is; the error is a
// [*DamageError], [*ForeignError], [*FormatError] or [*JournalError], or wraps
// [ErrLocked].
func Open(path string, o Options) (*Store, error) {
	o = o.withDefaults()
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := create(path, o); err != nil {
			return nil, fmt.Errorf("state: creating %s: %w", path, err)
		}
	case err != nil:
		return nil, fmt.Errorf("state: %w", err)
	case !info.Mode().IsRegular():
		return nil, &ForeignError{path, "it is no regular file"}
	default:
		if err := examine(path, o); err != nil {
			return nil, err
		}
	}
	s := &Store{
		path:    path,
		o:       o,
		logs:    make(map[uint32]*logState),
		totals:  make(map[uint32]Totals),
		changed: make(chan struct{}),
		wake:    make(chan struct{}, 1),
		hurry:   make(chan struct{}, 1),
		stop:    make(chan struct{}),
		always:  make(chan struct{}),
	}
	close(s.always)
	if s.db, s.file, err = openBolt(path, o); err != nil {
		return nil, err
	}
	s.db.AllocSize = growth
	if err := s.load(); err != nil {
		s.db.Close()
		return nil, err
	}
	return s, nil
}

// boltOptions are those of every opening.
func boltOptions(o Options) *bbolt.Options {
	return &bbolt.Options{
		Timeout:      o.LockTimeout,
		FreelistType: bbolt.FreelistMapType,
		PageSize:     pageSize,
		NoStatistics: true, // they would take a lock twice for every reader
	}
}

// openBolt opens the file for writing.
func openBolt(path string, o Options) (*bbolt.DB, *os.File, error) {
	options := boltOptions(o)
	if wide := ^uint(0)>>63 == 1; wide && runtime.GOOS != "windows" { // there it would grow the file
		options.InitialMmapSize = int(mapSize)
	}
	db, file, err := tryBolt(path, options)
	if err != nil && options.InitialMmapSize > 0 && !errors.Is(err, ErrLocked) {
		// The address space of the process may be limited.
		options.InitialMmapSize = 0
		return tryBolt(path, options)
	}
	return db, file, err
}

func tryBolt(path string, options *bbolt.Options) (db *bbolt.DB, file *os.File, err error) {
	options.OpenFile = func(name string, flag int, mode os.FileMode) (*os.File, error) {
		f, err := os.OpenFile(name, flag, mode)
		file = f
		return f, err
	}
	err = guard(path, func() (err error) {
		db, err = bbolt.Open(path, 0o600, options)
		return err
	})
	if _, ok := errors.AsType[*DamageError](err); ok && file != nil {
		file.Close() // bbolt panicked and lets nobody close it
	}
	switch {
	case err == nil:
		return db, file, nil
	case errors.Is(err, berrors.ErrTimeout):
		return nil, nil, fmt.Errorf("state: %s cannot be opened: %w: stop it first", path, ErrLocked)
	}
	return nil, nil, fmt.Errorf("state: opening %s: %w", path, err)
}

// create makes an empty state. It appears under its name only when it is whole,
// so a crash leaves none or a sound one.
func create(path string, o Options) error {
	temporary := path + ".new"
	if err := os.Remove(temporary); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	db, _, err := tryBolt(temporary, boltOptions(o))
	if err != nil {
		return err
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		for _, name := range bucketNames() {
			b, err := tx.CreateBucket([]byte(name))
			if err != nil {
				return err
			}
			if err := b.Put([]byte(padKey), make([]byte, padSize)); err != nil {
				return err
			}
		}
		h := header{format: Format, journal: o.Journal}
		return tx.Bucket([]byte(headerBucket)).Put([]byte(headerKey), h.encode())
	})
	if err := errors.Join(err, db.Close()); err != nil {
		return err
	}
	if err := os.Rename(temporary, path); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(path))
}

func syncFolder(path string) error {
	if runtime.GOOS == "windows" {
		return nil // a folder cannot be synced there
	}
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// bucketNames returns the names of all buckets.
func bucketNames() []string {
	names := []string{headerBucket, logsBucket}
	for t := Records; t < tables; t++ {
		names = append(names, t.String())
		if t.versioned() {
			names = append(names, t.withdrawnBucket())
		}
	}
	return names
}

// examine checks a file without changing it: whose it is, and its structure. It
// holds bbolt's lock meanwhile, so that no other process writes.
func examine(path string, o Options) error {
	options := boltOptions(o)
	options.ReadOnly = true
	file, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("state: %w", err)
	}
	defer file.Close()
	db, _, err := tryBolt(path, options)
	if errors.Is(err, ErrLocked) {
		return err
	}
	if err == nil {
		defer db.Close()
	}
	info, err := file.Stat()
	if err != nil {
		return fmt.Errorf("state: %w", err)
	}
	err = examineFile(path, file, info.Size(), o)
	if b, ok := errors.AsType[*broken](err); ok {
		return &DamageError{path, b.reason}
	}
	return err
}

func examineFile(path string, f io.ReaderAt, size int64, o Options) error {
	im, err := openImage(f, size)
	if n, ok := errors.AsType[*notBolt](err); ok {
		if size == 0 {
			return &DamageError{path, "it is empty"}
		}
		return &ForeignError{path, n.reason}
	}
	if err != nil {
		return err
	}
	roots, err := im.buckets()
	if err != nil {
		return err
	}
	if err := examineHeader(path, im, roots, o); err != nil {
		return err
	}
	if err := im.checkFreelist(); err != nil {
		return err
	}
	for _, name := range bucketNames() {
		root, ok := roots[name]
		if !ok {
			return brokenf("its bucket %q is missing", name)
		}
		if name == headerBucket {
			continue
		}
		if err := im.tree(root, nil); err != nil {
			return err
		}
	}
	return nil
}

// examineHeader says whether the file is a state, of a known format, and that of
// this journal.
func examineHeader(path string, im *image, roots map[string]uint64, o Options) error {
	root, ok := roots[headerBucket]
	if !ok {
		return &ForeignError{path, "it is a bbolt file of something else"}
	}
	var text []byte
	err := im.tree(root, func(_ uint32, key, value []byte) error {
		if string(key) == headerKey {
			text = value
		}
		return nil
	})
	if err != nil {
		return err
	}
	h, err := parseHeader(text)
	if err != nil {
		return brokenf("%v", err)
	}
	if h.format > Format {
		return &FormatError{path, h.format, Format}
	}
	if h.journal != o.Journal {
		return &JournalError{path, h.journal, o.Journal}
	}
	return nil
}

// load reads how far the state has got.
func (s *Store) load() error {
	return guard(s.path, func() error {
		tx, err := s.begin(false)
		if err != nil {
			return err
		}
		defer tx.Rollback()
		snap := &snapshot{current: new(generation), base: tx.ID()}
		b, err := bucket(tx, headerBucket)
		if err != nil {
			return err
		}
		h, err := parseHeader(b.Get([]byte(headerKey)))
		if err != nil {
			return brokenf("%v", err)
		}
		s.applied, s.published = h.applied, h.applied
		if err := s.loadLogs(tx, snap); err != nil {
			return err
		}
		s.openIndex(tx)
		if s.index != nil {
			snap.leaves = s.shape.leaves
		}
		s.indexed = !s.indexing()
		s.snap.Store(snap)
		return nil
	})
}
