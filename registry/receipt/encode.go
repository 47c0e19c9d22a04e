package receipt

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/journal"
	"github.com/nameplate-id/nameplate/registry/replica"
)

// Limits of an encoded receipt, in octets; a log has less than 2^62 entries.
const (
	MaxReceipt = 1 << 20
	maxPath    = 62
	maxLeaf    = 256 << 10
	maxKey     = 4096
)

// magic is what a receipt begins with.
const magic = "nameplate receipt\n"

const format = 1

// How the checkpoint is secured.
const (
	alone    = 1
	cosigner = 2
)

// Append appends the encoding of a receipt. Integers are big-endian; a text is its length
// as a uvarint and as many octets, a key its type, u8, and a text; hashes are their number,
// u8, at most 62, and 32 octets each.
//
//	magic       "nameplate receipt" and 0x0A
//	format      u8      1
//	log         16 octets
//	node        key
//	position    u64
//	leaf        text    see [identifier.AppendLeaf]
//	inclusion   hashes  from the leaf up
//	row         text    as [identifier.AppendRow] writes it
//	id salt     32 octets
//	value salt  32 octets
//	index       u32     of the row in its change
//	path        hashes  from the row up
//	secured     u8      1 by the node alone, 2 by who cosigned
//	checkpoint  text    a note; or when cosigned, as [replica.AppendReceipt] writes it
//
// The error names the part that is beyond its limit.
func Append(dst []byte, r *Receipt) ([]byte, error) {
	row, err := identifier.AppendRow(nil, &r.Row)
	if err != nil {
		return nil, err
	}
	secured, checkpoint := byte(alone), r.Note
	if r.Cosigned != nil {
		if len(r.Note) > 0 {
			return nil, errors.New("receipt: it has one checkpoint, cosigned or not")
		}
		secured = cosigner
		if checkpoint, err = replica.AppendReceipt(nil, r.Cosigned); err != nil {
			return nil, err
		}
	}
	switch {
	case r.Node.Type == 0 || len(r.Node.Raw) == 0 || len(r.Node.Raw) > maxKey:
		return nil, errors.New("receipt: the node has a key of 1 to 4096 octets")
	case len(r.Leaf) == 0 || len(r.Leaf) > maxLeaf:
		return nil, fmt.Errorf("receipt: a leaf has 1 to %d octets, not %d", maxLeaf, len(r.Leaf))
	case len(r.Inclusion) > maxPath || len(r.Path.Path) > maxPath:
		return nil, fmt.Errorf("receipt: a path has at most %d hashes", maxPath)
	case len(checkpoint) == 0:
		return nil, errors.New("receipt: it has a checkpoint")
	}
	b := append(dst, magic...)
	b = append(b, format)
	b = append(b, r.Log[:]...)
	b = appendText(append(b, byte(r.Node.Type)), []byte(r.Node.Raw))
	b = binary.BigEndian.AppendUint64(b, r.Position)
	b = appendText(b, r.Leaf)
	b = appendHashes(b, r.Inclusion)
	b = appendText(b, row)
	b = append(b, r.IDSalt[:]...)
	b = append(b, r.ValueSalt[:]...)
	b = binary.BigEndian.AppendUint32(b, r.Path.Index)
	b = appendHashes(b, r.Path.Path)
	b = append(b, secured)
	b = appendText(b, checkpoint)
	if len(b)-len(dst) > MaxReceipt {
		return nil, fmt.Errorf("receipt: it has at most %d octets", MaxReceipt)
	}
	return b, nil
}

func appendText(b, text []byte) []byte {
	return append(binary.AppendUvarint(b, uint64(len(text))), text...)
}

func appendHashes(b []byte, hashes []identifier.Hash) []byte {
	b = append(b, byte(len(hashes)))
	for _, h := range hashes {
		b = append(b, h[:]...)
	}
	return b
}

// Parse reads what [Append] writes, and nothing else. It shares nothing with b. Whether
// anything in it holds is for [Receipt.Verify] to say.
func Parse(b []byte) (*Receipt, error) {
	if len(b) > MaxReceipt {
		return nil, fmt.Errorf("receipt: it has at most %d octets, this has %d", MaxReceipt, len(b))
	}
	rest, ok := bytes.CutPrefix(b, []byte(magic))
	if !ok {
		return nil, errors.New("receipt: it does not begin like one: name the file that 'nameplate log prove' wrote")
	}
	c := &cursor{all: len(b), b: bytes.Clone(rest)}
	if c.u8() != format && c.err == nil {
		c.fail("its format is not %d: use a newer release", format)
	}
	r := &Receipt{}
	copy(r.Log[:], c.octets(16))
	r.Node.Type = identifier.KeyType(c.u8())
	r.Node.Raw = string(c.text(maxKey))
	if r.Node.Type == 0 || r.Node.Raw == "" {
		c.fail("the node has no key")
	}
	r.Position = binary.BigEndian.Uint64(c.octets(8))
	r.Leaf = c.text(maxLeaf)
	r.Inclusion = c.hashes()
	c.row(&r.Row)
	copy(r.IDSalt[:], c.octets(32))
	copy(r.ValueSalt[:], c.octets(32))
	r.Path.Index = binary.BigEndian.Uint32(c.octets(4))
	r.Path.Path = c.hashes()
	c.checkpoint(r)
	if c.err == nil && len(c.b) != 0 {
		c.fail("%d octets stand behind its end", len(c.b))
	}
	if c.err == nil && len(r.Leaf) == 0 {
		c.fail("it has no leaf")
	}
	if c.err != nil {
		return nil, c.err
	}
	return r, nil
}

// cursor reads from the front. The first failure sticks; what is read after it is zeros.
type cursor struct {
	all int
	b   []byte
	err error
}

func (c *cursor) fail(text string, args ...any) {
	if c.err == nil {
		c.err = fmt.Errorf("receipt, octet %d: %w", c.all-len(c.b), fmt.Errorf(text, args...))
	}
}

func (c *cursor) octets(n int) []byte {
	if n > len(c.b) {
		c.fail("it has been cut: get it again")
	}
	if c.err != nil {
		return make([]byte, min(n, 32))
	}
	b := c.b[:n:n]
	c.b = c.b[n:]
	return b
}

func (c *cursor) u8() byte { return c.octets(1)[0] }

func (c *cursor) text(limit int) []byte {
	n, size := binary.Uvarint(c.b)
	switch {
	case c.err != nil:
		return nil
	case size <= 0 || size > 1 && c.b[size-1] == 0:
		c.fail("the length of a text is a uvarint in its shortest form")
		return nil
	case n > uint64(limit):
		c.fail("a text has %d octets, at most %d are allowed here", n, limit)
		return nil
	}
	c.b = c.b[size:]
	return c.octets(int(n))
}

func (c *cursor) hashes() (hashes []identifier.Hash) {
	n := int(c.u8())
	if n > maxPath {
		c.fail("a path has at most %d hashes, not %d", maxPath, n)
	}
	for i := 0; i < n && c.err == nil; i++ {
		hashes = append(hashes, identifier.Hash(c.octets(32)))
	}
	return hashes
}

func (c *cursor) row(to *identifier.Row) {
	text := c.text(identifier.MaxChange)
	if c.err != nil {
		return
	}
	row, err := identifier.ParseRow(text)
	if err != nil {
		c.fail("%w", err)
		return
	}
	*to = row
}

func (c *cursor) checkpoint(r *Receipt) {
	switch secured := c.u8(); {
	case c.err != nil:
	case secured == alone:
		if r.Note = c.text(journal.MaxCheckpoint); c.err == nil && len(r.Note) == 0 {
			c.fail("it has no checkpoint")
		}
	case secured == cosigner:
		text := c.text(replica.MaxReceipt)
		if c.err != nil {
			return
		}
		var err error
		if r.Cosigned, err = replica.ParseReceipt(text); err != nil {
			c.fail("%w", err)
		}
	default:
		c.fail("a checkpoint is secured by 1 or 2, not by %d: use a newer release", secured)
	}
}
