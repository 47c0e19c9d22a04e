package udp

import (
	"errors"
	"net"
	"net/netip"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// plain is any [net.PacketConn], one datagram at a time.
type plain struct{ net.PacketConn }

func (s plain) Receive(b *Batch) error {
	n, from, err := s.ReadFrom(b.buffers[0])
	if err != nil {
		return err
	}
	b.received(1)
	b.lengths[0], b.peers[0] = n, Peer{addr: from}
	return nil
}

func (s plain) Send(b *Batch) error {
	return b.each(func(p *Peer, answer []byte) error {
		_, err := s.WriteTo(answer, p.addr)
		return err
	})
}

func (s plain) Interrupt() error { return interrupt(s.PacketConn) }

// wildcard is a UDP socket bound to all addresses, one datagram at a time.
type wildcard struct{ *net.UDPConn }

// openPlain returns a socket that needs nothing of a particular system.
func openPlain(conn *net.UDPConn) (Socket, error) {
	if !isWildcard(conn) {
		return plain{conn}, nil
	}
	err6 := ipv6.NewPacketConn(conn).SetControlMessage(ipv6.FlagDst, true)
	err4 := ipv4.NewPacketConn(conn).SetControlMessage(ipv4.FlagDst, true)
	if err4 != nil && err6 != nil {
		return nil, err4
	}
	return wildcard{conn}, nil
}

func (s wildcard) Receive(b *Batch) error {
	var control [128]byte
	n, m, _, from, err := s.ReadMsgUDP(b.buffers[0], control[:])
	if err != nil {
		return err
	}
	b.received(1)
	b.lengths[0], b.peers[0] = n, Peer{addr: from, from: answerFrom(control[:m])}
	return nil
}

// answerFrom returns the control message by which an answer leaves from where a
// datagram arrived.
func answerFrom(control []byte) []byte {
	var six ipv6.ControlMessage
	if six.Parse(control) == nil && six.Dst != nil {
		if six.Dst.To4() == nil {
			return (&ipv6.ControlMessage{Src: six.Dst}).Marshal()
		}
		return (&ipv4.ControlMessage{Src: six.Dst}).Marshal()
	}
	var four ipv4.ControlMessage
	if four.Parse(control) == nil && four.Dst != nil {
		return (&ipv4.ControlMessage{Src: four.Dst}).Marshal()
	}
	return nil
}

func (s wildcard) Send(b *Batch) error {
	return b.each(func(p *Peer, answer []byte) error {
		to, ok := p.addr.(*net.UDPAddr)
		if !ok {
			return errors.New("the datagram that is answered came by another socket")
		}
		_, _, err := s.WriteMsgUDP(answer, p.from, to)
		return err
	})
}

func (s wildcard) Interrupt() error { return interrupt(s.UDPConn) }

// each sends the answers one by one and returns the first error.
func (b *Batch) each(send func(*Peer, []byte) error) error {
	var first error
	for i, answer := range b.answers[:b.n] {
		if answer == nil {
			continue
		}
		if err := send(&b.peers[i], answer); err != nil && first == nil {
			first = err
		}
	}
	return first
}

// isAnswerable reports whether somebody listens at an address.
func isAnswerable(from net.Addr) bool {
	udp, ok := from.(*net.UDPAddr)
	return !ok || udp.Port != 0
}

// addressOf returns an address as a value; the zero AddrPort for what is not one of IP.
func addressOf(a net.Addr) netip.AddrPort {
	udp, ok := a.(*net.UDPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	at := udp.AddrPort()
	return netip.AddrPortFrom(at.Addr().Unmap().WithZone(""), at.Port())
}
