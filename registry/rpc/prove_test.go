package rpc_test

import (
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/nameplate-id/nameplate/proto"
	"github.com/nameplate-id/nameplate/registry"
	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/receipt"
	"github.com/nameplate-id/nameplate/registry/replica/replicatest"
	"github.com/nameplate-id/nameplate/registry/rpc"
)

// A receipt shows everything, so only those get one who may see it: whoever may watch, and
// who has proved a key of the holder.
func TestWhoMayProve(t *testing.T) {
	holder, other := replicatest.NodeKey(1).Public(), replicatest.NodeKey(2).Public()
	server := rpc.New(&fake{
		holder: func(identifier.Prefix) *identifier.Delegation {
			return &identifier.Delegation{Prefix: "88.118", Keyset: identifier.Keyset{Keys: []identifier.PublicKey{holder}}}
		},
		prove: func(context.Context, identifier.ID, registry.Level) (*receipt.Receipt, registry.Level, error) {
			return nil, 0, &registry.Error{Kind: registry.Absent, Detail: "there is nothing"}
		},
	}, rpc.Options{MayWatch: func(context.Context) error { return &registry.Error{Kind: registry.Denied, Detail: "no"} }})
	proved := func(key identifier.PublicKey) context.Context {
		return peer.NewContext(t.Context(), &peer.Peer{AuthInfo: credentials.TLSInfo{State: tls.ConnectionState{
			PeerCertificates: []*x509.Certificate{{PublicKey: ed25519.PublicKey(key.Raw)}},
		}}})
	}
	for name, c := range map[string]struct {
		ctx  context.Context
		id   string
		want codes.Code
	}{
		"a stranger":    {t.Context(), "88.118/x", codes.PermissionDenied},
		"another key":   {proved(other), "88.118/x", codes.PermissionDenied},
		"the holder":    {proved(holder), "88.118/x", codes.NotFound},
		"no identifier": {proved(holder), "", codes.InvalidArgument},
		"garbage":       {proved(holder), "88..118/x", codes.InvalidArgument},
	} {
		if _, err := server.Prove(c.ctx, &proto.ProveRequest{Identifier: c.id}); status.Code(err) != c.want {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
}
