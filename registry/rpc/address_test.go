package rpc_test

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/nameplate-id/nameplate/proto"
	"github.com/nameplate-id/nameplate/registry/replica/replicatest"
	"github.com/nameplate-id/nameplate/registry/rpc"
)

func TestAddressOfTheParent(t *testing.T) {
	source := &memorySource{Log: replicatest.NewLog(1)}
	for address, want := range map[string]bool{
		"127.0.0.1:2640": true, "127.88.1.2:2640": true, "[::1]:2640": true, "localhost:2640": true, "unix:/run/nameplate": true,
		"192.0.2.1:2640": false, "parent.example:2640": false, "127.0.0.1": false, "": false, "0.0.0.0:2640": false,
		"127.0.0.1.example:2640": false, "dns:///127.0.0.1:2640": false,
	} {
		_, err := rpc.NewChild(rpc.ChildConfig{Source: source, Signer: source.Key, Address: address})
		if (err == nil) != want {
			t.Errorf("%q: got %v", address, err)
		}
	}
}

func TestAddressOfTheChild(t *testing.T) {
	for _, c := range []struct {
		address net.Addr
		want    bool
	}{
		{&net.TCPAddr{IP: net.IPv4(127, 88, 1, 2)}, true},
		{&net.TCPAddr{IP: net.IPv6loopback}, true},
		{&net.UnixAddr{}, true},
		{&net.TCPAddr{IP: net.IPv4(192, 0, 2, 1)}, false},
		{&net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}, false},
	} {
		err := rpc.LocalOrSecure(peer.NewContext(t.Context(), &peer.Peer{Addr: c.address}))
		if (err == nil) != c.want {
			t.Errorf("%v: got %v", c.address, err)
		}
	}
	if rpc.LocalOrSecure(t.Context()) == nil {
		t.Error("a caller without an address is let in")
	}
}

func TestStranger(t *testing.T) {
	p := rpc.NewParent(rpc.ParentConfig{Signer: replicatest.NodeKey(200), MayConnect: func(context.Context) error { return errors.New("no") }})
	conn := replication(t, p)
	stream, err := proto.NewReplicationClient(conn).Replicate(t.Context())
	if err == nil {
		_, err = stream.Recv()
	}
	if status.Code(err) != codes.PermissionDenied {
		t.Errorf("got %v", err)
	}
}

// replication serves a parent on the loopback interface until the test ends.
func replication(t *testing.T, p *rpc.Parent) *grpc.ClientConn {
	t.Helper()
	conn, err := proto.Dial(listen(t, p))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// listen serves a parent on the loopback interface until the test ends.
func listen(t testing.TB, p *rpc.Parent) (address string) {
	t.Helper()
	server := grpc.NewServer(grpc.MaxRecvMsgSize(proto.MaxReplication))
	p.AddTo(server)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-ended; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return l.Addr().String()
}

// BenchmarkReplicate copies a log to a parent on the loopback interface whose disk
// takes no time.
func BenchmarkReplicate(b *testing.B) {
	const entries = 20_000
	source := &memorySource{Log: replicatest.NewLog(1)}
	source.grow(0, entries, 200)
	for b.Loop() {
		mirrors := &memoryMirrors{}
		parent := rpc.NewParent(rpc.ParentConfig{
			Mirrors: mirrors, Signer: replicatest.NodeKey(200), Log: replicatest.LogID(200), Verify: replicatest.VerifyCheckpoint,
			MayConnect: anybody,
		})
		child, err := rpc.NewChild(rpc.ChildConfig{
			Source: source, Signer: source.Key, Verify: replicatest.VerifyCheckpoint, Address: listen(b, parent),
		})
		if err != nil {
			b.Fatal(err)
		}
		ctx, cancel := context.WithCancel(b.Context())
		ended := make(chan error, 1)
		go func() { ended <- child.Run(ctx) }()
		for child.Status().Acked < entries {
			time.Sleep(time.Millisecond)
		}
		cancel()
		if err := errors.Join(<-ended, mirrors.mirror(source.ID).check(source.Log)); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(entries*b.N)/b.Elapsed().Seconds(), "entries/s")
}
