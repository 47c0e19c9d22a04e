package handle

import (
	"crypto/sha256"
	"encoding/binary"
)

// Message is a request or an answer.
type Message struct {
	Envelope
	Opcode Opcode
	Code   Code // 0 in a request
	Flags  Flags
	// Serial is that of the site information that the asker goes by; 0xFFFF for none.
	Serial    uint16
	Recursion uint8 // how many servers have passed the request on
	Reserved  uint8
	// Expiration is when the message is worth nothing any more, in seconds since 1970.
	Expiration uint32
	Body       []byte
	Credential []byte // see [Credential]; empty when not signed
}

// NoSerial is the serial of who knows no site information.
const NoSerial = 0xffff

// signed appends header and body: what digests cover.
func (m *Message) signed(b []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(m.Opcode))
	b = binary.BigEndian.AppendUint32(b, uint32(m.Code))
	b = binary.BigEndian.AppendUint32(b, uint32(m.Flags))
	b = binary.BigEndian.AppendUint16(b, m.Serial)
	b = append(b, m.Recursion, m.Reserved)
	b = binary.BigEndian.AppendUint32(b, m.Expiration)
	return appendText(b, m.Body)
}

// Append appends the message without its envelope.
func (m *Message) Append(b []byte) []byte {
	return appendText(m.signed(b), m.Credential)
}

// length returns how many octets Append appends.
func (m *Message) length() int { return headerOctets + len(m.Body) + 4 + len(m.Credential) }

// AppendStream appends the message in one envelope, as TCP carries it.
func (m *Message) AppendStream(b []byte) []byte {
	e := m.Envelope
	e.Sequence, e.Truncated, e.Length = 0, false, uint32(m.length())
	return m.Append(e.Append(b))
}

// ParseMessage reads a message that is all there: e is its envelope, b what followed.
// A message without the length of a credential has none. Body and credential stay part
// of b.
func ParseMessage(e Envelope, b []byte) (*Message, error) {
	c := cursor{what: "message", b: b}
	if len(b) > MaxMessage || uint64(len(b)) != uint64(e.Length) {
		c.fail(0, "a message has the %d octets that its envelope says, not %d", e.Length, len(b))
		return nil, c.err
	}
	m := &Message{
		Envelope: e, Opcode: Opcode(c.u32()), Code: Code(c.u32()), Flags: Flags(c.u32()),
		Serial: c.u16(), Recursion: c.u8(), Reserved: c.u8(), Expiration: c.u32(),
	}
	m.Body = c.octets()
	if c.left() > 0 {
		m.Credential = c.octets()
	}
	if err := c.end(); err != nil {
		return nil, err
	}
	return m, nil
}

// DigestType is how a digest was made.
type DigestType uint8

// The digests of requests.
const (
	DigestMD5    DigestType = 1
	DigestSHA1   DigestType = 2
	DigestSHA256 DigestType = 3
)

// octets returns how long a digest is; 0 for a kind that is unknown.
func (t DigestType) octets() int {
	switch t {
	case DigestMD5:
		return 16
	case DigestSHA1:
		return 20
	case DigestSHA256:
		return 32
	}
	return 0
}

// Digest is that of a request's header and body. It stands at the beginning of an
// answer's body where the request had [FlagDigest].
type Digest struct {
	Type DigestType // 0 for none
	Sum  string
}

// Digest returns the SHA-256 digest of a request.
func (m *Message) Digest() Digest {
	sum := sha256.Sum256(m.signed(make([]byte, 0, headerOctets+len(m.Body))))
	return Digest{DigestSHA256, string(sum[:])}
}

func (d Digest) append(b []byte) []byte {
	if d.Type == 0 {
		return b
	}
	return append(append(b, byte(d.Type)), d.Sum...)
}

func (c *cursor) digest() Digest {
	at := c.off
	t := DigestType(c.u8())
	n := t.octets()
	if n == 0 {
		c.fail(at, "the type of a digest is 1, 2 or 3, not %d", t)
		return Digest{}
	}
	return Digest{t, string(c.take(n))}
}

// Credential signs a message (RFC 3652, section 2.2.4).
type Credential struct {
	Version, Reserved uint8
	Options           uint16
	Signer            string // empty: the server, or the session
	Counter           uint32 // of the session; the index of the signer's key otherwise
	Type              string // HS_SIGNED or HS_MAC
	Hash              string // the name of the hash
	Signature         []byte
}

// Append appends the credential, without its length.
func (k *Credential) Append(b []byte) []byte {
	b = binary.BigEndian.AppendUint16(append(b, k.Version, k.Reserved), k.Options)
	b = binary.BigEndian.AppendUint32(appendText(b, k.Signer), k.Counter)
	b = appendText(b, k.Type)
	b = binary.BigEndian.AppendUint32(b, uint32(8+len(k.Hash)+len(k.Signature)))
	return appendText(appendText(b, k.Hash), k.Signature)
}

// ParseCredential reads a credential.
func ParseCredential(b []byte) (Credential, error) {
	c := cursor{what: "credential", b: b}
	k := Credential{Version: c.u8(), Reserved: c.u8(), Options: c.u16(), Signer: c.handle(), Counter: c.u32(), Type: c.text()}
	at := c.off
	if n := c.u32(); c.err == nil && uint64(n) != uint64(c.left()) {
		c.fail(at, "the signed section has the %d octets that are left, not %d", c.left(), n)
	}
	k.Hash, k.Signature = c.text(), c.octets()
	if err := c.end(); err != nil {
		return Credential{}, err
	}
	return k, nil
}
