package dns

import (
	"strings"

	"github.com/nameplate-id/nameplate/resolver"
)

// maxLinkLabel is what is left for a link type in front of the longest name in the
// longest zone: 255 − 183 − 40 − 1.
const maxLinkLabel = 31

// LinkLabel returns the leftmost label that asks for links with this relation only,
// such as _dpp for gs1:dpp. The rule is one for all: an underscore and the name of
// the link type in lower case, for a GS1 link type in any of its spellings and for
// a registered relation (RFC 8288, section 2.1.1) alike. It reports false where the
// relation has no such name: an extension relation (a URI of somebody else's), a
// name with anything but letters, digits and inner hyphens or longer than 30, or
// one of the names i, b, h and ns, which markers have taken.
func LinkLabel(relation string) (string, bool) {
	relation = resolver.CanonicalRelation(relation)
	label := "_" + strings.ToLower(strings.TrimPrefix(relation, "gs1:"))
	if _, ok := linkName(label); !ok {
		return "", false
	}
	return label, true
}

// linkName returns the name of the link type that a label in lower case asks for.
func linkName(label string) (string, bool) {
	name, ok := strings.CutPrefix(label, "_")
	if !ok || len(label) > maxLinkLabel || !isHostLabel(name) {
		return "", false
	}
	switch label {
	case markPlain, markEncoded, markHashed, markServers:
		return "", false
	}
	return name, true
}
