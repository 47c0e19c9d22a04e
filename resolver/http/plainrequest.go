package http

import (
	"bytes"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/nameplate-id/nameplate/registry/identifier"
)

// plainTalk answers the plain requests of one connection.
type plainTalk struct {
	date   []byte // as a header field has it
	dateOf int64  // the second
}

// answer appends the answers to the plain requests that some octets begin with, as far as
// they are sent together, and returns the octets that it has not answered: those from the
// first request on that is not plain, or not all there. A plain
// request (RFC 9112) is a GET for an identifier whose link [Server.followPlain] would
// lead to, without parameters and escapes, with nothing in its header but fields that
// say nothing about the connection, a body, or which answer is wanted. What is in any
// doubt is not plain.
func (t *plainTalk) answer(s *Server, out, in []byte, now time.Time) (_, rest []byte) {
	for len(in) > 0 && len(out) < maxTogether {
		path, size := readPlainRequest(in)
		if size == 0 {
			break
		}
		to, err := routePath(path)
		if err != nil || to.route != routeFollow || to.id.Suffix == "" {
			break
		}
		l := s.newLeading()
		ok := l.find(s.options.Records, to.id)
		if ok {
			out = l.appendResponse(out, to.id, path, t.dateAt(now))
		}
		s.giveBack(l)
		if !ok {
			break
		}
		in = in[size:]
	}
	return out, in
}

// dateAt returns the date of answers.
func (t *plainTalk) dateAt(now time.Time) []byte {
	if second := now.Unix(); second != t.dateOf || len(t.date) == 0 {
		t.dateOf, t.date = second, now.UTC().AppendFormat(t.date[:0], http.TimeFormat)
	}
	return t.date
}

// appendResponse appends the redirect as the HTTP server would write it.
func (l *leading) appendResponse(b []byte, id identifier.ID, path string, date []byte) []byte {
	body := len(l.text)
	l.text = l.appendBody(l.text)
	status := l.status()
	b = strconv.AppendInt(append(b, "HTTP/1.1 "...), int64(status), 10)
	b = append(append(b, ' '), http.StatusText(status)...)
	b = append(b, "\r\nAccess-Control-Allow-Origin: *\r\nAccess-Control-Expose-Headers: "+exposedHeaders+"\r\nCache-Control: "+maxAge...)
	b = strconv.AppendInt(b, seconds(l.lifetime), 10)
	b = strconv.AppendInt(append(b, "\r\nContent-Length: "...), int64(len(l.text)-body), 10)
	if l.handle {
		b = append(b, "\r\nContent-Security-Policy: "+plainPolicy+"\r\nContent-Type: "+typePage...)
	} else {
		b = append(b, "\r\nContent-Type: "+typeText...)
	}
	b = appendAnswerLink(append(b, "\r\nLink: "...), id)
	b = appendLinksetLink(append(b, "\r\nLink: "...), path)
	b = append(append(b, "\r\nLocation: "...), l.text[:l.link]...)
	b = append(b, "\r\nVary: "+variesBy+"\r\nX-Content-Type-Options: nosniff\r\nDate: "...)
	b = append(append(b, date...), "\r\n\r\n"...)
	return append(b, l.text[body:]...)
}

// readPlainRequest returns the path of the plain request that some octets begin with, and
// how many octets it has; 0 when there is none, or not all of it.
func readPlainRequest(b []byte) (path string, size int) {
	const method, version = "GET ", " HTTP/1.1"
	line, at := plainLine(b, 0)
	if len(line) < len(method)+len(version) || string(line[:len(method)]) != method || string(line[len(line)-len(version):]) != version {
		return "", 0
	}
	named := line[len(method) : len(line)-len(version)]
	if len(named) == 0 || named[0] != '/' || bytes.HasPrefix(named, []byte("//")) {
		return "", 0
	}
	for _, c := range named {
		if !isPathOctet(c) {
			return "", 0
		}
	}
	for host := false; ; {
		if line, at = plainLine(b, at); at == 0 {
			return "", 0
		}
		if len(line) == 0 {
			if !host { // RFC 9112, section 3.2
				return "", 0
			}
			return string(named), at
		}
		name, value, ok := bytes.Cut(line, []byte(":"))
		if !ok {
			return "", 0
		}
		switch is := string(bytes.TrimLeft(value, " ")); fieldOf(name) {
		case fieldIgnored:
		case fieldHost:
			if host || !isHost(is) {
				return "", 0
			}
			host = true
		case fieldAccept:
			if lines := []string{is}; mentions(lines, "linkset") || negotiates(lines) {
				return "", 0
			}
		case fieldConnection:
			if !strings.EqualFold(is, "keep-alive") {
				return "", 0
			}
		default:
			return "", 0
		}
	}
}

// plainLine returns the line at a place and where the next one begins; 0 when there is no
// whole line of printable ASCII.
func plainLine(b []byte, at int) (line []byte, next int) {
	for i := at; i < len(b); i++ {
		if c := b[i]; c >= ' ' && c < 0x7f {
			continue
		}
		if b[i] == '\r' && i+1 < len(b) && b[i+1] == '\n' {
			return b[at:i], i + 2
		}
		break
	}
	return nil, 0
}

// isPathOctet reports whether an octet stands for itself in a path (RFC 3986, section
// 3.3), whoever reads it.
func isPathOctet(c byte) bool {
	switch c {
	case '-', '.', '_', '~', '/', ':', '@', '!', '$', '&', '(', ')', '*', '+', ',', ';', '=':
		return true
	}
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// isHost reports whether the value of Host is one that nobody doubts.
func isHost(text string) bool {
	for i := range len(text) {
		if c := text[i]; !isHostOctet(c) && c != ':' && c != '[' && c != ']' {
			return false
		}
	}
	return text != ""
}

// field says what a header field means for a plain request.
type field uint8

const (
	fieldUnknown field = iota // perhaps that it is not plain
	fieldIgnored
	fieldHost
	fieldAccept
	fieldConnection
)

// fieldOf returns what a header field of this name means. That the language is ignored
// is right where there is one link.
func fieldOf(name []byte) field {
	var room [32]byte
	if len(name) > len(room) {
		return fieldUnknown
	}
	lower := room[:len(name)]
	for i, c := range name {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		lower[i] = c
	}
	switch string(lower) {
	case "host":
		return fieldHost
	case "accept":
		return fieldAccept
	case "connection":
		return fieldConnection
	case "user-agent", "accept-language", "accept-encoding", "accept-charset", "cache-control", "pragma", "referer", "origin", "cookie", "dnt",
		"upgrade-insecure-requests", "priority", "sec-fetch-dest", "sec-fetch-mode", "sec-fetch-site", "sec-fetch-user",
		"sec-ch-ua", "sec-ch-ua-mobile", "sec-ch-ua-platform", "sec-gpc", "via", "forwarded", "x-forwarded-for", "x-forwarded-host",
		"x-forwarded-proto", "x-real-ip", "x-request-id", "traceparent", "tracestate":
		return fieldIgnored
	}
	return fieldUnknown
}
