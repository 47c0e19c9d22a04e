package rpc_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/nameplate-id/nameplate/proto"
	"github.com/nameplate-id/nameplate/registry"
	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/rpc"
)

func each(changes ...*identifier.Change) iter.Seq[*identifier.Change] { return slices.Values(changes) }

func one(c *identifier.Change) iter.Seq[*identifier.Change] { return each(c) }

// numbered yields n changes of an identifier each.
func numbered(n int) iter.Seq[*identifier.Change] {
	return func(yield func(*identifier.Change) bool) {
		for i := range n {
			if !yield(change(fmt.Sprintf("sn-%d", i))) {
				return
			}
		}
	}
}

// Answers come in the order of the changes, whatever order the registry finishes them
// in, and a refusal ends nothing.
func TestBatchInOrder(t *testing.T) {
	var now, most atomic.Int64
	s := serve(t, &fake{register: func(_ context.Context, c *identifier.Change) (registry.Receipt, error) {
		if n := now.Add(1); n > most.Load() {
			most.Store(n)
		}
		defer now.Add(-1)
		time.Sleep(time.Duration(rand.IntN(2000)) * time.Microsecond)
		var n uint64
		if _, err := fmt.Sscanf(c.Rows[0].ID.Suffix, "sn-%d", &n); err != nil {
			t.Error(err)
		}
		if n%5 == 0 {
			return registry.Receipt{}, &registry.Error{Kind: registry.Conflict, Detail: c.Rows[0].ID.Suffix, Rows: []registry.RowError{{ID: c.Rows[0].ID, Version: n}}}
		}
		return registry.Receipt{Log: identifier.LogID{1}, Position: n, Level: registry.Local, Duplicate: n%7 == 0}, nil
	}}, rpc.Options{InFlight: 32})
	const n = 3000
	i := uint64(0)
	for r, err := range s.RegisterBatch(t.Context(), numbered(n)) {
		if err != nil {
			t.Fatal(err)
		}
		if want := fmt.Sprintf("sn-%d", i); r.Change.Rows[0].ID.Suffix != want {
			t.Fatalf("result %d is for %v", i, r.Change.Rows[0].ID)
		}
		if i%5 == 0 {
			var e *registry.Error
			if !errors.As(r.Err, &e) || e.Kind != registry.Conflict || e.Rows[0].Version != i {
				t.Fatalf("result %d: got %v; want its conflict", i, r.Err)
			}
		} else if want := (registry.Receipt{Log: identifier.LogID{1}, Position: i, Level: registry.Local, Duplicate: i%7 == 0}); r.Err != nil || r.Receipt != want {
			t.Fatalf("result %d: got %+v, %v; want %+v", i, r.Receipt, r.Err, want)
		}
		i++
	}
	if i != n {
		t.Errorf("got %d results; want %d", i, n)
	}
	if m := most.Load(); m < 2 || m > 34 {
		t.Errorf("%d changes were with the registry at once; want several and at most 34", m)
	}
}

// Changes of one identifier reach the registry one after the other, in their order.
func TestBatchKeepsTheOrderOfEachIdentifier(t *testing.T) {
	var mu sync.Mutex
	inside := map[string]bool{}
	last := map[string]uint64{}
	s := serve(t, &fake{register: func(_ context.Context, c *identifier.Change) (registry.Receipt, error) {
		mu.Lock()
		for _, row := range c.Rows {
			if inside[row.ID.Suffix] {
				t.Errorf("%v is with the registry twice", row.ID)
			}
			inside[row.ID.Suffix] = true
			if row.Version != last[row.ID.Suffix]+1 {
				t.Errorf("%v: version %d comes after %d", row.ID, row.Version, last[row.ID.Suffix])
			}
			last[row.ID.Suffix] = row.Version
		}
		mu.Unlock()
		time.Sleep(time.Duration(rand.IntN(300)) * time.Microsecond)
		mu.Lock()
		defer mu.Unlock()
		for _, row := range c.Rows {
			inside[row.ID.Suffix] = false
		}
		return registry.Receipt{}, nil
	}}, rpc.Options{})
	changes := func(yield func(*identifier.Change) bool) {
		versions := map[string]uint64{}
		for range 2000 {
			a, b := fmt.Sprint("sn-", rand.IntN(40)), fmt.Sprint("tn-", rand.IntN(40))
			c := change(a, b)
			for i := range c.Rows {
				suffix := c.Rows[i].ID.Suffix
				versions[suffix]++
				c.Rows[i].Version = versions[suffix]
			}
			if !yield(c) {
				return
			}
		}
	}
	n := 0
	for r, err := range s.RegisterBatch(t.Context(), changes) {
		if err != nil || r.Err != nil {
			t.Fatal(err, r.Err)
		}
		n++
	}
	if n != 2000 {
		t.Errorf("got %d results; want 2000", n)
	}
}

// A caller that does not read its answers is not served for ever.
func TestBatchWhoseCallerDoesNotRead(t *testing.T) {
	// 16 wait and some are with the transport: 64 KiB windows hold two answers.
	if n := takenUnread(t, rpc.Options{InFlight: 16}, numbered(100_000)); n > 64 {
		t.Errorf("%d changes were taken in without an answer being read; want at most 64", n)
	}
}

// takenUnread returns how many changes are taken in of a caller that reads none of its answers,
// which are large.
func takenUnread(t *testing.T, o rpc.Options, changes iter.Seq[*identifier.Change]) int64 {
	t.Helper()
	var registered atomic.Int64
	s := serve(t, &fake{register: func(context.Context, *identifier.Change) (registry.Receipt, error) {
		registered.Add(1)
		return registry.Receipt{}, &registry.Error{Kind: registry.Conflict, Rows: rowErrors(500)}
	}}, o)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stream, err := proto.NewRegistrationClient(s.conn).RegisterBatch(ctx)
	if err != nil {
		t.Fatal(err)
	}
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		for c := range changes {
			if stream.Send(&proto.RegisterBatchRequest{Change: proto.ChangeToProto(c)}) != nil {
				return
			}
		}
	}()
	last := int64(-1)
	for registered.Load() == 0 || registered.Load() != last {
		last = registered.Load()
		time.Sleep(200 * time.Millisecond)
	}
	cancel()
	<-sent
	return last
}

// heavy are changes of 900 kB.
func heavy(n int) iter.Seq[*identifier.Change] {
	return func(yield func(*identifier.Change) bool) {
		for c := range numbered(n) {
			c.Rows[0].Values = []identifier.Value{{Index: 1, Data: make([]byte, 900_000)}}
			if !yield(c) {
				return
			}
		}
	}
}

// Large changes are with the registry a few at a time.
func TestBatchOfLargeChanges(t *testing.T) {
	var now, most atomic.Int64
	s := serve(t, &fake{register: func(context.Context, *identifier.Change) (registry.Receipt, error) {
		if n := now.Add(1); n > most.Load() {
			most.Store(n)
		}
		defer now.Add(-1)
		time.Sleep(5 * time.Millisecond)
		return registry.Receipt{}, nil
	}}, rpc.Options{})
	for r, err := range s.RegisterBatch(t.Context(), heavy(60)) {
		if err != nil || r.Err != nil {
			t.Fatal(err, r.Err)
		}
	}
	if m := most.Load(); m > 4 {
		t.Errorf("%d changes of 900 kB were with the registry at once; want at most 4", m)
	}
}

// What a caller sends who does not read its answers is bounded in octets, too.
func TestBatchOfLargeChangesWhoseCallerDoesNotRead(t *testing.T) {
	// Four have room, and some answers are with the transport.
	if n := takenUnread(t, rpc.Options{}, heavy(200)); n > 16 {
		t.Errorf("%d changes of 900 kB were taken in without an answer being read; want at most 16", n)
	}
}

func TestBatchEnds(t *testing.T) {
	slow := func(ctx context.Context, _ *identifier.Change) (registry.Receipt, error) {
		select {
		case <-time.After(time.Millisecond):
			return registry.Receipt{}, nil
		case <-ctx.Done():
			return registry.Receipt{}, ctx.Err()
		}
	}
	t.Run("no more results wanted", func(t *testing.T) {
		s := serve(t, &fake{register: slow}, rpc.Options{})
		n := 0
		for _, err := range s.RegisterBatch(t.Context(), numbered(100_000)) {
			if err != nil {
				t.Fatal(err)
			}
			if n++; n == 100 {
				break
			}
		}
	})
	t.Run("cancelled", func(t *testing.T) {
		s := serve(t, &fake{register: slow}, rpc.Options{})
		ctx, cancel := context.WithCancelCause(t.Context())
		defer cancel(nil)
		why := errors.New("enough")
		var last error
		for _, err := range s.RegisterBatch(ctx, numbered(100_000)) {
			cancel(why)
			last = err
		}
		if !errors.Is(last, why) {
			t.Errorf("got %v; want %v", last, why)
		}
	})
	t.Run("the node goes away", func(t *testing.T) {
		s := serve(t, &fake{register: slow}, rpc.Options{})
		n := 0
		var last error
		for r, err := range s.RegisterBatch(t.Context(), numbered(100_000)) {
			if n++; n == 10 {
				s.stop()
			}
			if last = err; err == nil {
				last = r.Err
			}
		}
		var e *registry.Error
		if !errors.As(last, &e) || e.Kind != registry.Unavailable {
			t.Errorf("got %v; want unavailable", last)
		}
	})
	t.Run("the node drains", func(t *testing.T) {
		var registered atomic.Int64
		s := serve(t, &fake{register: func(ctx context.Context, c *identifier.Change) (registry.Receipt, error) {
			registered.Add(1)
			return slow(ctx, c)
		}}, rpc.Options{})
		answered := int64(0)
		var last error
		for r, err := range s.RegisterBatch(t.Context(), numbered(100_000)) {
			if last = err; err != nil {
				break
			}
			if r.Err != nil {
				t.Errorf("result %d: %v", answered, r.Err)
			}
			if answered++; answered == 10 {
				s.server.Drain()
			}
		}
		var e *registry.Error
		if !errors.As(last, &e) || e.Kind != registry.Unavailable {
			t.Errorf("got %v; want unavailable", last)
		}
		if n := registered.Load(); answered != n {
			t.Errorf("%d changes were registered and %d answered; want the same", n, answered)
		}
	})
	t.Run("a panic", func(t *testing.T) {
		recovered := make(chan any, 1)
		s := serve(t, &fake{register: func(context.Context, *identifier.Change) (registry.Receipt, error) { panic("index out of range") }}, rpc.Options{},
			grpc.StreamInterceptor(func(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, h grpc.StreamHandler) (err error) {
				defer func() {
					recovered <- recover()
					err = status.Error(codes.Internal, "a fault of the node")
				}()
				return h(srv, stream)
			}))
		var last error
		for _, err := range s.RegisterBatch(t.Context(), numbered(1000)) {
			last = err
		}
		if last == nil {
			t.Error("got no error")
		}
		if got := fmt.Sprint(<-recovered); !strings.Contains(got, "index out of range") || !strings.Contains(got, "batch_test.go") {
			t.Errorf("got %q; want the panic and where it was", got)
		}
	})
}

// What cannot be read is answered in its place.
func TestBatchWithMalformedChanges(t *testing.T) {
	s := serve(t, &fake{register: func(context.Context, *identifier.Change) (registry.Receipt, error) { return registry.Receipt{}, nil }}, rpc.Options{})
	stream, err := proto.NewRegistrationClient(s.conn).RegisterBatch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	good := proto.ChangeToProto(change("a"))
	for _, c := range []*proto.Change{good, nil, good, {IdSeed: []byte{1}}, good} {
		if err := stream.Send(&proto.RegisterBatchRequest{Change: c}); err != nil {
			t.Fatal(err)
		}
	}
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	for i := 0; ; i++ {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			if i != 5 {
				t.Errorf("got %d results; want 5", i)
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if failed := m.GetFailure() != nil; failed != (i%2 == 1) {
			t.Errorf("result %d: %v", i, m)
		}
	}
}

func BenchmarkRegisterBatch(b *testing.B) {
	s := serve(b, &fake{register: func(context.Context, *identifier.Change) (registry.Receipt, error) { return registry.Receipt{}, nil }}, rpc.Options{})
	for _, err := range s.RegisterBatch(b.Context(), numbered(b.N)) {
		if err != nil {
			b.Fatal(err)
		}
	}
}
