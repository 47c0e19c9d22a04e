package rpc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"google.golang.org/grpc"

	"github.com/nameplate-id/nameplate/proto"
	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/resolver"
)

// ClientOptions say how to ask. The zero value is usable.
type ClientOptions struct {
	// Timeout is how long Resolve waits when the context has no deadline. 0 means 10
	// seconds.
	Timeout time.Duration
	// Dial are options for [proto.Dial], such as credentials.
	Dial []grpc.DialOption
}

// Client asks a node over gRPC. It is a Resolver and may be used concurrently.
type Client struct {
	service proto.ResolutionClient
	timeout time.Duration
	close   func() error
}

// NewClient returns a client of the node at an address with port. It connects with
// the first question. Close it after use.
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
		o.Timeout = 10 * time.Second
	}
	return &Client{service: proto.NewResolutionClient(conn), timeout: o.Timeout, close: func() error { return nil }}
}

// Close ends the connection and everything that waits for it.
func (c *Client) Close() error { return c.close() }

// Resolve asks the node. The error is always a [*resolver.Error].
func (c *Client) Resolve(ctx context.Context, q resolver.Query) (resolver.Answer, error) {
	if _, limited := ctx.Deadline(); !limited {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.timeout)
		defer cancel()
	}
	m, err := c.service.Resolve(ctx, queryToProto(&q))
	if err != nil {
		return resolver.Answer{}, fromStatus(ctx, err)
	}
	return readAnswer(m.GetAnswer(), &q)
}

// readAnswer reads the answer to a query. One that breaks the contract, or is for
// another identifier, is none.
func readAnswer(m *proto.Answer, q *resolver.Query) (resolver.Answer, error) {
	a, err := answerFromProto(m)
	if err == nil && !answers(a.ID, q) {
		err = fmt.Errorf("it is for %.80q", a.ID)
	}
	if err != nil {
		return resolver.Answer{}, &resolver.Error{Kind: resolver.Unavailable, Detail: "the node's answer cannot be used", Err: err}
	}
	return a, nil
}

// answers reports whether an identifier is the one that was asked for.
func answers(id identifier.ID, q *resolver.Query) bool {
	if q.SuffixHash == nil || id.IsPrefix() {
		return id == q.ID
	}
	return id.Prefix == q.ID.Prefix && identifier.SuffixHash(id.Suffix) == *q.SuffixHash
}

// errStopped ends a batch whose caller wants no more results.
var errStopped = errors.New("the caller stopped reading")

// isEOF reports whether a stream ended as it should.
func isEOF(err error) bool { return errors.Is(err, io.EOF) }
