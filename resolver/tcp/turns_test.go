package tcp_test

import (
	"context"
	"errors"
	"io"
	"net"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nameplate-id/nameplate/resolver/tcp"
)

// talker is a connection on which something more has always come, once it was woken.
type talker struct {
	net.Conn
	awake, ended *atomic.Bool
}

func (c talker) Read(b []byte) (int, error) {
	switch {
	case c.ended.Load():
		return 0, io.EOF
	case c.awake.Load():
		return copy(b, make([]byte, len(b))), nil
	}
	return c.Conn.Read(b)
}

func (c talker) Write(b []byte) (int, error) { return len(b), nil }

// waited returns how many turns others had from when one asked until it was heard, at most, on
// one processor.
func waited(t *testing.T, unfair bool) (most int64) {
	t.Helper()
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	var accepted atomic.Int32
	var awake, ended atomic.Bool
	var turns, heard atomic.Int64
	const talkers = 2
	s := tcp.New(tcp.Options{
		Connections: 9, PerClient: 9, Idle: 20 * time.Second, Patience: 20 * time.Second, AtOnce: true,
		Wrap: func(c net.Conn) (net.Conn, error) {
			if accepted.Add(1) <= talkers {
				return talker{c, &awake, &ended}, nil
			}
			return c, nil
		},
		Turn: func(_ context.Context, _ tcp.Asker, come, b []byte) (int, []byte, error) {
			if come[0] == 'q' {
				heard.Store(turns.Load())
				return len(come), append(b, 'a'), nil
			}
			turns.Add(1)
			return len(come), append(b, come...), nil
		},
	})
	if unfair {
		tcp.Unfair(s)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	stopping, stop := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- s.Serve(t.Context(), stopping, listener, nil) }()
	defer func() {
		ended.Store(true)
		stop()
		listener.Close()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	var conns [talkers + 1]net.Conn
	for i := range conns {
		if conns[i], err = net.Dial("tcp", listener.Addr().String()); err != nil {
			t.Fatal(err)
		}
		defer conns[i].Close()
		until(t, "accepted", func() bool { return int(accepted.Load()) == i+1 })
	}
	awake.Store(true)
	for i := range talkers {
		conns[i].Write([]byte{0})
	}
	until(t, "talking", func() bool { return turns.Load() > 0 })
	asker := conns[talkers]
	for range 10 {
		asked := turns.Load()
		var b [1]byte
		_, err1 := asker.Write([]byte{'q'})
		_, err2 := asker.Read(b[:])
		if err := errors.Join(err1, err2); err != nil {
			t.Fatal(err)
		}
		most = max(most, heard.Load()-asked)
	}
	return most
}

// Who asks now and then is heard after a few turns of those who never stop asking, also where
// nobody would look what has come as long as these have something to do.
func TestTurns(t *testing.T) {
	const few = 20
	if most := waited(t, false); most > few {
		t.Errorf("a question waited for %d turns of others; want %d at most", most, few)
	}
	if most := waited(t, true); most <= few {
		t.Errorf("without turns a question waited for %d turns of others: the test shows nothing", most)
	}
}
