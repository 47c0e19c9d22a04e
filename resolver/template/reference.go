package template

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"strings"

	"github.com/nameplate-id/nameplate/registry/identifier"
)

// scope is a name and what it stands for, in front of those that were there before.
type scope struct {
	name   string
	text   string
	groups []string // of a match, the whole first; nil for a text
	above  *scope
	depth  int
}

func (s *scope) with(name, text string) *scope {
	return &scope{name: name, text: text, above: s, depth: s.depth + 1}
}

func (s *scope) find(name string) *scope {
	for ; s != nil; s = s.above {
		if s.name == name {
			return s
		}
	}
	return nil
}

// named returns what a name of an if stands for.
func (c *computation) named(name string, names *scope) (string, error) {
	var b bytes.Buffer
	err := c.put(&b, name, names)
	return b.String(), err
}

// replace puts in what names stand for. In XML it is escaped.
func (c *computation) replace(text string, names *scope, escaped bool) (string, error) {
	var out, one bytes.Buffer
	put := func(name string) error {
		if !escaped {
			return c.put(&out, name, names)
		}
		one.Reset()
		if err := c.put(&one, name, names); err != nil {
			return err
		}
		return xml.EscapeText(&out, one.Bytes())
	}
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] == '\\' && i+1 < len(text):
			i++
			out.WriteByte(text[i])
		case text[i] == '$' && i+1 < len(text) && text[i+1] == '{' && strings.IndexByte(text[i:], '}') > 0:
			end := i + strings.IndexByte(text[i:], '}')
			if err := put(text[i+2 : end]); err != nil {
				return "", err
			}
			i = end
		case text[i] == '$' && i+1 < len(text) && isDigit(text[i+1]):
			end := i + 1
			for end < len(text) && isDigit(text[end]) {
				end++
			}
			if err := put(text[i+1 : end]); err != nil {
				return "", err
			}
			i = end - 1
		default:
			out.WriteByte(text[i])
		}
		if out.Len() > identifier.MaxValueData {
			return "", fmt.Errorf("a value has at most %d octets", identifier.MaxValueData)
		}
	}
	return out.String(), c.work(out.Len())
}

func isDigit(b byte) bool { return '0' <= b && b <= '9' }

// put writes what a reference stands for: a name, a name with a group, or a group of
// extension.
func (c *computation) put(b *bytes.Buffer, reference string, names *scope) error {
	name, group, grouped := reference, 0, false
	switch open := strings.LastIndexByte(reference, '['); {
	case reference != "" && isDigit(reference[0]):
		if n, ok := number(reference); ok {
			name, group, grouped = "extension", n, true
		}
	case open >= 0 && strings.HasSuffix(reference, "]"):
		if n, ok := number(reference[open+1 : len(reference)-1]); ok {
			name, group, grouped = reference[:open], n, true
		}
	}
	s := names.find(name)
	switch {
	case s == nil:
		return nil
	case !grouped || group == 0:
		b.WriteString(s.text)
	case group < len(s.groups):
		b.WriteString(s.groups[group])
	}
	return c.work(len(s.text) + 1)
}

// number reads a short decimal number.
func number(s string) (int, bool) {
	if s == "" || len(s) > 4 {
		return 0, false
	}
	n := 0
	for i := 0; i < len(s); i++ {
		if !isDigit(s[i]) {
			return 0, false
		}
		n = n*10 + int(s[i]-'0')
	}
	return n, true
}

// encodeURI percent-encodes what a URI cannot hold (RFC 3986, section 2).
func encodeURI(s string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		ch := s[i]
		escape := i+2 < len(s) && isHex(s[i+1]) && isHex(s[i+2])
		if ch == '%' && escape || ch != '%' && isURI(ch) {
			b.WriteByte(ch)
			continue
		}
		b.WriteByte('%')
		b.WriteByte(hex[ch>>4])
		b.WriteByte(hex[ch&15])
	}
	return b.String()
}

func isURI(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || isDigit(c) || strings.IndexByte("-._~:/?#[]@!$&'()*+,;=", c) >= 0
}

func isHex(c byte) bool {
	return isDigit(c) || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}
