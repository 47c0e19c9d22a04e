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
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/nameplate-id/nameplate/proto"
	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/resolver"
	"github.com/nameplate-id/nameplate/resolver/rpc"
)

// serials yields n identifiers.
func serials(n int) iter.Seq[identifier.ID] {
	return func(yield func(identifier.ID) bool) {
		for i := range n {
			if !yield(identifier.ID{Prefix: "88.118.8", Suffix: fmt.Sprintf("sn-%d", i)}) {
				return
			}
		}
	}
}

func TestBatch(t *testing.T) {
	const n = 25_000
	client, _ := serve(t, function(func(ctx context.Context, q resolver.Query) (resolver.Answer, error) {
		if !slices.Equal(q.Types, []string{"URL"}) || !q.Authoritative {
			t.Errorf("the selection did not arrive: %+v", q)
		}
		if rand.IntN(1000) == 0 {
			time.Sleep(time.Millisecond)
		}
		if strings.HasSuffix(q.ID.Suffix, "7") {
			return resolver.Answer{}, &resolver.Error{Kind: resolver.Overloaded, Detail: q.ID.Suffix}
		}
		return absent(ctx, q)
	}), rpc.Options{})
	i := 0
	for r, err := range client.ResolveBatch(t.Context(), resolver.Query{Types: []string{"URL"}, Authoritative: true}, serials(n)) {
		if err != nil {
			t.Fatal(err)
		}
		want := fmt.Sprintf("sn-%d", i)
		switch {
		case r.ID.Suffix != want:
			t.Fatalf("result %d is for %v; want %s", i, r.ID, want)
		case strings.HasSuffix(want, "7"):
			var e *resolver.Error
			if !errors.As(r.Err, &e) || e.Kind != resolver.Overloaded || e.Detail != want {
				t.Fatalf("result %d: got %v; want overloaded", i, r.Err)
			}
		case r.Err != nil || r.Answer.ID != r.ID || r.Answer.Outcome != resolver.Absent:
			t.Fatalf("result %d: got %+v", i, r)
		}
		i++
	}
	if i != n {
		t.Errorf("got %d results; want %d", i, n)
	}
}

func TestBatchOfNothing(t *testing.T) {
	client, _ := serve(t, function(absent), rpc.Options{})
	for r, err := range client.ResolveBatch(t.Context(), resolver.Query{}, serials(0)) {
		t.Errorf("got %v, %v; want nothing", r, err)
	}
}

// What is no identifier is a result of its own and ends nothing.
func TestBatchWithMalformedIdentifiers(t *testing.T) {
	_, conn := serve(t, function(absent), rpc.Options{})
	stream, err := proto.NewResolutionClient(conn).ResolveBatch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	texts := []string{"88.118.8/SN-1", "no identifier", "", "(01)09506000134353", "1.2", "88.118.8/"}
	want := []string{"88.118.8/sn-1", "", "", "", "oid.1.2", ""}
	// Twice, so that the second message follows on one with malformed ones.
	for range 2 {
		if err := stream.Send(&proto.ResolveBatchRequest{Identifiers: texts}); err != nil {
			t.Fatal(err)
		}
	}
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	results := receive(t, stream)
	if len(results) != 2*len(texts) {
		t.Fatalf("got %d results; want %d", len(results), 2*len(texts))
	}
	for i, r := range results {
		want := want[i%len(want)]
		if got := r.GetAnswer().GetIdentifier(); got != want {
			t.Errorf("result %d is for %q; want %q", i, got, want)
		}
		if want == "" && (r.GetNoAnswer().GetKind() != proto.NoAnswer_KIND_MALFORMED || r.GetNoAnswer().GetDetail() == "") {
			t.Errorf("result %d: got %v; want malformed with a reason", i, r)
		}
	}
}

func receive(t *testing.T, stream grpc.BidiStreamingClient[proto.ResolveBatchRequest, proto.ResolveBatchResponse]) []*proto.ResolveResult {
	t.Helper()
	var results []*proto.ResolveResult
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return results
		}
		if err != nil {
			t.Fatal(err)
		}
		results = append(results, m.Results...)
	}
}

func TestBatchBeyondTheLimits(t *testing.T) {
	_, conn := serve(t, function(absent), rpc.Options{})
	for name, test := range map[string]struct {
		request *proto.ResolveBatchRequest
		code    codes.Code
	}{
		"too many identifiers": {&proto.ResolveBatchRequest{Identifiers: make([]string, proto.MaxBatch+1)}, codes.InvalidArgument},
		"too many types":       {&proto.ResolveBatchRequest{Selection: &proto.Selection{Types: make([]string, proto.MaxSelected+1)}}, codes.InvalidArgument},
		"too many octets":      {&proto.ResolveBatchRequest{Identifiers: []string{strings.Repeat("x", proto.MaxRequest)}}, codes.ResourceExhausted},
	} {
		t.Run(name, func(t *testing.T) {
			stream, err := proto.NewResolutionClient(conn).ResolveBatch(t.Context(), grpc.MaxCallSendMsgSize(10<<20))
			if err != nil {
				t.Fatal(err)
			}
			if err := stream.Send(test.request); err != nil {
				t.Fatal(err)
			}
			if _, err := stream.Recv(); status.Code(err) != test.code {
				t.Errorf("got %v; want %v", err, test.code)
			}
		})
	}
}

// Large answers are spread over messages that every client takes.
func TestBatchOfLargeAnswers(t *testing.T) {
	client, _ := serve(t, found(60_000), rpc.Options{})
	i := 0
	for r, err := range client.ResolveBatch(t.Context(), resolver.Query{}, serials(500)) {
		if err != nil {
			t.Fatal(err)
		}
		if r.Err != nil || len(r.Answer.Record.Values[0].Data) != 60_000 {
			t.Fatalf("result %d: %v", i, r.Err)
		}
		i++
	}
	if i != 500 {
		t.Errorf("got %d results; want 500", i)
	}
}

// A caller that does not read stops the node's work after a bounded number.
func TestBatchWhoseCallerDoesNotRead(t *testing.T) {
	var resolved atomic.Int64
	answer := found(60_000)
	_, conn := serve(t, function(func(ctx context.Context, q resolver.Query) (resolver.Answer, error) {
		resolved.Add(1)
		return answer(ctx, q)
	}), rpc.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stream, err := proto.NewResolutionClient(conn).ResolveBatch(ctx)
	if err != nil {
		t.Fatal(err)
	}
	m := new(proto.ResolveBatchRequest)
	for id := range serials(5000) {
		m.Identifiers = append(m.Identifiers, id.String())
	}
	if err := stream.Send(m); err != nil {
		t.Fatal(err)
	}
	last := int64(-1)
	for resolved.Load() != last {
		last = resolved.Load()
		time.Sleep(200 * time.Millisecond)
	}
	// 8 pieces wait, 2 are in hands, and some are with the transport.
	if last == 0 || last > 16*12 {
		t.Errorf("the node resolved %d identifiers ahead; want at most %d", last, 16*12)
	}
	cancel()
	for err == nil {
		_, err = stream.Recv()
	}
	if status.Code(err) != codes.Canceled {
		t.Errorf("got %v; want CANCELLED", err)
	}
}

func TestBatchStoppedByItsCaller(t *testing.T) {
	client, _ := serve(t, function(absent), rpc.Options{})
	t.Run("no more results wanted", func(t *testing.T) {
		i := 0
		for _, err := range client.ResolveBatch(t.Context(), resolver.Query{}, serials(100_000)) {
			if err != nil {
				t.Fatal(err)
			}
			if i++; i == 3000 {
				break
			}
		}
	})
	t.Run("cancelled", func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		defer cancel(nil)
		why := errors.New("enough")
		var last error
		for _, err := range client.ResolveBatch(ctx, resolver.Query{}, serials(1_000_000)) {
			cancel(why)
			last = err
		}
		var e *resolver.Error
		if !errors.As(last, &e) || e.Kind != resolver.Unavailable || !errors.Is(last, why) {
			t.Errorf("got %v; want Unavailable because of %v", last, why)
		}
	})
}

// A node that ends, or says too much, is not believed.
func TestBatchThatBreaksTheContract(t *testing.T) {
	for name, answer := range map[string]func(proto.Resolution_ResolveBatchServer) error{
		"too few":  func(proto.Resolution_ResolveBatchServer) error { return nil },
		"too many": func(s proto.Resolution_ResolveBatchServer) error { return sendAll(s, 11) },
		"refused": func(proto.Resolution_ResolveBatchServer) error {
			return status.Error(codes.Unavailable, "not now")
		},
	} {
		t.Run(name, func(t *testing.T) {
			client := serveContract(t, &brokenBatch{answer: answer})
			var last error
			for _, err := range client.ResolveBatch(t.Context(), resolver.Query{}, serials(10)) {
				last = err
			}
			var e *resolver.Error
			if !errors.As(last, &e) || e.Kind != resolver.Unavailable {
				t.Errorf("got %v; want Unavailable", last)
			}
		})
	}
}

type brokenBatch struct {
	proto.UnimplementedResolutionServer
	answer func(proto.Resolution_ResolveBatchServer) error
}

func (b *brokenBatch) ResolveBatch(s proto.Resolution_ResolveBatchServer) error {
	if _, err := s.Recv(); err != nil {
		return err
	}
	return b.answer(s)
}

func sendAll(s proto.Resolution_ResolveBatchServer, n int) error {
	m := new(proto.ResolveBatchResponse)
	for range n {
		m.Results = append(m.Results, &proto.ResolveResult{})
	}
	return s.Send(m)
}

// A caller that goes away leaves pieces behind that were never begun.
func TestBatchLeftBeforeItBegan(t *testing.T) {
	faults := make(chan any, 1)
	ended := make(chan struct{})
	server := grpc.NewServer(grpc.StreamInterceptor(func(srv any, s grpc.ServerStream, _ *grpc.StreamServerInfo, h grpc.StreamHandler) (err error) {
		defer close(ended)
		defer func() {
			if p := recover(); p != nil {
				faults <- p
			}
		}()
		return h(srv, s)
	}))
	begun := make(chan struct{}, 1)
	rpc.New(function(func(ctx context.Context, q resolver.Query) (resolver.Answer, error) {
		select {
		case begun <- struct{}{}:
			<-ctx.Done()
			// The piece behind this one finds that out too while it waits for a worker.
			time.Sleep(20 * time.Millisecond)
		default:
		}
		return resolver.Answer{}, ctx.Err()
	}), rpc.Options{Workers: 1, Parallel: 8}).AddTo(server)
	client := rpc.NewClientOn(start(t, server), rpc.ClientOptions{})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-begun
		cancel()
	}()
	for range client.ResolveBatch(ctx, resolver.Query{}, serials(5000)) {
	}
	<-ended
	select {
	case p := <-faults:
		t.Errorf("the batch ended with a panic: %v", p)
	default:
	}
}

// A panic while a batch is worked on surfaces where an interceptor can recover it.
func TestBatchPanics(t *testing.T) {
	recovered := make(chan any, 1)
	server := grpc.NewServer(grpc.StreamInterceptor(func(srv any, s grpc.ServerStream, _ *grpc.StreamServerInfo, h grpc.StreamHandler) (err error) {
		defer func() {
			if p := recover(); p != nil {
				recovered <- p
				err = status.Error(codes.Internal, "a fault of the node")
			}
		}()
		return h(srv, s)
	}))
	rpc.New(function(func(context.Context, resolver.Query) (resolver.Answer, error) {
		panic("index out of range")
	}), rpc.Options{}).AddTo(server)
	client := rpc.NewClientOn(start(t, server), rpc.ClientOptions{})
	var last error
	for _, err := range client.ResolveBatch(t.Context(), resolver.Query{}, serials(5000)) {
		last = err
	}
	if last == nil {
		t.Error("got no error")
	}
	if got := fmt.Sprint(<-recovered); !strings.Contains(got, "index out of range") || !strings.Contains(got, "batch_test.go") {
		t.Errorf("got %q; want the panic and where it was", got)
	}
}

func BenchmarkResolveBatch(b *testing.B) {
	l := benchmarkServer(b)
	b.ResetTimer()
	i := 0
	for _, err := range l.ResolveBatch(b.Context(), resolver.Query{}, serials(b.N)) {
		if err != nil {
			b.Fatal(err)
		}
		i++
	}
	b.ReportMetric(float64(i)/b.Elapsed().Seconds(), "ids/s")
}

func BenchmarkResolve(b *testing.B) {
	client := benchmarkServer(b)
	b.RunParallel(func(pb *testing.PB) {
		q := resolver.Query{ID: identifier.ID{Prefix: "88.118.8", Suffix: "sn-1"}}
		for pb.Next() {
			if _, err := client.Resolve(b.Context(), q); err != nil {
				b.Error(err)
			}
		}
	})
}
