package dns_test

import (
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	wire "github.com/miekg/dns"
	"go.uber.org/goleak"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/resolver"
	"github.com/nameplate-id/nameplate/resolver/dns"
	"github.com/nameplate-id/nameplate/resolver/resolvertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// gate answers absent, and "slow" only when it is opened or the question given up.
type gate struct {
	open    chan struct{}
	waiting atomic.Int32
}

func (g *gate) Resolve(ctx context.Context, q resolver.Query) (resolver.Answer, error) {
	if q.ID.Suffix == "slow" {
		g.waiting.Add(1)
		select {
		case <-g.open:
		case <-ctx.Done():
			return resolver.Answer{}, &resolver.Error{Kind: resolver.Unavailable, Detail: "given up", Err: ctx.Err()}
		}
	}
	return resolver.Answer{Outcome: resolver.Absent, InZone: true, ID: q.ID}, nil
}

// until waits for something that other goroutines do.
func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

func numbered(t testing.TB, id uint16, name string) []byte {
	t.Helper()
	m := query(t, name, wire.TypeTXT)
	m.Id = id
	b, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

const (
	slow = "slow._i.88.id.internal."
	fast = "fast._i.88.id.internal."
)

// Garbage, truncated and oversize datagrams do no harm to the queries between them.
func TestGarbageOverUDP(t *testing.T) {
	address, s := serve(t, authority(node()), dns.Options{})
	conn, err := net.Dial("udp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	good := numbered(t, 7, "sn-42._i.8.118.88.id.internal.")
	b := make([]byte, 4096)
	sent := 0
	for i := range good {
		// Every beginning of a query and every query with a bit turned.
		conn.Write(good[:i])
		turned := append([]byte{}, good...)
		turned[i] ^= 1 << (i % 8)
		conn.Write(turned)
		sent += 2
	}
	conn.Write(make([]byte, 5000))
	conn.Write(make([]byte, 60000))
	sent += 2
	until(t, "the garbage is read", func() bool { return s.Stats().Datagrams >= uint64(sent) })
	conn.Write(append([]byte{0x12, 0x34}, good[2:]...))
	for {
		n, err := conn.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		m := &wire.Msg{}
		if err := m.Unpack(b[:n]); err != nil {
			t.Fatalf("%x: %v", b[:n], err)
		}
		if m.Id == 0x1234 && m.Rcode == wire.RcodeSuccess {
			break
		}
	}
	if stats := s.Stats(); stats.Dropped < 14 {
		t.Errorf("got %+v; want what is shorter than a header and longer than a query dropped", stats)
	}
}

// With more to do than the workers can, datagrams are dropped; what was taken in is
// answered.
func TestOverloadOverUDP(t *testing.T) {
	g := &gate{open: make(chan struct{})}
	address, s := serve(t, g, dns.Options{Workers: 2, Waiting: 3, Patience: 10 * time.Second})
	conn, err := net.Dial("udp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	const sent = 100
	for i := range 2 {
		conn.Write(numbered(t, uint16(i), slow))
	}
	until(t, "both workers are busy", func() bool { return g.waiting.Load() == 2 })
	for i := 2; i < sent; i++ {
		conn.Write(numbered(t, uint16(i), slow))
	}
	until(t, "all datagrams are read", func() bool { return s.Stats().Datagrams == sent })
	if got := s.Stats().Dropped; got != sent-5 {
		t.Errorf("got %d dropped; want %d", got, sent-5)
	}
	close(g.open)
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	for range 5 {
		if _, err := conn.Read(make([]byte, 4096)); err != nil {
			t.Fatalf("what was taken in is answered: %v", err)
		}
	}
}

// What waited too long is dropped: whoever asked has asked again.
func TestStaleOverUDP(t *testing.T) {
	g := &gate{open: make(chan struct{})}
	address, s := serve(t, g, dns.Options{Workers: 1, Waiting: 10, Patience: 100 * time.Millisecond})
	conn, err := net.Dial("udp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for i := range 4 {
		conn.Write(numbered(t, uint16(i), slow))
	}
	until(t, "all are answered or dropped", func() bool {
		stats := s.Stats()
		return stats.Answers["SERVFAIL"]+stats.Dropped == 4
	})
	if got := s.Stats().Dropped; got == 0 {
		t.Error("nothing was dropped; want what waited for longer than the patience")
	}
}

// A socket that is bound to all addresses answers from the one that was asked.
func TestWildcardOverUDP(t *testing.T) {
	for _, network := range []string{"udp4", "udp"} {
		socket, err := net.ListenPacket(network, ":0")
		if err != nil {
			t.Fatal(err)
		}
		s := newServer(t, authority(node()))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- s.Serve(ctx, []net.PacketConn{socket}, nil) }()
		for _, ip := range []string{"127.0.0.1", "127.0.0.77", "127.88.3.4"} {
			_, port, _ := net.SplitHostPort(socket.LocalAddr().String())
			// A connected socket hears only who it asked.
			got, err := dns.NewClient(net.JoinHostPort(ip, port), dns.ClientOptions{}).Resolve(t.Context(), resolver.Query{ID: item})
			if err != nil || got.Outcome != resolver.Found {
				t.Errorf("%s, %s: got %+v, %v", network, ip, got, err)
			}
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// forgedSocket gives one datagram from port 0 and one that answers, and notes what
// is sent.
type forgedSocket struct {
	net.PacketConn
	queries chan []byte
	from    *net.UDPAddr
	sent    atomic.Int32
	stop    chan struct{}
	once    sync.Once
}

func (f *forgedSocket) ReadFrom(b []byte) (int, net.Addr, error) {
	select {
	case q := <-f.queries:
		return copy(b, q), f.from, nil
	case <-f.stop:
		return 0, nil, os.ErrDeadlineExceeded
	}
}

func (f *forgedSocket) WriteTo(b []byte, _ net.Addr) (int, error) {
	f.sent.Add(1)
	return len(b), nil
}

func (f *forgedSocket) SetReadDeadline(time.Time) error {
	f.once.Do(func() { close(f.stop) })
	return nil
}

func (f *forgedSocket) LocalAddr() net.Addr { return &net.UDPAddr{} }
func (f *forgedSocket) Close() error        { return nil }

// Nothing is sent to port 0, and no answer answers an answer.
func TestNoReflection(t *testing.T) {
	response := numbered(t, 1, fast)
	response[2] |= 0x80
	for name, c := range map[string]struct {
		query []byte
		port  int
	}{"port 0": {numbered(t, 1, fast), 0}, "a response": {response, 53}} {
		f := &forgedSocket{queries: make(chan []byte, 1), from: &net.UDPAddr{IP: net.IPv4(192, 0, 2, 1), Port: c.port}, stop: make(chan struct{})}
		s := newServer(t, authority(node()))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- s.Serve(ctx, []net.PacketConn{f}, nil) }()
		f.queries <- c.query
		until(t, "it is read", func() bool { return s.Stats().Dropped == 1 })
		cancel()
		if err := <-done; err != nil || f.sent.Load() != 0 {
			t.Errorf("%s: got %d answers, %v; want none", name, f.sent.Load(), err)
		}
	}
}

// A server that is told to stop answers what it was asked before.
func TestStopAnswersWhatCame(t *testing.T) {
	g := &gate{open: make(chan struct{})}
	s := newServer(t, g)
	socket, listener := resolvertest.Listen(t)
	address := socket.LocalAddr().String()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- s.Serve(ctx, []net.PacketConn{socket}, []net.Listener{listener}) }()
	_, write, read := dialTCP(t, address)
	write(numbered(t, 1, slow))
	udp, err := net.Dial("udp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	udp.Write(numbered(t, 2, slow))
	until(t, "both wait", func() bool { return g.waiting.Load() == 2 })
	cancel()
	time.AfterFunc(50*time.Millisecond, func() { close(g.open) })
	if _, err := read(); err != nil {
		t.Errorf("over TCP: %v", err)
	}
	udp.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := udp.Read(make([]byte, 512)); err != nil {
		t.Errorf("over UDP: %v", err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if _, err := net.Dial("tcp", address); err == nil {
		t.Error("the listener is still open")
	}
}

// A server whose socket somebody else closes says so.
func TestServeFails(t *testing.T) {
	for _, which := range []string{"udp", "tcp"} {
		s := newServer(t, authority(node()))
		socket, listener := resolvertest.Listen(t)
		done := make(chan error)
		go func() { done <- s.Serve(t.Context(), []net.PacketConn{socket}, []net.Listener{listener}) }()
		time.Sleep(10 * time.Millisecond)
		if which == "udp" {
			socket.Close()
		} else {
			listener.Close()
		}
		if err := <-done; !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s: got %v; want that it is closed", which, err)
		}
	}
}

func BenchmarkDatagram(b *testing.B) {
	id := identifier.ID{Prefix: "88.118.8", Suffix: "sn-42"}
	a := resolver.Answer{Outcome: resolver.Found, InZone: true, Lifetime: time.Hour, Record: &identifier.Record{
		ID: id, Spelling: id.String(), Version: 1, Values: []identifier.Value{link("gs1:pip", "https://maker.example/a-link-of-about-one-hundred-octets/with/a/path/that/goes/on?and=a-query", 3600)},
	}}
	s := newServer(b, fixed{answer: a})
	for _, rrtype := range []uint16{wire.TypeURI, wire.TypeTXT} {
		m := query(b, "sn-42._i.8.118.88.id.internal.", rrtype)
		m.SetEdns0(1232, false)
		packed, err := m.Pack()
		if err != nil {
			b.Fatal(err)
		}
		b.Run(wire.TypeToString[rrtype], func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if dns.Answer(b.Context(), s, packed) == nil {
					b.Fatal("no answer")
				}
			}
		})
	}
}
