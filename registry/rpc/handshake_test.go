package rpc_test

import (
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/nameplate-id/nameplate/proto"
	"github.com/nameplate-id/nameplate/registry/replica"
	"github.com/nameplate-id/nameplate/registry/replica/replicatest"
	"github.com/nameplate-id/nameplate/registry/rpc"
)

// byHand is a stream to a parent without a child behind it.
type byHand struct {
	proto.Replication_ReplicateClient
	challenge *replica.Challenge
}

func (u *uplink) open(t *testing.T) *byHand {
	t.Helper()
	conn, err := proto.Dial("passthrough:///parent", u.dialOption())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	stream, err := proto.NewReplicationClient(conn).Replicate(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	m, err := stream.Recv()
	if err != nil {
		t.Fatal(err)
	}
	c := &replica.Challenge{Parent: replicatest.NodeKey(200).Public()}
	copy(c.Nonce[:], m.GetChallenge().GetNonce())
	return &byHand{stream, c}
}

// hello returns a Hello of the child that is good on this stream.
func (s *byHand) hello(l *replicatest.Log) *proto.Hello {
	tip, _, err := l.SignCheckpoint(l.Synced())
	if err != nil {
		panic(err)
	}
	h := &replica.Hello{Protocol: replica.Protocol, Node: l.Key.Public(), Log: l.ID, Owner: l.Key.Public(), Tip: tip, Nonce: replica.Nonce{1}}
	h.Signature = l.Key.Sign(h.Signed(s.challenge))
	return rpc.RequestToProto(h).GetHello()
}

func sendHello(t *testing.T, s *byHand, h *proto.Hello) {
	t.Helper()
	if err := s.Send(&proto.ReplicateRequest{Message: &proto.ReplicateRequest_Hello{Hello: h}}); err != nil {
		t.Fatal(err)
	}
}

// ending returns the reason in the last message of a stream, none when there is none,
// and the status that it ended with.
func (s *byHand) ending() (proto.Refuse_Reason, codes.Code) {
	reason := proto.Refuse_REASON_UNSPECIFIED
	for {
		m, err := s.Recv()
		if err == io.EOF {
			return reason, codes.OK
		}
		if err != nil {
			return reason, status.Code(err)
		}
		reason = m.GetRefuse().GetReason()
	}
}

func TestHandshake(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*proto.Hello)
		want   proto.Refuse_Reason
		code   codes.Code
	}{
		"protocol":  {func(h *proto.Hello) { h.Protocol = 9 }, proto.Refuse_REASON_PROTOCOL, codes.OK},
		"signature": {func(h *proto.Hello) { h.Signature[0]++ }, proto.Refuse_REASON_UNAUTHENTICATED, codes.OK},
		"tip":       {func(h *proto.Hello) { h.Tip = nil }, proto.Refuse_REASON_UNAUTHENTICATED, codes.OK},
		"nonce":     {func(h *proto.Hello) { h.Nonce = nil }, 0, codes.InvalidArgument},
		"log":       {func(h *proto.Hello) { h.Log = append(h.Log, 0) }, 0, codes.InvalidArgument},
		"key":       {func(h *proto.Hello) { h.Node.Type = 256 }, 0, codes.InvalidArgument},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, rpc.ParentConfig{}, func(t *testing.T, u *uplink) {
				defer u.serve()()
				s := u.open(t)
				h := s.hello(u.source.Log)
				c.change(h)
				sendHello(t, s, h)
				if reason, code := s.ending(); reason != c.want || code != c.code {
					t.Errorf("got %v, %v; want %v, %v", reason, code, c.want, c.code)
				}
			})
		})
	}
}

// A tip that the child did not sign, in a Hello that it did.
func TestHandshakeTip(t *testing.T) {
	bubble(t, rpc.ParentConfig{}, func(t *testing.T, u *uplink) {
		defer u.serve()()
		s := u.open(t)
		h := &replica.Hello{Protocol: replica.Protocol, Node: u.source.Key.Public(), Log: u.source.ID, Owner: u.source.Key.Public(), Tip: []byte("tip"), Nonce: replica.Nonce{1}}
		h.Signature = u.source.Key.Sign(h.Signed(s.challenge))
		sendHello(t, s, rpc.RequestToProto(h).GetHello())
		if reason, code := s.ending(); reason != proto.Refuse_REASON_MALFORMED || code != codes.OK {
			t.Errorf("got %v, %v", reason, code)
		}
	})
}

func TestFirstMessage(t *testing.T) {
	for name, m := range map[string]*proto.ReplicateRequest{
		"a heartbeat": {Message: &proto.ReplicateRequest_Heartbeat{Heartbeat: &proto.Heartbeat{Session: make([]byte, 16)}}},
		"nothing":     {},
	} {
		bubble(t, rpc.ParentConfig{}, func(t *testing.T, u *uplink) {
			defer u.serve()()
			s := u.open(t)
			if err := s.Send(m); err != nil {
				t.Fatal(err)
			}
			if reason, code := s.ending(); reason != 0 || code != codes.InvalidArgument {
				t.Errorf("%s: got %v, %v", name, reason, code)
			}
		})
	}
}

// Whoever says nothing is given up, before the Hello and after it.
func TestSilentChild(t *testing.T) {
	bubble(t, rpc.ParentConfig{Streams: 1}, func(t *testing.T, u *uplink) {
		u.source.grow(0, 3, 0)
		defer u.serve()()
		began := time.Now()
		s := u.open(t)
		if _, code := s.ending(); code != codes.OK || time.Since(began) != 10*time.Second {
			t.Errorf("got %v after %v", code, time.Since(began))
		}
		began = time.Now()
		s = u.open(t)
		sendHello(t, s, s.hello(u.source.Log))
		synctest.Wait()
		if all := u.parent.Status(); !all[0].Connected || all[0].Tip != 3 {
			t.Errorf("got %+v", all)
		}
		other := u.openRaw(t)
		if _, err := other.Recv(); status.Code(err) != codes.ResourceExhausted {
			t.Errorf("a second stream got %v", err)
		}
		if _, code := s.ending(); code != codes.OK || time.Since(began) != 30*time.Second {
			t.Errorf("got %v after %v", code, time.Since(began))
		}
	})
}

func (u *uplink) openRaw(t *testing.T) proto.Replication_ReplicateClient {
	t.Helper()
	conn, err := proto.Dial("passthrough:///parent", u.dialOption())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	stream, err := proto.NewReplicationClient(conn).Replicate(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return stream
}

// mute is a parent that says nothing, or something that no parent says.
type mute struct {
	proto.UnimplementedReplicationServer
	says  *proto.ReplicateResponse
	calls chan time.Time
}

func (m *mute) Replicate(stream proto.Replication_ReplicateServer) error {
	m.calls <- time.Now()
	if m.says != nil {
		if err := stream.Send(m.says); err != nil {
			return err
		}
	}
	<-stream.Context().Done()
	return nil
}

func TestSilentParent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := newUplink(t, rpc.ParentConfig{})
		m := &mute{calls: make(chan time.Time, 100)}
		defer u.serveOther(m)()
		stop := u.run(u.child)
		time.Sleep(20 * time.Minute)
		refused(t, u.child, replica.Silent)
		stop()
		tried := len(m.calls)
		if tried < 26 {
			t.Errorf("it tried %d times in 20 minutes", tried)
		}
		last := <-m.calls
		for range tried - 1 {
			at := <-m.calls
			if wait := at.Sub(last); wait < 30*time.Second || wait > 45*time.Second {
				t.Errorf("it tried again after %v", wait)
			}
			last = at
		}
	})
}

func TestParentThatBreaksTheContract(t *testing.T) {
	for name, says := range map[string]*proto.ReplicateResponse{
		"nothing":     {},
		"short nonce": {Message: &proto.ReplicateResponse_Challenge{Challenge: &proto.Challenge{Nonce: []byte{1}}}},
	} {
		synctest.Test(t, func(t *testing.T) {
			u := newUplink(t, rpc.ParentConfig{})
			defer u.serveOther(&mute{says: says, calls: make(chan time.Time, 100)})()
			defer u.run(u.child)()
			synctest.Wait()
			var field *proto.FieldError
			if err := u.child.Status().Err; !errors.As(err, &field) {
				t.Errorf("%s: got %v", name, err)
			}
		})
	}
}
