package node

import (
	"context"
	"log/slog"

	"google.golang.org/grpc"

	"github.com/nameplate-id/nameplate/proto"
	"github.com/nameplate-id/nameplate/registry"
	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/journal"
	registryrpc "github.com/nameplate-id/nameplate/registry/rpc"
)

// replication is a node's part in the tree: it mirrors the logs of its children, and
// sends its own to its parent when it has one.
type replication struct {
	parent *registryrpc.Parent // of the children
	child  *registryrpc.Child  // of the parent; nil without one
}

func newReplication(c *Config, r *registry.Registry, identity *proto.Identity, log *slog.Logger) (*replication, error) {
	p := &replication{parent: registryrpc.NewParent(registryrpc.ParentConfig{
		Mirrors: mirrors{r}, Signer: r.Signer(), Log: r.LogID(), Verify: journal.VerifyCheckpoint,
		MayConnect: registryrpc.KnownNodes(r.Admits), Logger: log,
	})}
	if c.Parent.Address == "" {
		return p, nil
	}
	var err error
	p.child, err = registryrpc.NewChild(registryrpc.ChildConfig{
		Source: r.Source(), Signer: r.Signer(), Verify: journal.VerifyCheckpoint,
		Address: c.Parent.Address, Parent: c.Parent.Key, Log: log, Secure: true,
		Dial: []grpc.DialOption{grpc.WithTransportCredentials(identity.Client(c.Parent.Key))},
	})
	return p, err
}

// run sends the node's log to its parent until ctx ends. A parent that is away, slow or
// wrong is no failure of the node.
func (p *replication) run(ctx context.Context) error {
	if p.child == nil {
		return nil
	}
	return p.child.Run(ctx)
}

// mirrors puts the registry's mirrors where replication stores them.
type mirrors struct{ registry *registry.Registry }

// Mirror implements [registryrpc.Mirrors].
func (m mirrors) Mirror(ctx context.Context, log identifier.LogID, node identifier.PublicKey, size uint64) (registryrpc.Mirror, error) {
	found, err := m.registry.Mirror(ctx, log, node, size)
	if err != nil {
		return nil, err
	}
	return found, nil
}

// upstream tells how far the parent has the log; nil without one.
func (p *replication) upstream() *registryrpc.Upstream {
	if p.child == nil {
		return nil
	}
	s := p.child.Status()
	u := &registryrpc.Upstream{Address: s.Address, Connected: s.Connected, Acknowledged: s.Acked, Lost: s.Lost}
	if !s.Connected && s.Err != nil {
		u.Reason = s.Err.Error()
	}
	return u
}
