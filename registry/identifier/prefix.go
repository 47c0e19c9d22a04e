package identifier

import "strings"

// Prefix is a path from the root of the tree of identifiers, such as "88.118.8".
// It is always in its canonical form: lower case, segments joined by dots. The
// empty Prefix is the root. Two prefixes are equal when == says so.
type Prefix string

// MaxPrefix is how many octets a prefix may have as DNS labels: every segment
// with one octet more for its length.
const MaxPrefix = 127

// maxSegment is what a DNS label may have (RFC 1035, section 2.3.4).
const maxSegment = 63

// ParsePrefix reads a prefix in either case. The error is a [*SyntaxError].
func ParsePrefix(text string) (Prefix, error) {
	if len(text)+1 > MaxPrefix {
		return "", &SyntaxError{Input: text, Offset: MaxPrefix - 1, Rule: "a prefix has at most 126 octets", Mend: "use fewer or shorter segments"}
	}
	folded := asciiLower(text)
	start := 0
	for i := 0; i <= len(folded); i++ {
		if i < len(folded) && folded[i] != '.' {
			continue
		}
		if err := checkSegment(text, start, i); err != nil {
			return "", err
		}
		start = i + 1
	}
	return Prefix(folded), nil
}

// checkSegment checks text[start:end] against [a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?
// in either case.
func checkSegment(text string, start, end int) error {
	fail := func(at int, rule, mend string) error {
		return &SyntaxError{Input: text, Offset: at, Rule: rule, Mend: mend}
	}
	switch {
	case start == end:
		return fail(start, "a segment of a prefix is not empty", "write one dot between two segments and none at the ends")
	case end-start > maxSegment:
		return fail(start+maxSegment, "a segment of a prefix has at most 63 octets", "shorten it")
	case text[start] == '-':
		return fail(start, "a segment of a prefix begins with a letter or digit", "leave out the hyphen")
	case text[end-1] == '-':
		return fail(end-1, "a segment of a prefix ends with a letter or digit", "leave out the hyphen")
	}
	for i := start; i < end; i++ {
		if !isAlphanumeric(text[i]) && text[i] != '-' {
			return fail(i, "a prefix has letters a to z, digits, hyphens and dots only", "leave out the character")
		}
	}
	return nil
}

// Segments returns the segments, the one next to the root first.
func (p Prefix) Segments() []string {
	if p == "" {
		return nil
	}
	return strings.Split(string(p), ".")
}

// Depth returns how many segments there are: 0 for the root.
func (p Prefix) Depth() int {
	if p == "" {
		return 0
	}
	return strings.Count(string(p), ".") + 1
}

// Parent returns the prefix one segment shorter. The root has none.
func (p Prefix) Parent() (Prefix, bool) {
	if p == "" {
		return "", false
	}
	i := strings.LastIndexByte(string(p), '.')
	if i < 0 {
		return "", true
	}
	return p[:i], true
}

// Covers reports whether q is p or lies below it, segment by segment: 88.1 covers
// 88.1.2 and not 88.11. The root covers everything.
func (p Prefix) Covers(q Prefix) bool {
	if p == "" {
		return true
	}
	return strings.HasPrefix(string(q), string(p)) && (len(q) == len(p) || q[len(p)] == '.')
}

// asciiLower folds A to Z and leaves every other octet as it is.
func asciiLower(s string) string {
	for i := 0; i < len(s); i++ {
		if 'A' <= s[i] && s[i] <= 'Z' {
			b := []byte(s)
			for ; i < len(b); i++ {
				if 'A' <= b[i] && b[i] <= 'Z' {
					b[i] += 'a' - 'A'
				}
			}
			return string(b)
		}
	}
	return s
}

func isAlphanumeric(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}
