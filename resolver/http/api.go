package http

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/nameplate-id/nameplate/registry/identifier"
)

// Handles answers questions as a Handle server does: with its response codes (RFC 3652,
// section 2.2.2.2), and with the values that it makes of delegations. It may be called
// concurrently.
type Handles interface {
	// Ask answers a question about a handle.
	Ask(context.Context, HandleQuery) HandleAnswer
	// Site returns what marshals to the JSON form of the node's own site information; nil
	// when it has none.
	Site() any
}

// HandleQuery is a question about a handle.
type HandleQuery struct {
	Handle string // as it was asked for
	// Types and Indexes select values: a union, all when both are empty.
	Types   []string
	Indexes []uint32
	// Authoritative wants no answer from a cache, Certified one that is signed,
	// PublicOnly no word of values that not everybody may read, DoNotRefer no referral.
	Authoritative, Certified, PublicOnly, DoNotRefer bool
}

// HandleAnswer is the answer to a [HandleQuery].
type HandleAnswer struct {
	Code uint32
	// Handle repeats the handle; in a referral it is the handle to ask for, or empty.
	Handle  string
	Values  []identifier.Value
	Message string // why there is no answer; may be empty
}

// The response codes that this package looks at.
const (
	codeSuccess         = 1
	codeBusy            = 3
	codeProtocol        = 4
	codeNotSupported    = 5
	codeReadOnly        = 7
	codeNotFound        = 100
	codeExists          = 101
	codeInvalidHandle   = 102
	codeValuesNotFound  = 200
	codeValueExists     = 201
	codeInvalidValue    = 202
	codeNotResponsible  = 301
	codeServiceReferral = 302
	codePrefixReferral  = 303
	codeInvalidAdmin    = 400
	codeNotPermitted    = 401
	codeAuthenticate    = 402
	codeAuthFailed      = 403
	codeBadCredential   = 404
)

// apiStatus is the HTTP status of a response code. Who has to say who they are is told
// so only where nobody else hears it.
func apiStatus(code uint32, secure bool) int {
	switch code {
	case codeSuccess, codeValuesNotFound:
		return http.StatusOK
	case codeServiceReferral, codePrefixReferral:
		return http.StatusMultipleChoices
	case codeNotFound:
		return http.StatusNotFound
	case codeExists, codeValueExists:
		return http.StatusConflict
	case codeProtocol, codeInvalidHandle, codeInvalidValue, codeNotResponsible:
		return http.StatusBadRequest
	case codeNotSupported:
		return http.StatusNotImplemented
	case codeBusy, codeReadOnly:
		return http.StatusServiceUnavailable
	case codeAuthenticate:
		if secure {
			return http.StatusUnauthorized
		}
		return http.StatusForbidden
	case codeInvalidAdmin, codeNotPermitted, codeAuthFailed, codeBadCredential:
		return http.StatusForbidden
	}
	return http.StatusInternalServerError
}

// apiMethods are the methods of the REST interface for who reads.
const apiMethods = "GET, HEAD, POST, OPTIONS"

// api answers a request of the Handle REST interface.
func (s *Server) api(w http.ResponseWriter, r *http.Request, t target, bad error) {
	h := w.Header()
	h.Set("Cache-Control", "no-cache")
	form, err := readForm(r)
	var a apiDoc
	switch {
	case s.options.Handles == nil:
		a = apiDoc{ResponseCode: codeNotSupported, Message: "this node does not speak Handle"}
	case err != nil:
		a = apiDoc{ResponseCode: codeProtocol, Message: err.Error()}
	case bad != nil:
		a = apiDoc{ResponseCode: codeInvalidHandle, Message: bad.Error(), Handle: t.text}
	default:
		a = s.apiAnswer(r, t, form)
	}
	if a.ResponseCode == codeAuthenticate && r.TLS != nil {
		h.Set("WWW-Authenticate", `Nameplate realm="nameplate"`)
	}
	if a.ResponseCode == codeBusy {
		h.Set("Retry-After", "1")
	}
	s.sendAPI(w, r, &a, form)
}

// apiAnswer answers what is asked of one resource.
func (s *Server) apiAnswer(r *http.Request, t target, form apiForm) apiDoc {
	reads := r.Method == http.MethodGet || r.Method == http.MethodHead
	switch {
	case t.api == apiHandle && (reads || r.Method == http.MethodPost):
		q, err := form.query(t.text)
		if err != nil {
			return apiDoc{ResponseCode: codeProtocol, Message: err.Error(), Handle: t.text}
		}
		ctx, cancel := context.WithTimeout(r.Context(), s.options.Timeout)
		defer cancel()
		return newAPIDoc(s.options.Handles.Ask(ctx, q), t.text, s.describe)
	case t.api == apiSite && reads:
		if site := s.options.Handles.Site(); site != nil {
			return apiDoc{ResponseCode: codeSuccess, Site: site}
		}
		return apiDoc{ResponseCode: 2, Message: "this node tells no address for Handle: its operator sets one"}
	case (t.api == apiHandles || t.api == apiPrefixes) && reads && r.Header.Get("Authorization") == "":
		return apiDoc{ResponseCode: codeAuthenticate, Message: "lists are for administrators"}
	}
	return apiDoc{ResponseCode: codeNotSupported, Message: "this node answers questions only: administration and sessions are not there"}
}

// describe returns the JSON form of a value's data.
func (s *Server) describe(v *identifier.Value) (format string, form any) {
	if s.options.Describe != nil {
		return s.options.Describe(v)
	}
	return describePlain(v.Data)
}

// sendAPI writes an answer as JSON, or as a script for who names a callback.
func (s *Server) sendAPI(w http.ResponseWriter, r *http.Request, a *apiDoc, form apiForm) {
	var body []byte
	var err error
	if form.pretty {
		body, err = encode(a)
		body = bytes.TrimSuffix(body, []byte("\n"))
	} else {
		body, err = compact(a)
	}
	if err != nil {
		a = &apiDoc{ResponseCode: 2, Message: "the answer cannot be written as JSON"}
		body, _ = json.Marshal(a)
	}
	status := apiStatus(a.ResponseCode, r.TLS != nil)
	if form.callback == "" {
		send(w, r, status, "application/json; charset=utf-8", append(body, '\n'))
		return
	}
	// A browser runs no script that comes with an error; the code stands in it. The
	// comment keeps the first octets from meaning anything else to anybody (RFC 4329).
	script := make([]byte, 0, len(body)+len(form.callback)+8)
	script = append(append(append(script, "/**/"...), form.callback...), '(')
	script = append(append(script, body...), ");\n"...)
	send(w, r, http.StatusOK, "application/javascript; charset=utf-8", script)
}

// isoTime writes a time as stock software does.
func isoTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }
