package node

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/nameplate-id/nameplate/proto"
	"github.com/nameplate-id/nameplate/registry"
	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/resolver"
	resolverhandle "github.com/nameplate-id/nameplate/resolver/handle"
	resolverhttp "github.com/nameplate-id/nameplate/resolver/http"
)

// self says how others reach this node: as configured, else by the addresses that
// it listens on, as far as they name one host.
func (n *Node) self() (identifier.Node, error) {
	self := identifier.Node{Name: n.config.Name}
	if n.registry != nil {
		self.Key = n.registry.Key()
	}
	for _, a := range n.config.Addresses {
		self.Addresses = append(self.Addresses, identifier.Address{IP: a.IP, DNS: a.DNS, GRPC: a.GRPC, HTTP: a.HTTP, Handle: a.Handle})
	}
	if self.Addresses != nil {
		return self, nil
	}
	byHost := map[netip.Addr]*identifier.Address{}
	var hosts []netip.Addr
	note := func(listeners []net.Listener, port func(*identifier.Address) *uint16) {
		for _, l := range listeners {
			at, err := netip.ParseAddrPort(l.Addr().String())
			if err != nil || at.Addr().IsUnspecified() {
				continue
			}
			host := at.Addr().Unmap()
			if byHost[host] == nil {
				byHost[host] = &identifier.Address{IP: host.String()}
				hosts = append(hosts, host)
			}
			*port(byHost[host]) = at.Port()
		}
	}
	note(n.listeners.dns, func(a *identifier.Address) *uint16 { return &a.DNS })
	note(n.listeners.grpc, func(a *identifier.Address) *uint16 { return &a.GRPC })
	note(n.listeners.http, func(a *identifier.Address) *uint16 { return &a.HTTP })
	note(n.listeners.handle, func(a *identifier.Address) *uint16 { return &a.Handle })
	for _, host := range hosts {
		self.Addresses = append(self.Addresses, *byHost[host])
	}
	return self, nil
}

// encryption is how the HTTP port proves who it is; nil where there is no key. Stock
// Handle clients compare the certificate with the key of the node's site, which is not
// the node's own: that is for who asks for it by name.
func (n *Node) encryption(handle *resolverhandle.Identity) *tls.Config {
	c := &tls.Config{}
	switch {
	case n.identity != nil:
		c = n.identity.Web()
	case handle == nil:
		return nil
	}
	c.MinVersion = tls.VersionTLS12 // stock clients are old
	if handle != nil {
		own := c.GetCertificate
		c.GetCertificate = func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			if own != nil && hello.ServerName == proto.NodeName {
				return own(hello)
			}
			return handle.Certificate()
		}
	}
	return c
}

// handleIdentity is who this node is to Handle clients; nil where it does not speak
// Handle. A recursive node has no folder, and a new key after every start.
func (n *Node) handleIdentity(self *identifier.Node) (*resolverhandle.Identity, error) {
	at := *self
	at.Addresses = slices.Concat(self.Addresses, n.mirrorAddresses())
	switch {
	case len(n.listeners.handle) == 0 && len(n.listeners.mirrorHandle) == 0:
		return nil, nil
	case n.walker != nil:
		return resolverhandle.OpenIdentity("", &at)
	}
	return resolverhandle.OpenIdentity(n.config.Data, &at)
}

// mirrorOptions are those of the Handle server that answers from the mirrors, where that
// at the node's own addresses has h.
func (n *Node) mirrorOptions(h resolverhandle.Options) resolverhandle.Options {
	h.Node.Addresses, h.Mirror, h.Records = n.mirrorAddresses(), true, nil
	return h
}

// mirrorAddresses are where Handle is answered from the mirrors, as far as they name a host.
func (n *Node) mirrorAddresses() []identifier.Address {
	var all []identifier.Address
	for _, l := range n.listeners.mirrorHandle {
		if at, err := netip.ParseAddrPort(l.Addr().String()); err == nil && !at.Addr().IsUnspecified() {
			all = append(all, identifier.Address{IP: at.Addr().Unmap().String(), Handle: at.Port()})
		}
	}
	return all
}

// copies gives the authority the mirrors of a registry.
type copies struct{ registry *registry.Registry }

// Mirror implements [resolver.Mirrors].
func (c copies) Mirror(d *identifier.Delegation) (resolver.Store, time.Duration) {
	found, age := c.registry.CopyOf(d.Node.Key)
	if found == nil {
		return nil, 0
	}
	return found, age
}

// about describes the node on its page for people.
func (n *Node) about(version string) resolverhttp.About {
	first := func(listeners []net.Listener) string {
		if len(listeners) == 0 {
			return ""
		}
		return listeners[0].Addr().String()
	}
	return resolverhttp.About{
		Name: n.config.Name, Version: version, Zone: n.config.Zone,
		DNS: first(n.listeners.dns), GRPC: first(n.listeners.grpc),
	}
}

// counted counts what becomes of the changes that a registry is given, and tells the
// operator of those that failed here.
type counted struct {
	*registry.Registry
	changes *prometheus.CounterVec
	log     *slog.Logger
}

// Register implements the registry of the gRPC server.
func (c *counted) Register(ctx context.Context, change *identifier.Change) (registry.Receipt, error) {
	return c.count(c.Registry.Register(ctx, change))
}

// Delegate implements the registry of the gRPC server.
func (c *counted) Delegate(ctx context.Context, e identifier.Envelope) (registry.Receipt, error) {
	return c.count(c.Registry.Delegate(ctx, e))
}

func (c *counted) count(receipt registry.Receipt, err error) (registry.Receipt, error) {
	result := "logged"
	switch failure, ok := err.(*registry.Error); {
	case ok:
		result = failure.Kind.String()
	case err != nil:
		result = registry.Unavailable.String()
	case receipt.Duplicate:
		result = "duplicate"
	}
	c.changes.WithLabelValues(result).Inc()
	if result == registry.Unavailable.String() {
		c.log.Error("a change was not taken", "error", err)
	}
	return receipt, err
}
