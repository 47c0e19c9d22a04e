package identifier

import "strings"

// checkGS1Suffix checks that a suffix is what the parser makes of a GS1 key whose
// digits stand in the prefix.
func checkGS1Suffix(p Prefix, suffix string) error {
	g, err := splitGS1(p, suffix)
	if err != nil {
		return err
	}
	return g.check(suffix)
}

// splitGS1 takes an identifier apart into the values that it was made of, check
// digit and filler zero restored. It checks all of the structure, so that only
// one identifier has these values, and leaves the values themselves to
// [gs1Values.check].
func splitGS1(p Prefix, suffix string) (g gs1Values, err error) {
	part, rest, more := strings.Cut(suffix, "/")
	key := leadingGS1Key(part)
	if key == nil {
		return g, fail(suffix, 0, "the suffix of a GS1 identifier begins with the application identifier of a key", "write one, such as 01 for a GTIN")
	}
	if g.key, err = restoreKey(key, p, part); err != nil {
		return g, rebase(err, suffix, 0)
	}
	for at := len(part) + 1; more; {
		var ai, raw, value string
		ai, rest, more = strings.Cut(rest, "/")
		if !more {
			return g, fail(suffix, at, "behind a key come qualifiers, each an application identifier and a value", "write both, with a slash between them")
		}
		raw, rest, more = strings.Cut(rest, "/")
		begin := at + len(ai) + 1
		if value, err = unescapeGS1(raw); err != nil {
			return g, rebase(err, suffix, begin)
		}
		if err := g.add(suffix, gs1Value{text: value, raw: raw, escape: '%', at: begin}, ai, at); err != nil {
			return g, err
		}
		at = begin + len(raw) + 1
	}
	return g, nil
}

// restoreKey makes the value of a key again from the digits of the prefix and the
// first part of the suffix.
func restoreKey(key *gs1Field, p Prefix, part string) (v gs1Value, err error) {
	var buf [maxGS1Value + gs1PrefixDigits]byte
	b := buf[:0]
	if key.filler {
		b = append(b, '0')
	}
	at := len(key.ai)
	if leadingDigits(part[at:], key.head) < key.head {
		return v, fail(part, at, "behind "+key.what()+" comes its indicator or extension digit", "write it")
	}
	b = append(b, part[at:at+key.head]...)
	at += key.head
	n := (len(p) - len(gs1Root)) / 2
	for i := 0; i < n; i++ {
		b = append(b, p[len(gs1Root)+1+2*i])
	}
	switch {
	case key.digits > 0 && n < gs1PrefixDigits:
		return v, fail(part, 0, key.what()+" has 12 digits in its prefix", "write them all as segments of the prefix")
	case key.digits > 0:
		more := key.digits - 1 - key.head - gs1PrefixDigits
		if have := leadingDigits(part[at:], more); have < more {
			return v, fail(part, at+have, key.what()+" has more digits in the suffix, without the check digit", "write them all")
		}
		b = append(b, part[at:at+more]...)
		at += more
		begin := 0
		if key.filler {
			begin = 1
		}
		b = append(b, checkDigit(b[begin:]))
	case n < minCompany:
		return v, fail(part, 0, key.what()+" begins with a GS1 company prefix, which has at least 4 digits", "write them as segments of the prefix")
	case n < gs1PrefixDigits && at < len(part) && isDigit(part[at]):
		return v, fail(part, at, "the digits that "+key.what()+" begins with are segments of the prefix, up to 12", "move the digit there")
	}
	known := len(b)
	rest, err := unescapeGS1(part[at:])
	if err != nil {
		return v, rebase(err, part, at)
	}
	if len(b)+len(rest) > cap(b) {
		return v, fail(part, len(part), key.what()+" is too long", "shorten it")
	}
	b = append(b, rest...)
	// Errors count from what stands in the suffix; what stands in the prefix is
	// treated as zeros padded in front.
	return gs1Value{field: key, text: string(b), raw: part[at:], escape: '%', at: at, padded: known}, nil
}

// unescapeGS1 reads a value as a suffix holds it: %2F and %25, capital, and no
// other escapes.
func unescapeGS1(raw string) (string, error) {
	i := strings.IndexByte(raw, '%')
	if i < 0 {
		return raw, nil
	}
	b := make([]byte, 0, len(raw))
	b = append(b, raw[:i]...)
	for i < len(raw) {
		switch {
		case raw[i] != '%':
			b = append(b, raw[i])
			i++
			continue
		case strings.HasPrefix(raw[i:], "%2F"):
			b = append(b, '/')
		case strings.HasPrefix(raw[i:], "%25"):
			b = append(b, '%')
		default:
			return "", fail(raw, i, "the only escapes in the suffix of a GS1 identifier are %2F and %25", "write every other character as it is")
		}
		i += 3
	}
	return string(b), nil
}
