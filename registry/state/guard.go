package state

import (
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"unsafe"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

// broken is what is wrong with a file, before anybody says which file.
type broken struct{ reason string }

func (e *broken) Error() string { return e.reason }

func brokenf(format string, args ...any) error { return &broken{fmt.Sprintf(format, args...)} }

// guard runs f, which calls bbolt and nothing of anybody else's. bbolt takes the
// pages of its file at their word: damaged ones make it panic, or read where
// nothing is mapped. Both become a [*DamageError] here.
func guard(path string, f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = &DamageError{path, reason(p)}
		}
	}()
	err = f()
	if b, ok := errors.AsType[*broken](err); ok {
		return &DamageError{path, b.reason}
	}
	return err
}

// begin opens a bbolt transaction. guard or View is around it.
//
// When bbolt panics here, for want of a readable meta page, it leaves its locks
// behind, and whoever called it again would wait for ever. So then nobody does.
func (s *Store) begin(writable bool) (tx *bbolt.Tx, err error) {
	if d := s.stuck.Load(); d != nil {
		return nil, d
	}
	defer func() {
		if p := recover(); p != nil {
			d := &DamageError{s.path, reason(p)}
			s.stuck.Store(d)
			s.fail(d)
			err = d
		}
	}()
	tx, err = s.db.Begin(writable)
	if errors.Is(err, berrors.ErrDatabaseNotOpen) {
		return nil, ErrClosed
	}
	return tx, err
}

// fail notes why nothing can be committed any more.
func (s *Store) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failed = err
	s.broadcast()
}

// fault is what the runtime panics with when memory cannot be read.
type fault interface {
	runtime.Error
	Addr() uintptr
}

// reason says what a panic of bbolt means.
func reason(p any) string {
	if _, ok := p.(fault); ok {
		return "a page cannot be read"
	}
	return fmt.Sprint(p)
}

// mapping is where bbolt has mapped its file during a transaction.
type mapping struct {
	base uintptr
	size uintptr // octets of the file in use
}

func mappingOf(tx *bbolt.Tx) mapping {
	return mapping{base: tx.DB().Info().Data, size: uintptr(tx.Size())}
}

// holds reports whether all of b lies in the mapped file: a damaged page may name
// any place and length.
func (m mapping) holds(b []byte) bool {
	if len(b) == 0 {
		return true
	}
	at := uintptr(unsafe.Pointer(unsafe.SliceData(b))) - m.base
	return at <= m.size && uintptr(len(b)) <= m.size-at
}

// check returns what is wrong with the place or the size of a row.
func (m mapping) check(k, v []byte) error {
	switch {
	case !m.holds(k) || !m.holds(v):
		return brokenf("a row of %d and %d octets does not lie in it", len(k), len(v))
	case len(k) > logSize+MaxKey || len(v) > MaxValue:
		return brokenf("a row has %d and %d octets, more than may be written", len(k), len(v))
	case k != nil && v == nil:
		return brokenf("a row is marked as a bucket")
	}
	return nil
}

// at reports whether an address that could not be read lies in the mapped file:
// the file was cut while it was open, or its disk cannot be read.
func (m mapping) at(address uintptr) bool { return address-m.base < m.size }

// bucket returns a bucket that every state has.
func bucket(tx *bbolt.Tx, name string) (*bbolt.Bucket, error) {
	if b := tx.Bucket([]byte(name)); b != nil {
		return b, nil
	}
	return nil, brokenf("its bucket %q is missing", name)
}
