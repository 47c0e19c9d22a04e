package http

import (
	"net/http"
	"net/url"
	"strings"

	"golang.org/x/text/language"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/resolver"
)

// relationMulti is the relation of links that stand in for the default link in
// other languages (GS1-Conformant Resolver Standard, section 2.5.8).
const relationMulti = "gs1:defaultLinkMulti"

// choose returns the link to follow, of an answer whose record has URL values only.
// With a relation it is a link of that relation. Without one it is the default
// link, whatever its language: only links that say that they stand in for it are
// chosen instead.
func choose(r *http.Request, a *resolver.Answer, relation string) (identifier.Value, bool) {
	if relation == "" {
		relation = relationMulti
	}
	var candidates []identifier.Value
	for i := range a.Record.Values {
		v := &a.Record.Values[i]
		if v.Link == nil || a.Default != nil && v.Index == a.Default.Index {
			continue
		}
		if resolver.SameRelation(relation, v.Link.Relation) {
			candidates = append(candidates, *v)
		}
	}
	// The default link comes first, so that it is what remains when nothing suits.
	if d := a.Default; d != nil && (relation == relationMulti || d.Link != nil && resolver.SameRelation(relation, d.Link.Relation)) {
		candidates = append([]identifier.Value{*d}, candidates...)
	}
	if len(candidates) == 0 {
		return identifier.Value{}, false
	}
	return candidates[bestLanguage(r, candidates)], true
}

// maxAcceptLanguage is how much of Accept-Language is looked at, in octets; a
// longer one is taken for none.
const maxAcceptLanguage = 1000

// bestLanguage returns which link suits the languages that the reader wants; the
// first when none does or the reader named none.
func bestLanguage(r *http.Request, links []identifier.Value) int {
	header := strings.Join(r.Header["Accept-Language"], ",")
	if len(links) < 2 || header == "" || len(header) > maxAcceptLanguage {
		return 0
	}
	wanted, _, err := language.ParseAcceptLanguage(header)
	if err != nil || len(wanted) == 0 {
		return 0
	}
	var tags []language.Tag
	var owners []int
	for i := range links {
		if links[i].Link == nil {
			continue
		}
		for _, text := range links[i].Link.Languages {
			if tag, err := language.Parse(text); err == nil {
				tags, owners = append(tags, tag), append(owners, i)
			}
		}
	}
	if len(tags) == 0 {
		return 0
	}
	_, index, confidence := language.NewMatcher(tags).Match(wanted...)
	if confidence == language.No {
		return 0
	}
	return owners[index]
}

// maxTarget is how many octets a link that is followed may have, query included:
// what stands in a header line that clients and proxies still take.
const maxTarget = 8192

// why a link is not followed.
const (
	notHTTP = "is no http or https link, and a redirect goes to no other"
	tooLong = "is too long for a redirect"
	// RFC 9110, section 4.2.4: it is used to pass one host off as another.
	namesUser = "names a user in front of the host"
)

// notInHost reports whether a character does not occur in host and port.
func notInHost(r rune) bool {
	return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("-._:[]", r))
}

// followable returns the address of a redirect to a link, with a raw query put
// behind the link's own; or why there is none.
func followable(data []byte, rawQuery string) (location, why string) {
	link := string(data)
	u, err := url.Parse(link)
	if err != nil || u.Host == "" || strings.ContainsFunc(u.Host, notInHost) || !strings.EqualFold(u.Scheme, "http") && !strings.EqualFold(u.Scheme, "https") {
		return "", notHTTP
	}
	if u.User != nil {
		return "", namesUser
	}
	base, fragment, hasFragment := strings.Cut(link, "#")
	location = escapeUnsafe(base)
	if rawQuery != "" {
		switch {
		case !strings.Contains(location, "?"):
			location += "?"
		case !strings.HasSuffix(location, "?") && !strings.HasSuffix(location, "&") && !strings.HasSuffix(location, ";"):
			location += "&"
		}
		location += escapeUnsafe(rawQuery)
	}
	if hasFragment {
		location += "#" + escapeUnsafe(fragment)
	}
	if len(location) > maxTarget {
		return "", tooLong
	}
	return location, ""
}
