package node_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nameplate-id/nameplate/cmd/nameplate/node"
	"github.com/nameplate-id/nameplate/registry/identifier"
)

func TestDefaultConfigIsGood(t *testing.T) {
	c := node.DefaultConfig()
	if err := c.Check(); err != nil {
		t.Fatal(err)
	}
}

func TestCheckNamesTheField(t *testing.T) {
	peers := []node.Root{{Name: "east", Addresses: []node.Address{{IP: "192.0.2.1", DNS: 53}}}}
	key := identifier.PublicKey{Type: identifier.Ed25519, Raw: strings.Repeat("\x01", 32)}
	tests := []struct {
		field  string
		change func(*node.Config)
	}{
		{"name", func(c *node.Config) { c.Name = "Not A Label" }},
		{"name", func(c *node.Config) { c.Name = "" }},
		{"data", func(c *node.Config) { c.Data = "" }},
		{"zone", func(c *node.Config) { c.Zone = "" }},
		{"zone", func(c *node.Config) { c.Zone = "id..internal" }},
		{"zone", func(c *node.Config) { c.Zone = strings.Repeat("a", 20) + "." + strings.Repeat("b", 20) }},
		{"listen", func(c *node.Config) { c.Listen = node.Listen{} }},
		{"listen.dns", func(c *node.Config) { c.Listen.DNS = []string{"5300"} }},
		{"listen.grpc", func(c *node.Config) { c.Listen.GRPC = []string{"127.0.0.1:70000"} }},
		{"listen.http", func(c *node.Config) { c.Listen.HTTP = []string{"example.com:80"} }},
		{"listen.http", func(c *node.Config) { c.Listen.HTTP = c.Listen.GRPC }},
		{"addresses[1].ip", func(c *node.Config) { c.Addresses = []node.Address{{IP: "192.0.2.1"}, {IP: "0.0.0.0"}} }},
		{"peers[0]", func(c *node.Config) { c.Peers = []node.Root{{Name: "east"}} }},
		{"peers", func(c *node.Config) { c.Peers, c.Parent.Key, c.Parent.Address = peers, key, "127.0.0.1:2640" }},
		{"peers", func(c *node.Config) { c.Peers, c.Recursive.Roots = peers, peers }},
		{"peers", func(c *node.Config) { c.Peers = slices.Repeat(peers, 13) }},
		{"journal.segment", func(c *node.Config) { c.Journal.Segment = 1 << 20 }},
		{"journal.segment", func(c *node.Config) { c.Journal.Segment = 5<<20 + 1 }},
		{"limits.grpc-streams", func(c *node.Config) { c.Limits.GRPCStreams = 0 }},
		{"limits.dns-rate", func(c *node.Config) { c.Limits.DNSRate = -1 }},
		{"limits.dns-cookie-secret", func(c *node.Config) { c.Limits.DNSCookieSecret = "secret" }},
		{"limits.dns-connections", func(c *node.Config) { c.Limits.DNSConnections = -1 }},
		{"limits.shutdown", func(c *node.Config) { c.Limits.Shutdown = -time.Second }},
		{"log.level", func(c *node.Config) { c.Log.Level = "loud" }},
		{"log.format", func(c *node.Config) { c.Log.Format = "xml" }},
	}
	for _, test := range tests {
		c := node.DefaultConfig()
		test.change(&c)
		err := c.Check()
		if err == nil || !strings.HasPrefix(err.Error(), test.field+" ") {
			t.Errorf("got error %v, want one that begins with %q", err, test.field)
		} else if !strings.Contains(err.Error(), ": ") || strings.Contains(err.Error(), "\n") {
			t.Errorf("got error %q, want one line with what to do", err)
		}
	}
}

func TestFreePortsMayRepeat(t *testing.T) {
	c := node.DefaultConfig()
	c.Listen = node.Listen{DNS: []string{"127.0.0.1:0"}, GRPC: []string{"127.0.0.1:0"}, HTTP: []string{"127.0.0.1:0"}}
	if err := c.Check(); err != nil {
		t.Fatal(err)
	}
}

func TestSize(t *testing.T) {
	for text, want := range map[string]node.Size{"4096": 4 << 10, "4KiB": 4 << 10, "64 MiB": 64 << 20, "1GiB": 1 << 30, "0": 0, "1025": 1025} {
		got, err := node.ParseSize(text)
		if err != nil || got != want {
			t.Errorf("%q: got %d, %v, want %d", text, got, err, want)
		}
		if again, err := node.ParseSize(got.String()); err != nil || again != got {
			t.Errorf("%q: got %v, %v from %q", text, again, err, got.String())
		}
	}
	for _, text := range []string{"", "MiB", "-1", "1.5MiB", "4MB", "9999999999GiB"} {
		if got, err := node.ParseSize(text); err == nil {
			t.Errorf("%q: got %v, want an error", text, got)
		}
	}
}
