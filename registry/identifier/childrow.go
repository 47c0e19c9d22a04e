package identifier

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
)

// ChildRow is one row of an entry of kind [EntryChildren]: how far the log of a child
// was synced at its parent, as the child signed it. It holds what a checkpoint of that
// log says (C2SP tlog-checkpoint) and the signature under it, so that whoever knows the
// row can write the checkpoint again.
type ChildRow struct {
	Log  LogID     // the child's log: its incarnation
	Node PublicKey // the child's node key
	Size uint64    // 1 or more
	Root Hash
	// Signature is the node's over the text of the checkpoint.
	Signature []byte
}

// MaxChildRows is how many octets the rows of one entry may have together.
const MaxChildRows = 512 << 10

// Append appends the encoding of a row. It is also the row's leaf in the tree of the
// entry's rows.
//
//	format     u8     1
//	log        16 octets
//	node       type u8 (not 0), text of 1 to 4,096 octets
//	size       u64    1 or more
//	root       32 octets
//	signature  text   1 to 8,192 octets
func (r *ChildRow) Append(dst []byte) ([]byte, error) {
	const what = "row of a child"
	if r.Size == 0 {
		return nil, &RuleError{What: what, Rule: "a size is 1 or more", Mend: "leave out a child whose log is not here"}
	}
	if err := checkLimit(what, "a signature", len(r.Signature), 1, MaxSignature); err != nil {
		return nil, err
	}
	b := append(dst, 1)
	b = append(b, r.Log[:]...)
	b, err := appendKey(b, what, r.Node)
	if err != nil {
		return nil, err
	}
	b = binary.BigEndian.AppendUint64(b, r.Size)
	b = append(b, r.Root[:]...)
	return appendText(b, r.Signature), nil
}

// ParseChildRow reads what [ChildRow.Append] writes, and nothing else. The error is a
// [*FormatError].
func ParseChildRow(b []byte) (*ChildRow, error) {
	c := cursor{what: "row of a child", b: b}
	r := c.childRow()
	if err := c.end(); err != nil {
		return nil, err
	}
	return &r, nil
}

func (c *cursor) childRow() ChildRow {
	var r ChildRow
	c.format(1)
	c.fixed(r.Log[:])
	r.Node = parseKeyOctets(c)
	at := c.off
	if r.Size = c.u64(); r.Size == 0 {
		c.fail(at, "a size is 1 or more")
	}
	c.fixed(r.Root[:])
	r.Signature = bytes.Clone(c.some(MaxSignature, "a signature has 1 to 8192 octets"))
	return r
}

// ChildrenHeader is the payload of an envelope of type [ChildrenType], which the
// parent signs: it binds the rows that stand beside it.
type ChildrenHeader struct {
	Rows uint32 // 1 to [MaxRows]
	Root Hash   // of the tree of the rows ([RowRoot] over [ChildRowHash])
}

// Append appends the encoding of a header: format u8 (1), rows u32, root 32 octets.
func (h ChildrenHeader) Append(dst []byte) []byte {
	b := append(dst, 1)
	b = binary.BigEndian.AppendUint32(b, h.Rows)
	return append(b, h.Root[:]...)
}

// ParseChildrenHeader reads what [ChildrenHeader.Append] writes, and nothing else.
func ParseChildrenHeader(b []byte) (ChildrenHeader, error) {
	c := cursor{what: "header of children's rows", b: b}
	c.format(1)
	h := ChildrenHeader{Rows: c.u32()}
	if h.Rows == 0 || h.Rows > MaxRows {
		c.fail(c.off-4, fmt.Sprintf("there are 1 to %d rows", MaxRows))
	}
	c.fixed(h.Root[:])
	return h, c.end()
}

// ChildRowHash returns the hash of a row's leaf: SHA-256(0 ‖ leaf) (RFC 9162, section
// 2.1.1).
func ChildRowHash(leaf []byte) Hash {
	h := sha256.New()
	h.Write([]byte{0})
	h.Write(leaf)
	return Hash(h.Sum(nil))
}

// HashChildren returns the hashes of rows and the header that binds them. The rows
// must ascend strictly by log id; there are 1 to [MaxRows] of them.
func HashChildren(rows []ChildRow) (ChildrenHeader, []Hash, error) {
	const what = "rows of children"
	if err := checkLimit(what, "the list of rows", len(rows), 1, MaxRows); err != nil {
		return ChildrenHeader{}, nil, err
	}
	hashes := make([]Hash, len(rows))
	for i := range rows {
		if i > 0 && bytes.Compare(rows[i-1].Log[:], rows[i].Log[:]) >= 0 {
			return ChildrenHeader{}, nil, &RuleError{What: what,
				Rule: fmt.Sprintf("rows ascend strictly by log id, and %s follows on %s", rows[i].Log, rows[i-1].Log),
				Mend: "name every log once, in order"}
		}
		leaf, err := rows[i].Append(nil)
		if err != nil {
			return ChildrenHeader{}, nil, err
		}
		hashes[i] = ChildRowHash(leaf)
	}
	return ChildrenHeader{Rows: uint32(len(rows)), Root: RowRoot(hashes)}, hashes, nil
}

// CheckChildren returns the hashes of an entry's rows of children, or an error when
// they are not those that its envelope was signed over.
func (e *Entry) CheckChildren() ([]Hash, error) {
	header, err := ParseChildrenHeader(e.Envelope.Payload)
	if err != nil {
		return nil, err
	}
	have, hashes, err := HashChildren(e.Children)
	if err != nil {
		return nil, err
	}
	if have != header {
		return nil, &RuleError{What: "rows of children", Rule: "they are those that the header was signed over", Mend: "send the rows that were signed"}
	}
	return hashes, nil
}

// appendChildren appends the rows of an entry of kind [EntryChildren].
func appendChildren(b []byte, rows []ChildRow) ([]byte, error) {
	if err := checkLimit("entry", "the list of children's rows", len(rows), 1, MaxRows); err != nil {
		return nil, err
	}
	b = binary.AppendUvarint(b, uint64(len(rows)))
	begin := len(b)
	var err error
	for i := range rows {
		if b, err = rows[i].Append(b); err != nil {
			return nil, err
		}
	}
	return b, checkLimit("entry", "the rows of children", len(b)-begin, 1, MaxChildRows)
}

// children reads what appendChildren writes.
func (c *cursor) children() (rows []ChildRow) {
	n := c.count(MaxRows, "there are 1 to 1024 rows of children")
	if len(c.b)-c.off > MaxChildRows {
		c.fail(c.off, fmt.Sprintf("the rows of children have at most %d octets", MaxChildRows))
	}
	for i := 0; i < n && c.err == nil; i++ {
		rows = append(rows, c.childRow())
	}
	return rows
}
