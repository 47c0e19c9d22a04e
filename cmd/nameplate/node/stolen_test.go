package node

import (
	"crypto/rand"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/nameplate-id/nameplate/proto"
	"github.com/nameplate-id/nameplate/registry/identifier"
)

// A key that was taken away is refused by the node itself, whatever the thief's program says
// the change rests on: nameplate does not even send it. So is everybody once the prefix has
// gone to another node. The same changes by the key in force are taken.
func TestStolenKeyIsRefusedByTheNode(t *testing.T) {
	n, _ := began(t, func(c *Config) { c.Name = "top" })
	const prefix identifier.Prefix = "88.118.8"
	stolen := ownPrefix(t, n, prefix)
	fresh, err := identifier.NewPrivateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := proto.Dial(n.Addresses().GRPC[0])
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	changes := proto.NewRegistrationClient(conn)
	send := func(key identifier.PrivateKey, epoch, keyset uint64, suffix string) error {
		c, err := identifier.SignChange(
			identifier.Header{Prefix: prefix, Epoch: epoch, KeysetVersion: keyset, Expiry: time.Now().Add(time.Hour).Truncate(time.Second)},
			[]identifier.Row{identifier.NextRow(identifier.ID{Prefix: prefix, Suffix: suffix}, nil)}, rand.Reader, key)
		if err != nil {
			t.Fatal(err)
		}
		_, err = changes.Register(t.Context(), &proto.RegisterRequest{Change: proto.ChangeToProto(c)})
		return err
	}
	if err := send(stolen, 1, 1, "before"); err != nil {
		t.Fatalf("while the key is good: %v", err)
	}
	delegate(t, n, &identifier.Delegation{Prefix: prefix, Epoch: 2, Keyset: identifier.Keyset{Version: 2, Threshold: 1, Keys: []identifier.PublicKey{fresh.Public()}}})
	refused := func(when string, want codes.Code, detail string, err error) {
		t.Helper()
		if s := status.Convert(err); s.Code() != want || !strings.Contains(s.Message(), detail) {
			t.Errorf("%s: got %v, want %v, %q", when, err, want, detail)
		}
	}
	refused("as it was", codes.PermissionDenied, "is in epoch 2", send(stolen, 1, 1, "late"))
	refused("with the epoch in force", codes.PermissionDenied, "the keyset", send(stolen, 2, 3, "late"))
	refused("with the keyset in force", codes.Unauthenticated, "0 good signatures", send(stolen, 2, 2, "late"))
	refused("with the keyset before", codes.PermissionDenied, "the keyset", send(stolen, 2, 1, "late"))
	if err := send(fresh, 2, 2, "late"); err != nil {
		t.Errorf("the key in force: %v", err)
	}

	other, err := identifier.NewPrivateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	delegate(t, n, &identifier.Delegation{
		Prefix: prefix, Epoch: 3, Keyset: identifier.Keyset{Version: 3, Threshold: 1, Keys: []identifier.PublicKey{fresh.Public()}},
		Node: &identifier.Node{Name: "spare", Key: other.Public(), Addresses: []identifier.Address{{IP: "127.0.0.1", GRPC: 2640}}},
	})
	refused("when another node answers", codes.PermissionDenied, `answered by node "spare"`, send(fresh, 3, 3, "moved"))
}
