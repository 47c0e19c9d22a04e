package http

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/resolver"
)

const methods = "GET, HEAD, OPTIONS"

// setCommon sets what every response has. Nothing here depends on who asks, so
// every origin may read it.
func (s *Server) setCommon(h http.Header) {
	h["Access-Control-Allow-Origin"] = s.lines.anyOrigin
	h["Access-Control-Expose-Headers"] = s.lines.exposed
	h["X-Content-Type-Options"] = s.lines.noSniff
}

// Values of header fields.
const (
	exposedHeaders = "Age, ETag, Link, Location, Nameplate-Suspect, Retry-After"
	suspectHeader  = "Nameplate-Suspect"       // an Item of Structured Fields (RFC 9651): ?1
	variesBy       = "Accept, Accept-Language" // what a link is chosen by
	maxAge         = "public, max-age="
	typeText       = "text/plain; charset=utf-8"
	typePage       = "text/html; charset=utf-8"
)

// options answers an OPTIONS request, preflight (Fetch standard, CORS protocol) or
// not.
func options(w http.ResponseWriter, to route) {
	allowed := methods
	if to == routeAPI {
		allowed = apiMethods
	}
	h := w.Header()
	h.Set("Allow", allowed)
	h.Set("Access-Control-Allow-Methods", allowed)
	h.Set("Access-Control-Allow-Headers", "*")
	h.Set("Access-Control-Max-Age", "86400")
	w.WriteHeader(http.StatusNoContent)
}

// setLifetime says for how long an answer may be kept, and that it rests on a record that is
// suspect.
func setLifetime(h http.Header, a *resolver.Answer) {
	age := time.Duration(0)
	if a.Origin.Mirror || a.Origin.Age > 0 {
		age = max(0, a.Origin.Age)
		h.Set("Age", strconv.FormatInt(seconds(age), 10))
	}
	h.Set("Cache-Control", maxAge+strconv.FormatInt(seconds(a.Lifetime)+seconds(age), 10))
	if a.Record != nil && a.Record.Suspect {
		h.Set(suspectHeader, "?1")
	}
}

// entityTag makes the ETag of a record. It is weak: how long the answer may still
// be kept is not part of it.
func entityTag(r *identifier.Record) string {
	return fmt.Sprintf(`W/"%d-%x"`, r.Version, r.RowHash[:8])
}

// noneMatch reports whether If-None-Match names the tag (RFC 9110, section 13.1.2;
// weak comparison).
func noneMatch(r *http.Request, tag string) bool {
	for _, line := range r.Header["If-None-Match"] {
		for part := range strings.SplitSeq(line, ",") {
			part = strings.TrimSpace(part)
			if part == "*" || strings.TrimPrefix(part, "W/") == strings.TrimPrefix(tag, "W/") {
				return true
			}
		}
	}
	return false
}

// quality returns how much the request wants a media type (RFC 9110, section
// 12.5.1), from 0 to 1000, and whether it names just that type. A request without
// Accept wants everything.
func quality(r *http.Request, media string) (q int, named bool) {
	lines := r.Header["Accept"]
	if len(lines) == 0 {
		return 1000, false
	}
	kind, _, _ := strings.Cut(media, "/")
	specific := -1
	for _, line := range lines {
		for part := range strings.SplitSeq(line, ",") {
			name, parameters, _ := strings.Cut(part, ";")
			rank := -1
			switch strings.ToLower(strings.TrimSpace(name)) {
			case media:
				rank = 2
			case kind + "/*":
				rank = 1
			case "*/*":
				rank = 0
			}
			if rank > specific {
				specific, q = rank, weight(parameters)
			}
		}
	}
	return q, specific == 2
}

// weight reads the q parameter of an element of Accept, in thousandths.
func weight(parameters string) int {
	for part := range strings.SplitSeq(parameters, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		if !strings.EqualFold(strings.TrimSpace(name), "q") {
			continue
		}
		f, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
		if err != nil || !(f >= 0 && f <= 1) {
			return 0
		}
		return int(f * 1000)
	}
	return 1000
}

// prefers reports whether the request names a media type and wants it at least as
// much as another.
func prefers(r *http.Request, media, other string) bool {
	q, named := quality(r, media)
	if !named || q == 0 {
		return false
	}
	otherQ, otherNamed := quality(r, other)
	return !otherNamed || q >= otherQ
}

// send writes a whole response.
func send(w http.ResponseWriter, r *http.Request, status int, contentType string, body []byte) {
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		// Whoever asked has gone when this fails; nothing is left to do.
		_, _ = w.Write(body)
	}
}
