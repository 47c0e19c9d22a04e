package journal

import (
	"errors"
	"fmt"
)

// Errors of [Journal.Append] and [Journal.Wait].
var (
	// ErrBusy says that the frames waiting for a sync leave no room for another
	// just now. Nothing was queued: let go of every lock, Wait, and try again.
	ErrBusy = errors.New("the journal is busy: too much waits to be synced")
	// ErrFull says that the disk has no room for the segment that the frame would
	// need. Nothing was queued, what the journal holds can be read, and appending
	// goes on by itself within about a second after there is room again.
	ErrFull = errors.New("the journal cannot grow: free some disk space")
	// ErrClosed says that the journal has been closed.
	ErrClosed = errors.New("the journal is closed")
)

// DamageError says that the journal holds octets that were once synced and have
// changed since, or has lost some. Nothing is repaired: only a backup or the
// parent has the right octets.
type DamageError struct {
	Path    string // the segment's file
	Segment uint64 // its number
	Offset  int64  // octets from the beginning of that file
	Reason  string
}

func (e *DamageError) Error() string {
	return fmt.Sprintf("journal is damaged: %s, octet %d: %s; restore the node from a backup", e.Path, e.Offset, e.Reason)
}

// FormatError says that a file is not one that this version can read: another
// program's, another journal's, or a newer version's.
type FormatError struct {
	Path   string
	Offset int64 // octets from the beginning of the file
	Reason string
}

func (e *FormatError) Error() string {
	return fmt.Sprintf("cannot read journal: %s, octet %d: %s", e.Path, e.Offset, e.Reason)
}
