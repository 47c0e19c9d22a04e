package rpc

import (
	"context"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/peer"

	"github.com/nameplate-id/nameplate/proto"
	"github.com/nameplate-id/nameplate/registry"
	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/receipt"
)

// Registry is what a server puts on the wire; [registry.Registry] is one. Its errors
// are [*registry.Error]s.
type Registry interface {
	Register(context.Context, *identifier.Change) (registry.Receipt, error)
	Delegate(context.Context, identifier.Envelope) (registry.Receipt, error)
	Holder(identifier.Prefix) *identifier.Delegation
	Watch(ctx context.Context, from uint64, yield func(registry.Logged) error) error
	Export(ctx context.Context, below identifier.Prefix, after identifier.ID, yield func(*identifier.Record) error) error
	Prove(context.Context, identifier.ID, registry.Level) (*receipt.Receipt, registry.Level, error)
	Status(context.Context) (registry.Status, error)
	Mirrors() []registry.MirrorStatus
	Await(ctx context.Context, position uint64, want registry.Level) registry.Level
}

// Options describe a server and limit what it does at once. The zero value is usable.
type Options struct {
	// Name, Version and Started are told by Status. A zero Started means that of the
	// server.
	Name, Version string
	Started       time.Time
	// Upstream tells how far the node's parent has its log; nil without a parent.
	Upstream func() *Upstream
	// Peers tells how far the other top-level nodes have the node's logs; nil for none.
	Peers func() []PeerStatus
	// Alone says why nothing here is ever anchored, at a node that has neither a parent
	// nor peers nor an anchor file; empty at any other.
	Alone string
	// Timeout is how long one change may wait for its sync. 0 means 30 seconds.
	Timeout time.Duration
	// InFlight is how many changes of one stream are with the registry at once. 0
	// means 128.
	InFlight int
	// Workers is how many changes of all streams are with the registry at once. 0
	// means 512.
	Workers int
	// Watchers is how many may watch at once. 0 means 64.
	Watchers int
	// Progress is for how long a watcher hears nothing. 0 means 10 seconds.
	Progress time.Duration
	// MayWatch returns an error, best a [*registry.Error] of kind Denied, when the
	// caller of a context must not watch or export. nil means [LocalOnly].
	MayWatch func(context.Context) error
}

// withDefaults returns the options with what was left out.
func (o Options) withDefaults() Options {
	if o.Started.IsZero() {
		o.Started = time.Now()
	}
	if o.Timeout <= 0 {
		o.Timeout = 30 * time.Second
	}
	if o.InFlight <= 0 {
		o.InFlight = 128
	}
	if o.Workers <= 0 {
		o.Workers = 512
	}
	if o.Watchers <= 0 {
		o.Watchers = 64
	}
	if o.Progress <= 0 {
		o.Progress = 10 * time.Second
	}
	if o.MayWatch == nil {
		o.MayWatch = LocalOnly
	}
	return o
}

// LocalOnly lets only processes on the node's own machine watch, as far as their
// address tells: behind a proxy on that machine everybody is local.
func LocalOnly(ctx context.Context) error {
	if p, ok := peer.FromContext(ctx); ok {
		switch a := p.Addr.(type) {
		case *net.TCPAddr:
			if a.IP.IsLoopback() {
				return nil
			}
		case *net.UnixAddr:
			return nil
		}
	}
	return &registry.Error{Kind: registry.Denied, Detail: "a watcher sees values that are not for the public: watch from the node's own machine"}
}

// Server serves a registry as the gRPC service
// nameplate.registration.v1.Registration. Its methods are for the gRPC server that it
// is registered with.
type Server struct {
	proto.UnimplementedRegistrationServer
	registry Registry
	options  Options
	workers  chan struct{} // one element for each change of a batch that is with the registry
	watchers chan struct{} // one element for each watcher
	// draining is closed when streams should end.
	draining  chan struct{}
	drainOnce sync.Once
}

// New returns a server of r.
func New(r Registry, o Options) *Server {
	o = o.withDefaults()
	return &Server{
		registry: r, options: o, draining: make(chan struct{}),
		workers: make(chan struct{}, o.Workers), watchers: make(chan struct{}, o.Watchers),
	}
}

// AddTo adds the service to a gRPC server, which must not serve yet.
func (s *Server) AddTo(to grpc.ServiceRegistrar) { proto.RegisterRegistrationServer(to, s) }

// Drain ends watchers at once, and every batch as soon as it has answered what it has
// taken in, so that a gRPC server that stops gracefully does not wait for its callers.
// It returns at once.
func (s *Server) Drain() { s.drainOnce.Do(func() { close(s.draining) }) }

// errDraining is what streams end with then.
func errDraining() error {
	return toStatus(&registry.Error{Kind: registry.Unavailable, Detail: "the node is ending: go on when it is back"})
}

// Register logs one change.
func (s *Server) Register(ctx context.Context, m *proto.RegisterRequest) (*proto.RegisterResponse, error) {
	receipt, err := s.register(ctx, m.GetChange())
	if err != nil {
		return nil, toStatus(err)
	}
	level, wait := waitFor(m.GetWait(), m.GetWaitMs())
	s.await(ctx, &receipt, level, wait)
	return &proto.RegisterResponse{Receipt: receiptToProto(receipt)}, nil
}

// register hands a change to the registry, for as long as one change may wait.
func (s *Server) register(ctx context.Context, m *proto.Change) (registry.Receipt, error) {
	change, err := proto.ChangeFromProto(m)
	if err != nil {
		return registry.Receipt{}, malformed(err)
	}
	return s.admit(ctx, change)
}

func (s *Server) admit(ctx context.Context, c *identifier.Change) (registry.Receipt, error) {
	ctx, cancel := context.WithTimeout(ctx, s.options.Timeout)
	defer cancel()
	return s.registry.Register(ctx, c)
}

// Delegate logs one delegation or keyset.
func (s *Server) Delegate(ctx context.Context, m *proto.DelegateRequest) (*proto.DelegateResponse, error) {
	envelope, err := proto.EnvelopeFromProto(m.GetEnvelope())
	if err != nil {
		return nil, toStatus(malformed(err))
	}
	ctx, cancel := context.WithTimeout(ctx, s.options.Timeout)
	defer cancel()
	receipt, err := s.registry.Delegate(ctx, envelope)
	if err != nil {
		return nil, toStatus(err)
	}
	return &proto.DelegateResponse{Receipt: receiptToProto(receipt)}, nil
}

// FindDelegation tells who holds a prefix.
func (s *Server) FindDelegation(_ context.Context, m *proto.FindDelegationRequest) (*proto.FindDelegationResponse, error) {
	prefix, err := proto.PrefixFromProto(m.GetPrefix())
	if err != nil {
		return nil, toStatus(malformed(err))
	}
	return &proto.FindDelegationResponse{Delegation: proto.DelegationToProto(s.registry.Holder(prefix))}, nil
}

// Status tells how the node is.
func (s *Server) Status(ctx context.Context, _ *proto.StatusRequest) (*proto.StatusResponse, error) {
	status, err := s.registry.Status(ctx)
	if err != nil {
		return nil, toStatus(err)
	}
	told := &Status{
		Status: status, Name: s.options.Name, Version: s.options.Version, Uptime: time.Since(s.options.Started),
		Mirrors: s.registry.Mirrors(),
	}
	if s.options.Upstream != nil {
		told.Upstream = s.options.Upstream()
	}
	if s.options.Peers != nil {
		told.Peers = s.options.Peers()
	}
	return statusToProto(told), nil
}
