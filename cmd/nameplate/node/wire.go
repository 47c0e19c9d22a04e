package node

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/nameplate-id/nameplate/registry/identifier"
	registryrpc "github.com/nameplate-id/nameplate/registry/rpc"
	"github.com/nameplate-id/nameplate/resolver"
	resolverdns "github.com/nameplate-id/nameplate/resolver/dns"
	resolverhandle "github.com/nameplate-id/nameplate/resolver/handle"
	resolverhttp "github.com/nameplate-id/nameplate/resolver/http"
	resolverrpc "github.com/nameplate-id/nameplate/resolver/rpc"
)

// front is what stands behind the servers of a node.
type front struct {
	answers resolver.Resolver
	mirrors resolver.Resolver   // what answers at the mirror's address
	records resolverdns.Records // of answers; nil at a recursive node
	healthy func(context.Context) error
	grpc    []service // beside resolution
	metrics *metrics
}

// front returns what stands behind the servers of this node.
func (n *Node) front(version string) front {
	if n.walker != nil {
		return n.walking(version)
	}
	return n.holding(version)
}

// holding is the front of a node that holds prefixes: its registry.
func (n *Node) holding(version string) front {
	m := newMetrics(&registryCollector{registry: n.registry, replication: n.replication}, version, n.log)
	authority := resolver.NewAuthority(n.registry, resolver.Options{
		Node: n.registry.Key(), Mirrors: copies{n.registry},
	})
	return front{
		answers: authority, records: authority, mirrors: resolver.FromMirrors(authority), healthy: n.registry.Healthy, metrics: m,
		grpc: []service{registryrpc.New(&counted{Registry: n.registry, changes: m.changes, log: n.log}, registryrpc.Options{
			Name: n.config.Name, Version: version, Started: time.Now(), Upstream: n.replication.upstream, Alone: n.config.alone(), Peers: n.replication.peerStatus,
		}), n.replication.parent},
	}
}

// walking is the front of a recursive node: its cache.
func (n *Node) walking(version string) front {
	answers := resolver.ForRecursive(n.walker.cache)
	return front{
		answers: answers, mirrors: answers, metrics: newMetrics(walkerCollector{n.walker}, version, n.log),
		grpc: []service{resolverrpc.NewCacheServer(n.walker.cache)},
	}
}

// wire puts the servers in front. silence is that of [workings].
func (n *Node) wire(version string, silence time.Duration) error {
	f := n.front(version)
	self, err := n.self()
	if err != nil {
		return err
	}
	peers, err := n.config.peers()
	if err != nil {
		return err
	}
	if err := n.wireDNS(f, self, peers); err != nil {
		return err
	}
	identity, err := n.handleIdentity(&self)
	if err != nil {
		return err
	}
	h := n.handleOptions(f, self, peers, identity)
	n.wireHandle(f, h)
	n.wireHTTP(f, h, version)
	n.wireGRPC(f, silence)
	return nil
}

// wireDNS makes the servers for DNS: the node's own, and the one that answers from mirrors.
func (n *Node) wireDNS(f front, self identifier.Node, peers []identifier.Node) error {
	zone, err := resolverdns.ParseZone(n.config.Zone)
	if err != nil {
		return err
	}
	recursive := n.walker != nil
	o := resolverdns.Options{
		Zone: zone, Node: self, Peers: peers, Log: n.log, Connections: n.config.Limits.DNSConnections, Rate: n.config.Limits.DNSRate, CookieSecret: n.config.Limits.DNSCookieSecret, Recursive: recursive,
		AtOnce: !recursive,
	}
	if recursive {
		// Whoever asks may have to wait for others.
		o.Workers, o.Waiting, o.Pipeline = walkingAtOnce, walkingAtOnce, walkingPipeline
	}
	n.mirror, err = resolverdns.New(f.metrics.measure(f.mirrors, "dns-mirror"), o)
	if err != nil {
		return err
	}
	if f.records != nil {
		o.Records = f.metrics.measureRecords(f.records, "dns")
	}
	n.dns, err = resolverdns.New(f.metrics.measure(f.answers, "dns"), o)
	if err != nil {
		return err
	}
	f.metrics.dnsPaths(n.dns.Stats)
	return nil
}

// handleOptions are what the servers for Handle have in common, and the one that HTTP asks.
func (n *Node) handleOptions(f front, self identifier.Node, peers []identifier.Node, identity *resolverhandle.Identity) resolverhandle.Options {
	recursive := n.walker != nil
	o := resolverhandle.Options{Node: self, Peers: peers, Identity: identity, Recursive: recursive, Log: n.log, Connections: n.config.Limits.HandleConnections, AtOnce: !recursive}
	if recursive {
		o.Workers, o.Waiting, o.Pipeline = walkingAtOnce, walkingAtOnce, walkingPipeline
	}
	if f.records != nil {
		o.Records = f.metrics.measureRecords(f.records, "handle")
	}
	if recursive && n.walker.walk != nil {
		o.Referral = n.walker.walk.Referral
	}
	return o
}

// wireHandle makes the servers for Handle: the node's own, and the one that answers from
// mirrors.
func (n *Node) wireHandle(f front, o resolverhandle.Options) {
	n.handle = resolverhandle.New(f.metrics.measure(f.answers, "handle"), o)
	f.metrics.handlePaths(n.handle.Stats)
	n.mirrorHandle = resolverhandle.New(f.metrics.measure(f.mirrors, "handle-mirror"), n.mirrorOptions(o))
}

// wireHTTP makes the server for HTTP, which asks one for Handle what handles have.
func (n *Node) wireHTTP(f front, o resolverhandle.Options, version string) {
	overHTTP := resolverhandle.New(f.metrics.measure(f.answers, "http"), o)
	var lent resolverhttp.Records
	if f.records != nil {
		lent = f.metrics.measureRecords(f.records, "http")
	}
	n.http = resolverhttp.New(f.metrics.measure(f.answers, "http"), resolverhttp.Options{
		Records:     lent,
		About:       n.about(version),
		Metrics:     promhttp.HandlerFor(f.metrics.registry, promhttp.HandlerOpts{}),
		Healthy:     f.healthy,
		Handles:     handles{overHTTP, n.walker != nil},
		Describe:    describe,
		Tunnel:      overHTTP.Tunnel(),
		TLS:         n.encryption(o.Identity),
		Connections: n.config.Limits.HTTPConnections,
		Logger:      n.log,
	})
}

// wireGRPC makes the server for gRPC, with everything that is spoken over it.
func (n *Node) wireGRPC(f front, silence time.Duration) {
	o := resolverrpc.Options{}
	if n.walker != nil {
		o.Workers, o.Parallel = walkingAtOnce, walkingPipeline
	}
	if f.records != nil {
		o.Records = f.metrics.measureRecords(f.records, "grpc")
	}
	n.grpc = newGRPCServer(n.config.Limits, silence, n.identity, n.log, append(f.grpc, resolverrpc.New(f.metrics.measure(f.answers, "grpc"), o))...)
}
