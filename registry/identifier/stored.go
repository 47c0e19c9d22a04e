package identifier

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"iter"
	"time"
)

// Stored is a record, or the tombstone of a withdrawn one, as the state keeps it:
//
//	 0  format     u8     1
//	 1  version    u64    1 or more
//	 9  flags      u8     1 withdrawn
//	10  position   u64    of the log entry that made the version
//	18  time       u48    milliseconds since 1970
//	24  row hash   32 octets
//	56  content    see [AppendContent]; nothing when withdrawn
//	    checksum   u32    CRC-32C (RFC 9260, appendix A) over the key that the record is
//	                      stored under, whole, and all octets before
//
// A format that is still to come keeps the first nine octets and the checksum where
// they are, so that versions can be compared and damage found without knowing it. The methods of a Stored read
// without allocating; they may be called only on what [CheckStored] returned, and
// what they return is part of it.
type Stored []byte

const (
	storedFormat    = 1
	storedWithdrawn = 1
	storedHead      = 56
	storedChecksum  = 4
)

// DamageError says that stored octets are not what was stored.
type DamageError struct {
	Key    []byte // what they are stored under
	Reason string
}

func (e *DamageError) Error() string {
	return fmt.Sprintf("the state is damaged under key %q: %s: delete the state, the next start builds it again from the journal", e.Key, e.Reason)
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// appendChecksum appends the checksum over the key and what b has from begin on.
func appendChecksum(b []byte, begin int, key []byte) []byte {
	sum := crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, b[begin:])
	return binary.BigEndian.AppendUint32(b, sum)
}

// checkSummed returns stored without its checksum, which it checks.
func checkSummed(key, stored []byte, least int) ([]byte, error) {
	if len(stored) < least+storedChecksum {
		return nil, &DamageError{Key: bytes.Clone(key), Reason: fmt.Sprintf("there are %d octets, too few", len(stored))}
	}
	body := stored[:len(stored)-storedChecksum]
	sum := crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, body)
	if sum != binary.BigEndian.Uint32(stored[len(body):]) {
		return nil, &DamageError{Key: bytes.Clone(key), Reason: "the checksum does not match"}
	}
	return body, nil
}

// AppendStored appends the stored form of a record that the entry at position
// made, to be stored under key. Of a withdrawn record only the version, the row
// hash and the time are kept. The time is cut to the millisecond.
func AppendStored(dst, key []byte, r *Record, position uint64) ([]byte, error) {
	b, err := appendStoredHead(dst, r.Version, r.Time, r.Withdrawn, r.RowHash, position)
	if err != nil {
		return nil, err
	}
	if !r.Withdrawn {
		if b, err = AppendContent(b, plainSpelling(r.ID, r.Spelling), r.Values); err != nil {
			return nil, err
		}
	}
	return appendChecksum(b, len(dst), key), nil
}

// appendStoredHead appends a stored record up to its content.
func appendStoredHead(dst []byte, version uint64, at time.Time, withdrawn bool, row Hash, position uint64) ([]byte, error) {
	what := "record"
	switch {
	case version == 0:
		return nil, &RuleError{What: what, Rule: "a version is 1 or more", Mend: "count from 1"}
	case !inRange(at):
		return nil, &RuleError{What: what, Rule: "a time lies in the years 1970 to 9999", Mend: "set the clock"}
	}
	var flags uint8
	if withdrawn {
		flags = storedWithdrawn
	}
	b := append(dst, storedFormat)
	b = binary.BigEndian.AppendUint64(b, version)
	b = append(b, flags)
	b = binary.BigEndian.AppendUint64(b, position)
	b = appendMillis(b, at)
	return append(b, row[:]...), nil
}

// CheckStored returns stored as a [Stored] when every octet of it and of key is
// what [AppendStored] wrote, without copying or allocating. Otherwise the error is
// a [*DamageError], or a [*FormatError] when a newer version wrote it.
func CheckStored(key, stored []byte) (Stored, error) {
	body, err := checkSummed(key, stored, 1)
	if err != nil {
		return nil, err
	}
	c := cursor{what: "stored record", b: body}
	if c.format(storedFormat); c.err != nil {
		return nil, c.failure()
	}
	if c.storedHead()&storedWithdrawn == 0 {
		c.values()
	}
	if err := c.end(); err != nil {
		return nil, &DamageError{Key: bytes.Clone(key), Reason: err.Error()}
	}
	return stored, nil
}

// storedHead reads a stored record from behind its format up to its content, and returns
// the flags.
func (c *cursor) storedHead() (flags uint8) {
	version, flags := c.u64(), c.u8()
	if version == 0 || flags > storedWithdrawn {
		c.fail(1, "the version is 1 or more and the flags are known")
	}
	c.u64() // the position
	c.millis()
	c.octets(len(Hash{}))
	return flags
}

// values reads a content for nothing but what is wrong with it.
func (c *cursor) values() {
	_, n := c.contentHead()
	var before uint32
	var v ValueView
	for i := 0; i < n && c.err == nil; i++ {
		index, _, _, plain := c.plainValue(before)
		if !plain {
			c.value(before, &v)
			index = v.Index
		}
		before = index
	}
}

// Version returns the version.
func (s Stored) Version() uint64 { return binary.BigEndian.Uint64(s[1:]) }

// Withdrawn reports whether this is a tombstone.
func (s Stored) Withdrawn() bool { return s[9]&storedWithdrawn != 0 }

// Position returns the position of the log entry that made the version.
func (s Stored) Position() uint64 { return binary.BigEndian.Uint64(s[10:]) }

// Time returns when the node logged the version.
func (s Stored) Time() time.Time { return time.UnixMilli(s.UnixMilli()).UTC() }

// UnixMilli returns Time in milliseconds since 1970.
func (s Stored) UnixMilli() int64 {
	return int64(binary.BigEndian.Uint16(s[18:]))<<32 | int64(binary.BigEndian.Uint32(s[20:]))
}

// RowHash returns the hash of the row that made the version.
func (s Stored) RowHash() Hash { return Hash(s[24:56]) }

// content returns the encoded content, nothing of a tombstone.
func (s Stored) content() []byte { return s[storedHead : len(s)-storedChecksum] }

// Spelling returns the identifier as it was registered; nothing when that was its
// canonical text.
func (s Stored) Spelling() []byte {
	if s.Withdrawn() {
		return nil
	}
	c := cursor{b: s.content()}
	spelling, _ := c.contentHead()
	return spelling
}

// Len returns how many values there are.
func (s Stored) Len() int {
	if s.Withdrawn() {
		return 0
	}
	c := cursor{b: s.content()}
	_, n := c.contentHead()
	return n
}

// Values yields the values in ascending order of index.
func (s Stored) Values() iter.Seq[ValueView] {
	return func(yield func(ValueView) bool) {
		if s.Withdrawn() {
			return
		}
		c := cursor{b: s.content()}
		_, n := c.contentHead()
		var before uint32
		var v ValueView
		for i := 0; i < n; i++ {
			c.value(before, &v)
			if c.err != nil || !yield(v) {
				return
			}
			before = v.Index
		}
	}
}

// Record returns the record with octets of its own. The identifier is the one
// whose key it is stored under.
func (s Stored) Record(id ID) (*Record, error) {
	r := &Record{ID: id, Version: s.Version(), Time: s.Time(), Withdrawn: s.Withdrawn(), RowHash: s.RowHash()}
	if r.Withdrawn {
		return r, nil
	}
	spelling, values, err := ParseContent(s.content())
	if err != nil {
		return nil, err
	}
	if r.Spelling, r.Values = spelling, values; spelling == "" {
		r.Spelling = id.String()
	}
	return r, nil
}

// SameContent reports whether the record is what the row would make of it: the
// same version, withdrawn or not as the row says, the same spelling and values.
// Such a row is there already.
func (s Stored) SameContent(r *Row) bool {
	if s.Version() != r.Version || s.Withdrawn() != (r.Op == Withdraw) {
		return false
	}
	if s.Withdrawn() || r.Sealed != nil { // of that only who has the contents can tell
		return true
	}
	content, err := AppendContent(nil, plainSpelling(r.ID, r.Spelling), r.Values)
	return err == nil && bytes.Equal(content, s.content())
}

// plainSpelling returns the spelling as contents carry it: none when it is the
// canonical text.
func plainSpelling(id ID, spelling string) string {
	n := len(id.Prefix)
	switch {
	case spelling == string(id.Prefix) && id.Suffix == "",
		len(spelling) > n && spelling[n] == '/' && spelling[:n] == string(id.Prefix) && spelling[n+1:] == id.Suffix && id.Suffix != "":
		return ""
	}
	return spelling
}
