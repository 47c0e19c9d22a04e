//go:build linux

package bench

import (
	"errors"
	"fmt"
	"math/bits"
	"runtime"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Shape of the load. More than about 160 questions under way overflow the receive
// buffer of a server that leaves it as the kernel made it.
const (
	sockets    = 8
	perSocket  = 12 // questions under way on each
	atOnce     = 32 // datagrams of one system call
	lostAfter  = time.Second
	largest    = 4096 // octets of an answer
	headerSize = 12
)

// outcome is what came of a run.
type outcome struct {
	answers, lost, bad int
	took               time.Duration
	octets             int
	latency            histogram
}

// message is struct mmsghdr of recvmmsg(2).
type message struct {
	header unix.Msghdr
	length uint32
}

// source is one socket with its questions under way. A question's id is its place in
// sent, which says when it went out; 0 is free.
type source struct {
	fd   int
	sent [perSocket]time.Duration
	free []uint16
}

// generator asks a name server as fast as it answers, with a fixed number of
// questions under way. It is one thread that never sleeps.
type generator struct {
	queries    *queries
	drawn      []uint32
	next       int
	sources    [sockets]source
	out, in    [atOnce]message
	outVectors [atOnce]unix.Iovec
	inVectors  [atOnce]unix.Iovec
	outOctets  [atOnce][512]byte
	inOctets   [atOnce][largest]byte
	began      time.Time
	outcome    outcome
}

// newGenerator connects to a server. Several runs may follow one another.
func newGenerator(port int, q *queries, drawn []uint32) (*generator, error) {
	g := &generator{queries: q, drawn: drawn}
	for i := range atOnce {
		g.outVectors[i].Base, g.inVectors[i].Base = &g.outOctets[i][0], &g.inOctets[i][0]
		g.inVectors[i].SetLen(largest)
		g.out[i].header.Iov, g.in[i].header.Iov = &g.outVectors[i], &g.inVectors[i]
		g.out[i].header.SetIovlen(1)
		g.in[i].header.SetIovlen(1)
	}
	for i := range g.sources {
		g.sources[i].fd = -1
	}
	for i := range g.sources {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			g.close()
			return nil, err
		}
		g.sources[i].fd = fd
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 4<<20) // less will do
		if err := unix.Connect(fd, &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}}); err != nil {
			g.close()
			return nil, err
		}
		for id := range uint16(perSocket) {
			g.sources[i].free = append(g.sources[i].free, id)
		}
	}
	return g, nil
}

func (g *generator) close() {
	for _, s := range g.sources {
		if s.fd >= 0 {
			unix.Close(s.fd)
		}
	}
}

// run asks for so long, on one processor.
func (g *generator) run(limit time.Duration, core int) (outcome, error) {
	failed := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocks it: the thread ends with its processor
		if err := onCore(core); err != nil {
			failed <- err
			return
		}
		failed <- g.ask(limit)
	}()
	err := <-failed
	return g.outcome, err
}

func (g *generator) ask(limit time.Duration) error {
	g.outcome = outcome{}
	g.began = time.Now()
	var now, swept time.Duration
	for now < limit {
		for i := range g.sources {
			s := &g.sources[i]
			g.receive(s)
			if err := g.send(s); err != nil {
				return err
			}
		}
		now = time.Since(g.began)
		if now-swept > lostAfter/5 {
			g.sweep(now)
			swept = now
		}
	}
	g.outcome.took = now
	g.finish()
	return nil
}

// receive takes what has come to a socket.
func (g *generator) receive(s *source) {
	n, _, _ := unix.RawSyscall6(unix.SYS_RECVMMSG, uintptr(s.fd), uintptr(unsafe.Pointer(&g.in[0])), atOnce, unix.MSG_DONTWAIT, 0, 0)
	if int(n) <= 0 {
		return
	}
	now := time.Since(g.began)
	for i := range int(n) {
		b, size := &g.inOctets[i], int(g.in[i].length)
		at := g.queries.idAt
		id := uint16(b[at])<<8 | uint16(b[at+1])
		if size < headerSize || id >= perSocket || s.sent[id] == 0 {
			continue // the answer to a question that was given up
		}
		g.outcome.latency.add(now - s.sent[id])
		s.sent[id] = 0
		s.free = append(s.free, id)
		g.outcome.answers++
		g.outcome.octets += size
		if g.queries.bad(b[:size]) {
			g.outcome.bad++
		}
	}
}

// notFound reports whether a header is anything but that of a response without error
// with at least one record.
func notFound(header []byte) bool {
	return header[2]&0x80 == 0 || header[3]&0x0f != 0 || header[6] == 0 && header[7] == 0
}

// send asks as many questions as may be under way.
func (g *generator) send(s *source) error {
	now := max(time.Since(g.began), 1)
	n := 0
	for ; n < atOnce && len(s.free) > 0; n++ {
		id := s.free[len(s.free)-1]
		s.free = s.free[:len(s.free)-1]
		b := &g.outOctets[n]
		size := copy(b[:], g.queries.packet(g.drawn[g.next]))
		if g.next++; g.next == len(g.drawn) {
			g.next = 0
		}
		b[g.queries.idAt], b[g.queries.idAt+1] = byte(id>>8), byte(id)
		g.outVectors[n].SetLen(size)
		s.sent[id] = now
	}
	for at := 0; at < n; {
		sent, _, errno := unix.RawSyscall6(unix.SYS_SENDMMSG, uintptr(s.fd), uintptr(unsafe.Pointer(&g.out[at])), uintptr(n-at), 0, 0, 0)
		switch errno {
		case 0:
			at += int(sent)
		case unix.EAGAIN, unix.ENOBUFS, unix.EINTR:
		case unix.ECONNREFUSED:
			return errors.New("the server does not listen any more")
		default:
			return fmt.Errorf("sending questions: %w", errno)
		}
	}
	return nil
}

// sweep gives up questions that nobody answered.
func (g *generator) sweep(now time.Duration) {
	for i := range g.sources {
		s := &g.sources[i]
		for id := range s.sent {
			if s.sent[id] != 0 && now-s.sent[id] > lostAfter {
				s.sent[id] = 0
				s.free = append(s.free, uint16(id))
				g.outcome.lost++
			}
		}
	}
}

// finish waits for the answers that are still due; those that do not come are lost.
func (g *generator) finish() {
	counted := g.outcome
	for deadline := time.Since(g.began) + lostAfter; time.Since(g.began) < deadline; {
		due := 0
		for i := range g.sources {
			g.receive(&g.sources[i])
			due += perSocket - len(g.sources[i].free)
		}
		if due == 0 {
			break
		}
	}
	// Those that came late were answered, but not within the time.
	counted.bad = g.outcome.bad
	g.outcome = counted
	for i := range g.sources {
		s := &g.sources[i]
		for id := range s.sent {
			if s.sent[id] != 0 {
				s.sent[id] = 0
				s.free = append(s.free, uint16(id))
				g.outcome.lost++
			}
		}
	}
}

// histogram counts durations in classes of about 1.5 %, from 100 ns on.
type histogram [4096]int

func (h *histogram) add(d time.Duration) {
	u := uint64(d / 100)
	class := int(u)
	if u >= 64 {
		power := bits.Len64(u) - 1
		class = (power-5)*64 + int(u>>(power-6)&63)
	}
	h[min(class, len(h)-1)]++
}

// quantile returns the duration that a part of all is not above.
func (h *histogram) quantile(part float64) time.Duration {
	total := 0
	for _, n := range h {
		total += n
	}
	rank := int(part * float64(total))
	for class, n := range h {
		if rank -= n; rank < 0 {
			if class < 64 {
				return time.Duration(class) * 100
			}
			return time.Duration(uint64(64+class%64)<<(class/64-1)) * 100
		}
	}
	return 0
}
