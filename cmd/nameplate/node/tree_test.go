package node_test

import (
	"context"
	"crypto/rand"
	"log/slog"
	"net/netip"
	"testing"
	"time"

	"github.com/nameplate-id/nameplate/cmd/nameplate/node"
	"github.com/nameplate-id/nameplate/registry"
	"github.com/nameplate-id/nameplate/registry/identifier"
	registryrpc "github.com/nameplate-id/nameplate/registry/rpc"
	"github.com/nameplate-id/nameplate/resolver"
	resolverrpc "github.com/nameplate-id/nameplate/resolver/rpc"
)

// running is a node in this process.
type running struct {
	*registryrpc.Client
	key  identifier.PrivateKey
	at   node.Listen
	asks *resolverrpc.Client
	stop func()
}

func runNode(t *testing.T, c node.Config) *running {
	t.Helper()
	return runSilent(t, c, 0)
}

// runSilent runs a node that gives up a way from which nothing has come for so long; 0 for the
// usual time.
func runSilent(t *testing.T, c node.Config, silence time.Duration) *running {
	t.Helper()
	n, err := node.NewSilent(c, slog.New(slog.DiscardHandler), silence)
	if err != nil {
		t.Fatal(err)
	}
	r := &running{at: n.Addresses()}
	if r.key, err = registry.NodeKey(c.Data); err != nil {
		t.Fatal(err)
	}
	if r.Client, err = registryrpc.NewClient(r.at.GRPC[0], registryrpc.ClientOptions{}); err != nil {
		t.Fatal(err)
	}
	if r.asks, err = resolverrpc.NewClient(r.at.GRPC[0], resolverrpc.ClientOptions{}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	stopped := false
	r.stop = func() {
		if stopped {
			return
		}
		stopped = true
		r.Close()
		r.asks.Close()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("node %s: %v", c.Name, err)
		}
	}
	t.Cleanup(r.stop)
	return r
}

func nodeConfig(t *testing.T, name string) node.Config {
	c := node.DefaultConfig()
	c.Name, c.Data = name, t.TempDir()
	c.Listen = node.Listen{DNS: []string{"127.0.0.1:0"}, GRPC: []string{"127.0.0.1:0"}, HTTP: []string{"127.0.0.1:0"}}
	c.Limits.Shutdown = time.Second
	return c
}

// eventually waits until something holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not so after 20 s: %s", what)
		}
	}
}

// TestTwoLevels walks the whole way of an identifier through a tree of two nodes: the
// grant goes down, the entries go up, and the parent answers when the child is gone.
func TestTwoLevels(t *testing.T) {
	top := runNode(t, nodeConfig(t, "top"))
	below := nodeConfig(t, "maker")
	below.Parent = node.Parent{Key: top.key.Public(), Address: top.at.GRPC[0]}
	child := runNode(t, below)

	holder, err := identifier.NewPrivateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	at := netip.MustParseAddrPort(child.at.GRPC[0])
	d := &identifier.Delegation{
		Prefix: "88.118", Epoch: 1,
		Keyset: identifier.Keyset{Version: 1, Threshold: 1, Keys: []identifier.PublicKey{holder.Public()}},
		Node: &identifier.Node{
			Name: "maker", Key: child.key.Public(), Addresses: []identifier.Address{{IP: at.Addr().String(), GRPC: at.Port()}},
		},
	}
	payload, err := identifier.AppendDelegation(nil, d)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := top.Delegate(t.Context(), identifier.Sign(identifier.DelegationType, payload, top.key)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the child answers for its prefix", func() bool {
		s, err := child.Status(t.Context())
		return err == nil && len(s.Apexes) == 1 && s.Apexes[0] == "88.118"
	})

	id, err := identifier.Parse("88.118/sn-1")
	if err != nil {
		t.Fatal(err)
	}
	row := identifier.NextRow(id, nil)
	row.Values = []identifier.Value{{Index: 1, Type: "URL", Data: []byte("https://maker.example/1"), TTL: identifier.DefaultTTL, Permissions: identifier.DefaultPermissions}}
	change, err := identifier.SignChange(identifier.Header{
		Prefix: "88.118", Epoch: 1, KeysetVersion: 1, Expiry: time.Now().Add(time.Hour).Truncate(time.Second),
	}, []identifier.Row{row}, rand.Reader, holder)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := child.Register(t.Context(), change); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the mirror equals the child's log", func() bool {
		up, err := top.Status(t.Context())
		down, err2 := child.Status(t.Context())
		return err == nil && err2 == nil && len(up.Mirrors) == 1 && up.Mirrors[0].Size == down.Position && up.Mirrors[0].Bad == 0 &&
			down.Upstream != nil && down.Upstream.Connected && down.Upstream.Acknowledged == down.Position
	})

	if a, err := top.asks.Resolve(t.Context(), resolver.Query{ID: id}); err != nil || a.Outcome != resolver.Referral || a.Delegation.Prefix != "88.118" {
		t.Errorf("the parent refers: %+v, %v", a, err)
	}
	child.stop()
	a, err := top.asks.Resolve(t.Context(), resolver.Query{ID: id, Mirror: true})
	if err != nil || a.Outcome != resolver.Found || !a.Origin.Mirror || a.Origin.Age > time.Minute {
		t.Fatalf("the mirror answers: %+v, %v", a, err)
	}
	if got := string(a.Record.Values[0].Data); got != "https://maker.example/1" {
		t.Errorf("the mirror has %s", got)
	}
}
