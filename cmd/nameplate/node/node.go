// Package node puts a node together: one registry, the authority that reads it, and a
// server for each protocol in front. It wires and does nothing else: what a node is
// follows from its configuration, not from a type.
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

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/sync/errgroup"

	"github.com/nameplate-id/nameplate/registry"
	"github.com/nameplate-id/nameplate/registry/journal"
	registryrpc "github.com/nameplate-id/nameplate/registry/rpc"
	"github.com/nameplate-id/nameplate/resolver"
	resolverdns "github.com/nameplate-id/nameplate/resolver/dns"
	resolverhttp "github.com/nameplate-id/nameplate/resolver/http"
	resolverrpc "github.com/nameplate-id/nameplate/resolver/rpc"
)

// Node is a running node: a registry, the authority that reads it, and a server for
// each protocol in front.
type Node struct {
	config    Config
	log       *slog.Logger
	registry  *registry.Registry
	listeners *listeners
	dns       *resolverdns.Server
	mirror    *resolverdns.Server // answers from the mirrors
	http      *resolverhttp.Server
	grpc      *grpcServer
}

// New opens the node's folder and its listeners. What it holds resolves as soon as
// Run is called. When it fails it leaves nothing open. version is told to whoever asks.
func New(c Config, version string, log *slog.Logger) (*Node, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	l, err := listen(c.Listen)
	if err != nil {
		return nil, err
	}
	r, err := registry.Open(registry.Config{
		Folder: c.Data, Anchor: c.Anchor, Parent: c.Parent.Key, Log: log,
		Journal: journal.Options{SegmentSize: int64(c.Journal.Segment)},
	})
	if err != nil {
		l.close()
		return nil, err
	}
	n := &Node{config: c, log: log, registry: r, listeners: l}
	if err := n.wire(version); err != nil {
		l.close()
		return nil, errors.Join(err, r.Close())
	}
	return n, nil
}

// wire puts the servers in front of the registry.
func (n *Node) wire(version string) error {
	m := newMetrics(n.registry, version, n.log)
	authority := resolver.NewAuthority(n.registry, resolver.Options{
		Node: n.registry.Key(), Mirrors: copies{n.registry}, MirrorNodes: n.mirrorNode(),
	})
	zone, err := resolverdns.ParseZone(n.config.Zone)
	if err != nil {
		return err
	}
	self, err := n.self()
	if err != nil {
		return err
	}
	n.dns, err = resolverdns.New(m.measure(authority, "dns"), resolverdns.Options{
		Zone: zone, Node: self, Log: n.log, Connections: n.config.Limits.DNSConnections,
	})
	if err != nil {
		return err
	}
	n.mirror, err = resolverdns.New(m.measure(resolver.FromMirrors(authority), "dns-mirror"), resolverdns.Options{
		Zone: zone, Node: self, Log: n.log, Connections: n.config.Limits.DNSConnections,
	})
	if err != nil {
		return err
	}
	n.http = resolverhttp.New(m.measure(authority, "http"), resolverhttp.Options{
		About:       n.about(version),
		Metrics:     promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{}),
		Healthy:     n.registry.Healthy,
		Connections: n.config.Limits.HTTPConnections,
		Logger:      n.log,
	})
	n.grpc = newGRPCServer(n.config.Limits, n.log,
		resolverrpc.New(m.measure(authority, "grpc"), resolverrpc.Options{}),
		registryrpc.New(&counted{Registry: n.registry, changes: m.changes, log: n.log}, registryrpc.Options{
			Name: n.config.Name, Version: version, Started: time.Now(),
		}))
	return nil
}

// Run answers until ctx ends, then lets what is under way finish, closes everything
// and returns nil. It returns an error when something fails that the node cannot
// answer without; it has closed everything then too. Call it once.
func (n *Node) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return n.registry.Run(ctx) })
	g.Go(func() error { return n.dns.Serve(ctx, n.listeners.sockets, n.listeners.dns) })
	g.Go(func() error { return n.mirror.Serve(ctx, n.listeners.mirrorSockets, n.listeners.mirror) })
	g.Go(func() error { return n.http.Serve(ctx, n.listeners.http...) })
	g.Go(func() error { return n.grpc.serve(ctx, n.listeners.grpc) })
	err := g.Wait()
	// The servers first, the registry after them: nobody asks it any more.
	n.listeners.close()
	return errors.Join(err, n.registry.Close())
}

// Close gives up a node that Run was not called for.
func (n *Node) Close() error {
	n.listeners.close()
	return n.registry.Close()
}

// Addresses returns where the node listens, by protocol: ports that were asked for as
// 0 are told as they are.
func (n *Node) Addresses() Listen {
	return n.listeners.addresses()
}
