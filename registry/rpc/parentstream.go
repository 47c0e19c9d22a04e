package rpc

import (
	"context"
	"crypto/rand"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/nameplate-id/nameplate/proto"
	"github.com/nameplate-id/nameplate/registry"
	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/replica"
)

// parentStream is one stream of a child. The goroutine of the call sends what the
// machine has to say and keeps its time; another one hands the machine what comes, and
// waits for the disk where that is full. Neither waits while it holds the lock.
type parentStream struct {
	*Parent
	stream    proto.Replication_ReplicateServer
	ctx       context.Context
	challenge replica.Challenge
	first     chan *replica.Hello
	begin     chan struct{} // closed when keeper is set
	keeper    *keeper
	child     identifier.PublicKey // as it says, before the Hello was checked
	wake      chan struct{}        // the machine was told something
	received  chan error           // why nothing comes any more
	busy      atomic.Bool          // what came is being dealt with
}

// run has the stream from beginning to end. It returns why it ended: a refusal, which
// the child was told, or an error of the connection.
func (s *parentStream) run() (*replica.Refusal, error) {
	rand.Read(s.challenge.Nonce[:]) // never fails
	s.challenge.Parent = s.config.Signer.Public()
	if err := s.stream.Send(responseToProto(&s.challenge)); err != nil {
		return nil, err
	}
	// It ends with the call: nothing comes after that.
	go func() { s.received <- s.receive() }()
	hello, refusal, err := s.awaitHello()
	if err != nil {
		return nil, err
	}
	if refusal == nil {
		refusal = s.open(hello)
	}
	if refusal != nil {
		return refusal, s.turnAway(hello, refusal)
	}
	refusal, err = s.send(hello)
	s.leave(refusal)
	return refusal, err
}

// turnAway tells the child of a refusal that the machine does not know of.
func (s *parentStream) turnAway(hello *replica.Hello, r *replica.Refusal) error {
	m := &replica.Refuse{Reason: r.Reason, Detail: r.Detail}
	if e := r.Evidence; e != nil {
		m.Evidence, m.Root, m.Proof, m.Signed = e.Held, e.Root, e.Proof, e.Signed
	}
	if hello != nil {
		m.Nonce = hello.Nonce
	}
	return s.stream.Send(responseToProto(m))
}

// awaitHello waits for the child's first message.
func (s *parentStream) awaitHello() (*replica.Hello, *replica.Refusal, error) {
	late := time.NewTimer(greetingTime)
	defer late.Stop()
	select {
	case hello := <-s.first:
		s.child = hello.Node
		if key, proved := proto.PeerKey(s.ctx); proved && key != hello.Node {
			return hello, &replica.Refusal{Reason: replica.Unauthenticated,
				Detail: fmt.Sprintf("the connection is that of node key %s, the Hello that of %s: open one for each", key, hello.Node)}, nil
		}
		return hello, replica.CheckHello(hello, &s.challenge), nil
	case err := <-s.received:
		return nil, nil, err
	case <-s.draining:
		// A child whose Hello is on its way only heeds a refusal that repeats its nonce.
		late.Reset(drainTime)
		select {
		case hello := <-s.first:
			return hello, ending(), nil
		case err := <-s.received:
			return nil, nil, err
		case <-late.C:
			return nil, ending(), nil
		}
	case <-late.C:
		return nil, &replica.Refusal{Reason: replica.Silent, Detail: "the child said no Hello"}, nil
	}
}

func ending() *replica.Refusal {
	return &replica.Refusal{Reason: replica.Unavailable, Detail: "the parent is ending: come back when it is there again"}
}

// open makes this the stream of its log, in place of the one before it.
func (s *parentStream) open(hello *replica.Hello) *replica.Refusal {
	size, root, err := s.config.Verify(hello.Tip, hello.Log, hello.Owner)
	if err != nil {
		return &replica.Refusal{Reason: replica.Malformed, Detail: fmt.Sprintf("the child did not sign the checkpoint in its Hello: %v", err)}
	}
	k, err := s.keeperOf(s.ctx, hello, size, root)
	if err != nil {
		return s.refusalOf(err)
	}
	if err := k.mirror.Fence(s.ctx, size, root); err != nil {
		return s.refusalOf(err)
	}
	var session replica.Session
	rand.Read(session[:])
	k.mu.Lock()
	defer k.mu.Unlock()
	k.machine.Open(hello, session)
	if lost := k.machine.Status().Lost; lost > 0 {
		k.mirror.Regressed(lost)
	}
	if k.current != nil {
		signal(k.current.wake) // it sees that it is not the one any more
	}
	k.current, s.keeper = s, k
	close(s.begin)
	return nil
}

// leave lets go of the log, if no other stream has it, and tells the registry of
// evidence.
func (s *parentStream) leave(r *replica.Refusal) {
	k := s.keeper
	k.mu.Lock()
	if k.current == s {
		k.machine.Close()
		k.current = nil
	}
	k.mu.Unlock()
	if r != nil && (r.Reason == replica.Fork || r.Reason == replica.Mismatch) {
		k.mirror.Refused(r)
	}
	if r != nil && r.Reason == replica.Unproved && !r.Remote {
		k.mirror.Unproved()
	}
}

// send sends whatever the machine has to say, until the stream ends.
func (s *parentStream) send(hello *replica.Hello) (*replica.Refusal, error) {
	ticker := time.NewTicker(s.config.Heartbeat)
	defer ticker.Stop()
	draining := s.draining
	var late <-chan time.Time // when a child that was asked to end the stream has had its time
	for {
		m, refusal, more := s.next()
		if m != nil {
			// A child that reads nothing holds this up; its connection's keepalive, or
			// another stream of it, ends that.
			if err := s.stream.Send(responseToProto(m)); err != nil {
				return refusal, err
			}
			continue
		}
		if refusal != nil {
			if refusal.Reason == replica.Replaced {
				return refusal, s.turnAway(hello, refusal)
			}
			return refusal, nil
		}
		select {
		case <-s.wake:
		case <-more.grants:
		case <-more.anchoring:
		case <-more.paused:
		case <-ticker.C:
			s.tick()
			s.recheck()
		case <-draining:
			s.drain()
			draining = nil
			late = time.After(drainTime)
		case <-late:
			s.refuse(ending())
			late = nil
		case err := <-s.received:
			return s.refusal(), err
		}
	}
}

// more is what is closed when the registry has more for the child.
type more struct{ grants, anchoring, paused <-chan struct{} }

// next returns what is to be sent now; or why the stream ends; or what is closed when
// there is more.
func (s *parentStream) next() (replica.Message, *replica.Refusal, more) {
	k := s.keeper
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.current != s {
		r := &replica.Refusal{Reason: replica.Replaced, Detail: "the child has opened another stream"}
		return nil, r, more{}
	}
	var more more
	var grants []identifier.Envelope
	grants, more.grants = k.mirror.Grants(k.machine.Offered())
	k.machine.Offer(grants...)
	var a registry.Anchoring
	a, more.anchoring = k.mirror.Anchoring()
	k.machine.Anchor(a.Acknowledged)
	if a.Rooted != nil {
		k.machine.Cosign(a.Rooted, a.RootedSize)
	}
	if a.Anchored != nil && a.AnchoredSize > a.RootedSize {
		k.machine.Cosign(a.Anchored, a.AnchoredSize)
	}
	var why string
	if why, more.paused = k.mirror.Paused(); why != "" {
		k.machine.Pause(why)
	} else {
		k.machine.Resume()
	}
	if why := k.mirror.SetAside(); why != nil {
		k.machine.Refuse(why)
	}
	m := k.machine.Next()
	return m, k.machine.Refusal(), more
}

func (s *parentStream) tick() {
	k := s.keeper
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.current == s {
		if s.busy.Load() {
			k.machine.Busy()
		}
		k.machine.Tick()
	}
}

// recheck ends the stream of a node that may not connect any more, or has to say Hello
// again: by now it has been sent what says so.
func (s *parentStream) recheck() {
	if err := s.config.MayConnect(s.ctx); err != nil {
		s.refuse(s.refusalOf(err))
		return
	}
	if why := s.keeper.mirror.Overdue(); why != "" {
		s.refuse(&replica.Refusal{Reason: replica.Unavailable, Detail: why})
	}
}

// drainTime is how long a child has to end a stream that it was asked to end, and
// comeBack how long it then stays away.
const (
	drainTime = time.Second
	comeBack  = time.Second
)

// drain asks the child to end the stream.
func (s *parentStream) drain() {
	k := s.keeper
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.current == s {
		k.machine.Drain("it comes back", comeBack)
	}
}

func (s *parentStream) refuse(r *replica.Refusal) {
	k := s.keeper
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.current == s {
		k.machine.Refuse(r)
	}
}

func (s *parentStream) refusal() *replica.Refusal {
	k := s.keeper
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.current == s {
		return k.machine.Refusal()
	}
	return nil
}

// receive hands what comes to the machine, until nothing does.
func (s *parentStream) receive() error {
	greeted := false
	for {
		received, err := s.stream.Recv()
		if err != nil {
			return err
		}
		m, err := requestFromProto(received)
		if err != nil {
			return malformed(err)
		}
		if hello, ok := m.(*replica.Hello); ok && !greeted {
			greeted = true
			s.first <- hello
			select {
			case <-s.begin:
			case <-s.ctx.Done():
				return s.ctx.Err()
			}
			s.tell()
			continue
		}
		if !greeted {
			return malformed(fmt.Errorf("the first message of a child is a Hello, not %T", m))
		}
		s.take(m)
	}
}

// take hands the machine a message, and the registry what it brought.
func (s *parentStream) take(m replica.Message) {
	s.busy.Store(true)
	defer s.busy.Store(false)
	k := s.keeper
	k.mu.Lock()
	if k.current != s {
		k.mu.Unlock()
		return
	}
	u := k.machine.Receive(m)
	k.mu.Unlock()
	if u != nil {
		if err := k.mirror.Append(s.ctx, u, k.stored); err != nil {
			if s.ctx.Err() == nil {
				s.config.Logger.Error("entries of a child cannot be stored", "child", s.child, "from", u.Start, "error", err)
			}
			k.mu.Lock()
			k.machine.Dropped()
			k.mu.Unlock()
			if other := s.replacement(); other != nil {
				signal(other.wake)
			}
		}
	}
	s.tell()
	signal(s.wake)
}

// replacement returns the stream that has the log now.
func (s *parentStream) replacement() *parentStream {
	k := s.keeper
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.current
}

// tell tells the registry how far the child says that it is.
func (s *parentStream) tell() {
	k := s.keeper
	k.mu.Lock()
	size, news := k.machine.Tip()
	k.mu.Unlock()
	if news {
		k.mirror.Heard(size)
	}
}
