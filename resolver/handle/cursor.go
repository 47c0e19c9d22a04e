package handle

import (
	"encoding/binary"
	"fmt"
)

// Limits of everything that is read.
const (
	// MaxMessage is how many octets a message may have, without its envelopes.
	MaxMessage = 262144
	// MaxValues is how many values a list may have.
	MaxValues = 2048
	// MaxHandle is how many octets a handle may have.
	MaxHandle = 2048
)

// FormatError says which rule a sequence of octets breaks, and where.
type FormatError struct {
	What   string // what was being read, such as "envelope" or "HS_SITE"
	Offset int    // in octets from its beginning
	Rule   string
}

func (e *FormatError) Error() string {
	return fmt.Sprintf("%s, octet %d: %s", e.What, e.Offset, e.Rule)
}

// cursor reads octets from front to back. After the first error it reads zeros.
type cursor struct {
	what string
	b    []byte
	off  int
	err  error
}

func (c *cursor) fail(at int, rule string, args ...any) {
	if c.err == nil {
		c.err = &FormatError{What: c.what, Offset: at, Rule: fmt.Sprintf(rule, args...)}
	}
}

// left returns how many octets are unread.
func (c *cursor) left() int { return len(c.b) - c.off }

// take returns the next n octets, which stay part of what is read.
func (c *cursor) take(n int) []byte {
	if c.err == nil && n > c.left() {
		c.fail(c.off, "%d octets follow, not %d", n, c.left())
	}
	if c.err != nil {
		return nil
	}
	b := c.b[c.off : c.off+n : c.off+n]
	c.off += n
	return b
}

func (c *cursor) u8() uint8 {
	if b := c.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (c *cursor) u16() uint16 {
	if b := c.take(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

func (c *cursor) u32() uint32 {
	if b := c.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (c *cursor) u64() uint64 {
	if b := c.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

// octets reads a string; what it returns is part of what is read.
func (c *cursor) octets() []byte {
	at := c.off
	n := c.u32()
	if c.err == nil && uint64(n) > uint64(c.left()) {
		c.fail(at, "a string of %d octets follows, with %d left", n, c.left())
	}
	return c.take(int(n))
}

func (c *cursor) text() string { return string(c.octets()) }

// handle reads a handle.
func (c *cursor) handle() string {
	at := c.off
	b := c.octets()
	if len(b) > MaxHandle {
		c.fail(at, "a handle has at most %d octets, not %d", MaxHandle, len(b))
		return ""
	}
	return string(b)
}

// count reads how many members of at least size octets follow, at most most.
func (c *cursor) count(size, most int) int {
	at := c.off
	n := c.u32()
	switch {
	case c.err != nil:
		return 0
	case uint64(n) > uint64(most):
		c.fail(at, "a list has at most %d members, not %d", most, n)
		return 0
	case uint64(n)*uint64(size) > uint64(c.left()):
		c.fail(at, "a list of %d members follows, with %d octets left", n, c.left())
		return 0
	}
	return int(n)
}

// indexes reads a list of integers.
func (c *cursor) indexes() []uint32 {
	n := c.count(4, MaxValues)
	if n == 0 {
		return nil
	}
	list := make([]uint32, n)
	for i := range list {
		list[i] = c.u32()
	}
	return list
}

// texts reads a list of strings.
func (c *cursor) texts(most int) []string {
	n := c.count(4, most)
	if n == 0 {
		return nil
	}
	list := make([]string, n)
	for i := range list {
		list[i] = c.text()
	}
	return list
}

// end returns the first error, and refuses octets that are left.
func (c *cursor) end() error {
	if c.err == nil && c.left() > 0 {
		c.fail(c.off, "nothing follows, and there are %d octets", c.left())
	}
	return c.err
}

func appendText[T ~string | ~[]byte](b []byte, s T) []byte {
	return append(binary.BigEndian.AppendUint32(b, uint32(len(s))), s...)
}

func appendIndexes(b []byte, list []uint32) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(list)))
	for _, n := range list {
		b = binary.BigEndian.AppendUint32(b, n)
	}
	return b
}

func appendTexts(b []byte, list []string) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(list)))
	for _, s := range list {
		b = appendText(b, s)
	}
	return b
}
