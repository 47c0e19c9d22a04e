package http_test

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"math"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/nameplate-id/nameplate/registry/identifier"
	resolverhttp "github.com/nameplate-id/nameplate/resolver/http"
)

// Locations are drawn in proportion to their weights.
func TestLocationWeights(t *testing.T) {
	h := resolverhttp.New(know(map[string][]identifier.Value{"88.1/x": {value(1, "10320/loc",
		`<locations><location href="https://a.example/" weight="3"/><location href="https://b.example/"/><location href="https://c.example/" weight="0"/></locations>`)}}), resolverhttp.Options{}).Handler()
	drawn := map[string]int{}
	const draws = 4000
	for range draws {
		drawn[do(t, h, "GET", "/88.1/x", nil).Header().Get("Location")]++
	}
	// Five standard deviations either way.
	if a := drawn["https://a.example/"]; math.Abs(float64(a)-draws*.75) > 5*math.Sqrt(draws*.75*.25) || a+drawn["https://b.example/"] != draws {
		t.Errorf("drew %v of %d; want 3 to 1 and no other", drawn, draws)
	}
}

// What is no XML to its last octet, or too much of it, is no location.
func TestLocationLimits(t *testing.T) {
	place := `<location href="https://a.example/"/>`
	for name, c := range map[string]struct {
		xml string
		ok  bool
	}{
		"plain":                   {"<locations>" + place + "</locations>", true},
		"declaration and comment": {`<?xml version="1.0" encoding="UTF-8"?><!-- x --><locations>` + place + "<!-- y --></locations>\n", true},
		"other elements":          {"<locations><link><a><b/></a></link>" + place + "</locations>", true},
		"most locations":          {"<locations>" + strings.Repeat(place, 256) + "</locations>", true},
		"too many locations":      {"<locations>" + strings.Repeat(place, 257) + "</locations>", false},
		"too many elements":       {"<locations>" + strings.Repeat("<a/>", 1024) + place + "</locations>", false},
		"deep":                    {"<locations>" + strings.Repeat("<a>", 2000), false},
		"too many attributes":     {"<locations><location href=\"https://a.example/\"" + manyAttributes(40) + "/></locations>", false},
		"one attribute twice":     {`<locations><location href="https://a.example/" href="https://b.example/"/></locations>`, false},
		"no href":                 {"<locations><location/></locations>", false},
		"weight below zero":       {`<locations><location href="https://a.example/" weight="-1"/></locations>`, false},
		"weight of no number":     {`<locations><location href="https://a.example/" weight="NaN"/></locations>`, false},
		"document type":           {`<!DOCTYPE l [<!ENTITY a "b">]><locations>` + place + "</locations>", false},
		"unknown entity":          {`<locations><location href="&a;"/></locations>`, false},
		"instruction":             {"<?php?><locations>" + place + "</locations>", false},
		"text in front":           {"x<locations>" + place + "</locations>", false},
		"two roots":               {"<locations>" + place + "</locations><locations/>", false},
		"another root":            {"<places>" + place + "</places>", false},
		"open end":                {"<locations>" + place, false},
		"another encoding":        {`<?xml version="1.0" encoding="UTF-16"?><locations>` + place + "</locations>", false},
		"no UTF-8":                {"<locations>\xff" + place + "</locations>", false},
		"too long":                {"<locations>" + place + strings.Repeat(" ", 65536) + "</locations>", false},
		"empty":                   {"", false},
	} {
		h := resolverhttp.New(know(map[string][]identifier.Value{"88.1/x": {value(1, "10320/loc", c.xml)}}), resolverhttp.Options{}).Handler()
		w := do(t, h, "GET", "/88.1/x", nil)
		if c.ok != (w.Code == 302) || !c.ok && (w.Code != 404 || !strings.Contains(w.Body.String(), "no location that can be read")) {
			t.Errorf("%s: got %d, %s", name, w.Code, w.Body)
		}
	}
}

func manyAttributes(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, ` a%d=""`, i)
	}
	return b.String()
}

// The policy of every page names its own style, and there is nothing else that it would
// have to allow.
func TestPagePolicy(t *testing.T) {
	h := resolverhttp.New(know(map[string][]identifier.Value{"88.1/x": multilingual()}), resolverhttp.Options{}).Handler()
	for target, status := range map[string]int{"/": 200, "/88.1/x?noredirect": 200, "/88.1/none": 404, "/88.1/": 400} {
		w := do(t, h, "GET", target, map[string]string{"Accept": "text/html"})
		body := w.Body.String()
		style := regexp.MustCompile(`(?s)<style>(.*)</style>`).FindStringSubmatch(body)
		if w.Code != status || style == nil {
			t.Fatalf("%s: got %d, %s", target, w.Code, body)
		}
		sum := sha256.Sum256([]byte(style[1]))
		policy := w.Header().Get("Content-Security-Policy")
		if want := "style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"; !strings.Contains(policy, want) || !strings.Contains(policy, "default-src 'none'") {
			t.Errorf("%s: the policy is %q; want %s", target, policy, want)
		}
		for _, no := range []string{"<script", " style=", " onclick", "<img", "unsafe-inline"} {
			if strings.Contains(body, no) || strings.Contains(policy, no) {
				t.Errorf("%s: there is %q", target, no)
			}
		}
	}
}

// Whatever a location, a request or a value is, there is an answer, and it leads only to
// where a location says.
func FuzzProxy(f *testing.F) {
	f.Add("<locations><location href=\"https://a.example/\"/></locations>", "noredirect", "text/html", "de-DE")
	f.Add(`<locations chooseby="address,score"><location href="https://a.example/x" ctype="a/b" http_role="conneg" language="en" country="de"/></locations>`, "urlappend=%2Fx&locatt=id:1;index=1", "a/b, */*;q=0", "en;q=0.1")
	f.Add("<locations/>", "action=showurls", "", "")
	f.Add("x", "action=api&pretty&callback=f", "*/*", "*")
	f.Fuzz(func(t *testing.T, xml, query, accept, language string) {
		h := resolverhttp.New(know(map[string][]identifier.Value{"88.1/x": {value(1, "10320/loc", xml), value(2, "DESC", xml)}}), resolverhttp.Options{}).Handler()
		r := httptest.NewRequest("GET", "/88.1/x", nil)
		r.URL.RawQuery = query
		r.Header.Set("Accept", accept)
		r.Header.Set("Accept-Language", language)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		switch w.Code {
		case 200, 400, 404, 501:
		case 301, 302, 303, 307, 308:
			to, err := url.Parse(w.Header().Get("Location"))
			if err != nil || to.Scheme != "http" && to.Scheme != "https" || to.User != nil || !strings.Contains(strings.ToLower(xml), strings.ToLower(to.Scheme)) {
				t.Errorf("leads to %q, %v", w.Header().Get("Location"), err)
			}
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
		if strings.Contains(w.Body.String(), "<script") && strings.HasPrefix(w.Header().Get("Content-Type"), "text/html") {
			t.Errorf("a script: %s", w.Body)
		}
	})
}
