package identifier

import (
	"strings"

	"golang.org/x/net/idna"
)

// URLs and IEC 61406 identification links: https://maker.example/p/4711?s=A is
// web.example.maker//p/4711?s=A. http and https name the same thing, and so do
// their default ports; the host is folded as a browser does for a look-up
// (UTS 46, lookup profile). Path and query are the suffix. Their octets are
// never touched: no escape is folded, no dot segment removed, for a server may
// tell them apart.

const webRoot = "web"

// httpScheme returns how many octets of the text are http:// or https://, in
// either case; 0 for none.
func httpScheme(text string) int {
	for _, scheme := range [...]string{"http://", "https://"} {
		if len(text) >= len(scheme) && strings.EqualFold(text[:len(scheme)], scheme) {
			return len(scheme)
		}
	}
	return 0
}

// splitURL splits an http or https URL into its scheme with "://", its authority
// and the rest. The scheme is empty when it is no such URL.
func splitURL(text string) (scheme, authority, rest string) {
	n := httpScheme(text)
	end := len(text)
	if i := strings.IndexAny(text[n:], "/?#"); i >= 0 {
		end = n + i
	}
	return text[:n], text[n:end], text[end:]
}

// parseWeb reads a URL as a web identifier, also where its path is a GS1 key.
func parseWeb(text string) (ID, error) {
	scheme, authority, rest := splitURL(text)
	if scheme == "" {
		return ID{}, fail(text, 0, "a web identifier is a URL that begins with http:// or https://", "write one of them in front")
	}
	p, err := parseAuthority(authority, len(scheme) == len("https://"))
	if err != nil {
		return ID{}, rebase(err, text, len(scheme))
	}
	if rest == "" || rest[0] != '/' {
		rest = "/" + rest
	}
	if err := checkWebSuffix(p, rest); err != nil {
		return ID{}, rebase(err, text, len(text)-len(rest))
	}
	if len(p)+1+len(rest) > MaxID {
		return ID{}, tooLong(text, min(len(text), MaxID), ruleMaxID, mendMaxID)
	}
	return ID{p, rest}, nil
}

// parseAuthority makes the prefix of the authority of a URL.
func parseAuthority(authority string, secure bool) (Prefix, error) {
	if i := strings.LastIndexByte(authority, '@'); i >= 0 {
		return "", fail(authority, 0, "the URL of an identifier has no user or password", "leave out everything up to the @")
	}
	if authority != "" && authority[0] == '[' {
		return "", fail(authority, 0, ruleIPLiteral, mendIPLiteral)
	}
	host := authority
	if i := strings.IndexByte(authority, ':'); i >= 0 {
		port := authority[i+1:]
		if port != "" && !(port == "443" && secure) && !(port == "80" && !secure) {
			return "", fail(authority, i, "the URL of an identifier has the default port of its scheme", "leave out the port, or publish the link at the default one")
		}
		host = authority[:i]
	}
	ascii, err := foldHost(host)
	if err != nil {
		return "", rebase(err, authority, 0)
	}
	ascii = strings.TrimSuffix(ascii, ".") // names the root of DNS, as every host does
	if ascii == "" {
		return "", fail(authority, 0, "a URL has a host", "write one behind the two slashes")
	}
	text := webRoot + "." + reverseDotted(ascii)
	if len(text) > maxPrefixText {
		return "", fail(authority, 0, ruleLongHost, mendLongHost)
	}
	if err := checkPrefixText(text); err != nil {
		// Where in the reversed name it is wrong says little about the URL.
		e := err.(*SyntaxError)
		return "", fail(authority, 0, e.Rule, e.Mend)
	}
	return Prefix(text), nil
}

const (
	ruleIPLiteral = "the host of a web identifier is a name, not an IP address"
	mendIPLiteral = "use the name of the host"
	ruleLongHost  = "the host of a web identifier has at most 122 octets as it is looked up"
	mendLongHost  = "use a shorter name"
)

// maxHost is how many octets of a host are read: more than any needs whose ASCII
// form has 122.
const maxHost = 1024

// foldHost returns the host as it is looked up in DNS.
func foldHost(host string) (string, error) {
	if isPlainHost(host) {
		return host, nil
	}
	if len(host) > maxHost {
		return "", fail(host, 0, ruleLongHost, mendLongHost)
	}
	ascii, err := idna.Lookup.ToASCII(host)
	if err != nil {
		return "", fail(host, 0, "the host is not a name that can be looked up: "+err.Error(), "write the name as a browser shows it")
	}
	return ascii, nil
}

// isPlainHost reports whether a host is one that IDNA surely leaves as it is:
// lower-case letters, digits, dots and single hyphens.
func isPlainHost(host string) bool {
	for i := 0; i < len(host); i++ {
		c := host[i]
		switch {
		case 'a' <= c && c <= 'z', isDigit(c), c == '.':
		case c == '-' && i > 0 && host[i-1] != '-':
		default:
			return false
		}
	}
	return true
}

// reverseDotted returns the dotted parts in reverse order.
func reverseDotted(s string) string {
	b := make([]byte, 0, len(s))
	for end := len(s); ; {
		i := strings.LastIndexByte(s[:end], '.')
		b = append(b, s[i+1:end]...)
		if i < 0 {
			return string(b)
		}
		b = append(b, '.')
		end = i
	}
}

// checkWebPrefix checks a prefix whose first segment is web and whose segments
// are labels: they must make a host that is looked up as it stands.
func checkWebPrefix(text string) error {
	if text == webRoot {
		return nil
	}
	const at = len(webRoot) + 1
	top, _, _ := strings.Cut(text[at:], ".")
	if isDigits(top) || isHexNumber(top) {
		return fail(text, at, ruleIPLiteral, mendIPLiteral)
	}
	if isPlainHost(text[at:]) {
		return nil
	}
	host := reverseDotted(text[at:])
	switch ascii, err := idna.Lookup.ToASCII(host); {
	case err != nil:
		return fail(text, at, "the segments below web are not a name that can be looked up: "+err.Error(), "write the host as IDNA does, reversed")
	case ascii != host:
		return fail(text, at, "the segments below web are a host as it is looked up in DNS, reversed", "write "+reverseDotted(ascii))
	}
	return nil
}

// isHexNumber reports whether a label is what a browser takes for the last part
// of an IPv4 address in hexadecimal.
func isHexNumber(label string) bool {
	if len(label) < 2 || label[0] != '0' || label[1] != 'x' {
		return false
	}
	for i := 2; i < len(label); i++ {
		if unhex(label[i]) < 0 {
			return false
		}
	}
	return true
}

// checkWebSuffix checks path and query. They are printable ASCII without what
// no URL may hold raw: space, quotation mark, < and >, and backslash, which
// browsers turn into a slash. A percent sign begins an escape. [ ] ^ ` { | } are
// let through although RFC 3986 wants them escaped, because browsers send them
// as they are.
func checkWebSuffix(p Prefix, suffix string) error {
	if p == webRoot {
		return fail(suffix, 0, "a web identifier has a host", "write the reversed host behind web")
	}
	if suffix[0] != '/' {
		return fail(suffix, 0, "the suffix of a web identifier begins with the slash of the path", "write two slashes behind the prefix")
	}
	for i := 0; i < len(suffix); i++ {
		switch c := suffix[i]; {
		case c == '#':
			return fail(suffix, i, "the URL of an identifier has no fragment", "leave out everything from the # on")
		case c <= ' ' || c >= 0x7F || c == '"' || c == '<' || c == '>' || c == '\\':
			return fail(suffix, i, "path and query of a URL have printable ASCII only, without space, quotation mark, <, > and backslash", "write the octets of the character as % and two hexadecimal digits each")
		case c == '%' && !isEscape(suffix[i:]):
			return fail(suffix, i, ruleEscape, mendEscape)
		}
	}
	return nil
}
