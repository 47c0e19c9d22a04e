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
	// Kept is what this node has of the log, where it is another node's.
	Kept identifier.Policy
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
	// Recall is called when the log, which is another node's, was refused because the parent
	// has another log of that node: it takes that in. nil for nothing.
	Recall func(context.Context)
	Log    *slog.Logger // nil for none
	Dial   []grpc.DialOption
	Secure bool
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
		Cosignature: registry.VerifyCosignature, Kept: c.Kept,
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
	other := r != nil && (r.Reason == replica.OtherLog || r.Reason == replica.Succeeded)
	if other && r.Remote && c.relayed() && c.config.Recall != nil {
		c.config.Recall(ctx)
	}
	if r == nil || other && c.config.Source.Again() {
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
