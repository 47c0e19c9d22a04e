package udp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"
)

// Each receives batches from a socket until stopping is done, and calls f for each. Overdue
// says that a batch may have waited for longer than an asker is patient ([Backlog]). Failures
// are waited out and logged; it returns an error only when somebody else closed the socket.
func Each(stopping context.Context, socket Socket, batch *Batch, patience time.Duration, log *slog.Logger, f func(overdue bool)) error {
	var late Backlog
	for failures := 0; ; {
		late.Asking()
		if err := socket.Receive(batch); err != nil {
			if stopping.Err() != nil {
				return nil
			}
			if isClosed(err) {
				return fmt.Errorf("receiving datagrams: %w", err)
			}
			log.Warn("receiving a datagram failed", "error", err)
			pause(stopping, failures)
			failures++
			continue
		}
		failures = 0
		f(late.Overdue(batch.Len() == len(batch.buffers), patience))
	}
}

// Send sends the answers of a batch. That one cannot be sent is only told to who debugs:
// the asker is gone or cannot be reached.
func Send(socket Socket, answers *Batch, log *slog.Logger) {
	if err := socket.Send(answers); err != nil && !isClosed(err) {
		log.Debug("sending an answer failed", "error", err)
	}
}

// OpenAll is [Open] for several connections, with room in the system for what comes while
// others are read. After an error the connections are still to be closed.
func OpenAll(conns []net.PacketConn) ([]Socket, error) {
	sockets := make([]Socket, len(conns))
	for i, conn := range conns {
		if conn, ok := conn.(*net.UDPConn); ok {
			// The system gives what it allows; less only means that bursts are lost earlier.
			_ = conn.SetReadBuffer(receiveBuffer)
		}
		var err error
		if sockets[i], err = Open(conn); err != nil {
			return nil, fmt.Errorf("%v: telling at which address a datagram came in: %w", conn.LocalAddr(), err)
		}
	}
	return sockets, nil
}

// receiveBuffer is how many octets of datagrams the system may keep for a socket while a
// server reads others.
const receiveBuffer = 1 << 20

// pause waits a moment after the nth failure in a row, or until the context is done.
func pause(ctx context.Context, n int) {
	timer := time.NewTimer(min(time.Second, time.Millisecond<<min(n, 10)))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// isClosed reports whether a socket was closed or interrupted.
func isClosed(err error) bool {
	var timeout net.Error
	return errors.Is(err, net.ErrClosed) || errors.As(err, &timeout) && timeout.Timeout()
}
