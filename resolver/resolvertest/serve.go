package resolvertest

import (
	"context"
	"net"
	"testing"
)

// Serve serves on a port of loopback, UDP and TCP, until the test ends, and returns its
// address.
func Serve(t testing.TB, serve func(context.Context, []net.PacketConn, []net.Listener) error) string {
	t.Helper()
	socket, listener := Listen(t)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- serve(ctx, []net.PacketConn{socket}, []net.Listener{listener}) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("serving ended with %v", err)
		}
	})
	return socket.LocalAddr().String()
}

// Listen opens a UDP and a TCP port of loopback with the same number.
func Listen(t testing.TB) (net.PacketConn, net.Listener) {
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
