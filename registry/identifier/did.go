package identifier

import "strings"

// Decentralised identifiers (W3C DID Core 1.0, section 3.1): did:web:maker.example
// is did.web/maker.example. The suffix is the method-specific identifier, in
// which case matters. What a DID URL adds behind it (path, query, fragment) does
// not belong to the identifier.

const didRoot = "did"

// parseDID reads what stands behind did:.
func parseDID(text string) (ID, error) {
	method, rest, ok := strings.Cut(text, ":")
	if err := checkDIDMethod(method); err != nil {
		return ID{}, rebase(err, text, 0)
	}
	if !ok || rest == "" {
		return ID{}, fail(text, len(text), "a DID has a method, a colon and an identifier of that method", "write did:method:identifier")
	}
	p := Prefix(didRoot + "." + method)
	if err := checkDIDSuffix(p, rest); err != nil {
		return ID{}, rebase(err, text, len(method)+1)
	}
	if len(p)+1+len(rest) > MaxID {
		return ID{}, tooLong(text, MaxID-len(didRoot)-1, ruleMaxID, mendMaxID)
	}
	return ID{p, rest}, nil
}

// checkDIDMethod checks a method name: lower-case letters and digits.
func checkDIDMethod(method string) error {
	if method == "" {
		return fail(method, 0, "the method name of a DID is not empty", "write did:method:identifier")
	}
	for i := 0; i < len(method); i++ {
		if c := method[i]; !isDigit(c) && (c < 'a' || c > 'z') {
			return fail(method, i, "the method name of a DID has lower-case letters and digits only", "write it as its method specification does")
		}
	}
	if len(method) > maxSegment {
		return fail(method, maxSegment, "the method name of a DID has at most 63 characters", "use a registered method")
	}
	return nil
}

// checkDIDPrefix checks a prefix whose first segment is did.
func checkDIDPrefix(text string) error {
	if text == didRoot {
		return nil
	}
	const at = len(didRoot) + 1
	method, _, more := strings.Cut(text[at:], ".")
	if err := checkDIDMethod(method); err != nil {
		return rebase(err, text, at)
	}
	if more {
		return fail(text, at+len(method), "a prefix below did is one method name", "write the rest as the suffix")
	}
	return nil
}

// checkDIDSuffix checks a method-specific identifier: one or more parts of
// idchar with colons between them, of which only the last must not be empty.
func checkDIDSuffix(p Prefix, suffix string) error {
	if p == didRoot {
		return fail(suffix, 0, "a DID has a method", "write did.method/identifier")
	}
	for i := 0; i < len(suffix); i++ {
		switch c := suffix[i]; {
		case isDigit(c), 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', c == '.', c == '-', c == '_', c == ':':
		case c == '%':
			if !isEscape(suffix[i:]) {
				return fail(suffix, i, ruleEscape, mendEscape)
			}
		case c == '/', c == '?', c == '#', c == ';':
			return fail(suffix, i, "a DID has no path, parameters, query or fragment", "leave out everything from here on")
		default:
			return fail(suffix, i, "the identifier in a DID has letters a to z and A to Z, digits, . - _ : and %XX only", "write other characters as % and two hexadecimal digits")
		}
	}
	if suffix[len(suffix)-1] == ':' {
		return fail(suffix, len(suffix)-1, "a DID does not end with a colon", "leave it out")
	}
	return nil
}
