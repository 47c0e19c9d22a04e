package node_test

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/nameplate-id/nameplate/cmd/nameplate/node"
	"github.com/nameplate-id/nameplate/proto"
	"github.com/nameplate-id/nameplate/registry"
	"github.com/nameplate-id/nameplate/registry/identifier"
	registryrpc "github.com/nameplate-id/nameplate/registry/rpc"
)

// firstWords opens a stream to a parent, says nothing, and returns what the parent says
// until it ends the stream, or until it waits for the Hello.
func firstWords(t *testing.T, parent *running, c credentials.TransportCredentials) []*proto.ReplicateResponse {
	t.Helper()
	conn, err := proto.Dial(parent.at.GRPC[0], grpc.WithTransportCredentials(c))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	stream, err := proto.NewReplicationClient(conn).Replicate(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var said []*proto.ReplicateResponse
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return said
		}
		if err != nil {
			t.Fatal(err)
		}
		if said = append(said, m); m.GetChallenge() != nil {
			return said
		}
	}
}

// refusedAtOnce returns why a parent ends a stream before it has read anything of it; ""
// when it goes on.
func refusedAtOnce(t *testing.T, parent *running, c credentials.TransportCredentials) string {
	t.Helper()
	said := firstWords(t, parent, c)
	if len(said) != 1 {
		t.Fatalf("the parent said %d things: %v", len(said), said)
	}
	return said[0].GetRefuse().GetDetail()
}

func TestStrangersAreShutOut(t *testing.T) {
	top := runNode(t, nodeConfig(t, "top"))
	stranger, err := identifier.NewPrivateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		with credentials.TransportCredentials
		want string
	}{
		"plain":     {insecure.NewCredentials(), "connect with TLS"},
		"anonymous": {proto.Anonymous(top.key.Public()), "proves a node key"},
		"unknown":   {proto.NewIdentity(stranger).Client(top.key.Public()), "no delegation names node key " + stranger.Public().String()},
	} {
		if got := refusedAtOnce(t, top, c.with); !strings.Contains(got, c.want) {
			t.Errorf("%s: got %q, want %q in it", name, got, c.want)
		}
	}
}

// TestRevokedNode takes a prefix back from a node: it is told so, and then not let in any
// more. It is let in again once it has another prefix.
func TestRevokedNode(t *testing.T) {
	top := runNode(t, nodeConfig(t, "top"))
	below := nodeConfig(t, "maker")
	below.Parent = node.Parent{Key: top.key.Public(), Address: top.at.GRPC[0]}
	child := runNode(t, below)
	holder, err := identifier.NewPrivateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	give := func(d *identifier.Delegation) {
		t.Helper()
		payload, err := identifier.AppendDelegation(nil, d)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := top.Delegate(t.Context(), identifier.Sign(identifier.DelegationType, payload, top.key)); err != nil {
			t.Fatal(err)
		}
	}
	granted := &identifier.Delegation{
		Prefix: "88.118", Epoch: 1,
		Keyset: identifier.Keyset{Version: 1, Threshold: 1, Keys: []identifier.PublicKey{holder.Public()}},
		Node:   &identifier.Node{Name: "maker", Key: child.key.Public(), Addresses: []identifier.Address{{IP: "127.0.0.1", DNS: 53}}},
	}
	own := proto.NewIdentity(child.key).Client(top.key.Public())
	give(granted)
	eventually(t, "the child has its prefix", func() bool {
		s, err := child.Status(t.Context())
		return err == nil && len(s.Apexes) == 1
	})
	if got := refusedAtOnce(t, top, own); got != "" {
		t.Fatalf("a node with a prefix is shut out: %s", got)
	}

	give(&identifier.Delegation{Prefix: "88.118", Epoch: 2, Keyset: identifier.Keyset{Version: 2}})
	eventually(t, "the child has learned of it", func() bool {
		s, err := child.Status(t.Context())
		return err == nil && len(s.Apexes) == 0
	})
	if got := refusedAtOnce(t, top, own); !strings.Contains(got, "no prefix is delegated to node key") {
		t.Errorf("got %q", got)
	}

	granted.Epoch, granted.Keyset.Version = 3, 3
	give(granted)
	if got := refusedAtOnce(t, top, own); got != "" {
		t.Errorf("a node that has its prefix again is shut out: %s", got)
	}
}

// TestRegisterOverTLS asks and registers over an encrypted connection to the port that
// takes plain ones too.
func TestRegisterOverTLS(t *testing.T) {
	top := runNode(t, nodeConfig(t, "top"))
	conn, err := proto.Dial(top.at.GRPC[0], grpc.WithTransportCredentials(proto.Anonymous(top.key.Public())))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	client := registryrpc.NewClientOn(conn, registryrpc.ClientOptions{})
	s, err := client.Status(t.Context())
	if err != nil || s.Key != top.key.Public() {
		t.Fatalf("status %v: %v", s.Key, err)
	}
	wrong, err := proto.Dial(top.at.GRPC[0], grpc.WithTransportCredentials(proto.Anonymous(identifier.PublicKey{Type: identifier.Ed25519, Raw: strings.Repeat("x", 32)})))
	if err != nil {
		t.Fatal(err)
	}
	defer wrong.Close()
	_, err = registryrpc.NewClientOn(wrong, registryrpc.ClientOptions{}).Status(t.Context())
	if e, ok := errors.AsType[*registry.Error](err); !ok || e.Kind != registry.Unavailable || !strings.Contains(err.Error(), "the node should have key") {
		t.Errorf("a node with another key: %v", err)
	}
}
