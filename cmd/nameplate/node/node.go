// Package node puts a node together: what it answers from, and a server for each
// protocol in front. That is one registry and the authority that reads it, or at a
// recursive node a cache around a walk around clients of other nodes. The package wires
// and does nothing else: what a node is follows from its configuration, not from a type.
//
// The order of the start: listeners, so that a busy port changes nothing in the
// folder; the registry; the servers. The order of the end is the other way round:
// the servers answer what is under way, then the registry signs a last checkpoint and
// closes its journal.
package node

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/nameplate-id/nameplate/proto"
	"github.com/nameplate-id/nameplate/registry"
	resolverdns "github.com/nameplate-id/nameplate/resolver/dns"
	resolverhandle "github.com/nameplate-id/nameplate/resolver/handle"
	resolverhttp "github.com/nameplate-id/nameplate/resolver/http"
)

// Node is a running node: what it answers from, and a server for each protocol in
// front.
type Node struct {
	config   Config
	log      *slog.Logger
	registry *registry.Registry // nil at a recursive node
	walker   *walker            // nil at any other

	identity    *proto.Identity // nil at a recursive node
	replication *replication    // nil at a recursive node

	listeners *listeners
	dns       *resolverdns.Server
	mirror    *resolverdns.Server // answers from the mirrors
	http      *resolverhttp.Server
	handle    *resolverhandle.Server
	// mirrorHandle answers from the mirrors, as mirror does.
	mirrorHandle *resolverhandle.Server
	grpc         *grpcServer
}

// New opens the node's folder and its listeners. What it holds resolves as soon as
// Run is called. When it fails it leaves nothing open. version is told to whoever asks.
func New(c Config, version string, log *slog.Logger) (*Node, error) {
	return create(c, version, log, workings{})
}

// workings are what no configuration says of how a node works: tests bring their own.
type workings struct {
	// registry has a file system, hooks and a pace, and lacks what the configuration says.
	registry registry.Config
	// silence is for how long nothing may come from another node before the way to it is
	// given up; 0 for the usual time of each of the two ends.
	silence time.Duration
}

// create is New with workings.
func create(c Config, version string, log *slog.Logger, w workings) (*Node, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	l, err := listen(c.Listen)
	if err != nil {
		return nil, err
	}
	n := &Node{config: c, log: log, listeners: l}
	if err := n.open(w); err != nil {
		l.close()
		return nil, err
	}
	if err := n.wire(version, w.silence); err != nil {
		l.close()
		return nil, errors.Join(err, n.end())
	}
	return n, nil
}

// open opens what the node answers from.
func (n *Node) open(w workings) (err error) {
	c := &n.config
	if c.Recursive.is() {
		n.walker, err = newWalker(c)
		return err
	}
	r := w.registry
	r.Folder, r.Anchor, r.Parent, r.Peers, r.Log = c.Data, c.Anchor, c.Parent.Key, c.peerKeys(), n.log
	if r.Journal.SegmentSize == 0 {
		r.Journal.SegmentSize = int64(c.Journal.Segment)
	}
	if r.Reserve == 0 {
		r.Reserve = int64(c.Journal.Reserve)
	}
	var asked bool
	n.registry, asked, err = openRegistry(c, r)
	if err != nil {
		return err
	}
	if why := c.alone(); why != "" {
		n.log.Warn("no anchor", "why", why)
	}
	if c.anchorInside() {
		n.log.Warn("the anchor lies in the data folder", "anchor", c.Anchor,
			"why", "whoever puts the folder back puts the anchor back with it: name a file on another volume")
	}
	n.identity = proto.NewIdentity(n.registry.Signer())
	if n.replication, err = newReplication(c, n.registry, n.identity, n.log, w.silence); err != nil {
		return errors.Join(err, n.registry.Close())
	}
	if !asked {
		n.replication.first = func(ctx context.Context) error { return askAgain(ctx, c, n.registry, n.replication.tell) }
	}
	return nil
}

// run keeps it going until ctx ends.
func (n *Node) run(ctx context.Context) error {
	if n.walker != nil {
		return nil // nothing to do but to answer
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return n.registry.Run(ctx) })
	g.Go(func() error { return n.replication.run(ctx) })
	return g.Wait()
}

// end closes it.
func (n *Node) end() error {
	if n.walker != nil {
		return n.walker.Close()
	}
	return n.registry.Close()
}

// Run answers until ctx ends, then lets what is under way finish, closes everything
// and returns nil. It returns an error when something fails that the node cannot
// answer without; it has closed everything then too. Call it once.
func (n *Node) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return n.run(ctx) })
	g.Go(func() error { return n.dns.Serve(ctx, n.listeners.sockets, n.listeners.dns) })
	g.Go(func() error { return n.mirror.Serve(ctx, n.listeners.mirrorSockets, n.listeners.mirror) })
	g.Go(func() error { return n.http.Serve(ctx, n.listeners.http...) })
	g.Go(func() error { return n.handle.Serve(ctx, n.listeners.handleSockets, n.listeners.handle) })
	g.Go(func() error {
		return n.mirrorHandle.Serve(ctx, n.listeners.mirrorHandleSockets, n.listeners.mirrorHandle)
	})
	g.Go(func() error { return n.grpc.serve(ctx, n.listeners.grpc) })
	err := g.Wait()
	// The servers first, then what they answer from: nobody asks it any more.
	n.listeners.close()
	return errors.Join(err, n.end())
}

// Close gives up a node that Run was not called for.
func (n *Node) Close() error {
	n.listeners.close()
	return n.end()
}

// Addresses returns where the node listens, by protocol: ports that were asked for as
// 0 are told as they are.
func (n *Node) Addresses() Listen {
	return n.listeners.addresses()
}
