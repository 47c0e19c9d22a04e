package network

import (
	"context"
	"slices"

	"github.com/nameplate-id/nameplate/registry/identifier"
	registryrpc "github.com/nameplate-id/nameplate/registry/rpc"
)

// places returns the nodes where a prefix is delegated.
func (n *Network) places(h holding) []*Node {
	if h.at == nil {
		return n.With(TopLevel)
	}
	return []*Node{h.at}
}

// delegate delegates a prefix at a node as the file says, if it is not.
func (n *Network) delegate(ctx context.Context, client *registryrpc.Client, x *Node, h holding) error {
	wanted, err := n.wanted(h)
	if err != nil {
		return err
	}
	signer := n.Key(h.signer)
	if h.signer == "" {
		signer = n.NodeKey(x.Name)
	}
	key, err := readKey(signer)
	if err != nil {
		return err
	}
	current, err := client.Holder(ctx, h.prefix)
	if err != nil {
		return err
	}
	if current == nil || current.Prefix != h.prefix {
		current = &identifier.Delegation{}
	}
	if inForce(current, wanted) {
		return nil
	}
	wanted.Epoch, wanted.Keyset.Version = current.Epoch+1, current.Keyset.Version+1
	if err := wanted.Check(); err != nil {
		return err
	}
	payload, err := identifier.AppendDelegation(nil, wanted)
	if err != nil {
		return err
	}
	_, err = client.Delegate(ctx, identifier.Sign(identifier.DelegationType, payload, key))
	return err
}

// wanted is what the file says of a prefix, without epoch and versions.
func (n *Network) wanted(h holding) (*identifier.Delegation, error) {
	holder, err := readKey(n.Key(h.holder))
	if err != nil {
		return nil, err
	}
	d := &identifier.Delegation{Prefix: h.prefix, Keyset: identifier.Keyset{Threshold: 1, Keys: []identifier.PublicKey{holder.Public()}}}
	if h.node == nil {
		return d, nil
	}
	if d.Node, err = n.identity(h.node); err != nil {
		return nil, err
	}
	if h.node.Policy != "" {
		if d.Policy, err = identifier.ParsePolicy(h.node.Policy); err != nil {
			return nil, err
		}
	}
	// Who keeps less than whole entries cannot answer from them.
	if parent := n.Node(h.node.Parent); parent.Mirror.IsValid() && d.Policy == identifier.PolicyMirror {
		mirror, err := n.mirror(parent)
		if err != nil {
			return nil, err
		}
		d.Mirrors = append(d.Mirrors, mirror)
	}
	return d, nil
}

// mirror returns a node as a mirror of its children: over DNS and Handle it answers so at
// the mirror's address; over gRPC and HTTP at its own, for those who say that a mirror will
// do.
func (n *Network) mirror(x *Node) (identifier.Node, error) {
	self, err := n.identity(x)
	if err != nil {
		return identifier.Node{}, err
	}
	self.Name += "-mirror"
	self.Addresses = []identifier.Address{
		{IP: x.Mirror.String(), DNS: n.Ports.DNS, Handle: n.Ports.Handle}, {IP: x.Address.String(), GRPC: n.Ports.GRPC, HTTP: n.Ports.HTTP},
	}
	return *self, nil
}

// identity returns a node as others are told of it.
func (n *Network) identity(x *Node) (*identifier.Node, error) {
	key, err := readKey(n.NodeKey(x.Name))
	if err != nil {
		return nil, err
	}
	handleKey, err := n.handleKey(x)
	if err != nil {
		return nil, err
	}
	return &identifier.Node{Name: x.Name, Key: key.Public(), HandleKey: handleKey, Addresses: []identifier.Address{
		{IP: x.Address.String(), DNS: n.Ports.DNS, GRPC: n.Ports.GRPC, HTTP: n.Ports.HTTP, Handle: n.Ports.Handle},
	}}, nil
}

// inForce reports whether a prefix is delegated as it is wanted.
func inForce(current, wanted *identifier.Delegation) bool {
	a, b := current.Node, wanted.Node
	same := func(a, b identifier.Node) bool {
		return a.Name == b.Name && a.Key == b.Key && a.HandleKey == b.HandleKey && slices.Equal(a.Addresses, b.Addresses)
	}
	if current.Keyset.Threshold != wanted.Keyset.Threshold || !slices.Equal(current.Keyset.Keys, wanted.Keyset.Keys) ||
		current.Policy != wanted.Policy || current.NoAgents || current.Private || (a == nil) != (b == nil) {
		return false
	}
	return a == nil || same(*a, *b) && slices.EqualFunc(current.Mirrors, wanted.Mirrors, same)
}
