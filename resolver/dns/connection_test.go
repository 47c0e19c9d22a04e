package dns_test

import (
	"encoding/binary"
	"io"
	"net"
	"testing"
	"time"

	wire "github.com/miekg/dns"

	"github.com/nameplate-id/nameplate/resolver/dns"
)

// dialTCP connects and returns how to write and read messages.
func dialTCP(t *testing.T, address string) (net.Conn, func(...[]byte), func() (*wire.Msg, error)) {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	write := func(messages ...[]byte) {
		var all []byte
		for _, m := range messages {
			all = binary.BigEndian.AppendUint16(all, uint16(len(m)))
			all = append(all, m...)
		}
		conn.Write(all)
	}
	read := func() (*wire.Msg, error) {
		var length [2]byte
		if _, err := io.ReadFull(conn, length[:]); err != nil {
			return nil, err
		}
		b := make([]byte, binary.BigEndian.Uint16(length[:]))
		if _, err := io.ReadFull(conn, b); err != nil {
			return nil, err
		}
		m := &wire.Msg{}
		return m, m.Unpack(b)
	}
	return conn, write, read
}

// Queries of one connection are answered side by side, each when it is ready, and
// no more at a time than the pipeline takes.
func TestPipelining(t *testing.T) {
	g := &gate{open: make(chan struct{})}
	address, s := serve(t, g, dns.Options{Pipeline: 4, Patience: 10 * time.Second})
	_, write, read := dialTCP(t, address)
	write(numbered(t, 1, slow), numbered(t, 2, fast), numbered(t, 3, slow), numbered(t, 4, fast))
	for range 2 {
		if m, err := read(); err != nil || m.Id%2 != 0 {
			t.Fatalf("got %v, %v; want the fast ones first", m, err)
		}
	}
	write(numbered(t, 5, slow), numbered(t, 7, slow), numbered(t, 9, slow), numbered(t, 11, slow))
	until(t, "four are being answered", func() bool { return g.waiting.Load() == 4 })
	time.Sleep(20 * time.Millisecond)
	if got := g.waiting.Load(); got != 4 {
		t.Errorf("got %d at a time; want 4", got)
	}
	close(g.open)
	seen := map[uint16]bool{}
	for range 6 {
		m, err := read()
		if err != nil {
			t.Fatal(err)
		}
		seen[m.Id] = true
	}
	if len(seen) != 6 || s.Stats().Messages != 8 {
		t.Errorf("got %v, %+v; want each once", seen, s.Stats())
	}
}

// Where nothing waits, the questions of a connection are answered in their order, also
// when garbage ends it.
func TestPipeliningAtOnce(t *testing.T) {
	address, s := serve(t, authority(node()), dns.Options{AtOnce: true})
	conn, write, read := dialTCP(t, address)
	var queries [][]byte
	const sent = 500
	for i := range sent {
		queries = append(queries, numbered(t, uint16(i), "sn-42._i.8.118.88.id.internal."))
	}
	go func() {
		write(queries...)
		conn.Write([]byte{0, 3, 1, 2, 3})
	}()
	for i := range sent {
		if m, err := read(); err != nil || m.Id != uint16(i) || m.Rcode != wire.RcodeSuccess {
			t.Fatalf("answer %d: got %v, %v", i, m, err)
		}
	}
	if m, err := read(); err == nil {
		t.Errorf("got %v; want the end", m)
	}
	if got := s.Stats().Messages; got != sent {
		t.Errorf("got %d messages; want %d", got, sent)
	}
}

// A whole record too large for a datagram comes over TCP.
func TestLargeOverTCP(t *testing.T) {
	address, _ := serve(t, authority(node()), dns.Options{})
	_, write, read := dialTCP(t, address)
	write(numbered(t, 1, "many._i.8.118.88.id.internal."))
	m, err := read()
	if err != nil || m.Truncated || len(m.Answer) < 200 {
		t.Errorf("got %d records, %v; want as many as fit", len(m.Answer), err)
	}
}

// A connection that is silent, or sends half a message, is closed after a while.
func TestIdleConnections(t *testing.T) {
	address, s := serve(t, authority(node()), dns.Options{Idle: 100 * time.Millisecond})
	for name, bytes := range map[string][]byte{"silent": nil, "half a length": {0}, "half a message": {0, 40, 1, 2, 3}, "a message too long": {0xff, 0xff}, "a message too short": {0, 3, 1, 2, 3}} {
		conn, _, read := dialTCP(t, address)
		conn.Write(bytes)
		start := time.Now()
		if m, err := read(); err == nil {
			t.Errorf("%s: got %v; want the connection closed", name, m)
		}
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("%s: took %v", name, took)
		}
	}
	until(t, "all are closed here", func() bool { return s.Stats().Connections == 0 })
}

// There are only so many connections in all, and from one client.
func TestConnectionLimits(t *testing.T) {
	for name, o := range map[string]dns.Options{"in all": {Connections: 3}, "per client": {PerClient: 3}} {
		t.Run(name, func(t *testing.T) {
			address, s := serve(t, authority(node()), o)
			var first net.Conn
			for i := range 3 {
				conn, write, read := dialTCP(t, address)
				write(numbered(t, 1, fast))
				if _, err := read(); err != nil {
					t.Fatal(err)
				}
				if i == 0 {
					first = conn
				}
			}
			_, write, read := dialTCP(t, address)
			write(numbered(t, 1, fast))
			if m, err := read(); err == nil {
				t.Errorf("got %v; want the fourth connection closed", m)
			}
			if got := s.Stats().TurnedAway; got != 1 {
				t.Errorf("got %d turned away; want 1", got)
			}
			first.Close()
			until(t, "one may come again", func() bool { return s.Stats().Connections == 2 })
			_, write, read = dialTCP(t, address)
			write(numbered(t, 1, fast))
			if _, err := read(); err != nil {
				t.Errorf("after one left: %v", err)
			}
		})
	}
}
