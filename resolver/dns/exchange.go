package dns

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/nameplate-id/nameplate/resolver"

	"github.com/miekg/dns"
)

var (
	errNoAnswer  = errors.New("no answer came: is it running, and is the address right?")
	errTruncated = errors.New("the answer does not fit a datagram")
	errCase      = errors.New("the server does not repeat the name as it was asked")
	errForged    = errors.New("what came is no answer to the question")
)

// maxStrays is how many datagrams that are no answer are read in one attempt.
const maxStrays = 100

// exchange asks over UDP, and over TCP where that does not do.
func (c *Client) exchange(ctx context.Context, q resolver.Query, name []byte) ([]byte, error) {
	err := errTruncated
	for attempt := 0; attempt < c.o.Attempts && !c.o.OnlyTCP; attempt++ {
		var msg []byte
		if msg, err = c.attempt(ctx, "udp", buildQuery(q, name)); err == nil {
			return msg, nil
		}
		if ctx.Err() != nil || errors.Is(err, errTruncated) {
			break
		}
	}
	if errors.Is(err, errTruncated) || errors.Is(err, errCase) {
		var msg []byte
		if msg, err = c.attempt(ctx, "tcp", buildQuery(q, name)); err == nil {
			return msg, nil
		}
	}
	if cause := context.Cause(ctx); cause != nil {
		return nil, fmt.Errorf("given up: %w", cause)
	}
	return nil, err
}

// buildQuery makes a message that asks for TXT at a name, written in random case.
func buildQuery(q resolver.Query, name []byte) []byte {
	var random [2 + maxName/8 + 1]byte
	rand.Read(random[:])
	b := make([]byte, 0, headerOctets+len(name)+32)
	b = append(b, random[0], random[1], 0, 0, 0, 1, 0, 0, 0, 0, 0, 1)
	if q.Recursive {
		b[2] |= 1
	}
	b = append(b, name...)
	for i, c := range name {
		// Octets that give lengths are no letters.
		if 'a' <= c && c <= 'z' && random[2+i/8]>>(i%8)&1 == 1 {
			b[headerOctets+i] = c - 'a' + 'A'
		}
	}
	b = binary.BigEndian.AppendUint16(b, dns.TypeTXT)
	b = binary.BigEndian.AppendUint16(b, dns.ClassINET)
	flags := byte(0)
	if q.Authoritative {
		flags |= flagNoCopies
	}
	if q.Mirror {
		flags |= flagMirror
	}
	b = append(b, 0, 0, byte(dns.TypeOPT), maxDatagram>>8, maxDatagram&0xff, 0, 0, 0, 0, 0, 4+placeQueryOctets)
	b = binary.BigEndian.AppendUint16(b, optionPlace)
	return append(b, 0, placeQueryOctets, flags)
}

// attempt sends a query over a connection of its own and returns the answer.
func (c *Client) attempt(ctx context.Context, network string, query []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, c.o.Timeout)
	defer cancel()
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, network, c.address)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if deadline, ok := ctx.Deadline(); ok {
		conn.SetDeadline(deadline)
	}
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if network == "udp" {
		return overUDP(conn, query)
	}
	return overTCP(conn, query)
}

// overUDP waits for a datagram that answers. Others are skipped: whoever sends them
// would only have to be quick to end the wait.
func overUDP(conn net.Conn, query []byte) ([]byte, error) {
	if _, err := conn.Write(query); err != nil {
		return nil, err
	}
	b := make([]byte, maxQuery)
	unanswered := errNoAnswer
	for range maxStrays {
		n, err := conn.Read(b)
		if err != nil {
			return nil, errors.Join(unanswered, err)
		}
		switch msg := b[:n]; {
		case !answers(msg, query):
		case !repeats(msg, query):
			unanswered = errCase
		case msg[2]&0x02 != 0:
			return nil, errTruncated
		default:
			return msg, nil
		}
	}
	return nil, errForged
}

func overTCP(conn net.Conn, query []byte) ([]byte, error) {
	framed := binary.BigEndian.AppendUint16(make([]byte, 0, 2+len(query)), uint16(len(query)))
	if _, err := conn.Write(append(framed, query...)); err != nil {
		return nil, err
	}
	var length [2]byte
	if _, err := io.ReadFull(conn, length[:]); err != nil {
		return nil, errors.Join(errNoAnswer, err)
	}
	msg := make([]byte, binary.BigEndian.Uint16(length[:]))
	if _, err := io.ReadFull(conn, msg); err != nil {
		return nil, err
	}
	if !answers(msg, query) {
		return nil, errForged
	}
	return msg, nil
}

// answers reports whether a message is a response to the query: the same id, the
// same question in any case. A server that cannot read the question leaves it out.
func answers(msg, query []byte) bool {
	if len(msg) < headerOctets || msg[0] != query[0] || msg[1] != query[1] || msg[2]&0xf8 != 0x80 {
		return false
	}
	if binary.BigEndian.Uint16(msg[4:]) == 0 {
		return len(msg) == headerOctets && msg[3]&0xf != 0
	}
	asked := questionOf(query)
	return binary.BigEndian.Uint16(msg[4:]) == 1 && len(msg) >= headerOctets+len(asked) &&
		equalFold(msg[headerOctets:headerOctets+len(asked)], asked)
}

// repeats reports whether an answer has the name octet by octet as it was asked.
func repeats(msg, query []byte) bool {
	return len(msg) == headerOctets || bytes.HasPrefix(msg[headerOctets:], questionOf(query))
}

// questionOf returns the question section of one of our own queries.
func questionOf(query []byte) []byte {
	return query[headerOctets : endOfName(query, headerOctets, false)+4]
}

// equalFold compares octets without the case of ASCII letters.
func equalFold(a, b []byte) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if x, y := a[i], b[i]; x != y && (x|0x20 != y|0x20 || x|0x20 < 'a' || x|0x20 > 'z') {
			return false
		}
	}
	return true
}
