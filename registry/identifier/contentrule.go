package identifier

import (
	"fmt"
	"strings"
)

// checkContent judges what a holder may write, beyond what can be encoded.
// History that was admitted stays readable even when these rules change; so
// decoders do not call it.
func checkContent(spelling string, values []Value) error {
	if len(spelling) > MaxSpelling || !isPlainText(spelling) {
		return &RuleError{What: "spelling", Rule: fmt.Sprintf("a spelling is at most %d octets of UTF-8 without controls", MaxSpelling), Mend: "leave it out, or write the identifier as it is printed"}
	}
	var before uint32
	var preferred *Value
	for i := range values {
		v := &values[i]
		if err := v.checkLimits(before); err != nil {
			return err
		}
		before = v.Index
		if err := v.checkRules(); err != nil {
			return err
		}
		if v.Link == nil || !v.Link.Default {
			continue
		}
		if preferred != nil {
			return v.broken(fmt.Sprintf("one link at most is the default, and value %d is already", preferred.Index), "unmark one of the two")
		}
		preferred = v
	}
	return nil
}

// CheckValues reports the first rule that the values of a record break, by what a holder
// may register. They ascend by index.
func CheckValues(values []Value) error { return checkContent("", values) }

// checkRules judges one value within its limits.
func (v *Value) checkRules() error {
	if !isPrintableASCII(v.Type) || strings.HasSuffix(v.Type, ".") {
		return v.broken("a type is printable ASCII without spaces and does not end in a dot", "name it like URL, EMAIL or DESC")
	}
	if v.Type == "URL" {
		if rule := uriRule(v.Data); rule != "" {
			return v.broken(rule, "write an absolute URI such as https://maker.example/p/4711, and percent-encode the rest (RFC 3986, section 2)")
		}
	}
	for _, r := range v.References {
		if !isPlainText(r.Handle) {
			return v.broken("a reference is UTF-8 without controls", "name a handle")
		}
	}
	l := v.Link
	if l == nil {
		return nil
	}
	if v.Type != "URL" {
		return v.broken("only a value of type URL has link attributes", "leave them out, or make it a URL")
	}
	switch {
	case !isPrintableASCII(l.Relation):
		return v.broken("a link relation is printable ASCII without spaces", "write a CURIE such as gs1:pip or an absolute URI")
	case !isPlainText(l.Title):
		return v.broken("a title is UTF-8 without controls", "clean it")
	case l.MediaType != "" && !isMediaType(l.MediaType):
		return v.broken("a media type is type/subtype (RFC 6838, section 4.2)", "write it like text/html")
	case !isPlainText(l.Context):
		return v.broken("a context is UTF-8 without controls", "clean it")
	}
	for _, language := range l.Languages {
		if !isLanguage(language) {
			return v.broken(fmt.Sprintf("%.70q is not a language tag (BCP 47)", language), "write it like en, zh-Hans or pt-BR")
		}
	}
	return nil
}

// uriRule returns the rule of an absolute URI (RFC 3986, sections 2 and 4.3, with
// a fragment allowed) that data breaks; none when it is one.
func uriRule(data []byte) string {
	colon := 0
	for colon < len(data) && isSchemeChar(data[colon], colon == 0) {
		colon++
	}
	if colon == 0 || colon+1 >= len(data) || data[colon] != ':' {
		return "the data of a URL is an absolute URI, which begins with a scheme and a colon"
	}
	for i := colon + 1; i < len(data); i++ {
		c := data[i]
		switch {
		case occursInURI(c):
		case c == '%' && i+2 < len(data) && isHex(data[i+1]) && isHex(data[i+2]):
		default:
			return fmt.Sprintf("%q, octet %d of the data, does not occur in a URI", c, i)
		}
	}
	return ""
}

// occursInURI reports whether an octet is a letter, a digit or one of -._~:/?#[]@!$&'()*+,;=
// (RFC 3986, section 2, but for the percent sign): a bit for each of the ASCII octets.
func occursInURI(c byte) bool {
	const low, high uint64 = 0xafff_ffda_0000_0000, 0x47ff_fffe_afff_ffff
	if c < 64 {
		return low>>c&1 != 0
	}
	return c < 128 && high>>(c-64)&1 != 0
}

func isSchemeChar(c byte, first bool) bool {
	if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' {
		return true
	}
	return !first && ('0' <= c && c <= '9' || c == '+' || c == '-' || c == '.')
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

// isLanguage reports whether s has the shape of a language tag (RFC 5646, section
// 2.1): subtags of one to eight letters and digits with hyphens between, the first
// of two to eight letters, or x or i.
func isLanguage(s string) bool {
	if len(s) > maxLanguage {
		return false
	}
	for n := 0; ; n++ {
		subtag, rest, more := strings.Cut(s, "-")
		if subtag == "" || len(subtag) > 8 {
			return false
		}
		for i := 0; i < len(subtag); i++ {
			c := subtag[i]
			if !isLetterOrDigit(c) || n == 0 && c <= '9' {
				return false
			}
		}
		if n == 0 && len(subtag) == 1 && (!more || !strings.ContainsAny(subtag, "xXiI")) {
			return false
		}
		if !more {
			return true
		}
		s = rest
	}
}

// isMediaType reports whether s has the shape of a media type, with or without
// parameters (RFC 9110, section 8.3.1).
func isMediaType(s string) bool {
	essence, parameters, _ := strings.Cut(s, ";")
	main, sub, ok := strings.Cut(strings.TrimRight(essence, " "), "/")
	if !ok || !isToken(main) || !isToken(sub) {
		return false
	}
	for i := 0; i < len(parameters); i++ {
		if parameters[i] < 0x20 || parameters[i] > 0x7E {
			return false
		}
	}
	return true
}

// isToken reports whether s is a token (RFC 9110, section 5.6.2).
func isToken(s string) bool {
	for i := 0; i < len(s); i++ {
		if !isLetterOrDigit(s[i]) && strings.IndexByte("!#$%&'*+-.^_`|~", s[i]) < 0 {
			return false
		}
	}
	return s != ""
}
