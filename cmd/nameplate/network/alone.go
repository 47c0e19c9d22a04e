package network

import (
	"context"

	registryrpc "github.com/nameplate-id/nameplate/registry/rpc"
)

// grantItself gives the holder of a node its prefixes, where the node holds the root
// because it has no parent.
func (n *Network) grantItself(ctx context.Context, client *registryrpc.Client, x *Node) error {
	for _, p := range x.Prefixes {
		if err := n.delegate(ctx, client, x, holding{prefix: p, holder: x.Name}); err != nil {
			return err
		}
	}
	return nil
}
