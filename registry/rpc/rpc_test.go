package rpc_test

import (
	"context"
	"net"
	"testing"

	"go.uber.org/goleak"
	"google.golang.org/grpc"

	"github.com/nameplate-id/nameplate/proto"
	"github.com/nameplate-id/nameplate/registry"
	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/receipt"
	"github.com/nameplate-id/nameplate/registry/rpc"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fake is a registry made of functions.
type fake struct {
	register func(context.Context, *identifier.Change) (registry.Receipt, error)
	delegate func(context.Context, identifier.Envelope) (registry.Receipt, error)
	holder   func(identifier.Prefix) *identifier.Delegation
	watch    func(context.Context, uint64, func(registry.Logged) error) error
	export   func(context.Context, identifier.Prefix, identifier.ID, func(*identifier.Record) error) error
	status   registry.Status
	mirrors  []registry.MirrorStatus
	await    func(context.Context, uint64, registry.Level) registry.Level
	prove    func(context.Context, identifier.ID, registry.Level) (*receipt.Receipt, registry.Level, error)
}

func (f *fake) Prove(ctx context.Context, id identifier.ID, l registry.Level) (*receipt.Receipt, registry.Level, error) {
	return f.prove(ctx, id, l)
}

func (f *fake) Register(ctx context.Context, c *identifier.Change) (registry.Receipt, error) {
	return f.register(ctx, c)
}
func (f *fake) Delegate(ctx context.Context, e identifier.Envelope) (registry.Receipt, error) {
	return f.delegate(ctx, e)
}
func (f *fake) Holder(p identifier.Prefix) *identifier.Delegation { return f.holder(p) }
func (f *fake) Watch(ctx context.Context, from uint64, yield func(registry.Logged) error) error {
	return f.watch(ctx, from, yield)
}
func (f *fake) Export(ctx context.Context, below identifier.Prefix, after identifier.ID, yield func(*identifier.Record) error) error {
	return f.export(ctx, below, after, yield)
}
func (f *fake) Status(context.Context) (registry.Status, error) { return f.status, nil }
func (f *fake) Mirrors() []registry.MirrorStatus                { return f.mirrors }
func (f *fake) Await(ctx context.Context, position uint64, want registry.Level) registry.Level {
	if f.await == nil {
		return registry.Local
	}
	return f.await(ctx, position, want)
}

// served is a registry on the wire.
type served struct {
	*rpc.Client
	conn   *grpc.ClientConn
	server *rpc.Server
	stop   func() // the gRPC server
}

// serve puts a registry on the wire until the test ends.
func serve(t testing.TB, r rpc.Registry, o rpc.Options, options ...grpc.ServerOption) served {
	t.Helper()
	s := rpc.New(r, o)
	server := grpc.NewServer(append(options, grpc.MaxRecvMsgSize(proto.MaxRequest))...)
	s.AddTo(server)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	conn, err := proto.Dial(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	t.Cleanup(func() {
		conn.Close()
		server.Stop()
		if err := <-ended; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return served{Client: rpc.NewClientOn(conn, rpc.ClientOptions{}), conn: conn, server: s, stop: server.Stop}
}

// change returns a change that names identifiers; the fakes do not look at more.
func change(suffixes ...string) *identifier.Change {
	c := &identifier.Change{Envelope: identifier.Envelope{PayloadType: identifier.ChangeType}}
	for _, suffix := range suffixes {
		c.Rows = append(c.Rows, identifier.Row{Op: identifier.Put, ID: identifier.ID{Prefix: "88.118", Suffix: suffix}, Version: 1})
	}
	return c
}
