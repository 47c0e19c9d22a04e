package registry

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/nameplate-id/nameplate/registry/identifier"
)

// The files of a node's folder. A backup is the journal and, when asked for, the
// key; the state is rebuilt from the journal.
const (
	lockFile    = "LOCK"
	keyFile     = "node.key"
	stateFile   = "state.db"
	indexFile   = "state.index" // where the records are in the state; made again when it is missing
	journalDir  = "journal"
	restoreFile = "RESTORED" // why entries may be missing here; while it is there the node is marked

	scratchDir  = "check.new" // where a check builds the state again
	asideSuffix = ".damaged"  // of a state that was found wanting
)

// folder is a node's data folder, locked for this process.
type folder struct {
	path string
	lock *os.File
	hook func(point string) // nil for none
	left rule
}

// pass is called at a point of [Config.Hook].
func (f *folder) pass(point string) {
	if f.hook != nil {
		f.hook(point)
	}
}

// openFolder creates the folder when it is not there and locks it. A second
// process gets an error that names the first.
func openFolder(path string) (*folder, error) {
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
	return &folder{path: path, lock: lock}, nil
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

func (f *folder) join(name string) string { return filepath.Join(f.path, name) }

// mayBegin returns an error when a journal that is missing must not be begun anew,
// because there was one.
func (f *folder) mayBegin() error {
	for _, name := range []string{stateFile, restoreFile} {
		_, err := os.Stat(f.join(name))
		switch {
		case errors.Is(err, os.ErrNotExist):
		case err != nil:
			return fmt.Errorf("data folder: %w", err)
		case name == stateFile:
			return fmt.Errorf("data folder %s has a state and no journal, which holds everything: put the folder %q back, or restore a backup into an empty folder", f.path, journalDir)
		default:
			return fmt.Errorf("data folder %s was not restored to the end: empty it and restore the backup again", f.path)
		}
	}
	return nil
}

func (f *folder) close() error { return f.lock.Close() }

// nodeKey reads the node's key, or makes one when there is none and create says so.
func (f *folder) nodeKey(create bool) (identifier.PrivateKey, error) {
	path := f.join(keyFile)
	text, err := os.ReadFile(path)
	switch {
	case err == nil:
		key, err := identifier.ParsePrivateKeyPEM(text)
		if err != nil {
			return identifier.PrivateKey{}, fmt.Errorf("node key %s: %w", path, err)
		}
		return key, nil
	case !errors.Is(err, os.ErrNotExist):
		return identifier.PrivateKey{}, fmt.Errorf("node key: %w", err)
	case !create:
		return identifier.PrivateKey{}, fmt.Errorf("node key %s is missing: put it back from where it is kept, the log is signed with it: %w", path, os.ErrNotExist)
	}
	key, err := identifier.NewPrivateKey(rand.Reader)
	if err != nil {
		return identifier.PrivateKey{}, fmt.Errorf("node key: %w", err)
	}
	text, err = key.MarshalPEM()
	if err != nil {
		return identifier.PrivateKey{}, fmt.Errorf("node key: %w", err)
	}
	if err := writeFile(path, text, 0o600); err != nil {
		return identifier.PrivateKey{}, fmt.Errorf("node key: %w", err)
	}
	return key, nil
}

// writeFile puts data under a name at once and durably: after a crash the file
// is whole or as it was before.
func writeFile(path string, data []byte, mode os.FileMode) error {
	if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, data) {
		return nil
	}
	temporary, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(temporary.Name())
	_, err = temporary.Write(data)
	err = errors.Join(err, temporary.Chmod(mode), temporary.Sync(), temporary.Close())
	if err != nil {
		return err
	}
	if err := os.Rename(temporary.Name(), path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// NodeKey reads the key of the node in a folder. The folder may be in use.
func NodeKey(path string) (identifier.PrivateKey, error) {
	return (&folder{path: path}).nodeKey(false)
}
