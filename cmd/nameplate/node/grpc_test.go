package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"

	"github.com/nameplate-id/nameplate/proto"
	"github.com/nameplate-id/nameplate/registry"
	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/receipt"
	registryrpc "github.com/nameplate-id/nameplate/registry/rpc"
	"github.com/nameplate-id/nameplate/resolver"
	resolverrpc "github.com/nameplate-id/nameplate/resolver/rpc"
)

// port is a gRPC port with its limits, in front of a resolver and a registry that
// hold nothing.
type port struct {
	address string
	conn    *grpc.ClientConn
	log     *lockedBuffer
	stop    func() error // gracefully
}

// lockedBuffer is a log that may be read while it is written.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// empty is a resolver and a registry. It panics when it is asked for 88/panic.
type empty struct{}

func (empty) Resolve(_ context.Context, q resolver.Query) (resolver.Answer, error) {
	if q.ID.Suffix == "panic" {
		panic("index out of range")
	}
	return resolver.Answer{Outcome: resolver.Absent, ID: q.ID, InZone: true}, nil
}

func (empty) Prove(context.Context, identifier.ID, registry.Level) (*receipt.Receipt, registry.Level, error) {
	return nil, 0, &registry.Error{Kind: registry.Absent, Detail: "there is nothing"}
}

func (empty) Register(context.Context, *identifier.Change) (registry.Receipt, error) {
	return registry.Receipt{Level: registry.Local}, nil
}

func (empty) Delegate(context.Context, identifier.Envelope) (registry.Receipt, error) {
	return registry.Receipt{}, &registry.Error{Kind: registry.Denied, Detail: "nobody may"}
}

func (empty) Holder(identifier.Prefix) *identifier.Delegation { return nil }

func (empty) Export(context.Context, identifier.Prefix, identifier.ID, func(*identifier.Record) error) error {
	return nil
}
func (empty) Watch(ctx context.Context, _ uint64, _ func(registry.Logged) error) error {
	<-ctx.Done()
	return nil
}

func (empty) Mirrors() []registry.MirrorStatus                             { return nil }
func (empty) Await(context.Context, uint64, registry.Level) registry.Level { return registry.Local }
func (empty) Status(context.Context) (registry.Status, error)              { return registry.Status{}, nil }

func openPort(t *testing.T) *port {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	log := new(lockedBuffer)
	limits := DefaultConfig().Limits
	server := newGRPCServer(limits, 0, nil, slog.New(slog.NewTextHandler(log, nil)),
		resolverrpc.New(empty{}, resolverrpc.Options{}), registryrpc.New(empty{}, registryrpc.Options{Name: "n"}))
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.serve(ctx, []net.Listener{l}) }()
	conn, err := proto.Dial(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	stop := sync.OnceValue(func() error {
		cancel()
		return <-ended
	})
	t.Cleanup(func() {
		conn.Close()
		if err := stop(); err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return &port{address: l.Addr().String(), conn: conn, log: log, stop: stop}
}

// works checks that the port still answers.
func (p *port) works(t *testing.T) {
	t.Helper()
	if _, err := proto.NewResolutionClient(p.conn).Resolve(t.Context(), &proto.ResolveRequest{Identifier: "88/x"}); err != nil {
		t.Errorf("the port does not answer any more: %v", err)
	}
}

func TestHealthAndReflection(t *testing.T) {
	p := openPort(t)
	h, err := healthpb.NewHealthClient(p.conn).Check(t.Context(), &healthpb.HealthCheckRequest{})
	if err != nil || h.GetStatus() != healthpb.HealthCheckResponse_SERVING {
		t.Errorf("got %v, %v; want SERVING", h, err)
	}
	stream, err := reflectionpb.NewServerReflectionClient(p.conn).ServerReflectionInfo(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&reflectionpb.ServerReflectionRequest{MessageRequest: &reflectionpb.ServerReflectionRequest_ListServices{}}); err != nil {
		t.Fatal(err)
	}
	m, err := stream.Recv()
	if err != nil {
		t.Fatal(err)
	}
	names := fmt.Sprint(m.GetListServicesResponse().GetService())
	for _, want := range []string{"nameplate.resolution.v1.Resolution", "nameplate.registration.v1.Registration", "grpc.health.v1.Health"} {
		if !strings.Contains(names, want) {
			t.Errorf("%s is not listed in %s", want, names)
		}
	}
	if err := stream.CloseSend(); err != nil {
		t.Error(err)
	}
}

// A panic in a handler, and in a goroutine of a batch, is INTERNAL and one line in the
// log; the node goes on.
func TestPanics(t *testing.T) {
	p := openPort(t)
	client := proto.NewResolutionClient(p.conn)
	_, err := client.Resolve(t.Context(), &proto.ResolveRequest{Identifier: "88/panic"})
	if s := status.Convert(err); s.Code() != codes.Internal || strings.Contains(s.Message(), "index") {
		t.Errorf("got %v; want INTERNAL without what panicked", err)
	}
	stream, err := client.ResolveBatch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&proto.ResolveBatchRequest{Identifiers: []string{"88/x", "88/panic"}}); err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = stream.Recv()
	}
	if status.Code(err) != codes.Internal {
		t.Errorf("got %v; want INTERNAL", err)
	}
	log := p.log.String()
	if n := strings.Count(log, "\n"); n != 2 || strings.Count(log, "grpc_test.go") < 2 || !strings.Contains(log, "ResolveBatch") {
		t.Errorf("got %d lines, want 2 that tell where and in which call:\n%s", n, log)
	}
	p.works(t)
}

func TestMessagesBeyondTheLimits(t *testing.T) {
	p := openPort(t)
	client := proto.NewResolutionClient(p.conn)
	_, err := client.Resolve(t.Context(), &proto.ResolveRequest{Identifier: strings.Repeat("x", 2<<20)}, grpc.MaxCallSendMsgSize(16<<20))
	if status.Code(err) != codes.ResourceExhausted {
		t.Errorf("a message of 2 MiB: got %v; want RESOURCE_EXHAUSTED", err)
	}
	// More than a request may have, and less than the port takes for replication.
	_, err = client.Resolve(t.Context(), &proto.ResolveRequest{Identifier: strings.Repeat("x", proto.MaxRequest)}, grpc.MaxCallSendMsgSize(16<<20))
	if status.Code(err) != codes.ResourceExhausted {
		t.Errorf("a request of 1 MiB: got %v; want RESOURCE_EXHAUSTED", err)
	}
	_, err = client.Resolve(t.Context(), &proto.ResolveRequest{Identifier: strings.Repeat("x", proto.MaxRequest-100)}, grpc.MaxCallSendMsgSize(16<<20))
	if status.Code(err) != codes.InvalidArgument {
		t.Errorf("a request just within the limit: got %v; want INVALID_ARGUMENT, for it was read", err)
	}
	batch, err := client.ResolveBatch(t.Context(), grpc.MaxCallSendMsgSize(16<<20))
	if err == nil {
		err = batch.Send(&proto.ResolveBatchRequest{Identifiers: []string{strings.Repeat("x", proto.MaxRequest)}})
	}
	if err == nil {
		_, err = batch.Recv()
	}
	if status.Code(err) != codes.ResourceExhausted {
		t.Errorf("a message of 1 MiB on a stream: got %v; want RESOURCE_EXHAUSTED", err)
	}
	_, err = healthpb.NewHealthClient(p.conn).Check(t.Context(), &healthpb.HealthCheckRequest{Service: strings.Repeat("x", 128<<10)})
	if status.Code(err) != codes.ResourceExhausted {
		t.Errorf("a question about health of 128 KiB: got %v; want RESOURCE_EXHAUSTED", err)
	}
	// The client knows the server's limit on headers and keeps to it.
	ctx := metadata.AppendToOutgoingContext(t.Context(), "x-flood", strings.Repeat("h", 32<<10))
	if _, err := client.Resolve(ctx, &proto.ResolveRequest{Identifier: "88/x"}); err == nil {
		t.Error("headers of 32 KiB were taken; want an error")
	}
	_, err = client.Resolve(t.Context(), &proto.ResolveRequest{Identifier: "88/x"}, grpc.CallContentSubtype("proto"), grpc.Header(&metadata.MD{}))
	if err != nil {
		t.Errorf("got %v", err)
	}
	p.works(t)
}

// Calls are bounded but for questions, whose time the resolver bounds.
func TestCallsHaveADeadline(t *testing.T) {
	for method, bounded := range map[string]bool{
		proto.Registration_Status_FullMethodName: true, proto.Resolution_Resolve_FullMethodName: false,
	} {
		ctx := peer.NewContext(t.Context(), &peer.Peer{Addr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}})
		_, err := unary(slog.New(slog.DiscardHandler))(ctx, nil, &grpc.UnaryServerInfo{FullMethod: method}, func(ctx context.Context, _ any) (any, error) {
			if end, ok := ctx.Deadline(); ok != bounded || time.Until(end) > grpcUnaryLimit {
				t.Errorf("%s: got deadline %v, %t; want one within %v: %t", method, end, ok, grpcUnaryLimit, bounded)
			}
			return nil, errors.New("handled")
		})
		if err == nil || err.Error() != "handled" {
			t.Errorf("%s: got %v; want what the handler said", method, err)
		}
	}
}

// Watchers and batches whose callers do nothing do not hold up the end of a node.
func TestStopWithOpenStreams(t *testing.T) {
	p := openPort(t)
	watch, err := proto.NewRegistrationClient(p.conn).Watch(t.Context(), &proto.WatchRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := watch.Recv(); err != nil {
		t.Fatal(err)
	}
	register, err := proto.NewRegistrationClient(p.conn).RegisterBatch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	resolve, err := proto.NewResolutionClient(p.conn).ResolveBatch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	if err := p.stop(); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(start); took > 3*time.Second {
		t.Errorf("stopping took %v", took)
	}
	_, first := watch.Recv()
	_, second := register.Recv()
	_, third := resolve.Recv()
	for _, err := range []error{first, second, third} {
		if status.Code(err) != codes.Unavailable {
			t.Errorf("got %v; want UNAVAILABLE", err)
		}
	}
}

// Calls that are given up in the middle leave nothing behind.
func TestCallsGivenUp(t *testing.T) {
	p := openPort(t)
	p.works(t)
	before := runtime.NumGoroutine()
	for range 200 {
		ctx, cancel := context.WithCancel(t.Context())
		stream, err := proto.NewResolutionClient(p.conn).ResolveBatch(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if err := stream.Send(&proto.ResolveBatchRequest{Identifiers: make([]string, 1000)}); err != nil {
			t.Fatal(err)
		}
		if _, err := proto.NewRegistrationClient(p.conn).Watch(ctx, &proto.WatchRequest{}); err != nil {
			t.Fatal(err)
		}
		cancel()
	}
	settle(t, before)
	p.works(t)
}

// settle waits until no more goroutines run than before.
func settle(t *testing.T, before int) {
	t.Helper()
	var now int
	for range 100 {
		if now = runtime.NumGoroutine(); now <= before+2 {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Errorf("%d goroutines run; before there were %d", now, before)
}

// TestChangesFromElsewhere lets changes in over the loopback interface or TLS only, and
// questions over anything.
func TestChangesFromElsewhere(t *testing.T) {
	elsewhere := peer.NewContext(t.Context(), &peer.Peer{Addr: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1)}})
	here := peer.NewContext(t.Context(), &peer.Peer{Addr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}})
	for _, c := range []struct {
		ctx    context.Context
		method string
		want   codes.Code
	}{
		{elsewhere, proto.Registration_Register_FullMethodName, codes.PermissionDenied},
		{elsewhere, proto.Registration_Status_FullMethodName, codes.PermissionDenied},
		{here, proto.Registration_Register_FullMethodName, codes.OK},
		{elsewhere, proto.Resolution_Resolve_FullMethodName, codes.OK},
	} {
		if err := secure(c.ctx, c.method); status.Code(err) != c.want {
			t.Errorf("%s: got %v, want %v", c.method, err, c.want)
		}
	}
}
