package http

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/nameplate-id/nameplate/registry/identifier"
)

// route says what a path asks for.
type route uint8

const (
	routeNothing route = iota // a path that is kept free
	routePage
	routeHealth
	routeMetrics
	routeSchema
	routeForm
	routeResolve // the text of an identifier, decoded
	routeFollow  // an identifier whose link is to be followed
	routeAPI     // the Handle REST interface
)

// resource is what a path of the Handle REST interface names.
type resource uint8

const (
	apiHandle resource = iota // one handle
	apiHandles
	apiPrefixes
	apiSite
	apiOther // of those who administer
)

// Paths that are no identifiers.
const (
	pathPage    = "/"
	pathHealth  = "/healthz"
	pathMetrics = "/metrics"
	pathSchema  = "/schema/resolve.json"
	pathForm    = "/resolve"
	pathResolve = "/resolve/"
	pathAPI     = "/api/"
	pathHandles = "/api/handles/"
)

// target is where a path leads.
type target struct {
	route route
	text  string        // of the identifier, for routeResolve and routeAPI; of a handle for routeFollow
	api   resource      // for routeAPI
	id    identifier.ID // for routeFollow
}

// routePath routes the path of a request as it was sent. It is a pure function.
// The error, always about an identifier, is a [*identifier.SyntaxError].
func routePath(raw string) (target, error) {
	switch raw {
	case pathPage, "":
		return target{route: routePage}, nil
	case pathHealth:
		return target{route: routeHealth}, nil
	case pathMetrics:
		return target{route: routeMetrics}, nil
	case pathSchema:
		return target{route: routeSchema}, nil
	case pathForm:
		return target{route: routeForm}, nil
	case "/favicon.ico", "/robots.txt":
		return target{route: routeNothing}, nil
	}
	if strings.HasPrefix(raw, "/.well-known/") || raw[0] != '/' {
		return target{route: routeNothing}, nil
	}
	if t, ok, err := routeREST(raw); ok {
		return t, err
	}
	if escaped, ok := strings.CutPrefix(raw, pathResolve); ok {
		text, err := unescape(escaped)
		return target{route: routeResolve, text: text}, err
	}
	text, err := unescape(raw[1:])
	if err == nil {
		text = stripped(text)
	}
	if err == nil && namesScheme(text) {
		id, err := identifier.Parse(text)
		return target{route: routeFollow, id: id, text: handleText(text)}, err
	}
	if id, ok, err := identifier.ParseDigitalLink(raw); ok {
		return target{route: routeFollow, id: id}, err
	}
	if err != nil {
		return target{}, err
	}
	id, err := identifier.Parse(text)
	return target{route: routeFollow, id: id, text: text}, err
}

// routeREST routes a path of the Handle REST interface. It reports false for any other:
// api is a prefix like others.
func routeREST(raw string) (t target, ok bool, err error) {
	if !strings.HasPrefix(raw, pathAPI) {
		return target{}, false, nil
	}
	t.route = routeAPI
	if escaped, ok := strings.CutPrefix(raw, pathHandles); ok && escaped != "" {
		t.text, err = unescape(escaped)
		return t, true, err
	}
	switch strings.TrimSuffix(raw[len(pathAPI):], "/") {
	case "handles":
		t.api = apiHandles
	case "prefixes":
		t.api = apiPrefixes
	case "site":
		t.api = apiSite
	case "verifications", "sessions", "sessions/this":
		t.api = apiOther
	default:
		return target{}, false, nil
	}
	return t, true, nil
}

// unescape decodes the escapes of a path, once.
func unescape(escaped string) (string, error) {
	text, err := url.PathUnescape(escaped)
	if err != nil {
		at := strings.IndexByte(escaped, '%')
		for at >= 0 && isEscape(escaped[at:]) {
			next := strings.IndexByte(escaped[at+1:], '%')
			if next < 0 {
				break
			}
			at += 1 + next
		}
		return "", &identifier.SyntaxError{Input: escaped, Offset: max(at, 0),
			Rule: "a percent sign in a URL stands in front of two hexadecimal digits", Mend: "write %25 for the percent sign itself"}
	}
	return text, nil
}

// isEscape reports whether s begins with an escape (RFC 3986, section 2.1).
func isEscape(s string) bool {
	return len(s) >= 3 && s[0] == '%' && isHexDigit(s[1]) && isHexDigit(s[2])
}

func isHexDigit(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

// namesScheme reports whether a text says itself which scheme it is of.
func namesScheme(text string) bool {
	if len(text) < 4 || text[3] != ':' {
		return false
	}
	switch strings.ToLower(text[:3]) {
	case "hdl", "doi", "gs1", "oid", "web", "did", "urn":
		return true
	}
	return false
}

// resolvePath is the path under which an identifier's answer stands, for any
// identifier. Every octet that is not unreserved is escaped, slashes too, so that
// nothing on the way takes dots or empty segments for more than they are.
func resolvePath(id identifier.ID) string { return string(appendResolvePath(nil, id)) }

func appendResolvePath(b []byte, id identifier.ID) []byte {
	b = appendEscaped(append(b, pathResolve...), string(id.Prefix))
	if id.Suffix != "" {
		b = appendEscaped(appendEscaped(b, "/"), id.Suffix)
	}
	return append(b, "?form=canonical"...)
}

const hexDigits = "0123456789ABCDEF"

// escapeAll escapes all but the unreserved characters (RFC 3986, section 2.3).
func escapeAll(s string) string { return string(appendEscaped(nil, s)) }

func appendEscaped(b []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_', c == '~', c == '.':
			b = append(b, c)
		default:
			b = append(b, '%', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	return b
}

// escapeUnsafe escapes what cannot stand in a URL in a header line, and nothing
// else: controls, space, quotation marks, angle brackets, backslash, # and what is
// not ASCII. Text without them is returned as it is.
func escapeUnsafe(s string) string {
	unsafe := func(c byte) bool {
		return c <= ' ' || c >= 0x7f || c == '"' || c == '<' || c == '>' || c == '\\' || c == '#'
	}
	for i := 0; i < len(s); i++ {
		if !unsafe(s[i]) {
			continue
		}
		var b strings.Builder
		for j := 0; j < len(s); j++ {
			if unsafe(s[j]) {
				fmt.Fprintf(&b, "%%%02X", s[j])
			} else {
				b.WriteByte(s[j])
			}
		}
		return b.String()
	}
	return s
}
