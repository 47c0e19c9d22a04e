package node

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/resolver"
	resolverhandle "github.com/nameplate-id/nameplate/resolver/handle"
	resolverhttp "github.com/nameplate-id/nameplate/resolver/http"
)

// shelf is a store in memory, of a node that holds 88 and delegated 88.200.
type shelf map[identifier.ID]*identifier.Record

func (s shelf) Find(_ context.Context, id identifier.ID) (identifier.Finding, error) {
	f := identifier.Finding{Apex: "88", InZone: identifier.Prefix("88").Covers(id.Prefix) || id.Prefix == "10.1000", Record: s[id], Position: 7}
	if identifier.Prefix("88.200").Covers(id.Prefix) {
		holder, err := identifier.NewPrivateKey(rand.Reader)
		if err != nil {
			return f, err
		}
		f.Delegation = &identifier.Delegation{
			Prefix: "88.200", Epoch: 1, Keyset: identifier.Keyset{Version: 1, Threshold: 1, Keys: []identifier.PublicKey{holder.Public()}},
			Node: &identifier.Node{Name: "second", Key: holder.Public(), Addresses: []identifier.Address{{IP: "192.0.2.7", HTTP: 8080, Handle: 2641}}},
		}
	}
	for other := range s {
		f.Below = f.Below || id.IsPrefix() && other != id && id.Prefix.Covers(other.Prefix)
	}
	return f, nil
}

func (s shelf) FindHashed(ctx context.Context, p identifier.Prefix, _ identifier.Hash) (identifier.ID, identifier.Finding, error) {
	f, err := s.Find(ctx, identifier.ID{Prefix: p})
	return identifier.ID{Prefix: p}, f, err
}

// stamped is when the values of the shelf were written.
var stamped = time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)

func valued(index uint32, kind, data string) identifier.Value {
	return identifier.Value{
		Index: index, Type: kind, Data: []byte(data), TTL: identifier.DefaultTTL, Permissions: identifier.DefaultPermissions, Timestamp: stamped,
	}
}

// put puts a record on the shelf.
func (s shelf) put(text string, values ...identifier.Value) {
	id, err := identifier.Parse("hdl:" + text)
	if err != nil {
		panic(err)
	}
	s[id] = &identifier.Record{ID: id, Spelling: text, Version: 3, Time: stamped, Values: values}
}

func octets(t testing.TB, text string) string {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// fronts are the servers over a resolver, as a node has them.
func fronts(r resolver.Resolver) (*resolverhandle.Server, http.Handler) {
	self := identifier.Node{Name: "first", Addresses: []identifier.Address{{IP: "192.0.2.1", HTTP: 8000, Handle: 2641}}}
	h := resolverhandle.New(r, resolverhandle.Options{Node: self})
	return h, resolverhttp.New(r, resolverhttp.Options{Handles: handles{server: h}, Describe: describe}).Handler()
}

// exchange is one request, and what is wanted of its answer.
type exchange struct {
	rule           string // section and rule, as rules.txt has them
	method, target string
	header         map[string]string
	body           string
	status         int
	want           string            // the whole body; empty for any
	has            []string          // what the body has somewhere
	wantHeader     map[string]string // "" for none of that name
}

// handleRules reads the rules.
func handleRules(t *testing.T) []string {
	t.Helper()
	f, err := os.Open("../../../testdata/vectors/handlehttp/rules.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var rules []string
	for s := bufio.NewScanner(f); s.Scan(); {
		if line := s.Text(); line != "" && line[0] != '#' {
			section, rule, ok := strings.Cut(line, "\t")
			if !ok {
				t.Fatalf("rules.txt: %q has no tab", line)
			}
			rules = append(rules, section+": "+rule)
		}
	}
	return rules
}

// Each rule has a case, and each case a rule.
func TestHandleHTTP(t *testing.T) {
	cases := slices.Concat(restCases(t), typeCases(t), proxyCases())
	rules := handleRules(t)
	for _, missing := range uncovered(rules, cases) {
		t.Errorf("no case for the rule %q", missing)
	}
	s := shelves(t)
	proxyShelf(s)
	_, h := fronts(resolver.NewAuthority(s, resolver.Options{}))
	for i := range cases {
		c := &cases[i]
		t.Run(c.rule, func(t *testing.T) {
			if !slices.Contains(rules, c.rule) {
				t.Errorf("rules.txt has no rule %q", c.rule)
			}
			c.run(t, h)
		})
	}
}

// uncovered returns the rules without a case.
func uncovered(rules []string, cases []exchange) []string {
	return slices.DeleteFunc(slices.Clone(rules), func(rule string) bool {
		return slices.ContainsFunc(cases, func(c exchange) bool { return c.rule == rule })
	})
}

// A rule that loses its cases is noticed.
func TestHandleHTTPNotices(t *testing.T) {
	cases := restCases(t)
	left := slices.DeleteFunc(slices.Clone(cases), func(c exchange) bool { return c.rule == "rest: pretty" })
	if got := uncovered([]string{"rest: found", "rest: pretty"}, left); len(got) != 1 || got[0] != "rest: pretty" {
		t.Errorf("got %q; want the rule that lost its case", got)
	}
}

func (c *exchange) run(t *testing.T, h http.Handler) {
	t.Helper()
	method := c.method
	if method == "" {
		method = http.MethodGet
	}
	r := httptest.NewRequest(method, c.target, strings.NewReader(c.body))
	for name, text := range c.header {
		r.Header.Set(name, text)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	body := w.Body.String()
	if w.Code != c.status {
		t.Errorf("%s %s: got status %d; want %d\n%.1000s", method, c.target, w.Code, c.status, body)
	}
	if c.want != "" && body != c.want {
		t.Errorf("%s %s: got\n%s\nwant\n%s", method, c.target, body, c.want)
	}
	for _, part := range c.has {
		if !strings.Contains(body, part) {
			t.Errorf("%s %s: got\n%.3000s\nwant %s somewhere", method, c.target, body, part)
		}
	}
	for name, want := range c.wantHeader {
		if got := strings.Join(w.Header().Values(name), ", "); got != want {
			t.Errorf("%s %s: %s is %q; want %q", method, c.target, name, got, want)
		}
	}
	if got, want := w.Header().Get("Content-Length"), fmt.Sprint(len(body)); method != http.MethodHead && w.Code != http.StatusNoContent && got != want {
		t.Errorf("%s %s: Content-Length is %q; want %q", method, c.target, got, want)
	}
}

// shelves is what the cases ask about.
func shelves(t testing.TB) shelf {
	s := shelf{}
	hidden := valued(9, "SECRET", "x")
	hidden.Permissions = identifier.AdminRead | identifier.AdminWrite
	s.put("88.1/Sn-42", valued(1, "URL", "https://maker.example/sn-42"), valued(2, "EMAIL", "a@maker.example"), valued(3, "URL.MANUAL", "https://maker.example/manual"), hidden)
	s.put("88.1", valued(1, "DESC", "the maker"))
	s.put("88.1/alias", valued(1, "HS_ALIAS", "88.1/Sn-42"))
	odd := valued(1, "DESC", "x")
	odd.TTL = identifier.TTL{Absolute: true, Seconds: 1795000000}
	odd.Permissions = identifier.AdminRead | identifier.PublicRead | identifier.PublicWrite
	odd.Timestamp = time.Time{}
	odd.References = []identifier.Reference{{Handle: "88.1/x", Index: 5}}
	s.put("88.1/odd", odd)
	s.put("88.1/types",
		valued(1, "HS_ADMIN", octets(t, "0FF3 0000000B 302E4E412F38382E313233 0000012C")),
		valued(2, "HS_ADMIN", octets(t, "0FF3 0000000B 302E4E412F38382E313233 0000012C 0000")),
		valued(3, "HS_VLIST", octets(t, "00000001 00000006 38382E312F78 0000012C")),
		valued(4, "HS_PUBKEY", octets(t, "0000000B 5253415F5055425F4B4559 0000 00000003 010001 00000003 00C3A1")),
		valued(5, "HS_PUBKEY", octets(t, "0000000B 4453415F5055425F4B4559 0000 00000001 05 00000001 07 00000001 02 00000001 04")),
		valued(6, "HS_PUBKEY", octets(t, "0000000B 534D325F5055425F4B4559 0000 00000001 FF")),
		valued(7, "DESC", "größer <b>"),
		valued(8, "BLOB", "\xff\x00"),
		valued(9, "HS_SITE", "no site"),
	)
	return s
}

// sitePart is how the sites of the cases end.
const sitePart = `"protocolVersion":"2.11","serialNumber":%d,"primarySite":true,"multiPrimary":false,"attributes":[{"name":"desc","value":%q}],"servers":[{"serverId":1,"address":%q,"interfaces":[{"query":true,"admin":true,"protocol":"TCP","port":2641},{"query":true,"admin":false,"protocol":"UDP","port":2641},{"query":true,"admin":false,"protocol":"HTTP","port":%d}]}]`

func restCases(*testing.T) []exchange {
	const url = `{"index":1,"type":"URL","data":{"format":"string","value":"https://maker.example/sn-42"},"ttl":86400,"timestamp":"2026-11-28T12:00:00Z"}`
	const email = `{"index":2,"type":"EMAIL","data":{"format":"string","value":"a@maker.example"},"ttl":86400,"timestamp":"2026-11-28T12:00:00Z"}`
	const manual = `{"index":3,"type":"URL.MANUAL","data":{"format":"string","value":"https://maker.example/manual"},"ttl":86400,"timestamp":"2026-11-28T12:00:00Z"}`
	const head = `{"responseCode":1,"handle":"88.1/Sn-42","values":[`
	const all = head + url + "," + email + "," + manual + "]}\n"
	const form = "application/x-www-form-urlencoded"
	post := func(media, body string) exchange {
		return exchange{method: "POST", target: "/api/handles/88.1/Sn-42", header: map[string]string{"Content-Type": media}, body: body}
	}
	is := func(c exchange, rule string, status int, want string) exchange {
		c.rule, c.status, c.want = "rest: "+rule, status, want
		return c
	}
	get := func(rule, target string, status int, want string) exchange {
		return is(exchange{target: "/api/handles/" + target}, rule, status, want)
	}
	return []exchange{
		{rule: "rest: found", target: "/api/handles/88.1/Sn-42", status: 200, want: all, wantHeader: map[string]string{"Content-Type": "application/json; charset=utf-8"}},
		get("found, in any case of letters, which the answer repeats", "88.1/SN-42?type=EMAIL", 200, `{"responseCode":1,"handle":"88.1/SN-42","values":[`+email+"]}\n"),
		{rule: "rest: the record of a prefix is 0.NA/ and the prefix", target: "/api/handles/0.NA/88.1?type=DESC", status: 200, has: []string{`"handle":"0.NA/88.1"`, "the maker"}},
		get("an escaped slash is one", "88.1%2FSn-42", 200, all),
		get("types and indexes are a union", "88.1/Sn-42?type=EMAIL&index=1", 200, head+url+","+email+"]}\n"),
		get("a type that ends in a dot has its subtypes", "88.1/Sn-42?type=URL.", 200, head+url+","+manual+"]}\n"),
		get("no such value", "88.1/Sn-42?type=NONE", 200, `{"responseCode":200,"handle":"88.1/Sn-42","values":[]}`+"\n"),
		get("unknown handle", "88.1/none", 404, `{"responseCode":100,"handle":"88.1/none"}`+"\n"),
		{rule: "rest: invalid handle", target: "/api/handles/88.1/", status: 400, has: []string{`"responseCode":102`, `"message":`, `"handle":"88.1/"`}},
		{rule: "rest: broken index", target: "/api/handles/88.1/x?index=one", status: 400, has: []string{`"responseCode":4`}},
		{rule: "rest: broken truth value", target: "/api/handles/88.1/x?auth=perhaps", status: 400, has: []string{`"responseCode":4`}},
		get("unknown parameters are ignored", "88.1/Sn-42?overwrite=true&_=1", 200, all),
		get("auth, cert, publicOnly and doNotRefer are passed on", "88.1/Sn-42?auth&cert=true&publicOnly=true&doNotRefer=1", 200, all),
		{rule: "rest: auth, cert, publicOnly and doNotRefer are passed on", target: "/api/handles/88.200.1/x?doNotRefer", status: 400, has: []string{`"responseCode":301`}},
		get("hidden values are left out", "88.1/Sn-42?index=9", 200, `{"responseCode":200,"handle":"88.1/Sn-42","values":[]}`+"\n"),
		{rule: "rest: delegated below", target: "/api/handles/88.200.1/x", status: 300, has: []string{`{"responseCode":302,"handle":"88.200.1/x","values":[{"index":`, `"type":"HS_SITE"`, fmt.Sprintf(sitePart, resolverhandle.NoSerial, "second", "192.0.2.7", 8080)}},
		{rule: "rest: delegated below", target: "/api/handles/0.NA/88.200.1", status: 300, has: []string{`"responseCode":303`, `"type":"HS_SITE.PREFIX"`}},
		{rule: "rest: delegated prefix", target: "/api/handles/0.NA/88.200", status: 200, has: []string{`"responseCode":1`, `"type":"HS_SITE"`, `"type":"HS_SITE.PREFIX"`, `"type":"HS_SERV","data":{"format":"string","value":"0.NA/88.200"}`}},
		{rule: "rest: aliases are data", target: "/api/handles/88.1/alias", status: 200, has: []string{`"type":"HS_ALIAS","data":{"format":"string","value":"88.1/Sn-42"}`}},
		{rule: "rest: pretty", target: "/api/handles/88.1/none?pretty", status: 404, want: "{\n  \"responseCode\": 100,\n  \"handle\": \"88.1/none\"\n}\n"},
		{
			rule: "rest: callback", target: "/api/handles/88.1/none?callback=app.read_1", status: 200, want: `/**/app.read_1({"responseCode":100,"handle":"88.1/none"});` + "\n",
			wantHeader: map[string]string{"Content-Type": "application/javascript; charset=utf-8", "X-Content-Type-Options": "nosniff"},
		},
		{rule: "rest: callback, whose script is 200 whatever it says", target: "/api/handles/88.1/x?callback=f&auth=perhaps&index=one", status: 200, has: []string{`/**/f({"responseCode":4,`}},
		{rule: "rest: callback, whose script is 200 whatever it says", target: "/api/handles/88.200.1/x?callback=f", status: 200, has: []string{`/**/f({"responseCode":302,`}},
		{rule: "rest: callback, whose script is 200 whatever it says", target: "/api/handles/88.1/?callback=f", status: 200, has: []string{`/**/f({"responseCode":102,`}},
		{rule: "rest: broken callback", target: "/api/handles/88.1/none?callback=alert(1)//", status: 400, has: []string{`"responseCode":4`}},
		is(post("application/json", `{"type":["EMAIL","NONE"],"index":[1]}`), "POST of JSON", 200, head+url+","+email+"]}\n"),
		is(post("application/json; charset=utf-8", `{"type":"EMAIL","index":"1","publicOnly":true,"other":{"a":[]}}`), "POST of JSON", 200, head+url+","+email+"]}\n"),
		is(post(form, "type=EMAIL&index=1"), "POST of a form", 200, head+url+","+email+"]}\n"),
		is(post("text/plain", "type=EMAIL"), "POST of something else", 400, ""),
		is(post("application/json", `{"type":"`+strings.Repeat("x", 70000)+`"}`), "POST of too much", 400, ""),
		is(post("application/json", `[`), "POST of broken JSON", 400, ""),
		is(post("application/json", `{"type":{"a":1},"index":[[1]]}`), "POST of broken JSON", 400, ""),
		{rule: "rest: HEAD", method: "HEAD", target: "/api/handles/88.1/none", status: 404, wantHeader: map[string]string{"Content-Length": "42"}},
		{rule: "rest: changes are not taken", method: "PUT", target: "/api/handles/88.1/x", body: "{}", status: 501, has: []string{`"responseCode":5`}},
		{rule: "rest: changes are not taken", method: "DELETE", target: "/api/handles/88.1/x?index=1", status: 501, has: []string{`"responseCode":5`}},
		{rule: "rest: site information", target: "/api/site", status: 200, want: `{"responseCode":1,"site":{"version":1,` + fmt.Sprintf(sitePart, 1, "first", "192.0.2.1", 8000) + "}}\n"},
		{rule: "rest: lists want an administrator", target: "/api/handles?prefix=88.1", status: 403, has: []string{`"responseCode":402`}},
		{rule: "rest: lists want an administrator", target: "/api/prefixes", status: 403, has: []string{`"responseCode":402`}},
		{rule: "rest: lists want an administrator", target: "/api/prefixes", header: map[string]string{"Authorization": "Basic eDp5"}, status: 501},
		{rule: "rest: sessions and verifications are not there", method: "POST", target: "/api/sessions", header: map[string]string{"Content-Type": "application/json"}, body: "{}", status: 501, has: []string{`"responseCode":5`}},
		{rule: "rest: sessions and verifications are not there", target: "/api/sessions/this", status: 501},
		{rule: "rest: sessions and verifications are not there", method: "PUT", target: "/api/verifications", status: 501},
		{rule: "cors: any origin may read, without credentials", target: "/api/handles/88.1/none", header: map[string]string{"Origin": "https://app.example"}, status: 404,
			wantHeader: map[string]string{"Access-Control-Allow-Origin": "*", "Access-Control-Allow-Credentials": ""}},
		{rule: "cors: preflight", method: "OPTIONS", target: "/api/handles/88.1/none", header: map[string]string{"Origin": "https://app.example", "Access-Control-Request-Method": "POST"}, status: 204,
			wantHeader: map[string]string{"Access-Control-Allow-Methods": "GET, HEAD, POST, OPTIONS", "Access-Control-Allow-Headers": "*"}},
	}
}

func typeCases(*testing.T) []exchange {
	typed := func(rule string, index int, want string) exchange {
		return exchange{rule: rule, target: fmt.Sprintf("/api/handles/88.1/types?index=%d", index), status: 200, has: []string{`"data":` + want + `,"ttl"`}}
	}
	odd := func(rule, want string) exchange {
		return exchange{rule: "values: " + rule, target: "/api/handles/88.1/odd", status: 200, has: []string{want}}
	}
	return []exchange{
		typed("types: HS_ADMIN", 1, `{"format":"admin","value":{"handle":"0.NA/88.123","index":300,"permissions":"111111110011"}}`),
		typed("types: HS_ADMIN, its old form", 2, `{"format":"admin","value":{"handle":"0.NA/88.123","index":300,"permissions":"111111110011","legacyByteLength":true}}`),
		typed("types: HS_VLIST", 3, `{"format":"vlist","value":[{"handle":"88.1/x","index":300}]}`),
		typed("types: HS_PUBKEY of RSA", 4, `{"format":"key","value":{"e":"AQAB","kty":"RSA","n":"w6E"}}`),
		typed("types: HS_PUBKEY of DSA", 5, `{"format":"key","value":{"g":"Ag","kty":"DSA","p":"Bw","q":"BQ","y":"BA"}}`),
		typed("types: HS_PUBKEY of a kind that has no form", 6, `{"format":"base64","value":"AAAAC1NNMl9QVUJfS0VZAAAAAAAB/w=="}`),
		typed("types: text", 7, `{"format":"string","value":"größer <b>"}`),
		typed("types: octets", 8, `{"format":"base64","value":"/wA="}`),
		typed("types: what says that it is of a type and is not", 9, `{"format":"string","value":"no site"}`),
		{rule: "types: HS_SITE", target: "/api/handles/0.NA/88.200?type=HS_SITE", status: 200, has: []string{`"data":{"format":"site","value":{"version":1,` + fmt.Sprintf(sitePart, resolverhandle.NoSerial, "second", "192.0.2.7", 8080) + "}}"}},
		{rule: "values: TTL of a span", target: "/api/handles/88.1/Sn-42?index=1", status: 200, has: []string{`"ttl":86400,`}},
		odd("TTL until a time", `"ttl":"2026-11-18T11:06:40Z"`),
		odd("permissions other than 1110", `"permissions":"1011"`),
		odd("references", `"references":[{"handle":"88.1/x","index":5}]`),
		{rule: "values: timestamp", target: "/api/handles/88.1/Sn-42?index=1", status: 200, has: []string{`"timestamp":"2026-11-28T12:00:00Z"`}},
	}
}
