package tcp_test

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/nameplate-id/nameplate/resolver/tcp"
)

func TestConnectionsOfOneHost(t *testing.T) {
	c := tcp.NewPlaces(64, 4, true)
	stranger, neighbour := netip.MustParsePrefix("192.0.2.1/32"), netip.MustParsePrefix("192.0.2.2/32")
	loopback := netip.MustParsePrefix("127.0.0.1/32")
	for i := range 6 {
		if got, want := tcp.Enter(c, stranger), i < 4; got != want {
			t.Errorf("connection %d of one host: entered %t; want %t", i+1, got, want)
		}
	}
	if !tcp.Enter(c, neighbour) {
		t.Error("a neighbour could not enter")
	}
	tcp.Leave(c, stranger)
	if !tcp.Enter(c, stranger) || tcp.Enter(c, stranger) {
		t.Error("want room for exactly one after one left")
	}
	for i := range 60 {
		if got, want := tcp.Enter(c, loopback), i < 59; got != want {
			t.Errorf("loopback %d: entered %t; want %t", i+1, got, want)
		}
	}
	for range 4 {
		tcp.Leave(c, stranger)
	}
	if n := tcp.Clients(c); n != 2 {
		t.Errorf("%d hosts are remembered; want the 2 that are there", n)
	}
}

func TestClientOf(t *testing.T) {
	for address, want := range map[string]string{
		"192.0.2.1:99":             "192.0.2.1/32",
		"[::ffff:192.0.2.1]:99":    "192.0.2.1/32",
		"[2001:db8:1:2:3:4:5:6]:9": "2001:db8:1:2::/64",
		"[fe80::1%eth0]:9":         "fe80::/64",
		"[::1]:9":                  "::1/128",
	} {
		if got := tcp.ClientOf(net.TCPAddrFromAddrPort(netip.MustParseAddrPort(address))).String(); got != want {
			t.Errorf("%s: got %s; want %s", address, got, want)
		}
	}
}

func TestListenerClosesWhatIsTooMuch(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := tcp.NewPlaces(2, 1, true).Limit(inner)
	accepted := make(chan net.Conn, 10)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			accepted <- conn
		}
	}()
	dial := func() net.Conn {
		conn, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return conn
	}
	closed := func(conn net.Conn) bool {
		if err := conn.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
			t.Fatal(err)
		}
		_, err := conn.Read(make([]byte, 1))
		timeout, ok := err.(net.Error)
		return err != nil && !(ok && timeout.Timeout())
	}
	dial()
	dial()
	first, second := <-accepted, <-accepted
	if !closed(dial()) {
		t.Error("a third connection stays open; want it closed")
	}
	first.Close()
	first.Close() // counts once
	dial()
	third := <-accepted
	if !closed(dial()) {
		t.Error("a connection beyond the limit stays open; want it closed")
	}
	second.Close()
	third.Close()
	l.Close()
	<-ended
}
