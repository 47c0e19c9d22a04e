package resolver

import (
	"slices"
	"strings"

	"github.com/nameplate-id/nameplate/registry/identifier"
)

// Selects reports whether the query asks for a value. Types and Indexes are a
// union, as in the Handle protocol (RFC 3652, section 3.2.1); Relation narrows what
// they select to the URL values with that link relation.
func (q *Query) Selects(v *identifier.Value) bool {
	if q.Relation != "" && (v.Type != "URL" || v.Link == nil || !SameRelation(q.Relation, v.Link.Relation)) {
		return false
	}
	if len(q.Types) == 0 && len(q.Indexes) == 0 {
		return true
	}
	return slices.Contains(q.Indexes, v.Index) ||
		slices.ContainsFunc(q.Types, func(asked string) bool { return typeMatches(asked, v.Type) })
}

// Select returns the values that the query asks for. It returns the slice it was
// given when that is all of them, and otherwise a new one: none is changed.
func (q *Query) Select(values []identifier.Value) []identifier.Value {
	return keep(values, q.Selects)
}

// typeMatches compares types as the Handle protocol does: octet by octet, and
// "HS_SITE." stands for HS_SITE and every type that begins with "HS_SITE.".
func typeMatches(asked, has string) bool {
	if parent, ok := strings.CutSuffix(asked, "."); ok && parent != "" {
		return has == parent || strings.HasPrefix(has, asked)
	}
	return asked == has
}

// keep returns the values for which ok says so, in their order: the slice itself
// when it says so for all.
func keep(values []identifier.Value, ok func(*identifier.Value) bool) []identifier.Value {
	for i := range values {
		if ok(&values[i]) {
			continue
		}
		kept := slices.Clone(values[:i])
		for j := i + 1; j < len(values); j++ {
			if ok(&values[j]) {
				kept = append(kept, values[j])
			}
		}
		return kept
	}
	return values
}

// GS1Vocabulary is the namespace of the GS1 link types, which "gs1:" stands for.
const GS1Vocabulary = "https://ref.gs1.org/voc/"

// CanonicalRelation writes a GS1 link type, however its namespace is spelled, as
// "gs1:" and its name, and returns every other relation as it is.
func CanonicalRelation(relation string) string {
	rest, ok := cutPrefixFold(relation, "https://")
	if !ok {
		rest, ok = cutPrefixFold(relation, "http://")
	}
	if ok {
		for _, namespace := range [...]string{"ref.gs1.org/voc/", "gs1.org/voc/", "www.gs1.org/voc/"} {
			if name, ok := cutPrefixFold(rest, namespace); ok && name != "" {
				return "gs1:" + name
			}
		}
		return relation
	}
	if name, ok := cutPrefixFold(relation, "gs1:"); ok {
		return "gs1:" + name
	}
	return relation
}

// ExpandRelation writes a GS1 link type as the URI that GS1 publishes it under,
// and returns every other relation as it is.
func ExpandRelation(relation string) string {
	if name, ok := strings.CutPrefix(CanonicalRelation(relation), "gs1:"); ok {
		return GS1Vocabulary + name
	}
	return relation
}

// SameRelation reports whether a link has the relation that was asked for. All
// spellings of a GS1 link type are equal, and so is its bare name when it is what
// was asked; letters compare without case (RFC 8288, section 2.1).
func SameRelation(asked, has string) bool {
	asked, has = CanonicalRelation(asked), CanonicalRelation(has)
	if strings.EqualFold(asked, has) {
		return true
	}
	name, ok := strings.CutPrefix(has, "gs1:")
	return ok && asked != "" && strings.EqualFold(asked, name)
}

// cutPrefixFold is strings.CutPrefix without regard to the case of ASCII letters.
func cutPrefixFold(s, prefix string) (string, bool) {
	if len(s) < len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return s, false
	}
	return s[len(prefix):], true
}
