package dns

import (
	"fmt"
	"strings"

	"github.com/nameplate-id/nameplate/registry/identifier"
)

const (
	// DefaultZone is the zone below which identifiers have names unless an operator
	// chose another. The top-level domain internal is reserved for private use
	// (ICANN, 2024), so no public name is taken.
	DefaultZone = "id.internal."
	// MaxZone is how many octets a zone may have on the wire, root label included.
	MaxZone = 40
)

// Zone is the domain below which identifiers have names. The zero Zone is not valid.
type Zone struct {
	text   string // lower case, with the final dot
	wire   string // labels with their lengths, root label included
	labels int    // without the root label
}

// ParseZone reads a domain name, in either case, with or without its final dot.
// Its labels have letters, digits and hyphens only; at most [MaxZone] octets.
func ParseZone(text string) (Zone, error) {
	fail := func(at int, rule, mend string) (Zone, error) {
		return Zone{}, &identifier.SyntaxError{Input: text, Offset: at, Rule: rule, Mend: mend}
	}
	if len(text) > MaxZone {
		return fail(MaxZone-1, "a zone has at most 40 octets", "choose a shorter one")
	}
	name := strings.TrimSuffix(strings.ToLower(text), ".")
	if len(name)+2 > MaxZone {
		return fail(MaxZone-2, "a zone has at most 40 octets on the wire", "choose a shorter one")
	}
	z := Zone{text: name + "."}
	var wire []byte
	at := 0
	for label := range strings.SplitSeq(name, ".") {
		if !isHostLabel(label) {
			return fail(at, "a label of a zone has letters, digits and hyphens, none of these at its ends", "write it like "+DefaultZone)
		}
		wire = appendLabel(wire, label)
		z.labels++
		at += len(label) + 1
	}
	z.wire = string(append(wire, 0))
	return z, nil
}

// MustParseZone is ParseZone for constants; it panics on an error.
func MustParseZone(text string) Zone {
	z, err := ParseZone(text)
	if err != nil {
		panic(fmt.Sprintf("dns: %v", err))
	}
	return z
}

// String returns the zone in lower case with its final dot.
func (z Zone) String() string { return z.text }

// isHostLabel reports whether s is [a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?, as segments
// of a prefix are.
func isHostLabel[T string | []byte](s T) bool {
	if len(s) == 0 || len(s) > maxLabel || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	for i := 0; i < len(s); i++ {
		if c := s[i]; !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-') {
			return false
		}
	}
	return true
}
