package state

import (
	"errors"
	"fmt"
)

var (
	// ErrClosed is what every method returns once the store is closed.
	ErrClosed = errors.New("the state is closed")
	// ErrFull is wrapped by what Publish and WaitRoom return when the overlay
	// had no room until their context ended.
	ErrFull = errors.New("the overlay of the state is full")
	// ErrLocked is wrapped by what Open returns when another process has the
	// file open.
	ErrLocked = errors.New("another process has it open")
)

// DamageError says that the file does not hold what was written to it. The state
// can always be built again from the journal.
type DamageError struct {
	Path   string
	Reason string
}

func (e *DamageError) Error() string {
	return fmt.Sprintf("%s is damaged: %s: delete it, the next start builds it again from the journal", e.Path, e.Reason)
}

// ForeignError says that the file is something else than a state.
type ForeignError struct {
	Path   string
	Reason string
}

func (e *ForeignError) Error() string {
	return fmt.Sprintf("%s is no state of a Nameplate node: %s: move it away", e.Path, e.Reason)
}

// FormatError says that the file was written by a newer release.
type FormatError struct {
	Path   string
	Format uint32 // of the file
	Known  uint32 // the newest that this release reads
}

func (e *FormatError) Error() string {
	return fmt.Sprintf("%s has format %d, and this release reads up to %d: use a newer nameplate", e.Path, e.Format, e.Known)
}

// JournalError says that the file is the state of another journal.
type JournalError struct {
	Path       string
	Have, Want [16]byte
}

func (e *JournalError) Error() string {
	return fmt.Sprintf("%s is the state of journal %x, not of %x: if the journal is the right one, delete the state; the next start builds it again", e.Path, e.Have, e.Want)
}
