package dns_test

import (
	"context"
	"net"
	"testing"

	"github.com/nameplate-id/nameplate/resolver"
	"github.com/nameplate-id/nameplate/resolver/dns"
	"github.com/nameplate-id/nameplate/resolver/resolvertest"
)

// serve starts a server on loopback, one port for UDP and TCP, and returns its
// address. It ends with the test.
func serve(t testing.TB, r resolver.Resolver, o dns.Options) (string, *dns.Server) {
	t.Helper()
	s, err := dns.New(r, o)
	if err != nil {
		t.Fatal(err)
	}
	return begin(t, s), s
}

// begin serves on loopback until the test ends, and returns the address.
func begin(t testing.TB, s *dns.Server) string {
	t.Helper()
	socket, listener := listen(t)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- s.Serve(ctx, []net.PacketConn{socket}, []net.Listener{listener}) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("serving ended with %v", err)
		}
	})
	return socket.LocalAddr().String()
}

// listen opens a UDP and a TCP port with the same number.
func listen(t testing.TB) (net.PacketConn, net.Listener) {
	t.Helper()
	for range 20 {
		socket, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		listener, err := net.Listen("tcp", socket.LocalAddr().String())
		if err == nil {
			return socket, listener
		}
		socket.Close()
	}
	t.Fatal("no port is free for both UDP and TCP")
	return nil, nil
}

// omissions are what DNS has no place for.
func omissions() []resolvertest.Omission {
	return []resolvertest.Omission{
		{Part: resolvertest.Holder, Because: "a referral carries the node; who holds the prefix is asked over gRPC"},
		{Part: resolvertest.MalformedKind, Because: "the table of outcomes gives both NXDOMAIN"},
		{Part: resolvertest.OverloadedKind, Because: "the table of outcomes gives neither an answer"},
		{Part: resolvertest.Details, Because: "no answer has no text; that of SERVFAIL is tested here"},
		{Part: resolvertest.Large, Because: "a DNS message has at most 65,535 octets"},
		{Part: resolvertest.Selection, Because: "a name says what is asked about, not which of its values"},
	}
}

func TestConformanceUDP(t *testing.T) {
	resolvertest.Run(t, resolver.DNS, func(t *testing.T, backend resolver.Resolver) resolver.Resolver {
		address, _ := serve(t, backend, dns.Options{})
		return dns.NewClient(address, dns.ClientOptions{})
	}, omissions()...)
}

func TestConformanceTCP(t *testing.T) {
	resolvertest.Run(t, resolver.DNS, func(t *testing.T, backend resolver.Resolver) resolver.Resolver {
		address, _ := serve(t, backend, dns.Options{})
		return dns.NewClient(address, dns.ClientOptions{OnlyTCP: true})
	}, omissions()...)
}
