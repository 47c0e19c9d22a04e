package http

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/resolver"
)

// Records lends records as they are stored, so that a plain request is answered without
// making anything of them that would have to be collected again.
type Records interface {
	// Lend fills in loans and calls f once while the records can be read, or not at all.
	// A loan gets a record when a question about its identifier would be answered with
	// that here, by all values that all may read. In any other case it gets none, which
	// says nothing. f returns how many questions it answered, as found and as absent. It
	// must not ask for anything else meanwhile.
	Lend(loans []identifier.Loan, f func() (found, absent int)) error
}

// fixedLines are the values of header fields that do not depend on the answer. They are
// shared by all responses and never written to.
type fixedLines struct {
	anyOrigin, exposed, noSniff, vary, policy, page, text []string
}

func newFixedLines() *fixedLines {
	return &fixedLines{
		anyOrigin: []string{"*"}, exposed: []string{exposedHeaders}, noSniff: []string{"nosniff"}, vary: []string{variesBy},
		policy: []string{plainPolicy}, page: []string{typePage}, text: []string{typeText},
	}
}

// leading is what it takes to answer a plain request. It is used again for others.
type leading struct {
	loans  [1]identifier.Loan
	octets []byte // of the loan's prefix and key
	text   []byte // what is written
	// handle says that the identifier is a handle, whose whole record counts.
	handle bool
	// link begins text and has so many octets; 0 while there is none.
	link     int
	lifetime time.Duration
	read     func() (found, absent int)
}

// followPlain redirects to the link of an identifier if that is plain: a GET without
// parameters, for a record of which all may read all values for a time that no clock
// tells, with one URL value, whose link can be followed as it stands; of a handle only
// when no type is negotiated, for which others may have a place. It answers as
// [Server.follow] would, or does nothing and reports false.
func (s *Server) followPlain(w http.ResponseWriter, r *http.Request, id identifier.ID, path string) bool {
	if s.options.Records == nil || id.Suffix == "" || r.Method != http.MethodGet || r.URL.RawQuery != "" ||
		strings.HasPrefix(path, "//") || escapeUnsafe(path) != path || mentions(r.Header["Accept"], "linkset") ||
		id.Scheme() == identifier.Handle && negotiates(r.Header["Accept"]) {
		return false
	}
	l := s.newLeading()
	defer s.giveBack(l)
	if !l.find(s.options.Records, id) {
		return false
	}
	l.write(w, s.lines, id, path)
	return true
}

func (s *Server) newLeading() *leading {
	l, _ := s.leads.Get().(*leading)
	if l == nil {
		l = new(leading)
		l.read = l.choose
	}
	return l
}

// giveBack forgets what l holds and keeps it for another request.
func (s *Server) giveBack(l *leading) {
	l.loans[0], l.link = identifier.Loan{}, 0
	s.leads.Put(l)
}

// find looks up where an identifier leads; false when it is not plain.
func (l *leading) find(records Records, id identifier.ID) bool {
	b := append(l.octets[:0], id.Prefix...)
	l.octets = identifier.AppendKey(b, id)
	l.loans[0].Prefix, l.loans[0].Key = l.octets[:len(b):len(b)], l.octets[len(b):]
	l.handle, l.link = id.Scheme() == identifier.Handle, 0
	// When nothing is lent, whoever is asked next says why.
	return records.Lend(l.loans[:], l.read) == nil && l.link > 0
}

// choose looks at the record while it is lent.
func (l *leading) choose() (found, absent int) {
	stored := l.loans[0].Stored
	if stored == nil {
		return 0, 0
	}
	var link []byte
	l.lifetime = resolver.MaxLifetime
	for v := range stored.Values() {
		isURL := string(v.Type) == "URL"
		if v.Permissions&identifier.PublicRead == 0 || v.TTL.Absolute || isURL && link != nil ||
			l.handle && (string(v.Type) == typeAlias || string(v.Type) == typeLocations) {
			return 0, 0
		}
		if isURL {
			link = v.Data
		}
		if isURL || l.handle {
			l.lifetime = min(l.lifetime, time.Duration(v.TTL.Seconds)*time.Second)
		}
	}
	if !isPlainLink(link) {
		return 0, 0
	}
	l.text = append(l.text[:0], link...)
	l.link = len(link)
	return 1, 0
}

// status is that of the redirect.
func (l *leading) status() int {
	if l.handle {
		return http.StatusFound // as the Handle proxy does
	}
	return resolver.CaseFound.Codes().Redirect
}

// appendBody appends what is shown to who does not follow the redirect.
func (l *leading) appendBody(b []byte) []byte {
	if l.handle {
		return appendRedirectPage(b, l.text[:l.link])
	}
	return append(append(b, l.text[:l.link]...), '\n')
}

// write writes the redirect.
func (l *leading) write(w http.ResponseWriter, fixed *fixedLines, id identifier.ID, path string) {
	b := l.text
	var ends [5]int // of what is written, one after the other
	ends[0] = l.link
	b = appendAnswerLink(b, id)
	ends[1] = len(b)
	b = appendLinksetLink(b, path)
	ends[2] = len(b)
	b = strconv.AppendInt(append(b, maxAge...), seconds(l.lifetime), 10)
	ends[3] = len(b)

	h := w.Header()
	h["Vary"] = fixed.vary
	h["Content-Type"] = fixed.text
	if l.handle {
		h["Content-Security-Policy"], h["Content-Type"] = fixed.policy, fixed.page
	}
	body := len(b)
	b = l.appendBody(b)
	size := len(b) - body
	b = strconv.AppendInt(b, int64(size), 10)
	l.text = b

	lines := make([]string, 5)
	text := string(b[:body]) // once for all lines
	from := 0
	for i, end := range ends[:4] {
		lines[i], from = text[from:end], end
	}
	lines[4] = string(b[body+size:])
	h["Location"], h["Link"], h["Cache-Control"], h["Content-Length"] = lines[:1:1], lines[1:3:3], lines[3:4:4], lines[4:]
	w.WriteHeader(l.status())
	// Whoever asked has gone when this fails; nothing is left to do.
	_, _ = w.Write(b[body : body+size])
}

// isPlainLink reports whether [followable] would return a link as it is: http or https,
// a host of letters, digits, dots and hyphens, perhaps a port, and nothing behind it that
// would have to be escaped or looked at again.
func isPlainLink(link []byte) bool {
	if len(link) > maxTarget {
		return false
	}
	const plain, secure = "http://", "https://"
	at := 0
	switch {
	case len(link) > len(plain) && string(link[:len(plain)]) == plain:
		at = len(plain)
	case len(link) > len(secure) && string(link[:len(secure)]) == secure:
		at = len(secure)
	default:
		return false
	}
	host := at
	for at < len(link) && isHostOctet(link[at]) {
		at++
	}
	if at == host {
		return false
	}
	if at < len(link) && link[at] == ':' {
		for at++; at < len(link) && '0' <= link[at] && link[at] <= '9'; at++ {
		}
	}
	if at < len(link) && link[at] != '/' && link[at] != '?' {
		return false
	}
	for ; at < len(link); at++ {
		switch c := link[at]; {
		case c <= ' ', c >= 0x7f, c == '"', c == '<', c == '>', c == '\\', c == '#':
			return false
		case c == '%' && !(at+2 < len(link) && isHexDigit(link[at+1]) && isHexDigit(link[at+2])):
			return false
		}
	}
	return true
}

func isHostOctet(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '.'
}

// mentions reports whether a word of lower-case letters stands anywhere in some lines,
// in letters of any case.
func mentions(lines []string, word string) bool {
	for _, line := range lines {
		for i := 0; i+len(word) <= len(line); i++ {
			if line[i]|0x20 == word[0] && strings.EqualFold(line[i:i+len(word)], word) {
				return true
			}
		}
	}
	return false
}
