package identifier

import "fmt"

// SyntaxError says which rule a text breaks, where, and what would mend it.
type SyntaxError struct {
	Input  string // the text as it was given, cut when it is long
	Offset int    // octets from the beginning of the text
	Rule   string // the rule, as a sentence without a full stop
	Mend   string // what to do, in the imperative
}

// maxQuoted is how much of an input an error repeats.
const maxQuoted = 80

func (e *SyntaxError) Error() string {
	input := e.Input
	if len(input) > maxQuoted {
		input = input[:maxQuoted] + "…"
	}
	return fmt.Sprintf("%q, octet %d: %s: %s", input, e.Offset, e.Rule, e.Mend)
}
