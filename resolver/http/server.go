package http

import (
	"bytes"
	"context"
	"crypto/tls"
	_ "embed"
	"errors"
	"log"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/resolver"
	"github.com/nameplate-id/nameplate/resolver/tcp"
)

// Options of a server. The zero value is usable.
type Options struct {
	// About is what the page for people says of the node.
	About About
	// Metrics answers GET /metrics; nil for 404.
	Metrics http.Handler
	// Records lends the records that the Resolver answers from, so that plain requests
	// for a link are answered from stored octets. nil leaves all to the Resolver.
	Records Records
	// Handles answers for the Handle REST interface below /api/; nil when the node does
	// not speak Handle.
	Handles Handles
	// Describe returns the JSON form of a value's data and its name, as the Handle REST
	// interface has them; nil to tell text and octets apart and no more.
	Describe func(*identifier.Value) (format string, form any)
	// Tunnel answers POST requests with a content type of Handle messages, whatever their
	// path; nil when the node does not speak Handle.
	Tunnel http.Handler
	// Healthy says why the node cannot answer; nil when it always can. Its error is
	// shown to whoever asks /healthz.
	Healthy func(context.Context) error
	// TLS answers encrypted connections on the same listeners: the first octet of a
	// connection tells the kinds apart. Nil for plain ones only.
	TLS *tls.Config
	// Timeout is how long one question may take; 0 for 10 seconds.
	Timeout time.Duration
	// Connections and PerAddress limit the open connections of all listeners in all
	// and from one IP address; 0 for 4,096 and 1,024. Those beyond are closed at once.
	Connections, PerAddress int
	// Logger gets what goes wrong in the server itself; nil for nowhere. Who asks
	// wrongly is told, not logged.
	Logger *slog.Logger
}

// About describes a node to people.
type About struct {
	Name    string // of the node
	Version string // of the program
	Apex    string // the prefix that it answers for; empty for the root
	Zone    string // the DNS zone of identifiers; empty for id.internal
	DNS     string // where it answers over DNS, host:port; empty for nowhere
	GRPC    string // where it answers over gRPC, host:port; empty for nowhere
}

const (
	maxURL          = 16 << 10
	maxHeader       = 24 << 10
	headerTimeout   = 5 * time.Second
	idleTimeout     = 2 * time.Minute
	writeTimeout    = 30 * time.Second
	shutdownTimeout = 5 * time.Second
	maxStreams      = 100 // of one HTTP/2 connection
)

// Server serves a Resolver over HTTP.
type Server struct {
	resolver resolver.Resolver
	options  Options
	lines    *fixedLines
	leads    sync.Pool // of *leading
}

// New returns a server of r.
func New(r resolver.Resolver, o Options) *Server {
	if o.Timeout <= 0 {
		o.Timeout = 10 * time.Second
	}
	if o.Connections <= 0 {
		o.Connections = 4096
	}
	if o.PerAddress <= 0 {
		o.PerAddress = 1024
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Server{resolver: r, options: o, lines: newFixedLines()}
}

// Serve answers on the listeners until ctx ends, then lets running requests finish
// for up to five seconds and returns nil. It closes the listeners. When one of them
// fails, it stops and returns the failure.
func (s *Server) Serve(ctx context.Context, listeners ...net.Listener) error {
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	server := &http.Server{
		Handler:           s.Handler(),
		Protocols:         &protocols,
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: maxStreams},
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       2 * headerTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		TLSConfig:         s.options.TLS,
		ErrorLog:          log.New(complaints{s.options.Logger}, "", 0),
	}
	failures := make(chan error, 2*len(listeners))
	var wg sync.WaitGroup
	places := tcp.NewPlaces(s.options.Connections, s.options.PerAddress, false)
	for _, l := range listeners {
		l = places.Limit(l)
		servePlain := func(l net.Listener) {
			if s.options.Records != nil {
				p := newPlainListener(s, l)
				wg.Go(p.run)
				l = p
			}
			wg.Go(func() { failures <- server.Serve(l) })
		}
		if s.options.TLS == nil {
			servePlain(l)
			continue
		}
		e := newEither(l)
		wg.Go(e.run)
		servePlain(e.plain)
		wg.Go(func() { failures <- server.ServeTLS(e.secure, "", "") })
	}
	var failure error
	select {
	case <-ctx.Done():
	case failure = <-failures:
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	if err := server.Shutdown(grace); err != nil {
		// They had their time.
		_ = server.Close()
	}
	wg.Wait()
	if errors.Is(failure, http.ErrServerClosed) {
		return nil
	}
	return failure
}

// complaints logs what the HTTP server complains of.
type complaints struct{ log *slog.Logger }

// Write implements [io.Writer]. That somebody cannot speak TLS is no news for an
// operator: strangers could fill the log with it.
func (c complaints) Write(line []byte) (int, error) {
	level := slog.LevelWarn
	if bytes.Contains(line, []byte("TLS handshake error")) {
		level = slog.LevelDebug
	}
	c.log.Log(context.Background(), level, string(bytes.TrimSpace(line)))
	return len(line), nil
}

// Handler returns what Serve serves, for a server of the caller's own, whose
// limits are then the caller's too.
func (s *Server) Handler() http.Handler { return http.HandlerFunc(s.serve) }

//go:embed schema/resolve.schema.json
var schema string

// serve answers one request.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	s.setCommon(h)
	if len(r.RequestURI) > maxURL {
		newProblem(http.StatusRequestURITooLong, "too-long", "Too long", "a URL has at most 16,384 octets here: shorten it").write(w, r, false)
		return
	}
	if s.options.Tunnel != nil && r.Method == http.MethodPost && isTunnelled(r) {
		s.options.Tunnel.ServeHTTP(w, r)
		return
	}
	path := rawPath(r)
	t, err := routePath(path)
	if r.ContentLength != 0 && (t.route != routeAPI || r.Method != http.MethodPost) {
		// A body means nothing here; the connection would have to read it away.
		h.Set("Connection", "close")
	}
	switch {
	case r.Method == http.MethodOptions:
		options(w, t.route)
		return
	case t.route == routeAPI:
		s.api(w, r, t, err)
		return
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		p := newProblem(http.StatusMethodNotAllowed, "method", "Not a question", "there is nothing here but to ask: use GET, HEAD or OPTIONS")
		p.allow = methods
		p.write(w, r, false)
		return
	}
	if err != nil {
		if t.route == routeFollow {
			h.Add("Vary", variesBy)
		}
		malformed(err).write(w, r, t.route != routeResolve)
		return
	}
	switch t.route {
	case routeResolve:
		s.resolve(w, r, t.text)
	case routeFollow:
		if !s.followPlain(w, r, t.id, path) {
			s.follow(w, r, t)
		}
	case routeForm:
		s.form(w, r)
	default:
		s.fixed(w, r, t.route)
	}
}

// fixed answers for the paths that are no identifiers.
func (s *Server) fixed(w http.ResponseWriter, r *http.Request, to route) {
	switch {
	case to == routePage:
		s.page(w, r)
	case to == routeHealth:
		s.health(w, r)
	case to == routeSchema:
		w.Header().Set("Cache-Control", "public, max-age=86400")
		send(w, r, http.StatusOK, "application/schema+json", []byte(schema))
	case to == routeMetrics && s.options.Metrics != nil:
		w.Header().Set("Cache-Control", "no-store")
		s.options.Metrics.ServeHTTP(w, r)
	default:
		newProblem(http.StatusNotFound, "nothing-here", "Nothing here", "this path is no identifier: ask /resolve/ and the identifier").write(w, r, true)
	}
}

// health says whether the node can answer.
func (s *Server) health(w http.ResponseWriter, r *http.Request) {
	if s.options.Healthy != nil {
		if err := s.options.Healthy(r.Context()); err != nil {
			p := failed(&resolver.Error{Kind: resolver.Unavailable, Detail: err.Error()})
			p.write(w, r, false)
			return
		}
	}
	w.Header().Set("Cache-Control", "no-store")
	send(w, r, http.StatusOK, "text/plain; charset=utf-8", []byte("ok\n"))
}

// resolve answers with JSON, or with a page for people.
func (s *Server) resolve(w http.ResponseWriter, r *http.Request, text string) {
	as, _ := rawParameter(r.URL.RawQuery, paramAs)
	page := as == asPage
	q, err := readQuery(text, r.URL.RawQuery)
	if err != nil {
		malformed(err).write(w, r, page)
		return
	}
	a, err := s.ask(r.Context(), q)
	if err != nil {
		failed(err).write(w, r, page)
		return
	}
	h := w.Header()
	setLifetime(h, &a)
	h.Set("Link", "<"+pathSchema+`>; rel="describedby"; type="application/schema+json"`)
	switch kind := resolver.CaseOf(a, nil); {
	case kind == resolver.CaseReferral:
		s.refer(w, r, &a, false)
		return
	case kind.Codes().HTTP != http.StatusOK:
		s.none(w, r, &a, "value of what was asked", page)
		return
	case page:
		s.showValues(w, r, &a, http.StatusOK, "")
		return
	}
	body, err := encode(newDocument(&a))
	if err != nil {
		failed(err).write(w, r, false)
		return
	}
	if s.notModified(w, r, &a) {
		return
	}
	send(w, r, http.StatusOK, "application/json", body)
}

// notModified sets the entity tag and answers 304 when the asker has that already.
func (s *Server) notModified(w http.ResponseWriter, r *http.Request, a *resolver.Answer) bool {
	tag := entityTag(a.Record)
	w.Header().Set("ETag", tag)
	if !noneMatch(r, tag) {
		return false
	}
	w.WriteHeader(http.StatusNotModified)
	return true
}

// form leads from the page's form to the answer.
func (s *Server) form(w http.ResponseWriter, r *http.Request) {
	text, err := rawParameter(r.URL.RawQuery, "identifier")
	if err != nil || text == "" {
		if err == nil {
			err = errors.New("nothing is asked: write /resolve/ and the identifier")
		}
		malformed(err).write(w, r, true)
		return
	}
	location := pathResolve + escapeAll(text)
	w.Header().Set("Vary", "Accept")
	if prefers(r, "text/html", "application/json") {
		location += "?" + paramAs + "=" + asPage
	}
	w.Header().Set("Location", location)
	w.Header().Set("Cache-Control", "no-store")
	send(w, r, http.StatusSeeOther, "text/plain; charset=utf-8", nil)
}

// isTunnelled reports whether a request carries a Handle message.
func isTunnelled(r *http.Request) bool {
	media, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	return strings.EqualFold(strings.TrimSpace(media), "application/x-hdl-message")
}

// rawPath returns the path as it was sent.
func rawPath(r *http.Request) string {
	if r.URL.RawPath != "" {
		// EscapedPath would write some of these anew and lose an escaped slash.
		return r.URL.RawPath
	}
	return r.URL.EscapedPath()
}
