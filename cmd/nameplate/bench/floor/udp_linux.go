package floor

import (
	"context"
	"fmt"
	"net"
	"unsafe"

	"golang.org/x/sys/unix"
)

// atOnce is how many datagrams one system call moves at the most, as in the node.
const atOnce = 64

// message is struct mmsghdr of recvmmsg(2).
type message struct {
	header unix.Msghdr
	length uint32
}

// serveUDP sends every datagram back, marked as a response with one record. One
// thread, one socket, recvmmsg and sendmmsg without Go's poller between.
func serveUDP(ctx context.Context, address string) error {
	addr, err := net.ResolveUDPAddr("udp4", address)
	if err != nil {
		return err
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 4<<20) // less will do
	if err := unix.Bind(fd, &unix.SockaddrInet4{Port: addr.Port, Addr: [4]byte(addr.IP.To4())}); err != nil {
		return err
	}
	var messages [atOnce]message
	var vectors [atOnce]unix.Iovec
	var peers [atOnce]unix.RawSockaddrInet4
	var octets [atOnce][2048]byte
	for i := range messages {
		vectors[i].Base = &octets[i][0]
		messages[i].header.Iov, messages[i].header.Name = &vectors[i], (*byte)(unsafe.Pointer(&peers[i]))
		messages[i].header.SetIovlen(1)
	}
	// A datagram ends the wait for one; a timeout would be paid for by every call.
	defer context.AfterFunc(ctx, func() {
		if conn, err := net.DialUDP("udp4", nil, addr); err == nil {
			_, _ = conn.Write(make([]byte, 12))
			conn.Close()
		}
	})()
	for ctx.Err() == nil {
		for i := range messages {
			vectors[i].SetLen(len(octets[i]))
			messages[i].header.Namelen = unix.SizeofSockaddrInet4
		}
		n, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, uintptr(fd), uintptr(unsafe.Pointer(&messages[0])), atOnce, unix.MSG_WAITFORONE, 0, 0)
		if errno == unix.EINTR {
			continue
		}
		if errno != 0 {
			return fmt.Errorf("recvmmsg: %w", errno)
		}
		for i := range int(n) {
			octets[i][2] |= 0x80 // a response
			octets[i][7] = 1     // with one record
			vectors[i].SetLen(int(messages[i].length))
		}
		for at := 0; at < int(n); {
			sent, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(fd), uintptr(unsafe.Pointer(&messages[at])), n-uintptr(at), 0, 0, 0)
			if errno != 0 && errno != unix.EINTR {
				return fmt.Errorf("sendmmsg: %w", errno)
			}
			if errno == 0 {
				at += int(sent)
			}
		}
	}
	return nil
}
