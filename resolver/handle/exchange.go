package handle

import (
	"bufio"
	"bytes"
	"context"
	"crypto/md5"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"time"
)

var (
	errNoAnswer = errors.New("no answer came: is it running, and is the address right?")
	errForged   = errors.New("what came is no answer to the request")
)

// maxStrays is how many datagrams that are no answer are read in one attempt: more than
// an answer has fragments.
const maxStrays = 1000

// waits are how long each datagram is waited for, as the stock client has them.
var waits = [...]time.Duration{500 * time.Millisecond, time.Second, 1500 * time.Millisecond}

// randomRequest returns an id that nobody can guess; 0 means none.
func randomRequest() uint32 {
	var b [4]byte
	rand.Read(b[:])
	return binary.BigEndian.Uint32(b[:]) &^ (1 << 31) // stock software has it signed
}

// exchange asks over UDP, over TCP where that does not do, and over HTTP last; or over
// HTTP alone.
func (c *Client) exchange(ctx context.Context, request *Message) (*Message, error) {
	if c.tunnel != nil {
		m, err := c.tunnel.exchange(ctx, request, request.about())
		if err == nil {
			err = c.trust(m)
		}
		return m, err
	}
	m, err := c.direct(ctx, request)
	if err != nil && c.o.Fallback != nil && ctx.Err() == nil {
		return c.o.Fallback.exchange(ctx, request)
	}
	return m, err
}

// trust checks that an answer is the server's own, as far as its key is known.
func (c *Client) trust(m *Message) error {
	switch {
	case c.o.Key == nil:
		return nil
	case m.Flags&FlagDigest == 0:
		return fmt.Errorf("%w: it does not say to what", errNotSigned)
	}
	return m.verify(c.o.Key)
}

// direct asks over UDP, and over TCP where that does not do.
func (c *Client) direct(ctx context.Context, request *Message) (*Message, error) {
	if !c.o.OnlyTCP && !c.o.TLS {
		for _, wait := range waits {
			m, err := c.overUDP(ctx, request, wait)
			if err == nil && m.Code != TooBusy {
				return m, nil
			}
			if err == nil || ctx.Err() != nil {
				break
			}
		}
	}
	if cause := context.Cause(ctx); cause != nil {
		return nil, fmt.Errorf("given up: %w", cause)
	}
	m, err := c.overTCP(ctx, request)
	if cause := context.Cause(ctx); err != nil && cause != nil {
		return nil, fmt.Errorf("given up: %w", cause)
	}
	return m, err
}

// dial opens a connection that ends with the context.
func (c *Client) dial(ctx context.Context, network string) (net.Conn, func(), error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, network, c.address)
	if err != nil {
		return nil, nil, err
	}
	if deadline, ok := ctx.Deadline(); ok {
		conn.SetDeadline(deadline)
	}
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	return conn, func() {
		stop()
		conn.Close()
	}, nil
}

// overUDP sends a request once. What is no answer is skipped: whoever sends it would
// only have to be quick to end the wait.
func (c *Client) overUDP(ctx context.Context, request *Message, wait time.Duration) (*Message, error) {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	conn, done, err := c.dial(ctx, "udp")
	if err != nil {
		return nil, err
	}
	defer done()
	for _, b := range request.datagrams() {
		if _, err := conn.Write(b); err != nil {
			return nil, err
		}
	}
	var whole *partial
	buffer := make([]byte, maxReceive+1)
	for range maxStrays {
		n, err := conn.Read(buffer)
		if err != nil {
			return nil, errors.Join(errNoAnswer, err)
		}
		e, err := ParseEnvelope(buffer[:n])
		if err != nil || e.Request != request.Request || n > maxReceive {
			continue
		}
		b := buffer[envelopeOctets:n]
		if e.Sequence != 0 || uint64(len(b)) != uint64(e.Length) {
			if whole == nil {
				whole = newPartial(e)
			}
			if !whole.add(e, b) || whole.missing > 0 {
				continue
			}
			b, whole = whole.b, nil
		}
		if m, err := readAnswerTo(request, e, b); err == nil && c.trust(m) == nil {
			return m, nil
		}
	}
	return nil, errForged
}

func (c *Client) overTCP(ctx context.Context, request *Message) (*Message, error) {
	conn, done, err := c.dial(ctx, "tcp")
	if err != nil {
		return nil, err
	}
	defer done()
	if c.o.TLS {
		conn = tls.Client(conn, &tls.Config{
			// The key is compared with that of the site, nothing else says who it is.
			InsecureSkipVerify: true, VerifyConnection: c.proven, MinVersion: tls.VersionTLS12,
		})
	}
	if _, err := conn.Write(request.AppendStream(nil)); err != nil {
		return nil, err
	}
	e, b, err := readStream(bufio.NewReader(conn))
	if err != nil {
		return nil, errors.Join(errNoAnswer, err)
	}
	m, err := readAnswerTo(request, e, b)
	if err == nil {
		err = c.trust(m)
	}
	return m, err
}

var errOtherKey = errors.New("the server proves another key than its site has")

// proven checks that the key of a connection is the server's.
func (c *Client) proven(state tls.ConnectionState) error {
	if c.o.Key == nil {
		return nil
	}
	key, ok := state.PeerCertificates[0].PublicKey.(*rsa.PublicKey)
	if !ok || !bytes.Equal(rsaPublicKey(key).Append(nil), c.o.Key.Append(nil)) {
		return errOtherKey
	}
	return nil
}

// readAnswerTo reads an answer, and checks that it is one to the request.
func readAnswerTo(request *Message, e Envelope, b []byte) (*Message, error) {
	if e.Compressed || e.Encrypted || e.Request != request.Request {
		return nil, errForged
	}
	m, err := ParseMessage(e, b)
	if err != nil {
		return nil, err
	}
	if m.Code == 0 || m.Opcode != request.Opcode && m.Opcode != 0 {
		return nil, errForged
	}
	if m.Flags&FlagDigest == 0 {
		return m, nil
	}
	d, _, err := m.ParseBody()
	if err != nil {
		return nil, err
	}
	if !d.of(request) {
		return nil, errForged
	}
	return m, nil
}

// of reports whether a digest is that of a request.
func (d Digest) of(request *Message) bool {
	switch b := request.signed(nil); d.Type {
	case DigestMD5:
		sum := md5.Sum(b)
		return d.Sum == string(sum[:])
	case DigestSHA1:
		sum := sha1.Sum(b)
		return d.Sum == string(sum[:])
	}
	return d == request.Digest()
}
