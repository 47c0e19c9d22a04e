package node

import (
	"context"
	"crypto/rand"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/nameplate-id/nameplate/proto"
	"github.com/nameplate-id/nameplate/registry"
	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/resolver"
	resolverhandle "github.com/nameplate-id/nameplate/resolver/handle"
	resolverrpc "github.com/nameplate-id/nameplate/resolver/rpc"
)

// changed signs a change with one link.
func changed(t *testing.T, signer identifier.PrivateKey, keyset uint64, id identifier.ID) *identifier.Change {
	t.Helper()
	c, err := identifier.SignChange(
		identifier.Header{Prefix: id.Prefix, Epoch: 1, KeysetVersion: keyset, Expiry: time.Now().Add(time.Hour)},
		[]identifier.Row{{Op: identifier.Put, ID: id, Version: 1, Values: []identifier.Value{{
			Index: 1, Type: "URL", Data: []byte("https://maker.example/42"), TTL: identifier.DefaultTTL, Permissions: identifier.DefaultPermissions,
		}}}}, rand.Reader, signer)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// onAll starts a node that answers over all four protocols.
func onAll(t *testing.T, change func(*Config)) *Node {
	n, _ := began(t, func(c *Config) {
		c.Name, c.Listen.Handle = "top", []string{"127.0.0.1:0"}
		change(c)
	})
	return n
}

// fetch asks over HTTP and follows nothing.
func fetch(t *testing.T, n *Node, path string) (*http.Response, string) {
	t.Helper()
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	r, err := client.Get("http://" + n.Addresses().HTTP[0] + path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r, string(body)
}

// query asks over DNS, with EDNS so that a reason can come with the answer.
func query(t *testing.T, n *Node, network, name string, rrtype uint16) *dns.Msg {
	t.Helper()
	m := (&dns.Msg{}).SetQuestion(name, rrtype)
	m.SetEdns0(1232, false)
	a, _, err := (&dns.Client{Net: network, Timeout: 10 * time.Second}).Exchange(m, n.Addresses().DNS[0])
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// What a client is told of a record whose holder has said that a key was in the wrong hands
// when it was registered, on each wire; and of one that is good, nothing. The values are
// there either way.
func TestSuspectOnEachWire(t *testing.T) {
	n := onAll(t, func(*Config) {})
	good, bad := identifier.ID{Prefix: "88.118.8", Suffix: "good"}, identifier.ID{Prefix: "88.118.8", Suffix: "bad"}
	stolen := ownPrefix(t, n, good.Prefix)
	register(t, n.registry, stolen, good)
	since := positionOf(t, n)
	register(t, n.registry, stolen, bad)
	fresh, err := identifier.NewPrivateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	payload, err := identifier.AppendKeysetChange(nil, &identifier.KeysetChange{Prefix: good.Prefix, Epoch: 1, Keyset: identifier.Keyset{
		Version: 2, Threshold: 1, Keys: []identifier.PublicKey{fresh.Public()}, Suspect: &identifier.Suspicion{Log: n.registry.LogID(), Since: since},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := n.registry.Delegate(t.Context(), identifier.Sign(identifier.KeysetType, payload, nodeKey(t, n))); err != nil {
		t.Fatal(err)
	}
	rpc, err := resolverrpc.NewClient(n.Addresses().GRPC[0], resolverrpc.ClientOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer rpc.Close()
	handle := resolverhandle.NewClient(n.Addresses().Handle[0], resolverhandle.ClientOptions{})

	// reason reports whether the reply has an Extended DNS Error (RFC 8914) of code 0 that
	// says so.
	reason := func(m *dns.Msg) bool {
		for _, o := range m.IsEdns0().Option {
			if e, ok := o.(*dns.EDNS0_EDE); ok && e.InfoCode == dns.ExtendedErrorCodeOther && strings.HasPrefix(e.ExtraText, "suspect: ") {
				return true
			}
		}
		return false
	}
	dnsWire := func(network string, rrtype uint16) func(*testing.T, identifier.ID) (bool, bool) {
		return func(t *testing.T, id identifier.ID) (found, told bool) {
			m := query(t, n, network, id.Suffix+"._i.8.118.88.id.internal.", rrtype)
			text := m.String()
			told = reason(m)
			if rrtype == dns.TypeTXT && told != strings.Contains(text, "suspect=yes") {
				t.Errorf("the reason and the text do not say the same: %s", text)
			}
			return m.Rcode == dns.RcodeSuccess && len(m.Answer) > 0, told
		}
	}
	for name, ask := range map[string]func(*testing.T, identifier.ID) (found, told bool){
		"DNS over UDP, URI": dnsWire("udp", dns.TypeURI),
		"DNS over UDP, TXT": dnsWire("udp", dns.TypeTXT),
		"DNS over TCP, URI": dnsWire("tcp", dns.TypeURI),
		"DNS over TCP, TXT": dnsWire("tcp", dns.TypeTXT),
		"gRPC": func(t *testing.T, id identifier.ID) (found, told bool) {
			a, err := rpc.Resolve(t.Context(), resolver.Query{ID: id})
			return err == nil && a.Outcome == resolver.Found, a.Record != nil && a.Record.Suspect
		},
		"HTTP, JSON": func(t *testing.T, id identifier.ID) (found, told bool) {
			r, body := fetch(t, n, "/resolve/"+id.String())
			told = strings.Contains(body, `"suspect": true`)
			if told != (r.Header.Get("Nameplate-Suspect") == "?1") {
				t.Errorf("the header says %q, the answer %s", r.Header.Get("Nameplate-Suspect"), body)
			}
			return r.StatusCode == http.StatusOK, told
		},
		"HTTP, redirect": func(t *testing.T, id identifier.ID) (found, told bool) {
			r, _ := fetch(t, n, "/"+id.String())
			return r.StatusCode == http.StatusFound && r.Header.Get("Location") == "https://maker.example/42", r.Header.Get("Nameplate-Suspect") == "?1"
		},
		"Handle, our client": func(t *testing.T, id identifier.ID) (found, told bool) {
			a, err := handle.Resolve(t.Context(), resolver.Query{ID: id})
			return err == nil && a.Outcome == resolver.Found, a.Record != nil && a.Record.Suspect
		},
	} {
		t.Run(name, func(t *testing.T) {
			for _, id := range []identifier.ID{good, bad} {
				if found, told := ask(t, id); !found || told != (id == bad) {
					t.Errorf("%s: found %v, told to be suspect %v", id, found, told)
				}
			}
		})
	}
	// Stock Handle software hears of it in no way: the REST interface has its form.
	r, body := fetch(t, n, "/api/handles/"+bad.String())
	if r.StatusCode != http.StatusOK || !strings.Contains(body, `"responseCode":1`) || strings.Contains(body, "suspect") {
		t.Errorf("the Handle REST interface says %d, %s", r.StatusCode, body)
	}
}

// What a client is told over each wire by a node whose disk is low: changes, which gRPC
// takes, end with RESOURCE_EXHAUSTED, each of a batch by itself, and nothing of them is
// there; questions are answered on every wire; the others take no changes, and say so as
// ever. When there is room again the same change is taken.
func TestOverloadedOnEachWire(t *testing.T) {
	var free atomic.Uint64
	const mib = 1 << 20
	free.Store(500 * mib)
	c := DefaultConfig()
	c.Name, c.Data, c.Journal.Segment = "top", t.TempDir(), minSegment
	loopback := []string{"127.0.0.1:0"}
	c.Listen = Listen{DNS: loopback, GRPC: loopback, HTTP: loopback, Handle: loopback}
	n, err := NewOn(c, slog.New(slog.DiscardHandler), registry.Config{
		Folder: c.Data, Volume: func(string) (uint64, uint64, bool) { return free.Load(), 1000 * mib, true },
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	there, later := identifier.ID{Prefix: "88.118.8", Suffix: "there"}, identifier.ID{Prefix: "88.118.8", Suffix: "later"}
	key := ownPrefix(t, n, there.Prefix)
	register(t, n.registry, key, there)
	conn, err := proto.Dial(n.Addresses().GRPC[0])
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	changes := proto.NewRegistrationClient(conn)
	change := proto.ChangeToProto(changed(t, key, 1, later))

	free.Store(10 * mib)
	until(t, "the disk is low", func() bool { return n.registry.DiskLow() != "" })
	_, err = changes.Register(t.Context(), &proto.RegisterRequest{Change: change})
	if s := status.Convert(err); s.Code() != codes.ResourceExhausted || !strings.Contains(s.Message(), "free some space") {
		t.Errorf("Register: %v", err)
	}
	batch, err := changes.RegisterBatch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := batch.Send(&proto.RegisterBatchRequest{Change: change}); err != nil {
		t.Fatal(err)
	}
	answer, err := batch.Recv()
	if f := answer.GetFailure(); err != nil || f.GetKind() != proto.Failure_KIND_OVERLOADED {
		t.Errorf("RegisterBatch: %v, %v", answer, err)
	}
	if err := batch.CloseSend(); err != nil {
		t.Error(err)
	}

	if m := query(t, n, "udp", "there._i.8.118.88.id.internal.", dns.TypeURI); len(m.Answer) != 1 {
		t.Errorf("DNS: %v", m)
	}
	if m := query(t, n, "udp", "later._i.8.118.88.id.internal.", dns.TypeURI); m.Rcode != dns.RcodeNameError {
		t.Errorf("DNS, of what was refused: %v", m)
	}
	if r, body := fetch(t, n, "/resolve/88.118.8/there"); r.StatusCode != http.StatusOK {
		t.Errorf("HTTP: %d, %s", r.StatusCode, body)
	}
	handle := resolverhandle.NewClient(n.Addresses().Handle[0], resolverhandle.ClientOptions{})
	if a, err := handle.Resolve(t.Context(), resolver.Query{ID: there}); err != nil || a.Outcome != resolver.Found {
		t.Errorf("Handle: %v, %v", a.Outcome, err)
	}
	put, err := http.NewRequest(http.MethodPut, "http://"+n.Addresses().HTTP[0]+"/api/handles/88.118.8/later", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.DefaultClient.Do(put)
	if err != nil {
		t.Fatal(err)
	}
	r.Body.Close()
	if r.StatusCode != http.StatusNotImplemented && r.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("a change over HTTP gets %d, and none is taken there", r.StatusCode)
	}

	free.Store(500 * mib)
	until(t, "there is room", func() bool { return n.registry.DiskLow() == "" })
	if _, err := changes.Register(t.Context(), &proto.RegisterRequest{Change: change}); err != nil {
		t.Errorf("when there is room: %v", err)
	}
}

// positionOf returns how many entries a node's log has.
func positionOf(t *testing.T, n *Node) uint64 {
	t.Helper()
	s, err := n.registry.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s.Position
}
