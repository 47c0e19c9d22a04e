package handle

import (
	"bufio"
	"context"
	"crypto/md5"
	"crypto/rand"
	"crypto/sha1"
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

// exchange asks over UDP, and over TCP where that does not do; or over HTTP.
func (c *Client) exchange(ctx context.Context, request *Message) (*Message, error) {
	if c.tunnel != nil {
		return c.tunnel.exchange(ctx, request, request.about())
	}
	if !c.o.OnlyTCP {
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
		if m, err := readAnswerTo(request, e, b); err == nil {
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
	if _, err := conn.Write(request.AppendStream(nil)); err != nil {
		return nil, err
	}
	e, b, err := readStream(bufio.NewReader(conn))
	if err != nil {
		return nil, errors.Join(errNoAnswer, err)
	}
	return readAnswerTo(request, e, b)
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
