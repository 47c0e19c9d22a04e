package rpc_test

import (
	"context"
	"net"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"

	"github.com/nameplate-id/nameplate/proto"
	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/resolver"
	"github.com/nameplate-id/nameplate/resolver/resolvertest"
	"github.com/nameplate-id/nameplate/resolver/rpc"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve puts a Resolver on the wire and returns a client and a raw connection.
func serve(t *testing.T, r resolver.Resolver, o rpc.Options) (*rpc.Client, *grpc.ClientConn) {
	t.Helper()
	server := grpc.NewServer(grpc.MaxRecvMsgSize(proto.MaxRequest))
	rpc.New(r, o).AddTo(server)
	conn := start(t, server)
	return rpc.NewClientOn(conn, rpc.ClientOptions{}), conn
}

// serveContract puts any implementation of the contract on the wire.
func serveContract(t *testing.T, implementation proto.ResolutionServer) *rpc.Client {
	t.Helper()
	server := grpc.NewServer()
	proto.RegisterResolutionServer(server, implementation)
	return rpc.NewClientOn(start(t, server), rpc.ClientOptions{})
}

// start serves on a port of this machine until the test ends, and connects to it.
func start(t testing.TB, server *grpc.Server) *grpc.ClientConn {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	conn, err := proto.Dial(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	t.Cleanup(func() {
		conn.Close()
		server.Stop()
		if err := <-served; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return conn
}

func TestConformance(t *testing.T) {
	resolvertest.Run(t, resolver.GRPC, func(t *testing.T, backend resolver.Resolver) resolver.Resolver {
		client, _ := serve(t, backend, rpc.Options{})
		return client
	})
}

// function is a Resolver.
type function func(context.Context, resolver.Query) (resolver.Answer, error)

func (f function) Resolve(ctx context.Context, q resolver.Query) (resolver.Answer, error) {
	return f(ctx, q)
}

// absent answers that there is nothing.
func absent(_ context.Context, q resolver.Query) (resolver.Answer, error) {
	return resolver.Answer{Outcome: resolver.Absent, ID: q.ID, InZone: true, Lifetime: time.Second}, nil
}

// found answers with a description of so many octets.
func found(octets int) function {
	return func(_ context.Context, q resolver.Query) (resolver.Answer, error) {
		return resolver.Answer{Outcome: resolver.Found, ID: q.ID, InZone: true, Lifetime: time.Second, Record: &identifier.Record{
			ID: q.ID, Version: 1, Time: time.UnixMilli(1).UTC(),
			Values: []identifier.Value{{Index: 1, Type: "DESC", Data: make([]byte, octets)}},
		}}, nil
	}
}

// benchmarkServer answers every question with a record of one short link.
func benchmarkServer(b *testing.B) *rpc.Client {
	server := grpc.NewServer()
	rpc.New(found(40), rpc.Options{}).AddTo(server)
	return rpc.NewClientOn(start(b, server), rpc.ClientOptions{})
}
