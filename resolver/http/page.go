package http

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"html/template"
	"net"
	"net/http"
	"strings"
)

//go:embed page.html
var pageText string

//go:embed page.css
var pageStyle string

// pages are the pages for people, parsed once and never changed.
var pages = template.Must(template.New("").Parse(strings.Replace(pageText, "@STYLE@", pageStyle, 1)))

// contentPolicy lets the pages load nothing, have no style but their own and no
// script, and send their form here only.
var contentPolicy = "default-src 'none'; style-src 'sha256-" + styleHash() + "'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"

// styleHash is how a policy names the style (Content Security Policy 3, section 2.3.1).
func styleHash() string {
	sum := sha256.Sum256([]byte(pageStyle))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// page says what this node is and how it is asked.
func (s *Server) page(w http.ResponseWriter, r *http.Request) {
	about := s.options.About
	dnsHost, dnsPort, _ := net.SplitHostPort(about.DNS)
	if about.Zone == "" {
		about.Zone = "id.internal"
	}
	body, err := render("node", struct {
		About
		Host, DNSHost, DNSPort string
		Metrics, Handles       bool
	}{about, r.Host, dnsHost, dnsPort, s.options.Metrics != nil, s.options.Handles != nil})
	if err != nil {
		failed(err).write(w, r, false)
		return
	}
	w.Header().Set("Cache-Control", "public, max-age=300")
	s.sendPage(w, r, http.StatusOK, body)
}

// sendPage writes a page.
func (s *Server) sendPage(w http.ResponseWriter, r *http.Request, status int, body []byte) {
	w.Header().Set("Content-Security-Policy", contentPolicy)
	send(w, r, status, "text/html; charset=utf-8", body)
}

// renderProblem writes a problem as a page.
func renderProblem(p *problem) ([]byte, error) { return render("problem", p) }

func render(name string, data any) ([]byte, error) {
	var b bytes.Buffer
	err := pages.ExecuteTemplate(&b, name, data)
	return b.Bytes(), err
}
