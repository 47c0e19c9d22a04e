package journal

import (
	"fmt"
	"os"
	"path/filepath"
)

// Disk is the operating system's file system. Files are made readable for their
// owner only.
type Disk struct{}

var _ FS = Disk{}

// MakeDir implements [FS].
func (Disk) MakeDir(dir string) error {
	if info, err := os.Stat(dir); err == nil {
		if !info.IsDir() {
			return fmt.Errorf("%s is not a directory", dir)
		}
		return nil
	}
	parent := filepath.Dir(dir)
	if parent != dir {
		if err := (Disk{}).MakeDir(parent); err != nil {
			return err
		}
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !os.IsExist(err) {
		return err
	}
	return Disk{}.SyncDir(parent)
}

// List implements [FS].
func (Disk) List(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if !e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// Create implements [FS].
func (Disk) Create(name string) (File, error) {
	return openDisk(name, os.O_RDWR|os.O_CREATE|os.O_EXCL)
}

// Open implements [FS].
func (Disk) Open(name string) (File, error) { return openDisk(name, os.O_RDONLY) }

// OpenWrite implements [FS].
func (Disk) OpenWrite(name string) (File, error) { return openDisk(name, os.O_RDWR) }

// Rename implements [FS].
func (Disk) Rename(old, name string) error { return os.Rename(old, name) }

// Remove implements [FS].
func (Disk) Remove(name string) error { return os.Remove(name) }

// SyncDir implements [FS].
func (Disk) SyncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

// diskFile is a file of [Disk].
type diskFile struct{ *os.File }

func openDisk(name string, flag int) (File, error) {
	f, err := os.OpenFile(name, flag, 0o600)
	if err != nil {
		return nil, err
	}
	return diskFile{f}, nil
}

// Allocate implements [File].
func (f diskFile) Allocate(from, size int64) error {
	switch ok, err := preallocate(f.File, from, size); {
	case err != nil:
		return &os.PathError{Op: "allocate", Path: f.Name(), Err: err}
	case ok:
		return nil
	}
	return f.fill(from, size)
}

// fill takes the room by writing zeros, where the file system knows no other way.
func (f diskFile) fill(from, size int64) error {
	zeros := make([]byte, 1<<20)
	for from < size {
		n, err := f.WriteAt(zeros[:min(int64(len(zeros)), size-from)], from)
		if err != nil {
			return err
		}
		from += int64(n)
	}
	return nil
}

// Sync implements [File].
func (f diskFile) Sync() error { return syncData(f.File) }

// Size implements [File].
func (f diskFile) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}
