package identifier

import (
	"errors"
	"fmt"
	"unicode"
	"unicode/utf8"
)

// RuleError says which rule something breaks that is well formed otherwise.
type RuleError struct {
	What string // what breaks the rule, such as "delegation of 88.118.8" or "value 3"
	Rule string // the rule, as a sentence without a full stop
	Mend string // what to do, in the imperative
}

func (e *RuleError) Error() string {
	return fmt.Sprintf("%s: %s: %s", e.What, e.Rule, e.Mend)
}

// isPlainText reports whether s is UTF-8 without control characters.
func isPlainText(s string) bool {
	if !utf8.ValidString(s) {
		return false
	}
	for _, r := range s {
		if unicode.IsControl(r) {
			return false
		}
	}
	return true
}

// isPrintableASCII reports whether s has nothing but the octets 0x21 to 0x7E.
func isPrintableASCII(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < 0x21 || s[i] > 0x7E {
			return false
		}
	}
	return true
}

// isLabel reports whether s is [a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?.
func isLabel(s string) bool {
	if s == "" || len(s) > maxSegment || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		if !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-') {
			return false
		}
	}
	return true
}

// checkDelegable returns the error for a prefix that is not canonical.
func checkDelegable(what string, p Prefix) error {
	if p == "" {
		return nil
	}
	q, err := ParsePrefix(string(p))
	var syntax *SyntaxError
	switch {
	case errors.As(err, &syntax):
		return &RuleError{What: what, Rule: fmt.Sprintf("octet %d of the prefix: %s", syntax.Offset, syntax.Rule), Mend: syntax.Mend}
	case err != nil:
		return fmt.Errorf("%s: %w", what, err)
	case q != p:
		return &RuleError{What: what, Rule: "a prefix is in lower case", Mend: fmt.Sprintf("write %q", q)}
	}
	return nil
}

// checkLimit returns an error when n octets or members are not least to most.
func checkLimit(what, part string, n, least, most int) error {
	if n >= least && n <= most {
		return nil
	}
	return &RuleError{What: what, Rule: fmt.Sprintf("%s has %d to %d octets or members, not %d", part, least, most, n), Mend: "make it fit"}
}

func isLetterOrDigit(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}
