package http

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/resolver"
)

// Values of linkType that are no relations.
const (
	linkTypeSet = "linkset"
	linkTypeAll = "all" // the older name of linkset, which clients still send
)

// follow answers a request for an identifier's link.
func (s *Server) follow(w http.ResponseWriter, r *http.Request, t target) {
	h := w.Header()
	h.Add("Vary", variesBy)
	linkType, err := rawParameter(r.URL.RawQuery, "linkType")
	if err != nil {
		malformed(err).write(w, r, true)
		return
	}
	wantsSet := prefers(r, linksetType, "text/html")
	relation := linkType
	switch {
	case linkType == linkTypeSet || linkType == linkTypeAll:
		wantsSet, relation = true, ""
	case resolver.SameRelation(linkType, "gs1:defaultLink"):
		relation = ""
	}
	if t.id.Scheme() == identifier.Handle && linkType == "" && !wantsSet {
		s.proxy(w, r, t)
		return
	}
	a, err := s.ask(r.Context(), resolver.Query{ID: t.id, Types: []string{"URL"}, Relation: relation, Recursive: true})
	if err != nil {
		failed(err).write(w, r, true)
		return
	}
	setLifetime(h, &a)
	kind := resolver.CaseOf(a, nil)
	switch {
	case kind == resolver.CaseReferral:
		s.refer(w, r, &a, true)
	case kind.Codes().Redirect == 0:
		asked := "link"
		if relation != "" {
			asked = fmt.Sprintf("link of the type %.80q", relation)
		}
		s.none(w, r, &a, asked, true)
	case wantsSet:
		s.linkset(w, r, &a, relation)
	default:
		s.redirect(w, r, &a, relation)
	}
}

// redirect leads to the link.
func (s *Server) redirect(w http.ResponseWriter, r *http.Request, a *resolver.Answer, relation string) {
	status, query := resolver.CaseFound.Codes().Redirect, r.URL.RawQuery
	if a.ID.Scheme() == identifier.Handle {
		// As the Handle proxy does: it keeps its own parameters to itself.
		status, query = http.StatusFound, ""
	}
	link, ok := choose(r, a, relation)
	if !ok {
		s.none(w, r, a, "link", true)
		return
	}
	location, why := followable(link.Data, query)
	if why != "" {
		p := newProblem(http.StatusNotFound, "no-link-to-follow", "No link to follow",
			fmt.Sprintf("the link of %s %s: ask %s to read it", a.ID, why, resolvePath(a.ID)))
		p.write(w, r, true)
		return
	}
	setRedirect(w.Header(), r, a.ID, location)
	send(w, r, status, typeText, []byte(location+"\n"))
}

// setRedirect sets where a redirect leads, and where there is more to know.
func setRedirect(h http.Header, r *http.Request, id identifier.ID, location string) {
	h.Set("Location", location)
	h.Add("Link", string(appendAnswerLink(nil, id)))
	if path := rawPath(r); !strings.HasPrefix(path, "//") {
		h.Add("Link", string(appendLinksetLink(nil, escapeUnsafe(path))))
	}
}

// appendAnswerLink appends the link (RFC 8288) to the whole answer for an identifier.
func appendAnswerLink(b []byte, id identifier.ID) []byte {
	b = appendResolvePath(append(b, '<'), id)
	return append(b, `>; rel="describedby"; type="application/json"`...)
}

// appendLinksetLink appends the link to all links of what a path, escaped, stands for.
func appendLinksetLink(b []byte, path string) []byte {
	b = append(append(b, '<'), path...)
	return append(b, `?linkType=linkset>; rel="linkset"; type="`+linksetType+`"`...)
}

// linkset answers with all links.
func (s *Server) linkset(w http.ResponseWriter, r *http.Request, a *resolver.Answer, relation string) {
	body, err := encode(newLinkset(anchor(r), a, relation))
	if err != nil {
		failed(err).write(w, r, true)
		return
	}
	if s.notModified(w, r, a) {
		return
	}
	send(w, r, http.StatusOK, linksetType, body)
}

// refer names the node that answers: with the same path and query at its address.
func (s *Server) refer(w http.ResponseWriter, r *http.Request, a *resolver.Answer, page bool) {
	location := ""
	for _, address := range a.Delegation.Node.Addresses {
		if address.HTTP == 0 {
			continue
		}
		host := net.JoinHostPort(address.IP, strconv.Itoa(int(address.HTTP)))
		if address.HTTP == 80 {
			host = strings.TrimSuffix(host, ":80")
		}
		location = "http://" + host + escapeUnsafe(rawPath(r))
		if r.URL.RawQuery != "" {
			location += "?" + escapeUnsafe(r.URL.RawQuery)
		}
		break
	}
	if location == "" {
		// There is nowhere to lead to; the status says what it is all the same.
		negative(a, "").write(w, r, page)
		return
	}
	body, err := encode(newDocument(a))
	if err != nil {
		failed(err).write(w, r, page)
		return
	}
	w.Header().Set("Location", location)
	send(w, r, resolver.CaseReferral.Codes().HTTP, "application/json", body)
}

// none says that there is nothing to show. It is not kept for longer than an
// absent answer: what is missing may be added.
func (s *Server) none(w http.ResponseWriter, r *http.Request, a *resolver.Answer, asked string, page bool) {
	if a.Outcome == resolver.Found {
		short := *a
		short.Lifetime = min(a.Lifetime, resolver.NegativeTTL)
		setLifetime(w.Header(), &short)
	}
	negative(a, asked).write(w, r, page)
}

// ask asks the resolver, within the time that a request has.
func (s *Server) ask(ctx context.Context, q resolver.Query) (resolver.Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, s.options.Timeout)
	defer cancel()
	return s.resolver.Resolve(ctx, q)
}
