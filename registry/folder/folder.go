// Package folder holds a node's data folder: which files are in it, whose process it
// is, the node's key, the mark of a folder in which entries may be missing, what tells
// it from a copy, and how the journal of another log takes the place of the one that is
// there.
//
// It knows nothing of what stands in the journal and the state. A backup is the journal
// and, when asked for, the key; the state is rebuilt from the journal.
package folder

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// The files of a node's folder, beside those of a change of logs and of its place.
const (
	KeyFile    = "node.key"
	JournalDir = "journal"
	StateFile  = "state.db"
	IndexFile  = "state.index" // where the records are in the state; made again when it is missing
	MarkFile   = "RESTORED"    // why entries may be missing here; while it is there the node is marked

	lockFile = "LOCK"
)

// Folder is a node's data folder, locked for this process. Its methods are called one at
// a time.
type Folder struct {
	path string
	lock *os.File
	hook func(point string)
	left rule // by a test
}

// Open creates the folder when it is not there and locks it until Close. A second
// process gets an error that names the first. hook is called at the points that the Hook
// constants name; nil for none.
func Open(path string, hook func(point string)) (*Folder, error) {
	if hook == nil {
		hook = func(string) {}
	}
	if err := os.MkdirAll(path, 0o750); err != nil {
		return nil, fmt.Errorf("data folder: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(path, lockFile), os.O_RDWR|os.O_CREATE, 0o640)
	if err != nil {
		return nil, fmt.Errorf("data folder: %w", err)
	}
	if err := waitForLock(lock); err != nil {
		owner, _ := os.ReadFile(lock.Name())
		lock.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("data folder %s is in use by process %s: stop it first, or use another folder",
				path, strings.TrimSpace(string(owner)))
		}
		return nil, fmt.Errorf("data folder %s: lock: %w", path, err)
	}
	if err := lock.Truncate(0); err == nil {
		_, err = lock.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
		if err != nil {
			lock.Close()
			return nil, fmt.Errorf("data folder %s: %w", path, err)
		}
	}
	return &Folder{path: path, lock: lock, hook: hook}, nil
}

// lockPatience is how long a folder may still be locked by a process that is on its way
// out: one that was killed a moment ago, or the copy of a process that is about to
// become another program.
const lockPatience = 500 * time.Millisecond

// waitForLock locks a file for this process.
func waitForLock(f *os.File) error {
	for deadline := time.Now().Add(lockPatience); ; time.Sleep(10 * time.Millisecond) {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EWOULDBLOCK) || time.Now().After(deadline) {
			return err
		}
	}
}

// Join returns the path of a file in the folder.
func (f *Folder) Join(name string) string { return filepath.Join(f.path, name) }

// MayBegin returns an error when a journal that is missing must not be begun anew,
// because there was one.
func (f *Folder) MayBegin() error {
	for _, name := range []string{StateFile, MarkFile} {
		_, err := os.Stat(f.Join(name))
		switch {
		case errors.Is(err, os.ErrNotExist):
		case err != nil:
			return fmt.Errorf("data folder: %w", err)
		case name == StateFile:
			return fmt.Errorf("data folder %s has a state and no journal, which holds everything: put the folder %q back, or restore a backup into an empty folder", f.path, JournalDir)
		default:
			return fmt.Errorf("data folder %s was not restored to the end: empty it and restore the backup again", f.path)
		}
	}
	return nil
}

// Close lets go of the folder.
func (f *Folder) Close() error { return f.lock.Close() }
