package handle

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
	// Timeout is how long Resolve waits when the context has no deadline; 10 s when zero.
	Timeout time.Duration
	// OnlyTCP asks over TCP at once.
	OnlyTCP bool
	// Key is the server's, as its HS_SITE has it: then answers are asked for certified,
	// and none is believed that it did not sign. RSA and DSA keys are known. Nil asks for
	// no signature.
	Key *PublicKey
	// TLS asks over TCP inside of TLS, at the same port; the server proves Key, if there
	// is one.
	TLS bool
	// Version is the newest to speak, for servers that cannot be told of newer ones; 2.11
	// when zero. It is 2.1 or later, or of major 3.
	Version Version
	// Fallback is asked, over HTTP, when nothing comes over UDP and TCP; nil for nobody.
	// It stays the caller's.
	Fallback *Client
}

// DefaultPort is where Handle servers listen, over UDP and TCP.
const DefaultPort = "2641"

// Client asks a Handle server and is a Resolver. It asks over UDP, again after half a
// second, a second and one and a half, and over TCP when nothing comes or the server is
// too busy for datagrams, and at last over HTTP where it is told of a server there. It
// believes what has the id of its request, and where there is a digest, that of its
// request; with the server's key, what that signed.
//
// A server that is no Nameplate node says less: an answer of it has no version, no
// links' attributes, and no place in a log; a referral names the prefix that was asked
// about, and the addresses that its HS_SITE values tell.
//
// It keeps nothing between questions and may be used concurrently.
type Client struct {
	address string
	o       ClientOptions
	tunnel  *tunnel // over HTTP; nil for UDP and TCP
}

// NewClient returns a client of the server at host:port; the port is [DefaultPort] where
// there is none.
func NewClient(address string, o ClientOptions) *Client {
	if _, _, err := net.SplitHostPort(address); err != nil {
		address = net.JoinHostPort(strings.Trim(address, "[]"), DefaultPort)
	}
	o.Timeout = or(o.Timeout, 10*time.Second)
	return &Client{address: address, o: o}
}

// Resolve asks the server. The error is always a [*resolver.Error].
func (c *Client) Resolve(ctx context.Context, q resolver.Query) (resolver.Answer, error) {
	id, err := identifier.New(q.ID.Prefix, q.ID.Suffix)
	if err == nil && q.SuffixHash != nil && id.Suffix != "" {
		err = errors.New("a query has a suffix or its hash, not both: leave one out")
	}
	if err != nil {
		return resolver.Answer{}, &resolver.Error{Kind: resolver.Malformed, Detail: err.Error()}
	}
	if _, limited := ctx.Deadline(); !limited {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.o.Timeout)
		defer cancel()
	}
	request := newRequest(&q)
	request.Version, request.Suggested = c.versions()
	if c.o.Key != nil {
		request.Flags |= FlagCertified
	}
	m, err := c.exchange(ctx, request)
	var a resolver.Answer
	if err == nil {
		a, err = readResponse(m, &q)
	}
	if err == nil {
		return a, nil
	}
	e, ok := errors.AsType[*resolver.Error](err)
	if !ok {
		e = &resolver.Error{Kind: resolver.Unavailable, Detail: fmt.Sprintf("Handle server %s, asked about %s", c.address, q.ID), Err: err}
	}
	return resolver.Answer{}, e
}

// versions returns the version of a request, and that which it suggests.
func (c *Client) versions() (speaks, suggests Version) {
	speaks, suggests = Version{2, 3}, or(c.o.Version, newest)
	if suggests.Compare(speaks) < 0 || suggests.Major > newest.Major {
		speaks = suggests
	}
	return speaks, suggests
}

// newRequest makes the request for a query. Who does not know a server speaks 2.3 and
// says that it can do better.
func newRequest(q *resolver.Query) *Message {
	m := &Message{
		Envelope: Envelope{Version: Version{2, 3}, Suggested: newest, Request: randomRequest()},
		Opcode:   OpResolution, Serial: NoSerial, Flags: FlagDigest | FlagPublicOnly | FlagKeepOpen | FlagAnswer,
		Expiration: uint32(time.Now().Add(validity).Unix()),
	}
	if q.Authoritative {
		m.Flags |= FlagAuthoritative
	}
	if q.Recursive {
		m.Flags |= FlagRecursive
	}
	r := Resolution{Handle: writeHandle(q.ID), Indexes: q.Indexes, Types: q.Types, Extra: appendAsked(q)}
	m.Body = r.Append(nil)
	return m
}
