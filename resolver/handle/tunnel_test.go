package handle_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/resolver"
	"github.com/nameplate-id/nameplate/resolver/handle"
	"github.com/nameplate-id/nameplate/resolver/resolvertest"
)

// Nothing is lost over HTTP either.
func TestTunnelConformance(t *testing.T) {
	resolvertest.Run(t, resolver.Handle, func(t *testing.T, backend resolver.Resolver) resolver.Resolver {
		server := httptest.NewServer(handle.New(backend, handle.Options{}).Tunnel())
		t.Cleanup(server.Close)
		c, err := handle.NewTunnelClient(server.URL, handle.TunnelOptions{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	})
}

// nothing knows nothing.
type nothing struct{}

func (nothing) Resolve(_ context.Context, q resolver.Query) (resolver.Answer, error) {
	return resolver.Answer{Outcome: resolver.Absent, ID: q.ID, InZone: true, Lifetime: resolver.NegativeTTL}, nil
}

func tunnelled(opcode handle.Opcode, code handle.Code, body handle.Body) []byte {
	m := &handle.Message{
		Envelope: handle.Envelope{Version: handle.Version{Major: 2, Minor: 11}, Suggested: handle.Version{Major: 2, Minor: 11}, Request: 5},
		Opcode:   opcode, Code: code, Serial: handle.NoSerial, Body: body.Append(nil),
	}
	return m.AppendStream(nil)
}

func post(h http.Handler, body io.Reader, length int64) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, "/88%2Fx", body)
	r.ContentLength = length
	r.Header.Set("Content-Type", handle.TunnelType)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// An answer is a message with a length; what is no request is an HTTP error.
func TestTunnel(t *testing.T) {
	h := handle.New(nothing{}, handle.Options{}).Tunnel()
	question := tunnelled(handle.OpResolution, 0, handle.Resolution{Handle: "88/x"})
	long := tunnelled(handle.OpResolution, 0, handle.Resolution{Handle: "88/x", Types: slicesOf("a", 1000)})
	for name, c := range map[string]struct {
		body   []byte
		length int64
		status int
		code   handle.Code
	}{
		"question":                     {question, int64(len(question)), 200, handle.NotFound},
		"question of unknown length":   {question, -1, 200, handle.NotFound},
		"large question":               {long, int64(len(long)), 200, handle.NotFound},
		"unknown operation":            {tunnelled(77, 0, handle.Opaque("x")), -1, 200, handle.NotSupported},
		"body that is cut":             {question[:len(question)-1], -1, 200, handle.ProtocolError},
		"answer":                       {tunnelled(handle.OpResolution, handle.NotFound, handle.Failure{}), -1, 400, 0},
		"nothing":                      {nil, 0, 400, 0},
		"half an envelope":             {question[:10], 10, 400, 0},
		"another version":              {append([]byte{9}, question[1:]...), -1, 400, 0},
		"too large by what it says":    {question, 300000, 413, 0},
		"too large without saying so":  {bytes.Repeat([]byte{2}, 300000), -1, 413, 0},
		"length of the envelope a lie": {append(question[:16:16], 0, 3, 0, 0), -1, 200, handle.ProtocolError},
	} {
		t.Run(name, func(t *testing.T) {
			w := post(h, bytes.NewReader(c.body), c.length)
			if w.Code != c.status || w.Header().Get("Content-Length") == "" {
				t.Fatalf("got %d, %v, %.200q; want %d with a length", w.Code, w.Header(), w.Body, c.status)
			}
			if c.code == 0 {
				return
			}
			e, err := handle.ParseEnvelope(w.Body.Bytes())
			if err != nil || w.Header().Get("Content-Type") != handle.TunnelType {
				t.Fatalf("got %v, %v", w.Header(), err)
			}
			m, err := handle.ParseMessage(e, w.Body.Bytes()[20:])
			if err != nil || m.Code != c.code || m.Request != 5 {
				t.Errorf("got %+v, %v; want code %d to request 5", m, err, c.code)
			}
		})
	}
}

func slicesOf(s string, n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = s
	}
	return list
}

// slow is a body that stops half way until it is released.
type slow struct {
	first io.Reader
	hold  chan struct{}
}

func (s *slow) Read(b []byte) (int, error) {
	n, err := s.first.Read(b)
	if n > 0 {
		return n, nil
	}
	<-s.hold
	return 0, err
}

// Who sends large messages slowly takes the places of the large ones, and no more:
// small questions are answered meanwhile.
func TestTunnelSlowBodies(t *testing.T) {
	h := handle.New(nothing{}, handle.Options{}).Tunnel()
	hold := make(chan struct{})
	done := make(chan int, 100)
	for range 100 {
		go func() { done <- post(h, &slow{strings.NewReader(strings.Repeat("x", 10000)), hold}, -1).Code }()
	}
	refused := 0
	for range 100 - 64 { // those beyond the places
		select {
		case code := <-done:
			if code == 503 {
				refused++
			}
		case <-time.After(30 * time.Second):
			t.Fatal("nobody was refused")
		}
	}
	if refused != 36 {
		t.Errorf("%d of 100 were refused; want 36", refused)
	}
	question := tunnelled(handle.OpResolution, 0, handle.Resolution{Handle: "88/x"})
	if w := post(h, bytes.NewReader(question), int64(len(question))); w.Code != 200 {
		t.Errorf("a small question got %d; want 200", w.Code)
	}
	close(hold)
	for range 64 {
		<-done
	}
}

// A client believes no other answer.
func TestTunnelClientBelieves(t *testing.T) {
	own := handle.New(nothing{}, handle.Options{}).Tunnel()
	for name, h := range map[string]http.HandlerFunc{
		"a page":     func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<html>") },
		"a redirect": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) },
		"octets": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", handle.TunnelType)
			w.Write([]byte("x"))
		},
		"too many octets": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", handle.TunnelType)
			w.Write(make([]byte, 300000))
		},
		"another request": func(w http.ResponseWriter, r *http.Request) {
			b, _ := io.ReadAll(r.Body)
			b[8]++
			r.Body = io.NopCloser(bytes.NewReader(b))
			own.ServeHTTP(w, r)
		},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(h)
			defer server.Close()
			c, err := handle.NewTunnelClient(server.URL, handle.TunnelOptions{})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			a, err := c.Resolve(t.Context(), resolver.Query{ID: identifier.ID{Prefix: "88", Suffix: "x"}})
			if err == nil {
				t.Errorf("got %+v; want no answer", a)
			}
		})
	}
	for _, server := range []string{"", "127.0.0.1:1", "ftp://a", "http://a/b", "http://u@a", "http://a?b"} {
		if _, err := handle.NewTunnelClient(server, handle.TunnelOptions{}); err == nil {
			t.Errorf("%q was taken for a server", server)
		}
	}
}

// Whatever is posted, there is an answer or an error.
func FuzzTunnel(f *testing.F) {
	f.Add(tunnelled(handle.OpResolution, 0, handle.Resolution{Handle: "88/x", Types: []string{"URL"}}))
	f.Add(tunnelled(handle.OpSiteInfo, 0, handle.Name{Handle: "/"}))
	h := handle.New(nothing{}, handle.Options{}).Tunnel()
	f.Fuzz(func(t *testing.T, body []byte) {
		w := post(h, bytes.NewReader(body), -1)
		if w.Code == 200 {
			e, err := handle.ParseEnvelope(w.Body.Bytes())
			if err != nil {
				t.Fatal(err)
			}
			if _, err := handle.ParseMessage(e, w.Body.Bytes()[20:]); err != nil {
				t.Fatal(err)
			}
		} else if w.Code != 400 && w.Code != 413 {
			t.Errorf("got %d", w.Code)
		}
	})
}
