package identifier

import (
	"encoding/binary"
	"fmt"
)

// Examined is a change that keeps the rules, with what had to be worked out to see that:
// who logs and stores the rows need not encode them again. It never changes, and may be
// read concurrently. The rows of the change must stay as they are.
type Examined struct {
	Header Header
	// Hashes are those of the rows.
	Hashes []Hash

	rows     []Row
	size     int // of the rows, as an entry has them
	keys     pieces
	contents pieces // nothing for a row that withdraws or is without its content
}

// pieces are octet strings that lie one behind the other in one piece of memory.
type pieces struct {
	octets []byte
	ends   []int
}

func newPieces(n, octets int) pieces {
	return pieces{octets: make([]byte, 0, octets), ends: make([]int, 0, n)}
}

// end says that what was appended to the octets since is a piece.
func (p *pieces) end(octets []byte) {
	p.octets = octets
	p.ends = append(p.ends, len(octets))
}

func (p *pieces) begin(i int) int {
	if i == 0 {
		return 0
	}
	return p.ends[i-1]
}

func (p *pieces) at(i int) []byte { return p.octets[p.begin(i):p.ends[i]:p.ends[i]] }

// Key returns the key of a row's identifier ([AppendKey]), which must not be changed.
func (x *Examined) Key(i int) []byte { return x.keys.at(i) }

// Keys returns the keys of all rows as strings that share one piece of memory.
func (x *Examined) Keys() []string {
	all := string(x.keys.octets)
	keys := make([]string, len(x.keys.ends))
	for i, end := range x.keys.ends {
		keys[i] = all[x.keys.begin(i):end]
	}
	return keys
}

// AppendEntry is the function [AppendEntry] for an entry that carries the change, and has its rows.
func (x *Examined) AppendEntry(dst []byte, e *Entry) ([]byte, error) { return appendEntry(dst, e, x) }

// StoredSize returns how many octets [Examined.AppendStored] appends for all rows at the most.
func (x *Examined) StoredSize() int {
	return len(x.rows)*(storedHead+storedChecksum+emptyContent) + len(x.contents.octets)
}

// emptyContent is how many octets a content without spelling and values has.
const emptyContent = 3

// AppendStored appends the stored form of the record that a row makes in an entry at a
// position ([AppendStored]), to be stored under [Examined.Key].
func (x *Examined) AppendStored(dst []byte, e *Entry, i int, position uint64) ([]byte, error) {
	row := &x.rows[i]
	withdrawn := row.Op == Withdraw
	b, err := appendStoredHead(dst, row.Version, e.Time, withdrawn, x.Hashes[i], position)
	switch {
	case err != nil:
		return nil, err
	case withdrawn:
	case row.Sealed != nil:
		if b, err = AppendContent(b, "", nil); err != nil {
			return nil, err
		}
	default:
		b = append(b, x.contents.at(i)...)
	}
	return appendChecksum(b, len(dst), x.Key(i)), nil
}

// examine checks the rows of a change below a prefix, whose seeds the salts are drawn from.
func (x *Examined) examine(c *Change, under Prefix) error {
	keys, contents := 0, 0
	for i := range c.Rows {
		r := &c.Rows[i]
		keys += len(r.ID.Prefix) + len(r.ID.Suffix) + 2
		contents += len(r.Spelling) + emptyContent
		for j := range r.Values {
			contents += len(r.Values[j].Type) + len(r.Values[j].Data) + usualValue
		}
	}
	n := len(c.Rows)
	x.rows, x.Hashes = c.Rows, make([]Hash, n)
	x.keys, x.contents = newPieces(n, min(keys, MaxChange)), newPieces(n, min(contents, MaxChange))
	var buf []byte
	for i := range c.Rows {
		r := &c.Rows[i]
		if i > 0 && Compare(c.Rows[i-1].ID, r.ID) >= 0 {
			return &ChangeError{Row: i, ID: r.ID, Rule: "rows ascend by the keys of their identifiers and no two have the same", Mend: "sort the rows and drop those that repeat"}
		}
		content, err := r.check(x.contents.octets, under)
		if err != nil {
			return changeError(i, r.ID, err)
		}
		x.contents.end(content)
		most := MaxChange
		if r.Sealed != nil {
			most = maxSealed
		}
		if x.size += rowSize(r, len(x.contents.at(i))); x.size > most {
			return &ChangeError{Row: i, ID: r.ID, Rule: fmt.Sprintf("the rows of a change have at most %d octets", MaxChange), Mend: "split it before this row"}
		}
		x.keys.end(AppendKey(x.keys.octets, r.ID))
		x.Hashes[i], buf = rowHash(buf, r, x.contents.at(i), c.IDSeed.Salt(uint32(i)), c.ValueSeed.Salt(uint32(i)))
	}
	return nil
}

// usualValue is how many octets a value takes beside its type and its data where it has
// neither attributes nor references.
const usualValue = 1 + 2*binary.MaxVarintLen16 + 2
