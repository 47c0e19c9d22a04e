package node

import (
	"fmt"
	"strings"
)

// proxyShelf is what the cases of the proxy ask about.
func proxyShelf(s shelf) {
	links := valued(1, "URL", "https://maker.example/p?a=1#f")
	s.put("88.1/p", links)
	s.put("10.1000/182", valued(1, "URL", "https://doi.example/"))
	s.put("88.1/two", valued(1, "URL.MANUAL", "https://maker.example/manual"), valued(2, "URL", "https://maker.example/two"))
	s.put("88.1/sub", valued(1, "DESC", "x"), valued(2, "URL.MANUAL", "https://maker.example/manual"))
	s.put("88.1/bare", valued(1, "URL", "https://maker.example"))
	s.put("88.1/a1", valued(1, "HS_ALIAS", "88.1/A2"), valued(2, "URL", "https://maker.example/a1"))
	s.put("88.1/a2", valued(1, "HS_ALIAS", "88.1/p"))
	s.put("88.1/gone", valued(1, "HS_ALIAS", "88.1/none"))
	s.put("88.1/round", valued(1, "HS_ALIAS", "88.1/round2"))
	s.put("88.1/round2", valued(1, "HS_ALIAS", "88.1/Round"))
	for i := range 12 {
		s.put(fmt.Sprintf("88.1/far%d", i), valued(1, "HS_ALIAS", fmt.Sprintf("88.1/far%d", i+1)))
	}
	s.put("88.1/odd-alias", valued(1, "HS_ALIAS", "no prefix!"))
	s.put("88.1/none-to-follow", valued(1, "DESC", "<script>alert(1)</script>"))
	s.put("88.1/loc", valued(1, "URL", "https://maker.example/url"), valued(2, "10320/loc", `<locations chooseby="locatt,country">
<location id="0" href="https://de.example/" country="de" weight="0"/><location id="1" role="metadata" href="https://other.example/" weight="1"/></locations>`))
	put := func(name, xml string) { s.put("88.1/"+name, valued(1, "10320/loc", xml)) }
	put("score", `<locations chooseby="score"><location href="https://a.example/" score="1"/><location href="https://b.example/" score="2.5"/><location href="https://c.example/"/></locations>`)
	put("weights", `<locations><location href="https://never.example/" weight="0"/><location href="https://always.example/" weight="0.2"/></locations>`)
	put("zeros", `<locations><location href="https://zero.example/1" weight="0"/><location href="https://zero.example/2" weight="0"/></locations>`)
	put("status", `<?xml version="1.0"?><locations><location href="https://s.example/" http="308"/></locations>`)
	put("odd-status", `<locations><location href="https://s.example/" http="200"/></locations>`)
	put("conneg", `<locations>
<location http_role="conneg" ctype="application/json" href="https://json.example/" weight="0"/>
<location http_role="conneg" ctype="application/rdf+xml" href="https://rdf.example/" weight="0"/>
<location http_role="browser" href="https://page.example/"/>
<location http_role="no_conneg" href="https://plain.example/"/></locations>`)
	put("language", `<locations><location href="https://en.example/" language="en"/><location href="https://de.example/" language="de"/><location href="https://any.example/"/></locations>`)
	put("address", `<locations><location href="https://inside.example/" address="10.0.0.0/8, 192.0.2.1"/><location href="https://outside.example/"/></locations>`)
	put("unfit", `<locations><location href="javascript:alert(1)"/><location href="https://fit.example/"/></locations>`)
	put("broken", `<locations><location href="https://x.example/"></locations>`)
	put("template", `<locations><location href_template="https://maker.example/?of={hdl}&amp;again={hdl}"/></locations>`)
	put("empty-template", `<locations><location href_template=" "/></locations>`)
	// 88.3 leaves metadata to a service, 88.4 to one that is not there.
	s.put("0.NA/88.3", valued(1, "HS_NAMESPACE", "<namespace><contact>x</contact><locs> 88.1/SERV </locs></namespace>"))
	s.put("0.NA/88.3.1", valued(1, "DESC", "no namespace"))
	s.put("0.NA/88.4", valued(1, "HS_NAMESPACE", "<namespace><locs>88.1/none</locs></namespace>"))
	put("serv", `<locations chooseby="locatt,weighted">
<location http_role="conneg" href_template="https://meta.example/{hdl}" weight="0"/>
<location http_role="conneg" ctype="application/json" href_template="https://json.example/{hdl}" http="303" weight="0"/></locations>`)
	for _, name := range []string{"88.3/x", "88.3/größe #1", "88.3.1/x", "88.4/x"} {
		s.put(name, valued(1, "URL", "https://maker.example/own"))
	}
	s.put("88.3/loc", valued(1, "10320/loc", `<locations><location href="https://own.example/"/></locations>`))
	s.put("88.3/conneg", valued(1, "10320/loc", `<locations><location href="https://own.example/"/><location href="https://rdf.example/" ctype="application/rdf+xml"/></locations>`))
	s.put("88.3/nothing", valued(1, "DESC", "no link"))
	s.put("88.1/broken-url", valued(1, "10320/loc", "<!DOCTYPE a><locations/>"), valued(2, "URL", "https://maker.example/url"))
}

func proxyCases() []exchange {
	to := func(rule, target string, status int, location string) exchange {
		return exchange{rule: rule, target: target, status: status, wantHeader: map[string]string{"Location": location}}
	}
	asking := func(c exchange, name, text string) exchange {
		c.header = map[string]string{name: text}
		return c
	}
	shows := func(rule, target string, status int, has ...string) exchange {
		return exchange{rule: rule, target: target, status: status, has: has, header: map[string]string{"Accept": "text/html"}}
	}
	const plain = "https://maker.example/p?a=1#f"
	cases := []exchange{
		{rule: "proxy: a link is followed with 302 and a short page", target: "/88.1/p", status: 302, has: []string{`<a href="https://maker.example/p?a=1#f">`},
			wantHeader: map[string]string{"Location": plain, "Content-Type": "text/html; charset=utf-8", "Cache-Control": "public, max-age=86400"}},
		to("proxy: letters compare without case", "/88.1/P", 302, plain),
		to("proxy: a URL goes before its subtypes", "/88.1/two", 302, "https://maker.example/two"),
		to("proxy: a subtype of URL is followed", "/88.1/sub", 302, "https://maker.example/manual"),
		to("proxy: an alias is 301 to the same proxy, with the query", "/88.1/a2?urlappend=x&b", 301, "/88.1/p?urlappend=x&b"),
		to("proxy: an alias is 301 to the same proxy, with the query", "/88.1/gone", 301, "/88.1/none"),
		to("proxy: aliases of aliases", "/88.1/A1", 301, "/88.1/p"),
		to("proxy: an alias of itself", "/88.1/round", 508, ""),
		to("proxy: an alias of itself", "/88.1/far0", 508, ""),
		to("proxy: an alias of itself", "/88.1/far4", 301, "/88.1/far12"),
		to("proxy: ignore_aliases", "/88.1/a1?ignore_aliases", 302, "https://maker.example/a1"),
		to("proxy: an alias that is no handle", "/88.1/odd-alias", 404, ""),
		shows("proxy: noredirect", "/88.1/p?noredirect", 200, "<h1><bdi>88.1/p</bdi></h1>", `<a href="https://maker.example/p?a=1#f" rel=`),
		shows("proxy: noredirect", "/88.1/a1?noredirect=true", 200, `<a href="/88.1/a2?noredirect">88.1/A2</a>`),
		shows("proxy: action=showvalues", "/88.1/p?action=showvalues", 200, "<h1><bdi>88.1/p</bdi></h1>", "1 value"),
		{rule: "proxy: action=showurls", target: "/88.1/loc?action=showurls", status: 200, has: []string{
			`<location id="0" href="https://de.example/" country="de" weight="0"/>`, `<location id="1" role="metadata" href="https://other.example/" weight="1"/>`},
			wantHeader: map[string]string{"Content-Type": "application/xml; charset=utf-8"}},
		{rule: "proxy: action=showurls", target: "/88.1/p?action=showurls", status: 200, has: []string{`<location href="https://maker.example/p?a=1#f"/>`}},
		to("proxy: action=metadata", "/88.1/loc?action=metadata", 302, "https://other.example/"),
		{rule: "proxy: action=api", target: "/88.1/Two?action=api&type=URL", status: 200, has: []string{`{"responseCode":1,"handle":"88.1/Two","values":[{"index":2,`}},
		to("proxy: an unknown action redirects", "/88.1/p?action=redirect", 302, plain),
		to("proxy: urlappend", "/88.1/bare?urlappend=%2Fx%3Fa%23b", 302, "https://maker.example/x?a#b"),
		to("proxy: urlappend", "/88.1/loc?urlappend=x&locatt=id:1", 302, "https://other.example/x"),
		to("proxy: urlappend to another host", "/88.1/bare?urlappend=.evil.example", 400, ""),
		to("proxy: urlappend to another host", "/88.1/bare?urlappend=%40evil.example", 400, ""),
		to("proxy: urlappend to another host", "/88.1/bare?urlappend=%3A8443", 400, ""),
		to("proxy: type", "/88.1/two?type=URL.MANUAL", 302, "https://maker.example/manual"),
		to("proxy: index", "/88.1/two?index=1", 302, "https://maker.example/manual"),
		to("proxy: index", "/88.1/two?index=one", 400, ""),
		to("proxy: auth and cert", "/88.1/p?auth&cert=true", 302, plain),
		to("proxy: auth and cert", "/88.1/p?auth=perhaps", 400, ""),
		to("proxy: unknown handle", "/88.1/none", 404, ""),
		shows("proxy: unknown handle", "/88.1/none?noredirect", 404, "<h1>Not registered</h1>"),
		to("proxy: malformed handle", "/88.1/", 400, ""),
		shows("proxy: malformed handle", "/88.1/", 400, "<h1>This is not an identifier</h1>"),
		to("proxy: delegated below", "/88.200.1/x?noredirect", 303, "http://192.0.2.7:8080/88.200.1/x?noredirect"),
		to("proxy: nothing to follow", "/88.1/none-to-follow", 404, ""),
		shows("proxy: nothing to follow, for a person", "/88.1/none-to-follow", 404, "There is no link to follow", "88.1/none-to-follow"),
		to("proxy: no such value", "/88.1/two?type=NONE", 404, ""),
		to("proxy: Digital Link goes first", "/88.1/01/09506000134353", 400, ""),
		{rule: "proxy: Digital Link goes first", target: "/hdl:88.1/01/09506000134353", status: 404},
		shows("proxy: what is shown is escaped", "/88.1/none-to-follow?noredirect", 200, "&lt;script&gt;alert(1)&lt;/script&gt;"),

		to("loc: locatt chooses", "/88.1/loc?locatt=id:0", 302, "https://de.example/"),
		to("loc: locatt chooses", "/88.1/loc?locatt=id", 400, ""),
		to("loc: a locatt that nothing has is passed over", "/88.1/loc?locatt=id:7", 302, "https://other.example/"),
		asking(to("loc: the country of the reader", "/88.1/loc", 302, "https://de.example/"), "Accept-Language", "de-DE, en;q=0.5"),
		asking(to("loc: a country that nothing is for", "/88.1/loc", 302, "https://other.example/"), "Accept-Language", "fr-FR"),
		to("loc: the best score", "/88.1/score", 302, "https://b.example/"),
		to("loc: weight 0 is never drawn", "/88.1/weights", 302, "https://always.example/"),
		{rule: "loc: all weights 0", target: "/88.1/zeros", status: 302, has: []string{"https://zero.example/"}},
		{rule: "loc: weighted choices are not kept", target: "/88.1/weights", status: 302, wantHeader: map[string]string{"Cache-Control": "no-cache"}},
		{rule: "loc: weighted choices are not kept", target: "/88.1/score", status: 302, wantHeader: map[string]string{"Cache-Control": "public, max-age=86400"}},
		to("loc: a status of its own", "/88.1/status", 308, "https://s.example/"),
		to("loc: an unknown status", "/88.1/odd-status", 302, "https://s.example/"),
		to("loc: chooseby", "/88.1/score", 302, "https://b.example/"),
		asking(to("loc: a negotiated type", "/88.1/conneg", 302, "https://rdf.example/"), "Accept", "application/rdf+xml, application/json;q=0.9, */*;q=0.1"),
		asking(to("loc: a negotiated type", "/88.1/conneg", 302, "https://json.example/"), "Accept", "application/rdf+xml;q=0.5, application/json"),
		asking(exchange{rule: "loc: a type that nothing is of", target: "/88.1/conneg", status: 302}, "Accept", "image/png"),
		asking(to("loc: for browsers", "/88.1/conneg", 302, "https://page.example/"), "Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
		to("loc: for who does not negotiate", "/88.1/conneg", 302, "https://plain.example/"),
		asking(to("loc: languages", "/88.1/language", 302, "https://de.example/"), "Accept-Language", "de-AT, en;q=0.5"),
		asking(to("loc: languages", "/88.1/language", 302, "https://any.example/"), "Accept-Language", "ja"),
		{rule: "loc: the address of the reader", target: "/88.1/address", status: 302, wantHeader: map[string]string{"Location": "https://inside.example/", "Cache-Control": "no-cache"}},
		to("loc: what cannot be followed is left out", "/88.1/unfit", 302, "https://fit.example/"),
		to("loc: goes before URL", "/88.1/loc", 302, "https://other.example/"),
		to("loc: broken XML", "/88.1/broken-url", 302, "https://maker.example/url"),
		{rule: "loc: broken XML", target: "/88.1/broken", status: 404, has: []string{"no location that can be read (value 1:"}},
		to("loc: href_template", "/88.1/template", 302, "https://maker.example/?of=88.1/template&again=88.1/template"),
		{rule: "loc: href_template", target: "/88.1/template?action=showurls", status: 200, has: []string{`href="https://maker.example/?of=88.1/template&amp;again=88.1/template"`}},
		{rule: "loc: href_template", target: "/88.1/empty-template", status: 404, has: []string{"a location has no href"}},
		asking(to("loc: locs of the namespace, for who negotiates", "/88.3/x", 302, "https://meta.example/88.3/x"), "Accept", "application/rdf+xml"),
		asking(to("loc: locs of the namespace, for who negotiates", "/88.3/x", 303, "https://json.example/88.3/x"), "Accept", "application/rdf+xml;q=0.5, application/json"),
		asking(to("loc: locs of the namespace, for who negotiates", "/88.3/gr%C3%B6%C3%9Fe%20%231", 302, "https://meta.example/88.3/gr%C3%B6%C3%9Fe%20%231"), "Accept", "application/rdf+xml"),
		asking(to("loc: locs of the namespace, for who negotiates", "/88.3/loc", 302, "https://meta.example/88.3/loc"), "Accept", "application/rdf+xml"),
		asking(to("loc: locs of the namespace, for who negotiates", "/88.3/nothing", 302, "https://meta.example/88.3/nothing"), "Accept", "application/rdf+xml"),
		asking(to("loc: the record's own negotiation goes before locs", "/88.3/conneg", 302, "https://rdf.example/"), "Accept", "application/rdf+xml"),
		asking(to("loc: locs are not for browsers", "/88.3/x", 302, "https://maker.example/own"), "Accept", "text/html, application/xml;q=0.9"),
		to("loc: locs are not for who does not negotiate", "/88.3/x", 302, "https://maker.example/own"),
		asking(to("loc: locs are not for who asks for a value", "/88.3/x?index=1", 302, "https://maker.example/own"), "Accept", "application/json"),
		asking(to("loc: locs are not for prefixes below", "/88.3.1/x", 302, "https://maker.example/own"), "Accept", "application/json"),
		asking(to("loc: locs that cannot be had", "/88.4/x", 302, "https://maker.example/own"), "Accept", "application/json"),
		{rule: "loc: Vary", target: "/88.1/conneg", status: 302, wantHeader: map[string]string{"Vary": "Accept, Accept-Language"}},
	}
	for _, front := range []string{"hdl:", "HDL:", "info:hdl/", "urn:hdl:", "URN:HDL:"} {
		cases = append(cases, to("proxy: hdl: doi: info:hdl/ info:doi/ urn:hdl: urn:doi: are taken off", "/"+front+"88.1/p", 302, plain))
	}
	for _, front := range []string{"doi:", "info:doi/", "urn:doi:", "hdl:"} {
		cases = append(cases, to("proxy: hdl: doi: info:hdl/ info:doi/ urn:hdl: urn:doi: are taken off", "/"+front+"10.1000/182", 302, "https://doi.example/"))
	}
	return append(cases, shows("proxy: what is shown is escaped", "/88.1/"+strings.Repeat("%3Cb%3E", 3), 404, "&lt;b&gt;"))
}
