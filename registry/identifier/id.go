package identifier

import (
	"strings"
)

// ID is an identifier in its canonical form. IDs made by [New] and the Parse
// functions are valid; two are equal when == says so.
type ID struct {
	Prefix Prefix
	// Suffix is what the holder of the prefix named; empty when the identifier is
	// the prefix itself.
	Suffix string
}

const (
	// MaxID is how many octets the canonical text of an identifier may have.
	MaxID = 2048
	// MaxText is how many octets any spelling of an identifier may have. Longer
	// texts are refused unread.
	MaxText = MaxSpelling
)

// New makes an identifier of its two parts, which must be in canonical form
// already: nothing is folded, composed or mended. It checks every rule, those
// of the scheme that owns the prefix included. The error is a [*SyntaxError]
// whose Input is the canonical text that the parts would make.
func New(p Prefix, suffix string) (ID, error) {
	id := ID{p, suffix}
	if len(p)+1+len(suffix) > MaxID {
		return ID{}, tooLong(id.String(), MaxID, ruleMaxID, mendMaxID)
	}
	if err := checkPrefixText(string(p)); err != nil {
		return ID{}, rebase(err, id.String(), 0)
	}
	if suffix == "" {
		return id, nil
	}
	if err := checkSuffix(p, suffix); err != nil {
		return ID{}, rebase(err, id.String(), len(p)+1)
	}
	return id, nil
}

const (
	ruleMaxID = "the canonical text of an identifier has at most 2048 octets"
	mendMaxID = "shorten it"
)

// ParseCanonical reads a canonical text, as [ID.String] writes it, and nothing
// else: what would have to be folded, composed or escaped first is refused. It
// is the exact inverse of String. The error is a [*SyntaxError].
func ParseCanonical(text string) (ID, error) {
	if len(text) > MaxID {
		return ID{}, tooLong(text, MaxID, ruleMaxID, mendMaxID)
	}
	slash := strings.IndexByte(text, '/')
	if slash < 0 {
		return New(Prefix(text), "")
	}
	if slash+1 == len(text) {
		return ID{}, fail(text, slash, ruleEmptySuffix, mendEmptySuffix)
	}
	return New(Prefix(text[:slash]), text[slash+1:])
}

// checkSuffix checks a suffix that is not empty by the rules of the scheme that
// owns the prefix. Offsets in its errors count from the beginning of the suffix.
func checkSuffix(p Prefix, suffix string) error {
	switch p.Scheme() {
	case GS1:
		return checkGS1Suffix(p, suffix)
	case OID:
		return checkOIDSuffix(suffix)
	case Web:
		return checkWebSuffix(p, suffix)
	case DID:
		return checkDIDSuffix(p, suffix)
	default:
		return checkHandleSuffix(p, suffix)
	}
}

// String returns the canonical text: prefix, slash, suffix; the prefix alone
// when the suffix is empty.
func (id ID) String() string {
	if id.Suffix == "" {
		return string(id.Prefix)
	}
	return string(id.Prefix) + "/" + id.Suffix
}

// IsPrefix reports whether the identifier is a prefix itself.
func (id ID) IsPrefix() bool { return id.Suffix == "" }

// Scheme returns the scheme that owns the identifier's grammar.
func (id ID) Scheme() Scheme { return id.Prefix.Scheme() }

// Compare orders identifiers as their keys are ordered (see [AppendKey]): by
// segment, then the prefix itself before what has a suffix, then by the octets
// of the suffix. It returns -1, 0 or 1.
func Compare(a, b ID) int {
	p, q := string(a.Prefix), string(b.Prefix)
	n := min(len(p), len(q))
	for i := 0; i < n; i++ {
		if p[i] == q[i] {
			continue
		}
		// The end of a segment sorts before everything that a segment may hold.
		if p[i] == '.' || q[i] != '.' && p[i] < q[i] {
			return -1
		}
		return 1
	}
	switch {
	case len(p) < len(q):
		return -1
	case len(p) > len(q):
		return 1
	}
	return strings.Compare(a.Suffix, b.Suffix)
}
