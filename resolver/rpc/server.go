package rpc

import (
	"context"
	"errors"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/status"

	"github.com/nameplate-id/nameplate/proto"
	"github.com/nameplate-id/nameplate/resolver"
)

// Options limit what a server does at once. The zero value is usable.
type Options struct {
	// Timeout is how long one identifier may take. 0 means 10 seconds.
	Timeout time.Duration
	// Parallel is how many pieces of a batch are resolved, or wait to be sent, at
	// once for one stream. 0 means 8.
	Parallel int
	// Workers is how many pieces are resolved at once for all streams. 0 means 64.
	Workers int
	// Records lends the records that the Resolver answers from, so that plain questions
	// are answered from stored octets. nil leaves all to the Resolver.
	Records Records
}

// Server serves a Resolver as the gRPC service nameplate.resolution.v1.Resolution.
// Its methods are for the gRPC server that it is registered with.
type Server struct {
	proto.UnimplementedResolutionServer
	resolver resolver.Resolver
	options  Options
	workers  chan struct{} // one element for each piece that is being resolved
	rooms    sync.Pool     // of *room
	desks    sync.Pool     // of *desk
	// draining is closed when streams should end.
	draining  chan struct{}
	drainOnce sync.Once
}

// New returns a server of r.
func New(r resolver.Resolver, o Options) *Server {
	if o.Timeout <= 0 {
		o.Timeout = 10 * time.Second
	}
	if o.Parallel <= 0 {
		o.Parallel = 8
	}
	if o.Workers <= 0 {
		o.Workers = 64
	}
	return &Server{resolver: r, options: o, workers: make(chan struct{}, o.Workers), draining: make(chan struct{})}
}

// AddTo adds the service to a gRPC server, which must not serve yet.
func (s *Server) AddTo(to grpc.ServiceRegistrar) { proto.RegisterResolutionServer(to, s) }

// Drain ends every batch as soon as it has answered what it has taken in, so that a
// gRPC server that stops gracefully does not wait for its callers. It returns at once.
func (s *Server) Drain() { s.drainOnce.Do(func() { close(s.draining) }) }

// Resolve answers for one identifier. The answer to a plain question is encoded already:
// it stands among the fields of the response that the message does not know.
func (s *Server) Resolve(ctx context.Context, m *proto.ResolveRequest) (*proto.ResolveResponse, error) {
	if response := s.resolvePlain(m); response != nil {
		return response, nil
	}
	q, err := queryFromProto(m)
	if err != nil {
		return nil, toStatus(err).Err()
	}
	a, err := s.resolve(ctx, q)
	if err != nil {
		return nil, toStatus(err).Err()
	}
	return &proto.ResolveResponse{Answer: answerToProto(&a)}, nil
}

// resolve asks the Resolver, within the time that one identifier has.
func (s *Server) resolve(ctx context.Context, q resolver.Query) (resolver.Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, s.options.Timeout)
	defer cancel()
	return s.resolver.Resolve(ctx, q)
}

// toStatus says on the wire why there is no answer. What is not meant for the
// caller stays here.
func toStatus(err error) *status.Status {
	e := asError(err)
	return status.New(code(e.Kind), proto.Detail(e.Detail))
}

// asError returns the error as a Resolver should have made it.
func asError(err error) *resolver.Error {
	var e *resolver.Error
	switch {
	case errors.As(err, &e):
		return e
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return &resolver.Error{Kind: resolver.Unavailable, Detail: "no answer in time: ask again", Err: err}
	}
	return &resolver.Error{Kind: resolver.Unavailable, Detail: "no answer: ask again", Err: err}
}
