package handle_test

import (
	"encoding/binary"
	"net"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/nameplate-id/nameplate/resolver/handle"
)

// memory returns what the process holds for good: heap in use after a collection, and
// stacks.
func memory() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // what finalizers let go of
	runtime.ReadMemStats(&m)
	return int64(m.HeapInuse + m.StackInuse)
}

// from dials from an address of loopback, so that a test has many clients.
func from(t *testing.T, client, address string) (net.Conn, error) {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(client)}, Timeout: 10 * time.Second}
	return d.Dial("tcp", address)
}

// Connections on which half a request has come, ten times as many as the server keeps:
// it keeps what its limits say, its memory is what those cost, and others are answered.
// The number is what the limit of open files allows to one process that has both ends,
// at most 100,000; connections beyond the limit are closed at once, so that they need
// not be open at the same time.
func TestHalfOpenConnections(t *testing.T) {
	const kept, perClient, mine = 1000, 900, 20
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		t.Fatal(err)
	}
	if files.Cur < 3*kept {
		t.Skipf("%d files may be open: the test needs %d", files.Cur, 3*kept)
	}
	attempts := 100_000
	if testing.Short() {
		attempts = 5_000
	}
	address, s := serveAs(t, resolverFunc(node), handle.Options{
		Connections: kept, PerClient: perClient, Idle: time.Minute, Identity: identity(t, ""), AtOnce: true,
	})
	before := memory()
	half := request(handle.OpResolution, 0, handle.Resolution{Handle: "88.1/sn"}).AppendStream(nil)[:15]
	opened, refused := 0, 0
	began := time.Now()
	for opened+refused < attempts && time.Since(began) < 10*time.Second {
		conn, err := from(t, "127.88.3.1", address)
		if err != nil {
			t.Fatal(err)
		}
		conn.Write(half)
		if opened < perClient {
			t.Cleanup(func() { conn.Close() })
			opened++
			continue
		}
		// What is turned away is closed at once; a reset leaves no port behind.
		conn.(*net.TCPConn).SetLinger(0)
		conn.Close()
		refused++
	}
	until := time.Now().Add(10 * time.Second)
	for s.Stats().TurnedAway < int64(refused) && time.Now().Before(until) {
		time.Sleep(time.Millisecond)
	}
	stats := s.Stats()
	grown := memory() - before
	t.Logf("%d half-open connections kept, %d more turned away; memory grew by %d KiB, %d octets a connection (both ends)",
		stats.Connections, stats.TurnedAway, grown>>10, grown/int64(opened))
	if stats.Connections != perClient || stats.TurnedAway != int64(refused) {
		t.Errorf("%d connections are kept and %d turned away; want %d and %d", stats.Connections, stats.TurnedAway, perClient, refused)
	}
	if grown > kept*(64<<10) {
		t.Errorf("memory grew by %d octets", grown)
	}
	for range mine {
		conn, err := from(t, "127.88.3.2", address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(10 * time.Second))
		conn.Write(request(handle.OpResolution, 0, handle.Resolution{Handle: "88.1/sn"}).AppendStream(nil))
		if m := read(t, conn); m.Code != handle.Success {
			t.Errorf("another client got %v", m.Code)
		}
	}
}

// Connections that promise the largest request and send the beginning of it: a client may
// claim 4 MiB, which is 16 of those; the others are ended, and small requests of the same
// client are answered.
func TestLargePromises(t *testing.T) {
	address, s := serveAs(t, resolverFunc(node), handle.Options{Connections: 1000, PerClient: 900, Idle: time.Minute, AtOnce: true})
	before := memory()
	large := request(handle.OpResolution, 0, handle.Resolution{Handle: "88.1/sn"}).AppendStream(nil)
	binary.BigEndian.PutUint32(large[16:], handle.MaxMessage)
	for range 500 {
		dial(t, "tcp", address).Write(large)
	}
	for deadline := time.Now().Add(10 * time.Second); s.Stats().Connections != 16; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d connections are kept; want 16", s.Stats().Connections)
		}
	}
	if grown := memory() - before; grown > 16<<20 {
		t.Errorf("memory grew by %d octets", grown)
	}
	conn := dial(t, "tcp", address)
	conn.Write(request(handle.OpResolution, 0, handle.Resolution{Handle: "88.1/sn"}).AppendStream(nil))
	if m := read(t, conn); m.Code != handle.Success {
		t.Errorf("a small request got %v", m.Code)
	}
}

// Half requests that promise little: all that the limits allow are kept, and memory is
// what a connection costs.
func TestHalfRequestsAreKept(t *testing.T) {
	const kept = 500
	address, s := serveAs(t, resolverFunc(node), handle.Options{Connections: kept, PerClient: kept, Idle: time.Minute, Identity: identity(t, "")})
	before := memory()
	half := request(handle.OpResolution, 0, handle.Resolution{Handle: "88.1/sn"}).AppendStream(nil)[:40]
	for range kept {
		conn := dial(t, "tcp", address)
		conn.Write(half)
	}
	for deadline := time.Now().Add(10 * time.Second); s.Stats().Connections < kept; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d connections are kept; want %d", s.Stats().Connections, kept)
		}
	}
	grown := memory() - before
	t.Logf("%d connections with half a request: %d octets each, both ends", kept, grown/kept)
	if grown > kept*(64<<10) {
		t.Errorf("memory grew by %d octets", grown)
	}
}

// Datagrams of every hostile kind, ten thousand of each: memory is flat, and what is
// asked between them is answered.
func TestHostileDatagrams(t *testing.T) {
	address, s := serveAs(t, resolverFunc(node), handle.Options{AtOnce: true})
	conn := dial(t, "udp", address)
	good := request(handle.OpResolution, 0, handle.Resolution{Handle: "88.1/sn"})
	first := fragments(longTypes())[0]
	kinds := map[string]func(i uint32) []byte{
		"first of many fragments": func(i uint32) []byte {
			binary.BigEndian.PutUint32(first[8:], i)
			return first
		},
		"last of the most fragments": func(i uint32) []byte {
			m := *good
			e := handle.Envelope{Version: m.Version, Request: i, Sequence: 532, Length: handle.MaxMessage, Truncated: true}
			return append(e.Append(nil), 1)
		},
		"compressed": func(i uint32) []byte {
			m := *good
			m.Request, m.Compressed = i, true
			return m.AppendStream(nil)
		},
		"encrypted": func(i uint32) []byte {
			m := *good
			m.Request, m.Encrypted = i, true
			return m.AppendStream(nil)
		},
		"count of indexes": func(i uint32) []byte {
			m := *good
			m.Request, m.Body = i, []byte("\x00\x00\x00\x01x\xff\xff\xff\xff\x00\x00\x00\x00")
			return m.AppendStream(nil)
		},
		"length of the body": func(i uint32) []byte {
			b := good.AppendStream(nil)
			binary.BigEndian.PutUint32(b[8:], i)
			binary.BigEndian.PutUint32(b[40:], 1<<31)
			return b
		},
		"nothing": func(uint32) []byte { return []byte{2} },
	}
	answered := func() bool {
		c := dial(t, "udp", address)
		defer c.Close()
		for range 20 {
			c.Write(good.AppendStream(nil))
			c.SetReadDeadline(time.Now().Add(500 * time.Millisecond))
			if _, err := c.Read(make([]byte, 600)); err == nil {
				return true
			}
		}
		return false
	}
	before := memory()
	for name, kind := range kinds {
		for i := range uint32(10_000) {
			conn.Write(kind(i))
		}
		if !answered() {
			t.Fatalf("%s: nobody is answered any more", name)
		}
		if grown := memory() - before; grown > 8<<20 {
			t.Errorf("%s: memory grew by %d octets", name, grown)
		}
	}
	t.Logf("after %d datagrams memory has grown by %d KiB", s.Stats().Datagrams, (memory()-before)>>10)
}
