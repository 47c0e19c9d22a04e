package handle

import (
	"context"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/nameplate-id/nameplate/resolver/udp"
)

// Serve answers on the sockets and listeners until the context is done, which ends it
// with nil, or somebody else closes one of them. Then it answers what was taken in,
// closes all and returns. A question that takes longer than the server's patience gets
// no answer any more.
func (s *Server) Serve(ctx context.Context, sockets []net.PacketConn, listeners []net.Listener) error {
	defer func() {
		for _, socket := range sockets {
			socket.Close()
		}
		for _, l := range listeners {
			l.Close()
		}
	}()
	var opened []udp.Socket
	for _, socket := range sockets {
		if conn, ok := socket.(*net.UDPConn); ok {
			// The system gives what it allows; less only means that bursts are lost earlier.
			_ = conn.SetReadBuffer(receiveBuffer)
		}
		d, err := udp.Open(socket)
		if err != nil {
			return fmt.Errorf("%v: telling at which address a request came in: %w", socket.LocalAddr(), err)
		}
		opened = append(opened, d)
	}

	stopping, stop := context.WithCancel(ctx)
	defer stop()
	working, abandon := context.WithCancel(context.WithoutCancel(ctx))
	defer abandon()
	var once sync.Once
	var failure error
	ended := func(err error) {
		if err != nil {
			once.Do(func() { failure = err })
			stop()
		}
	}

	answers := s.newPool(working)
	var taking sync.WaitGroup
	for _, socket := range opened {
		taking.Go(func() { ended(answers.read(working, stopping, socket)) })
	}
	for _, l := range listeners {
		taking.Go(func() { ended(s.connections.Serve(working, stopping, l, s.next)) })
	}

	<-stopping.Done()
	late := time.AfterFunc(s.o.Patience, abandon)
	defer late.Stop()
	for _, socket := range opened {
		if err := socket.Interrupt(); err != nil {
			socket.Close()
		}
	}
	for _, l := range listeners {
		l.Close()
	}
	taking.Wait()
	answers.close()
	return failure
}

// pause waits a moment after the nth failure in a row, or until the context is done.
func pause(ctx context.Context, n int) {
	timer := time.NewTimer(min(time.Second, time.Millisecond<<min(n, 10)))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
