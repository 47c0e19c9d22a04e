package handle_test

import (
	"context"
	"net"
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
	socket, listener := listen(t)
	ctx, cancel := context.WithCancel(context.Background())
	s := handle.New(r, o)
	done := make(chan error)
	go func() { done <- s.Serve(ctx, []net.PacketConn{socket}, []net.Listener{listener}) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("serving ended with %v", err)
		}
	})
	return socket.LocalAddr().String(), s
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
