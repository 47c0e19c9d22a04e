package node

import (
	"fmt"
	"net"
	"runtime"
	"slices"
	"strings"

	"github.com/nameplate-id/nameplate/resolver/udp"
)

// listeners are the open sockets of a node.
type listeners struct {
	sockets, mirrorSockets, handleSockets, mirrorHandleSockets []net.PacketConn
	dns, mirror, grpc, http, handle, mirrorHandle              []net.Listener
}

// listen opens everything or nothing.
func listen(c Listen) (*listeners, error) {
	l := &listeners{}
	err := l.open(c)
	if err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

func (l *listeners) open(c Listen) error {
	for _, p := range []struct {
		name      string
		addresses []string
		to        *[]net.Listener
		sockets   *[]net.PacketConn
	}{
		{"dns", c.DNS, &l.dns, &l.sockets}, {"mirror", c.Mirror, &l.mirror, &l.mirrorSockets},
		{"handle", c.Handle, &l.handle, &l.handleSockets}, {"mirror-handle", c.MirrorHandle, &l.mirrorHandle, &l.mirrorHandleSockets},
	} {
		for _, address := range p.addresses {
			tcp, sockets, err := listenBoth(address)
			if err != nil {
				return busy(p.name, address, err)
			}
			*p.to, *p.sockets = append(*p.to, tcp), append(*p.sockets, sockets...)
		}
	}
	for _, p := range []struct {
		name      string
		addresses []string
		to        *[]net.Listener
	}{{"grpc", c.GRPC, &l.grpc}, {"http", c.HTTP, &l.http}} {
		for _, address := range p.addresses {
			listener, err := net.Listen("tcp", address)
			if err != nil {
				return busy(p.name, address, err)
			}
			*p.to = append(*p.to, listener)
		}
	}
	return nil
}

// listenBoth opens TCP and UDP on one port, also when any port will do: UDP as often
// as there are processors. TCP comes first and only once, so that a second node does
// not share the port of the first.
func listenBoth(address string) (net.Listener, []net.PacketConn, error) {
	const attempts = 16 // to find a port that is free for both
	for attempt := 1; ; attempt++ {
		tcp, err := net.Listen("tcp", address)
		if err != nil {
			return nil, nil, err
		}
		sockets, err := udp.Listen(tcp.Addr().String(), runtime.GOMAXPROCS(0))
		if err == nil {
			return tcp, sockets, nil
		}
		tcp.Close()
		if !strings.HasSuffix(address, ":0") || attempt == attempts {
			return nil, nil, err
		}
	}
}

// busy says which setting names an address that cannot be had.
func busy(protocol, address string, err error) error {
	return fmt.Errorf("cannot listen on %s for %s: %w: stop what uses it, or set listen.%s to another address", address, protocol, err, protocol)
}

func (l *listeners) close() {
	for _, s := range slices.Concat(l.sockets, l.mirrorSockets, l.handleSockets, l.mirrorHandleSockets) {
		s.Close()
	}
	for _, list := range [][]net.Listener{l.dns, l.mirror, l.grpc, l.http, l.handle, l.mirrorHandle} {
		for _, x := range list {
			x.Close()
		}
	}
}

func (l *listeners) addresses() Listen {
	list := func(of []net.Listener) []string {
		var a []string
		for _, x := range of {
			a = append(a, x.Addr().String())
		}
		return a
	}
	return Listen{DNS: list(l.dns), GRPC: list(l.grpc), HTTP: list(l.http), Handle: list(l.handle), Mirror: list(l.mirror), MirrorHandle: list(l.mirrorHandle)}
}
