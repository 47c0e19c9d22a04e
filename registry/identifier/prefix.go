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

// maxPrefixText is MaxPrefix without the length octet of the first label: each
// dot stands for another.
const maxPrefixText = MaxPrefix - 1

// ParsePrefix reads a prefix in either case. A prefix whose first segment belongs
// to a scheme must also be one that this scheme can make or a beginning of
// such a one: single digits after gs1, arcs after oid, a reversed host after web,
// one method name after did. Reserved first segments are refused by name. The
// error is a [*SyntaxError].
func ParsePrefix(text string) (Prefix, error) {
	if len(text) > maxPrefixText {
		return "", tooLong(text, maxPrefixText, "a prefix has at most 126 octets", "use fewer or shorter segments")
	}
	folded := asciiLower(text)
	if err := checkPrefixText(folded); err != nil {
		return "", rebase(err, text, 0)
	}
	return Prefix(folded), nil
}

// checkPrefixText checks that text is a prefix in its canonical form and
// that the scheme that owns it allows it.
func checkPrefixText(text string) error {
	if len(text) > maxPrefixText {
		return tooLong(text, maxPrefixText, "a prefix has at most 126 octets", "use fewer or shorter segments")
	}
	start := 0
	for i := 0; i <= len(text); i++ {
		if i < len(text) && text[i] != '.' {
			continue
		}
		if err := checkSegment(text, start, i); err != nil {
			return err
		}
		start = i + 1
	}
	switch Prefix(text).Scheme() {
	case GS1:
		return checkGS1Prefix(text)
	case OID:
		return checkOIDPrefix(text)
	case Web:
		return checkWebPrefix(text)
	case DID:
		return checkDIDPrefix(text)
	case Reserved:
		first, _, _ := strings.Cut(text, ".")
		return fail(text, 0, "the first segment "+first+" is reserved for a scheme to come", "use a prefix that is delegated to you")
	}
	return nil
}

// checkSegment checks text[start:end] against [a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?.
func checkSegment(text string, start, end int) error {
	switch {
	case start == end:
		return fail(text, start, "a segment of a prefix is not empty", "write one dot between two segments and none at the ends")
	case end-start > maxSegment:
		return fail(text, start+maxSegment, "a segment of a prefix has at most 63 octets", "shorten it")
	case text[start] == '-':
		return fail(text, start, "a segment of a prefix begins with a letter or digit", "leave out the hyphen")
	case text[end-1] == '-':
		return fail(text, end-1, "a segment of a prefix ends with a letter or digit", "leave out the hyphen")
	}
	for i := start; i < end; i++ {
		c := text[i]
		switch {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-':
		case 'A' <= c && c <= 'Z':
			return fail(text, i, "the canonical form of a prefix is in lower case", "fold it to lower case")
		default:
			return fail(text, i, "a prefix has letters a to z, digits, hyphens and dots only", "leave out the character")
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

// String returns the prefix as text: "" for the root.
func (p Prefix) String() string { return string(p) }

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

// isDigits reports whether s is not empty and has nothing but the digits 0 to 9.
func isDigits(s string) bool {
	for i := 0; i < len(s); i++ {
		if !isDigit(s[i]) {
			return false
		}
	}
	return s != ""
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
