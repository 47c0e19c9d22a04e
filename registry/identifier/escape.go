package identifier

const (
	ruleEscape = "a percent sign stands in front of two hexadecimal digits"
	mendEscape = "write %25 for the percent sign itself"
)

// isEscape reports whether s begins with a percent sign and two hexadecimal
// digits (RFC 3986, section 2.1).
func isEscape(s string) bool {
	return len(s) >= 3 && s[0] == '%' && unhex(s[1]) >= 0 && unhex(s[2]) >= 0
}

// unhex returns the value of a hexadecimal digit in either case, -1 for other octets.
func unhex(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// unescape decodes the escapes of s once. bad is where a percent sign begins
// none, and -1 when there is no such place.
func unescape(s string) (text string, bad int) {
	n := 0
	for i := 0; i < len(s); i++ {
		if s[i] == '%' {
			if !isEscape(s[i:]) {
				return "", i
			}
			n++
			i += 2
		}
	}
	if n == 0 {
		return s, -1
	}
	b := make([]byte, 0, len(s)-2*n)
	for i := 0; i < len(s); i++ {
		if s[i] == '%' {
			b = append(b, byte(unhex(s[i+1])<<4|unhex(s[i+2])))
			i += 2
		} else {
			b = append(b, s[i])
		}
	}
	return string(b), -1
}
