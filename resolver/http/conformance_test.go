package http_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/nameplate-id/nameplate/resolver"
	resolverhttp "github.com/nameplate-id/nameplate/resolver/http"
	"github.com/nameplate-id/nameplate/resolver/resolvertest"
)

func TestConformance(t *testing.T) {
	for name, transport := range map[string]func() *http.Transport{
		"HTTP/1.1": func() *http.Transport { return &http.Transport{} },
		"HTTP/2": func() *http.Transport {
			var p http.Protocols
			p.SetUnencryptedHTTP2(true)
			return &http.Transport{Protocols: &p}
		},
	} {
		t.Run(name, func(t *testing.T) {
			resolvertest.Run(t, resolver.HTTP, func(t *testing.T, backend resolver.Resolver) resolver.Resolver {
				address := serve(t, backend, resolverhttp.Options{})
				inner := transport()
				client, err := resolverhttp.NewClient(address, resolverhttp.ClientOptions{
					Transport: &validating{RoundTripper: inner, t: t, schema: compileSchema(t), protocol: name},
				})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(inner.CloseIdleConnections)
				return client
			})
		})
	}
}

// serve serves a resolver on a port of loopback until the test ends.
func serve(t testing.TB, backend resolver.Resolver, o resolverhttp.Options) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := resolverhttp.New(backend, o).Serve(ctx, l); err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	t.Cleanup(func() {
		cancel()
		wg.Wait()
	})
	return l.Addr().String()
}

// validating holds every answer against the published schema.
type validating struct {
	http.RoundTripper
	t        *testing.T
	schema   *jsonschema.Schema
	protocol string
}

func (v *validating) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := v.RoundTripper.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	_ = response.Body.Close()
	response.Body = io.NopCloser(bytes.NewReader(body))
	if !strings.HasPrefix(response.Proto, v.protocol) {
		v.t.Errorf("got an answer over %s; want %s", response.Proto, v.protocol)
	}
	if err := validate(v.schema, body); err != nil {
		v.t.Errorf("%s: status %d: %v\n%.2000s", r.URL, response.StatusCode, err, body)
	}
	return response, nil
}

func validate(schema *jsonschema.Schema, body []byte) error {
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err != nil {
		return err
	}
	return schema.Validate(v)
}

// compileSchema compiles the schema as a node serves it.
func compileSchema(t testing.TB) *jsonschema.Schema {
	t.Helper()
	body, header := get(t, resolverhttp.New(nil, resolverhttp.Options{}).Handler(), "/schema/resolve.json", nil)
	if got, want := header.Get("Content-Type"), "application/schema+json"; got != want {
		t.Fatalf("the schema is %q; want %q", got, want)
	}
	v, err := jsonschema.UnmarshalJSON(strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("resolve.schema.json", v); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("resolve.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}
