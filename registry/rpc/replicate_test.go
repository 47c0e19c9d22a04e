package rpc_test

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"github.com/nameplate-id/nameplate/proto"
	"github.com/nameplate-id/nameplate/registry"
	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/replica"
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
	o.MayConnect = func(context.Context) error { return nil }
	u.parent = rpc.NewParent(o)
	u.child = u.newChild(u.source)
	return u
}

func (u *uplink) newChild(s *memorySource) *rpc.Child {
	c, err := rpc.NewChild(rpc.ChildConfig{
		Source: s, Signer: s.Key, Verify: replicatest.VerifyCheckpoint, Address: "passthrough:///parent",
		Parent: replicatest.NodeKey(200).Public(), Dial: []grpc.DialOption{grpc.WithContextDialer(u.dial)}, Secure: true,
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

// serve lets the parent be there until the returned function is called.
func (u *uplink) serve() (stop func()) {
	l := bufconn.Listen(1 << 20)
	server := grpc.NewServer(grpc.MaxRecvMsgSize(proto.MaxReplication))
	u.parent.AddTo(server)
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

func TestReplicate(t *testing.T) {
	bubble(t, rpc.ParentConfig{}, func(t *testing.T, u *uplink) {
		u.source.grow(0, 1000, 0)
		u.mirror().grant(identifier.Envelope{PayloadType: "first"})
		defer u.serve()()
		defer u.run(u.child)()
		synctest.Wait()
		u.expect(1000)
		if _, _, units := u.mirror().state(); units != 4 {
			t.Errorf("they came in %d messages, want 4", units)
		}
		u.source.grow(1000, 3, 0)
		u.mirror().grant(identifier.Envelope{PayloadType: "second"})
		synctest.Wait()
		u.expect(1003)
		if n := u.source.granted(); n != 2 {
			t.Errorf("%d grants were taken in, want 2", n)
		}
		all := u.parent.Status()
		if len(all) != 1 || all[0].Stored != 1003 || !all[0].Connected || all[0].Log != u.source.ID || all[0].InFlight != 0 {
			t.Errorf("got %+v", all)
		}
		time.Sleep(time.Hour) // heartbeats keep it
		u.expect(1003)
		heard, refused, _ := u.mirror().state()
		if len(heard) < 300 || heard[len(heard)-1] != 1003 || refused != nil {
			t.Errorf("heard %d times, last of %d; %v", len(heard), heard[len(heard)-1], refused)
		}
	})
}

// A parent that ends and comes back gets the rest; a child that does so sends it.
func TestReplicateOn(t *testing.T) {
	bubble(t, rpc.ParentConfig{}, func(t *testing.T, u *uplink) {
		u.source.grow(0, 10, 0)
		stop := u.run(u.child)
		time.Sleep(time.Minute)
		if s := u.child.Status(); s.Err == nil || s.Connected {
			t.Errorf("nobody is there, and the status is %+v", s)
		}
		gone := u.serve()
		time.Sleep(time.Minute)
		u.expect(10)
		gone()
		u.source.grow(10, 10, 0)
		time.Sleep(time.Minute)
		if s := u.child.Status(); s.Err == nil || s.Connected || s.Acked != 10 {
			t.Errorf("the parent went away, and the status is %+v", s)
		}
		defer u.serve()()
		time.Sleep(time.Minute)
		u.expect(20)
		stop()
		synctest.Wait()
		if all := u.parent.Status(); all[0].Connected {
			t.Error("the child went away, and the parent takes it for connected")
		}
		u.child = u.newChild(u.source)
		defer u.run(u.child)()
		u.source.grow(20, 1, 0)
		synctest.Wait()
		u.expect(21)
	})
}

// A full disk stops the stream and nothing else: no memory grows, nobody gives up, and
// it goes on by itself.
func TestFullParent(t *testing.T) {
	bubble(t, rpc.ParentConfig{Window: replica.MaxOctets}, func(t *testing.T, u *uplink) {
		free := u.mirror().fill()
		u.source.grow(0, 100, 64<<10)
		defer u.serve()()
		defer u.run(u.child)()
		time.Sleep(time.Hour)
		s := u.child.Status()
		if u.mirror().size() != 0 || s.Acked != 0 || !s.Connected || s.InFlight > replica.MaxOctets {
			t.Errorf("got %+v", s)
		}
		free()
		synctest.Wait()
		u.expect(100)
	})
}

// What waits for its sync is not acknowledged, and is within the window.
func TestSlowParent(t *testing.T) {
	bubble(t, rpc.ParentConfig{Window: replica.MaxOctets}, func(t *testing.T, u *uplink) {
		release := u.mirror().hold()
		u.source.grow(0, 100, 64<<10)
		stop := u.serve()
		defer func() { stop() }()
		defer u.run(u.child)()
		synctest.Wait()
		all := u.parent.Status()
		if len(all) != 1 || all[0].Stored != 0 || all[0].InFlight == 0 || all[0].InFlight > replica.MaxOctets || u.child.Status().Acked != 0 {
			t.Fatalf("got %+v, %+v", all, u.child.Status())
		}
		// The next stream waits for what the last one brought.
		stop()
		stop = u.serve()
		time.Sleep(10 * time.Second)
		if s := u.child.Status(); s.Connected {
			t.Errorf("welcomed before the sync: %+v", s)
		}
		release()
		time.Sleep(time.Minute)
		u.expect(100)
	})
}

// Entries that cannot be stored come again on another stream.
func TestFailingParent(t *testing.T) {
	bubble(t, rpc.ParentConfig{}, func(t *testing.T, u *uplink) {
		u.source.grow(0, 10, 0)
		u.mirror().failWith(errors.New("no"))
		defer u.serve()()
		defer u.run(u.child)()
		synctest.Wait()
		refused(t, u.child, replica.Unavailable)
		u.mirror().failWith(nil)
		time.Sleep(time.Minute)
		u.expect(10)
	})
}

func refused(t *testing.T, c *rpc.Child, want replica.Reason) {
	t.Helper()
	r, ok := errors.AsType[*replica.Refusal](c.Status().Err)
	if !ok || r.Reason != want {
		t.Errorf("got %v, want %v", c.Status().Err, want)
	}
}

func TestRefusedChild(t *testing.T) {
	bubble(t, rpc.ParentConfig{}, func(t *testing.T, u *uplink) {
		u.mirrors.refuseWith(&replica.Refusal{Reason: replica.UnknownNode, Detail: "who is this?"})
		u.source.grow(0, 10, 0)
		defer u.serve()()
		defer u.run(u.child)()
		synctest.Wait()
		refused(t, u.child, replica.UnknownNode)
		u.mirrors.refuseWith(errors.New("the disk is on fire"))
		time.Sleep(time.Minute)
		refused(t, u.child, replica.Unavailable)
		u.mirrors.refuseWith(nil)
		time.Sleep(time.Minute)
		u.expect(10)
	})
}

// A child that was restored and written to is refused, and the evidence kept.
func TestForkedChild(t *testing.T) {
	bubble(t, rpc.ParentConfig{}, func(t *testing.T, u *uplink) {
		u.source.grow(0, 10, 0)
		defer u.serve()()
		stop := u.run(u.child)
		synctest.Wait()
		u.expect(10)
		stop()
		for i, entries := range []int{5, 6} { // as many as the mirror has, then more
			u.source.Restore(5)
			u.source.grow(uint64(100*(i+1)), entries, 0)
			c := u.newChild(u.source)
			stop := u.run(c)
			synctest.Wait()
			refused(t, c, replica.Fork)
			stop()
			_, evidence, _ := u.mirror().state()
			if len(evidence) != i+1 || len(evidence[i].Held) == 0 || len(evidence[i].Signed) == 0 {
				t.Errorf("the parent keeps %+v", evidence)
			}
		}
		u.source.Restore(3)
		c := u.newChild(u.source)
		defer u.run(c)()
		synctest.Wait()
		refused(t, c, replica.Behind)
		if u.mirror().size() != 10 {
			t.Errorf("the mirror has %d entries, want 10", u.mirror().size())
		}
	})
}

// Of two streams of one log the newer one counts, even where the older one waits for
// the disk.
func TestReplacedStream(t *testing.T) {
	bubble(t, rpc.ParentConfig{}, func(t *testing.T, u *uplink) {
		free := u.mirror().fill()
		u.source.grow(0, 10, 0)
		defer u.serve()()
		old := u.newChild(u.source)
		stop := u.run(old)
		synctest.Wait()
		defer u.run(u.child)()
		synctest.Wait()
		refused(t, old, replica.Replaced)
		stop()
		free()
		time.Sleep(time.Minute)
		u.expect(10)
	})
}

func TestGrantThatIsNotTaken(t *testing.T) {
	bubble(t, rpc.ParentConfig{}, func(t *testing.T, u *uplink) {
		tried := 0
		u.source.accept = func(e identifier.Envelope) error {
			tried++
			if e.PayloadType == "wrong" {
				return &registry.Error{Kind: registry.Denied, Detail: "no"}
			}
			if tried < 4 {
				return &registry.Error{Kind: registry.Overloaded, Detail: "later"}
			}
			return nil
		}
		u.source.grow(0, 1, 0)
		u.mirror().grant(identifier.Envelope{PayloadType: "wrong"})
		u.mirror().grant(identifier.Envelope{PayloadType: "right"})
		defer u.serve()()
		defer u.run(u.child)()
		time.Sleep(time.Minute)
		u.source.mu.Lock()
		defer u.source.mu.Unlock()
		if tried != 4 || len(u.source.grants) != 1 || u.source.grants[0].PayloadType != "right" {
			t.Errorf("tried %d times, taken: %+v", tried, u.source.grants)
		}
	})
}

func TestDrainReplication(t *testing.T) {
	bubble(t, rpc.ParentConfig{}, func(t *testing.T, u *uplink) {
		u.source.grow(0, 10, 0)
		defer u.serve()()
		defer u.run(u.child)()
		synctest.Wait()
		u.expect(10)
		u.parent.Drain()
		u.server.GracefulStop()
		synctest.Wait()
		refused(t, u.child, replica.Unavailable)
	})
}

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
	server := grpc.NewServer(grpc.MaxRecvMsgSize(proto.MaxReplication))
	p.AddTo(server)
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
	return conn
}
