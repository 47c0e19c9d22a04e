package journal

import (
	"io"
)

// FS is what the journal needs of a file system. Names are paths as package
// path/filepath makes them. [Disk] is the real one; package journaltest has some
// that fail. Methods may be called from several goroutines at once.
type FS interface {
	// MakeDir makes a directory, and those above it that are missing, durably.
	// One that is there is no error.
	MakeDir(dir string) error
	// List returns the names of the files in a directory, without the directory,
	// in any order.
	List(dir string) ([]string, error)
	// Create makes an empty file; fs.ErrExist when there is one.
	Create(name string) (File, error)
	// Open opens a file for reading and OpenWrite for both; fs.ErrNotExist when
	// there is none.
	Open(name string) (File, error)
	OpenWrite(name string) (File, error)
	// Rename gives a file another name; durable after SyncDir.
	Rename(old, name string) error
	// Remove takes a file away; durable after SyncDir.
	Remove(name string) error
	// SyncDir makes durable which names a directory holds.
	SyncDir(dir string) error
}

// File is an open file. ReadAt may be called beside every other method.
type File interface {
	io.ReaderAt
	io.WriterAt
	// Allocate makes the file size octets long and sees to it that writing any of
	// them from octet from on needs no more room on the disk. Octets from there
	// on that hold something already are zero: they may be written with zeros.
	Allocate(from, size int64) error
	// Truncate makes the file size octets long without taking room for it.
	Truncate(size int64) error
	// Sync makes the file's octets and its length durable. After an error nothing
	// is known of what was written since the Sync before.
	Sync() error
	// Size returns how many octets the file has.
	Size() (int64, error)
	Close() error
}
