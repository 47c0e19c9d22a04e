package http

import (
	"net"
	"net/netip"
	"sync"
)

// limited is a listener that closes connections beyond a limit, in all and from
// one address, as soon as they are there: waiting for a place would let whoever
// holds the places shut everybody else out for as long as they like.
type limited struct {
	net.Listener
	total, perAddress int

	mu   sync.Mutex
	open int
	from map[netip.Addr]int
}

func newLimited(l net.Listener, total, perAddress int) *limited {
	return &limited{Listener: l, total: total, perAddress: perAddress, from: map[netip.Addr]int{}}
}

// Accept implements [net.Listener].
func (l *limited) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		address := addressOf(c)
		if l.take(address) {
			return &counted{Conn: c, done: sync.OnceFunc(func() { l.giveBack(address) })}, nil
		}
		_ = c.Close()
	}
}

// take takes a place, if there is one. Connections without an IP address count as
// one address.
func (l *limited) take(address netip.Addr) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open >= l.total || l.from[address] >= l.perAddress {
		return false
	}
	l.open++
	l.from[address]++
	return true
}

func (l *limited) giveBack(address netip.Addr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open--
	if l.from[address]--; l.from[address] == 0 {
		delete(l.from, address)
	}
}

// addressOf returns who is at the other end: an IPv6 network of 64 bits counts as
// one, because whoever has one address of it has them all.
func addressOf(c net.Conn) netip.Addr {
	at, err := netip.ParseAddrPort(c.RemoteAddr().String())
	if err != nil {
		return netip.Addr{}
	}
	address := at.Addr().Unmap().WithZone("")
	if address.Is6() {
		if network, err := address.Prefix(64); err == nil {
			return network.Addr()
		}
	}
	return address
}

// counted gives its place back when it is closed.
type counted struct {
	net.Conn
	done func()
}

// Close implements [net.Conn].
func (c *counted) Close() error {
	c.done()
	return c.Conn.Close()
}
