package http_test

import (
	"encoding/json"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/resolver"
	resolverhttp "github.com/nameplate-id/nameplate/resolver/http"
)

// multilingual are the links of a product with pages in several languages.
func multilingual() []identifier.Value {
	return []identifier.Value{
		link(1, "gs1:pip", "https://maker.example/en", "en"),
		byDefault(link(2, "gs1:pip", "https://maker.example/de", "de", "gsw")),
		link(3, "https://gs1.org/voc/pip", "https://maker.example/zh-hant", "zh-Hant"),
		link(4, "gs1:pip", "https://maker.example/pt-br", "pt-BR"),
		link(5, "https://ref.gs1.org/voc/certificationInfo", "https://maker.example/cert"),
		link(6, "https://rel.example/manual", "https://maker.example/manual"),
		value(7, "EMAIL", "a@maker.example"),
	}
}

func TestFollow(t *testing.T) {
	backend := know(map[string][]identifier.Value{
		gtin:                      multilingual(),
		gtin + "/21/A%2FB":        {value(1, "URL", "https://maker.example/a-b")},
		gtin + "/21/plain":        {value(9, "URL", "https://maker.example/plain")},
		gtin + "/21/mailto":       {value(1, "URL", "mailto:a@maker.example"), value(2, "URL", "https://maker.example/second")},
		gtin + "/21/none":         {value(1, "DESC", "no link at all")},
		"88.118.8/sn-42":          multilingual(),
		"88.118.8/a b":            {value(1, "URL", "https://maker.example/handle")},
		"88.118.8/01/9506":        {value(1, "URL", "https://maker.example/not-gs1")},
		"10.1000/182":             {value(1, "URL", "https://doi.example/")},
		"88.118":                  {value(1, "URL", "https://maker.example/prefix")},
		"oid.1.2.156.3001.7":      {value(1, "URL", "https://maker.example/oid")},
		"web.example.maker//p?a":  {value(1, "URL", "https://maker.example/iec")},
		"did.web/maker.example":   {value(1, "URL", "https://maker.example/did")},
		"88.118.8/multi":          {byDefault(link(1, "gs1:pip", "https://maker.example/en", "en")), link(2, "gs1:pip", "https://maker.example/fr", "fr"), link(3, "gs1:defaultLinkMulti", "https://maker.example/multi-fr", "fr"), link(4, "gs1:defaultLinkMulti", "https://maker.example/multi-es", "es")},
		"88.118.8/ftp":            {value(1, "URL", "ftp://maker.example/f")},
		"88.118.8/script":         {value(1, "URL", "javascript:alert(1)")},
		"88.118.8/data":           {value(1, "URL", "data:text/html,x")},
		"88.118.8/user":           {value(1, "URL", "https://bank.example@maker.example/")},
		"88.118.8/odd-host":       {value(1, "URL", "http://0\"0")},
		"88.118.8/opaque":         {value(1, "URL", "https:maker.example")},
		"88.118.8/no-host":        {value(1, "URL", "https:///path")},
		"88.118.8/injection":      {value(1, "URL", "https://maker.example/\r\nSet-Cookie: a=b")},
		"88.118.8/not-ascii":      {value(1, "URL", "https://maker.example/größe?q=\"<é>\"")},
		"88.118.8/far-too-long":   {value(1, "URL", "https://maker.example/"+strings.Repeat("x", 9000))},
		"88.118.8/upper":          {value(1, "URL", "HTTPS://MAKER.example/Path")},
		"88.118.8/10.1000/182":    {value(1, "URL", "https://maker.example/nested")},
		"88.118.8/sn-42/":         {value(1, "URL", "https://maker.example/slash")},
		"88.118.8/%41":            {value(1, "URL", "https://maker.example/percent")},
		"resolve/x":               {value(1, "URL", "https://maker.example/resolve")},
		"88.118.8/../x":           {value(1, "URL", "https://maker.example/dots")},
		"88.118.8//x":             {value(1, "URL", "https://maker.example/empty-segment")},
		"88.118.8/größe":          {value(1, "URL", "https://maker.example/groesse")},
		"88.118.8/hdl:88.118.8/x": {value(1, "URL", "https://maker.example/colon")},
	})
	h := resolverhttp.New(backend, resolverhttp.Options{}).Handler()
	english, german := "https://maker.example/en", "https://maker.example/de"
	for _, c := range []struct {
		target   string
		language string
		status   int
		location string
	}{
		// Digital Links, with any stem, and their errors.
		{"/01/09506000134352", "", 307, german},
		{"/01/09506000134352/", "", 307, german},
		{"/some/stem/01/09506000134352", "", 307, german},
		{"/01/9506000134352", "", 307, german},
		{"/01/09506000134352/21/plain", "", 307, "https://maker.example/plain"},
		{"/01/09506000134352/21/A%2FB", "", 307, "https://maker.example/a-b"},
		{"/01/09506000134352/21/A%2fB", "", 307, "https://maker.example/a-b"},
		{"/01/09506000134352/21/A%252FB", "", 404, ""},
		{"/01/09506000134353", "", 400, ""},
		{"/01/09506000134352/21/plain/10/X", "", 400, ""},
		{"/01/09506000134352/21/unknown", "", 404, ""},
		{"/01/09506000134352/21/none", "", 404, ""},
		{"/01/09506000134352/21/mailto", "", 404, ""},
		// One link type.
		{"/01/09506000134352?linkType=gs1:certificationInfo", "", 307, "https://maker.example/cert?linkType=gs1:certificationInfo"},
		{"/01/09506000134352?linkType=https://gs1.org/voc/certificationInfo", "", 307, "https://maker.example/cert?linkType=https://gs1.org/voc/certificationInfo"},
		{"/01/09506000134352?linkType=https%3A%2F%2Frel.example%2Fmanual", "", 307, "https://maker.example/manual?linkType=https%3A%2F%2Frel.example%2Fmanual"},
		{"/01/09506000134352?a=1;linkType=gs1:certificationInfo", "", 307, "https://maker.example/cert?a=1;linkType=gs1:certificationInfo"},
		{"/01/09506000134352?linkType=gs1:dpp", "", 404, ""},
		{"/01/09506000134352?linkType=%zz", "", 400, ""},
		{"/01/09506000134352?linkType=gs1:defaultLink", "", 307, german + "?linkType=gs1:defaultLink"},
		{"/01/09506000134352?linkType=", "", 307, german + "?linkType="},
		{"/01/09506000134352?linktype=gs1:dpp", "", 307, german + "?linktype=gs1:dpp"},
		// Languages choose between links of the type that was asked for.
		{"/01/09506000134352?linkType=gs1:pip", "", 307, german + "?linkType=gs1:pip"},
		{"/01/09506000134352?linkType=gs1:pip", "en", 307, english + "?linkType=gs1:pip"},
		{"/01/09506000134352?linkType=gs1:pip", "en-GB", 307, english + "?linkType=gs1:pip"},
		{"/01/09506000134352?linkType=gs1:pip", "de;q=0.1, en;q=0.9", 307, english + "?linkType=gs1:pip"},
		{"/01/09506000134352?linkType=gs1:pip", "zh-TW", 307, "https://maker.example/zh-hant?linkType=gs1:pip"},
		{"/01/09506000134352?linkType=gs1:pip", "pt", 307, "https://maker.example/pt-br?linkType=gs1:pip"},
		{"/01/09506000134352?linkType=gs1:pip", "ja", 307, german + "?linkType=gs1:pip"},
		{"/01/09506000134352?linkType=gs1:pip", "*", 307, german + "?linkType=gs1:pip"},
		{"/01/09506000134352?linkType=gs1:pip", "!!;;q=x", 307, german + "?linkType=gs1:pip"},
		{"/01/09506000134352?linkType=gs1:pip", strings.Repeat("en-", 5000), 307, german + "?linkType=gs1:pip"},
		{"/01/09506000134352", "en", 307, german},
		{"/88.118.8/multi", "fr", 302, "https://maker.example/multi-fr"},
		{"/88.118.8/multi", "it", 302, english},
		{"/88.118.8/multi", "", 302, english},
		// Handles, and every other spelling.
		{"/88.118.8/sn-42", "", 302, german},
		{"/88.118.8/SN-42", "", 302, german},
		{"/hdl:88.118.8/sn-42", "", 302, german},
		{"/88.118.8%2Fsn-42", "", 302, german},
		{"/88.118.8/sn-42?linkType=gs1:certificationInfo", "", 302, "https://maker.example/cert"},
		{"/88.118.8/sn-42?a=b", "", 302, german},
		{"/88.118.8/sn-42?noredirect&a=b", "", 200, ""},
		{"/88.118.8/sn-42/", "", 302, "https://maker.example/slash"},
		{"/88.118.8/a%20b", "", 302, "https://maker.example/handle"},
		{"/88.118.8/%2541", "", 302, "https://maker.example/percent"},
		{"/88.118.8/../x", "", 302, "https://maker.example/dots"},
		{"/88.118.8//x", "", 302, "https://maker.example/empty-segment"},
		{"/88.118.8/gr%C3%B6%C3%9Fe", "", 302, "https://maker.example/groesse"},
		{"/88.118.8/01/9506", "", 302, "https://maker.example/not-gs1"},
		{"/88.118.8/01/09506000134352", "", 307, german},
		{"/hdl:88.118.8/01/09506000134352", "", 404, ""},
		{"/88.118.8/10.1000/182", "", 302, "https://maker.example/nested"},
		{"/doi:10.1000/182", "", 302, "https://doi.example/"},
		{"/10.1000/182", "", 302, "https://doi.example/"},
		{"/88.118", "", 302, "https://maker.example/prefix"},
		{"/0.NA/88.118", "", 302, "https://maker.example/prefix"},
		{"/hdl:resolve/x", "", 302, "https://maker.example/resolve"},
		{"/urn:oid:1.2.156.3001.7", "", 307, "https://maker.example/oid"},
		{"/1.2.156.3001.7", "", 307, "https://maker.example/oid"},
		{"/did:web:maker.example", "", 307, "https://maker.example/did"},
		{"/https://maker.example/p%3Fa", "", 307, "https://maker.example/iec"},
		{"/(01)09506000134352(21)plain", "", 307, "https://maker.example/plain"},
		{"/09506000134352", "", 307, german},
		{"/88.118.8/", "", 400, ""},
		{"/88..8/x", "", 400, ""},
		{"/88.118.8/%00", "", 400, ""},
		{"/88.118.8/%ff", "", 400, ""},
		// What a redirect does not go to.
		{"/88.118.8/ftp", "", 404, ""},
		{"/88.118.8/script", "", 404, ""},
		{"/88.118.8/data", "", 404, ""},
		{"/88.118.8/user", "", 404, ""},
		{"/88.118.8/odd-host", "", 404, ""},
		{"/88.118.8/opaque", "", 404, ""},
		{"/88.118.8/no-host", "", 404, ""},
		{"/88.118.8/injection", "", 404, ""},
		{"/88.118.8/far-too-long", "", 404, ""},
		{"/88.118.8/not-ascii", "", 302, "https://maker.example/gr%C3%B6%C3%9Fe?q=%22%3C%C3%A9%3E%22"},
		{"/88.118.8/upper", "", 302, "HTTPS://MAKER.example/Path"},
		// Paths that are kept free.
		{"/favicon.ico", "", 404, ""},
		{"/robots.txt", "", 404, ""},
		{"/.well-known/gs1resolver", "", 404, ""},
	} {
		w := do(t, h, http.MethodGet, c.target, map[string]string{"Accept-Language": c.language})
		if got := w.Header().Get("Location"); w.Code != c.status || got != c.location {
			t.Errorf("%s in %.20q: got %d to %q; want %d to %q", c.target, c.language, w.Code, got, c.status, c.location)
		}
		if w.Code >= 400 && w.Header().Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: an error is %q", c.target, w.Header().Get("Content-Type"))
		}
	}
}

// The query string arrives as it was sent, behind that of the link and in front of
// its fragment.
func TestQueryIsForwarded(t *testing.T) {
	for _, c := range []struct{ link, query, want string }{
		{"https://m.example", "", "https://m.example"},
		{"https://m.example", "17=261231", "https://m.example?17=261231"},
		{"https://m.example/", "a=1;b=2", "https://m.example/?a=1;b=2"},
		{"https://m.example/p", "a=%2F+%zz&&=&b", "https://m.example/p?a=%2F+%zz&&=&b"},
		{"https://m.example/p?x=1", "a=1", "https://m.example/p?x=1&a=1"},
		{"https://m.example/p?", "a=1", "https://m.example/p?a=1"},
		{"https://m.example/p?x=1&", "a=1", "https://m.example/p?x=1&a=1"},
		{"https://m.example/p?x=1;", "a=1", "https://m.example/p?x=1;a=1"},
		{"https://m.example/p#f", "a=1", "https://m.example/p?a=1#f"},
		{"https://m.example/p?x=1#f?g", "a=1", "https://m.example/p?x=1&a=1#f?g"},
		{"https://m.example/#/app?x", "a=1", "https://m.example/?a=1#/app?x"},
		{"https://m.example/p?x", "?y", "https://m.example/p?x&?y"},
		{"https://m.example/p", "a=b=c?d/e:f@g!$'()*,", "https://m.example/p?a=b=c?d/e:f@g!$'()*,"},
	} {
		backend := know(map[string][]identifier.Value{gtin: {value(1, "URL", c.link)}})
		target := "/01/09506000134352"
		if c.query != "" {
			target += "?" + c.query
		}
		w := do(t, resolverhttp.New(backend, resolverhttp.Options{}).Handler(), http.MethodGet, target, nil)
		if got := w.Header().Get("Location"); got != c.want || w.Code != http.StatusTemporaryRedirect {
			t.Errorf("%s with %q: got %d to %q; want %q", c.link, c.query, w.Code, got, c.want)
		}
	}
}

// The link that is followed is the default link that the JSON tells, whatever the
// scheme.
func TestFollowAgreesWithResolve(t *testing.T) {
	paths := map[string]string{ // by path of the link, the spelling
		"/01/09506000134352":                     "(01)09506000134352",
		"/01/09506000134352/21/A%2FB":            "(01)09506000134352(21)A/B",
		"/x/01/09506000134352/21/A%2FB":          "https://id.example/01/09506000134352/21/A%2FB",
		"/88.118.8/SN-42":                        "hdl:88.118.8/sn-42",
		"/urn:oid:1.2.156.3001.7":                "1.2.156.3001.7",
		"/did:web:maker.example":                 "did:web:maker.example",
		"/web:https:%2F%2Fmaker.example%2Fp%3Fa": "https://maker.example/p?a",
	}
	records := map[string][]identifier.Value{}
	for _, text := range paths {
		id, err := identifier.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		records[id.String()] = []identifier.Value{
			value(1, "URL", "https://maker.example/first"),
			byDefault(value(2, "URL", "https://maker.example/"+string(id.Scheme()))),
		}
	}
	h := resolverhttp.New(know(records), resolverhttp.Options{}).Handler()
	for path, text := range paths {
		_, header := get(t, h, path, nil)
		body, _ := get(t, h, "/resolve/"+escape(text), nil)
		var answer struct{ Default struct{ Data string } }
		if err := json.Unmarshal([]byte(body), &answer); err != nil {
			t.Fatal(err)
		}
		if got, want := header.Get("Location"), answer.Default.Data; got != want || want == "" {
			t.Errorf("%s leads to %q; /resolve/%s tells %q", path, got, text, want)
		}
	}
}

// escape escapes every octet: what a careful program does with an identifier.
func escape(s string) string {
	const digits = "0123456789abcdef"
	var b strings.Builder
	for i := range len(s) {
		b.Write([]byte{'%', digits[s[i]>>4], digits[s[i]&15]})
	}
	return b.String()
}

func TestLinkset(t *testing.T) {
	h := resolverhttp.New(know(map[string][]identifier.Value{gtin: multilingual(), "88.118.8/x": {value(1, "URL", "mailto:a@maker.example")}}), resolverhttp.Options{}).Handler()
	type set = map[string][]map[string]any
	pip := []any{
		map[string]any{"href": "https://maker.example/en", "hreflang": []any{"en"}},
		map[string]any{"href": "https://maker.example/de", "hreflang": []any{"de", "gsw"}},
		map[string]any{"href": "https://maker.example/zh-hant", "hreflang": []any{"zh-Hant"}},
		map[string]any{"href": "https://maker.example/pt-br", "hreflang": []any{"pt-BR"}},
	}
	cert := []any{map[string]any{"href": "https://maker.example/cert"}}
	all := set{"linkset": {{
		"anchor":                                    "http://example.com/01/09506000134352",
		"https://ref.gs1.org/voc/defaultLink":       []any{map[string]any{"href": "https://maker.example/de"}},
		"https://ref.gs1.org/voc/pip":               pip,
		"https://ref.gs1.org/voc/certificationInfo": cert,
		"https://rel.example/manual":                []any{map[string]any{"href": "https://maker.example/manual"}},
	}}}
	const media = "application/linkset+json"
	for _, c := range []struct {
		name, target, accept string
		want                 set
	}{
		{"link type", "/01/09506000134352?linkType=linkset", "", all},
		{"older link type", "/01/09506000134352?linkType=all", "text/html", all},
		{"Accept", "/01/09506000134352", media, all},
		{"Accept among others", "/01/09506000134352", "text/html;q=0.5, " + media + ", */*;q=0.1", all},
		{"Accept and one relation", "/01/09506000134352?linkType=gs1:certificationInfo", media, set{"linkset": {{"anchor": "http://example.com/01/09506000134352", "https://ref.gs1.org/voc/certificationInfo": cert}}}},
		{"no relation", "/88.118.8/x?linkType=linkset", "", set{"linkset": {{
			"anchor":                              "http://example.com/88.118.8/x",
			"https://ref.gs1.org/voc/defaultLink": []any{map[string]any{"href": "mailto:a@maker.example"}},
			"related":                             []any{map[string]any{"href": "mailto:a@maker.example"}},
		}}}},
	} {
		w := do(t, h, http.MethodGet, c.target, map[string]string{"Accept": c.accept})
		var got set
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != http.StatusOK || w.Header().Get("Content-Type") != media {
			t.Errorf("%s: got %d, %s, %v", c.name, w.Code, w.Header().Get("Content-Type"), err)
			continue
		}
		if !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: got %v; want %v", c.name, got, c.want)
		}
		if got := do(t, h, http.MethodGet, c.target, map[string]string{"Accept": c.accept, "If-None-Match": w.Header().Get("ETag")}); got.Code != http.StatusNotModified {
			t.Errorf("%s: got %d to If-None-Match; want 304", c.name, got.Code)
		}
	}
	for _, accept := range []string{"", "*/*", "application/*", media + ";q=0", media + ";q=0.4, text/html;q=0.5", "text/html, " + media + ";q=0.9"} {
		if w := do(t, h, http.MethodGet, "/01/09506000134352", map[string]string{"Accept": accept}); w.Code != http.StatusTemporaryRedirect {
			t.Errorf("Accept %q: got %d; want 307", accept, w.Code)
		}
	}
	for _, target := range []string{"/01/09506000134352/21/unknown?linkType=linkset", "/01/09506000134352?linkType=gs1:dpp"} {
		if w := do(t, h, http.MethodGet, target, map[string]string{"Accept": media}); w.Code != http.StatusNotFound {
			t.Errorf("%s: got %d; want 404", target, w.Code)
		}
	}
}

func TestReferralLocation(t *testing.T) {
	key := identifier.PublicKey{Type: identifier.Ed25519, Raw: strings.Repeat("k", 32)}
	refer := func(addresses ...identifier.Address) http.Handler {
		a := &answers{known: map[string]resolver.Answer{}}
		for _, text := range []string{gtin + "/21/x", "88.118.8/größe", "88.118.8/sn-42"} {
			answer := found(text)
			answer.Outcome, answer.Record, answer.Lifetime = resolver.Referral, nil, resolver.ReferralTTL
			answer.Delegation = &identifier.Delegation{Prefix: answer.ID.Prefix, Epoch: 1,
				Keyset: identifier.Keyset{Version: 1, Threshold: 1, Keys: []identifier.PublicKey{key}},
				Node:   &identifier.Node{Name: "n1", Key: key, Addresses: addresses}}
			a.known[text] = answer
		}
		return resolverhttp.New(a, resolverhttp.Options{}).Handler()
	}
	four := identifier.Address{IP: "192.0.2.1", HTTP: 8080}
	six := identifier.Address{IP: "2001:db8::1", HTTP: 80}
	none := identifier.Address{IP: "192.0.2.9", DNS: 53}
	for _, c := range []struct {
		h            http.Handler
		target, want string
	}{
		{refer(four), "/01/09506000134352/21/x?a=1;b", "http://192.0.2.1:8080/01/09506000134352/21/x?a=1;b"},
		{refer(none, six, four), "/stem/01/09506000134352/21/x", "http://[2001:db8::1]/stem/01/09506000134352/21/x"},
		{refer(four), "/resolve/88.118.8/sn-42?type=URL&recursive=false", "http://192.0.2.1:8080/resolve/88.118.8/sn-42?type=URL&recursive=false"},
		{refer(four), "/88.118.8/gr%c3%b6%C3%9Fe", "http://192.0.2.1:8080/88.118.8/gr%c3%b6%C3%9Fe"},
		{refer(none), "/88.118.8/sn-42", ""},
		{refer(none), "/resolve/88.118.8/sn-42", ""},
	} {
		w := do(t, c.h, http.MethodGet, c.target, nil)
		if got := w.Header().Get("Location"); w.Code != http.StatusSeeOther || got != c.want {
			t.Errorf("%s: got %d to %q; want 303 to %q", c.target, w.Code, got, c.want)
		}
		if got, want := w.Header().Get("Cache-Control"), "public, max-age=300"; got != want {
			t.Errorf("%s: got Cache-Control %q; want %q", c.target, got, want)
		}
		if !strings.Contains(w.Body.String(), `"delegation"`) {
			t.Errorf("%s: the body does not tell who answers: %s", c.target, w.Body)
		}
	}
	// A client of ours is told all the same by a node that nobody can be led to.
	w := do(t, refer(none), http.MethodGet, "/resolve/88.118.8/sn-42", nil)
	client, err := resolverhttp.NewClient("node.example", resolverhttp.ClientOptions{Transport: canned{w.Code, w.Header().Get("Content-Type"), w.Body.String()}})
	if err != nil {
		t.Fatal(err)
	}
	a, err := client.Resolve(t.Context(), resolver.Query{ID: identifier.ID{Prefix: "88.118.8", Suffix: "sn-42"}})
	if err != nil || a.Outcome != resolver.Referral || !reflect.DeepEqual(a.Delegation.Node.Addresses, []identifier.Address{none}) {
		t.Errorf("got %+v, %v; want a referral to %v", a, err, none)
	}
}

func TestHeadersOfALink(t *testing.T) {
	backend := know(map[string][]identifier.Value{gtin: multilingual()})
	h := resolverhttp.New(backend, resolverhttp.Options{}).Handler()
	w := do(t, h, http.MethodGet, "/01/09506000134352?a=b", nil)
	for name, want := range map[string]string{
		"Cache-Control":                 "public, max-age=3600",
		"Vary":                          "Accept, Accept-Language",
		"Access-Control-Allow-Origin":   "*",
		"Access-Control-Expose-Headers": "Age, ETag, Link, Location, Nameplate-Suspect, Retry-After",
		"X-Content-Type-Options":        "nosniff",
		"Age":                           "",
		"Etag":                          "",
	} {
		if got := w.Header().Get(name); got != want {
			t.Errorf("%s: got %q; want %q", name, got, want)
		}
	}
	want := []string{
		`</resolve/gs1.9.5.0.6.0.0.0.1.3.4.3.5%2F010?form=canonical>; rel="describedby"; type="application/json"`,
		`</01/09506000134352?linkType=linkset>; rel="linkset"; type="application/linkset+json"`,
	}
	if got := w.Header()["Link"]; !reflect.DeepEqual(got, want) {
		t.Errorf("Link: got %q; want %q", got, want)
	}
	if q := backend.last; !q.Recursive || q.Authoritative || !reflect.DeepEqual(q.Types, []string{"URL"}) {
		t.Errorf("asked %+v", q)
	}
	mirrored := backend.known[gtin]
	mirrored.Origin.Mirror, mirrored.Origin.Age, mirrored.Lifetime = true, 40*time.Second, time.Minute
	backend.known[gtin] = mirrored
	w = do(t, h, http.MethodGet, "/01/09506000134352", nil)
	if age, cache := w.Header().Get("Age"), w.Header().Get("Cache-Control"); age != "40" || cache != "public, max-age=100" {
		t.Errorf("mirror: got Age %q, Cache-Control %q; want 40, and 60 s beyond that", age, cache)
	}
}
