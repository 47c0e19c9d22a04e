package dns

import (
	"errors"
	"slices"
	"strings"

	"github.com/nameplate-id/nameplate/registry/identifier"
)

// Kind is what a name in the zone stands for.
type Kind uint8

const (
	// KindMalformed: no identifier has this name, nor one below it.
	KindMalformed Kind = iota
	// KindIdentifier: Name.ID is an identifier, a prefix or, when empty, the zone itself.
	KindIdentifier
	// KindHashed: Name.Hash is the hash of the suffix and Name.ID the prefix.
	KindHashed
	// KindAbove: an empty non-terminal. The name is only there when something below it
	// is, and all of that is below the prefix in Name.ID.
	KindAbove
	// KindServers: the name servers of a zone have names below this one (_ns).
	KindServers
	// KindServer: Name.Server is the label of a name server of the zone at Name.ID.
	KindServer
)

// Name is what a DNS name in the zone stands for.
type Name struct {
	Kind Kind
	// ID is the identifier, or its prefix where the name tells no more. Of a malformed
	// name it is the longest prefix that the name lies below.
	ID identifier.ID
	// Hash is the hash of the suffix of a Hashed name.
	Hash identifier.Hash
	// Server is the label in front of _ns.
	Server string
	// Link is the link type that the leftmost label asks for; "" when it asks for none.
	Link string
	// Above is set on an Identifier whose name may be an empty non-terminal as well.
	Above bool
}

var (
	// ErrOutside is what [Zone.Parse] returns for a name that is not in the zone.
	ErrOutside = errors.New("the name is not in the zone")
	// ErrBroken is what it returns for octets that are no uncompressed DNS name.
	ErrBroken = errors.New("the octets are no DNS name")
)

// Parse reads a DNS name: labels with their lengths, uncompressed, the root label
// last, in any case. It is the inverse of [Zone.AppendName] and its like: what those
// do not write is malformed, so that an identifier has one name only. A malformed
// name gives an [*identifier.SyntaxError], which counts the octets of the name as
// text, and a Name that tells the prefix above.
func (z Zone) Parse(wire []byte) (Name, error) {
	labels, ok := splitLabels(wire)
	if !ok {
		return Name{}, ErrBroken
	}
	below := len(labels) - z.labels
	if below < 0 || !z.isName(labels[below:]) {
		return Name{}, ErrOutside
	}
	labels = labels[:below]
	prefix, rest, err := readPrefix(labels)
	n := Name{ID: identifier.ID{Prefix: prefix}}
	if err != nil {
		return n, err
	}
	if f := n.read(z, rest); f != nil {
		return Name{ID: identifier.ID{Prefix: prefix}}, &identifier.SyntaxError{
			Input:  strings.Join(append(labels, z.text), "."),
			Offset: octets(labels[:f.label]),
			Rule:   f.rule,
			Mend:   f.mend,
		}
	}
	return n, nil
}

// fault says which rule a name breaks, and at which label.
type fault struct {
	label      int
	rule, mend string
}

// read reads the labels in front of the prefix.
func (n *Name) read(z Zone, labels []string) *fault {
	n.Kind = KindIdentifier
	if len(labels) == 0 {
		return nil
	}
	last := len(labels) - 1
	mark, below := labels[last], labels[:last]
	switch mark {
	case markServers:
		return n.readServer(below)
	case markPlain, markEncoded, markHashed:
	default:
		name, ok := linkName(mark)
		if !ok || last > 0 {
			return &fault{last, "in front of a prefix stands one of the labels _i, _b, _h, _ns or a link type", "put a marker between the suffix and the prefix"}
		}
		n.Link = name
	}
	if n.ID.Prefix == "" {
		return &fault{last, "an identifier has a prefix", "put the prefix between the marker and the zone"}
	}
	if n.Link != "" {
		return nil
	}
	if len(below) == 0 {
		n.Kind = KindAbove
		return nil
	}
	if len(below) > 1 {
		if name, ok := linkName(below[0]); ok {
			n.Link, below = name, below[1:]
		}
	}
	f := n.readSuffix(z, mark, below)
	if mark != markEncoded || n.Link != "" || !canBeAbove(n.ID.Prefix, below) {
		return f
	}
	if f != nil {
		*n = Name{Kind: KindAbove, ID: identifier.ID{Prefix: n.ID.Prefix}}
		return nil
	}
	n.Above = true
	return nil
}

// readServer reads what stands in front of _ns.
func (n *Name) readServer(below []string) *fault {
	n.Kind = KindServers
	if len(below) == 0 {
		return nil
	}
	n.Kind, n.Server = KindServer, below[len(below)-1]
	if len(below) > 1 || !isHostLabel(n.Server) {
		return &fault{0, "in front of _ns stands one label of letters, digits and inner hyphens", "write the name of a name server"}
	}
	return nil
}

// readSuffix decodes the labels of a suffix, encodes again and compares.
func (n *Name) readSuffix(z Zone, mark string, below []string) *fault {
	again := make([]byte, 0, maxName)
	switch mark {
	case markHashed:
		octets, err := encoding.DecodeString(below[0])
		if err != nil || len(octets) != len(n.Hash) {
			return &fault{0, "in front of _h stands a SHA-256 hash in base32hex, 52 characters", "write the hash of the suffix"}
		}
		n.Kind, n.Hash = KindHashed, identifier.Hash(octets)
		again = z.AppendHashedName(again, n.ID.Prefix, n.Hash)
	default:
		suffix := below[0]
		if mark == markEncoded {
			joined := strings.Join(below, "")
			octets, err := encoding.DecodeString(joined)
			if err != nil || encoding.EncodeToString(octets) != joined {
				return &fault{0, "in front of _b stands a suffix in base32hex without padding", "encode it as RFC 4648, section 7, says"}
			}
			suffix = string(octets)
		}
		id, err := identifier.New(n.ID.Prefix, suffix)
		if err != nil {
			return &fault{0, "the labels in front of a marker are a suffix that the prefix allows (" + err.Error() + ")", "ask for an identifier in its canonical form"}
		}
		n.ID = id
		again = z.AppendName(again, id)
	}
	labels, _ := splitLabels(again)
	if n := len(below); n+1 > len(labels) || !slices.Equal(labels[:n], below) || labels[n] != mark {
		return &fault{0, "an identifier has one name only and this is another form of it", "write " + text(again)}
	}
	return nil
}

// canBeAbove reports whether the names of longer suffixes below a prefix may end
// in these labels and the marker _b: they are full ones of base32hex and leave
// room for another.
func canBeAbove(p identifier.Prefix, below []string) bool {
	for _, label := range below {
		if len(label) != maxLabel || strings.Trim(label, alphabet) != "" {
			return false
		}
	}
	const another = 2
	return another+octets(below)+octets([]string{markEncoded, string(p)}) <= maxBelow
}

// readPrefix reads the prefix that stands at the end of the labels and returns
// those in front of it. When the segments are no prefix, it returns as many of
// them as are and the error for all.
func readPrefix(labels []string) (identifier.Prefix, []string, error) {
	var b strings.Builder
	i := len(labels)
	for ; i > 0 && isHostLabel(labels[i-1]); i-- {
		if b.Len() > 0 {
			b.WriteByte('.')
		}
		b.WriteString(labels[i-1])
	}
	if b.Len() == 0 {
		return "", labels, nil
	}
	p, err := identifier.ParsePrefix(b.String())
	if err == nil {
		return p, labels[:i], nil
	}
	for shorter := b.String(); ; {
		cut := strings.LastIndexByte(shorter, '.')
		if cut < 0 {
			return "", labels[:i], err
		}
		shorter = shorter[:cut]
		if p, e := identifier.ParsePrefix(shorter); e == nil {
			return p, labels[:i], err
		}
	}
}

// splitLabels returns the labels of an uncompressed name in lower case, without
// the root label.
func splitLabels(wire []byte) ([]string, bool) {
	if len(wire) > maxName {
		return nil, false
	}
	name := lower(wire)
	labels := make([]string, 0, 16)
	for at := 0; at < len(name); {
		n := int(name[at])
		if n == 0 {
			return labels, at == len(name)-1
		}
		if n > maxLabel || at+1+n > len(name) {
			return nil, false
		}
		labels = append(labels, name[at+1:at+1+n])
		at += 1 + n
	}
	return nil, false
}

// lower folds A to Z, as names are compared (RFC 4343). The octets that give the
// lengths of labels are below A.
func lower(wire []byte) string {
	var b [maxName]byte
	folded := append(b[:0], wire...)
	for i, c := range folded {
		if 'A' <= c && c <= 'Z' {
			folded[i] = c + 'a' - 'A'
		}
	}
	return string(folded)
}

// octets is what labels take on the wire, and as text with a dot after each.
func octets(labels []string) int {
	n := 0
	for _, label := range labels {
		n += len(label) + 1
	}
	return n
}

// isName reports whether the labels are those of the zone.
func (z Zone) isName(labels []string) bool {
	rest := z.text
	for _, label := range labels {
		var ok bool
		if rest, ok = strings.CutPrefix(rest, label+"."); !ok {
			return false
		}
	}
	return rest == ""
}
