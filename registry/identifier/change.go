package identifier

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"time"
)

// Limits of a change.
const (
	MaxRows       = 1024
	MaxChange     = 512 << 10 // octets of the rows of a change, encoded
	MaxSignatures = 16
	MaxAgent      = 255 // octets of Header.Agent
	MaxMethod     = 63  // octets of Header.AgentMethod
)

// Header is the signed part of a change.
type Header struct {
	// Prefix is the delegated prefix whose holder signs; it covers every row.
	Prefix Prefix
	// Epoch and KeysetVersion are those of the delegation that the signer knew.
	Epoch         uint64
	KeysetVersion uint64
	// Rows is how many rows there are, Root the Merkle tree hash (RFC 9162,
	// section 2.1) over them.
	Rows uint32
	Root Hash
	// Expiry is when the change may no longer be admitted, to the second.
	Expiry time.Time
	// Agent and AgentMethod are set when a node signs on behalf of somebody: whom
	// it authenticated, in its own words, and how: a lower-case word such as "handle".
	Agent       string
	AgentMethod string
}

// Change is one signed request: a header over rows that travel beside it.
type Change struct {
	// Envelope carries the encoded Header.
	Envelope Envelope
	// IDSeed and ValueSeed are what the salts of the rows are drawn from.
	IDSeed, ValueSeed Seed
	// Rows ascend strictly by key.
	Rows []Row
}

// Hash is a SHA-256 digest.
type Hash [32]byte

// Seed is 32 random octets.
type Seed [32]byte

// ChangeError says which row of a change breaks which rule.
type ChangeError struct {
	Row  int    // from 0; -1 when it is the header or the change as a whole
	ID   ID     // of the row
	Part string // of the row or of the change, such as "value 2"; may be empty
	Rule string // the rule, as a sentence without a full stop
	Mend string // what to do, in the imperative
}

func (e *ChangeError) Error() string {
	where := "change"
	if e.Row >= 0 {
		where = fmt.Sprintf("row %d (%.80s)", e.Row, e.ID)
	}
	if e.Part != "" {
		where += ": " + e.Part
	}
	return where + ": " + e.Rule + ": " + e.Mend
}

// changeError turns what the checks of parts return into a ChangeError.
func changeError(row int, id ID, err error) *ChangeError {
	e := &ChangeError{Row: row, ID: id, Rule: err.Error(), Mend: "encode it as its specification says"}
	var rule *RuleError
	var syntax *SyntaxError
	switch {
	case errors.As(err, &rule):
		e.Part, e.Rule, e.Mend = rule.What, rule.Rule, rule.Mend
	case errors.As(err, &syntax):
		e.Part, e.Rule, e.Mend = fmt.Sprintf("octet %d", syntax.Offset), syntax.Rule, syntax.Mend
	}
	return e
}

// Append appends the encoding of the header, the payload of an envelope of type
// [ChangeType]. The expiry is cut to the second.
//
//	format          u8        1
//	prefix          text      at most 126 octets
//	epoch           uvarint   64 bits
//	keyset version  uvarint   64 bits
//	rows            uvarint   32 bits
//	root            32 octets
//	expiry          u64       seconds since 1970
//	agent method    text      at most 63 octets
//	agent           text      at most 255 octets
func (h Header) Append(dst []byte) ([]byte, error) {
	const what = "header"
	if err := checkLimit(what, "a prefix", len(h.Prefix), 0, MaxPrefix-1); err != nil {
		return nil, err
	}
	if err := checkLimit(what, "an agent", len(h.Agent), 0, MaxAgent); err != nil {
		return nil, err
	}
	if err := checkLimit(what, "an agent's method", len(h.AgentMethod), 0, MaxMethod); err != nil {
		return nil, err
	}
	if !inRange(h.Expiry) {
		return nil, &RuleError{What: what, Rule: "an expiry lies in the years 1970 to 9999", Mend: "give the change an expiry"}
	}
	b := append(dst, 1)
	b = appendText(b, h.Prefix)
	b = binary.AppendUvarint(b, h.Epoch)
	b = binary.AppendUvarint(b, h.KeysetVersion)
	b = binary.AppendUvarint(b, uint64(h.Rows))
	b = append(b, h.Root[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(h.Expiry.Unix()))
	b = appendText(b, h.AgentMethod)
	return appendText(b, h.Agent), nil
}

// ParseHeader reads what [Header.Append] writes, and nothing else. The error is a
// [*FormatError].
func ParseHeader(b []byte) (Header, error) {
	c := cursor{what: "header of a change", b: b}
	c.format(1)
	h := Header{Prefix: parsePrefixText(&c)}
	h.Epoch = c.uvarint(math.MaxUint64, "an epoch has 64 bits")
	h.KeysetVersion = c.uvarint(math.MaxUint64, "a keyset version has 64 bits")
	h.Rows = uint32(c.uvarint(math.MaxUint32, "a count of rows has 32 bits"))
	c.fixed(h.Root[:])
	h.Expiry = c.seconds()
	h.AgentMethod = string(c.text(MaxMethod, "an agent's method has at most 63 octets"))
	h.Agent = string(c.text(MaxAgent, "an agent has at most 255 octets"))
	if err := c.end(); err != nil {
		return Header{}, err
	}
	return h, nil
}

// Check returns an error when the header breaks a rule that can be judged without
// knowing the rows, the time, or what is delegated.
func (h Header) Check() error {
	const what = "header"
	fail := func(rule, mend string) error { return &RuleError{What: what, Rule: rule, Mend: mend} }
	if err := checkDelegable(what, h.Prefix); err != nil {
		return err
	}
	switch {
	case h.Rows == 0 || h.Rows > MaxRows:
		return fail(fmt.Sprintf("a change has 1 to %d rows, not %d", MaxRows, h.Rows), "split it")
	case !inRange(h.Expiry):
		return fail("an expiry lies in the years 1970 to 9999", "give the change an expiry")
	case (h.Agent == "") != (h.AgentMethod == ""):
		return fail("an agent says for whom it signs and how it knows", "give both or neither")
	case h.AgentMethod != "" && (len(h.AgentMethod) > MaxMethod || !isLabel(h.AgentMethod)):
		return fail("the method of an agent is a word of a to z, digits and inner hyphens", "use a word such as handle")
	case len(h.Agent) > MaxAgent || !isPlainText(h.Agent):
		return fail(fmt.Sprintf("an agent is at most %d octets of UTF-8 without controls", MaxAgent), "shorten or clean it")
	}
	return nil
}

// SignChange signs the rows with every key. Of the header it takes the prefix, the
// epoch, the keyset version, the expiry and the agent; it counts and hashes the rows
// and draws the seeds, from random or, when that is nil, from the system's source.
// The rows, which the change keeps, must ascend strictly by key. The error for rows
// or a header that [Change.Check] would refuse is a [*ChangeError].
func SignChange(h Header, rows []Row, random io.Reader, keys ...PrivateKey) (*Change, error) {
	if random == nil {
		random = rand.Reader
	}
	c := &Change{Rows: rows}
	for _, seed := range []*Seed{&c.IDSeed, &c.ValueSeed} {
		if _, err := io.ReadFull(random, seed[:]); err != nil {
			return nil, fmt.Errorf("draw the salts of a change: %w", err)
		}
	}
	x, err := c.examine(h.Prefix)
	if err != nil {
		return nil, err
	}
	h.Rows, h.Root = uint32(len(rows)), RowRoot(x.Hashes)
	if err := h.Check(); err != nil {
		return nil, changeError(-1, ID{}, err)
	}
	payload, err := h.Append(nil)
	if err != nil {
		return nil, changeError(-1, ID{}, err)
	}
	c.Envelope = Sign(ChangeType, payload, keys...)
	if err := c.Envelope.Check(); err != nil {
		return nil, changeError(-1, ID{}, err)
	}
	return c, nil
}

// Header returns what was signed. The error is a [*ChangeError].
func (c *Change) Header() (Header, error) {
	if c.Envelope.PayloadType != ChangeType {
		return Header{}, &ChangeError{Row: -1, Rule: "the payload type is " + ChangeType, Mend: "sign the change as a change"}
	}
	h, err := ParseHeader(c.Envelope.Payload)
	if err != nil {
		return Header{}, changeError(-1, ID{}, err)
	}
	return h, nil
}

// Check verifies everything about a change that needs no clock and no state: the
// header, the limits, that the rows ascend strictly and lie below the header's
// prefix, that their identifiers and contents keep the rules, and that the header's
// root is theirs. It does not verify signatures. It returns the header and the row
// hashes. The error is a [*ChangeError].
func (c *Change) Check() (Header, []Hash, error) {
	x, err := c.Examine()
	if err != nil {
		return Header{}, nil, err
	}
	return x.Header, x.Hashes, nil
}

// Examine is [Change.Check], and returns what it has worked out.
func (c *Change) Examine() (*Examined, error) {
	h, err := c.Header()
	if err != nil {
		return nil, err
	}
	if err := c.Envelope.Check(); err != nil {
		return nil, changeError(-1, ID{}, err)
	}
	if err := h.Check(); err != nil {
		return nil, changeError(-1, ID{}, err)
	}
	if int(h.Rows) != len(c.Rows) {
		return nil, &ChangeError{Row: -1, Rule: fmt.Sprintf("the header was signed over %d rows, there are %d", h.Rows, len(c.Rows)), Mend: "send the rows that were signed"}
	}
	x, err := c.examine(h.Prefix)
	if err != nil {
		return nil, err
	}
	if RowRoot(x.Hashes) != h.Root {
		return nil, &ChangeError{Row: -1, Rule: "the root in the header is not that of the rows", Mend: "send the rows and seeds that were signed, or sign again"}
	}
	x.Header = h
	return x, nil
}

// examine checks the rows.
func (c *Change) examine(under Prefix) (*Examined, error) {
	if len(c.Rows) == 0 || len(c.Rows) > MaxRows {
		return nil, &ChangeError{Row: -1, Rule: fmt.Sprintf("a change has 1 to %d rows, not %d", MaxRows, len(c.Rows)), Mend: "split it"}
	}
	x := new(Examined)
	return x, x.examine(c, under)
}
