package http

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/resolver"
)

// problem is a problem document (RFC 9457): the shape of everything that is
// neither an answer with values nor a redirect.
type problem struct {
	// Type tells the kinds of problem apart; its last part is a name of the table of
	// outcomes, or one of this package's own. It is a tag (RFC 4151), not an address.
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
	// Rule, Offset and Mend say of a malformed identifier which rule it breaks, at
	// which octet, and what to do.
	Rule   string `json:"rule,omitempty"`
	Offset *int   `json:"offset,omitempty"`
	Mend   string `json:"mend,omitempty"`
	// Answer is what the resolver said, where it said something.
	Answer *document `json:"answer,omitempty"`

	retryAfter time.Duration
	allow      string
}

const problemTag = "tag:nameplate.id,2026:"

// slug writes the name of a case as the last part of a type.
func slug(name string) string { return strings.ReplaceAll(name, " ", "-") }

// newProblem makes a problem that the table of outcomes does not have.
func newProblem(status int, kind, title, detail string) *problem {
	return &problem{Type: problemTag + kind, Title: title, Status: status, Detail: detail}
}

// Spans after which asking again may help.
const (
	retryOverloaded  = time.Second
	retryUnavailable = 5 * time.Second
)

// failed is the problem that an error is.
func failed(err error) *problem {
	kind := resolver.CaseOf(resolver.Answer{}, err)
	p := &problem{Type: problemTag + slug(kind.String()), Status: kind.Codes().HTTP}
	switch kind {
	case resolver.CaseMalformed:
		p.Title = "This is not an identifier"
	case resolver.CaseOverloaded:
		p.Title, p.retryAfter = "Too much to do", retryOverloaded
	case resolver.CaseUnauthenticated:
		p.Title = "Not authenticated"
	default:
		p.Title, p.retryAfter = "Cannot answer now", retryUnavailable
	}
	var e *resolver.Error
	switch {
	case errors.As(err, &e):
		p.Detail = e.Detail
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		p.Detail = "no answer in time: ask again"
	default:
		p.Detail = "no answer: ask again"
	}
	return p
}

// malformed is the problem of a text that is no identifier, or of a request that
// breaks another rule. What it says of the text is quoted and cut.
func malformed(err error) *problem {
	p := failed(&resolver.Error{Kind: resolver.Malformed, Detail: err.Error()})
	var e *identifier.SyntaxError
	if errors.As(err, &e) {
		p.Rule, p.Offset, p.Mend = e.Rule, &e.Offset, e.Mend
	} else {
		p.Title = "This cannot be asked"
	}
	return p
}

// negative is the problem that an answer is which has nothing to show. A record
// has nothing of what was asked, whatever else it has.
func negative(a *resolver.Answer, asked string) *problem {
	kind := resolver.CaseOf(*a, nil)
	if a.Outcome == resolver.Found {
		kind = resolver.CaseNoValues
	}
	p := &problem{Type: problemTag + slug(kind.String()), Status: kind.Codes().HTTP, Answer: newDocument(a)}
	switch kind {
	case resolver.CaseNoValues:
		p.Title = "There is nothing of what was asked"
		p.Detail = fmt.Sprintf("%s is registered, but has no %s: ask %s for all that it has", a.ID, asked, resolvePath(a.ID))
	case resolver.CaseAbsent:
		p.Title, p.Detail = "Not registered", fmt.Sprintf("nothing is registered as %s: check how it is written", a.ID)
	case resolver.CaseAbsentAbove:
		p.Title, p.Detail = "Not registered", fmt.Sprintf("%s has no record of its own, only what lies below it: ask for something below", a.ID)
	case resolver.CaseRefused:
		p.Title, p.Detail = "Not for everybody", fmt.Sprintf("the holder of %s does not let everybody ask: ask the holder", a.ID.Prefix)
	case resolver.CaseRefusedOutside:
		p.Title, p.Detail = "Not answered here", fmt.Sprintf("this node does not answer for %s: ask a top-level node", a.ID)
	case resolver.CaseReferral:
		p.Title, p.Detail = "Another node answers", fmt.Sprintf("the node %s answers for %s, but not over HTTP: ask it in another way", a.Delegation.Node.Name, a.Delegation.Prefix)
	default:
		return failed(errors.New("an answer that is none"))
	}
	return p
}

// write sends the problem, as a page to those who prefer one.
func (p *problem) write(w http.ResponseWriter, r *http.Request, page bool) {
	h := w.Header()
	if p.retryAfter > 0 {
		h.Set("Retry-After", fmt.Sprint(seconds(p.retryAfter)))
	}
	if p.Status == http.StatusUnauthorized {
		// RFC 9110, section 15.5.2, wants a challenge; there is no scheme yet.
		h.Set("WWW-Authenticate", `Nameplate realm="nameplate"`)
	}
	if p.allow != "" {
		h.Set("Allow", p.allow)
	}
	if h.Get("Cache-Control") == "" {
		h.Set("Cache-Control", "no-store")
	}
	if page && h.Get("Vary") == "" {
		h.Set("Vary", "Accept")
	}
	if page && prefers(r, "text/html", "application/problem+json") {
		if body, err := renderProblem(p); err == nil {
			h.Set("Content-Security-Policy", contentPolicy)
			send(w, r, p.Status, "text/html; charset=utf-8", body)
			return
		}
	}
	body, err := encode(p)
	if err != nil {
		// What an answer carries cannot be written as JSON.
		p.Answer = nil
		if body, err = encode(p); err != nil {
			body = nil
		}
	}
	send(w, r, p.Status, "application/problem+json", body)
}
