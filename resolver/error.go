package resolver

import (
	"fmt"
	"strings"
)

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

// maxSaid is how much of what another server says is passed on, in octets.
const maxSaid = 1024

// OneLine makes a line of what another server said, at most 1,024 octets without controls,
// which may go into a Detail: it ends in a log or on a terminal.
func OneLine(said string) string {
	if len(said) > maxSaid {
		said = said[:maxSaid]
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(said, ""))
}

// UnheldError is why a mirror gives no answer about an identifier that it has no record
// of. A node acknowledges what is registered before anybody above has it, and goes on
// registering while it cannot be reached from above: so its mirror never knows that
// something is absent, however fresh it is. Only the node itself does.
type UnheldError struct {
	// Answer is what the mirror does know, without an outcome to tell anybody: the zone,
	// and whether something lies below the prefix.
	Answer Answer
}

func (e *UnheldError) Error() string {
	return fmt.Sprintf("the mirror of %s, %v old, has no record of %s", e.Answer.Apex, e.Answer.Origin.Age, e.Answer.ID)
}
