package node

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"runtime/debug"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/status"

	"github.com/nameplate-id/nameplate/proto"
	registryrpc "github.com/nameplate-id/nameplate/registry/rpc"
	"github.com/nameplate-id/nameplate/resolver/tcp"
)

// Limits of the gRPC port. A stranger can neither hold a connection open for ever nor
// make the node buffer much.
const (
	// What a caller may have in flight before anybody has read it, for one call and
	// for all of a connection, in octets. Left to itself gRPC lets it grow to 16 MiB.
	grpcStreamWindow     = 256 << 10
	grpcConnectionWindow = 1 << 20

	grpcHandshake  = 10 * time.Second
	grpcAge        = 30 * time.Minute // of a connection; the client opens another
	grpcGrace      = time.Minute
	grpcPing       = 15 * time.Second // of silence before the client is asked
	grpcPingWait   = 10 * time.Second
	grpcUnaryLimit = 30 * time.Second
	// Calls that find one of so many goroutines idle need not grow the stack of a new one,
	// which takes a fifth of a short call.
	grpcWorkers = 128
	// What a message to a service may have that names things only, in octets.
	grpcSmallest = 64 << 10
)

// service is one service of the gRPC port.
type service interface {
	AddTo(grpc.ServiceRegistrar)
	// Drain ends its streams soon.
	Drain()
}

// A service whose messages may be larger than [proto.MaxRequest] has the method
// MaxReceived, how many octets they may have.

// grpcServer is the gRPC port of a node: its services, health (gRPC health checking
// protocol, v1) and reflection.
type grpcServer struct {
	server      *grpc.Server
	services    []service
	health      *health.Server
	connections int
	shutdown    time.Duration
}

// newGRPCServer returns the port. It takes encrypted connections besides plain ones when
// there is an identity to prove. A connection from which nothing comes is pinged after silence;
// 0 for the usual time.
func newGRPCServer(l Limits, silence time.Duration, identity *proto.Identity, log *slog.Logger, services ...service) *grpcServer {
	encryption := insecure.NewCredentials()
	if identity != nil {
		encryption = identity.Server()
	}
	if silence == 0 {
		silence = grpcPing
	}
	s := &grpcServer{
		services: services, health: health.NewServer(), connections: l.GRPCConnections, shutdown: l.Shutdown,
		server: grpc.NewServer(
			grpc.Creds(encryption),
			grpc.MaxRecvMsgSize(proto.MaxReplication), // of any service; each has its own below
			grpc.ForceServerCodecV2(newLimitedCodec()),
			grpc.MaxSendMsgSize(proto.MaxResponse),
			grpc.MaxHeaderListSize(proto.MaxHeaders),
			grpc.StaticStreamWindowSize(grpcStreamWindow),
			grpc.StaticConnWindowSize(grpcConnectionWindow),
			grpc.MaxConcurrentStreams(uint32(l.GRPCStreams)),
			grpc.ConnectionTimeout(grpcHandshake),
			grpc.KeepaliveParams(keepalive.ServerParameters{
				MaxConnectionAge: grpcAge, MaxConnectionAgeGrace: grpcGrace, Time: silence, Timeout: grpcPingWait,
			}),
			grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: proto.MinPing, PermitWithoutStream: true}),
			grpc.NumStreamWorkers(grpcWorkers),
			grpc.UnaryInterceptor(unary(log)),
			grpc.ChainStreamInterceptor(recoverStream(log), streamSecure),
		),
	}
	for _, x := range services {
		x.AddTo(receiving{s.server, largest(x)})
	}
	healthpb.RegisterHealthServer(receiving{s.server, grpcSmallest}, s.health)
	reflection.Register(s.server)
	return s
}

// serve answers on the listeners until ctx ends, then lets what is under way finish
// for as long as the limits say.
func (s *grpcServer) serve(ctx context.Context, listeners []net.Listener) error {
	g, ctx := errgroup.WithContext(ctx)
	// One host has a sixteenth of them, but at least one: a stranger has to own many to
	// shut others out.
	open := tcp.NewPlaces(s.connections, max(1, s.connections/16), true)
	for _, l := range listeners {
		g.Go(func() error {
			if err := s.server.Serve(open.Limit(l)); !errors.Is(err, grpc.ErrServerStopped) {
				return err
			}
			return nil // asked to stop before it began
		})
	}
	g.Go(func() error {
		<-ctx.Done()
		s.health.Shutdown()
		for _, x := range s.services {
			x.Drain()
		}
		late := time.AfterFunc(s.shutdown, s.server.Stop)
		defer late.Stop()
		s.server.GracefulStop()
		return nil
	})
	return g.Wait()
}

// secure refuses changes, and what else the registry is asked, over a connection that
// comes from elsewhere and is not encrypted: whoever stands between could hold changes
// back and pretend that they were acknowledged. What an identifier points to is told to
// anybody.
func secure(ctx context.Context, method string) error {
	if !strings.HasPrefix(method, "/"+proto.Registration_ServiceDesc.ServiceName+"/") {
		return nil
	}
	if err := registryrpc.LocalOrSecure(ctx); err != nil {
		return status.Error(codes.PermissionDenied, proto.Detail(err.Error()))
	}
	return nil
}

func streamSecure(server any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
	if err := secure(stream.Context(), info.FullMethod); err != nil {
		return err
	}
	return handle(server, stream)
}

// unary surrounds every call of one message and one answer. It bounds how long that may
// take, whatever the caller allows, but for questions, which the resolver bounds: most
// are answered without waiting, and what ends a wait is not cheap to make.
//
// It turns a panic into an answer: a fault in one call is not the end of the others. The
// process has promised nothing that it could break by going on, because a change is
// acknowledged by the journal alone.
func unary(log *slog.Logger) grpc.UnaryServerInterceptor {
	return func(ctx context.Context, request any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (answer any, err error) {
		defer recovered(log, info.FullMethod, &err)
		if err := secure(ctx, info.FullMethod); err != nil {
			return nil, err
		}
		if info.FullMethod != proto.Resolution_Resolve_FullMethodName {
			limited, cancel := context.WithTimeout(ctx, grpcUnaryLimit)
			defer cancel()
			ctx = limited
		}
		return handle(ctx, request)
	}
}

func recoverStream(log *slog.Logger) grpc.StreamServerInterceptor {
	return func(server any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handle grpc.StreamHandler) (err error) {
		defer recovered(log, info.FullMethod, &err)
		return handle(server, stream)
	}
}

func recovered(log *slog.Logger, method string, err *error) {
	if p := recover(); p != nil {
		log.Error("a call failed in the node itself", "method", method, "panic", p, "stack", string(debug.Stack()))
		*err = status.Error(codes.Internal, "the node failed to handle this call: tell its operator")
	}
}
