package node

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"

	"github.com/nameplate-id/nameplate/proto"
	"github.com/nameplate-id/nameplate/registry"
	"github.com/nameplate-id/nameplate/registry/identifier"
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

func (empty) Register(context.Context, *identifier.Change) (registry.Receipt, error) {
	return registry.Receipt{Level: registry.Local}, nil
}

func (empty) Delegate(context.Context, identifier.Envelope) (registry.Receipt, error) {
	return registry.Receipt{}, &registry.Error{Kind: registry.Denied, Detail: "nobody may"}
}

func (empty) Holder(identifier.Prefix) *identifier.Delegation { return nil }

func (empty) Watch(ctx context.Context, _ uint64, _ func(registry.Logged) error) error {
	<-ctx.Done()
	return nil
}

func (empty) Status(context.Context) (registry.Status, error) { return registry.Status{}, nil }

func openPort(t *testing.T) *port {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	log := new(lockedBuffer)
	limits := DefaultConfig().Limits
	server := newGRPCServer(limits, slog.New(slog.NewTextHandler(log, nil)),
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

func TestCallsHaveADeadline(t *testing.T) {
	_, err := unaryLimit(t.Context(), nil, nil, func(ctx context.Context, _ any) (any, error) {
		if end, ok := ctx.Deadline(); !ok || time.Until(end) > grpcUnaryLimit {
			t.Errorf("got deadline %v, %t; want one within %v", end, ok, grpcUnaryLimit)
		}
		return nil, errors.New("handled")
	})
	if err == nil || err.Error() != "handled" {
		t.Errorf("got %v; want what the handler said", err)
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

// raw is a bare connection that speaks HTTP/2 by hand.
type raw struct {
	net.Conn
	framer *http2.Framer
	block  bytes.Buffer
	hpack  *hpack.Encoder
}

func (p *port) raw(t *testing.T) *raw {
	t.Helper()
	conn, err := net.Dial("tcp", p.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	r := &raw{Conn: conn, framer: http2.NewFramer(conn, conn)}
	r.hpack = hpack.NewEncoder(&r.block)
	r.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	return r
}

// greet begins an HTTP/2 connection.
func (r *raw) greet(t *testing.T) {
	t.Helper()
	if _, err := io.WriteString(r, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	if err := r.framer.WriteSettings(); err != nil {
		t.Fatal(err)
	}
}

// headers encodes the header of a call, with some fields instead of the usual ones.
func (r *raw) headers(fields ...string) []byte {
	r.block.Reset()
	all := []string{":method", "POST", ":scheme", "http", ":path", "/nameplate.resolution.v1.Resolution/Resolve", ":authority", "x", "content-type", "application/grpc", "te", "trailers"}
	for i := 0; i < len(fields); i += 2 {
		found := false
		for j := 0; j < len(all); j += 2 {
			if all[j] == fields[i] {
				all[j+1], found = fields[i+1], true
			}
		}
		if !found {
			all = append(all, fields[i], fields[i+1])
		}
	}
	for i := 0; i < len(all); i += 2 {
		_ = r.hpack.WriteField(hpack.HeaderField{Name: all[i], Value: all[i+1]}) // to memory
	}
	return r.block.Bytes()
}

// call sends a whole call on stream 1 and returns the fields of the answer.
func (r *raw) call(t *testing.T, headers, body []byte) map[string]string {
	t.Helper()
	if err := r.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: headers, EndHeaders: true}); err != nil {
		t.Fatal(err)
	}
	if err := r.framer.WriteData(1, true, body); err != nil {
		t.Fatal(err)
	}
	fields := map[string]string{}
	for {
		f, err := r.framer.ReadFrame()
		if err != nil {
			t.Fatalf("after %v: %v", fields, err)
		}
		switch f := f.(type) {
		case *http2.MetaHeadersFrame:
			for _, field := range f.Fields {
				fields[field.Name] = field.Value
			}
			if f.StreamEnded() {
				return fields
			}
		case *http2.RSTStreamFrame:
			fields["reset"] = f.ErrCode.String()
			return fields
		}
	}
}

// message puts the prefix of gRPC before a message, with any length in it.
func message(flags byte, length int, b string) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{flags}, uint32(length)), b...)
}

func TestHostileCalls(t *testing.T) {
	p := openPort(t)
	for _, test := range []struct {
		name    string
		headers []string
		body    []byte
		field   string
		want    string
	}{
		{"as it should be", nil, message(0, 6, "\x0a\x04\x38\x38/x"), "grpc-status", "0"},
		{"wrong content type", []string{"content-type", "application/json"}, []byte(`{"identifier":"88/x"}`), ":status", "415"},
		{"GET", []string{":method", "GET"}, nil, ":status", "405"},
		{"no such method", []string{":path", "/nameplate.resolution.v1.Resolution/Guess"}, message(0, 0, ""), "grpc-status", "12"},
		{"no path at all", []string{":path", "resolve"}, message(0, 0, ""), "grpc-status", "12"},
		{"no message", nil, nil, "grpc-status", "13"},
		{"shorter than its prefix", nil, []byte{0, 0}, "grpc-status", "13"},
		{"shorter than it says", nil, message(0, 100, "\x0a"), "grpc-status", "13"},
		{"longer than allowed", nil, message(0, 1<<31-1, "\x0a"), "grpc-status", "8"},
		{"no protobuf", nil, message(0, 4, "\xff\xff\xff\xff"), "grpc-status", "13"},
		{"not UTF-8", nil, message(0, 4, "\x0a\x02\xff\xfe"), "grpc-status", "13"},
		{"compressed without saying how", nil, message(1, 4, "\x1f\x8b\x08\x00"), "grpc-status", "13"},
		{"compressed, which is not spoken here", []string{"grpc-encoding", "gzip"}, message(1, 4, "\x1f\x8b\x08\x00"), "grpc-status", "12"},
		{"a deadline that is none", []string{"grpc-timeout", "soon"}, message(0, 6, "\x0a\x04\x38\x38/x"), "grpc-status", "13"},
		{"no identifier", nil, message(0, 2, "\x0a\x00"), "grpc-status", "3"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := p.raw(t)
			r.greet(t)
			if got := r.call(t, r.headers(test.headers...), test.body); got[test.field] != test.want {
				t.Errorf("got %v; want %s %s", got, test.field, test.want)
			}
		})
	}
	p.works(t)
}

// The server tells its limits in the first frame, and ends connections that pass them.
func TestHostileConnections(t *testing.T) {
	p := openPort(t)
	t.Run("settings", func(t *testing.T) {
		r := p.raw(t)
		r.greet(t)
		f, err := r.framer.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		settings, ok := f.(*http2.SettingsFrame)
		if !ok {
			t.Fatalf("got %v; want SETTINGS", f)
		}
		for id, want := range map[http2.SettingID]uint32{http2.SettingMaxConcurrentStreams: 100, http2.SettingMaxHeaderListSize: 16 << 10, http2.SettingInitialWindowSize: grpcStreamWindow} {
			if got, _ := settings.Value(id); got != want {
				t.Errorf("%v: got %d; want %d", id, got, want)
			}
		}
	})
	t.Run("headers without end", func(t *testing.T) {
		r := p.raw(t)
		r.greet(t)
		if err := r.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: r.headers()}); err != nil {
			t.Fatal(err)
		}
		r.expectEnd(t, func(n int) error {
			return r.framer.WriteContinuation(1, false, r.headers(fmt.Sprintf("x-%d", n), strings.Repeat("h", 10<<10)))
		})
	})
	t.Run("pings without end", func(t *testing.T) {
		r := p.raw(t)
		r.greet(t)
		r.expectEnd(t, func(int) error { return r.framer.WritePing(false, [8]byte{}) })
	})
	for name, octets := range map[string]string{
		"HTTP/1.1":            "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
		"TLS":                 "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + strings.Repeat("\x00", 600),
		"zeros":               strings.Repeat("\x00", 64),
		"a DNS message":       "\x00\x1d\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x02sn\x02_i\x0288\x00\x00\x10\x00\x01",
		"no settings":         http2.ClientPreface + "\x00\x00\x04\x08\x00\x00\x00\x00\x01\x00\x00\x00\x01",
		"a frame too large":   http2.ClientPreface + "\x00\x00\x00\x04\x00\x00\x00\x00\x00" + "\xff\xff\xff\x00\x00\x00\x00\x00\x01",
		"headers on stream 0": http2.ClientPreface + "\x00\x00\x00\x04\x00\x00\x00\x00\x00" + "\x00\x00\x01\x01\x04\x00\x00\x00\x00\x82",
		"garbage in headers":  http2.ClientPreface + "\x00\x00\x00\x04\x00\x00\x00\x00\x00" + "\x00\x00\x04\x01\x04\x00\x00\x00\x01\xff\xff\xff\xff",
	} {
		t.Run(name, func(t *testing.T) {
			r := p.raw(t)
			if _, err := io.WriteString(r, octets); err != nil {
				t.Fatal(err)
			}
			if tcp, ok := r.Conn.(*net.TCPConn); ok {
				if err := tcp.CloseWrite(); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := io.Copy(io.Discard, r); err != nil && isTimeout(err) {
				t.Errorf("the connection stays open: %v", err)
			}
		})
	}
	p.works(t)
}

// expectEnd writes until the server ends the connection, which it must soon.
func (r *raw) expectEnd(t *testing.T, write func(n int) error) {
	t.Helper()
	ended := make(chan error, 1)
	go func() {
		_, err := io.Copy(io.Discard, r)
		ended <- err
	}()
	for n := 0; n < 100_000; n++ {
		if write(n) != nil {
			break
		}
	}
	select {
	case err := <-ended:
		if isTimeout(err) {
			t.Error("the connection stays open; want it closed")
		}
	case <-time.After(15 * time.Second):
		t.Error("the connection stays open; want it closed")
	}
}

func isTimeout(err error) bool {
	var e net.Error
	return errors.As(err, &e) && e.Timeout()
}

// Every prefix of a good call, cut off there, is survived.
func TestTruncatedCalls(t *testing.T) {
	p := openPort(t)
	p.works(t)
	var whole bytes.Buffer
	r := &raw{framer: http2.NewFramer(&whole, nil)}
	r.hpack = hpack.NewEncoder(&r.block)
	whole.WriteString(http2.ClientPreface)
	_ = r.framer.WriteSettings() // to memory
	_ = r.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: r.headers(), EndHeaders: true})
	_ = r.framer.WriteData(1, true, message(0, 6, "\x0a\x04\x38\x38/x"))
	before := runtime.NumGoroutine()
	for n := range whole.Len() {
		conn, err := net.Dial("tcp", p.address)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write(whole.Bytes()[:n]); err != nil {
			t.Fatal(err)
		}
		conn.Close()
	}
	settle(t, before)
	p.works(t)
}
