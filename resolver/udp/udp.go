// Package udp reads and writes datagrams in batches, for servers that answer each of
// them with at most one.
//
// A [Batch] is memory for so many datagrams, made once and used again and again. One
// goroutine at a time has it:
//
//	batch := udp.NewBatch(64, 4096)
//	for socket.Receive(batch) == nil {
//		for i := range batch.Len() {
//			batch.Answer(i, answer(batch.Datagram(i)))
//		}
//		socket.Send(batch)
//	}
//
// On Linux a batch costs one system call to receive (recvmmsg) and one to send
// (sendmmsg), whatever it holds, and nothing is allocated. Receive waits for the first
// datagram and never for more. Elsewhere, and for what is no UDP socket of the
// system, a batch holds one datagram.
//
// An answer leaves from the address that was asked, also where the socket is bound to
// all of them (IP_PKTINFO; RFC 3542, section 6.1), and by whatever way the system
// routes it.
//
// Several sockets can have one address ([Listen]): the system gives every datagram to
// one of them, by the addresses and ports of both sides, and each has a goroutine of
// its own.
package udp

import (
	"net"
	"net/netip"
	"time"
)

// MaxBatch is the most that a batch can hold: what one system call takes.
const MaxBatch = 1024

// Socket is where datagrams come from and go to. One goroutine receives; several may
// send.
type Socket interface {
	// Receive fills a batch with at least one datagram and forgets what it held. After
	// [Socket.Interrupt] the error is one of [net.Error] with Timeout, after Close
	// [net.ErrClosed]; after any other it may be called again.
	Receive(*Batch) error
	// Send sends the answers of a batch. What cannot be sent keeps nothing else from
	// being sent; the error is that of the first. It waits while the system has no room.
	Send(*Batch) error
	// Interrupt makes Receive fail, now and from now on. Send still works.
	Interrupt() error
	Close() error
}

// Batch is a number of datagrams and their answers.
type Batch struct {
	n       int      // how many were received
	buffers [][]byte // of one octet more than a datagram may have
	lengths []int
	peers   []Peer
	answers [][]byte
	system
}

// NewBatch returns memory for some datagrams, at most [MaxBatch], of at most so many
// octets each.
func NewBatch(datagrams, octets int) *Batch {
	datagrams = min(datagrams, MaxBatch)
	b := &Batch{
		buffers: make([][]byte, datagrams), lengths: make([]int, datagrams),
		peers: make([]Peer, datagrams), answers: make([][]byte, datagrams),
	}
	all := make([]byte, datagrams*(octets+1))
	for i := range b.buffers {
		b.buffers[i], all = all[:octets+1:octets+1], all[octets+1:]
	}
	b.prepare()
	return b
}

// Len returns how many datagrams were received.
func (b *Batch) Len() int { return b.n }

// Datagram returns the ith datagram, which is the caller's to change until the next
// Receive. It is nil when nobody should answer: it came from port 0, where nobody
// listens, so it is forged; or it was longer than the batch takes.
func (b *Batch) Datagram(i int) []byte {
	if n := b.lengths[i]; n < len(b.buffers[i]) && b.peers[i].answerable() {
		return b.buffers[i][:n:n]
	}
	return nil
}

// Answer sets what Send sends to where the ith datagram came from; nil for nothing,
// which is what it is after Receive. The octets must stay as they are until they are
// sent.
func (b *Batch) Answer(i int, answer []byte) { b.answers[i] = answer }

// Peer returns where the ith datagram came from, to be answered later.
func (b *Batch) Peer(i int) Peer { return b.peers[i] }

// To makes a batch of one answer to a datagram that came in another batch.
func (b *Batch) To(p Peer, answer []byte) {
	b.n, b.peers[0], b.answers[0] = 1, p, answer
}

// received begins the use of a batch that n datagrams came in.
func (b *Batch) received(n int) {
	b.n = n
	clear(b.answers)
}

// Peer is where a datagram came from, and at which of our addresses it arrived. It
// belongs to the socket that it came from.
type Peer struct {
	raw  rawPeer
	addr net.Addr // as the plain socket has it; nil where raw is used
	from []byte   // the control message that tells our address; nil for none
}

// Address returns where the datagram came from, without a zone; IPv4 as such. It is the
// zero AddrPort where that is no address of IP.
func (p *Peer) Address() netip.AddrPort { return p.address() }

// Open returns a socket that reads and writes by way of a connection, which belongs
// to it from then on. The error says that the system does not tell at which of its
// addresses a datagram arrives.
func Open(conn net.PacketConn) (Socket, error) {
	udp, ok := conn.(*net.UDPConn)
	if !ok {
		return plain{conn}, nil
	}
	return open(udp)
}

// isWildcard reports whether a socket is bound to no address in particular.
func isWildcard(conn *net.UDPConn) bool {
	local, ok := conn.LocalAddr().(*net.UDPAddr)
	return ok && local.IP.IsUnspecified()
}

// interrupt makes every read fail.
func interrupt(conn net.PacketConn) error { return conn.SetReadDeadline(time.Unix(1, 0)) }
