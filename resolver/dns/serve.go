package dns

import (
	"context"
	"net"

	"github.com/nameplate-id/nameplate/resolver"
	"github.com/nameplate-id/nameplate/resolver/udp"
)

// Serve answers on the sockets and listeners until the context is done, which ends
// it with nil, or somebody else closes one of them. Then it answers what was taken
// in, closes all and returns. A question that takes longer than the server's
// patience gets no answer any more.
func (s *Server) Serve(ctx context.Context, sockets []net.PacketConn, listeners []net.Listener) error {
	defer func() {
		for _, socket := range sockets {
			socket.Close()
		}
		for _, l := range listeners {
			l.Close()
		}
	}()
	opened, err := udp.OpenAll(sockets)
	if err != nil {
		return err
	}
	serving := resolver.NewServing(ctx)
	answers := s.newPool(serving.Working)
	for _, socket := range opened {
		serving.Go(func() error { return answers.read(serving.Working, serving.Stopping, socket) })
	}
	for _, l := range listeners {
		serving.Go(func() error { return s.connections.Serve(serving.Working, serving.Stopping, l, s.next) })
	}
	return serving.End(s.o.Patience, func() {
		for _, socket := range opened {
			if err := socket.Interrupt(); err != nil {
				socket.Close()
			}
		}
		for _, l := range listeners {
			l.Close()
		}
	}, answers.close)
}
