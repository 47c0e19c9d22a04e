package state

import (
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"unsafe"

	"go.etcd.io/bbolt"
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
			err = &DamageError{path, fmt.Sprint(p)}
		}
	}()
	err = f()
	if b, ok := errors.AsType[*broken](err); ok {
		return &DamageError{path, b.reason}
	}
	return err
}

// fault is what the runtime panics with when memory cannot be read.
type fault interface {
	runtime.Error
	Addr() uintptr
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
