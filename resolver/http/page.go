package http

import (
	"bytes"
	_ "embed"
	"html/template"
	"net"
	"net/http"
)

//go:embed page.html
var pageText string

// pages are the pages for people, parsed once and never changed.
var pages = template.Must(template.New("").Parse(pageText))

// contentPolicy lets the pages load nothing and send their form here only.
const contentPolicy = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"

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
		Metrics                bool
	}{about, r.Host, dnsHost, dnsPort, s.options.Metrics != nil})
	if err != nil {
		failed(err).write(w, r, false)
		return
	}
	w.Header().Set("Cache-Control", "public, max-age=300")
	w.Header().Set("Content-Security-Policy", contentPolicy)
	send(w, r, http.StatusOK, "text/html; charset=utf-8", body)
}

// renderProblem writes a problem as a page.
func renderProblem(p *problem) ([]byte, error) { return render("problem", p) }

func render(name string, data any) ([]byte, error) {
	var b bytes.Buffer
	err := pages.ExecuteTemplate(&b, name, data)
	return b.Bytes(), err
}
