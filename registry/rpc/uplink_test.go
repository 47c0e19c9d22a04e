package rpc_test

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"testing/synctest"

	"google.golang.org/grpc"
	"google.golang.org/grpc/test/bufconn"

	"github.com/nameplate-id/nameplate/proto"
	"github.com/nameplate-id/nameplate/registry/replica/replicatest"
	"github.com/nameplate-id/nameplate/registry/rpc"
)

// uplink is a parent behind a wire in memory, and a child that can reach it. Inside of
// a synctest bubble its heartbeats take no time.
type uplink struct {
	t       *testing.T
	mirrors *memoryMirrors
	parent  *rpc.Parent
	source  *memorySource
	child   *rpc.Child
	server  *grpc.Server

	mu       sync.Mutex
	listener *bufconn.Listener // nil while the parent is away
}

func newUplink(t *testing.T, o rpc.ParentConfig) *uplink {
	u := &uplink{t: t, mirrors: &memoryMirrors{}, source: &memorySource{Log: replicatest.NewLog(1)}}
	o.Mirrors, o.Signer, o.Log, o.Verify = u.mirrors, replicatest.NodeKey(200), replicatest.LogID(200), replicatest.VerifyCheckpoint
	o.MayConnect = anybody
	u.parent = rpc.NewParent(o)
	u.child = u.newChild(u.source)
	return u
}

// anybody may connect.
func anybody(context.Context) error { return nil }

func (u *uplink) newChild(s *memorySource) *rpc.Child {
	c, err := rpc.NewChild(rpc.ChildConfig{
		Source: s, Signer: s.Key, Verify: replicatest.VerifyCheckpoint, Address: "passthrough:///parent",
		Parent: replicatest.NodeKey(200).Public(), Dial: []grpc.DialOption{u.dialOption()}, Secure: true,
	})
	if err != nil {
		u.t.Fatal(err)
	}
	return c
}

func (u *uplink) dial(ctx context.Context, _ string) (net.Conn, error) {
	u.mu.Lock()
	l := u.listener
	u.mu.Unlock()
	if l == nil {
		return nil, errors.New("nobody is there")
	}
	return l.DialContext(ctx)
}

func (u *uplink) dialOption() grpc.DialOption { return grpc.WithContextDialer(u.dial) }

// serve lets the parent be there until the returned function is called.
func (u *uplink) serve() (stop func()) { return u.serveOther(u.parent) }

// serveOther lets something else be where the parent is.
func (u *uplink) serveOther(parent proto.ReplicationServer) (stop func()) {
	l := bufconn.Listen(1 << 20)
	server := grpc.NewServer(grpc.MaxRecvMsgSize(proto.MaxReplication))
	proto.RegisterReplicationServer(server, parent)
	u.mu.Lock()
	u.listener, u.server = l, server
	u.mu.Unlock()
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	return func() {
		u.mu.Lock()
		u.listener = nil
		u.mu.Unlock()
		server.Stop()
		if err := <-ended; err != nil {
			u.t.Errorf("serve: %v", err)
		}
	}
}

// run lets a child run until the returned function is called.
func (u *uplink) run(c *rpc.Child) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	return func() {
		cancel()
		if err := <-ended; err != nil {
			u.t.Errorf("run: %v", err)
		}
	}
}

// mirror returns the mirror of the child's log.
func (u *uplink) mirror() *memoryMirror { return u.mirrors.mirror(u.source.ID) }

// expect checks how many entries the parent holds and the child knows of.
func (u *uplink) expect(entries uint64) {
	u.t.Helper()
	if err := u.mirror().check(u.source.Log); err != nil {
		u.t.Fatal(err)
	}
	s := u.child.Status()
	if u.mirror().size() != entries || s.Acked != entries || !s.Connected || s.Err != nil {
		u.t.Fatalf("the mirror has %d entries, want %d; child: %+v", u.mirror().size(), entries, s)
	}
}

// bubble plays in a bubble of its own, in which time passes when nobody does anything.
func bubble(t *testing.T, o rpc.ParentConfig, play func(*testing.T, *uplink)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		u := newUplink(t, o)
		play(t, u)
	})
}
