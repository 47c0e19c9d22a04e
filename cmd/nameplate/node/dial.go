package node

import (
	"fmt"
	"net/netip"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/resolver"
	resolverdns "github.com/nameplate-id/nameplate/resolver/dns"
	resolverhandle "github.com/nameplate-id/nameplate/resolver/handle"
	resolverhttp "github.com/nameplate-id/nameplate/resolver/http"
	resolverrpc "github.com/nameplate-id/nameplate/resolver/rpc"
)

const (
	// A datagram that is lost is sent again, twice, within the time that a walk gives
	// to one question.
	walkDatagram  = 300 * time.Millisecond
	walkDatagrams = 3
	// How soon gRPC tries to connect again to a node that was not there. A walk asks it
	// at most so often itself.
	walkReconnect    = 100 * time.Millisecond
	walkReconnectMax = 500 * time.Millisecond
	walkConnect      = time.Second
)

// Dialer returns how a walk from these top-level nodes asks a node. Referrals come from
// strangers: to loopback they lead only where a top-level node is on loopback itself,
// and never to no host or many.
func Dialer(zone string, roots []identifier.Node) (func(resolver.Endpoint) (resolver.Resolver, error), error) {
	z, err := resolverdns.ParseZone(zone)
	if err != nil {
		return nil, err
	}
	inside := false
	for i := range roots {
		for _, a := range roots[i].Addresses {
			ip, err := netip.ParseAddr(a.IP)
			inside = inside || err == nil && ip.IsLoopback()
		}
	}
	return func(e resolver.Endpoint) (resolver.Resolver, error) {
		ip := e.At.Addr().Unmap()
		switch {
		case ip.IsLoopback() && !inside:
			return nil, fmt.Errorf("%s is this machine, where no top-level node is", ip)
		case ip.IsUnspecified() || ip.IsMulticast() || ip == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
			return nil, fmt.Errorf("%s is not the address of one host", ip)
		}
		at := netip.AddrPortFrom(ip, e.At.Port()).String()
		switch e.Protocol {
		case resolver.GRPC:
			return resolverrpc.NewClient(at, resolverrpc.ClientOptions{Dial: []grpc.DialOption{grpc.WithConnectParams(grpc.ConnectParams{
				Backoff:           backoff.Config{BaseDelay: walkReconnect, Multiplier: 1.6, Jitter: .2, MaxDelay: walkReconnectMax},
				MinConnectTimeout: walkConnect,
			})}})
		case resolver.DNS:
			return resolverdns.NewClient(at, resolverdns.ClientOptions{Zone: z, Timeout: walkDatagram, Attempts: walkDatagrams}), nil
		case resolver.HTTP:
			return resolverhttp.NewClient(at, resolverhttp.ClientOptions{})
		case resolver.Handle:
			return resolverhandle.NewClient(at, resolverhandle.ClientOptions{}), nil
		}
		return nil, fmt.Errorf("there is no client for %s", e.Protocol)
	}, nil
}
