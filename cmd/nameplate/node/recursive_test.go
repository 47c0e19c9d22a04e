package node

import (
	"context"
	"crypto/rand"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nameplate-id/nameplate/proto"
	"github.com/nameplate-id/nameplate/registry"
	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/resolver"
	resolverdns "github.com/nameplate-id/nameplate/resolver/dns"
	resolverhttp "github.com/nameplate-id/nameplate/resolver/http"
	resolverrpc "github.com/nameplate-id/nameplate/resolver/rpc"
)

// began starts a node on free ports of loopback until the test ends, or is stopped.
func began(t *testing.T, change func(*Config)) (n *Node, stop func()) {
	t.Helper()
	c := DefaultConfig()
	c.Data = t.TempDir()
	c.Journal.Segment = minSegment
	c.Listen = Listen{DNS: []string{"127.0.0.1:0"}, GRPC: []string{"127.0.0.1:0"}, HTTP: []string{"127.0.0.1:0"}}
	change(&c)
	n, err := New(c, "test", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx) }()
	stopped := false
	stop = func() {
		if !stopped {
			stopped = true
			cancel()
			if err := <-ended; err != nil {
				t.Errorf("node %s ended with %v", c.Name, err)
			}
		}
	}
	t.Cleanup(stop)
	return n, stop
}

// root describes a running node as a top-level node.
func (n *Node) root(t *testing.T) Root {
	t.Helper()
	port := func(list []string) uint16 { return netip.MustParseAddrPort(list[0]).Port() }
	at := n.Addresses()
	return Root{Name: n.config.Name, Key: n.registry.Key(), Addresses: []Address{
		{IP: netip.MustParseAddrPort(at.GRPC[0]).Addr().String(), DNS: port(at.DNS), GRPC: port(at.GRPC), HTTP: port(at.HTTP)},
	}}
}

// A recursive node answers over every protocol what it finds by walking, over every
// protocol, and from its cache when the others are gone.
func TestRecursiveNode(t *testing.T) {
	for _, over := range []string{"grpc", "dns", "http"} {
		t.Run("over "+over, func(t *testing.T) {
			top, stop := began(t, func(c *Config) { c.Name = "top" })
			id := identifier.ID{Prefix: "88.118.8", Suffix: "sn-42"}
			signer := ownPrefix(t, top, id.Prefix)
			register(t, top.registry, signer, id)
			walker, _ := began(t, func(c *Config) {
				c.Name, c.Data = "walker", ""
				c.Recursive.Roots = []Root{top.root(t)}
				c.Recursive.Protocols = []string{over}
			})
			at := walker.Addresses()
			rpc, err := resolverrpc.NewClient(at.GRPC[0], resolverrpc.ClientOptions{})
			if err != nil {
				t.Fatal(err)
			}
			defer rpc.Close()
			web, err := resolverhttp.NewClient(at.HTTP[0], resolverhttp.ClientOptions{})
			if err != nil {
				t.Fatal(err)
			}
			defer web.Close()
			clients := map[string]resolver.Resolver{
				"dns": resolverdns.NewClient(at.DNS[0], resolverdns.ClientOptions{}), "grpc": rpc, "http": web,
			}
			for name, client := range clients {
				expect(t, name, client, resolver.Query{ID: id, Recursive: true}, resolver.Found)
				expect(t, name, client, resolver.Query{ID: identifier.ID{Prefix: id.Prefix, Suffix: "no"}, Recursive: true}, resolver.Absent)
				expect(t, name, client, resolver.Query{ID: id}, resolver.Refused)
			}
			page := metricsOf(t, at.HTTP[0])
			for _, line := range []string{
				`nameplate_cache_hits_total{entry="found"} 2`, `nameplate_cache_hits_total{entry="absent"} 2`,
				`nameplate_cache_misses_total{answer="fetched"} 2`, `nameplate_cache_entries 2`, `nameplate_walks_total{from="top"} 2`,
				`nameplate_walk_questions_total{result="answered"} 2`,
			} {
				if !strings.Contains(page, line+"\n") {
					t.Errorf("/metrics has no line %s", line)
				}
			}
			stop()
			expect(t, "cached", rpc, resolver.Query{ID: id, Recursive: true}, resolver.Found)
			conn, err := proto.Dial(at.GRPC[0])
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if n, err := resolverrpc.FlushCache(t.Context(), conn, "88.118"); err != nil || n != 2 {
				t.Errorf("flushed %d, %v; want 2", n, err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second)
			defer cancel()
			if a, err := rpc.Resolve(ctx, resolver.Query{ID: id, Recursive: true}); err == nil {
				t.Errorf("got %v after the flush, and nobody there", a.Outcome)
			}
		})
	}
}

func expect(t *testing.T, name string, r resolver.Resolver, q resolver.Query, want resolver.Outcome) {
	t.Helper()
	a, err := r.Resolve(t.Context(), q)
	if err != nil || a.Outcome != want {
		t.Errorf("%s, %s: got %v, %v; want %v", name, q.ID, a.Outcome, err, want)
	}
}

func metricsOf(t *testing.T, at string) string {
	t.Helper()
	response, err := http.Get("http://" + at + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// ownPrefix delegates a prefix of a top-level node to a new holder.
func ownPrefix(t *testing.T, n *Node, p identifier.Prefix) identifier.PrivateKey {
	t.Helper()
	holder, err := identifier.NewPrivateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	delegate(t, n, &identifier.Delegation{Prefix: p, Epoch: 1, Keyset: identifier.Keyset{Version: 1, Threshold: 1, Keys: []identifier.PublicKey{holder.Public()}}})
	return holder
}

// delegate logs a delegation that a node signs itself.
func delegate(t *testing.T, n *Node, d *identifier.Delegation) {
	t.Helper()
	payload, err := identifier.AppendDelegation(nil, d)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := n.registry.Delegate(t.Context(), identifier.Sign(identifier.DelegationType, payload, nodeKey(t, n))); err != nil {
		t.Fatal(err)
	}
}

// register puts a record with one link.
func register(t *testing.T, r *registry.Registry, signer identifier.PrivateKey, id identifier.ID) {
	t.Helper()
	h := identifier.Header{Prefix: id.Prefix, Epoch: 1, KeysetVersion: 1, Expiry: time.Now().Add(time.Hour)}
	rows := []identifier.Row{{Op: identifier.Put, ID: id, Version: 1, Values: []identifier.Value{{
		Index: 1, Type: "URL", Data: []byte("https://maker.example/42"), TTL: identifier.DefaultTTL, Permissions: identifier.DefaultPermissions,
	}}}}
	change, err := identifier.SignChange(h, rows, rand.Reader, signer)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Register(t.Context(), change); err != nil {
		t.Fatal(err)
	}
}

// nodeKey reads the key that a node signs with.
func nodeKey(t *testing.T, n *Node) identifier.PrivateKey {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(n.config.Data, "node.key"))
	if err != nil {
		t.Fatal(err)
	}
	key, err := identifier.ParsePrivateKeyPEM(text)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// Referrals of strangers do not lead to this machine, nor to many.
func TestDialer(t *testing.T) {
	root := func(ip string) []identifier.Node {
		return []identifier.Node{{Name: "top", Addresses: []identifier.Address{{IP: ip, DNS: 53}}}}
	}
	for _, c := range []struct {
		root, at string
		protocol resolver.Protocol
		want     bool
	}{
		{"192.0.2.1", "198.51.100.1:53", resolver.DNS, true},
		{"192.0.2.1", "198.51.100.1:2640", resolver.GRPC, true},
		{"192.0.2.1", "[2001:db8::1]:8080", resolver.HTTP, true},
		{"192.0.2.1", "198.51.100.1:2641", resolver.Handle, true},
		{"192.0.2.1", "127.0.0.1:53", resolver.DNS, false},
		{"192.0.2.1", "[::ffff:127.0.0.1]:53", resolver.DNS, false},
		{"192.0.2.1", "[::1]:53", resolver.DNS, false},
		{"127.0.0.1", "127.88.0.1:53", resolver.DNS, true},
		{"127.0.0.1", "0.0.0.0:53", resolver.DNS, false},
		{"127.0.0.1", "224.0.0.1:53", resolver.DNS, false},
		{"127.0.0.1", "255.255.255.255:53", resolver.DNS, false},
	} {
		dial, err := Dialer("id.internal", root(c.root))
		if err != nil {
			t.Fatal(err)
		}
		r, err := dial(resolver.Endpoint{At: netip.MustParseAddrPort(c.at), Protocol: c.protocol})
		if (err == nil) != c.want {
			t.Errorf("from %s to %s over %s: got %v; want allowed %t", c.root, c.at, c.protocol, err, c.want)
		}
		if closer, ok := r.(io.Closer); ok && err == nil {
			closer.Close()
		}
	}
	if _, err := Dialer("not a zone", root("127.0.0.1")); err == nil {
		t.Error("got no error for a zone that is none")
	}
}

func TestCheckRecursive(t *testing.T) {
	good := Root{Name: "top", Addresses: []Address{{IP: "192.0.2.1", DNS: 53}}}
	for _, c := range []struct {
		field  string
		change func(*Config)
	}{
		{"", func(*Config) {}},
		{"", func(c *Config) { c.Data = "" }},
		{"recursive.roots[0] ", func(c *Config) { c.Recursive.Roots[0].Name = "Top" }},
		{"recursive.roots[0] ", func(c *Config) { c.Recursive.Roots[0].Addresses = nil }},
		{"recursive.roots[1] ", func(c *Config) {
			c.Recursive.Roots = append(c.Recursive.Roots, Root{Name: "b", Addresses: []Address{{IP: "192.0.2.2"}}})
		}},
		{"recursive.roots has ", func(c *Config) { c.Recursive.Roots = make([]Root, 14) }},
		{"recursive.protocols is ", func(c *Config) { c.Recursive.Protocols = nil }},
		{"recursive.protocols has ", func(c *Config) { c.Recursive.Protocols = []string{"gopher"} }},
		{"recursive.cache is ", func(c *Config) { c.Recursive.Cache = 1000 }},
		{"recursive node with parent ", func(c *Config) { c.Listen.Mirror = []string{"127.0.0.3:53"} }},
	} {
		config := DefaultConfig()
		config.Recursive.Roots = []Root{good}
		c.change(&config)
		err := config.Check()
		if (err == nil) != (c.field == "") || err != nil && (!strings.HasPrefix(err.Error(), c.field) || !strings.Contains(err.Error(), ": ")) {
			t.Errorf("got %v; want one that begins with %q", err, c.field)
		}
	}
}
