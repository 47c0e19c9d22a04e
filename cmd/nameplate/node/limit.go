package node

import (
	"net"
	"net/netip"
	"sync"
)

// connections counts what is open on the listeners that share it, so that neither
// everybody together nor one host alone takes more than its part.
type connections struct {
	total, perHost int

	mu    sync.Mutex
	open  int
	hosts map[netip.Prefix]int
}

// newConnections allows so many connections in all, and a sixteenth of them, but at
// least one, from one host: a stranger has to own many to shut others out. Loopback
// is no stranger: everybody comes from there when a proxy stands in front.
func newConnections(total int) *connections {
	return &connections{total: total, perHost: max(1, total/16), hosts: make(map[netip.Prefix]int)}
}

// limit returns a listener that closes at once what is more than allowed.
func (c *connections) limit(l net.Listener) net.Listener { return &limitedListener{l, c} }

// enter counts a connection of a host, unless that is one too many.
func (c *connections) enter(host netip.Prefix) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open >= c.total || !host.Addr().IsLoopback() && c.hosts[host] >= c.perHost {
		return false
	}
	c.open++
	c.hosts[host]++
	return true
}

func (c *connections) leave(host netip.Prefix) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open--
	if c.hosts[host]--; c.hosts[host] == 0 {
		delete(c.hosts, host)
	}
}

// hostOf returns what counts as one host: an IPv4 address, or an IPv6 network of 64
// bits, of which one host may have any address.
func hostOf(address net.Addr) netip.Prefix {
	at, err := netip.ParseAddrPort(address.String())
	if err != nil {
		return netip.Prefix{} // no IP: all of them are one host
	}
	ip := at.Addr().Unmap().WithZone("")
	if ip.Is6() && !ip.IsLoopback() {
		network, _ := ip.Prefix(64)
		return network
	}
	return netip.PrefixFrom(ip, ip.BitLen())
}

type limitedListener struct {
	net.Listener
	connections *connections
}

func (l *limitedListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		host := hostOf(conn.RemoteAddr())
		if l.connections.enter(host) {
			return &countedConn{Conn: conn, left: sync.OnceFunc(func() { l.connections.leave(host) })}, nil
		}
		conn.Close()
	}
}

// countedConn says when it is closed.
type countedConn struct {
	net.Conn
	left func()
}

func (c *countedConn) Close() error {
	defer c.left()
	return c.Conn.Close()
}
