package http_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	resolverhttp "github.com/nameplate-id/nameplate/resolver/http"
)

// answering says one thing to all questions about handles, and remembers the last.
type answering struct {
	says resolverhttp.HandleAnswer
	last resolverhttp.HandleQuery
}

func (a *answering) Ask(_ context.Context, q resolverhttp.HandleQuery) resolverhttp.HandleAnswer {
	a.last = q
	return a.says
}

func (a *answering) Site() any { return nil }

// The statuses of the response codes; who has to authenticate is told so over TLS only.
func TestAPIStatus(t *testing.T) {
	for code, status := range map[uint32]int{
		1: 200, 2: 500, 3: 503, 4: 400, 5: 501, 6: 500, 7: 503, 100: 404, 101: 409, 102: 400, 200: 200, 201: 409, 202: 400,
		300: 500, 301: 400, 302: 300, 303: 300, 400: 403, 401: 403, 402: 403, 403: 403, 404: 403, 405: 500, 406: 500, 500: 500, 501: 500,
	} {
		a := &answering{says: resolverhttp.HandleAnswer{Code: code, Message: "why"}}
		h := resolverhttp.New(nil, resolverhttp.Options{Handles: a}).Handler()
		w := do(t, h, "GET", "/api/handles/88/x", nil)
		var body map[string]any
		if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
			t.Fatal(err)
		}
		if w.Code != status || body["responseCode"] != float64(code) || body["message"] != "why" || body["handle"] != "88/x" {
			t.Errorf("code %d: got %d, %s; want %d", code, w.Code, w.Body, status)
		}
		if _, ok := body["values"]; ok != (code == 1 || code == 200) {
			t.Errorf("code %d: got %s", code, w.Body)
		}
	}
	h := resolverhttp.New(nil, resolverhttp.Options{Handles: &answering{says: resolverhttp.HandleAnswer{Code: 402}}}).Handler()
	r := httptest.NewRequest("GET", "/api/handles/88/x", nil)
	r.TLS = &tls.ConnectionState{}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code != 401 || w.Header().Get("WWW-Authenticate") == "" {
		t.Errorf("got %d, %v; want 401 with a challenge", w.Code, w.Header())
	}
}

// What is asked arrives.
func TestAPIQuery(t *testing.T) {
	a := &answering{says: resolverhttp.HandleAnswer{Code: 1}}
	h := resolverhttp.New(nil, resolverhttp.Options{Handles: a}).Handler()
	for target, want := range map[string]resolverhttp.HandleQuery{
		"/api/handles/88/x":                                     {Handle: "88/x", PublicOnly: true},
		"/api/handles/88/X?publicOnly=false&auth":               {Handle: "88/X", Authoritative: true},
		"/api/handles/88%2F%25?cert=1&doNotRefer=True":          {Handle: "88/%", PublicOnly: true, Certified: true, DoNotRefer: true},
		"/api/handles/01/09506000134352?type=a&type=b&index=07": {Handle: "01/09506000134352", PublicOnly: true, Types: []string{"a", "b"}, Indexes: []uint32{7}},
		"/api/handles/gr%C3%B6%C3%9Fe/%20?auth=false":           {Handle: "größe/ ", PublicOnly: true},
	} {
		if w := do(t, h, "GET", target, nil); w.Code != 200 || !reflect.DeepEqual(a.last, want) {
			t.Errorf("%s: got %d, %+v; want %+v", target, w.Code, a.last, want)
		}
	}
	for target, status := range map[string]int{
		"/api/handles/88/x?index=-1": 400, "/api/handles/88/x?type=": 400, "/api/handles/88/x?index=4294967296": 400,
		"/api/handles/88/x?a=%zz": 400, "/api/handles/88/x?callback=a..b": 400, "/api/handles/88/x?callback=.": 400, "/api/handles/88/x?callback=1a": 400,
		"/api/handles/88/x?callback=" + strings.Repeat("a", 129): 400, "/api/handles/88/x?callback=a.b.c": 200,
		"/api/handles/88/x?" + strings.Repeat("index=1&", 2049): 414, "/api/handles/88/x?" + strings.Repeat("type=a&", 2049): 400,
	} {
		if w := do(t, h, "GET", target, nil); w.Code != status {
			t.Errorf("%.60s: got %d; want %d", target, w.Code, status)
		}
	}
}

// A node that does not speak Handle says so.
func TestAPIWithoutHandle(t *testing.T) {
	h := resolverhttp.New(nil, resolverhttp.Options{}).Handler()
	if w := do(t, h, http.MethodGet, "/api/site", nil); w.Code != 501 {
		t.Errorf("got %d; want 501", w.Code)
	}
}

// Whatever is posted, there is an answer in JSON.
func FuzzAPIPost(f *testing.F) {
	f.Add("application/json", []byte(`{"type":["a"],"index":[1,"2"],"pretty":true}`))
	f.Add("application/json", []byte(`{"callback":"f","publicOnly":"no"}`))
	f.Add("application/x-www-form-urlencoded", []byte(`type=a&index=1;%zz`))
	f.Fuzz(func(t *testing.T, media string, body []byte) {
		h := resolverhttp.New(nil, resolverhttp.Options{Handles: &answering{says: resolverhttp.HandleAnswer{Code: 1}}}).Handler()
		r := httptest.NewRequest("POST", "/api/handles/88/x", strings.NewReader(string(body)))
		r.Header.Set("Content-Type", media)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != 200 && w.Code != 400 {
			t.Errorf("got %d", w.Code)
		}
		text := w.Body.String()
		if w.Header().Get("Content-Type") == "application/javascript; charset=utf-8" {
			text = text[strings.IndexByte(text, '(')+1 : len(text)-len(");\n")]
		}
		if !json.Valid([]byte(text)) {
			t.Errorf("got %q", w.Body)
		}
	})
}
