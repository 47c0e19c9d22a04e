package replica

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/nameplate-id/nameplate/registry/identifier"
)

// Receipt is what a parent gives to a child when the level above it holds the child's
// checkpoint: the checkpoint with the parent's cosignature, and for a rooted one the
// way up from there to a top-level node.
type Receipt struct {
	// Note is the child's checkpoint, cosigned by Cosigner, the parent's node key
	// (C2SP tlog-cosignature).
	Note     []byte
	Cosigner identifier.PublicKey
	// Links lead from the checkpoint up, one for each level: the first shows it in the
	// log of Cosigner, each further one the checkpoint of the link before.
	Links []Link
	// Top says that whoever cosigned last is a top-level node. Whether it is one, only
	// somebody knows who knows their keys.
	Top bool
}

// Link shows that a checkpoint is a row of the log one level up, and that the log above
// that one knows.
type Link struct {
	Log      identifier.LogID // that has the row
	Row      identifier.ChildRow
	Proof    identifier.RowProof // of the row, in the entry's rows
	Leaf     []byte              // of the entry that has it ([identifier.AppendLeaf])
	Position uint64              // of the entry
	// Inclusion is the proof that the leaf is at Position in the log that Note is a
	// checkpoint of (RFC 9162, section 2.1.3).
	Inclusion []identifier.Hash
	Note      []byte // cosigned by Cosigner
	Cosigner  identifier.PublicKey
}

// Limits of receipts.
const (
	// MaxLinks is how many levels a receipt may lead up.
	MaxLinks = 8
	// MaxReceipt is how many octets a receipt may have.
	MaxReceipt = 256 << 10

	maxNote     = 4 << 10 // octets of a note: one signature and one cosignature
	maxLeaf     = 16 << 10
	maxRowOctet = 13 << 10
	maxPath     = 62
)

// Verifier checks the signatures of checkpoints.
type Verifier struct {
	Checkpoint  VerifyCheckpoint
	Cosignature func(note []byte, by identifier.PublicKey) error
}

// Check returns how many entries of a log the receipt is for and their root, or an error
// when anything in it does not hold: a signature, a proof, or a link that is about
// something else than the one before.
func (r *Receipt) Check(v Verifier, log identifier.LogID, key identifier.PublicKey) (size uint64, root identifier.Hash, err error) {
	fail := func(err error) (uint64, identifier.Hash, error) {
		return 0, identifier.Hash{}, fmt.Errorf("receipt for log %s: %w", log, err)
	}
	size, root, err = v.Checkpoint(r.Note, log, key)
	if err != nil {
		return fail(err)
	}
	if err := v.Cosignature(r.Note, r.Cosigner); err != nil {
		return fail(err)
	}
	below := identifier.ChildRow{Log: log, Node: key, Size: size, Root: root}
	by := r.Cosigner
	for i := range r.Links {
		l := &r.Links[i]
		if below, err = l.check(v, below, by); err != nil {
			return fail(fmt.Errorf("link %d: %w", i+1, err))
		}
		by = l.Cosigner
	}
	return size, root, nil
}

// check returns what the link's note says of the log whose node key is by.
func (l *Link) check(v Verifier, below identifier.ChildRow, by identifier.PublicKey) (identifier.ChildRow, error) {
	fail := func(format string, args ...any) (identifier.ChildRow, error) {
		return identifier.ChildRow{}, fmt.Errorf(format, args...)
	}
	if l.Row.Log != below.Log || l.Row.Node != below.Node || l.Row.Size != below.Size || l.Row.Root != below.Root {
		return fail("its row is about %d entries of log %s, not about %d of log %s, or has another root or key", l.Row.Size, l.Row.Log, below.Size, below.Log)
	}
	row, err := l.Row.Append(nil)
	if err != nil {
		return fail("%w", err)
	}
	e, err := identifier.ParseLeaf(l.Leaf)
	if err != nil {
		return fail("%w", err)
	}
	if e.Kind != identifier.EntryChildren || e.Envelope.SignedBy([]identifier.PublicKey{by}) == 0 {
		return fail("its entry has no rows of children, or is not signed by node %s", by)
	}
	header, err := identifier.ParseChildrenHeader(e.Envelope.Payload)
	if err != nil {
		return fail("%w", err)
	}
	if !l.Proof.VerifyChild(identifier.ChildRowHash(row), header) {
		return fail("the row is not one of its entry's")
	}
	size, root, err := v.Checkpoint(l.Note, l.Log, by)
	if err != nil {
		return fail("%w", err)
	}
	if err := checkInclusion(l.Inclusion, l.Position, size, root, l.Leaf); err != nil {
		return fail("%w", err)
	}
	if err := v.Cosignature(l.Note, l.Cosigner); err != nil {
		return fail("%w", err)
	}
	return identifier.ChildRow{Log: l.Log, Node: by, Size: size, Root: root}, nil
}

// checkInclusion checks that a leaf is at a position in a tree (RFC 9162, section 2.1.3).
func checkInclusion(proof []identifier.Hash, position, size uint64, root identifier.Hash, leaf []byte) error {
	if size > maxLog || position >= size {
		return fmt.Errorf("there is no entry %d among the first %d", position, size)
	}
	hashes := make([]tlog.Hash, len(proof))
	for i, h := range proof {
		hashes[i] = tlog.Hash(h)
	}
	if tlog.CheckRecord(hashes, int64(size), tlog.Hash(root), int64(position), tlog.RecordHash(leaf)) != nil {
		return fmt.Errorf("the proof does not show that the entry is number %d among the first %d", position, size)
	}
	return nil
}

// receiptFormat is the first octet of an encoded receipt.
const receiptFormat = 1

// AppendReceipt appends the encoding of a receipt, as a child's journal and the
// replication carry it.
//
//	format    u8       1
//	flags     u8       1 a top-level node cosigned last
//	note      text     1 to 4,096 octets
//	cosigner  key
//	links     u8       0 to 8, each:
//	  log        16 octets
//	  row        text     as [identifier.ChildRow.Append] writes it
//	  index      u32      of the row
//	  path       u8       0 to 62, each 32 octets
//	  leaf       text     1 to 16,384 octets
//	  position   u64
//	  inclusion  u8       0 to 62, each 32 octets
//	  note       text     1 to 4,096 octets
//	  cosigner   key
//
// A text is its length as a uvarint and as many octets; a key is its type, u8, and a
// text of 1 to 4,096 octets. The error names the limit that is passed.
func AppendReceipt(dst []byte, r *Receipt) ([]byte, error) {
	var flags byte
	if r.Top {
		flags = 1
	}
	b := append(dst, receiptFormat, flags)
	b, err := putNote(b, r.Note, r.Cosigner)
	if err != nil {
		return nil, err
	}
	if len(r.Links) > MaxLinks {
		return nil, fmt.Errorf("receipt: it has at most %d links, not %d", MaxLinks, len(r.Links))
	}
	b = append(b, byte(len(r.Links)))
	for i := range r.Links {
		if b, err = r.Links[i].append(b); err != nil {
			return nil, err
		}
	}
	return b, nil
}

func (l *Link) append(b []byte) ([]byte, error) {
	row, err := l.Row.Append(nil)
	if err != nil {
		return nil, err
	}
	if len(row) > maxRowOctet || len(l.Leaf) == 0 || len(l.Leaf) > maxLeaf || len(l.Proof.Path) > maxPath || len(l.Inclusion) > maxPath {
		return nil, fmt.Errorf("receipt: a row has at most %d octets, a leaf 1 to %d, a proof at most %d hashes", maxRowOctet, maxLeaf, maxPath)
	}
	b = append(b, l.Log[:]...)
	b = putText(b, row)
	b = binary.BigEndian.AppendUint32(b, l.Proof.Index)
	b = putHashes(b, l.Proof.Path)
	b = putText(b, l.Leaf)
	b = binary.BigEndian.AppendUint64(b, l.Position)
	b = putHashes(b, l.Inclusion)
	return putNote(b, l.Note, l.Cosigner)
}

func putText(b, text []byte) []byte {
	return append(binary.AppendUvarint(b, uint64(len(text))), text...)
}

func putHashes(b []byte, hashes []identifier.Hash) []byte {
	b = append(b, byte(len(hashes)))
	for _, h := range hashes {
		b = append(b, h[:]...)
	}
	return b
}

func putNote(b, note []byte, by identifier.PublicKey) ([]byte, error) {
	if len(note) == 0 || len(note) > maxNote || by.Type == 0 || len(by.Raw) == 0 || len(by.Raw) > 4096 {
		return nil, fmt.Errorf("receipt: a note has 1 to %d octets, not %d, and a cosigner with a key", maxNote, len(note))
	}
	return putText(append(putText(b, note), byte(by.Type)), []byte(by.Raw)), nil
}

// ParseReceipt reads what [AppendReceipt] writes, and nothing else. It shares nothing
// with b. Whether anything in it holds is for [Receipt.Check] to say.
func ParseReceipt(b []byte) (*Receipt, error) {
	c := receiptCursor{b: b}
	if len(b) > MaxReceipt {
		c.fail("it has more than %d octets", MaxReceipt)
	}
	if f := c.octets(2); c.err == nil && (f[0] != receiptFormat || f[1] > 1) {
		c.fail("it does not begin with format %d and known flags: use a newer version", receiptFormat)
	}
	r := &Receipt{Top: c.err == nil && b[1] == 1}
	r.Note, r.Cosigner = c.note()
	n := int(c.u8())
	if n > MaxLinks {
		c.fail("it has at most %d links", MaxLinks)
	}
	for i := 0; i < n && c.err == nil; i++ {
		r.Links = append(r.Links, c.link())
	}
	if c.err == nil && len(c.b) != 0 {
		c.fail("there are %d octets behind it", len(c.b))
	}
	if c.err != nil {
		return nil, c.err
	}
	return r, nil
}

// receiptCursor reads a receipt from the front. The first failure sticks.
type receiptCursor struct {
	b   []byte
	err error
}

func (c *receiptCursor) fail(format string, args ...any) {
	if c.err == nil {
		c.err = fmt.Errorf("receipt: %w", fmt.Errorf(format, args...))
	}
}

func (c *receiptCursor) octets(n int) []byte {
	if c.err == nil && n > len(c.b) {
		c.fail("it has been cut")
	}
	if c.err != nil {
		return make([]byte, min(n, 64))
	}
	b := c.b[:n:n]
	c.b = c.b[n:]
	return b
}

func (c *receiptCursor) u8() byte { return c.octets(1)[0] }

func (c *receiptCursor) text(limit int) []byte {
	if c.err != nil {
		return nil
	}
	text, rest, err := cutText(c.b, limit)
	if err != nil {
		c.fail("%w", err)
		return nil
	}
	c.b = rest
	return append([]byte(nil), text...)
}

func (c *receiptCursor) hashes() (hashes []identifier.Hash) {
	n := int(c.u8())
	if n > maxPath {
		c.fail("a proof has at most %d hashes", maxPath)
	}
	for i := 0; i < n && c.err == nil; i++ {
		hashes = append(hashes, identifier.Hash(c.octets(32)))
	}
	return hashes
}

func (c *receiptCursor) note() ([]byte, identifier.PublicKey) {
	note := c.text(maxNote)
	k := identifier.PublicKey{Type: identifier.KeyType(c.u8())}
	if k.Type == 0 {
		c.fail("a key has a type")
	}
	k.Raw = string(c.text(4096))
	return note, k
}

func (c *receiptCursor) link() (l Link) {
	l.Log = identifier.LogID(c.octets(16))
	row := c.text(maxRowOctet)
	if c.err == nil {
		r, err := identifier.ParseChildRow(row)
		if err != nil {
			c.fail("%w", err)
			return l
		}
		l.Row = *r
	}
	l.Proof.Index = binary.BigEndian.Uint32(c.octets(4))
	l.Proof.Path = c.hashes()
	l.Leaf = c.text(maxLeaf)
	l.Position = binary.BigEndian.Uint64(c.octets(8))
	l.Inclusion = c.hashes()
	l.Note, l.Cosigner = c.note()
	return l
}
