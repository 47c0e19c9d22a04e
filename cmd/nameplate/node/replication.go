package node

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"

	"github.com/nameplate-id/nameplate/proto"
	"github.com/nameplate-id/nameplate/registry"
	"github.com/nameplate-id/nameplate/registry/history"
	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/journal"
	registryrpc "github.com/nameplate-id/nameplate/registry/rpc"
)

// replication is a node's part in the tree: it mirrors the logs of its children, and
// sends its own to its parent when it has one.
type replication struct {
	parent *registryrpc.Parent // of the children
	child  *registryrpc.Child  // of the parent; nil without one
	peers  []*topLevel         // the other top-level nodes

	first   func(context.Context) error // before the parent hears of the log; nil for nothing
	waiting atomic.Pointer[string]      // why it has not yet
}

// tell notes why the parent does not hear of the log yet; "" when it does.
func (p *replication) tell(why string) { p.waiting.Store(&why) }

// newReplication opens the streams. silence is for how long nothing may come over one before
// it is given up; 0 for the usual time.
func newReplication(c *Config, r *registry.Registry, identity *proto.Identity, log *slog.Logger, silence time.Duration) (*replication, error) {
	var pings []grpc.DialOption
	if silence > 0 {
		pings = append(pings, grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: silence, Timeout: silence}))
	}
	p := &replication{parent: registryrpc.NewParent(registryrpc.ParentConfig{
		Mirrors: mirrors{r}, Signer: r.Signer(), Log: r.LogID(), Verify: journal.VerifyCheckpoint,
		MayConnect: registryrpc.KnownNodes(r.Admits), Logger: log, Heartbeat: silence,
	})}
	// open sends a log to a node that has a key, at an address.
	open := func(source registryrpc.Source, owner identifier.PublicKey, kept identifier.Policy, address string, key identifier.PublicKey) (*registryrpc.Child, error) {
		return registryrpc.NewChild(registryrpc.ChildConfig{
			Source: source, Owner: owner, Kept: kept, Signer: r.Signer(), Verify: journal.VerifyCheckpoint,
			Address: address, Parent: key, Log: log, Secure: true, Heartbeat: silence, Recall: recallFrom(r, identity, address, key, owner, log),
			Dial: append(pings, grpc.WithTransportCredentials(identity.Client(key))),
		})
	}
	var err error
	if c.Parent.Address != "" {
		p.child, err = open(r.Source(), r.Key(), identifier.PolicyMirror, c.Parent.Address, c.Parent.Key)
		return p, err
	}
	for i := range c.Peers {
		x := &c.Peers[i]
		if !x.mirrors() {
			continue
		}
		other, err := newTopLevel(x, r, func(source registryrpc.Source, owner identifier.PublicKey, kept identifier.Policy) (*registryrpc.Child, error) {
			return open(source, owner, kept, x.grpc(), x.Key)
		})
		if err != nil {
			return nil, err
		}
		p.peers = append(p.peers, other)
	}
	return p, nil
}

// recallFrom returns what takes in the log of a child that another top-level node holds.
func recallFrom(r *registry.Registry, identity *proto.Identity, address string, key, child identifier.PublicKey, log *slog.Logger) func(context.Context) {
	return func(ctx context.Context) {
		u, err := registryrpc.NewUpper(address, key, grpc.WithTransportCredentials(identity.Client(key)))
		if err != nil {
			log.Error("another top-level node cannot be asked for the log of a child", "address", address, "error", err)
			return
		}
		defer u.Close()
		ctx, cancel := context.WithTimeout(ctx, recallTime)
		defer cancel()
		switch entries, err := r.Recall(ctx, child, u.Child(child)); {
		case err != nil && ctx.Err() == nil:
			log.Warn("a log of a child that another top-level node holds cannot be taken in", "address", address, "child", child, "error", err)
		case entries > 0:
			log.Warn("another top-level node holds a log of a child that was not here: it has to be joined with the one that is", "address", address, "child", child, "entries", entries)
		}
	}
}

// recallTime is how long the log of a child may take that is taken in at once.
const recallTime = 10 * time.Minute

// run sends the node's log to its parent, or to its peers with those of its children,
// until ctx ends. A parent or peer that is away, slow or wrong is no failure of the node.
func (p *replication) run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	if p.child != nil {
		g.Go(func() error {
			if p.first != nil {
				if err := p.first(ctx); err != nil {
					return err
				}
			}
			return p.child.Run(ctx)
		})
	}
	for _, x := range p.peers {
		g.Go(func() error { return x.run(ctx) })
	}
	return g.Wait()
}

// mirrors puts the registry's mirrors where replication stores them.
type mirrors struct{ registry *registry.Registry }

// Mirror implements [registryrpc.Mirrors].
func (m mirrors) Mirror(ctx context.Context, log identifier.LogID, node, via identifier.PublicKey, size uint64) (registryrpc.Mirror, error) {
	found, err := m.registry.Mirror(ctx, log, node, via, size)
	if err != nil {
		return nil, err
	}
	return found, nil
}

// Mirrored implements [registryrpc.Mirrors].
func (m mirrors) Mirrored(asker, node identifier.PublicKey, log identifier.LogID, position uint64) (history.Held, error) {
	return m.registry.MirroredFor(asker, node, log, position)
}

// upstream tells how far the parent has the log; nil without one.
func (p *replication) upstream() *registryrpc.Upstream {
	if p.child == nil {
		return nil
	}
	u := upstreamOf(p.child.Status())
	if why := p.waiting.Load(); why != nil && *why != "" {
		u.Reason = *why
	}
	return &u
}

// upstreamOf tells how far another node has this one's log.
func upstreamOf(s registryrpc.ChildStatus) registryrpc.Upstream {
	u := registryrpc.Upstream{Address: s.Address, Connected: s.Connected, Acknowledged: s.Acked, Lost: s.Lost, Behind: s.Behind, Anchored: s.Anchored, Paused: s.Paused}
	if s.Connected {
		u.Policy = s.Policy.String()
	}
	if !s.Connected && s.Err != nil {
		u.Reason = s.Err.Error()
	}
	return u
}

// peerStatus tells how far the other top-level nodes have this one's logs.
func (p *replication) peerStatus() (all []registryrpc.PeerStatus) {
	for _, x := range p.peers {
		all = append(all, x.status())
	}
	return all
}
