package identifier

import "strings"

// Object identifiers (ITU-T X.660, RFC 3061): oid.1.2.156.3001.7. The arcs are
// segments of the prefix, so an authority over an arc is a delegation of it, and
// there is no suffix.

const oidRoot = "oid"

// parseOID reads dotted arcs.
func parseOID(text string) (ID, error) {
	if len(oidRoot)+1+len(text) > maxPrefixText {
		return ID{}, tooLong(text, maxPrefixText-len(oidRoot)-1, "an OID has at most 122 octets", "use fewer or shorter arcs")
	}
	if err := checkArcs(text); err != nil {
		return ID{}, err
	}
	return ID{Prefix: Prefix(oidRoot + "." + text)}, nil
}

// checkArcs checks dotted arcs.
func checkArcs(text string) error {
	start, arc := 0, 0
	for i := 0; i <= len(text); i++ {
		if i < len(text) && text[i] != '.' {
			if !isDigit(text[i]) {
				return fail(text, i, "an OID has digits and dots only", "leave out the character, or write hdl: in front of a handle")
			}
			continue
		}
		switch n := i - start; {
		case n == 0:
			return fail(text, start, "an arc of an OID is not empty", "write one dot between two arcs and none at the ends")
		case n > 1 && text[start] == '0':
			return fail(text, start, "an arc of an OID has no leading zeros", "leave them out, or write hdl: in front of a handle")
		case n > maxSegment:
			return fail(text, start+maxSegment, "an arc of an OID has at most 63 digits", "use a smaller arc")
		case arc == 0 && (n > 1 || text[start] > '2'):
			return fail(text, start, "the first arc of an OID is 0, 1 or 2", "begin with one of them")
		case arc == 1 && text[0] < '2' && (n > 2 || n == 2 && text[start] > '3'):
			return fail(text, start, "the second arc of an OID is less than 40 below 0 and 1", "use a smaller arc, or write hdl: in front of a handle")
		}
		start = i + 1
		arc++
	}
	return nil
}

// checkOIDPrefix checks a prefix whose first segment is oid.
func checkOIDPrefix(text string) error {
	if text == oidRoot {
		return nil
	}
	return rebase(checkArcs(text[len(oidRoot)+1:]), text, len(oidRoot)+1)
}

// checkOIDSuffix refuses every suffix.
func checkOIDSuffix(suffix string) error {
	return fail(suffix, 0, "an OID has no suffix", "name the thing with another arc")
}

// looksLikeOID reports whether text is dotted digits whose first arc is 0, 1 or 2.
func looksLikeOID(text string) bool {
	if len(text) < 2 || text[0] < '0' || text[0] > '2' || text[1] != '.' {
		return false
	}
	return strings.Trim(text, "0123456789.") == ""
}
