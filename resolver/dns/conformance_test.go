package dns_test

import (
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
	return resolvertest.Serve(t, s.Serve), s
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
