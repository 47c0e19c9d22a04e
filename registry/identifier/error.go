package identifier

import (
	"fmt"
	"strings"
)

// SyntaxError says which rule a text breaks, where, and what would mend it.
type SyntaxError struct {
	Input  string // the text as it was given; only its beginning when it is over the limit
	Offset int    // octets from the beginning of the text
	Rule   string // the rule, as a sentence without a full stop
	Mend   string // what to do, in the imperative
}

// maxQuoted is how many octets of an input an error message repeats.
const maxQuoted = 80

// Error is one line: octets that would break it are shown as escapes.
func (e *SyntaxError) Error() string {
	input, more := e.Input, ""
	if len(input) > maxQuoted {
		input, more = input[:maxQuoted], "…"
	}
	return fmt.Sprintf("%q%s, octet %d: %s: %s", input, more, e.Offset, e.Rule, e.Mend)
}

// fail makes the error of a rule that input breaks at an offset.
func fail(input string, offset int, rule, mend string) error {
	return &SyntaxError{Input: input, Offset: offset, Rule: rule, Mend: mend}
}

// rebase turns the error of a part into the error of the whole text, in which
// the part begins at an offset.
func rebase(err error, whole string, at int) error {
	if e, ok := err.(*SyntaxError); ok {
		return &SyntaxError{Input: whole, Offset: e.Offset + at, Rule: e.Rule, Mend: e.Mend}
	}
	return err
}

// tooLong makes the error of a text over a limit. Of a text over all limits it
// keeps nothing but the beginning, for it may be very long.
func tooLong(input string, limit int, rule, mend string) error {
	if len(input) > MaxText {
		input = strings.Clone(input[:maxQuoted]) + "…"
	}
	return fail(input, limit, rule, mend)
}
