package dns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/resolver"
)

// ClientOptions of a client. The zero ClientOptions work.
type ClientOptions struct {
	// Zone is the zone below which identifiers have names; the zero Zone is
	// [DefaultZone].
	Zone Zone
	// Timeout is how long one attempt may take, 1 s when zero. The context of a
	// question bounds all attempts together.
	Timeout time.Duration
	// Attempts is how many datagrams are sent before the server counts as
	// unavailable; 3 when zero.
	Attempts int
	// OnlyTCP asks over TCP at once.
	OnlyTCP bool
}

// Client asks a name server and is a Resolver. It asks for TXT, which is there for
// every identifier that is found, and believes only what belongs to the question:
//
//   - Each attempt has a random id, a port of its own that the system chose, and random
//     case in the name; anything that does not repeat them is not looked at. A
//     truncated answer, and a server that changes the case, are asked over TCP.
//   - The TXT records must repeat the identifier.
//   - A negative answer must have the SOA of a zone above the identifier, a referral
//     NS records of one prefix above it, in the zone; names and addresses of servers
//     count only below that prefix.
//   - Without recursion an answer that is not authoritative is none.
//
// Types, indexes and relation of a query are not sent: the client selects from the
// whole record, and asks for a link type alone where the whole does not fit a
// message. Query.Authoritative reaches a server of this package only (see
// [optionPlace]). It keeps nothing between questions and may be used concurrently.
type Client struct {
	address string
	o       ClientOptions
}

// NewClient returns a client of the name server at host:port; the port is 53 where
// there is none.
func NewClient(address string, o ClientOptions) *Client {
	if _, _, err := net.SplitHostPort(address); err != nil {
		address = net.JoinHostPort(strings.Trim(address, "[]"), "53")
	}
	if o.Zone == (Zone{}) {
		o.Zone = MustParseZone(DefaultZone)
	}
	o.Timeout, o.Attempts = or(o.Timeout, time.Second), or(o.Attempts, 3)
	return &Client{address: address, o: o}
}

// Resolve implements [resolver.Resolver].
func (c *Client) Resolve(ctx context.Context, q resolver.Query) (resolver.Answer, error) {
	name, err := c.name(q)
	if err != nil {
		return resolver.Answer{}, &resolver.Error{Kind: resolver.Malformed, Detail: err.Error()}
	}
	a, err := c.ask(ctx, q, name)
	if label, ok := LinkLabel(q.Relation); ok && errors.Is(err, errIncomplete) {
		a, err = c.ask(ctx, q, append(appendLabel(nil, label), name...))
	}
	if err == nil {
		return a, nil
	}
	e, ok := errors.AsType[*resolver.Error](err)
	if !ok {
		e = &resolver.Error{Kind: resolver.Unavailable, Detail: fmt.Sprintf("name server %s, asked about %s", c.address, q.ID), Err: err}
	}
	return resolver.Answer{}, e
}

// name returns the name to ask for.
func (c *Client) name(q resolver.Query) ([]byte, error) {
	id, err := identifier.New(q.ID.Prefix, q.ID.Suffix)
	switch {
	case err != nil:
		return nil, err
	case q.SuffixHash == nil:
		return c.o.Zone.AppendName(nil, id), nil
	case id.Suffix != "":
		return nil, errors.New("a query has a suffix or its hash, not both: leave one out")
	}
	return c.o.Zone.AppendHashedName(nil, id.Prefix, *q.SuffixHash), nil
}

// ask sends one question and reads what comes back.
func (c *Client) ask(ctx context.Context, q resolver.Query, name []byte) (resolver.Answer, error) {
	msg, err := c.exchange(ctx, q, name)
	if err != nil {
		return resolver.Answer{}, err
	}
	r, err := c.unpack(q, name, msg)
	if err != nil {
		return resolver.Answer{}, err
	}
	return r.answer()
}
