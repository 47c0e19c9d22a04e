package http

import (
	"net/http"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/resolver"
)

const linksetType = "application/linkset+json"

// Relations of links that name none.
const (
	relationDefault = resolver.GS1Vocabulary + "defaultLink"
	relationOther   = "related" // RFC 4287, section 4.2.7.2, as IANA registers it
)

// linksetDoc is a set of links as RFC 9264, section 4.2, writes it.
type linksetDoc struct {
	Linkset []map[string]any `json:"linkset"`
}

// linkTarget is one link of a linkset. Attributes that RFC 8288 does not define are
// arrays (RFC 9264, section 4.2.4.3).
type linkTarget struct {
	Href     string   `json:"href"`
	Title    string   `json:"title,omitempty"`
	Type     string   `json:"type,omitempty"`
	Hreflang []string `json:"hreflang,omitempty"`
	Context  []string `json:"context,omitempty"`
}

// newLinkset writes the links of an answer about the thing that the anchor names.
// GS1 link types are written as the URIs that GS1 publishes them under; the default
// link stands under gs1:defaultLink too, with its title only, as the GS1-Conformant
// Resolver Standard has it.
func newLinkset(anchor string, a *resolver.Answer, relation string) linksetDoc {
	context := map[string]any{"anchor": anchor}
	add := func(relation string, t linkTarget) {
		targets, _ := context[relation].([]linkTarget)
		context[relation] = append(targets, t)
	}
	if d := a.Default; d != nil && relation == "" {
		t := linkTarget{Href: href(d)}
		if d.Link != nil {
			t.Title = d.Link.Title
		}
		add(relationDefault, t)
	}
	for i := range a.Record.Values {
		v := &a.Record.Values[i]
		if v.Type != "URL" {
			continue
		}
		t := linkTarget{Href: href(v)}
		name := relationOther
		if l := v.Link; l != nil {
			t.Title, t.Type, t.Hreflang = l.Title, l.MediaType, l.Languages
			if l.Context != "" {
				t.Context = []string{l.Context}
			}
			if l.Relation != "" {
				name = resolver.ExpandRelation(l.Relation)
			}
		}
		if name == "anchor" {
			name = relationOther
		}
		add(name, t)
	}
	return linksetDoc{Linkset: []map[string]any{context}}
}

func href(v *identifier.Value) string { return string(v.Data) }

// anchor is what the request asked for, as an absolute URI without its query.
func anchor(r *http.Request) string {
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	return scheme + "://" + r.Host + escapeUnsafe(rawPath(r))
}
