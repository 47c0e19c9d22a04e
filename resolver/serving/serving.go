// Package serving is how a server of messages goes on and ends, for DNS and Handle alike:
// over datagrams and connections it takes messages until it is to stop or something fails;
// then what it has taken is answered, for as long as an asker is patient.
package serving

import (
	"context"
	"net"
	"sync"
	"time"

	"github.com/nameplate-id/nameplate/resolver/udp"
)

// Takers take messages. Each returns when stopping is done: with nil, when it has answered what
// it has taken or left it to others; or with an error, which ends all of them.
type Takers struct {
	// Datagrams takes from a socket, Connections from a listener. Each is called once for
	// every one of them, all at the same time.
	Datagrams   func(stopping context.Context, socket udp.Socket) error
	Connections func(stopping context.Context, l net.Listener) error
	// Answered waits for the answers to what they have left to others. It is called when all
	// have returned.
	Answered func()
}

// Serve lets takers take from the sockets and listeners until ctx is done, which ends it with
// nil, or one of them fails, which ends it with the first error. Then it lets them answer what
// they have taken, closes all and returns. start makes the takers; its working is done when
// patience has passed since the end: then nobody waits for an answer any more.
func Serve(ctx context.Context, sockets []net.PacketConn, listeners []net.Listener, patience time.Duration, start func(working context.Context) Takers) error {
	defer func() {
		for _, socket := range sockets {
			socket.Close()
		}
		closeAll(listeners)
	}()
	opened, err := udp.OpenAll(sockets)
	if err != nil {
		return err
	}
	stopping, stop := context.WithCancel(ctx)
	defer stop()
	working, abandon := context.WithCancel(context.WithoutCancel(ctx))
	defer abandon()
	takers := start(working)

	var taking sync.WaitGroup
	var once sync.Once
	var failure error
	take := func(from func() error) {
		taking.Go(func() {
			if err := from(); err != nil {
				once.Do(func() { failure = err })
				stop()
			}
		})
	}
	for _, socket := range opened {
		take(func() error { return takers.Datagrams(stopping, socket) })
	}
	for _, l := range listeners {
		take(func() error { return takers.Connections(stopping, l) })
	}

	<-stopping.Done()
	late := time.AfterFunc(patience, abandon)
	defer late.Stop()
	for _, socket := range opened {
		if err := socket.Interrupt(); err != nil {
			socket.Close()
		}
	}
	closeAll(listeners)
	taking.Wait()
	takers.Answered()
	return failure
}

func closeAll(listeners []net.Listener) {
	for _, l := range listeners {
		l.Close()
	}
}
