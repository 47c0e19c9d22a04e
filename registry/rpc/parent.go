package rpc

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/nameplate-id/nameplate/proto"
	"github.com/nameplate-id/nameplate/registry"
	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/replica"
)

// ParentConfig says where a [Parent] keeps its children's logs. What is not said to
// have a default is needed.
type ParentConfig struct {
	Mirrors Mirrors
	Signer  replica.Signer   // the node key
	Log     identifier.LogID // the node's own
	Verify  replica.VerifyCheckpoint
	// Window is how many octets of one child's entries are in memory, at the most; 0
	// for [replica.DefaultWindow].
	Window uint64
	// Heartbeat is how often each side says that it is there; after two without a
	// word the stream is ended. 0 for 10 seconds. Both sides have the same.
	Heartbeat time.Duration
	// Streams is how many may be open at once, also before a Hello. 0 for 1024.
	Streams int
	// MayConnect returns an error when the caller of a context must not send its log, a
	// [*replica.Refusal] where the child is to be told why. It is asked before anything
	// that the caller sends is read, and again with every heartbeat.
	MayConnect func(context.Context) error
	Logger     *slog.Logger // nil for none
}

func (c ParentConfig) withDefaults() ParentConfig {
	if c.Heartbeat <= 0 {
		c.Heartbeat = defaultHeartbeat
	}
	if c.Streams <= 0 {
		c.Streams = 1024
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// KnownNodes returns a MayConnect for connections with [proto.Identity]: it lets in who
// has proved a node key that admits has nothing against.
func KnownNodes(admits func(identifier.PublicKey) error) func(context.Context) error {
	return func(ctx context.Context) error {
		key, proved := proto.PeerKey(ctx)
		if !proved {
			return &replica.Refusal{Reason: replica.Unauthenticated,
				Detail: "a log is taken in from who proves a node key: connect with TLS and the certificate of one"}
		}
		return admits(key)
	}
}

// LocalOrSecure returns an error unless a caller is on the node's own machine, as far as
// its address tells, or its connection is encrypted.
func LocalOrSecure(ctx context.Context) error {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return errors.New("the caller has no address")
	}
	switch a := p.Addr.(type) {
	case *net.TCPAddr:
		if a.IP.IsLoopback() {
			return nil
		}
	case *net.UnixAddr:
		return nil
	}
	if p.AuthInfo != nil && credentials.CheckSecurityLevel(p.AuthInfo, credentials.PrivacyAndIntegrity) == nil {
		return nil
	}
	return errors.New("the connection is not encrypted: connect with TLS (grpcs://HOST:PORT and --node-key), or from the node's own machine")
}

// Parent takes in the logs of a node's children, as the gRPC service
// nameplate.replication.v1.Replication: [replica.Parent]s with connections around
// them. Its methods may be called concurrently; Replicate is for the gRPC server that
// it is registered with, which takes messages of [proto.MaxReplication] octets, or as
// large as an entry with its checkpoint can be.
type Parent struct {
	proto.UnimplementedReplicationServer
	config  ParentConfig
	streams chan struct{} // one element for each

	mu      sync.Mutex
	keepers map[identifier.LogID]*keeper

	draining  chan struct{}
	drainOnce sync.Once
}

// NewParent returns the service.
func NewParent(c ParentConfig) *Parent {
	c = c.withDefaults()
	return &Parent{
		config: c, streams: make(chan struct{}, c.Streams), keepers: make(map[identifier.LogID]*keeper),
		draining: make(chan struct{}),
	}
}

// AddTo adds the service to a gRPC server, which must not serve yet.
func (p *Parent) AddTo(to grpc.ServiceRegistrar) { proto.RegisterReplicationServer(to, p) }

// MaxReceived returns how many octets a message to the service may have.
func (p *Parent) MaxReceived() int { return proto.MaxReplication }

// Drain ends all streams soon. It returns at once. What they brought may be on its
// way to the disk then: the registry is closed after the gRPC server has stopped.
func (p *Parent) Drain() { p.drainOnce.Do(func() { close(p.draining) }) }

// Status tells how far every mirror is whose child has said Hello since the start,
// in the order of the logs' ids.
func (p *Parent) Status() []replica.ParentStatus {
	p.mu.Lock()
	keepers := make([]*keeper, 0, len(p.keepers))
	for _, k := range p.keepers {
		keepers = append(keepers, k)
	}
	p.mu.Unlock()
	var all []replica.ParentStatus
	for _, k := range keepers {
		if s, begun := k.status(); begun {
			all = append(all, s)
		}
	}
	slices.SortFunc(all, func(a, b replica.ParentStatus) int { return cmp.Compare(a.Log.String(), b.Log.String()) })
	return all
}

// greetingTime is how long a child may take for its Hello.
const greetingTime = 10 * time.Second

// Replicate takes in one child's log, until the child or the node ends it.
func (p *Parent) Replicate(stream proto.Replication_ReplicateServer) error {
	if err := p.config.MayConnect(stream.Context()); err != nil {
		return p.shutOut(stream, err)
	}
	select {
	case p.streams <- struct{}{}:
		defer func() { <-p.streams }()
	default:
		return status.Error(codes.ResourceExhausted, fmt.Sprintf("%d children are connected already: try again later", cap(p.streams)))
	}
	s := &parentStream{
		Parent: p, stream: stream, first: make(chan *replica.Hello, 1), begin: make(chan struct{}),
		wake: make(chan struct{}, 1), received: make(chan error, 1),
	}
	var cancel context.CancelFunc
	s.ctx, cancel = context.WithCancel(stream.Context())
	defer cancel()
	refusal, err := s.run()
	if refusal != nil {
		level := slog.LevelWarn
		if refusal.Reason.Passing() {
			level = slog.LevelInfo
		}
		p.config.Logger.Log(stream.Context(), level, "a child's stream ended", "child", s.child, "error", refusal)
	}
	switch e, ours := errors.AsType[*registry.Error](err); {
	case err == io.EOF: // the child hung up
		return nil
	case ours:
		return toStatus(e)
	}
	return err
}

// shutOut ends a stream before anything of it was read.
func (p *Parent) shutOut(stream proto.Replication_ReplicateServer, err error) error {
	r, ok := errors.AsType[*replica.Refusal](err)
	if !ok {
		return status.Error(codes.PermissionDenied, proto.Detail(err.Error()))
	}
	p.config.Logger.Info("a stream was shut out", "error", r)
	return stream.Send(responseToProto(&replica.Refuse{Reason: r.Reason, Detail: r.Detail}))
}

// refusalOf returns an error as the child is to be told of it.
func (p *Parent) refusalOf(err error) *replica.Refusal {
	if r, ok := errors.AsType[*replica.Refusal](err); ok {
		return r
	}
	p.config.Logger.Error("a child's log cannot be kept", "error", err)
	return &replica.Refusal{Reason: replica.Unavailable, Detail: "the parent cannot keep the log now: its own log says why"}
}

// keeperOf returns what keeps the log of a child. It asks the registry each time,
// because what it has delegated changes.
func (p *Parent) keeperOf(ctx context.Context, m *replica.Hello, size uint64, root identifier.Hash) (*keeper, error) {
	mirror, err := p.config.Mirrors.Mirror(ctx, m.Log, m.Owner, m.Node, size)
	if err != nil {
		return nil, err
	}
	generation, err := mirror.Settle(ctx, size, root)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	before := p.keepers[m.Log]
	k := before
	if k == nil || k.generation != generation {
		k = &keeper{generation: generation}
		p.keepers[m.Log] = k
	}
	p.mu.Unlock()
	if before != nil && before != k {
		before.end()
	}
	return k, k.begin(p.config, mirror, m)
}

// keeper is what is kept of one log while streams come and go.
type keeper struct {
	generation uint64 // of the mirror

	mu      sync.Mutex
	machine *replica.Parent // nil until the mirror was opened
	mirror  Mirror
	current *parentStream
}

// end ends the stream of a mirror that is not what it was.
func (k *keeper) end() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.current != nil {
		signal(k.current.wake) // it sees that it is not the one any more
		k.current = nil
	}
}

// begin opens the mirror, once.
func (k *keeper) begin(c ParentConfig, mirror Mirror, m *replica.Hello) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.machine != nil {
		return nil
	}
	found, err := mirror.Open()
	if err != nil {
		return err
	}
	k.machine, err = replica.NewParent(replica.ParentConfig{
		Signer: c.Signer, ID: c.Log, Child: m.Owner, Log: m.Log, Verify: c.Verify, Policy: mirror.Policy(), History: mirror, Row: mirror.Row, Held: mirror.Held, Begins: mirror.Begins, Fence: mirror.Fenced, Window: c.Window,
	}, found)
	k.mirror = mirror
	return err
}

func (k *keeper) status() (replica.ParentStatus, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.machine == nil {
		return replica.ParentStatus{}, false
	}
	return k.machine.Status(), true
}

// stored tells the machine that its oldest unit is on disk.
func (k *keeper) stored() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.machine.Stored()
	if k.current != nil {
		signal(k.current.wake)
	}
}
