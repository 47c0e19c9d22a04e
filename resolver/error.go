package resolver

import "fmt"

// Kind says why there is no answer.
type Kind uint8

const (
	// Malformed: what was asked is not an identifier; asking again is no use.
	Malformed Kind = iota + 1
	// Overloaded: there is too much to do; ask later.
	Overloaded
	// Unavailable: the answer cannot be had or trusted now.
	Unavailable
	// Unauthenticated: who asks must say who they are first.
	Unauthenticated
)

// Error is why there is no answer. Detail is for whoever asked: one line that
// names the rule, the place and the mend, and nothing private.
type Error struct {
	Kind   Kind
	Detail string
	Err    error // what caused it; may be nil
}

func (e *Error) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("%s: %v", e.Detail, e.Err)
	}
	return e.Detail
}

func (e *Error) Unwrap() error { return e.Err }
