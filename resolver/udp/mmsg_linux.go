package udp

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// message is struct mmsghdr of recvmmsg(2).
type message struct {
	header unix.Msghdr
	octets uint32
}

// rawPeer is where a datagram came from, as the system wrote it.
type rawPeer struct {
	name    unix.RawSockaddrInet6 // its beginning is one of IPv4 where the family says so
	size    uint32                // of name
	control [controlOctets]byte   // what told our address, and will tell it back
	told    int                   // octets of control
}

// controlOctets is room for one control message with a struct in6_pktinfo, which is
// longer than that of IPv4: a header of 16 octets and 20, aligned.
const controlOctets = unix.SizeofCmsghdr + (unix.SizeofInet6Pktinfo+7)&^7

// system is what a batch needs on Linux: headers that point into its buffers, and
// functions made once, because a function that is made for a call is allocated.
type system struct {
	in, out        []message
	inIO, outIO    []unix.Iovec
	receive, send  func(fd uintptr) bool
	got, sent, due int
	errno          syscall.Errno
}

func (b *Batch) prepare() {
	n := len(b.buffers)
	b.in, b.out = make([]message, n), make([]message, n)
	b.inIO, b.outIO = make([]unix.Iovec, n), make([]unix.Iovec, n)
	for i := range n {
		b.inIO[i].Base = &b.buffers[i][0]
		b.inIO[i].SetLen(len(b.buffers[i]))
		b.in[i].header.Iov, b.out[i].header.Iov = &b.inIO[i], &b.outIO[i]
		b.in[i].header.SetIovlen(1)
		b.out[i].header.SetIovlen(1)
		b.in[i].header.Name = (*byte)(unsafe.Pointer(&b.peers[i].raw.name))
	}
	b.receive, b.send = b.receiveNow, b.sendNow
}

func (p *Peer) answerable() bool {
	if p.addr != nil {
		return isAnswerable(p.addr)
	}
	return p.raw.name.Port != 0
}

func (p *Peer) address() netip.AddrPort {
	if p.addr != nil {
		return addressOf(p.addr)
	}
	name := &p.raw.name
	port := name.Port<<8 | name.Port>>8 // in the order of the network
	if name.Family == unix.AF_INET {
		four := (*unix.RawSockaddrInet4)(unsafe.Pointer(name))
		return netip.AddrPortFrom(netip.AddrFrom4(four.Addr), port)
	}
	return netip.AddrPortFrom(netip.AddrFrom16(name.Addr).Unmap(), port)
}

// mmsg is a UDP socket of Linux.
type mmsg struct {
	*net.UDPConn
	raw syscall.RawConn
	// tells is set where the socket is bound to all addresses.
	tells bool
}

func open(conn *net.UDPConn) (Socket, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	s := &mmsg{conn, raw, isWildcard(conn)}
	if !s.tells {
		return s, nil
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		var family int
		family, failed = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_DOMAIN)
		switch {
		case failed != nil:
		case family == unix.AF_INET6: // of IPv4 too, then
			failed = unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1)
		default:
			failed = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_PKTINFO, 1)
		}
	})
	if err = errors.Join(err, os.NewSyscallError("setsockopt", failed)); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *mmsg) Interrupt() error { return interrupt(s.UDPConn) }

func (s *mmsg) Receive(b *Batch) error {
	for i := range b.in {
		h := &b.in[i].header
		h.Namelen = unix.SizeofSockaddrInet6
		if s.tells {
			h.Control = &b.peers[i].raw.control[0]
			h.SetControllen(controlOctets)
		}
	}
	if err := s.raw.Read(b.receive); err != nil {
		return err
	}
	if b.errno != 0 {
		return os.NewSyscallError("recvmmsg", b.errno)
	}
	b.received(b.got)
	for i := range b.got {
		m, p := &b.in[i], &b.peers[i]
		b.lengths[i] = int(m.octets)
		p.addr, p.from = nil, nil
		p.raw.size, p.raw.told = m.header.Namelen, 0
		if s.tells {
			p.raw.turn(int(m.header.Controllen))
		}
	}
	return nil
}

// turn makes of the control message that told where a datagram arrived the one by
// which the answer leaves from there. The interface is left to the system: an answer
// need not take the way back on which the question came.
func (p *rawPeer) turn(told int) {
	if told < unix.SizeofCmsghdr {
		return
	}
	const data = unix.SizeofCmsghdr
	h := (*unix.Cmsghdr)(unsafe.Pointer(&p.control[0]))
	switch {
	case h.Level == unix.IPPROTO_IP && h.Type == unix.IP_PKTINFO && told >= data+unix.SizeofInet4Pktinfo:
		(*unix.Inet4Pktinfo)(unsafe.Pointer(&p.control[data])).Ifindex = 0
	case h.Level == unix.IPPROTO_IPV6 && h.Type == unix.IPV6_PKTINFO && told >= data+unix.SizeofInet6Pktinfo:
		(*unix.Inet6Pktinfo)(unsafe.Pointer(&p.control[data])).Ifindex = 0
	default:
		return
	}
	p.told = told
}

// Neither of the two calls below waits, so they are made without telling the runtime. A
// batch takes longer than the runtime lets a system call take before it gives the
// processor to another thread, and coming back from there costs more than the batch. A
// garbage collection that wants to stop everything waits for the batch instead, a few
// tenths of a millisecond.

// receiveNow reads what is there; it reports false when that is nothing.
func (b *Batch) receiveNow(fd uintptr) bool {
	for {
		n, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&b.in[0])), uintptr(len(b.in)), unix.MSG_DONTWAIT, 0, 0)
		switch errno {
		case unix.EINTR:
			continue
		case unix.EAGAIN:
			return false
		}
		b.got, b.errno = int(n), errno
		return true
	}
}

func (s *mmsg) Send(b *Batch) error {
	b.due, b.sent, b.errno = 0, 0, 0
	for i, answer := range b.answers[:b.n] {
		if len(answer) == 0 {
			continue
		}
		p, m := &b.peers[i].raw, &b.out[b.due]
		io := &b.outIO[b.due]
		io.Base = &answer[0]
		io.SetLen(len(answer))
		m.header.Name, m.header.Namelen = (*byte)(unsafe.Pointer(&p.name)), p.size
		m.header.Control = nil
		if p.told > 0 {
			m.header.Control = &p.control[0]
		}
		m.header.SetControllen(p.told)
		b.due++
	}
	if b.due == 0 {
		return nil
	}
	if err := s.raw.Write(b.send); err != nil {
		return err
	}
	if b.errno != 0 {
		return os.NewSyscallError("sendmmsg", b.errno)
	}
	return nil
}

// sendNow sends what is due; it reports false when the system has no room for the
// rest.
func (b *Batch) sendNow(fd uintptr) bool {
	for b.sent < b.due {
		n, _, errno := unix.RawSyscall6(unix.SYS_SENDMMSG, fd, uintptr(unsafe.Pointer(&b.out[b.sent])), uintptr(b.due-b.sent), unix.MSG_DONTWAIT, 0, 0)
		switch errno {
		case 0:
			b.sent += int(n)
		case unix.EINTR:
		case unix.EAGAIN:
			return false
		default: // of the first that is left, and its alone
			if b.sent++; b.errno == 0 {
				b.errno = errno
			}
		}
	}
	return true
}

// Listen opens so many UDP sockets at one address (SO_REUSEPORT), at a port of the
// system's choice where the address has port 0. Only processes of the same user can
// open another there.
func Listen(address string, sockets int) ([]net.PacketConn, error) {
	var opened []net.PacketConn
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var failed error
		err := c.Control(func(fd uintptr) {
			failed = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
		})
		return errors.Join(err, os.NewSyscallError("setsockopt", failed))
	}}
	if sockets == 1 {
		config.Control = nil
	}
	for range sockets {
		conn, err := config.ListenPacket(context.Background(), "udp", address)
		if err != nil {
			for _, c := range opened {
				c.Close()
			}
			return nil, err
		}
		opened = append(opened, conn)
		address = conn.LocalAddr().String()
	}
	return opened, nil
}
