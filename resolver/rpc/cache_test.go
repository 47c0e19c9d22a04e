package rpc_test

import (
	"context"
	"net"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"github.com/nameplate-id/nameplate/proto"
	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/resolver/rpc"
)

// flushed remembers what was flushed.
type flushed []identifier.ID

func (f *flushed) Flush(id identifier.ID) int {
	*f = append(*f, id)
	return len(*f)
}

func TestFlushCache(t *testing.T) {
	var f flushed
	server := grpc.NewServer()
	rpc.NewCacheServer(&f).AddTo(server)
	conn := start(t, server)
	for n, c := range []struct {
		text string
		want identifier.ID
	}{
		{"", identifier.ID{}},
		{"88.118.8/SN-42", identifier.ID{Prefix: "88.118.8", Suffix: "sn-42"}},
		{"88.118", identifier.ID{Prefix: "88.118"}},
	} {
		dropped, err := rpc.FlushCache(t.Context(), conn, c.text)
		if err != nil || dropped != uint64(n+1) || f[n] != c.want {
			t.Errorf("%q: flushed %v, %d, %v; want %v", c.text, f[n], dropped, err, c.want)
		}
	}
	if _, err := rpc.FlushCache(t.Context(), conn, "88..1"); status.Code(err) != codes.InvalidArgument {
		t.Errorf("got %v; want invalid argument", err)
	}
}

// Who is not on this machine flushes nothing.
func TestFlushCacheFromElsewhere(t *testing.T) {
	var f flushed
	server := grpc.NewServer()
	rpc.NewCacheServer(&f).AddTo(server)
	l := bufconn.Listen(1 << 16) // its address is no address of this machine
	go server.Serve(l)
	defer server.Stop()
	conn, err := proto.Dial("passthrough:///elsewhere", grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := rpc.FlushCache(t.Context(), conn, ""); status.Code(err) != codes.PermissionDenied || len(f) > 0 {
		t.Errorf("got %v; want permission denied", err)
	}
}
