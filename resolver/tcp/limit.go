package tcp

import (
	"net"
	"net/netip"
	"sync"
)

// Places are those that connections take: so many in all, so many from one client. Who
// finds none is to be closed at once: to let him wait would let whoever has the places
// keep everybody else out. Its methods may be called concurrently.
type Places struct {
	total, perClient int
	loopback         bool // loopback is no client: only the total counts

	mu         sync.Mutex
	open       int
	turnedAway int64
	clients    map[netip.Prefix]int
}

// NewPlaces returns places of which none is taken. With loopback, connections from there
// count in all only: everybody comes from loopback when a proxy stands in front.
func NewPlaces(total, perClient int, loopback bool) *Places {
	return &Places{total: total, perClient: perClient, loopback: loopback, clients: map[netip.Prefix]int{}}
}

// Limit returns a listener that closes at once what finds no place. Several listeners may
// share the places.
func (p *Places) Limit(l net.Listener) net.Listener { return &limited{l, p} }

func (p *Places) enter(client netip.Prefix) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.open >= p.total || p.clients[client] >= p.perClient && !(p.loopback && client.Addr().IsLoopback()) {
		p.turnedAway++
		return false
	}
	p.open++
	p.clients[client]++
	return true
}

func (p *Places) leave(client netip.Prefix) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open--
	if p.clients[client]--; p.clients[client] == 0 {
		delete(p.clients, client)
	}
}

// counts returns how many places are taken, and how many connections found none.
func (p *Places) counts() (open, turnedAway int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return int64(p.open), p.turnedAway
}

// clientOf returns what counts as one client: an IPv4 address, or the /64 that a
// host or a household has in IPv6; ::1 by itself. Other addresses are one client together.
func clientOf(a net.Addr) netip.Prefix {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.Prefix{}
	}
	ip := tcp.AddrPort().Addr().Unmap().WithZone("")
	bits := ip.BitLen()
	if ip.Is6() && !ip.IsLoopback() {
		bits = 64
	}
	p, err := ip.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}

// limited is a listener with places.
type limited struct {
	net.Listener
	places *Places
}

// Accept implements [net.Listener].
func (l *limited) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		client := clientOf(conn.RemoteAddr())
		if l.places.enter(client) {
			return &placed{Conn: conn, leave: sync.OnceFunc(func() { l.places.leave(client) })}, nil
		}
		conn.Close()
	}
}

// placed gives its place back when it is closed.
type placed struct {
	net.Conn
	leave func()
}

// Close implements [net.Conn].
func (c *placed) Close() error {
	defer c.leave()
	return c.Conn.Close()
}
