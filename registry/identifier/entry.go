package identifier

import (
	"encoding/binary"
	"fmt"
	"slices"
	"time"
)

// EntryKind says what a log entry is.
type EntryKind uint8

const (
	EntryGenesis EntryKind = iota + 1
	EntryChange
	EntryDelegation
	EntryKeyset
	EntryGrant    // a delegation of this node's own prefix, signed above
	EntryChildren // how far the logs of this node's children are synced here
	EntryFence    // from where on a child's log is judged by which delegation
	EntryOrigin   // where what stood in a log of before follows
)

// PayloadType returns the payload type that the envelope of such an entry has;
// none for a kind that is unknown here.
func (k EntryKind) PayloadType() string {
	switch k {
	case EntryGenesis:
		return GenesisType
	case EntryChange:
		return ChangeType
	case EntryDelegation, EntryGrant:
		return DelegationType
	case EntryKeyset:
		return KeysetType
	case EntryChildren:
		return ChildrenType
	case EntryFence:
		return FenceType
	case EntryOrigin:
		return OriginType
	}
	return ""
}

// Entry is one entry of a log. What the Merkle tree hashes (the leaf) is Kind,
// Time and Envelope; the rows of a change, or of children, travel beside it, bound by
// its header.
type Entry struct {
	Kind EntryKind
	// Time is the node's clock when it logged the entry, to the millisecond.
	// Nothing is ever decided by it.
	Time     time.Time
	Envelope Envelope
	// IDSeed, ValueSeed and Rows are those of a change.
	IDSeed, ValueSeed Seed
	Rows              []Row
	// Children are the rows of an entry of kind [EntryChildren].
	Children []ChildRow
}

// MaxEntry is how many octets an encoded entry may have. No entry within the
// limits of its parts comes near it.
const MaxEntry = 1 << 20

const (
	entryFormat  = 1
	sealedFormat = 2
	leafFormat   = 1
	maxSealed    = MaxChange + 32*MaxRows
	maxLeaf      = 16 + MaxPayload + MaxSignatures*(len(KeyID{})+3+MaxSignature)
)

// Change returns the change that an entry of kind [EntryChange] carries. It shares
// everything with the entry.
func (e *Entry) Change() *Change {
	return &Change{Envelope: e.Envelope, IDSeed: e.IDSeed, ValueSeed: e.ValueSeed, Rows: e.Rows}
}

// AppendLeaf appends the leaf of an entry, which is what the log's Merkle tree
// hashes and what a proof of the entry shows. The time is cut to the millisecond.
// An entry that [AppendEntry] refuses has no leaf that can be read back.
//
//	format      u8        1
//	kind        u8        1 genesis, 2 change, 3 delegation, 4 keyset, 5 grant, 6 children,
//	                      7 fence, 8 origin
//	time        u48       milliseconds since 1970
//	payload     text      of the envelope; its type follows from the kind
//	signatures  u8        1 to 16, each: key id 8 octets, signature text (1 to 8,192 octets)
func AppendLeaf(dst []byte, e *Entry) []byte {
	b := append(dst, leafFormat, byte(e.Kind))
	b = appendMillis(b, e.Time)
	b = appendText(b, e.Envelope.Payload)
	b = append(b, byte(len(e.Envelope.Signatures)))
	for _, s := range e.Envelope.Signatures {
		b = append(b, s.Key[:]...)
		b = appendText(b, s.Signature)
	}
	return b
}

// AppendEntry appends an entry as the journal and the replication carry it. The
// error, a [*RuleError], or a [*ChangeError] where it is about a row, names the
// limit that is passed or the part that the kind of entry does not have.
//
//	format     u8      1, or 2 for a change without its contents
//	leaf       text    see [AppendLeaf]
//	body       of a change only:
//	  id seed     32 octets
//	  value seed  32 octets; not in format 2
//	  rows        uvarint (1 to 1,024), then at most 512 KiB of rows, each:
//	    op        u8        1 put, 2 withdraw
//	    version   uvarint   64 bits, 1 or more
//	    replaces  32 octets, for a version above 1 only
//	    id        text      canonical, at most 2,048 octets
//	    content   text      see [AppendContent]; of a put only
//	    or in format 2, for every row and at most 32 KiB beyond the limit:
//	    sealed    32 octets, the salted hash of the content
//	or of an entry of kind children only:
//	  rows        uvarint (1 to 1,024), then at most 512 KiB of rows, each as
//	              [ChildRow.Append] writes it
func AppendEntry(dst []byte, e *Entry) ([]byte, error) { return appendEntry(dst, e, nil) }

// appendEntry is [AppendEntry]; x is what is known of the rows, or nil.
func appendEntry(dst []byte, e *Entry, x *Examined) ([]byte, error) {
	if err := e.check(); err != nil {
		return nil, err
	}
	leaf := AppendLeaf(nil, e)
	format, most := byte(entryFormat), MaxChange
	if e.Sealed() {
		format, most = sealedFormat, maxSealed
	}
	if x != nil {
		dst = slices.Grow(dst, 1+textLen(len(leaf))+2*len(Seed{})+binary.MaxVarintLen16+x.size)
	}
	b := append(dst, format)
	b = appendText(b, leaf)
	if e.Kind == EntryChildren {
		return appendChildren(b, e.Children)
	}
	if e.Kind != EntryChange {
		return b, nil
	}
	if err := checkLimit("entry", "the list of rows", len(e.Rows), 1, MaxRows); err != nil {
		return nil, err
	}
	b = append(b, e.IDSeed[:]...)
	if !e.Sealed() {
		b = append(b, e.ValueSeed[:]...)
	}
	b = binary.AppendUvarint(b, uint64(len(e.Rows)))
	begin := len(b)
	var content []byte
	var err error
	for i := range e.Rows {
		if x != nil {
			b, err = appendEncodedRow(b, &e.Rows[i], x.contents.at(i))
		} else {
			b, content, err = appendRow(b, content, &e.Rows[i])
		}
		if err != nil {
			return nil, changeError(i, e.Rows[i].ID, err)
		}
	}
	if err := checkLimit("entry", "the rows of a change", len(b)-begin, 1, most); err != nil {
		return nil, err
	}
	return b, nil
}

// check returns which rule about its parts an entry breaks.
func (e *Entry) check() error {
	fail := func(rule, mend string) error {
		return &RuleError{What: "entry", Rule: rule, Mend: mend}
	}
	payloadType := e.Kind.PayloadType()
	switch {
	case payloadType == "":
		return fail(fmt.Sprintf("kind %d is unknown", e.Kind), "use a newer version")
	case payloadType != e.Envelope.PayloadType:
		return fail("the payload type is "+payloadType, "log the envelope as what it is")
	case !inRange(e.Time):
		return fail("a time lies in the years 1970 to 9999", "set the clock")
	case e.Kind != EntryChange && (len(e.Rows) != 0 || e.IDSeed != Seed{} || e.ValueSeed != Seed{}):
		return fail("only a change has rows and seeds", "leave them out")
	case e.Kind != EntryChildren && len(e.Children) != 0:
		return fail("only an entry about children has rows of them", "leave them out")
	}
	if err := e.Envelope.Check(); err != nil {
		return err
	}
	for i := range e.Rows {
		if (e.Rows[i].Sealed != nil) != e.Sealed() {
			return fail("all rows of a change have their content, or none", "seal the whole entry")
		}
	}
	if e.Sealed() && (e.ValueSeed != Seed{}) {
		return fail("a change without its contents is without the seed of their salts", "leave it out")
	}
	return nil
}

// EntryLeaf returns the leaf of an encoded entry, as a part of b. It reads no
// further than the leaf.
func EntryLeaf(b []byte) ([]byte, error) {
	c := cursor{what: "entry", b: b}
	leaf := c.entryHead()
	return leaf, c.failure()
}

// entryHead reads an entry up to the end of its leaf.
func (c *cursor) entryHead() []byte {
	if len(c.b) > MaxEntry {
		c.fail(MaxEntry, fmt.Sprintf("an entry has at most %d octets", MaxEntry))
	}
	if len(c.b) > 0 && c.b[0] == sealedFormat {
		c.format(sealedFormat)
	} else {
		c.format(entryFormat)
	}
	return c.some(maxLeaf, fmt.Sprintf("a leaf has 1 to %d octets", maxLeaf))
}

// ParseEntry reads what [AppendEntry] writes, and nothing else. The envelope is a
// part of b; the rows share nothing with it. Whether the envelope is what its type
// says and the rows keep the rules is for [Change.Check] and the like to judge. The
// error is a [*FormatError].
func ParseEntry(b []byte) (*Entry, error) {
	c := cursor{what: "entry", b: b}
	leaf := c.entryHead()
	if err := c.failure(); err != nil {
		return nil, err
	}
	e, err := ParseLeaf(leaf)
	if err != nil {
		return nil, err
	}
	sealed, most := b[0] == sealedFormat, MaxChange
	if sealed && e.Kind != EntryChange {
		c.fail(0, "only a change can be without its contents")
	}
	if e.Kind == EntryChange {
		c.fixed(e.IDSeed[:])
		if sealed {
			most = maxSealed
		} else {
			c.fixed(e.ValueSeed[:])
		}
		n := c.count(MaxRows, "a change has 1 to 1024 rows")
		if len(b)-c.off > most {
			c.fail(c.off, fmt.Sprintf("the rows of a change have at most %d octets", most))
		}
		for i := 0; i < n && c.err == nil; i++ {
			e.Rows = append(e.Rows, c.row(sealed))
		}
	}
	if e.Kind == EntryChildren {
		e.Children = c.children()
	}
	if err := c.end(); err != nil {
		return nil, err
	}
	return e, nil
}

// ParseLeaf reads what [AppendLeaf] writes of a valid entry, and nothing else: the
// entry without seeds and rows. The envelope is a part of b. The error is a
// [*FormatError].
func ParseLeaf(b []byte) (*Entry, error) {
	c := cursor{what: "leaf of an entry", b: b}
	c.format(leafFormat)
	e := &Entry{Kind: EntryKind(c.u8())}
	if e.Envelope.PayloadType = e.Kind.PayloadType(); e.Envelope.PayloadType == "" {
		c.fail(c.off-1, fmt.Sprintf("kind %d is unknown here: use a newer version", e.Kind))
	}
	e.Time = c.millis()
	e.Envelope.Payload = c.text(MaxPayload, fmt.Sprintf("a payload has at most %d octets", MaxPayload))
	n := int(c.u8())
	if n == 0 || n > MaxSignatures {
		c.fail(c.off-1, "an entry has 1 to 16 signatures")
	}
	for i := 0; i < n && c.err == nil; i++ {
		var s Signature
		c.fixed(s.Key[:])
		s.Signature = c.some(MaxSignature, fmt.Sprintf("a signature has 1 to %d octets", MaxSignature))
		e.Envelope.Signatures = append(e.Envelope.Signatures, s)
	}
	if err := c.end(); err != nil {
		return nil, err
	}
	return e, nil
}
