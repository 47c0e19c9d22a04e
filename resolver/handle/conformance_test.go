package handle_test

import (
	"testing"

	"github.com/nameplate-id/nameplate/resolver"
	"github.com/nameplate-id/nameplate/resolver/handle"
	"github.com/nameplate-id/nameplate/resolver/resolvertest"
)

// serve starts a server on loopback, one port for UDP and TCP, and returns its
// address. It ends with the test.
func serve(t testing.TB, r resolver.Resolver, o handle.Options) string {
	t.Helper()
	address, _ := serveAs(t, r, o)
	return address
}

// serveAs is serve that returns the server, too.
func serveAs(t testing.TB, r resolver.Resolver, o handle.Options) (string, *handle.Server) {
	t.Helper()
	s := handle.New(r, o)
	return resolvertest.Serve(t, s.Serve), s
}

// Nothing is lost over Handle: what it has no place for travels behind it.
func TestConformance(t *testing.T) {
	for name, o := range map[string]handle.ClientOptions{"UDP": {}, "TCP": {OnlyTCP: true}} {
		t.Run(name, func(t *testing.T) {
			resolvertest.Run(t, resolver.Handle, func(t *testing.T, backend resolver.Resolver) resolver.Resolver {
				return handle.NewClient(serve(t, backend, handle.Options{}), o)
			})
		})
	}
}
