package http_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/resolver"
	resolverhttp "github.com/nameplate-id/nameplate/resolver/http"
)

// exchange sends octets and returns the first response, or an error when the
// server ends the connection without one.
func exchange(t *testing.T, address, octets string) (*http.Response, string, error) {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(8 * time.Second))
	// The server may end the connection before it has read everything.
	_, _ = io.WriteString(c, octets)
	response, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return nil, "", err
	}
	body, _ := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	_ = response.Body.Close()
	return response, string(body), nil
}

// What is no HTTP, or hardly, gets an error or the end of the connection, and the
// server goes on.
func TestGarbage(t *testing.T) {
	backend := know(map[string][]identifier.Value{gtin: multilingual()})
	address := serve(t, backend, resolverhttp.Options{})
	request := func(target string, more ...string) string {
		return "GET " + target + " HTTP/1.1\r\nHost: node.example\r\n" + strings.Join(more, "") + "Connection: close\r\n\r\n"
	}
	for name, c := range map[string]struct {
		octets string
		status int // 0 when the connection may end without an answer
	}{
		"good":                         {request("/01/09506000134352"), 307},
		"absolute form":                {request("http://other.example/01/09506000134352"), 307},
		"bad escape":                   {request("/01/%zz"), 400},
		"bad escape at the end":        {request("/resolve/88.118.8/x%2"), 400},
		"NUL":                          {request("/88.118.8/%00"), 400},
		"raw NUL":                      {request("/88.118.8/\x00"), 400},
		"escaped line end":             {request("/88.118.8/x%0d%0aSet-Cookie:%20a=b"), 400},
		"not UTF-8":                    {request("/88.118.8/%ff%fe"), 400},
		"raw octets":                   {request("/88.118.8/\xff\xfe"), 400},
		"raw UTF-8":                    {request("/88.118.8/größe"), 404},
		"raw quotes, escaped slash":    {request(`/01/09506000134352/21/"%2F"`), 404},
		"raw # in the query":           {request("/01/09506000134352?a#b\"<"), 307},
		"asterisk":                     {request("*"), 404},
		"no slash":                     {request("88.118.8/x"), 400},
		"empty":                        {"\r\n\r\n", 400},
		"not HTTP":                     {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 hello\r\n\r\n", 400},
		"DNS over TCP":                 {"\x00\x1d\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x02id\x08internal\x00\x00\x10\x00\x01\r\n\r\n", 400},
		"version 9":                    {"GET / HTTP/9.9\r\n\r\n", 505},
		"two hosts":                    {request("/", "Host: b\r\n"), 400},
		"bad host":                     {"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400},
		"no host":                      {"GET / HTTP/1.1\r\n\r\n", 400},
		"bad header name":              {request("/", "a b: c\r\n"), 400},
		"control in a header":          {request("/", "a: \x00\r\n"), 400},
		"two lengths":                  {request("/", "Content-Length: 1\r\nContent-Length: 2\r\n"), 400},
		"length and chunks":            {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 405},
		"unknown transfer encoding":    {request("/", "Transfer-Encoding: magic\r\n"), 501},
		"too long a URL":               {request("/88.118.8/" + strings.Repeat("x", 17<<10)), 414},
		"too long a spelling":          {request("/resolve/88.118.8/" + strings.Repeat("x", 5<<10)), 400},
		"huge header":                  {request("/", "X: "+strings.Repeat("x", 64<<10)+"\r\n"), 431},
		"many headers":                 {request("/", strings.Repeat("X: y\r\n", 20_000)), 431},
		"huge request line":            {"GET /" + strings.Repeat("x", 1<<20), 431},
		"announced body":               {request("/01/09506000134352", "Content-Length: 1000000000\r\n"), 307},
		"body asked leave for":         {request("/01/09506000134352", "Content-Length: 10\r\nExpect: 100-continue\r\n"), 307},
		"chunked body that never ends": {request("/01/09506000134352", "Transfer-Encoding: chunked\r\n") + "ffffffff\r\nxxx", 307},
		"CONNECT":                      {"CONNECT node.example:443 HTTP/1.1\r\nHost: node.example:443\r\n\r\n", 405},
		"broken HTTP/2 preface":        {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 0},
		"HTTP/2 preface cut":           {"PRI * HTTP/2.0\r\n\r\nS", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			response, body, err := exchange(t, address, c.octets)
			switch {
			case c.status == 0:
			case err != nil:
				t.Errorf("got no answer: %v; want %d", err, c.status)
			case response.StatusCode != c.status:
				t.Errorf("got %d, %.200s; want %d", response.StatusCode, body, c.status)
			case response.Header.Get("Set-Cookie") != "":
				t.Errorf("the request wrote a header: %v", response.Header)
			}
		})
	}
	t.Cleanup(func() {
		if response, _, err := exchange(t, address, request("/healthz")); err != nil || response.StatusCode != http.StatusOK {
			t.Errorf("afterwards: got %v, %v", response, err)
		}
	})
}

// A request that stops in the middle, at every octet, gets no redirect.
func TestTruncatedRequests(t *testing.T) {
	backend := know(map[string][]identifier.Value{gtin: multilingual()})
	address := serve(t, backend, resolverhttp.Options{})
	whole := "GET /01/09506000134352 HTTP/1.1\r\nHost: node.example\r\n\r\n"
	var wg sync.WaitGroup
	for n := range len(whole) {
		wg.Go(func() {
			c, err := net.Dial("tcp", address)
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			_, _ = io.WriteString(c, whole[:n])
			_ = c.(*net.TCPConn).CloseWrite()
			_ = c.SetDeadline(time.Now().Add(8 * time.Second))
			if response, err := http.ReadResponse(bufio.NewReader(c), nil); err == nil && response.StatusCode < 400 {
				t.Errorf("%d octets: got %d", n, response.StatusCode)
			}
		})
	}
	wg.Wait()
	if response, _, err := exchange(t, address, whole); err != nil || response.StatusCode != http.StatusTemporaryRedirect {
		t.Errorf("the whole: got %v, %v", response, err)
	}
}

// Who sends its request slower than is allowed is cut off.
func TestSlowRequest(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for a timeout")
	}
	t.Parallel()
	address := serve(t, know(nil), resolverhttp.Options{})
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	start := time.Now()
	_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\nX-Slow: ")
	_ = c.SetDeadline(start.Add(15 * time.Second))
	_, err = io.Copy(io.Discard, c)
	if took := time.Since(start); err != nil || took > 12*time.Second {
		t.Errorf("got %v after %v; want the end of the connection after 5 s", err, took)
	}
}

// Connections beyond the limits are closed at once, and their places are free
// again when they end.
func TestConnectionLimits(t *testing.T) {
	for name, o := range map[string]resolverhttp.Options{
		"in all":      {Connections: 3},
		"per address": {PerAddress: 3},
	} {
		t.Run(name, func(t *testing.T) {
			address := serve(t, know(nil), o)
			const ask = "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"
			var open []net.Conn
			for range 3 {
				c, err := net.Dial("tcp", address)
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				_, _ = io.WriteString(c, ask)
				if response, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil || response.StatusCode != 200 {
					t.Fatalf("within the limit: got %v, %v", response, err)
				}
				open = append(open, c)
			}
			if response, _, err := exchange(t, address, ask); err == nil {
				t.Errorf("beyond the limit: got %d; want the end of the connection", response.StatusCode)
			}
			_ = open[0].Close()
			deadline := time.Now().Add(5 * time.Second)
			for {
				if response, _, err := exchange(t, address, "GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"); err == nil && response.StatusCode == 200 {
					break
				}
				if time.Now().After(deadline) {
					t.Fatal("a place that was given back is not free")
				}
				time.Sleep(10 * time.Millisecond)
			}
		})
	}
}

// slow answers after a while, or when it is told to give up.
type slow struct {
	asked atomic.Int32
	after time.Duration
}

func (s *slow) Resolve(ctx context.Context, q resolver.Query) (resolver.Answer, error) {
	s.asked.Add(1)
	select {
	case <-ctx.Done():
		return resolver.Answer{}, ctx.Err()
	case <-time.After(s.after):
		a := found(q.ID.String(), value(1, "URL", "https://maker.example/"))
		a.Default = &a.Record.Values[0]
		return a, nil
	}
}

func TestTimeout(t *testing.T) {
	address := serve(t, &slow{after: time.Hour}, resolverhttp.Options{Timeout: 50 * time.Millisecond})
	response, body, err := exchange(t, address, "GET /88.118.8/x HTTP/1.1\r\nHost: a\r\n\r\n")
	if err != nil || response.StatusCode != http.StatusServiceUnavailable || response.Header.Get("Retry-After") == "" {
		t.Errorf("got %v, %s, %v; want 503", response, body, err)
	}
}

// When the server ends, running requests finish.
func TestShutdown(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	backend := &slow{after: 300 * time.Millisecond}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- resolverhttp.New(backend, resolverhttp.Options{}).Serve(ctx, l) }()
	answered := make(chan error, 1)
	go func() {
		response, body, err := exchange(t, l.Addr().String(), "GET /88.118.8/x HTTP/1.1\r\nHost: a\r\n\r\n")
		if err == nil && response.StatusCode != http.StatusFound {
			err = fmt.Errorf("status %d, %s", response.StatusCode, body)
		}
		answered <- err
	}()
	for backend.asked.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	cancel()
	if err := <-answered; err != nil {
		t.Errorf("the running request: %v", err)
	}
	if err := <-done; err != nil {
		t.Errorf("Serve: %v", err)
	}
	if _, err := net.Dial("tcp", l.Addr().String()); err == nil {
		t.Error("the port is still open")
	}
}

func TestServeFailsWithItsListener(t *testing.T) {
	good, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	bad, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = bad.Close()
	if err := resolverhttp.New(know(nil), resolverhttp.Options{}).Serve(t.Context(), good, bad); err == nil {
		t.Error("got no error from a listener that is closed")
	}
	if _, err := net.Dial("tcp", good.Addr().String()); err == nil {
		t.Error("the other listener is still open")
	}
}
