package identifier

import (
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Handle, DOI and IDIS identifiers: prefix, slash, suffix. The suffix is any
// Unicode text without controls, in normalisation form C, with A to Z folded:
// in handles the ASCII letters compare without case (RFC 3651, section 2; other
// letters keep theirs).

const (
	ruleEmptySuffix = "a suffix is not empty where there is a slash"
	mendEmptySuffix = "leave out the slash to name the prefix itself"
)

// prefixHandles is the Handle prefix below which prefixes have their own records:
// 0.NA/88.118 is the prefix 88.118 itself.
const prefixHandles = "0.na"

// parseHandle reads a handle, or the canonical text of another scheme with its
// prefix in either case: the first segment decides by which rules.
func parseHandle(text string) (ID, error) {
	slash := strings.IndexByte(text, '/')
	if slash < 0 {
		p, err := ParsePrefix(text)
		return ID{Prefix: p}, err
	}
	if slash == 0 {
		return ID{}, fail(text, 0, "a prefix stands in front of the slash", "write a prefix there, or gs1: in front of a Digital Link path")
	}
	p, err := ParsePrefix(text[:slash])
	if err != nil {
		return ID{}, rebase(err, text, 0)
	}
	suffix := text[slash+1:]
	if suffix == "" {
		return ID{}, fail(text, slash, ruleEmptySuffix, mendEmptySuffix)
	}
	if p == prefixHandles {
		p, err := ParsePrefix(suffix)
		return ID{Prefix: p}, rebase(err, text, slash+1)
	}
	if p.Scheme() == Handle {
		if suffix, err = foldSuffix(suffix); err != nil {
			return ID{}, rebase(err, text, slash+1)
		}
	} else if err := checkSuffix(p, suffix); err != nil {
		return ID{}, rebase(err, text, slash+1)
	}
	if len(p)+1+len(suffix) > MaxID {
		return ID{}, tooLong(text, min(len(text), MaxID), ruleMaxID, mendMaxID)
	}
	return ID{p, suffix}, nil
}

// parseDOI reads what stands behind doi:, a handle whose prefix begins with 10
// (ISO 26324).
func parseDOI(text string) (ID, error) {
	if text != "10" && !strings.HasPrefix(text, "10.") && !strings.HasPrefix(text, "10/") {
		return ID{}, fail(text, 0, "the prefix of a DOI begins with 10", "write hdl: in front of other handles")
	}
	return parseHandle(text)
}

// foldSuffix brings a Handle suffix to its canonical form.
//
// Composing comes first and last. First, because an A with a ring may be
// written as one character or as two, and both must stay the same letter: folded
// first, the two would become a small one and the one would not. Last, because
// a folded letter may compose where the capital did not, as j with a caron does.
func foldSuffix(text string) (string, error) {
	ascii := true
	for i := 0; i < len(text); i++ {
		if c := text[i]; c < 0x20 || c == 0x7F {
			return "", fail(text, i, ruleControl, mendControl)
		} else if c >= utf8.RuneSelf {
			ascii = false
		}
	}
	if ascii {
		return asciiLower(text), nil
	}
	if err := checkText(text); err != nil {
		return "", err
	}
	return norm.NFC.String(asciiLower(norm.NFC.String(text))), nil
}

// checkHandleSuffix checks that a Handle suffix is in its canonical form.
func checkHandleSuffix(p Prefix, suffix string) error {
	if p == prefixHandles {
		return fail(suffix, 0, "0.na/P is not canonical: it names the prefix P", "write the prefix alone")
	}
	ascii := true
	for i := 0; i < len(suffix); i++ {
		switch c := suffix[i]; {
		case c < 0x20 || c == 0x7F:
			return fail(suffix, i, ruleControl, mendControl)
		case c >= utf8.RuneSelf:
			ascii = false
		case 'A' <= c && c <= 'Z':
			return fail(suffix, i, "the canonical form of a Handle suffix has no letters A to Z", "fold them to lower case")
		}
	}
	if ascii {
		return nil
	}
	if err := checkText(suffix); err != nil {
		return err
	}
	if n := norm.NFC.QuickSpanString(suffix); n < len(suffix) && !norm.NFC.IsNormalString(suffix) {
		return fail(suffix, n, "a suffix is in Unicode normalisation form C", "compose it")
	}
	return nil
}

const (
	ruleControl = "a suffix has no control characters"
	mendControl = "leave out the character"
)

// maxMarks is how many combining marks may follow one another. Text that people
// read has a handful; with more than thirty, normalisation would have to insert a
// character of its own (Unicode Standard Annex 15, section 13, stream-safe text).
const maxMarks = 20

// checkText checks that s is UTF-8, has none of the controls C0, DEL and C1, and
// not too many combining marks in a row.
func checkText(s string) error {
	marks := 0
	for i, r := range s {
		switch {
		case r < 0x20 || 0x7F <= r && r <= 0x9F:
			return fail(s, i, ruleControl, mendControl)
		case r < utf8.RuneSelf:
			marks = 0
			continue
		case r == utf8.RuneError:
			if _, n := utf8.DecodeRuneInString(s[i:]); n == 1 {
				return fail(s, i, "a suffix is UTF-8", "encode it as UTF-8")
			}
		}
		if marks = countMarks(s[i:], marks); marks > maxMarks {
			return fail(s, i, "a suffix has at most 20 combining marks in a row", "leave some out")
		}
	}
	return nil
}

// countMarks returns how many combining marks stand in a row at the end of the
// first character of s, decomposed, when before it there were so many.
func countMarks(s string, before int) int {
	p := norm.NFD.PropertiesString(s)
	d := p.Decomposition()
	if d == nil {
		if p.CCC() == 0 {
			return 0
		}
		return before + 1
	}
	for len(d) > 0 {
		p := norm.NFD.Properties(d)
		if p.CCC() == 0 {
			before = 0
		} else {
			before++
		}
		d = d[p.Size():]
	}
	return before
}
