package registry

import (
	"fmt"
	"strings"

	"github.com/nameplate-id/nameplate/registry/identifier"
)

// Kind says why a change was not taken.
type Kind uint8

const (
	// Malformed: the request breaks a rule of its own form; sending it again is no use.
	Malformed Kind = iota + 1
	// Unauthenticated: the signatures are not good, or too few.
	Unauthenticated
	// Denied: good signatures of somebody who does not hold the prefix here, or of a
	// keyset or an epoch that is no longer current.
	Denied
	// Conflict: a row does not follow on the current version. [Error.Rows] names each.
	Conflict
	// Expired: the change's own expiry has passed.
	Expired
	// Overloaded: too much waits to be stored, or the disk is full; later it may do.
	Overloaded
	// ReadOnly: the node takes no changes until it has been healed.
	ReadOnly
	// Unavailable: what was stored cannot be read or trusted, or the outcome is not known.
	Unavailable
	// Absent: there is nothing of what was asked for, and never was.
	Absent
)

var kindNames = [...]string{
	Malformed: "malformed", Unauthenticated: "not authenticated", Denied: "denied", Conflict: "version conflict",
	Expired: "expired", Overloaded: "overloaded", ReadOnly: "read-only", Unavailable: "unavailable",
	Absent: "absent",
}

func (k Kind) String() string {
	if int(k) < len(kindNames) && kindNames[k] != "" {
		return kindNames[k]
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// Error is why a change was not taken. Nothing of the change was logged, except
// with Unavailable after a cancelled wait: then it may have been, and sending the
// same change again is harmless and tells.
type Error struct {
	Kind   Kind
	Detail string // one line: the rule, the place, the mend
	Rows   []RowError
	Err    error // what caused it; may be nil
}

// RowError is what is wrong with one row, with what the node has in its place.
type RowError struct {
	Row     int // from 0
	ID      identifier.ID
	Reason  string
	Version uint64          // the current version, 0 for none
	RowHash identifier.Hash // of the current version
}

// maxRowsShown is how many rows an error's text names; Rows has them all.
const maxRowsShown = 3

func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%v: %s", e.Kind, e.Detail)
	for i, r := range e.Rows {
		if i == maxRowsShown {
			fmt.Fprintf(&b, "; and %d more rows", len(e.Rows)-i)
			break
		}
		fmt.Fprintf(&b, "; row %d, %s: %s", r.Row, r.ID, r.Reason)
	}
	if e.Err != nil {
		fmt.Fprintf(&b, ": %v", e.Err)
	}
	return b.String()
}

func (e *Error) Unwrap() error { return e.Err }

func refuse(kind Kind, format string, args ...any) *Error {
	return &Error{Kind: kind, Detail: fmt.Sprintf(format, args...)}
}
