package rpc

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"

	"github.com/nameplate-id/nameplate/proto"
	"github.com/nameplate-id/nameplate/registry"
	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/replica"
)

// ChildConfig says whose log a [Child] sends to whom. What is not said to have a
// default is needed.
type ChildConfig struct {
	Source Source
	Signer replica.Signer // the node key
	// Owner is the node key that the log is signed with; zero for the node's own.
	Owner  identifier.PublicKey
	Verify replica.VerifyCheckpoint
	// Address is the parent's gRPC port, host and port. It is on this machine, unless
	// Dial has credentials and Secure says so.
	Address string
	// Parent is the node key that the parent must have; zero for whoever answers there.
	Parent identifier.PublicKey
	// Heartbeat is how often each side says that it is there; after two without a
	// word the connection is given up. 0 for 10 seconds. Both sides have the same.
	Heartbeat time.Duration
	// MinWait and MaxWait are how long the child waits before it connects again, the
	// first time and after many: 0 for 250 ms and 15 s. Half of it is random.
	MinWait, MaxWait time.Duration
	Log              *slog.Logger // nil for none
	Dial             []grpc.DialOption
	Secure           bool
}

// defaultHeartbeat is how often each side says that it is there.
const defaultHeartbeat = 10 * time.Second

func (c ChildConfig) withDefaults() ChildConfig {
	if c.Heartbeat <= 0 {
		c.Heartbeat = defaultHeartbeat
	}
	if c.MinWait <= 0 {
		c.MinWait = 250 * time.Millisecond
	}
	if c.MaxWait <= 0 {
		c.MaxWait = 15 * time.Second
	}
	c.MaxWait = max(c.MinWait, c.MaxWait)
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

// Child sends a node's log to its parent: [replica.Child] with a connection around it.
// It only reads the log, at the parent's pace, and keeps nothing of it; a parent that
// is slow or away costs the node nothing.
type Child struct {
	config ChildConfig

	mu      sync.Mutex
	machine *replica.Child
	ended   error     // why the last stream did
	whole   time.Time // when the parent was last known to have everything
}

// NewChild returns what sends the log once Run is called. The error says what is wrong
// with the configuration.
func NewChild(c ChildConfig) (*Child, error) {
	c = c.withDefaults()
	if !c.Secure && !onThisMachine(c.Address) {
		return nil, fmt.Errorf("parent %q is not on this machine, and the connection would not be encrypted: use a loopback address such as 127.0.0.1:2640", c.Address)
	}
	return &Child{config: c, whole: time.Now(), machine: replica.NewChild(replica.ChildConfig{
		Signer: c.Signer, Owner: c.Owner, ID: c.Source.LogID(), Log: c.Source, Verify: c.Verify, Parent: c.Parent, Acked: c.Source.Acked,
		Cosignature: registry.VerifyCosignature,
	})}, nil
}

// onThisMachine reports whether an address can only be one of this machine.
func onThisMachine(address string) bool {
	if strings.HasPrefix(address, "unix:") {
		return true
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// ChildStatus is how far the log has got to the parent.
type ChildStatus struct {
	replica.ChildStatus
	Address string
	// Behind is for how long the parent has not had everything; 0 when it has.
	Behind time.Duration
	// Err is why there is no connection; nil while there is one, or before the first.
	Err error
}

// Status tells how far the log has got.
func (c *Child) Status() ChildStatus {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := ChildStatus{ChildStatus: c.machine.Status(), Address: c.config.Address}
	if !s.Connected {
		s.Err = c.ended
	}
	if !s.Connected || s.Acked < s.Synced {
		s.Behind = time.Since(c.whole)
	}
	return s
}

// Run connects to the parent, and connects again whenever a connection ends, until ctx
// does. It returns nil. Call it once.
func (c *Child) Run(ctx context.Context) error {
	wait := c.config.MinWait
	var told string
	for {
		c.awaitLog(ctx)
		welcomed, err := c.connect(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if r, refused := errors.AsType[*replica.Refusal](err); welcomed && (!refused || r.Reason.Passing()) {
			wait, told = c.config.MinWait, ""
		}
		if r, ok := errors.AsType[*replica.Refusal](err); ok && r.Reason == replica.Drained {
			c.config.Log.Info("the parent is being stopped", "parent", c.config.Address, "back", r.After)
		} else if text := err.Error(); text != told { // the same again is no news
			c.config.Log.Warn("not connected to the parent", "parent", c.config.Address, "error", err)
			told = text
		}
		stay := wait/2 + mathrand.N(wait/2+1)
		if r, ok := errors.AsType[*replica.Refusal](err); ok {
			stay += r.After
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(stay):
		}
		wait = min(2*wait, c.config.MaxWait)
	}
}

// relayed reports whether the log is another node's.
func (c *Child) relayed() bool {
	return c.config.Owner != (identifier.PublicKey{}) && c.config.Owner != c.config.Signer.Public()
}

// awaitLog waits until something of a relayed log may be sent: before, nobody has signed
// a checkpoint that a Hello could bring.
func (c *Child) awaitLog(ctx context.Context) {
	for c.relayed() {
		size, grew := c.config.Source.Growth()
		if size > 0 {
			return
		}
		select {
		case <-grew:
		case <-ctx.Done():
			return
		}
	}
}

// connect opens a connection and a stream on it and goes on until it ends. A
// connection of its own, because gRPC would wait before it tried a common one again.
func (c *Child) connect(running context.Context) (welcomed bool, err error) {
	defer func() {
		c.mu.Lock()
		c.machine.Close()
		refusal := c.machine.Refusal()
		c.ended = err
		c.mu.Unlock()
		c.config.Source.Ended()
		c.heed(running, refusal)
	}()
	conn, err := proto.Dial(c.config.Address, append([]grpc.DialOption{grpc.WithDefaultCallOptions(
		grpc.MaxCallRecvMsgSize(proto.MaxReplication), grpc.MaxCallSendMsgSize(proto.MaxReplication),
	)}, c.config.Dial...)...)
	if err != nil {
		return false, fmt.Errorf("address %q: %w", c.config.Address, err)
	}
	defer conn.Close()
	ctx, cancel := context.WithCancel(running)
	defer cancel()
	stream, err := proto.NewReplicationClient(conn).Replicate(ctx)
	if err != nil {
		return false, err
	}
	s := &childStream{
		Child: c, stream: stream, cancel: cancel,
		wake: make(chan struct{}, 1), received: make(chan error, 1),
	}
	var nonce replica.Nonce
	rand.Read(nonce[:]) // never fails
	c.mu.Lock()
	if c.config.Source.Marked() != "" {
		c.machine.Mark()
	}
	c.machine.Keep(c.config.Source.Receipts())
	c.machine.Open(nonce)
	c.mu.Unlock()
	var beside sync.WaitGroup
	beside.Go(func() { s.received <- s.receive(ctx) })
	beside.Go(func() { s.tick(ctx) })
	err = s.send(ctx)
	cancel()
	beside.Wait()
	return s.welcomed.Load(), err
}

// heed does what the end of a stream asks for: a log that lacks entries is not added to
// before it has them back, and one of two histories is not added to at all.
func (c *Child) heed(ctx context.Context, r *replica.Refusal) {
	if r == nil || (r.Reason == replica.OtherLog || r.Reason == replica.Succeeded) && c.config.Source.Again() {
		return
	}
	var err error
	switch r.Duty() {
	case replica.MarkLog:
		if c.relayed() {
			return // a peer has more of a child's log than there is here; the child brings it
		}
		err = c.config.Source.Mark(ctx, r.Detail)
	case replica.SetAside:
		err = c.config.Source.Forked(ctx, r.Evidence)
	}
	if err != nil {
		c.config.Log.Error("the node goes on taking changes, and must not", "because", r, "error", err)
	}
}

// childStream is one stream to the parent. Three goroutines have it: one sends what
// the machine has to say, one hands it what comes, one keeps its time. None waits for
// another while it holds the lock.
type childStream struct {
	*Child
	stream   proto.Replication_ReplicateClient
	cancel   func()
	wake     chan struct{} // the machine was told something
	received chan error    // why nothing comes any more
	busy     atomic.Bool   // what came is being dealt with
	welcomed atomic.Bool
	paused   string // what the operator was told; of the goroutine that receives
}

// send sends whatever the machine has to say, until the stream ends. It returns why
// it did.
func (s *childStream) send(ctx context.Context) error {
	for {
		size, grew := s.config.Source.Growth()
		s.mu.Lock()
		s.machine.Grow(size)
		m := s.machine.Next()
		refusal := s.machine.Refusal()
		s.mu.Unlock()
		if m != nil {
			// A failed Send says no more than that; what was received says why.
			if s.stream.Send(requestToProto(m)) == nil {
				continue
			}
		} else if refusal == nil {
			select {
			case <-s.wake:
				continue
			case <-grew:
				continue
			case <-ctx.Done():
			case err := <-s.received:
				return s.why(err)
			}
		} else if refusal.Reason != replica.Silent && !refusal.Remote { // with Drained too: the parent waits for it
			// The parent is to read the reason before the connection ends.
			s.stream.CloseSend()
		} else {
			s.cancel()
		}
		return s.why(<-s.received)
	}
}

// why returns the machine's reason for the end of the stream, where it has one.
func (s *childStream) why(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.machine.Refusal(); r != nil {
		return r
	}
	return err
}

// receive hands what comes to the machine, until nothing does.
func (s *childStream) receive(ctx context.Context) error {
	for {
		received, err := s.stream.Recv()
		if err != nil {
			return err
		}
		m, err := responseFromProto(received)
		if err != nil {
			s.cancel()
			return fmt.Errorf("the parent's message breaks the contract: %w", err)
		}
		s.mu.Lock()
		s.machine.Receive(m)
		grant, returned, receipt := s.machine.Grant(), s.machine.Returned(), s.machine.Receipt()
		s.mu.Unlock()
		s.follow()
		if returned != nil {
			s.takeBack(ctx, returned)
		}
		if grant != nil {
			s.take(ctx, grant)
		}
		if receipt != nil {
			s.keep(ctx, receipt)
		}
		signal(s.wake)
	}
}

// follow tells operator and registry of how the machine stands with the parent.
func (s *childStream) follow() {
	s.mu.Lock()
	status, healed := s.machine.Status(), s.machine.Healed()
	s.mu.Unlock()
	if !status.Connected {
		return
	}
	if !s.welcomed.Swap(true) {
		s.config.Log.Info("connected to the parent", "parent", s.config.Address)
		if status.Lost > 0 {
			s.config.Log.Warn("the parent has fewer entries than it acknowledged: it was restored, and gets the rest again",
				"parent", s.config.Address, "acknowledged", status.Lost, "stored", status.Acked)
		}
	}
	s.tellPause(status.Paused)
	if healed {
		healed, err := s.config.Source.Heal()
		if err != nil {
			s.config.Log.Error("the log is whole again, and the node still takes no changes", "error", err)
		}
		if err != nil || !healed {
			return
		}
		s.mu.Lock()
		s.machine.Unmark()
		s.mu.Unlock()
		s.config.Log.Info("the log has everything that the parent holds: changes are taken again", "parent", s.config.Address, "entries", status.Synced)
	}
	if status.Acked >= status.Synced {
		s.mu.Lock()
		s.whole = time.Now()
		s.mu.Unlock()
	}
	if !status.Marked && status.Acked <= status.Synced {
		s.config.Source.Acknowledged(status.Parent, status.Acked)
		s.config.Source.Anchored(status.Anchored)
	}
}

// tellPause tells the operator, once, that the parent takes in no more, and once that it
// does again.
func (s *childStream) tellPause(why string) {
	if why == s.paused {
		return
	}
	if why != "" {
		s.config.Log.Info("the parent takes in no more for now", "parent", s.config.Address, "why", why)
	} else {
		s.config.Log.Info("the parent takes in entries again", "parent", s.config.Address)
	}
	s.paused = why
}

// takeBack appends what the parent gave back.
func (s *childStream) takeBack(ctx context.Context, u *replica.Unit) {
	s.busy.Store(true)
	err := s.config.Source.TakeBack(ctx, u)
	s.busy.Store(false)
	if err != nil && ctx.Err() == nil {
		s.config.Log.Warn("entries that the parent gave back were not taken in", "parent", s.config.Address, "from", u.Start, "error", err)
	}
	if err != nil {
		s.cancel() // a part of it may be there: the next stream sees how much
		return
	}
	s.mu.Lock()
	s.machine.Restored(true)
	s.mu.Unlock()
	s.follow()
}

// take lets the registry deal with a grant.
func (s *childStream) take(ctx context.Context, g *replica.Grant) {
	s.busy.Store(true)
	err := s.config.Source.AcceptGrant(ctx, g.Envelope)
	s.busy.Store(false)
	taken := true
	if err != nil {
		var e *registry.Error
		again := ctx.Err() != nil || errors.As(err, &e) && (e.Kind == registry.Overloaded || e.Kind == registry.ReadOnly || e.Kind == registry.Unavailable)
		s.config.Log.Warn("a delegation from the parent was not taken in", "parent", s.config.Address, "again", again, "error", err)
		taken = !again
	}
	s.mu.Lock()
	s.machine.Granted(taken)
	s.mu.Unlock()
}

// keep lets the registry store a receipt.
func (s *childStream) keep(ctx context.Context, r *replica.Receipt) {
	s.busy.Store(true)
	defer s.busy.Store(false)
	if err := s.config.Source.AcceptReceipt(ctx, r); err != nil {
		if ctx.Err() == nil {
			s.config.Log.Warn("a receipt from the parent was not stored", "parent", s.config.Address, "error", err)
		}
		return
	}
	s.mu.Lock()
	s.machine.Keep(s.config.Source.Receipts())
	s.mu.Unlock()
}

// tick keeps the machine's time.
func (s *childStream) tick(ctx context.Context) {
	ticker := time.NewTicker(s.config.Heartbeat)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		s.mu.Lock()
		late := s.machine.Refusal() != nil // a heartbeat's time was enough to say why
		if s.busy.Load() {
			s.machine.Busy()
		}
		s.machine.Tick()
		refusal := s.machine.Refusal()
		s.mu.Unlock()
		if late || refusal != nil && refusal.Reason == replica.Silent {
			s.cancel()
		}
		signal(s.wake)
	}
}

// signal wakes the goroutine that reads c; c holds one signal.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
