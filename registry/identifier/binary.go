package identifier

import (
	"encoding/binary"
	"fmt"
	"time"
)

// The encodings of this package share a few parts. Integers of a fixed width are
// big-endian. A uvarint is base 128, least significant group first, in as few
// octets as possible: one that ends in a zero group is refused. A text is a
// length and as many octets. A time is seconds or milliseconds since 1970 and at
// most the end of the year 9999. Decoders look at a length before they use it,
// accept the one canonical encoding only, and refuse anything behind it.

// FormatError says where octets are not what their format asks for.
type FormatError struct {
	What   string // what was being decoded, such as "header of a change"
	Offset int    // octets from its beginning
	Rule   string // what is asked for there, as a sentence without a full stop
}

func (e *FormatError) Error() string {
	return fmt.Sprintf("%s, octet %d: %s", e.What, e.Offset, e.Rule)
}

// maxSeconds is the last second of the year 9999, the last that RFC 3339 can write.
const maxSeconds = 253402300799

// cursor decodes octets from the front. The first failure sticks: everything
// after it yields zeros, and a decoder looks at err once. A cursor that does not
// fail does not allocate.
type cursor struct {
	what string
	b    []byte
	off  int
	err  *FormatError
}

// fail notes that what stands at the offset breaks a rule.
func (c *cursor) fail(at int, rule string) {
	if c.err == nil {
		c.err = &FormatError{What: c.what, Offset: at, Rule: rule}
	}
}

// octets returns the next n octets, not copied, with no capacity beyond them.
func (c *cursor) octets(n int) []byte {
	if c.err != nil {
		return nil
	}
	if n > len(c.b)-c.off {
		c.fail(len(c.b), "it goes on here; it has been cut")
		return nil
	}
	c.off += n
	return c.b[c.off-n : c.off : c.off]
}

func (c *cursor) u8() uint8 {
	if b := c.octets(1); b != nil {
		return b[0]
	}
	return 0
}

func (c *cursor) u16() uint16 {
	if b := c.octets(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

func (c *cursor) u32() uint32 {
	if b := c.octets(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (c *cursor) u64() uint64 {
	if b := c.octets(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

// uvarint reads a minimal uvarint of at most limit.
func (c *cursor) uvarint(limit uint64, rule string) uint64 {
	if c.err != nil {
		return 0
	}
	if c.off < len(c.b) { // nearly all have one octet
		if v := uint64(c.b[c.off]); v < 0x80 && v <= limit {
			c.off++
			return v
		}
	}
	v, n := binary.Uvarint(c.b[c.off:])
	switch {
	case n == 0:
		c.fail(len(c.b), "it goes on here; it has been cut")
		return 0
	case n < 0 || v > limit:
		c.fail(c.off, rule)
		return 0
	case n > 1 && c.b[c.off+n-1] == 0:
		c.fail(c.off, "a uvarint is as short as it can be")
		return 0
	}
	c.off += n
	return v
}

// text reads a length of at most limit, as a uvarint, and as many octets.
func (c *cursor) text(limit int, rule string) []byte {
	return c.octets(int(c.uvarint(uint64(limit), rule)))
}

// fixed reads as many octets as dst has.
func (c *cursor) fixed(dst []byte) { copy(dst, c.octets(len(dst))) }

// format reads the octet that every encoding begins with.
func (c *cursor) format(known uint8) {
	if f := c.u8(); c.err == nil && f != known {
		c.fail(c.off-1, fmt.Sprintf("format %d is known here, this is format %d: use a newer version", known, f))
	}
}

// seconds reads a time in seconds since 1970 as 64 bits.
func (c *cursor) seconds() time.Time {
	s := c.u64()
	if s > maxSeconds {
		c.fail(c.off-8, "a time is not after the year 9999")
		return time.Time{}
	}
	return time.Unix(int64(s), 0).UTC()
}

// millis reads a time in milliseconds since 1970 as 48 bits.
func (c *cursor) millis() time.Time {
	ms := int64(c.u16())<<32 | int64(c.u32())
	if ms > maxSeconds*1000+999 {
		c.fail(c.off-6, "a time is not after the year 9999")
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// appendMillis appends a time as milliseconds in 48 bits.
func appendMillis(b []byte, t time.Time) []byte {
	ms := uint64(t.UnixMilli())
	return append(b, byte(ms>>40), byte(ms>>32), byte(ms>>24), byte(ms>>16), byte(ms>>8), byte(ms))
}

// end refuses anything that is left and returns the first failure.
func (c *cursor) end() error {
	if c.err == nil && c.off != len(c.b) {
		c.fail(c.off, "it ends here; there are octets behind it")
	}
	return c.failure()
}

// failure returns the first failure as an error, nil when there is none.
func (c *cursor) failure() error {
	if c.err == nil {
		return nil
	}
	return c.err
}

// appendText appends a length as a uvarint and the octets.
func appendText[T ~string | ~[]byte](dst []byte, text T) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(text)))
	return append(dst, text...)
}

// uvarintLen returns how many octets v takes as a uvarint.
func uvarintLen(v uint64) int {
	n := 1
	for ; v >= 0x80; v >>= 7 {
		n++
	}
	return n
}

// textLen returns how many octets a text of n octets takes with its length.
func textLen(n int) int { return uvarintLen(uint64(n)) + n }

// inRange reports whether a time can be written in seconds or milliseconds.
func inRange(t time.Time) bool {
	s := t.Unix()
	return s >= 0 && s <= maxSeconds
}
