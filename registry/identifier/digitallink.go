package identifier

import "strings"

// ParseDigitalLink reads the path of a GS1 Digital Link URI, still escaped: any
// stem, then a key, then its qualifiers in order, as pairs of application identifier
// and value (GS1 Digital Link: URI Syntax 1.6). Values are decoded once. GTINs
// may have 8, 12, 13 or 14 digits. One slash at the end is let through, as the
// GS1-Conformant Resolver Standard asks (section 2.13). Query and fragment do not
// belong to the path and not to the identifier.
//
// ok says whether the path is a Digital Link at all: whether it ends in a key with
// a plausible value, followed by nothing but pairs of digits and values. Plausible
// is a value with the right number of digits, whatever its check digit; for a key
// that has none, one that begins with 4 digits and has no wrong character. A path
// is also one where a key with a right check digit is followed by something else,
// when it stands at the very beginning or a qualifier stands next to it: that
// is a broken Digital Link, and not the page of a shop. If ok, err says which rule
// is broken, as a [*SyntaxError], or is nil.
func ParseDigitalLink(escapedPath string) (id ID, ok bool, err error) {
	if len(escapedPath) > MaxText {
		return ID{}, false, nil
	}
	path := strings.TrimSuffix(escapedPath, "/")
	g, ok := findGS1Key(path)
	if !ok {
		if at, ok := findBrokenLink(path); ok {
			return ID{}, true, fail(escapedPath, at, "behind the key of a Digital Link come its qualifiers, each an application identifier and a value", "leave out what does not belong, or write the missing part")
		}
		return ID{}, false, nil
	}
	for at := g.key.at + len(g.key.raw) + 1; at < len(path); {
		ai, rest, _ := strings.Cut(path[at:], "/")
		raw, _, _ := strings.Cut(rest, "/")
		begin := at + len(ai) + 1
		value, bad := unescape(raw)
		if bad >= 0 {
			return ID{}, true, fail(escapedPath, begin+bad, ruleEscape, mendEscape)
		}
		v := gs1Value{text: value, raw: raw, escape: '%', at: begin}
		if err := g.add(escapedPath, v, ai, at); err != nil {
			return ID{}, true, err
		}
		at = begin + len(raw) + 1
	}
	id, err = g.id(escapedPath)
	return id, true, err
}

// findGS1Key looks from the end of the path, pair by pair, for a key with a
// plausible value.
func findGS1Key(path string) (g gs1Values, ok bool) {
	for end := len(path); ; {
		slash := strings.LastIndexByte(path[:end], '/')
		if slash < 0 {
			return g, false
		}
		value := path[slash+1 : end]
		begin := strings.LastIndexByte(path[:slash], '/') + 1
		ai := path[begin:slash]
		if !isAI(ai) {
			return g, false
		}
		if key := gs1Key(ai); key != nil {
			if g.key = plausibleKey(key, value, slash+1); g.key.field != nil {
				return g, true
			}
		}
		if begin == 0 {
			return g, false
		}
		end = begin - 1
	}
}

// plausibleKey returns the value of a key when it looks like one; its field is nil
// otherwise.
func plausibleKey(key *gs1Field, raw string, at int) (v gs1Value) {
	if len(raw) > 3*maxGS1Value {
		return v
	}
	text, bad := unescape(raw)
	if bad >= 0 {
		return v
	}
	v = gs1Value{text: text, raw: raw, escape: '%', at: at}
	digits := key.digits
	if key.filler {
		digits++
	}
	switch {
	case key.ai == "01":
		if !isGTINLength(len(text)) || !isDigits(text) {
			return v
		}
		v.pad()
	case digits > 0:
		if n := len(text) - digits; n < key.min || n > key.max || leadingDigits(text, digits) < digits {
			return v
		}
	default:
		if len(text) > key.max || leadingDigits(text, minCompany) < minCompany {
			return v
		}
		for i := 0; i < len(text); i++ {
			if !key.set.has(text[i]) {
				return v
			}
		}
	}
	v.field = key
	return v
}

// findBrokenLink looks for a key with a right check digit that something else
// than its qualifiers follows, and returns where that begins.
func findBrokenLink(path string) (at int, ok bool) {
	stem := len(path) - len(strings.TrimPrefix(path, "/"))
	for begin := stem; begin < len(path); {
		ai, rest, more := strings.Cut(path[begin:], "/")
		if !more {
			return 0, false
		}
		valueAt := begin + len(ai) + 1
		if key := gs1Key(ai); key != nil && key.digits > 0 {
			raw, tail, more := strings.Cut(rest, "/")
			next, _, _ := strings.Cut(tail, "/")
			if more && (begin == stem || key.qualifier(next) >= 0) {
				v := plausibleKey(key, raw, valueAt)
				if v.field != nil {
					if _, rule, _ := key.check(v.text); rule == "" {
						return valueAt + len(raw) + 1, true
					}
				}
			}
		}
		begin = valueAt
	}
	return 0, false
}

// DigitalLink returns the path of the identifier's canonical GS1 Digital Link URI,
// such as /01/09506000134352/21/42, escaped; ok is false when the identifier is not
// a GS1 key. With https://id.gs1.org in front it is the canonical URI.
// Every character but letters, digits, - . _ and ~ is escaped.
func (id ID) DigitalLink() (path string, ok bool) {
	if id.Suffix == "" || id.Scheme() != GS1 {
		return "", false
	}
	g, err := splitGS1(id.Prefix, id.Suffix)
	if err != nil {
		return "", false
	}
	var buf [maxGS1Text]byte
	b := appendLinkPair(buf[:0], &g.key)
	for i := range g.qualifiers[:g.n] {
		b = appendLinkPair(b, &g.qualifiers[i])
	}
	return string(b), true
}

// appendLinkPair appends application identifier and value as a path has them.
func appendLinkPair(dst []byte, v *gs1Value) []byte {
	const digits = "0123456789ABCDEF"
	dst = append(dst, '/')
	dst = append(dst, v.field.ai...)
	dst = append(dst, '/')
	for i := 0; i < len(v.text); i++ {
		switch c := v.text[i]; {
		case isAlphanumeric(c), c == '-', c == '.', c == '_', c == '~':
			dst = append(dst, c)
		default:
			dst = append(dst, '%', digits[c>>4], digits[c&15])
		}
	}
	return dst
}

// parseURL reads an http or https URL: as GS1 where its path is a Digital Link,
// else as a web identifier.
func parseURL(text string) (ID, error) {
	scheme, authority, rest := splitURL(text)
	if id, ok, err := ParseDigitalLink(urlPath(rest)); ok && authority != "" {
		if err != nil {
			e := err.(*SyntaxError)
			return ID{}, fail(text, len(scheme)+len(authority)+e.Offset, e.Rule, e.Mend+", or write web: in front to name the page itself")
		}
		return id, nil
	}
	return parseWeb(text)
}

// urlPath returns the path in front of query and fragment.
func urlPath(rest string) string {
	if i := strings.IndexAny(rest, "?#"); i >= 0 {
		return rest[:i]
	}
	return rest
}
