package http_test

import (
	"bufio"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"context"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/resolver"
	resolverhttp "github.com/nameplate-id/nameplate/resolver/http"
)

// knowsAll finds a record with two links for whatever is asked.
type knowsAll struct{ link string }

func (k knowsAll) Resolve(_ context.Context, q resolver.Query) (resolver.Answer, error) {
	v := value(1, "URL", k.link)
	a := resolver.Answer{Outcome: resolver.Found, ID: q.ID, InZone: true, Default: &v,
		Record: &identifier.Record{ID: q.ID, Version: 1, Values: []identifier.Value{v}}}
	return a, nil
}

// Whatever the request target is, there is an answer of the right shape, and it
// leads where the link says and nowhere else.
func FuzzTarget(f *testing.F) {
	for _, seed := range []string{
		"/", "/resolve/88.118.8/x", "/01/09506000134352/21/A%2FB?linkType=gs1:pip;a=%zz", "//01/09506000134352", "/%00", "/%zz",
		"/88.118.8/%0d%0aX:y", "/resolve?identifier=a+b%26", "/(01)09506000134352", "/https://maker.example/p", "/hdl:88/x?#", "/resolve/?form=canonical",
		"/88.118.8/\"<>\\", "/88.118.8/gr%C3%B6%C3%9Fe", "*", "http://a/b", "/.well-known/x", "/resolve/88/x?type=a&index=1&hash=00",
		"/api/handles/88/x?callback=f", "/api/site", "/88.1/x?noredirect", "/88.1/x?type=URL;index=1", "/info:hdl/88.1/x", "/urn:doi:10.1/x?action=api",
	} {
		f.Add(seed, "https://maker.example/p?q#f")
	}
	f.Add("/88/x?a", "javascript:alert(1)")
	f.Add("/88/x?a", "https://maker.example/\r\nX: y")
	schema := compileSchema(f)
	f.Fuzz(func(t *testing.T, target, link string) {
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader("GET " + target + " HTTP/1.1\r\nHost: node.example\r\n\r\n")))
		if err != nil || strings.ContainsAny(target, "\r\n") {
			t.Skip("no request")
		}
		w := httptest.NewRecorder()
		resolverhttp.New(knowsAll{link}, resolverhttp.Options{}).Handler().ServeHTTP(w, r)
		switch w.Code {
		case 501: // the Handle REST interface, without Handle behind it
			if t, _, _ := strings.Cut(target, "?"); !strings.Contains(t, "/api/") && !strings.Contains(target, "action=") {
				w.Code = 0
			}
		}
		switch w.Code {
		case 200, 302, 303, 307, 400, 404, 414, 501:
		default:
			t.Errorf("got %d", w.Code)
		}
		for name, values := range w.Header() {
			for _, v := range values {
				if strings.ContainsFunc(v, func(r rune) bool { return r < ' ' || r == 0x7f }) {
					t.Errorf("%s has a control: %q", name, v)
				}
			}
		}
		switch media := w.Header().Get("Content-Type"); {
		case media == "application/problem+json", media == "application/json":
			if err := validate(schema, w.Body.Bytes()); err != nil {
				t.Error(err)
			}
		case w.Code >= 400 && !strings.HasPrefix(media, "application/json;"):
			t.Errorf("an error is %q", media)
		}
		location := w.Header().Get("Location")
		if w.Code != 302 && w.Code != 307 {
			return
		}
		from, err := url.Parse(link)
		if err != nil {
			t.Fatalf("followed the link %q: %v", link, err)
		}
		to, err := url.Parse(location)
		if err != nil || to.Host != from.Host || to.Scheme != "http" && to.Scheme != "https" || to.Path != from.Path || to.Fragment != from.Fragment {
			t.Errorf("the link %q leads to %q, %v", link, location, err)
		}
		if w.Code == 307 && r.URL.RawQuery != "" && !strings.Contains(r.URL.RawQuery, "#") && isPlain(r.URL.RawQuery) && !strings.HasSuffix(to.RawQuery, r.URL.RawQuery) {
			t.Errorf("the query %q arrives as %q", r.URL.RawQuery, to.RawQuery)
		}
	})
}

// isPlain reports whether a text may stand in a URL as it is.
func isPlain(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune(`"<>\`, r) })
}

// Whatever a server sends, the client neither fails nor makes an answer of it that
// no node may give.
func FuzzClient(f *testing.F) {
	f.Add(200, "application/json", []byte(`{"outcome":"found","identifier":"88/x"}`))
	f.Add(404, "application/problem+json", []byte(`{"type":"tag:nameplate.id,2026:absent","answer":{"outcome":"absent","identifier":"88/x","apex":"","inZone":true,"lifetime":30,"origin":{"log":"00000000000000000000000000000000","position":1,"mirror":false,"age":0}}}`))
	h := resolverhttp.New(knowsAll{"https://maker.example/"}, resolverhttp.Options{}).Handler()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/resolve/88/x", nil))
	f.Add(200, "application/json", w.Body.Bytes())
	f.Fuzz(func(t *testing.T, status int, media string, body []byte) {
		client, err := resolverhttp.NewClient("node.example", resolverhttp.ClientOptions{Transport: canned{status, media, string(body)}})
		if err != nil {
			t.Fatal(err)
		}
		id := identifier.ID{Prefix: "88", Suffix: "x"}
		a, err := client.Resolve(t.Context(), resolver.Query{ID: id})
		if err != nil {
			if _, ok := err.(*resolver.Error); !ok {
				t.Errorf("got %T", err)
			}
			return
		}
		if a.ID != id || a.Outcome < resolver.Found || a.Outcome > resolver.Refused || a.Lifetime < 0 || a.Origin.Age < 0 ||
			(a.Outcome == resolver.Found) != (a.Record != nil) || (a.Outcome == resolver.Referral) != (a.Delegation != nil) {
			t.Errorf("got %+v", a)
		}
		if a.Record != nil {
			if _, err := identifier.AppendContent(nil, a.Record.Spelling, a.Record.Values); err != nil {
				t.Error(err)
			}
		}
	})
}
