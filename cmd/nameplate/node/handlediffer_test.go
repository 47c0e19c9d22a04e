package node

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/resolver"
	resolverdns "github.com/nameplate-id/nameplate/resolver/dns"
	resolverhandle "github.com/nameplate-id/nameplate/resolver/handle"
)

// seen is what one protocol tells of one value, as text.
type seen []string

// The same random records over REST, in Handle messages and over DNS: the same values,
// or the same word that there are none.
func TestHandleDiffers(t *testing.T) {
	random := rand.New(rand.NewPCG(6, 88))
	s := shelf{}
	var names []string
	for i := range 200 {
		name := fmt.Sprintf("88.%d/Item-%d", random.IntN(4), i)
		names = append(names, name)
		s.put(name, randomValues(random)...)
	}
	names = append(names, "88.1/none", "88.200/x", "0.NA/88.200", "0.NA/88.1", "88.1/", "no prefix!/x")
	authority := resolver.NewAuthority(s, resolver.Options{})
	handleServer, h := fronts(authority)
	tunnel := handleServer.Tunnel()
	overNames := serveDNS(t, authority)
	compared := 0
	for _, name := range names {
		for range 5 {
			types, indexes := randomSelection(random)
			rest, code := overREST(t, h, name, types, indexes)
			message, want := overMessages(t, tunnel, name, types, indexes)
			if code != want || strings.Join(rest, "\n") != strings.Join(message, "\n") {
				t.Fatalf("%s %q %d: REST says %d\n%s\nHandle says %d\n%s", name, types, indexes, code, strings.Join(rest, "\n"), want, strings.Join(message, "\n"))
			}
			id, err := identifier.Parse("hdl:" + name)
			if err != nil || id.IsPrefix() || id.Prefix == "88.200" {
				continue // made values are Handle's own
			}
			a, err := overNames.Resolve(t.Context(), resolver.Query{ID: id})
			if err != nil {
				t.Fatal(err)
			}
			if names := overDNS(a, types, indexes); strings.Join(names, "\n") != strings.Join(rest, "\n") {
				t.Fatalf("%s %q %d: DNS says\n%s\nREST says\n%s", name, types, indexes, strings.Join(names, "\n"), strings.Join(rest, "\n"))
			}
			compared += len(rest)
		}
	}
	if compared < 600 {
		t.Errorf("only %d values were compared over all three", compared)
	}
}

func randomValues(random *rand.Rand) []identifier.Value {
	var values []identifier.Value
	index := uint32(0)
	for range 1 + random.IntN(6) {
		index += 1 + random.Uint32N(100)
		v := identifier.Value{Index: index, TTL: identifier.DefaultTTL, Permissions: identifier.DefaultPermissions}
		v.Type = []string{"URL", "URL.A", "DESC", "EMAIL", "HS_ADMIN", "10320/loc", "BLOB"}[random.IntN(7)]
		switch v.Type {
		case "URL":
			v.Data = fmt.Appendf(nil, "https://maker.example/%d?a=b&c", random.IntN(1000))
		case "HS_ADMIN":
			v.Data = (&resolverhandle.Admin{Permissions: resolverhandle.AdminPermissions(random.IntN(1 << 13)), Who: identifier.Reference{Handle: "0.NA/88", Index: 300}}).Append(nil)
		case "BLOB":
			v.Data = make([]byte, random.IntN(40))
			for i := range v.Data {
				v.Data[i] = byte(random.Uint32())
			}
		default:
			v.Data = []byte([]string{"", "Pumpe, größer <b>\"\\", "\u2028\x00", "x"}[random.IntN(4)])
		}
		if random.IntN(3) == 0 {
			v.TTL = identifier.TTL{Seconds: random.Uint32N(100000)}
		}
		if random.IntN(5) == 0 {
			v.TTL = identifier.TTL{Absolute: true, Seconds: uint32(time.Now().Unix()) + random.Uint32N(1e6)}
		}
		if random.IntN(3) == 0 {
			v.Permissions = identifier.Permissions(random.IntN(16))
		}
		if random.IntN(2) == 0 {
			v.Timestamp = time.Unix(1+int64(random.Uint32N(1<<31)), 0).UTC()
		}
		if random.IntN(5) == 0 {
			v.References = []identifier.Reference{{Handle: "88.1/é", Index: random.Uint32()}}
		}
		values = append(values, v)
	}
	return values
}

func randomSelection(random *rand.Rand) (types []string, indexes []uint32) {
	if random.IntN(2) == 0 {
		types = append(types, []string{"URL", "URL.", "BLOB", "none"}[random.IntN(4)])
	}
	if random.IntN(2) == 0 {
		indexes = append(indexes, random.Uint32N(200))
	}
	return types, indexes
}

// told writes a value; data is its JSON form.
func told(index uint32, kind, data, ttl, permissions, timestamp string, references []identifier.Reference) string {
	return fmt.Sprintf("%d %s %s %s %s %s %v", index, kind, data, ttl, permissions, timestamp, references)
}

// toldValue writes a value that came as one.
func toldValue(v *identifier.Value) string {
	format, form := describe(v)
	data, _ := json.Marshal(map[string]any{"format": format, "value": form})
	var sorted any // members in the order that REST's are compared in
	_ = json.Unmarshal(data, &sorted)
	data, _ = json.Marshal(sorted)
	ttl, timestamp := fmt.Sprint(v.TTL.Seconds), ""
	if v.TTL.Absolute {
		ttl = time.Unix(int64(v.TTL.Seconds), 0).UTC().Format(`"2006-01-02T15:04:05Z"`)
	}
	if !v.Timestamp.IsZero() {
		timestamp = v.Timestamp.Format(time.RFC3339)
	}
	return told(v.Index, v.Type, string(data), ttl, fmt.Sprintf("%04b", v.Permissions), timestamp, v.References)
}

func overREST(t *testing.T, h http.Handler, name string, types []string, indexes []uint32) (seen, uint32) {
	t.Helper()
	parameters := url.Values{"type": types}
	for _, i := range indexes {
		parameters.Add("index", fmt.Sprint(i))
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/api/handles/"+url.PathEscape(name)+"?"+parameters.Encode(), nil))
	var d struct {
		ResponseCode uint32
		Values       []struct {
			Index                  uint32
			Type                   string
			Data                   any
			TTL                    json.RawMessage
			Permissions, Timestamp string
			References             []identifier.Reference
		}
	}
	if err := json.Unmarshal(w.Body.Bytes(), &d); err != nil {
		t.Fatalf("%s: %v\n%s", name, err, w.Body)
	}
	var list seen
	for _, v := range d.Values {
		data, _ := json.Marshal(v.Data)
		if v.Permissions == "" {
			v.Permissions = "1110"
		}
		list = append(list, told(v.Index, v.Type, string(data), string(v.TTL), v.Permissions, v.Timestamp, v.References))
	}
	return list, d.ResponseCode
}

func overMessages(t *testing.T, tunnel http.Handler, name string, types []string, indexes []uint32) (seen, uint32) {
	t.Helper()
	v := resolverhandle.Version{Major: 2, Minor: 11}
	m := &resolverhandle.Message{
		Envelope: resolverhandle.Envelope{Version: v, Suggested: v, Request: 1},
		Opcode:   resolverhandle.OpResolution, Serial: resolverhandle.NoSerial, Flags: resolverhandle.FlagPublicOnly,
		Body: resolverhandle.Resolution{Handle: name, Types: types, Indexes: indexes}.Append(nil),
	}
	r := httptest.NewRequest("POST", "/", bytes.NewReader(m.AppendStream(nil)))
	r.Header.Set("Content-Type", resolverhandle.TunnelType)
	w := httptest.NewRecorder()
	tunnel.ServeHTTP(w, r)
	b := w.Body.Bytes()
	e, err := resolverhandle.ParseEnvelope(b)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := resolverhandle.ParseMessage(e, b[20:])
	if err != nil {
		t.Fatal(err)
	}
	_, body, err := answer.ParseBody()
	if err != nil {
		t.Fatal(err)
	}
	var values []identifier.Value
	switch body := body.(type) {
	case resolverhandle.Values:
		values = body.Values
	case resolverhandle.Refer:
		values = body.Values
	}
	var list seen
	for i := range values {
		list = append(list, toldValue(&values[i]))
	}
	return list, uint32(answer.Code)
}

func overDNS(a resolver.Answer, types []string, indexes []uint32) seen {
	if a.Record == nil {
		return nil
	}
	q := resolver.Query{Types: types, Indexes: indexes}
	var list seen
	for i := range a.Record.Values {
		if v := &a.Record.Values[i]; q.Selects(v) {
			list = append(list, toldValue(v))
		}
	}
	return list
}

// serveDNS serves a resolver over DNS on loopback and returns a client.
func serveDNS(t *testing.T, r resolver.Resolver) resolver.Resolver {
	t.Helper()
	s, err := resolverdns.New(r, resolverdns.Options{})
	if err != nil {
		t.Fatal(err)
	}
	listener, sockets, err := listenBoth("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- s.Serve(ctx, sockets, []net.Listener{listener}) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return resolverdns.NewClient(listener.Addr().String(), resolverdns.ClientOptions{})
}

// A node answers messages that HTTP carries where it answers HTTP, and REST beside.
func TestHandleOverHTTP(t *testing.T) {
	n, _ := began(t, func(c *Config) { c.Name = "top" })
	id := identifier.ID{Prefix: "88.118.8", Suffix: "sn-42"}
	register(t, n.registry, ownPrefix(t, n, id.Prefix), id)
	at := "http://" + n.Addresses().HTTP[0]
	c, err := resolverhandle.NewTunnelClient(at, resolverhandle.TunnelOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	a, err := c.Resolve(t.Context(), resolver.Query{ID: id})
	if err != nil || a.Outcome != resolver.Found || string(a.Record.Values[0].Data) != "https://maker.example/42" {
		t.Errorf("got %+v, %v; want the record", a, err)
	}
	response, err := http.Get(at + "/api/handles/88.118.8/SN-42")
	if err != nil || response.StatusCode != 200 {
		t.Fatalf("got %v, %v", response, err)
	}
	response.Body.Close()
	page := metricsOf(t, n.Addresses().HTTP[0])
	if line := `nameplate_answers_total{outcome="found",protocol="http"} 2`; !strings.Contains(page, line+"\n") {
		t.Errorf("/metrics has no line %s", line)
	}
}
