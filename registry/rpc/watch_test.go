package rpc_test

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"github.com/nameplate-id/nameplate/proto"
	"github.com/nameplate-id/nameplate/registry"
	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/rpc"
)

// entry is the n-th of a log that has no end.
func entry(n uint64) registry.Logged {
	return registry.Logged{Position: n, Entry: &identifier.Entry{
		Kind: identifier.EntryChange, Time: time.UnixMilli(int64(n)).UTC(), Rows: change("sn").Rows,
	}}
}

// endless yields entries from a position on until the context or yield ends it.
func endless(ctx context.Context, from uint64, yield func(registry.Logged) error) error {
	for n := from; ctx.Err() == nil; n++ {
		if err := yield(entry(n)); err != nil {
			return err
		}
	}
	return nil
}

// quiet yields nothing.
func quiet(ctx context.Context, _ uint64, _ func(registry.Logged) error) error {
	<-ctx.Done()
	return nil
}

var errEnough = errors.New("enough")

func TestWatch(t *testing.T) {
	s := serve(t, &fake{watch: endless, status: registry.Status{Log: identifier.LogID{7}, Position: 5000}}, rpc.Options{})
	next := uint64(1000)
	var first *rpc.Progress
	err := s.WatchProgress(t.Context(), next, func(l registry.Logged) error {
		if want := entry(next); l.Position != next || !l.Entry.Time.Equal(want.Entry.Time) || l.Entry.Rows[0].ID != want.Entry.Rows[0].ID {
			t.Errorf("got %+v; want entry %d", l, next)
		}
		if next++; next == 3000 {
			return errEnough
		}
		return nil
	}, func(p rpc.Progress) error {
		if first == nil {
			first = &p
			if next != 1000 {
				t.Errorf("progress came after entry %d; want it first", next)
			}
		}
		return nil
	})
	if err != errEnough || next != 3000 {
		t.Errorf("ended with %v at %d; want what yield said at 3000", err, next)
	}
	if want := (rpc.Progress{Log: identifier.LogID{7}, Next: 1000, Size: 5000}); first == nil || *first != want {
		t.Errorf("got %+v; want %+v", first, want)
	}
}

// A watcher hears from a quiet log too, and an ended context is no error.
func TestWatchProgress(t *testing.T) {
	s := serve(t, &fake{watch: quiet, status: registry.Status{Position: 3}}, rpc.Options{Progress: time.Millisecond})
	ctx, cancel := context.WithCancel(t.Context())
	heard := 0
	err := s.WatchProgress(ctx, 3, func(registry.Logged) error { return nil }, func(p rpc.Progress) error {
		if p.Next != 3 || p.Size != 3 {
			t.Errorf("got %+v", p)
		}
		if heard++; heard == 5 {
			cancel()
		}
		return nil
	})
	if err != nil || heard < 5 {
		t.Errorf("heard %d times, %v; want 5 and no error", heard, err)
	}
}

// A watcher that does not read stops the node from reading its log.
func TestWatchWhoseCallerDoesNotRead(t *testing.T) {
	var yielded atomic.Int64
	ended := make(chan struct{})
	s := serve(t, &fake{watch: func(ctx context.Context, from uint64, yield func(registry.Logged) error) error {
		defer close(ended)
		return endless(ctx, from, func(l registry.Logged) error {
			l.Entry.Rows[0].Values = []identifier.Value{{Index: 1, Data: make([]byte, 10_000)}}
			yielded.Add(1)
			return yield(l)
		})
	}}, rpc.Options{Progress: time.Millisecond})
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := proto.NewRegistrationClient(s.conn).Watch(ctx, &proto.WatchRequest{}); err != nil {
		t.Fatal(err)
	}
	last := int64(-1)
	for yielded.Load() != last {
		last = yielded.Load()
		time.Sleep(200 * time.Millisecond)
	}
	// A window of 64 KiB, another of the transport, and what is in hands.
	if last == 0 || last > 40 {
		t.Errorf("%d entries of 10 kB were read ahead; want at most 40", last)
	}
	cancel()
	<-ended
}

func TestWatchGoesOnOverAnotherConnection(t *testing.T) {
	connections := 0
	r := &fake{status: registry.Status{Log: identifier.LogID{1}}}
	r.watch = func(ctx context.Context, from uint64, yield func(registry.Logged) error) error {
		connections++
		for n := from; n < from+10; n++ {
			if err := yield(entry(n)); err != nil {
				return err
			}
		}
		return &registry.Error{Kind: registry.Unavailable, Detail: "the connection is old"}
	}
	s := serve(t, r, rpc.Options{})
	next := uint64(0)
	err := s.Watch(t.Context(), 0, func(l registry.Logged) error {
		if l.Position != next {
			t.Errorf("got entry %d; want %d", l.Position, next)
		}
		if next++; next == 95 {
			return errEnough
		}
		return nil
	})
	if err != errEnough || connections != 10 {
		t.Errorf("ended with %v after %d connections; want 10", err, connections)
	}
	t.Run("but not when it brings nothing", func(t *testing.T) {
		r.watch = func(context.Context, uint64, func(registry.Logged) error) error {
			return &registry.Error{Kind: registry.Unavailable, Detail: "never"}
		}
		var e *registry.Error
		if err := s.Watch(t.Context(), 0, func(registry.Logged) error { return nil }); !errors.As(err, &e) || e.Detail != "never" {
			t.Errorf("got %v; want the node's error", err)
		}
	})
	t.Run("nor to another log", func(t *testing.T) {
		r.watch = func(_ context.Context, from uint64, yield func(registry.Logged) error) error {
			if err := yield(entry(from)); err != nil {
				return err
			}
			r.status.Log[0]++
			return &registry.Error{Kind: registry.Unavailable, Detail: "restored"}
		}
		n := 0
		var e *registry.Error
		err := s.Watch(t.Context(), 0, func(registry.Logged) error { n++; return nil })
		if !errors.As(err, &e) || e.Kind != registry.Unavailable || n != 1 {
			t.Errorf("got %v after %d entries; want unavailable after 1", err, n)
		}
	})
}

func TestWatchOfANodeThatSkips(t *testing.T) {
	s := serve(t, &fake{watch: func(_ context.Context, _ uint64, yield func(registry.Logged) error) error { return yield(entry(8)) }}, rpc.Options{})
	var e *registry.Error
	err := s.Watch(t.Context(), 7, func(registry.Logged) error { return nil })
	if !errors.As(err, &e) || e.Kind != registry.Unavailable {
		t.Errorf("got %v; want unavailable", err)
	}
}

func TestWatchersAreCounted(t *testing.T) {
	s := serve(t, &fake{watch: quiet}, rpc.Options{Watchers: 2})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	client := proto.NewRegistrationClient(s.conn)
	for i := range 3 {
		stream, err := client.Watch(ctx, &proto.WatchRequest{})
		if err != nil {
			t.Fatal(err)
		}
		want := codes.OK
		if i == 2 {
			want = codes.ResourceExhausted
		}
		if _, err := stream.Recv(); status.Code(err) != want {
			t.Errorf("watcher %d: got %v; want %v", i, err, want)
		}
	}
}

func TestWatchDrains(t *testing.T) {
	s := serve(t, &fake{watch: quiet}, rpc.Options{})
	err := s.WatchProgress(t.Context(), 0, func(registry.Logged) error { return nil }, func(rpc.Progress) error {
		s.server.Drain()
		return nil
	})
	var e *registry.Error
	if !errors.As(err, &e) || e.Kind != registry.Unavailable {
		t.Errorf("got %v; want unavailable", err)
	}
}

func TestWhoMayWatch(t *testing.T) {
	// A connection in memory has no address that tells where it comes from.
	l := bufconn.Listen(1 << 16)
	server := grpc.NewServer()
	rpc.New(&fake{watch: quiet}, rpc.Options{}).AddTo(server)
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	client, err := rpc.NewClient("passthrough:///memory", rpc.ClientOptions{Dial: []grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) }),
	}})
	if err != nil {
		t.Fatal(err)
	}
	err = client.Watch(t.Context(), 0, func(registry.Logged) error { return nil })
	var e *registry.Error
	if !errors.As(err, &e) || e.Kind != registry.Denied {
		t.Errorf("got %v; want denied", err)
	}
	if err := client.Close(); err != nil {
		t.Error(err)
	}
	server.Stop()
	<-ended
}
