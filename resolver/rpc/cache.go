package rpc

import (
	"context"
	"net"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/nameplate-id/nameplate/proto"
	"github.com/nameplate-id/nameplate/registry/identifier"
)

// Flusher is a cache whose entries can be dropped: a [resolver.Cache].
type Flusher interface {
	// Flush drops what is known of an identifier, of everything at or below it when it
	// is a prefix, and returns how much that was.
	Flush(id identifier.ID) int
}

// CacheServer serves a cache as the gRPC service nameplate.cache.v1.Cache, for callers
// on the node's own machine, as far as their address tells: behind a proxy on that
// machine everybody is local.
type CacheServer struct {
	proto.UnimplementedCacheServer
	cache Flusher
}

// NewCacheServer returns a server of a cache.
func NewCacheServer(cache Flusher) *CacheServer { return &CacheServer{cache: cache} }

// AddTo adds the service to a gRPC server, which must not serve yet.
func (s *CacheServer) AddTo(to grpc.ServiceRegistrar) { proto.RegisterCacheServer(to, s) }

// Drain does nothing: no call lasts.
func (s *CacheServer) Drain() {}

// Flush drops entries.
func (s *CacheServer) Flush(ctx context.Context, m *proto.FlushRequest) (*proto.FlushResponse, error) {
	if !local(ctx) {
		return nil, status.Error(codes.PermissionDenied, "a cache is flushed by its operator: call from the node's own machine")
	}
	var id identifier.ID
	if text := m.GetIdentifier(); text != "" {
		var err error
		if id, err = identifier.Parse(text); err != nil {
			return nil, status.Error(codes.InvalidArgument, proto.Detail(err.Error()))
		}
	}
	return &proto.FlushResponse{Dropped: uint64(s.cache.Flush(id))}, nil
}

// local reports whether a caller is on this machine.
func local(ctx context.Context) bool {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return false
	}
	switch a := p.Addr.(type) {
	case *net.TCPAddr:
		return a.IP.IsLoopback()
	case *net.UnixAddr:
		return true
	}
	return false
}

// FlushCache drops what the recursive node behind a connection knows of an identifier,
// in any spelling, or of everything when the text is empty. It returns how many answers
// and referrals that were. The error is one of gRPC.
func FlushCache(ctx context.Context, conn grpc.ClientConnInterface, text string) (uint64, error) {
	m, err := proto.NewCacheClient(conn).Flush(ctx, &proto.FlushRequest{Identifier: text})
	return m.GetDropped(), err
}
