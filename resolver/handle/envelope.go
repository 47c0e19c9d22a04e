package handle

import (
	"cmp"
	"encoding/binary"
)

// Version is a version of the protocol.
type Version struct{ Major, Minor uint8 }

// The versions that are spoken here: the oldest, the newest of major 2 and of major 3.
var (
	oldest       = Version{2, 1}
	newest       = Version{2, 11}
	newestMajor3 = Version{3, 0}
)

// Compare returns -1, 0 or 1.
func (v Version) Compare(w Version) int {
	return cmp.Or(cmp.Compare(v.Major, w.Major), cmp.Compare(v.Minor, w.Minor))
}

// envelopeOctets is how long an envelope is, headerOctets a header.
const (
	envelopeOctets = 20
	headerOctets   = 24
)

// Envelope stands in front of every message, and of every fragment of one.
type Envelope struct {
	Version Version
	// Compressed, Encrypted and Truncated say what has been done to what follows;
	// a truncated one is a fragment.
	Compressed, Encrypted, Truncated bool
	// Suggested is the newest version that the sender speaks. Its major is at most 31;
	// 0 says nothing.
	Suggested Version
	Session   uint32 // 0 for none
	Request   uint32 // the answer has the same
	Sequence  uint32 // of a fragment, from 0
	// Length is that of the whole message, without envelopes.
	Length uint32
}

const (
	envelopeCompressed = 0x80
	envelopeEncrypted  = 0x40
	envelopeTruncated  = 0x20
	envelopeMajor      = 0x1f
)

// Append appends the 20 octets of the envelope.
func (e *Envelope) Append(b []byte) []byte {
	flags := e.Suggested.Major & envelopeMajor
	if e.Compressed {
		flags |= envelopeCompressed
	}
	if e.Encrypted {
		flags |= envelopeEncrypted
	}
	if e.Truncated {
		flags |= envelopeTruncated
	}
	b = append(b, e.Version.Major, e.Version.Minor, flags, e.Suggested.Minor)
	b = binary.BigEndian.AppendUint32(b, e.Session)
	b = binary.BigEndian.AppendUint32(b, e.Request)
	b = binary.BigEndian.AppendUint32(b, e.Sequence)
	return binary.BigEndian.AppendUint32(b, e.Length)
}

// ParseEnvelope reads the envelope that b begins with. The version is one that is
// spoken here, the length that of a message: what breaks this is not worth waiting for.
func ParseEnvelope(b []byte) (Envelope, error) {
	c := cursor{what: "envelope", b: b}
	e := Envelope{Version: Version{c.u8(), c.u8()}}
	flags := c.u8()
	e.Compressed, e.Encrypted, e.Truncated = flags&envelopeCompressed != 0, flags&envelopeEncrypted != 0, flags&envelopeTruncated != 0
	e.Suggested = Version{flags & envelopeMajor, c.u8()}
	e.Session, e.Request, e.Sequence, e.Length = c.u32(), c.u32(), c.u32(), c.u32()
	switch {
	case c.err != nil:
	case e.Version.Major != 2 && e.Version.Major != 3 || e.Version.Compare(oldest) < 0:
		c.fail(0, "the version is 2.1 or newer, or 3, not %d.%d", e.Version.Major, e.Version.Minor)
	case e.Length > MaxMessage:
		c.fail(16, "a message has at most %d octets, not %d", MaxMessage, e.Length)
	case e.Length < headerOctets:
		c.fail(16, "a message has at least %d octets, not %d", headerOctets, e.Length)
	}
	if c.err != nil {
		return Envelope{}, c.err
	}
	return e, nil
}

// answer returns the version to answer a request with: the newest that both speak.
func (e *Envelope) answer() Version {
	asked := e.Suggested
	if asked.Major == 0 {
		asked = e.Version
	}
	own := own(e.Version)
	if asked.Compare(own) < 0 && asked.Compare(oldest) >= 0 {
		return asked
	}
	return own
}

// own returns the newest version that is spoken here to who speaks another.
func own(v Version) Version {
	if v.Major == 3 {
		return newestMajor3
	}
	return newest
}
