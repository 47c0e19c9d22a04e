package http_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/resolver"
	resolverhttp "github.com/nameplate-id/nameplate/resolver/http"
)

// canned is a server that always sends the same.
type canned struct {
	status      int
	media, body string
}

func (c canned) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: c.status, Header: http.Header{"Content-Type": {c.media}}, Body: io.NopCloser(strings.NewReader(c.body)), Request: r}, nil
}

func TestClientAddress(t *testing.T) {
	for address, ok := range map[string]bool{
		"192.0.2.1:8080": true, "node.example": true, "[2001:db8::1]:80": true, "http://node.example:8080": true,
		"http://node.example/": true, "https://node.example": true,
		"": false, "ftp://node.example": false, "http://": false, "http://node.example/path": false,
		"http://a:b@node.example": false, "http://node.example?x": false, "http://node.example#x": false, "a b": false, "grpc://node.example": false,
	} {
		if _, err := resolverhttp.NewClient(address, resolverhttp.ClientOptions{}); (err == nil) != ok {
			t.Errorf("%q: got %v; want ok %t", address, err, ok)
		}
	}
}

// body returns what a node sends for a record, changed.
func body(t *testing.T, change func(map[string]any)) string {
	t.Helper()
	h := resolverhttp.New(know(map[string][]identifier.Value{"88/x": {value(1, "URL", "https://maker.example/")}}), resolverhttp.Options{}).Handler()
	text, _ := get(t, h, "/resolve/88/x", nil)
	var d map[string]any
	if err := json.Unmarshal([]byte(text), &d); err != nil {
		t.Fatal(err)
	}
	change(d)
	b, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// A server that answers nonsense, or for something else, gave no answer.
func TestClientDistrusts(t *testing.T) {
	record := func(change func(map[string]any)) func(map[string]any) {
		return func(d map[string]any) { change(d["record"].(map[string]any)) }
	}
	first := func(change func(map[string]any)) func(map[string]any) {
		return record(func(r map[string]any) { change(r["values"].([]any)[0].(map[string]any)) })
	}
	set := func(name string, v any) func(map[string]any) { return func(d map[string]any) { d[name] = v } }
	const problem = "application/problem+json"
	for name, c := range map[string]canned{
		"no JSON":                 {200, "text/html", "<p>hello"},
		"a proxy's error":         {502, "text/html", "<h1>Bad gateway"},
		"no type":                 {200, "", "{}"},
		"nothing":                 {200, "application/json", ""},
		"cut":                     {200, "application/json", body(t, set("outcome", "found"))[:200]},
		"somebody's JSON":         {200, "application/json", `{"hello":"world"}`},
		"somebody's problem":      {404, problem, `{"title":"Not found"}`},
		"another status":          {404, problem, body(t, set("outcome", "found"))},
		"too much":                {200, "application/json", strings.Repeat(" ", 5<<20)},
		"unknown outcome":         {200, "application/json", body(t, set("outcome", "maybe"))},
		"for something else":      {200, "application/json", body(t, set("identifier", "88/y"))},
		"not canonical":           {200, "application/json", body(t, set("identifier", "88/X"))},
		"no record":               {200, "application/json", body(t, set("record", nil))},
		"lives for ever":          {200, "application/json", body(t, set("lifetime", 1e12))},
		"lived never":             {200, "application/json", body(t, set("lifetime", -1))},
		"bad apex":                {200, "application/json", body(t, set("apex", "A..b"))},
		"bad origin":              {200, "application/json", body(t, set("origin", map[string]any{"log": "00"}))},
		"referral without a node": {303, "application/json", body(t, func(d map[string]any) { d["outcome"] = "referral"; delete(d, "record") })},
		"no values":               {200, "application/json", body(t, record(set("values", []any{})))},
		"bad row hash":            {200, "application/json", body(t, record(set("rowHash", "zz")))},
		"index 0":                 {200, "application/json", body(t, first(set("index", 0)))},
		"index beyond":            {200, "application/json", body(t, first(set("index", 1<<32)))},
		"no type of value":        {200, "application/json", body(t, first(set("type", "")))},
		"no TTL":                  {200, "application/json", body(t, first(func(v map[string]any) { delete(v, "ttl") }))},
		"two TTLs":                {200, "application/json", body(t, first(set("until", "2026-01-01T00:00:00Z")))},
		"data twice":              {200, "application/json", body(t, first(set("base64", "AAAA")))},
		"data beyond":             {200, "application/json", body(t, first(set("data", strings.Repeat("x", 70<<10))))},
		"bad permissions":         {200, "application/json", body(t, first(set("permissions", "11110")))},
		"bad default":             {200, "application/json", body(t, set("default", map[string]any{"index": 0}))},
	} {
		client, err := resolverhttp.NewClient("node.example", resolverhttp.ClientOptions{Transport: c})
		if err != nil {
			t.Fatal(err)
		}
		a, err := client.Resolve(t.Context(), resolver.Query{ID: identifier.ID{Prefix: "88", Suffix: "x"}})
		if e, ok := errors.AsType[*resolver.Error](err); !ok || e.Kind != resolver.Unavailable {
			t.Errorf("%s: got %+v, %v; want unavailable", name, a, err)
		}
	}
}

// Who asked by hash is told the identifier; one with another hash is not believed.
func TestClientChecksTheHash(t *testing.T) {
	hash := identifier.SuffixHash("x")
	other := identifier.SuffixHash("y")
	answer := canned{200, "application/json", body(t, func(map[string]any) {})}
	client, err := resolverhttp.NewClient("node.example", resolverhttp.ClientOptions{Transport: answer})
	if err != nil {
		t.Fatal(err)
	}
	if a, err := client.Resolve(t.Context(), resolver.Query{ID: identifier.ID{Prefix: "88"}, SuffixHash: &hash}); err != nil || a.ID.Suffix != "x" {
		t.Errorf("got %v, %v; want 88/x", a.ID, err)
	}
	if a, err := client.Resolve(t.Context(), resolver.Query{ID: identifier.ID{Prefix: "88"}, SuffixHash: &other}); err == nil {
		t.Errorf("another hash: got %v; want no answer", a.ID)
	}
	if _, err := client.Resolve(t.Context(), resolver.Query{ID: identifier.ID{Prefix: "88", Suffix: "x"}, SuffixHash: &hash}); err == nil {
		t.Error("suffix and hash: want no answer")
	}
}

func TestClientWithoutAServer(t *testing.T) {
	client, err := resolverhttp.NewClient("127.0.0.1:1", resolverhttp.ClientOptions{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = client.Resolve(t.Context(), resolver.Query{ID: identifier.ID{Prefix: "88", Suffix: "x"}})
	if e, ok := errors.AsType[*resolver.Error](err); !ok || e.Kind != resolver.Unavailable || e.Detail != "the node at http://127.0.0.1:1 cannot be asked" {
		t.Errorf("got %v; want unavailable", err)
	}
	if err := client.Close(); err != nil {
		t.Error(err)
	}
}
