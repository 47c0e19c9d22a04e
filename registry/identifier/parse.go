package identifier

import "strings"

// Parse reads an identifier in any of its spellings. What is read as what is
// decided in this order:
//
//  1. hdl: doi: gs1: oid: web: did: or urn: in front says so,
//  2. "(" begins a GS1 element string,
//  3. http: or https: begins a URL: GS1 where its path ends in a GS1 key,
//  4. a text with a slash is a handle, or the canonical text of any scheme,
//  5. 8, 12, 13 or 14 digits are a GTIN,
//  6. dotted digits whose first arc is 0, 1 or 2 are an OID,
//  7. anything else is a prefix.
//
// A text that one of these rules claims and that breaks the rules of the scheme
// is an error; no later rule is tried. Parse is a pure function: it looks
// nothing up. The error is a [*SyntaxError].
//
// Canonical texts with a suffix are read back as what they were. A Handle prefix
// by itself that looks like a GTIN or an OID, such as 1.2, is not: it needs
// hdl: in front, or [ParseCanonical], which does not guess.
func Parse(text string) (ID, error) {
	if len(text) > MaxText {
		return ID{}, tooLong(text, MaxText, "a spelling of an identifier has at most 4096 octets", "shorten it")
	}
	if text == "" {
		return ID{}, fail(text, 0, "an identifier is not empty", "write one, such as 88.118.8/sn-42")
	}
	if scheme, n := explicitScheme(text); n > 0 {
		id, err := scheme(text[n:])
		if err != nil {
			return ID{}, rebase(err, text, n)
		}
		return id, nil
	}
	return detect(text)(text)
}

// explicitScheme returns the parser that the text names and how many octets name
// it; 0 octets when it names none.
func explicitScheme(text string) (parse func(string) (ID, error), octets int) {
	if len(text) < 4 || text[3] != ':' {
		return nil, 0
	}
	switch asciiLower(text[:3]) {
	case "hdl":
		return parseHandle, 4
	case "doi":
		return parseDOI, 4
	case "gs1":
		return parseGS1, 4
	case "oid":
		return parseOID, 4
	case "web":
		return parseWeb, 4
	case "did":
		return parseDID, 4
	case "urn":
		return parseURN, 4
	}
	return nil, 0
}

// detect returns the parser for a text that names no scheme.
func detect(text string) func(string) (ID, error) {
	switch {
	case text[0] == '(':
		return parseElements
	case httpScheme(text) > 0:
		return parseURL
	case strings.IndexByte(text, '/') >= 0:
		return parseHandle
	case isDigits(text) && isGTINLength(len(text)):
		return parseGTIN
	case looksLikeOID(text):
		return parseOID
	}
	return parseHandle
}

// parseURN reads what stands behind urn:.
func parseURN(text string) (ID, error) {
	namespace, rest, ok := strings.Cut(text, ":")
	if ok {
		at := len(namespace) + 1
		switch asciiLower(namespace) {
		case "oid":
			id, err := parseOID(rest)
			return id, rebase(err, text, at)
		case "epc":
			id, err := parseEPC(rest)
			return id, rebase(err, text, at)
		}
	}
	return ID{}, fail(text, 0, "the URN namespaces known here are oid and epc", "use urn:oid: or urn:epc:, or a spelling of another scheme")
}
