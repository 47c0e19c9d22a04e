package http_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/resolver"
	resolverhttp "github.com/nameplate-id/nameplate/resolver/http"
)

// Every spelling asks for the same thing.
func TestResolveSpellings(t *testing.T) {
	backend := know(map[string][]identifier.Value{})
	h := resolverhttp.New(backend, resolverhttp.Options{}).Handler()
	for _, c := range []struct{ path, want string }{
		{"88.118.8/sn-42", "88.118.8/sn-42"},
		{"88.118.8%2FSN-42", "88.118.8/sn-42"},
		{"hdl:88.118.8/sn-42", "88.118.8/sn-42"},
		{"88.118.8/a%20b%3Fc%23d%2541", "88.118.8/a b?c#d%41"},
		{"(01)09506000134352(21)A%2FB", gtin + "/21/A%2FB"},
		{"https%3A%2F%2Fid.example%2F01%2F09506000134352%2F21%2FA%252FB", gtin + "/21/A%2FB"},
		{"https://id.example/01/09506000134352", gtin},
		{"9506000134352", gtin},
		{"urn:oid:1.2.156.3001.7", "oid.1.2.156.3001.7"},
		{"https://maker.example/p%3Fs=A", "web.example.maker//p?s=A"},
		{"did:web:maker.example", "did.web/maker.example"},
		{"1.2?form=canonical", "1.2"},
		{"1.2?form=any", "oid.1.2"},
		{"1.2", "oid.1.2"},
		{"?form=canonical", ""},
		{"88.118.8//x/../y", "88.118.8//x/../y"},
	} {
		w := do(t, h, http.MethodGet, "/resolve/"+c.path, nil)
		if got := backend.last.ID.String(); got != c.want || w.Code != http.StatusNotFound {
			t.Errorf("/resolve/%s: got %d and asked for %q; want 404 and %q", c.path, w.Code, got, c.want)
		}
	}
}

func TestResolveParameters(t *testing.T) {
	backend := know(nil)
	h := resolverhttp.New(backend, resolverhttp.Options{}).Handler()
	hash := identifier.Hash{0: 0xab, 31: 0x01}
	id := identifier.ID{Prefix: "88.118.8", Suffix: "x"}
	for _, c := range []struct {
		query string
		want  resolver.Query
	}{
		{"", resolver.Query{ID: id, Recursive: true}},
		{"type=URL&type=HS_SITE.&index=1&index=4294967295", resolver.Query{ID: id, Recursive: true, Types: []string{"URL", "HS_SITE."}, Indexes: []uint32{1, 4294967295}}},
		{"relation=https%3A%2F%2Fgs1.org%2Fvoc%2Fpip", resolver.Query{ID: id, Recursive: true, Relation: "https://gs1.org/voc/pip"}},
		{"recursive=false&authoritative=true", resolver.Query{ID: id, Authoritative: true}},
		{"recursive=0&authoritative=1", resolver.Query{ID: id, Authoritative: true}},
	} {
		do(t, h, http.MethodGet, "/resolve/88.118.8/x?"+c.query, nil)
		if !reflect.DeepEqual(backend.last, c.want) {
			t.Errorf("%s: asked %+v; want %+v", c.query, backend.last, c.want)
		}
	}
	do(t, h, http.MethodGet, "/resolve/88.118.8?hash=ab"+strings.Repeat("00", 30)+"01", nil)
	if want := (resolver.Query{ID: identifier.ID{Prefix: "88.118.8"}, SuffixHash: &hash, Recursive: true}); !reflect.DeepEqual(backend.last, want) {
		t.Errorf("hash: asked %+v; want %+v", backend.last, want)
	}
	backend.last = resolver.Query{}
	for _, target := range []string{
		"/resolve/88.118.8/x?index=0x1", "/resolve/88.118.8/x?index=4294967296", "/resolve/88.118.8/x?index=-1", "/resolve/88.118.8/x?index=",
		"/resolve/88.118.8/x?type=", "/resolve/88.118.8/x?type=" + strings.Repeat("T", 300),
		"/resolve/88.118.8/x?" + strings.Repeat("index=1&", 257),
		"/resolve/88.118.8/x?relation=a&relation=b", "/resolve/88.118.8/x?relation=" + strings.Repeat("r", 3000),
		"/resolve/88.118.8/x?recursive=yes", "/resolve/88.118.8/x?authoritative",
		"/resolve/88.118.8/x?form=best", "/resolve/88.118.8/X?form=canonical",
		"/resolve/88.118.8?hash=ab", "/resolve/88.118.8?hash=" + strings.Repeat("zz", 32),
		"/resolve/88.118.8/x?hash=" + strings.Repeat("ab", 32),
		"/resolve/88.118.8/x?a=b", "/resolve/88.118.8/x?linkType=gs1:pip", "/resolve/88.118.8/x?type=a;index=1", "/resolve/88.118.8/x?%zz",
		"/resolve/", "/resolve/88.118.8/", "/resolve/88.118.8/%00", "/resolve/%ff", "/resolve/88.118.8/x%0d%0aSet-Cookie:%20a=b",
		"/resolve/(01)09506000134353", "/resolve/" + strings.Repeat("x", 5000),
		"/resolve?identifier=", "/resolve", "/resolve?identifier=%zz",
	} {
		w := do(t, h, http.MethodGet, target, nil)
		if w.Code != http.StatusBadRequest || w.Header().Get("Content-Type") != "application/problem+json" {
			t.Errorf("%.80s: got %d, %s; want 400", target, w.Code, w.Header().Get("Content-Type"))
		}
	}
	if !reflect.DeepEqual(backend.last, resolver.Query{}) {
		t.Errorf("what is malformed was asked all the same: %+v", backend.last)
	}
}

// A malformed identifier is told its rule, the place and the mend.
func TestMalformedNamesTheRule(t *testing.T) {
	h := resolverhttp.New(know(nil), resolverhttp.Options{}).Handler()
	for target, want := range map[string]struct {
		rule   string
		offset int
	}{
		"/resolve/88..8/x":    {"a segment of a prefix is not empty", 3},
		"/88..8/x":            {"a segment of a prefix is not empty", 3},
		"/resolve/88.118.8/":  {"a suffix is not empty where there is a slash", 8},
		"/01/09506000134353":  {"check digit", 17},
		"/resolve/88.1_8.8/x": {"a prefix has letters a to z, digits, hyphens and dots only", 4},
	} {
		var p struct {
			Type, Title, Detail, Rule, Mend string
			Status, Offset                  int
		}
		body, _ := get(t, h, target, nil)
		if err := json.Unmarshal([]byte(body), &p); err != nil {
			t.Fatal(err)
		}
		if p.Type != "tag:nameplate.id,2026:malformed" || p.Status != 400 || !strings.Contains(p.Rule, want.rule) || p.Offset != want.offset || p.Mend == "" || p.Title == "" || p.Detail == "" {
			t.Errorf("%s: got %+v; want %q at %d", target, p, want.rule, want.offset)
		}
	}
}

// Every row of the table of outcomes, for /resolve and for links, with what HTTP
// adds to it.
func TestOutcomes(t *testing.T) {
	schema := compileSchema(t)
	record := found("88.118.8/x", value(1, "URL", "https://maker.example/"))
	mirror := record
	mirror.Origin.Mirror, mirror.Origin.Age = true, 4*time.Second
	bare := func(o resolver.Outcome, change func(*resolver.Answer)) resolver.Answer {
		a := record
		a.Outcome, a.Record, a.Lifetime = o, nil, resolver.NegativeTTL
		if change != nil {
			change(&a)
		}
		return a
	}
	key := identifier.PublicKey{Type: identifier.Ed25519, Raw: strings.Repeat("k", 32)}
	answered := map[resolver.Case]resolver.Answer{
		resolver.CaseFound:         record,
		resolver.CaseFoundInMirror: mirror,
		resolver.CaseNoValues:      found("88.118.8/x"),
		resolver.CaseReferral: bare(resolver.Referral, func(a *resolver.Answer) {
			a.Delegation = &identifier.Delegation{Prefix: "88", Epoch: 1,
				Keyset: identifier.Keyset{Version: 1, Threshold: 1, Keys: []identifier.PublicKey{key}},
				Node:   &identifier.Node{Name: "n", Key: key, Addresses: []identifier.Address{{IP: "192.0.2.1", HTTP: 1}}}}
		}),
		resolver.CaseAbsent:         bare(resolver.Absent, nil),
		resolver.CaseAbsentAbove:    bare(resolver.Absent, func(a *resolver.Answer) { a.Below = true }),
		resolver.CaseRefused:        bare(resolver.Refused, nil),
		resolver.CaseRefusedOutside: bare(resolver.Refused, func(a *resolver.Answer) { a.InZone = false }),
	}
	failed := map[resolver.Case]error{
		resolver.CaseMalformed:       &resolver.Error{Kind: resolver.Malformed, Detail: "d"},
		resolver.CaseUnauthenticated: &resolver.Error{Kind: resolver.Unauthenticated, Detail: "d"},
		resolver.CaseOverloaded:      &resolver.Error{Kind: resolver.Overloaded, Detail: "d"},
		resolver.CaseUnavailable:     errors.New("secret reason"),
	}
	cache := map[resolver.Case]string{
		resolver.CaseFound: "public, max-age=3600", resolver.CaseFoundInMirror: "public, max-age=3604",
		resolver.CaseNoValues: "public, max-age=30", resolver.CaseReferral: "public, max-age=30",
		resolver.CaseAbsent: "public, max-age=30", resolver.CaseAbsentAbove: "public, max-age=30",
		resolver.CaseRefused: "public, max-age=30", resolver.CaseRefusedOutside: "public, max-age=30",
	}
	headers := map[resolver.Case]map[string]string{
		resolver.CaseFoundInMirror:   {"Age": "4"},
		resolver.CaseReferral:        {"Location": "http://192.0.2.1:1"},
		resolver.CaseOverloaded:      {"Retry-After": "1"},
		resolver.CaseUnavailable:     {"Retry-After": "5"},
		resolver.CaseUnauthenticated: {"WWW-Authenticate": "Nameplate"},
	}
	for _, c := range resolver.Cases() {
		if c == resolver.CaseConflict {
			continue // of changes only
		}
		backend := &answers{known: map[string]resolver.Answer{}, err: failed[c]}
		if a, ok := answered[c]; ok {
			backend.known["88.118.8/x"] = a
		} else if backend.err == nil {
			t.Fatalf("%v: the test has no example", c)
		}
		h := resolverhttp.New(backend, resolverhttp.Options{}).Handler()
		for _, target := range []string{"/resolve/88.118.8/x", "/hdl:88.118.8/x"} {
			w := do(t, h, http.MethodGet, target, nil)
			want := c.Codes().HTTP
			if c.Codes().Redirect != 0 && target[1] == 'h' {
				want = http.StatusFound
			}
			if w.Code != want {
				t.Errorf("%s, %v: got %d; want %d", target, c, w.Code, want)
			}
			wantCache := cache[c]
			if wantCache == "" {
				wantCache = "no-store"
			}
			if got := w.Header().Get("Cache-Control"); got != wantCache {
				t.Errorf("%s, %v: got Cache-Control %q; want %q", target, c, got, wantCache)
			}
			for name, want := range headers[c] {
				if got := w.Header().Get(name); !strings.HasPrefix(got, want) {
					t.Errorf("%s, %v: got %s %q; want %q", target, c, name, got, want)
				}
			}
			if strings.Contains(w.Body.String(), "secret") {
				t.Errorf("%s, %v: tells what is private: %s", target, c, w.Body)
			}
			if w.Code != http.StatusFound {
				if err := validate(schema, w.Body.Bytes()); err != nil {
					t.Errorf("%s, %v: %v", target, c, err)
				}
			}
		}
	}
}

func TestEntityTag(t *testing.T) {
	backend := know(map[string][]identifier.Value{"88.118.8/x": {value(1, "DESC", "a pump")}})
	h := resolverhttp.New(backend, resolverhttp.Options{}).Handler()
	_, header := get(t, h, "/resolve/88.118.8/x", nil)
	tag := header.Get("ETag")
	if want := `W/"3-abcd000000000000"`; tag != want {
		t.Fatalf("got ETag %q; want %q", tag, want)
	}
	for match, status := range map[string]int{
		tag: 304, strings.TrimPrefix(tag, "W/"): 304, `"other", ` + tag: 304, "*": 304,
		`"other"`: 200, "": 200, `W/"4-abcd000000000000"`: 200,
	} {
		w := do(t, h, http.MethodGet, "/resolve/88.118.8/x", map[string]string{"If-None-Match": match})
		if w.Code != status || w.Header().Get("ETag") != tag || w.Header().Get("Cache-Control") != "public, max-age=3600" {
			t.Errorf("If-None-Match %q: got %d, %v; want %d", match, w.Code, w.Header(), status)
		}
		if status == 304 && w.Body.Len() > 0 {
			t.Errorf("If-None-Match %q: got a body", match)
		}
	}
	next := backend.known["88.118.8/x"]
	r := *next.Record
	r.Version++
	next.Record = &r
	backend.known["88.118.8/x"] = next
	if w := do(t, h, http.MethodGet, "/resolve/88.118.8/x", map[string]string{"If-None-Match": tag}); w.Code != http.StatusOK {
		t.Errorf("the next version: got %d; want 200", w.Code)
	}
	// What is gone is not "not modified".
	delete(backend.known, "88.118.8/x")
	if w := do(t, h, http.MethodGet, "/resolve/88.118.8/x", map[string]string{"If-None-Match": "*"}); w.Code != http.StatusNotFound || w.Header().Get("ETag") != "" {
		t.Errorf("withdrawn: got %d, %v; want 404", w.Code, w.Header())
	}
}

func TestMethods(t *testing.T) {
	h := resolverhttp.New(know(map[string][]identifier.Value{gtin: multilingual()}), resolverhttp.Options{
		Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("metric 1\n")) }),
	}).Handler()
	paths := []string{"/", "/healthz", "/metrics", "/schema/resolve.json", "/resolve/(01)09506000134352", "/01/09506000134352", "/88.118.8/unknown", "/resolve?identifier=x", "/favicon.ico"}
	for _, path := range paths {
		got, head := do(t, h, http.MethodGet, path, nil), do(t, h, http.MethodHead, path, nil)
		if path != "/metrics" && (head.Body.Len() > 0 || head.Code != got.Code || !reflect.DeepEqual(head.Header(), got.Header())) {
			t.Errorf("HEAD %s: got %d, %v, %d octets; GET gave %d, %v", path, head.Code, head.Header(), head.Body.Len(), got.Code, got.Header())
		}
		w := do(t, h, http.MethodOptions, path, map[string]string{"Origin": "https://app.example", "Access-Control-Request-Method": "GET"})
		for name, want := range map[string]string{
			"Allow": "GET, HEAD, OPTIONS", "Access-Control-Allow-Origin": "*",
			"Access-Control-Allow-Methods": "GET, HEAD, OPTIONS", "Access-Control-Allow-Headers": "*",
		} {
			if got := w.Header().Get(name); w.Code != http.StatusNoContent || got != want {
				t.Errorf("OPTIONS %s: got %d, %s %q; want 204 and %q", path, w.Code, name, got, want)
			}
		}
		for _, method := range []string{"POST", "PUT", "DELETE", "PATCH", "TRACE", "BREW"} {
			w := do(t, h, method, path, nil)
			if w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != "GET, HEAD, OPTIONS" {
				t.Errorf("%s %s: got %d, Allow %q; want 405", method, path, w.Code, w.Header().Get("Allow"))
			}
		}
	}
}

func TestFixedPaths(t *testing.T) {
	var sick error
	h := resolverhttp.New(know(nil), resolverhttp.Options{
		About:   resolverhttp.About{Name: "Plant <1>", Version: "1.2", Apex: "88.118", DNS: "192.0.2.1:53", GRPC: "192.0.2.1:2640"},
		Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("metric 1\n")) }),
		Healthy: func(ctx context.Context) error { return sick },
	}).Handler()
	for _, c := range []struct {
		path, media, contains string
		status                int
	}{
		{"/", "text/html; charset=utf-8", "Plant &lt;1&gt;", 200},
		{"/", "text/html; charset=utf-8", "<code>88.118</code>", 200},
		{"/", "text/html; charset=utf-8", "dig @192.0.2.1 -p 53 sn-42._i.8.118.88.id.internal TXT", 200},
		{"/healthz", "text/plain; charset=utf-8", "ok", 200},
		{"/metrics", "text/plain; charset=utf-8", "metric 1", 200},
		{"/schema/resolve.json", "application/schema+json", "draft/2020-12", 200},
		{"/healthz/", "application/problem+json", "malformed", 400},
	} {
		w := do(t, h, http.MethodGet, c.path, nil)
		if w.Code != c.status || w.Header().Get("Content-Type") != c.media || !strings.Contains(w.Body.String(), c.contains) {
			t.Errorf("%s: got %d, %q, %.200s; want %d, %q and %q in it", c.path, w.Code, w.Header().Get("Content-Type"), w.Body, c.status, c.media, c.contains)
		}
	}
	sick = errors.New("the disk is full")
	if w := do(t, h, http.MethodGet, "/healthz", nil); w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), "the disk is full") {
		t.Errorf("/healthz of a sick node: got %d, %s", w.Code, w.Body)
	}
	if w := do(t, resolverhttp.New(know(nil), resolverhttp.Options{}).Handler(), http.MethodGet, "/metrics", nil); w.Code != http.StatusNotFound {
		t.Errorf("/metrics without any: got %d; want 404", w.Code)
	}
	w := do(t, h, http.MethodGet, "/resolve?identifier=%2801%2909506000134352+x", nil)
	if got, want := w.Header().Get("Location"), "/resolve/%2801%2909506000134352%20x"; w.Code != http.StatusSeeOther || got != want {
		t.Errorf("the form: got %d to %q; want 303 to %q", w.Code, got, want)
	}
}

// Browsers get a page for an error, and nothing of what was asked acts in it.
func TestProblemPage(t *testing.T) {
	h := resolverhttp.New(know(nil), resolverhttp.Options{}).Handler()
	browser := map[string]string{"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
	for _, target := range []string{"/88.118.8/%3Cscript%3Ealert(1)%3C%2Fscript%3E", "/%3Cscript%3Ealert(1)%3C%2Fscript%3E/x", "/01/09506000134352?linkType=%3Cscript%3E"} {
		w := do(t, h, http.MethodGet, target, browser)
		if w.Header().Get("Content-Type") != "text/html; charset=utf-8" || strings.Contains(w.Body.String(), "<script") || w.Code < 400 {
			t.Errorf("%s: got %d, %s, %s", target, w.Code, w.Header().Get("Content-Type"), w.Body)
		}
		if !strings.HasPrefix(w.Header().Get("Content-Security-Policy"), "default-src 'none'") || !strings.Contains(w.Header().Get("Vary"), "Accept") {
			t.Errorf("%s: got headers %v", target, w.Header())
		}
	}
	if w := do(t, h, http.MethodGet, "/resolve/88.118.8/x", browser); w.Header().Get("Content-Type") != "application/problem+json" {
		t.Errorf("/resolve is for programs: got %s", w.Header().Get("Content-Type"))
	}
}
