package identifier

import "strconv"

// minCompany is how many digits a GS1 company prefix has at least.
const minCompany = 4

// check returns the first rule that a value breaks, where and what mends it; an
// empty rule when it breaks none. The offset counts from the beginning of the value.
func (f *gs1Field) check(value string) (at int, rule, mend string) {
	if f.filler {
		if value == "" || value[0] != '0' {
			return 0, f.what() + " begins with a filler zero", "write 0 in front"
		}
		at = 1
	}
	if f.digits > 0 {
		if n, rule, mend := f.checkDigits(value[at:]); rule != "" {
			return at + n, rule, mend
		}
		at += f.digits
	} else if f.key {
		if n := leadingDigits(value, minCompany); n < minCompany {
			return n, f.what() + " begins with a GS1 company prefix, which has at least 4 digits", "write the prefix that GS1 gave you in front"
		}
	}
	rest := value[at:]
	switch n := len(rest); {
	case n < f.min && f.min == f.max, n > f.max && f.min == f.max:
		return at + min(n, f.max), f.what() + " has " + strconv.Itoa(at+f.max) + " characters", "write exactly so many"
	case n < f.min:
		return at, f.what() + " is not empty", "write a value, or leave out the application identifier"
	case n > f.max:
		return at + f.max, f.what() + " has at most " + strconv.Itoa(at+f.max) + " characters", "shorten it"
	}
	for i := 0; i < len(rest); i++ {
		if !f.set.has(rest[i]) {
			return at + i, f.what() + " has " + f.set.describe() + " only", "leave out or replace the character"
		}
	}
	n, rule, mend := f.checkRule(rest)
	return at + n, rule, mend
}

// checkDigits checks the mandatory digits and the check digit at their end.
func (f *gs1Field) checkDigits(value string) (at int, rule, mend string) {
	n := leadingDigits(value, f.digits)
	if n < f.digits || f.max == 0 && len(value) > f.digits {
		rule = f.what() + " has " + strconv.Itoa(f.digits) + " digits"
		if f.max > 0 {
			rule = f.what() + " begins with " + strconv.Itoa(f.digits) + " digits"
		}
		return n, rule, "write them all, with leading zeros"
	}
	if want := checkDigit(value[:f.digits-1]); value[f.digits-1] != want {
		return f.digits - 1, "the check digit of this " + f.what() + " is " + string(want), "correct the digits in front of it, or write " + string(want)
	}
	return 0, "", ""
}

// checkRule checks what goes beyond length and characters. The offset counts
// from the beginning of the rest.
func (f *gs1Field) checkRule(rest string) (at int, rule, mend string) {
	switch f.rule {
	case pieceOfTotal:
		piece, total := rest[:2], rest[2:]
		switch {
		case piece == "00":
			return 0, "the pieces of an ITIP count from 01", "write the number of the piece"
		case total == "00":
			return 2, "an ITIP has at least 01 piece in total", "write how many pieces there are"
		case piece > total:
			return 0, "the number of a piece is not above the total of an ITIP", "write the piece first, then the total"
		}
	case checkPair:
		return checkPairOf(rest)
	case noZeroPrefix:
		if rest[0] == '0' {
			return 0, f.what() + " does not begin with zero", "leave out leading zeros"
		}
	case uniqueImporter:
		if !isDigit(rest[0]) {
			return 0, f.what() + " begins with a digit", "write the extension digit in front"
		}
		if c := rest[3]; !isAlphanumeric(c) && c != '-' && c != '_' {
			return 3, "the importer index at the end of a " + f.name + " is a letter, a digit, - or _", "replace the character"
		}
	}
	return 0, "", ""
}

// what names the field in a message.
func (f *gs1Field) what() string { return f.name + " (" + f.ai + ")" }

// leadingDigits returns how many digits s begins with, counting up to limit.
func leadingDigits(s string, limit int) int {
	n := 0
	for n < len(s) && n < limit && isDigit(s[n]) {
		n++
	}
	return n
}

// checkDigit returns the check digit of digits (GS1 General Specifications,
// section 7.9.1): weights 3 and 1 in turn from the right, up to the next ten.
func checkDigit[T ~string | ~[]byte](digits T) byte {
	sum, weight := 0, 3
	for i := len(digits) - 1; i >= 0; i-- {
		sum += int(digits[i]-'0') * weight
		weight = 4 - weight
	}
	return byte('0' + (10-sum%10)%10)
}

// pairAlphabet is character set 32: the values of check characters.
const pairAlphabet = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"

// pairWeights are primes, the first for the character next to the pair.
var pairWeights = [...]int{2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83}

// appendCheckPair appends the check character pair of a text of character set 82
// (GS1 General Specifications, section 7.9.5).
func appendCheckPair(dst []byte, text string) []byte {
	sum := 0
	for i := 0; i < len(text); i++ {
		sum += cset82Value(text[i]) * pairWeights[len(text)-1-i]
	}
	sum %= 1021
	return append(dst, pairAlphabet[sum>>5], pairAlphabet[sum&31])
}

// checkPairOf checks the pair at the end of a value of at most 25 characters.
func checkPairOf(value string) (at int, rule, mend string) {
	at = len(value) - 2
	if at < 0 {
		return 0, "a GMN (8013) ends in a pair of check characters", "write it at the end"
	}
	var buf [2]byte
	if pair := string(appendCheckPair(buf[:0], value[:at])); value[at:] != pair {
		return at, "the check character pair of this GMN (8013) is " + pair, "correct the characters in front of it, or write " + pair
	}
	return 0, "", ""
}

// cset82Value returns the place of a character in character set 82, -1 for others.
func cset82Value(c byte) int {
	switch {
	case c == '!' || c == '"':
		return int(c - '!')
	case '%' <= c && c <= '?':
		return int(c-'%') + 2
	case 'A' <= c && c <= 'Z':
		return int(c-'A') + 29
	case c == '_':
		return 55
	case 'a' <= c && c <= 'z':
		return int(c-'a') + 56
	}
	return -1
}

// has reports whether a character belongs to the set.
func (s gs1Set) has(c byte) bool {
	switch s {
	case cset82:
		return cset82Value(c) >= 0
	case cset39:
		return isDigit(c) || 'A' <= c && c <= 'Z' || c == '#' || c == '-' || c == '/'
	}
	return isDigit(c)
}

// describe names the characters of the set in a message.
func (s gs1Set) describe() string {
	switch s {
	case cset82:
		return `letters, digits and ! " % & ' ( ) * + , - . / : ; < = > ? _`
	case cset39:
		return "capital letters, digits, # - and /"
	}
	return "digits"
}

func isAlphanumeric(c byte) bool {
	return isDigit(c) || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}
