package http

import (
	"encoding/xml"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/resolver"
)

// proxy answers a request for a handle as the stock proxy does: it leads to where an
// alias, a location or a link says, or shows the values.
func (s *Server) proxy(w http.ResponseWriter, r *http.Request, t target) {
	h := w.Header()
	f, err := readProxyForm(r.URL.RawQuery)
	var q HandleQuery
	if err == nil {
		q, err = f.query(t.text)
	}
	if err != nil {
		malformed(err).write(w, r, true)
		return
	}
	if f.action == actionAPI {
		s.api(w, r, t, nil)
		return
	}
	a, err := s.ask(r.Context(), resolver.Query{ID: t.id, Types: q.Types, Indexes: q.Indexes, Authoritative: q.Authoritative, Recursive: true})
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
		asked := "value"
		if len(q.Types)+len(q.Indexes) > 0 {
			asked = "value of what was asked"
		}
		s.none(w, r, &a, asked, true)
	case f.show:
		s.showValues(w, r, &a, http.StatusOK, "")
	case f.action == actionURLs:
		send(w, r, http.StatusOK, "application/xml; charset=utf-8", appendXML(nil, allLocations(&a)))
	default:
		s.lead(w, r, &a, &f)
	}
}

// lead leads to where a record says.
func (s *Server) lead(w http.ResponseWriter, r *http.Request, a *resolver.Answer, f *proxyForm) {
	if to := aliasOf(a.Record); to != nil && !f.ignoreAliases {
		s.alias(w, r, a, to)
		return
	}
	l, why := locationsOf(a.Record)
	if why == "" {
		why = "no link"
	}
	link, linked := linkOf(r, a, f)
	wanted := wants(r, f.attributes)
	if f.action == actionMetadata {
		wanted.role = ""
	}
	if len(f.types)+len(f.indexes) == 0 && wanted.role == roleNegotiates {
		var kept resolver.Answer
		l, kept = s.withService(r.Context(), a, l, link.Data)
		setLifetime(w.Header(), &kept)
	}
	if l != nil {
		if place, ok, varies := l.choose(&wanted); ok {
			if varies {
				w.Header().Set("Cache-Control", "no-cache")
			}
			s.leadTo(w, r, a, []byte(place.href), statusOf(&place), f)
			return
		}
		why = "no location that can be followed"
	}
	if !linked {
		s.noLink(w, r, a, why)
		return
	}
	s.leadTo(w, r, a, link.Data, http.StatusFound, f)
}

// linkOf returns the link to follow: the one that the language decides, when nothing
// was selected; else the first URL value, then the first of a subtype.
func linkOf(r *http.Request, a *resolver.Answer, f *proxyForm) (identifier.Value, bool) {
	if len(f.types)+len(f.indexes) == 0 {
		if v, ok := choose(r, a, ""); ok {
			return v, true
		}
	}
	if v, ok := a.Record.DefaultLink(); ok {
		return v, true
	}
	for i := range a.Record.Values {
		if strings.HasPrefix(a.Record.Values[i].Type, "URL.") {
			return a.Record.Values[i], true
		}
	}
	return identifier.Value{}, false
}

// statusOf is the status that a location wants for its redirect.
func statusOf(p *location) int {
	switch status, _ := strconv.Atoi(p.attribute("http")); status {
	case http.StatusMovedPermanently, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return status
	}
	return http.StatusFound
}

// leadTo redirects to a link, with what the request wants behind it. What is put behind
// must not lead to another host.
func (s *Server) leadTo(w http.ResponseWriter, r *http.Request, a *resolver.Answer, link []byte, status int, f *proxyForm) {
	location, why := followable(link, "")
	if why == "" && f.append != "" {
		longer, whyLonger := followable(append(link[:len(link):len(link)], f.append...), "")
		if whyLonger == "" && !sameHost(location, longer) {
			whyLonger = "would lead to another host"
		}
		if whyLonger != "" {
			malformed(fmt.Errorf("the link of %s with urlappend behind it %s: leave it out", a.ID, whyLonger)).write(w, r, true)
			return
		}
		location = longer
	}
	if why != "" {
		p := newProblem(http.StatusNotFound, "no-link-to-follow", "No link to follow",
			fmt.Sprintf("the link of %s %s: ask %s to read it", a.ID, why, resolvePath(a.ID)))
		s.unled(w, r, a, p)
		return
	}
	s.sendTo(w, r, a.ID, status, location)
}

// sendTo writes a redirect.
func (s *Server) sendTo(w http.ResponseWriter, r *http.Request, id identifier.ID, status int, location string) {
	h := w.Header()
	setRedirect(h, r, id, location)
	h.Set("Content-Security-Policy", plainPolicy)
	send(w, r, status, typePage, appendRedirectPage(nil, []byte(location)))
}

// appendRedirectPage appends what is shown to who does not follow a redirect.
func appendRedirectPage(b, location []byte) []byte {
	b = append(b, "<!doctype html>\n<title>Handle redirect</title>\n<p><a href=\""...)
	b = appendHTML(b, location)
	b = append(b, "\">"...)
	b = appendHTML(b, location)
	return append(b, "</a></p>\n"...)
}

// appendHTML appends a text as [html.EscapeString] writes it.
func appendHTML(b, text []byte) []byte {
	for _, c := range text {
		switch c {
		case '&':
			b = append(b, "&amp;"...)
		case '\'':
			b = append(b, "&#39;"...)
		case '<':
			b = append(b, "&lt;"...)
		case '>':
			b = append(b, "&gt;"...)
		case '"':
			b = append(b, "&#34;"...)
		default:
			b = append(b, c)
		}
	}
	return b
}

// plainPolicy is for pages without style.
const plainPolicy = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'"

// sameHost reports whether two addresses lead to one place.
func sameHost(a, b string) bool {
	x, err := url.Parse(a)
	y, err2 := url.Parse(b)
	return err == nil && err2 == nil && x.Scheme == y.Scheme && x.Host == y.Host
}

// noLink says that a record leads nowhere.
func (s *Server) noLink(w http.ResponseWriter, r *http.Request, a *resolver.Answer, why string) {
	nothing := *a
	record := *a.Record
	record.Values = nil
	nothing.Record = &record
	nothing.Lifetime = min(a.Lifetime, resolver.NegativeTTL)
	if w.Header().Get("Cache-Control") != "no-cache" {
		setLifetime(w.Header(), &nothing)
	}
	p := negative(&nothing, "link")
	p.Detail = fmt.Sprintf("%s is registered, but has %s: ask %s for all that it has", a.ID, why, resolvePath(a.ID))
	s.unled(w, r, a, p)
}

// unled writes a problem; to people it shows the values beside.
func (s *Server) unled(w http.ResponseWriter, r *http.Request, a *resolver.Answer, p *problem) {
	if prefers(r, "text/html", "application/problem+json") {
		s.showValues(w, r, a, p.Status, "There is no link to follow; this is what is known.")
		return
	}
	p.write(w, r, true)
}

// allLocations lists where a record may lead, for who wants to choose.
func allLocations(a *resolver.Answer) []location {
	var list []location
	for i := range a.Record.Values {
		if v := &a.Record.Values[i]; v.Type == typeLocations {
			if l, err := parseLocations(v.Data); err == nil {
				l.at(a.ID.String())
				list = append(list, l.list...)
			}
		}
	}
	if list != nil {
		return list
	}
	for i := range a.Record.Values {
		if v := &a.Record.Values[i]; v.Type == "URL" || strings.HasPrefix(v.Type, "URL.") {
			list = append(list, location{attributes: []xml.Attr{{Name: xml.Name{Local: "href"}, Value: string(v.Data)}}})
		}
	}
	return list
}
