package rpc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"time"

	"google.golang.org/grpc"
	protobuf "google.golang.org/protobuf/proto"

	"github.com/nameplate-id/nameplate/proto"
	"github.com/nameplate-id/nameplate/registry"
	"github.com/nameplate-id/nameplate/registry/identifier"
)

// ClientOptions say how to call. The zero value is usable.
type ClientOptions struct {
	// Timeout is how long a call waits when the context has no deadline; batches and
	// watchers wait for ever. 0 means 30 seconds.
	Timeout time.Duration
	// Dial are options for [proto.Dial], such as credentials.
	Dial []grpc.DialOption
}

// Client changes what a node holds, over gRPC. Its errors are [*registry.Error]s. It
// may be used concurrently.
type Client struct {
	service proto.RegistrationClient
	timeout time.Duration
	close   func() error
}

// NewClient returns a client of the node at an address with port. It connects with
// the first call. Close it after use.
func NewClient(address string, o ClientOptions) (*Client, error) {
	conn, err := proto.Dial(address, o.Dial...)
	if err != nil {
		return nil, fmt.Errorf("address %q: %w", address, err)
	}
	c := NewClientOn(conn, o)
	c.close = conn.Close
	return c, nil
}

// NewClientOn returns a client over a connection that others may use as well; it
// stays theirs.
func NewClientOn(conn grpc.ClientConnInterface, o ClientOptions) *Client {
	if o.Timeout <= 0 {
		o.Timeout = 30 * time.Second
	}
	return &Client{service: proto.NewRegistrationClient(conn), timeout: o.Timeout, close: func() error { return nil }}
}

// Close ends the connection and everything that waits for it.
func (c *Client) Close() error { return c.close() }

// limited returns a context that has a deadline.
func (c *Client) limited(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, limited := ctx.Deadline(); limited {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, c.timeout)
}

// Register logs one signed change, as [registry.Registry.Register] does. When rows
// stand in the way the error names them all.
func (c *Client) Register(ctx context.Context, change *identifier.Change) (registry.Receipt, error) {
	return c.RegisterTo(ctx, change, registry.Local, 0)
}

// RegisterTo is Register that waits, at the node, until the change has reached a level,
// for so long at the most (0 for 30 seconds, 5 minutes at the most). The receipt names
// the level that it has then, which may be less: it is logged all the same.
func (c *Client) RegisterTo(ctx context.Context, change *identifier.Change, level registry.Level, wait time.Duration) (registry.Receipt, error) {
	ctx, cancel := c.limited(ctx)
	defer cancel()
	m := &proto.RegisterRequest{Change: proto.ChangeToProto(change), Wait: levelToProto(level), WaitMs: milliseconds(wait)}
	if err := checkSize(protobuf.Size(m)); err != nil {
		return registry.Receipt{}, err
	}
	response, err := c.service.Register(ctx, m)
	if err == nil {
		return readReceipt(response.GetReceipt())
	}
	e, omitted := fromStatus(ctx, err)
	if omitted == 0 {
		return registry.Receipt{}, e
	}
	// The details had no room for every row, but the result of a batch has.
	stream, err := c.service.RegisterBatch(ctx)
	if err != nil {
		return registry.Receipt{}, e
	}
	if err := errors.Join(stream.Send(&proto.RegisterBatchRequest{Change: m.Change}), stream.CloseSend()); err != nil {
		return registry.Receipt{}, e
	}
	result, err := stream.Recv()
	if err != nil {
		return registry.Receipt{}, e
	}
	return readResult(result)
}

// checkSize checks that a node takes a message of so many octets.
func checkSize(octets int) error {
	if octets <= proto.MaxRequest {
		return nil
	}
	return &registry.Error{Kind: registry.Malformed,
		Detail: fmt.Sprintf("the change has %d octets on the wire, at most %d are allowed: put fewer rows into it", octets, proto.MaxRequest)}
}

// readReceipt reads a receipt. A node that sends none that can be read has logged the
// change all the same, or not.
func readReceipt(m *proto.Receipt) (registry.Receipt, error) {
	if m == nil {
		return registry.Receipt{}, &registry.Error{Kind: registry.Unavailable, Detail: "the node sent no receipt"}
	}
	receipt, err := receiptFromProto(m)
	if err != nil {
		return registry.Receipt{}, &registry.Error{Kind: registry.Unavailable, Detail: "the node's receipt cannot be read", Err: err}
	}
	return receipt, nil
}

func readResult(m *proto.RegisterBatchResponse) (registry.Receipt, error) {
	switch result := m.GetResult().(type) {
	case *proto.RegisterBatchResponse_Receipt:
		return readReceipt(result.Receipt)
	case *proto.RegisterBatchResponse_Failure:
		return registry.Receipt{}, failureFromProto(result.Failure)
	}
	return registry.Receipt{}, &registry.Error{Kind: registry.Unavailable, Detail: "the node sent a result of a kind that is not known here"}
}

// Delegate logs a signed delegation or keyset, as [registry.Registry.Delegate] does.
func (c *Client) Delegate(ctx context.Context, e identifier.Envelope) (registry.Receipt, error) {
	ctx, cancel := c.limited(ctx)
	defer cancel()
	m, err := c.service.Delegate(ctx, &proto.DelegateRequest{Envelope: proto.EnvelopeToProto(&e)})
	if err != nil {
		e, _ := fromStatus(ctx, err)
		return registry.Receipt{}, e
	}
	return readReceipt(m.GetReceipt())
}

// Holder returns the longest delegation that covers a prefix, with the epoch and the
// keyset version that a change must name; nil when the node knows none.
func (c *Client) Holder(ctx context.Context, p identifier.Prefix) (*identifier.Delegation, error) {
	ctx, cancel := c.limited(ctx)
	defer cancel()
	m, err := c.service.FindDelegation(ctx, &proto.FindDelegationRequest{Prefix: string(p)})
	if err != nil {
		e, _ := fromStatus(ctx, err)
		return nil, e
	}
	d, err := proto.DelegationFromProto(m.GetDelegation())
	if err == nil && d != nil && !d.Prefix.Covers(p) {
		err = fmt.Errorf("prefix %q does not cover it", d.Prefix)
	}
	if err != nil {
		return nil, &registry.Error{Kind: registry.Unavailable, Detail: "the node's delegation cannot be used", Err: err}
	}
	return d, nil
}

// Status tells how the node is.
func (c *Client) Status(ctx context.Context) (Status, error) {
	ctx, cancel := c.limited(ctx)
	defer cancel()
	m, err := c.service.Status(ctx, &proto.StatusRequest{})
	if err != nil {
		e, _ := fromStatus(ctx, err)
		return Status{}, e
	}
	s, err := statusFromProto(m)
	if err != nil {
		return Status{}, &registry.Error{Kind: registry.Unavailable, Detail: "the node's status cannot be read", Err: err}
	}
	return s, nil
}

// Result is what came of one change of a batch.
type Result struct {
	Change  *identifier.Change
	Receipt registry.Receipt
	// Err says why nothing was logged; a [*registry.Error] or nil.
	Err error
}

// changesAhead is how many changes are sent before the answer to the first has been
// read. It is more than a node works on at once, so that none waits for the next.
const changesAhead = 256

// errStopped ends a batch whose caller wants no more results.
var errStopped = errors.New("the caller stopped reading")

// RegisterBatch logs many changes over one stream and returns the results in their
// order. Changes of different identifiers are logged side by side, those of one
// identifier in the order of the stream. When the second value is not nil, a
// [*registry.Error], the stream has broken: no more results come, and what became of
// the changes without one is not known. Sending them again is harmless.
//
// changes is read in a goroutine of its own, at most changesAhead changes ahead of the
// results; that goroutine has ended when the sequence has.
func (c *Client) RegisterBatch(ctx context.Context, changes iter.Seq[*identifier.Change]) iter.Seq2[Result, error] {
	return c.RegisterBatchTo(ctx, changes, registry.Local, 0)
}

// RegisterBatchTo is RegisterBatch in which each answer waits, at the node, until its
// change has reached a level, as in [Client.RegisterTo]. One that waits holds up those
// behind it.
func (c *Client) RegisterBatchTo(ctx context.Context, changes iter.Seq[*identifier.Change], level registry.Level, wait time.Duration) iter.Seq2[Result, error] {
	return func(yield func(Result, error) bool) {
		ctx, cancel := context.WithCancelCause(ctx)
		b := batch{level: levelToProto(level), wait: milliseconds(wait), sent: make(chan sent, changesAhead), ended: make(chan struct{})}
		var err error
		if b.stream, err = c.service.RegisterBatch(ctx); err != nil {
			e, _ := fromStatus(ctx, err)
			cancel(nil)
			yield(Result{}, e)
			return
		}
		go b.send(ctx, changes)
		defer func() {
			cancel(errStopped)
			<-b.ended
		}()
		for s := range b.sent {
			r := Result{Change: s.change, Err: s.err}
			if s.err == nil {
				m, err := b.stream.Recv()
				if err != nil {
					yield(Result{}, broken(ctx, err))
					return
				}
				r.Receipt, r.Err = readResult(m)
			}
			if !yield(r, nil) {
				return
			}
		}
		// All that was sent is answered, but perhaps not all could be sent.
		if _, err := b.stream.Recv(); !errors.Is(err, io.EOF) {
			yield(Result{}, broken(ctx, err))
		}
	}
}

// broken is the error of a stream that ended before its time, or did not end.
func broken(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return &registry.Error{Kind: registry.Unavailable, Detail: "the node sent more results than it was asked for"}
	case errors.Is(err, io.EOF):
		return &registry.Error{Kind: registry.Unavailable, Detail: "the node ended the stream before it had answered for everything: send the rest again"}
	}
	e, _ := fromStatus(ctx, err)
	return e
}

// batch is a stream of changes.
type batch struct {
	stream proto.Registration_RegisterBatchClient
	level  proto.Level // that each change waits for
	wait   uint32
	sent   chan sent
	ended  chan struct{} // closed when the sender has ended
}

// sent is a change that went out, or the reason why it did not.
type sent struct {
	change *identifier.Change
	err    error
}

// send sends the changes, and tells the reader of each before it does. When sending
// fails, receiving says why.
func (b *batch) send(ctx context.Context, changes iter.Seq[*identifier.Change]) {
	defer close(b.ended)
	defer close(b.sent)
	for change := range changes {
		m := &proto.RegisterBatchRequest{Change: proto.ChangeToProto(change), Wait: b.level, WaitMs: b.wait}
		next := sent{change: change, err: checkSize(protobuf.Size(m))}
		select {
		case b.sent <- next:
		case <-ctx.Done():
			return
		}
		if next.err != nil {
			continue
		}
		if b.stream.Send(m) != nil {
			return
		}
	}
	_ = b.stream.CloseSend() // it never fails
}
