package replica

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/nameplate-id/nameplate/registry/identifier"
)

// Log is the child's own log as the protocol reads it. Nothing is ever written
// through it. Its methods are called with sizes and positions that [Child.Grow] has
// told, so with synced entries only. They may read the disk; nobody but the child's
// own stream waits for them. An error ends the stream, and the next one tries again.
type Log interface {
	// Entries returns the payloads of the entries from a position on, exactly as
	// the journal has them: at least one, at most so many, and more than the first
	// only as far as they have so many octets together. The position is below the
	// size.
	Entries(from uint64, entries, octets int) ([][]byte, error)
	// Root returns the Merkle root of the first size entries (RFC 9162, section 2.1.1).
	Root(size uint64) (identifier.Hash, error)
	// SignCheckpoint returns a checkpoint over the first size entries, signed with
	// the node's key, and the root in it. It need not be kept.
	SignCheckpoint(size uint64) (note []byte, root identifier.Hash, err error)
	// Prove returns the consistency proof (RFC 9162, section 2.1.4) from the first old
	// entries, at least one, to the first size, which are more.
	Prove(old, size uint64) ([]identifier.Hash, error)
	Edge
}

// Edge is a log that can tell more of its tree. A child that gets entries back works
// out with it what they add up to.
type Edge interface {
	// Subtrees returns the roots of the complete subtrees of everything that is
	// synced, as [Mirror] has them, and how many entries that is. Nothing is
	// appended meanwhile.
	Subtrees() (size uint64, subtrees []identifier.Hash, err error)
}

// History is a mirror as its parent reads it again, to compare it with what a child
// says that it has, and to give back what the child has lost. Sizes and positions are
// those that are stored. An error ends the stream, and the next one tries again. A witness
// is asked for units alone, and has none of some positions.
type History interface {
	// Root returns the Merkle root of the first size entries.
	Root(size uint64) (identifier.Hash, error)
	// Prove returns the consistency proof (RFC 9162, section 2.1.4) from the first old
	// entries, at least one, to the first size, which are more.
	Prove(old, size uint64) ([]identifier.Hash, error)
	// Unit returns the unit that holds the entry at a position, as it was stored.
	Unit(position uint64) (*Unit, error)
}

// Signer signs with a node's key; [identifier.PrivateKey] is one.
type Signer interface {
	Public() identifier.PublicKey
	Sign(message []byte) []byte
}

// VerifyCheckpoint reads a checkpoint of a log and checks the signature of its node's
// key. It is what journal.VerifyCheckpoint does.
type VerifyCheckpoint func(note []byte, log identifier.LogID, key identifier.PublicKey) (size uint64, root identifier.Hash, err error)

// Mirror is a mirror as the parent finds it on its disk, when it takes the child's
// first Hello since it started.
type Mirror struct {
	// Checkpoint is that of the last unit; empty when there is none.
	Checkpoint []byte
	// Size is how many entries there are: as many as the checkpoint says.
	Size uint64
	// Subtrees holds the root of the complete subtree of 2^i leaves for every set
	// bit i of Size, the largest subtree first (RFC 9162, section 2.1): what is
	// needed to work out the root of more.
	Subtrees []identifier.Hash
}

// Unit is what the parent stores at once: entries that follow on the mirror, and the
// checkpoint that the child signed over everything up to the last of them. It counts
// as a whole or not at all: until all of it is synced, and after a crash in between,
// the mirror ends with the unit before it.
type Unit struct {
	Start    uint64 // the position of the first entry
	Payloads [][]byte
	// Checkpoint has size Start + len(Payloads), or Size.
	Checkpoint []byte
	// Root is the root in the checkpoint.
	Root identifier.Hash
	// Size and Proof are those of a witness, which has no entries but the log's first, where
	// Start is 0: the size of the checkpoint, and what proves that it follows on the one
	// before (see [Advance]). Size is 0 where there are entries.
	Size  uint64
	Proof []identifier.Hash
}

// End returns how many entries the mirror has with the unit, or a witness knows of.
func (u *Unit) End() uint64 {
	if u.Witnessed() {
		return u.Size
	}
	return u.Start + uint64(len(u.Payloads))
}

func octetsIn(payloads [][]byte) uint64 {
	n := 0
	for _, p := range payloads {
		n += len(p)
	}
	return uint64(n)
}

// unitFormat is the first octet of an encoded unit.
const unitFormat = 1

// AppendUnit appends the encoding of a unit, which one frame of the journal can hold:
// so it is on the disk as a whole or not at all, whatever happens.
//
//	format      u8        1
//	start       u64
//	checkpoint  text      1 to 65,536 octets
//	entries     uvarint   1 to 256, each: text, 1 octet or more, 1 MiB together
//
// A text is its length as a uvarint and as many octets.
//
// That of a witness is another one (appendWitnessed).
func AppendUnit(dst []byte, u *Unit) []byte {
	if u.Witnessed() {
		return appendWitnessed(dst, u)
	}
	b := append(dst, unitFormat)
	b = binary.BigEndian.AppendUint64(b, u.Start)
	b = binary.AppendUvarint(b, uint64(len(u.Checkpoint)))
	b = append(b, u.Checkpoint...)
	b = binary.AppendUvarint(b, uint64(len(u.Payloads)))
	for _, p := range u.Payloads {
		b = binary.AppendUvarint(b, uint64(len(p)))
		b = append(b, p...)
	}
	return b
}

// ParseUnit reads what [AppendUnit] writes, and nothing else. The payloads are parts
// of b. The Root stays zero: whoever verifies the checkpoint learns it.
func ParseUnit(b []byte) (*Unit, error) {
	fail := func(format string, args ...any) (*Unit, error) {
		return nil, fmt.Errorf("unit of a mirror: %w", fmt.Errorf(format, args...))
	}
	if len(b) > 0 && b[0] == witnessFormat {
		return parseWitnessed(b)
	}
	if len(b) < 9 || b[0] != unitFormat {
		return fail("it does not begin with format %d or %d and a position: use a newer version", unitFormat, witnessFormat)
	}
	u := &Unit{Start: binary.BigEndian.Uint64(b[1:])}
	rest := b[9:]
	var err error
	if u.Checkpoint, rest, err = cutText(rest, MaxCheckpoint); err != nil {
		return fail("checkpoint: %w", err)
	}
	count, n := binary.Uvarint(rest)
	if n <= 0 || count == 0 || count > MaxEntries || n != len(binary.AppendUvarint(nil, count)) {
		return fail("it has 1 to %d entries", MaxEntries)
	}
	if u.Start+count < u.Start {
		return fail("it begins at %d", u.Start)
	}
	rest = rest[n:]
	left := MaxOctets
	u.Payloads = make([][]byte, count)
	for i := range u.Payloads {
		if u.Payloads[i], rest, err = cutText(rest, left); err != nil {
			return fail("entry %d: %w", u.Start+uint64(i), err)
		}
		left -= len(u.Payloads[i])
	}
	if len(rest) != 0 {
		return fail("there are %d octets behind it", len(rest))
	}
	return u, nil
}

// errText says that a text is not as it should be.
var errText = errors.New("its length is not 1 or more, as short as it can be, and within the limits and what is there")

func cutText(b []byte, limit int) (text, rest []byte, err error) {
	size, n := binary.Uvarint(b)
	if n <= 0 || size == 0 || size > uint64(min(limit, len(b)-n)) || n != len(binary.AppendUvarint(nil, size)) {
		return nil, nil, errText
	}
	end := n + int(size)
	return b[n:end:end], b[end:], nil
}
