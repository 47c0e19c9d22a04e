package handle

import (
	"net/netip"
	"sync"
	"time"
)

const (
	// maxDatagram is how many octets a datagram has, fragmentOctets how many of a message.
	maxDatagram    = 512
	fragmentOctets = maxDatagram - envelopeOctets
	// maxAnswer is how many datagrams an answer may go in: a small request must not make
	// a forger's victim drown.
	maxAnswer = 16
	// maxRequest is how long a request in datagrams may be.
	maxRequest = 16 << 10
	// maxPartial is how many requests wait for further fragments, maxPartialClient how
	// many of one client.
	maxPartial       = 256
	maxPartialClient = 8
	// fragmentPatience is how long they wait.
	fragmentPatience = 2 * time.Second
)

// datagrams returns the message as datagrams. Those of several are marked as truncated.
func (m *Message) datagrams() [][]byte {
	whole := m.Append(make([]byte, 0, m.length()))
	e := m.Envelope
	e.Length, e.Truncated = uint32(len(whole)), len(whole) > fragmentOctets
	var list [][]byte
	for e.Sequence = 0; len(whole) > 0; e.Sequence++ {
		n := min(len(whole), fragmentOctets)
		list = append(list, append(e.Append(make([]byte, 0, envelopeOctets+n)), whole[:n]...))
		whole = whole[n:]
	}
	return list
}

// partial is a message of which some fragments are there.
type partial struct {
	Envelope
	b       []byte
	have    []bool
	missing int
	until   time.Time
	client  netip.Addr
}

// newPartial returns an empty message of the length that the envelope says.
func newPartial(e Envelope) *partial {
	n := (int(e.Length) + fragmentOctets - 1) / fragmentOctets
	return &partial{Envelope: e, b: make([]byte, e.Length), have: make([]bool, n), missing: n}
}

// add puts a fragment in its place, and reports false when it has none there.
func (p *partial) add(e Envelope, b []byte) bool {
	if e.Length != p.Length || uint64(e.Sequence) >= uint64(len(p.have)) || e.Version != p.Version {
		return false
	}
	at := int(e.Sequence) * fragmentOctets
	if len(b) != min(fragmentOctets, len(p.b)-at) {
		return false
	}
	if !p.have[e.Sequence] {
		p.have[e.Sequence] = true
		p.missing--
		copy(p.b[at:], b)
	}
	return true
}

// assembly puts requests together. It may be used concurrently.
type assembly struct {
	mu      sync.Mutex
	waiting map[fragmentKey]*partial
	clients map[netip.Addr]int
}

type fragmentKey struct {
	from    netip.AddrPort
	session uint32
	request uint32
}

func newAssembly() *assembly {
	return &assembly{waiting: map[fragmentKey]*partial{}, clients: map[netip.Addr]int{}}
}

// add takes what came in a datagram behind its envelope, and returns a message once it
// is whole. A fragment that does not fit, and one for which there is no room, is dropped.
func (a *assembly) add(from netip.AddrPort, e Envelope, b []byte, now time.Time) []byte {
	if e.Sequence == 0 && uint64(len(b)) == uint64(e.Length) {
		return b
	}
	if e.Length > maxRequest {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	key := fragmentKey{from, e.Session, e.Request}
	p := a.waiting[key]
	if p != nil && !now.Before(p.until) {
		a.drop(key, p)
		p = nil
	}
	if p == nil {
		if p = a.begin(key, e, now); p == nil {
			return nil
		}
	}
	if !p.add(e, b) || p.missing > 0 {
		return nil
	}
	a.drop(key, p)
	return p.b
}

// begin makes room for a message; nil when there is none.
func (a *assembly) begin(key fragmentKey, e Envelope, now time.Time) *partial {
	client := key.from.Addr()
	if len(a.waiting) >= maxPartial || a.clients[client] >= maxPartialClient {
		for k, p := range a.waiting {
			if !now.Before(p.until) {
				a.drop(k, p)
			}
		}
	}
	if len(a.waiting) >= maxPartial || a.clients[client] >= maxPartialClient {
		return nil
	}
	p := newPartial(e)
	p.until, p.client = now.Add(fragmentPatience), client
	a.waiting[key] = p
	a.clients[client]++
	return p
}

func (a *assembly) drop(key fragmentKey, p *partial) {
	delete(a.waiting, key)
	if a.clients[p.client]--; a.clients[p.client] == 0 {
		delete(a.clients, p.client)
	}
}
