package identifier

import (
	"encoding/binary"
	"fmt"
	"math"
	"strings"
)

// Op is what a row does.
type Op uint8

const (
	Put Op = iota + 1
	Withdraw
)

// Row puts or withdraws one record.
type Row struct {
	Op Op
	ID ID
	// Version is the version that the row makes: the one before it plus one.
	Version uint64
	// Replaces is the row hash of the version before; zero for version 1.
	Replaces Hash
	// Spelling and Values are the row's content; empty for a withdrawal. A spelling
	// that is empty is the canonical text.
	Spelling string
	Values   []Value
	// Sealed is the salted hash of the content, where that is kept elsewhere
	// ([SealEntry]); nil where the content is here, as in all that is registered. Of a
	// change either all rows have it or none.
	Sealed *Hash
}

// NextRow returns the row that replaces the current version of an identifier, nil
// when it has never had one: a put without content, for the caller to complete.
func NextRow(id ID, current *Record) Row {
	r := Row{Op: Put, ID: id, Version: 1}
	if current != nil {
		r.Version, r.Replaces = current.Version+1, current.RowHash
	}
	return r
}

// Check returns an error when the row could not be part of a change under the
// prefix, whatever the other rows and the state of the node are. The error is a
// [*RuleError], or a [*SyntaxError] of the identifier.
func (r *Row) Check(under Prefix) error {
	_, err := r.check(nil, under)
	return err
}

// Size returns how many octets the row takes of [MaxChange].
func (r *Row) Size() (int, error) {
	content, err := appendRowContent(nil, r)
	if err != nil {
		return 0, err
	}
	return rowSize(r, len(content)), nil
}

// check checks the row and appends its content to b.
func (r *Row) check(b []byte, under Prefix) ([]byte, error) {
	fail := func(rule, mend string) ([]byte, error) {
		return nil, &RuleError{What: "row", Rule: rule, Mend: mend}
	}
	if _, err := New(r.ID.Prefix, r.ID.Suffix); err != nil {
		return nil, err
	}
	switch {
	case !under.Covers(r.ID.Prefix):
		return fail(fmt.Sprintf("the header's prefix %s does not cover it", under), "sign it with the keys of the prefix that does")
	case r.Op != Put && r.Op != Withdraw:
		return fail(fmt.Sprintf("a row puts or withdraws, %d is neither", r.Op), "use one of the two")
	case r.Version == 0:
		return fail("a version is 1 or more", "count from 1")
	case r.Version == 1 && r.Replaces != Hash{}:
		return fail("version 1 replaces nothing", "leave out the row hash, or give the version after the current one")
	case r.Version > 1 && r.Replaces == Hash{}:
		return fail("a version above 1 names the row hash of the version before", "look up the current version and its row hash")
	case r.Op == Withdraw && r.Version == 1:
		return fail("only what has been registered can be withdrawn", "look up the current version, or leave out the row")
	case r.Op == Withdraw && (r.Spelling != "" || len(r.Values) != 0):
		return fail("a withdrawal has neither spelling nor values", "leave them out")
	case r.Sealed != nil && (r.Spelling != "" || len(r.Values) != 0):
		return fail("a row without its content has neither spelling nor values", "leave them out")
	case r.Op == Withdraw || r.Sealed != nil:
		return b, nil
	}
	if err := checkContent(r.Spelling, r.Values); err != nil {
		return nil, err
	}
	return appendRowContent(b, r)
}

// appendRowContent appends the content of a row, nothing for a withdrawal.
func appendRowContent(b []byte, r *Row) ([]byte, error) {
	if r.Op == Withdraw || r.Sealed != nil {
		return b, nil
	}
	return AppendContent(b, plainSpelling(r.ID, r.Spelling), r.Values)
}

// appendRow appends a row as [AppendEntry] specifies it. scratch is room to work in,
// returned for the next call.
func appendRow(b, scratch []byte, r *Row) (row, room []byte, err error) {
	if scratch, err = appendRowContent(scratch[:0], r); err != nil {
		return nil, nil, err
	}
	b, err = appendEncodedRow(b, r, scratch)
	return b, scratch, err
}

// appendEncodedRow is appendRow with the content encoded already.
func appendEncodedRow(b []byte, r *Row, content []byte) ([]byte, error) {
	const what = "row"
	switch {
	case r.Op != Put && r.Op != Withdraw:
		return nil, &RuleError{What: what, Rule: "a row puts or withdraws", Mend: "use one of the two"}
	case r.Version == 0 || r.Version == 1 && r.Replaces != Hash{}:
		return nil, &RuleError{What: what, Rule: "a version is 1 or more, and version 1 replaces nothing", Mend: "count from 1"}
	case r.Op == Withdraw && (r.Spelling != "" || len(r.Values) != 0):
		return nil, &RuleError{What: what, Rule: "a withdrawal has neither spelling nor values", Mend: "leave them out"}
	}
	if err := checkLimit(what, "an identifier", idLen(r.ID), 1, MaxID); err != nil {
		return nil, err
	}
	b = append(b, byte(r.Op))
	b = binary.AppendUvarint(b, r.Version)
	if r.Version > 1 {
		b = append(b, r.Replaces[:]...)
	}
	b = binary.AppendUvarint(b, uint64(idLen(r.ID)))
	b = appendCanonical(b, r.ID)
	switch {
	case r.Sealed != nil:
		b = append(b, r.Sealed[:]...)
	case r.Op == Put:
		b = appendText(b, content)
	}
	return b, nil
}

// AppendRow appends a row as an entry has it ([AppendEntry]). The error names the limit
// that is passed.
func AppendRow(dst []byte, r *Row) ([]byte, error) {
	b, _, err := appendRow(dst, nil, r)
	return b, err
}

// ParseRow reads what [AppendRow] writes, and nothing else. Whether the identifier and
// the content keep the rules is for [Row.Check] to judge. The error is a [*FormatError].
func ParseRow(b []byte) (Row, error) {
	c := cursor{what: "row", b: b}
	r := c.row(false)
	if err := c.end(); err != nil {
		return Row{}, err
	}
	return r, nil
}

// rowSize returns how many octets appendRow appends for a row with a content of n
// octets.
func rowSize(r *Row, n int) int {
	size := 1 + uvarintLen(r.Version) + textLen(idLen(r.ID))
	if r.Version > 1 {
		size += len(r.Replaces)
	}
	switch {
	case r.Sealed != nil:
		size += len(r.Sealed)
	case r.Op == Put:
		size += textLen(n)
	}
	return size
}

// idLen returns how many octets the canonical text of an identifier has.
func idLen(id ID) int {
	if id.Suffix == "" {
		return len(id.Prefix)
	}
	return len(id.Prefix) + 1 + len(id.Suffix)
}

// row reads what appendRow writes. Whether its identifier and its content keep the
// rules is for [Change.Check] to judge.
func (c *cursor) row(sealed bool) Row {
	r := Row{Op: Op(c.u8())}
	if r.Op != Put && r.Op != Withdraw {
		c.fail(c.off-1, "a row puts (1) or withdraws (2)")
	}
	at := c.off
	if r.Version = c.uvarint(math.MaxUint64, "a version has 64 bits"); r.Version == 0 {
		c.fail(at, "a version is 1 or more")
	}
	if r.Version > 1 {
		c.fixed(r.Replaces[:])
	}
	at = c.off
	r.ID = splitCanonical(c.some(MaxID, "an identifier has 1 to 2048 octets"))
	if c.err == nil && idLen(r.ID) != c.off-at-uvarintLen(uint64(idLen(r.ID))) {
		c.fail(at, "a suffix is not empty when there is a slash")
	}
	if sealed {
		r.Sealed = new(Hash)
		c.fixed(r.Sealed[:])
		return r
	}
	if r.Op == Withdraw {
		return r
	}
	content := c.some(MaxContent, "content has 1 to 262144 octets")
	if c.err != nil {
		return r
	}
	at = c.off - len(content)
	var err error
	if r.Spelling, r.Values, err = ParseContent(content); err != nil {
		c.fail(at, err.Error())
	} else if r.Spelling != "" && plainSpelling(r.ID, r.Spelling) == "" {
		c.fail(at, "a spelling that is the canonical text is left out")
	}
	return r
}

// splitCanonical splits a text at its first slash, without judging the parts.
func splitCanonical(text []byte) ID {
	prefix, suffix, _ := strings.Cut(string(text), "/")
	return ID{Prefix: Prefix(prefix), Suffix: suffix}
}
