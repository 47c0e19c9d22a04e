package table

import "strings"

// escaping is what a field needs in the place where a template puts it.
type escaping uint8

const (
	// plain: nothing.
	plain escaping = iota
	// oneLine: every run of white space and controls becomes one space, as the title
	// of a link needs.
	oneLine
	// percent: as a part of a URI (RFC 3986): all but letters, digits and - . _ ~
	// becomes % and two digits for each octet of its UTF-8.
	percent
	// percentDID: the same, and ~ too, which a DID does not have.
	percentDID
	// elements: in a GS1 element string a parenthesis that opens gets a backslash.
	elements
	// percentGS1: in the canonical text of a GS1 key a slash and a percent sign, which
	// have a meaning there.
	percentGS1
)

// escapingOf returns what a field needs in an identifier that begins with head.
//
// A Handle suffix takes every character as it is. URLs, Digital Links, DIDs and EPC
// URNs are percent-encoded. A template that begins with a column, or with gs1: and a
// column, leaves the spelling to the column.
func escapingOf(head string) escaping {
	lower, gs1 := strings.CutPrefix(strings.ToLower(head), "gs1:")
	for _, form := range []struct {
		begin string
		needs escaping
	}{
		{"(", elements}, {"gs1.", percentGS1}, {"urn:epc:", percent},
		{"http:", percent}, {"https:", percent}, {"web:", percent}, {"web.", percent},
		{"did:", percentDID}, {"did.", percentDID},
	} {
		if strings.HasPrefix(lower, form.begin) {
			return form.needs
		}
	}
	if gs1 && lower != "" {
		return percent // the path of a Digital Link
	}
	return plain
}

// append appends a field. A trusted one keeps what has a meaning in its place, and
// only gets escaped what could stand nowhere in it.
func (e escaping) append(b []byte, field string, trusted bool) []byte {
	switch e {
	case oneLine:
		return append(b, strings.Join(strings.FieldsFunc(field, func(r rune) bool {
			return r <= ' ' || 0x7F <= r && r <= 0xA0 || r == '\u2028' || r == '\u2029'
		}), " ")...)
	case elements:
		if !trusted {
			field = strings.ReplaceAll(field, "(", `\(`)
		}
	case percent, percentDID, percentGS1:
		for i := 0; i < len(field); i++ {
			if c := field[i]; e.keeps(c) || trusted && reserved(field[i:]) {
				b = append(b, c)
			} else {
				b = append(b, '%', hexDigits[c>>4], hexDigits[c&15])
			}
		}
		return b
	}
	return append(b, field...)
}

const hexDigits = "0123456789ABCDEF"

// keeps reports whether an octet stands for itself.
func (e escaping) keeps(c byte) bool {
	if e == percentGS1 {
		return c != '/' && c != '%'
	}
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '.', c == '_':
		return true
	case c == '~':
		return e == percent
	}
	return false
}

// reserved reports whether s begins with a reserved character of RFC 3986, section
// 2.2, or with an escape.
func reserved(s string) bool {
	if s[0] == '%' {
		return len(s) >= 3 && isHex(s[1]) && isHex(s[2])
	}
	return strings.IndexByte(":/?#[]@!$&'()*+,;=", s[0]) >= 0
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}
