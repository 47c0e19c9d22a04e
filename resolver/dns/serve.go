package dns

import (
	"context"
	"net"

	"github.com/nameplate-id/nameplate/resolver/serving"
	"github.com/nameplate-id/nameplate/resolver/udp"
)

// Serve answers on the sockets and listeners until the context is done, which ends
// it with nil, or somebody else closes one of them. Then it answers what was taken
// in, closes all and returns. A question that takes longer than the server's
// patience gets no answer any more.
func (s *Server) Serve(ctx context.Context, sockets []net.PacketConn, listeners []net.Listener) error {
	return serving.Serve(ctx, sockets, listeners, s.o.Patience, func(working context.Context) serving.Takers {
		answers := s.newPool(working)
		return serving.Takers{
			Datagrams: func(stopping context.Context, socket udp.Socket) error {
				return answers.read(working, stopping, socket)
			},
			Connections: func(stopping context.Context, l net.Listener) error {
				return s.connections.Serve(working, stopping, l, s.next)
			},
			Answered: answers.close,
		}
	})
}
