package http_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/resolver"
	resolverhttp "github.com/nameplate-id/nameplate/resolver/http"
	"github.com/nameplate-id/nameplate/resolver/resolvertest"
)

// tallied counts what was answered from lent records.
type tallied struct {
	resolverhttp.Records
	found atomic.Int64
}

func (c *tallied) Lend(loans []identifier.Loan, f func() (found, absent int)) error {
	return c.Records.Lend(loans, func() (int, int) {
		found, absent := f()
		c.found.Add(int64(found))
		return found, absent
	})
}

// some returns one of the given.
func some[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }

func linkTo(data string) identifier.Value {
	return identifier.Value{Type: "URL", Data: []byte(data), TTL: identifier.DefaultTTL, Permissions: identifier.DefaultPermissions}
}

func of(typ, data string) identifier.Value {
	v := linkTo(data)
	v.Type = typ
	return v
}

// linked returns an authority over records with links of all sorts, and the paths of them.
func linked() (*resolver.Authority, []string) {
	keys := identifier.Keyset{Version: 1, Threshold: 1, Keys: []identifier.PublicKey{{Type: identifier.Ed25519, Raw: strings.Repeat("\x01", 32)}}}
	there := identifier.Node{Name: "there", Key: identifier.PublicKey{Type: identifier.Ed25519, Raw: strings.Repeat("\x02", 32)},
		Addresses: []identifier.Address{{IP: "192.0.2.1", HTTP: 80}}}
	s := &resolvertest.Store{Apexes: []identifier.Prefix{"88", "gs1", "10"}, Records: map[identifier.ID]*identifier.Record{}, Delegations: map[identifier.Prefix]*identifier.Delegation{
		"88.30":  {Prefix: "88.30", Epoch: 1, Keyset: keys, Node: &there},
		"88.200": {Prefix: "88.200", Epoch: 1, Keyset: keys, Private: true},
	}}
	var paths []string
	put := func(path, text string, values ...identifier.Value) {
		s.Put(text, values...)
		paths = append(paths, path)
	}
	short, hidden, marked := linkTo("http://maker.example:8080/?a=1&b='2'"), linkTo("https://maker.example/h"), linkTo("https://maker.example/marked")
	short.TTL.Seconds, hidden.Permissions = 7, identifier.AdminRead
	marked.Link = &identifier.Link{Default: true, Relation: "gs1:pip", Languages: []string{"de"}}
	brief := of("DESC", "A pump")
	brief.TTL.Seconds = 3
	for i, values := range [][]identifier.Value{
		{linkTo("https://maker.example/plain")}, {linkTo("https://maker.example/plain"), brief}, {short}, {marked}, {brief}, {hidden},
		{linkTo("https://maker.example/plain"), hidden}, {linkTo("https://maker.example/1"), linkTo("https://maker.example/2")}, {marked, linkTo("https://maker.example/2")},
		{linkTo("https://maker.example/plain"), of("HS_ALIAS", "88.1/s0")}, {linkTo("https://maker.example/x"), of("10320/loc", `<locations><location href="https://loc.example/"/></locations>`)},
		{of("URL.x", "https://maker.example/sub")}, {linkTo("https://maker.example/%41?q=%c3%a9")}, {linkTo("https://maker.example/%zz")}, {linkTo("https://maker.example/größe")},
		{linkTo("https://maker.example/a b")}, {linkTo("https://maker.example/#there")}, {linkTo("ftp://maker.example/")}, {linkTo("https://")}, {linkTo("https:///x")}, {linkTo("http://maker.example")},
		{linkTo("HTTP://maker.example/")}, {linkTo("https://maker.example:/")}, {linkTo("https://maker.example:99999/")}, {linkTo("https://:80/")}, {linkTo("https://a@maker.example/")},
		{linkTo("https://maker.example?x=1")}, {linkTo("https://[::1]/")}, {linkTo("https://maker_example/")}, {linkTo("https://maker.example/" + strings.Repeat("p", 8192-22))},
		{linkTo("https://maker.example/" + strings.Repeat("p", 8192))}, {linkTo("https://maker.example/[x]|{y}^`~!$&'()*+,;=:@-._")}, {linkTo("")}, {},
	} {
		put(fmt.Sprintf("/88.1/s%d", i), fmt.Sprintf("88.1/s%d", i), values...)
		put(fmt.Sprintf("/01/09506000134352/21/s%d", i), fmt.Sprintf("gs1.9.5.0.6.0.0.0.1.3.4.3.5/010/21/s%d", i), values...)
	}
	// A service leads who negotiates for all handles of a prefix elsewhere.
	s.Put("88.7", of("HS_NAMESPACE", "<namespace><locs>88.7/SERV</locs></namespace>"))
	s.Put("88.7/serv", of("10320/loc", `<locations><location http_role="conneg" weight="0" href_template="https://meta.example/{hdl}"/></locations>`))
	for range 3 { // as often as needed to be drawn
		put("/88.7/x", "88.7/x", linkTo("https://maker.example/x"))
	}
	put("/10.1000/182", "10.1000/182", linkTo("https://doi.example/"))
	put("/88.1/a/b:c;d=e,f@g", "88.1/a/b:c;d=e,f@g", linkTo("https://maker.example/odd"))
	put("/88.1", "88.1", linkTo("https://maker.example/prefix"))
	put("/88.30/x", "88.30/x", linkTo("https://maker.example/"))
	put("/88.200/x", "88.200/x", linkTo("https://maker.example/"))
	put("/88.1/gr%C3%B6%C3%9Fe", "88.1/größe", linkTo("https://maker.example/"))
	put("/88.1/01/09506000134352", "88.1/01/09506000134352", linkTo("https://maker.example/not-gs1"))
	return resolver.NewAuthority(resolvertest.NewLender(s), resolver.Options{}), paths
}

// drawPath returns a path, changed as often as not.
func drawPath(r *rand.Rand, paths []string) string {
	path := some(r, paths[r.IntN(len(paths))], paths[0], paths[1], paths[2])
	switch r.IntN(40) {
	case 0:
		return strings.ToUpper(path)
	case 1:
		return path + some(r, "?noredirect", "?linkType=linkset", "?", "/", "?x=%zz", "#f")
	case 2:
		return some(r, "/hdl:", "//", "/stem", "/resolve", "/api/handles", "http://a", "/.") + path
	case 3:
		return some(r, "/", "/healthz", "/none", "/88.1/none", "/99/x", "*", "/favicon.ico", "/88.1/x%", "/88..1/x")
	case 4:
		b := []byte(path)
		b[r.IntN(len(b))] = some(r, '%', '?', '~', '!', '\'', '"', '<', '\\', ' ', '\t', 0x7f, 0xc3, byte(r.Uint32()))
		return string(b)
	}
	return path
}

// drawRequest returns a request, most of them plain.
func drawRequest(r *rand.Rand, paths []string) string {
	var b strings.Builder
	method, version := "GET", " HTTP/1.1"
	switch r.IntN(30) {
	case 0:
		method = some(r, "HEAD", "OPTIONS", "POST", "get")
	case 1:
		version = some(r, " HTTP/1.0", " HTTP/1.2", "")
	}
	b.WriteString(method + " " + drawPath(r, paths) + version + "\r\n")
	if r.IntN(40) > 0 {
		b.WriteString("Host: " + some(r, "localhost", "localhost", "id.example:8080", "[::1]:80") + "\r\n")
	} else {
		b.WriteString(some(r, "", "Host: \r\n", "Host: a b\r\n", "Host: a/b\r\n"))
	}
	for range r.IntN(4) {
		b.WriteString(some(r, "User-Agent: curl/8.0", "Accept: */*", "Accept: text/html,application/xhtml+xml;q=0.9", "Accept: application/json, text/html;q=0.5", "accept-language: de, en;q=0.5",
			"Accept-Encoding: gzip, br", "Connection: keep-alive", "Cache-Control: no-cache", "Sec-Fetch-Mode: navigate", "COOKIE: a=b", "X-Forwarded-For: 192.0.2.7"))
		b.WriteString("\r\n")
	}
	if r.IntN(25) == 0 {
		b.WriteString(some(r, "Accept: application/linkset+json", "Accept: text/html;q=0.1, application/LINKSET+json", "Content-Length: 0", "Connection: close", "Host: twice",
			"X-Unknown: x", "If-None-Match: *", "Range: bytes=0-1", "Bad Name: x", "NoColon", " folded", "User-Agent: \x01", "User-Agent:\tx", "Expect: 100-continue",
			"Transfer-Encoding: chunked\r\n\r\n0", "Connection: keep-alive, Upgrade", ": x", "Accept : */*", "Content-Type: application/x-hdl-message"))
		b.WriteString("\r\n")
	}
	b.WriteString("\r\n")
	return b.String()
}

var dates = regexp.MustCompile(`(?m)^Date: [^\r]*`)

// talk sends octets in pieces and returns all that comes back, without dates.
func talk(t testing.TB, address string, octets string, pieces ...int) string {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Error(err)
		return ""
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	go func() { // the server may answer the first before it has read the last
		for _, size := range pieces {
			size = min(size, len(octets))
			_, _ = io.WriteString(c, octets[:size])
			octets = octets[size:]
			time.Sleep(time.Millisecond)
		}
		_, _ = io.WriteString(c, octets)
	}()
	got, _ := io.ReadAll(c)
	return dates.ReplaceAllString(string(got), "Date: -")
}

// Whatever is asked over whatever connection, the octets of the answers are those of a
// server that knows no plain way.
func TestPlainAgrees(t *testing.T) {
	sequences := 3_000
	if testing.Short() {
		sequences = 300
	}
	a, paths := linked()
	counted := &tallied{Records: a}
	reference, plain := serve(t, a, resolverhttp.Options{}), serve(t, a, resolverhttp.Options{Records: counted})
	var asked atomic.Int64
	var wg sync.WaitGroup
	const workers = 48 // whoever sends garbage has to wait half a second
	for worker := range workers {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(worker), 8))
			for range sequences / workers {
				var b strings.Builder
				n := 1 + r.IntN(8)
				for range n {
					b.WriteString(drawRequest(r, paths))
				}
				b.WriteString("GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
				asked.Add(int64(n))
				var pieces []int
				for range r.IntN(3) {
					pieces = append(pieces, 1+r.IntN(200))
				}
				got, want := talk(t, plain, b.String(), pieces...), talk(t, reference, b.String())
				// What has been answered before garbage may be lost when the connection is reset.
				lost := garbled(got) && garbled(want) && (strings.HasPrefix(got, want) || strings.HasPrefix(want, got))
				if got != want && !lost {
					t.Errorf("%q\ngot  %q\nwant %q", b.String(), got, want)
					return
				}
			}
		})
	}
	wg.Wait()
	found := counted.found.Load()
	t.Logf("%d requests, %d plain", asked.Load(), found)
	if found < asked.Load()/5 || found > asked.Load()*9/10 {
		t.Errorf("got %d plain answers to %d requests; want both ways taken, or nothing is tested", found, asked.Load())
	}
}

// garbled reports whether a conversation ended in the middle.
func garbled(got string) bool { return !strings.HasSuffix(got, "\r\n\r\nok\n") }

// The same for what net/http has read: over TLS, HTTP/2, or behind a field that nobody knows.
func TestPlainHandlerAgrees(t *testing.T) {
	a, paths := linked()
	counted := &tallied{Records: a}
	reference, plain := resolverhttp.New(a, resolverhttp.Options{}).Handler(), resolverhttp.New(a, resolverhttp.Options{Records: counted}).Handler()
	r := rand.New(rand.NewPCG(1, 9))
	asked := 0
	for range 20_000 {
		path := drawPath(r, paths)
		request, err := http.ReadRequest(bufio.NewReader(strings.NewReader(some(r, "GET", "GET", "GET", "HEAD") + " " + path + " HTTP/1.1\r\nHost: a\r\n" +
			some(r, "", "", "", "Accept: application/linkset+json\r\n", "Accept: application/json\r\n", "Accept: text/html\r\nAccept-Language: de\r\n") + "\r\n")))
		if err != nil {
			continue
		}
		asked++
		var got, want httptest.ResponseRecorder
		got.Body, want.Body = new(bytes.Buffer), new(bytes.Buffer)
		plain.ServeHTTP(&got, request)
		reference.ServeHTTP(&want, request.Clone(t.Context()))
		if got.Code != want.Code || !bytes.Equal(got.Body.Bytes(), want.Body.Bytes()) || fmt.Sprint(got.Header()) != fmt.Sprint(want.Header()) {
			t.Fatalf("%q:\ngot  %d %v %q\nwant %d %v %q", path, got.Code, got.Header(), got.Body, want.Code, want.Header(), want.Body)
		}
	}
	if found := int(counted.found.Load()); found < asked/10 {
		t.Errorf("got %d plain answers to %d requests; want more", found, asked)
	}
}

// What is read as plain is what net/http reads, to the last octet.
func FuzzPlainRequest(f *testing.F) {
	r := rand.New(rand.NewPCG(2, 2))
	_, paths := linked()
	for range 300 {
		f.Add([]byte(drawRequest(r, paths)))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		path, size := resolverhttp.ReadPlainRequest(b)
		if size == 0 {
			return
		}
		rest := bytes.NewReader(b)
		reader := bufio.NewReaderSize(rest, len(b)+1)
		request, err := http.ReadRequest(reader)
		if err != nil {
			t.Fatalf("%q is plain, but no request: %v", b, err)
		}
		read := len(b) - rest.Len() - reader.Buffered()
		raw := request.URL.RawPath
		if raw == "" {
			raw = request.URL.EscapedPath()
		}
		if request.Method != http.MethodGet || raw != path || request.RequestURI != path || request.URL.RawQuery != "" || request.Host == "" || !request.ProtoAtLeast(1, 1) ||
			request.Close || request.ContentLength != 0 || len(request.TransferEncoding) > 0 || read != size {
			t.Fatalf("%q: got the path %q, %d octets; net/http has %q, %d octets: %+v", b, path, size, raw, read, request)
		}
	})
}

// Connections on which nothing is said, or half of something, end; those who go on are
// answered; and when the server ends, nobody is waited for.
func TestPlainConnections(t *testing.T) {
	a, _ := linked()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- resolverhttp.New(a, resolverhttp.Options{Records: a}).Serve(ctx, l) }()
	const request = "GET /88.1/s0 HTTP/1.1\r\nHost: a\r\n\r\n"
	var open []net.Conn
	for _, begin := range []string{"", "G", "GET /88.1", request, request + request + "GET /88.1/s0 HT"} {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		open = append(open, c)
		_, _ = io.WriteString(c, begin)
		reader := bufio.NewReader(c)
		for range strings.Count(begin, "\r\n\r\n") {
			response, err := http.ReadResponse(reader, nil)
			if err != nil || response.StatusCode != http.StatusFound {
				t.Fatalf("%q: got %v, %v; want a redirect", begin, response, err)
			}
			_, _ = io.Copy(io.Discard, response.Body)
		}
	}
	began := time.Now()
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Serve: %v", err)
	}
	if took := time.Since(began); took > 8*time.Second { // what net/http has of them gets five
		t.Errorf("the end took %v", took)
	}
	for i, c := range open {
		_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
		if _, err := io.Copy(io.Discard, c); err != nil && !strings.Contains(err.Error(), "reset") {
			t.Errorf("connection %d is still open: %v", i, err)
		}
	}
}

// Many requests at once are answered in their order, however the octets arrive, and their
// answers do not gather in memory.
func TestPlainPipelined(t *testing.T) {
	a, _ := linked()
	address := serve(t, a, resolverhttp.Options{Records: a})
	var b strings.Builder
	var want []string
	for i := range 2_000 {
		name := []string{"s0", "s2", "s20"}[i%3]
		want = append(want, map[string]string{"s0": "https://maker.example/plain", "s2": "http://maker.example:8080/?a=1&b='2'", "s20": "http://maker.example"}[name])
		b.WriteString("GET /88.1/" + name + " HTTP/1.1\r\nHost: a\r\n\r\n")
	}
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	go func() { _, _ = io.WriteString(c, b.String()) }()
	reader := bufio.NewReader(c)
	var got []string
	for range want {
		response, err := http.ReadResponse(reader, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, response.Body)
		got = append(got, response.Header.Get("Location"))
	}
	if !slices.Equal(got, want) {
		t.Error("the answers are not in the order of the requests")
	}
}
