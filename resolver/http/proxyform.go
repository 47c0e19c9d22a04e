package http

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/nameplate-id/nameplate/registry/identifier"
)

// proxyForm are the parameters of a request for a handle. Others are ignored, as the
// stock proxy does.
type proxyForm struct {
	apiForm       // type, index, auth, cert
	show          bool
	ignoreAliases bool
	action        string
	append        string
	attributes    [][2]string // of the location that is wanted
}

// The actions that do not redirect.
const (
	actionValues   = "showvalues"
	actionURLs     = "showurls"
	actionMetadata = "metadata"
	actionAPI      = "api"
)

// maxLocAtt is how many attributes a request may name.
const maxLocAtt = 16

// readProxyForm reads the query of a request for a handle, whose parameters are joined
// with & or ;.
func readProxyForm(rawQuery string) (proxyForm, error) {
	f := proxyForm{apiForm: apiForm{publicOnly: true}}
	if rawQuery == "" {
		return f, nil
	}
	values := url.Values{}
	for part := range strings.FieldsFuncSeq(rawQuery, func(r rune) bool { return r == '&' || r == ';' }) {
		name, text, _ := strings.Cut(part, "=")
		name, err := url.QueryUnescape(name)
		if err != nil {
			continue // no parameter of this proxy
		}
		switch name {
		case "type", "index", "auth", "cert", "noredirect", "ignore_aliases", "action", "urlappend", "locatt":
		default:
			continue
		}
		if text, err = url.QueryUnescape(text); err != nil {
			return f, fmt.Errorf("the parameter %s has a percent sign that is not in front of two hexadecimal digits: write %%25 for the percent sign itself", name)
		}
		values.Add(name, text)
	}
	f.action = strings.ToLower(values.Get("action"))
	f.append = values.Get("urlappend")
	f.show = values.Has("noredirect") || f.action == actionValues
	f.ignoreAliases = values.Has("ignore_aliases")
	if f.action == actionMetadata {
		f.attributes = append(f.attributes, [2]string{"role", "metadata"})
	}
	if len(values["locatt"]) > maxLocAtt {
		return f, fmt.Errorf("a request names at most %d attributes of a location: leave some out", maxLocAtt)
	}
	for _, text := range values["locatt"] {
		name, value, ok := strings.Cut(text, ":")
		if !ok {
			return f, errors.New("locatt is the name of an attribute, a colon and its value: write it like locatt=id:1")
		}
		f.attributes = append(f.attributes, [2]string{name, value})
	}
	return f, f.read(url.Values{"type": values["type"], "index": values["index"], "auth": values["auth"], "cert": values["cert"]})
}

// stripped takes off what people put in front of handles, where it is none of the
// prefixes that identifiers have everywhere.
func stripped(text string) string {
	for _, p := range [...]struct{ front, stands string }{
		{"info:hdl/", "hdl:"}, {"info:doi/", "doi:"}, {"urn:hdl:", "hdl:"}, {"urn:doi:", "doi:"},
	} {
		if len(text) > len(p.front) && strings.EqualFold(text[:len(p.front)], p.front) {
			return p.stands + text[len(p.front):]
		}
	}
	return text
}

// handleText returns a handle without the scheme in front.
func handleText(text string) string {
	if namesScheme(text) {
		switch strings.ToLower(text[:4]) {
		case "hdl:", "doi:":
			return text[4:]
		}
	}
	return text
}

// handlePath is the path under which this proxy follows a handle.
func handlePath(id identifier.ID) string {
	parts := strings.Split(id.String(), "/")
	for i := range parts {
		parts[i] = escapeAll(parts[i])
	}
	path := "/" + strings.Join(parts, "/")
	// Dots and empty segments are taken out of paths on the way; a handle that looks like
	// something else says what it is.
	if t, err := routePath(path); err == nil && t.route == routeFollow && t.id == id && !strings.Contains(path+"/", "/./") && !strings.Contains(path+"/", "/../") && !strings.Contains(path+"/", "//") {
		return path
	}
	return "/hdl:" + escapeAll(id.String())
}
