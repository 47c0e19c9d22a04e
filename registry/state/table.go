package state

import (
	"encoding/binary"
	"fmt"
)

// Table names one sorted table of the state.
type Table uint8

const (
	// Records holds what identifiers point to, by the key of the identifier.
	// It is versioned: see [Mutation].
	Records Table = iota + 1
	// Delegations holds who has which prefix, by the key of the prefix. It is
	// versioned too; a revoked delegation is a withdrawn row.
	Delegations
	// Hashed finds the suffix of an identifier whose DNS name carries a hash.
	Hashed
	// Tiles holds the hashes of a log's Merkle tree, by [AppendTileKey].
	Tiles
	// Notes holds small facts about a log that its owner keeps with it.
	Notes

	// runs is the run index: log, position → journal offset. Only Publish
	// writes it.
	runs

	tables
)

// String returns the table's name, which is also that of its bucket.
func (t Table) String() string {
	switch t {
	case Records:
		return "records"
	case Delegations:
		return "delegations"
	case Hashed:
		return "hashed"
	case Tiles:
		return "tiles"
	case Notes:
		return "notes"
	case runs:
		return "runs"
	}
	return fmt.Sprintf("table %d", uint8(t))
}

// withdrawnBucket returns the name of the bucket in which the withdrawn rows of a
// versioned table lie, so that a scan over the live ones meets nothing else.
func (t Table) withdrawnBucket() string {
	if t == Records {
		return "records.withdrawn"
	}
	return "delegations.withdrawn"
}

// versioned reports whether rows of the table carry a version and may be
// withdrawn.
func (t Table) versioned() bool { return t == Records || t == Delegations }

// Limits of a row.
const (
	MaxKey   = 4096    // octets of a key, without the log number
	MaxValue = 1 << 20 // octets of a value
)

// minVersioned is the least that a value of a versioned table has: the format
// octet and the version.
const minVersioned = 9

// Mutation puts one row.
//
// In [Records] and [Delegations] a value carries its version in octets 1 to 8
// (big-endian, behind the octet of its format), and a row only replaces one of a
// lower version. One of the same version is without effect, whatever its octets;
// it must agree about being withdrawn. Such rows are never removed; a tombstone is
// a value like any other, with Withdrawn set.
//
// In the other tables the last row wins, and a nil Value removes it.
type Mutation struct {
	Table Table
	// Key does not hold the log number: it is that of the batch.
	Key   []byte
	Value []byte
	// Withdrawn marks a tombstone or a revoked delegation: [Reader.Get] finds it,
	// [Reader.Live] and [Reader.AnyWithPrefix] do not.
	Withdrawn bool
}

// Batch is what one frame of the journal means: the rows of an entry, or of
// several that share the frame, or none.
type Batch struct {
	Log uint32
	// Position is how many entries of the log are applied after the batch. A
	// frame that is no entry leaves it where it was.
	Position uint64
	// At is the journal offset at which the frame begins, End the one at which
	// the next begins.
	At, End uint64
	// Mutations may be in any order. Where two name the same row, the later one
	// comes later.
	Mutations []Mutation
}

// check returns what is wrong with a batch in itself.
func (b *Batch) check() error {
	if b.End <= b.At {
		return fmt.Errorf("state: a batch ends at journal offset %d, which is not behind its beginning %d", b.End, b.At)
	}
	for i := range b.Mutations {
		if err := b.Mutations[i].check(); err != nil {
			return fmt.Errorf("state: batch at journal offset %d: row %d: %w", b.At, i, err)
		}
	}
	return nil
}

func (m *Mutation) check() error {
	switch {
	case m.Table == 0 || m.Table >= runs:
		return fmt.Errorf("%v cannot be written", m.Table)
	case len(m.Key) > MaxKey:
		return fmt.Errorf("a key in %v has %d octets, more than %d", m.Table, len(m.Key), MaxKey)
	case len(m.Value) > MaxValue:
		return fmt.Errorf("a value in %v has %d octets, more than %d", m.Table, len(m.Value), MaxValue)
	case m.Table.versioned() && len(m.Value) < minVersioned:
		return fmt.Errorf("a value in %v has %d octets, fewer than its format and version", m.Table, len(m.Value))
	case !m.Table.versioned() && m.Withdrawn:
		return fmt.Errorf("a row in %v cannot be withdrawn", m.Table)
	}
	return nil
}

// version returns the version of a value of a versioned table.
func version(value []byte) uint64 { return binary.BigEndian.Uint64(value[1:minVersioned]) }

// logSize is how many octets the log number takes in front of a key.
const logSize = 4

// appendKey appends a row's key as it is stored: log number, key.
func appendKey(dst []byte, log uint32, key []byte) []byte {
	return append(binary.BigEndian.AppendUint32(dst, log), key...)
}

// AppendTileKey appends the key of a hash tile: its level in one octet, its
// number in eight.
func AppendTileKey(dst []byte, level uint8, number uint64) []byte {
	return binary.BigEndian.AppendUint64(append(dst, level), number)
}
