package tcp_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nameplate-id/nameplate/resolver/tcp"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// lines answers lines: "slow" waits until the gate opens, "end" gives no answer, and
// "claim" keeps 60 octets until the gate opens.
type lines struct {
	gate    chan struct{}
	waiting atomic.Int32
}

func (l *lines) next(from tcp.Asker, r *bufio.Reader) (tcp.Answer, error) {
	line, err := r.ReadString('\n')
	if err != nil {
		return nil, err
	}
	claimed := 0
	if line == "claim\n" {
		if claimed = 60; !from.Claim(claimed) {
			return nil, errors.New("no room")
		}
	}
	return func(ctx context.Context, b []byte) []byte {
		defer from.Release(claimed)
		switch line {
		case "end\n":
			return nil
		case "slow\n", "claim\n":
			l.waiting.Add(1)
			select {
			case <-l.gate:
			case <-ctx.Done():
				return append(b, "given up\n"...)
			}
		}
		return append(b, line...)
	}, nil
}

// serve serves until the test ends.
func serve(t *testing.T, l *lines, o tcp.Options) (*tcp.Server, string) {
	t.Helper()
	for _, v := range []struct{ v, or *int }{{&o.Connections, new(100)}, {&o.PerClient, new(100)}, {&o.Pipeline, new(4)}, {&o.Octets, new(100)}, {&o.OctetsPerClient, new(100)}} {
		if *v.v == 0 {
			*v.v = *v.or
		}
	}
	for _, v := range []*time.Duration{&o.Idle, &o.Patience} {
		if *v == 0 {
			*v = 10 * time.Second
		}
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := tcp.New(o)
	stopping, stop := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- s.Serve(context.WithoutCancel(t.Context()), stopping, listener, l.next) }()
	t.Cleanup(func() {
		stop()
		listener.Close()
		if err := <-done; err != nil {
			t.Errorf("serving ended with %v", err)
		}
		if n := s.Open(); n != 0 {
			t.Errorf("%d connections are still counted", n)
		}
	})
	return s, listener.Addr().String()
}

func dial(t *testing.T, address string) (net.Conn, func() string) {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	r := bufio.NewReader(conn)
	return conn, func() string {
		line, err := r.ReadString('\n')
		if err != nil {
			return "ended"
		}
		return strings.TrimSuffix(line, "\n")
	}
}

func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

// A slow answer delays no other, and there are only so many at a time.
func TestOutOfOrder(t *testing.T) {
	l := &lines{gate: make(chan struct{})}
	_, address := serve(t, l, tcp.Options{Pipeline: 2})
	conn, read := dial(t, address)
	io.WriteString(conn, "slow\nfast\n")
	if got := read(); got != "fast" {
		t.Fatalf("got %q; want the fast one first", got)
	}
	io.WriteString(conn, "slow\nslow\nslow\n")
	until(t, "two wait", func() bool { return l.waiting.Load() == 2 })
	time.Sleep(20 * time.Millisecond)
	if n := l.waiting.Load(); n != 2 {
		t.Errorf("%d are answered at a time; want 2", n)
	}
	close(l.gate)
	for range 4 {
		if got := read(); got != "slow" {
			t.Errorf("got %q; want slow", got)
		}
	}
}

// counting counts the writes to a connection.
type counting struct {
	net.Conn
	writes *atomic.Int32
}

func (c counting) Write(b []byte) (int, error) {
	c.writes.Add(1)
	return c.Conn.Write(b)
}

// Answers to what came together leave together, and none waits for the next message to
// be whole.
func TestAtOnce(t *testing.T) {
	var writes atomic.Int32
	_, address := serve(t, &lines{}, tcp.Options{AtOnce: true, Wrap: func(c net.Conn) (net.Conn, error) { return counting{c, &writes}, nil }})
	conn, read := dial(t, address)
	io.WriteString(conn, strings.Repeat("a line\n", 100)+"half a li")
	for range 100 {
		if got := read(); got != "a line" {
			t.Fatalf("got %q; want a line", got)
		}
	}
	if n := writes.Load(); n > 5 { // the system may cut what it brings
		t.Errorf("100 answers left in %d writes; want them together", n)
	}
	io.WriteString(conn, "ne\nend\nlost\n")
	if got := read(); got != "half a line" {
		t.Errorf("got %q; want what was asked before the end", got)
	}
	if got := read(); got != "ended" {
		t.Errorf("got %q; want the end", got)
	}
}

// More answers than are gathered, to somebody who reads late.
func TestMuchAtOnce(t *testing.T) {
	_, address := serve(t, &lines{}, tcp.Options{AtOnce: true})
	conn, read := dial(t, address)
	line := strings.Repeat("x", 3000)
	const lines = 2000
	go conn.Write(bytes.Repeat([]byte(line+"\n"), lines))
	for i := range lines {
		if got := read(); got != line {
			t.Fatalf("line %d: got %d octets", i, len(got))
		}
	}
}

func TestSilence(t *testing.T) {
	for name, o := range map[string]tcp.Options{"several": {}, "at once": {AtOnce: true}} {
		o.Idle = 100 * time.Millisecond
		s, address := serve(t, &lines{}, o)
		for _, sent := range []string{"", "half a line"} {
			conn, read := dial(t, address)
			io.WriteString(conn, sent)
			if got := read(); got != "ended" {
				t.Errorf("%s: got %q after %q; want the end", name, got, sent)
			}
		}
		// A message that comes an octet at a time has its time as a whole.
		conn, read := dial(t, address)
		trickling := make(chan struct{})
		go func() {
			defer close(trickling)
			for range 1000 {
				if _, err := conn.Write([]byte{'x'}); err != nil {
					return
				}
				time.Sleep(10 * time.Millisecond)
			}
		}()
		if got := read(); got != "ended" {
			t.Errorf("%s: got %q; want the end", name, got)
		}
		conn.Close()
		<-trickling
		until(t, "all are closed", func() bool { return s.Open() == 0 })
	}
}

// Whoever never reads what is answered is not waited for.
func TestNoReader(t *testing.T) {
	for name, atOnce := range map[string]bool{"several": false, "at once": true} {
		s, address := serve(t, &lines{}, tcp.Options{AtOnce: atOnce, Idle: 200 * time.Millisecond})
		conn, _ := dial(t, address)
		conn.(*net.TCPConn).SetReadBuffer(4096)
		for {
			if _, err := conn.Write(bytes.Repeat([]byte("x"), 4000)); err != nil {
				break
			}
			if _, err := conn.Write([]byte("\n")); err != nil {
				break
			}
		}
		until(t, name+": it is closed", func() bool { return s.Open() == 0 })
	}
}

func TestLimits(t *testing.T) {
	for name, o := range map[string]tcp.Options{"in all": {Connections: 2}, "per client": {PerClient: 2}} {
		s, address := serve(t, &lines{}, o)
		first, read := dial(t, address)
		io.WriteString(first, "a\n")
		read()
		second, read := dial(t, address)
		io.WriteString(second, "b\n")
		read()
		if _, read := dial(t, address); read() != "ended" {
			t.Errorf("%s: a third connection is kept", name)
		}
		if s.Open() != 2 || s.TurnedAway() != 1 {
			t.Errorf("%s: got %d open, %d turned away; want 2, 1", name, s.Open(), s.TurnedAway())
		}
		first.Close()
		until(t, "one is gone", func() bool { return s.Open() == 1 })
		third, read := dial(t, address)
		io.WriteString(third, "c\n")
		if got := read(); got != "c" {
			t.Errorf("%s: got %q after one left; want an answer", name, got)
		}
	}
}

// Large messages have room for so many octets, in all and from one client.
func TestClaims(t *testing.T) {
	for name, o := range map[string]tcp.Options{"in all": {Octets: 119, OctetsPerClient: 1000}, "per client": {Octets: 1000, OctetsPerClient: 119}} {
		l := &lines{gate: make(chan struct{})}
		_, address := serve(t, l, o)
		first, read := dial(t, address)
		io.WriteString(first, "claim\n")
		until(t, "it is claimed", func() bool { return l.waiting.Load() == 1 })
		second, readSecond := dial(t, address)
		io.WriteString(second, "claim\n")
		if got := readSecond(); got != "ended" {
			t.Errorf("%s: got %q; want the end", name, got)
		}
		close(l.gate)
		read()
		third, readThird := dial(t, address)
		until(t, "there is room again", func() bool {
			io.WriteString(third, "claim\n")
			return readThird() == "claim"
		})
	}
}

func TestPatience(t *testing.T) {
	l := &lines{gate: make(chan struct{})}
	_, address := serve(t, l, tcp.Options{Patience: 50 * time.Millisecond})
	conn, read := dial(t, address)
	io.WriteString(conn, "slow\n")
	if got := read(); got != "given up" {
		t.Errorf("got %q; want it given up", got)
	}
}

// Stopping answers what was asked, and wakes who waits.
func TestStop(t *testing.T) {
	l := &lines{gate: make(chan struct{})}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := tcp.New(tcp.Options{Connections: 9, PerClient: 9, Pipeline: 2, Idle: time.Minute, Patience: time.Minute})
	stopping, stop := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- s.Serve(t.Context(), stopping, listener, l.next) }()
	conn, read := dial(t, listener.Addr().String())
	io.WriteString(conn, "slow\n")
	until(t, "it is asked", func() bool { return l.waiting.Load() == 1 })
	dial(t, listener.Addr().String())
	until(t, "another is there", func() bool { return s.Open() == 2 })
	stop()
	listener.Close()
	close(l.gate)
	if got := read(); got != "slow" {
		t.Errorf("got %q; want the answer", got)
	}
	if err := <-done; err != nil {
		t.Errorf("got %v; want nil", err)
	}
}

// Somebody else closes the listener.
func TestListenerFails(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener.Close()
	s := tcp.New(tcp.Options{Connections: 1, PerClient: 1, Pipeline: 1, Idle: time.Minute, Patience: time.Minute})
	if err := s.Serve(t.Context(), t.Context(), listener, (&lines{}).next); !errors.Is(err, net.ErrClosed) {
		t.Errorf("got %v; want that it is closed", err)
	}
}
