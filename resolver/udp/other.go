//go:build !linux

package udp

import (
	"net"
	"net/netip"
)

type system struct{}

type rawPeer struct{}

func (b *Batch) prepare() {}

func (p *Peer) answerable() bool { return isAnswerable(p.addr) }

func (p *Peer) address() netip.AddrPort { return addressOf(p.addr) }

func open(conn *net.UDPConn) (Socket, error) { return openPlain(conn) }

// Listen opens a UDP socket. The number is how many there are on Linux.
func Listen(address string, _ int) ([]net.PacketConn, error) {
	conn, err := net.ListenPacket("udp", address)
	if err != nil {
		return nil, err
	}
	return []net.PacketConn{conn}, nil
}
