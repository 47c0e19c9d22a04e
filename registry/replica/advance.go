package replica

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/nameplate-id/nameplate/registry/identifier"
)

// Advance leads a parent that is a witness from one checkpoint of the child to a larger
// one.
type Advance struct {
	Session Session
	// Old is how many entries the checkpoint covers that the parent has, and Root their
	// root; both are zero while it has none.
	Old  uint64
	Root identifier.Hash
	// Checkpoint is signed by the child, over more entries.
	Checkpoint []byte
	// First is the payload of the log's first entry, where Old is 0; else empty.
	First []byte
	// Proof is the consistency proof (RFC 9162, section 2.1.4) from the first Old entries
	// to the checkpoint; where Old is 0, from the first entry.
	Proof []identifier.Hash
}

func (*Advance) message() {}

// octets returns how much of the credit the message takes.
func (m *Advance) octets() uint64 {
	return uint64(len(m.First) + len(m.Checkpoint) + len(m.Proof)*len(identifier.Hash{}))
}

// Witnessed reports whether the unit is one of a witness: it has no entries, or the log's
// first alone, and a proof.
func (u *Unit) Witnessed() bool { return u.Size > 0 }

// Follows returns nil when the unit of a witness leads from the first Start entries, whose
// root is old, to Size entries with this root. Where Start is 0, old says nothing.
func (u *Unit) Follows(old, root identifier.Hash) error {
	from := u.Start
	if from == 0 {
		if len(u.Payloads) != 1 {
			return fmt.Errorf("%d entries came, and not the first one of the log", len(u.Payloads))
		}
		leaf, err := identifier.EntryLeaf(u.Payloads[0])
		if err != nil {
			return fmt.Errorf("entry 0: %w", err)
		}
		from, old = 1, identifier.Hash(tlog.RecordHash(leaf))
	}
	if from != u.Size {
		return checkConsistency(u.Proof, from, u.Size, old, root)
	}
	if u.Start == u.Size || len(u.Proof) > 0 || old != root {
		return fmt.Errorf("the first entry is not the %d that were signed", u.Size)
	}
	return nil
}

// witnessFormat is the first octet of an encoded unit of a witness.
const witnessFormat = 2

// appendWitnessed appends the encoding of a unit of a witness:
//
//	format      u8        2
//	start       u64
//	size        u64       more than start
//	checkpoint  text      1 to 65,536 octets
//	first       text      where start is 0: the log's first entry, 1 octet or more, 1 MiB at most
//	proof       uvarint   0 to 64, each 32 octets
//
// A text is its length as a uvarint and as many octets.
func appendWitnessed(b []byte, u *Unit) []byte {
	text := func(b, text []byte) []byte { return append(binary.AppendUvarint(b, uint64(len(text))), text...) }
	b = append(b, witnessFormat)
	b = binary.BigEndian.AppendUint64(b, u.Start)
	b = binary.BigEndian.AppendUint64(b, u.Size)
	b = text(b, u.Checkpoint)
	if u.Start == 0 {
		b = text(b, u.Payloads[0])
	}
	return appendProof(b, u.Proof)
}

func parseWitnessed(b []byte) (*Unit, error) {
	fail := func(format string, args ...any) (*Unit, error) {
		return nil, fmt.Errorf("unit of a witness: %w", fmt.Errorf(format, args...))
	}
	if len(b) < 17 {
		return fail("it ends before its size")
	}
	u := &Unit{Start: binary.BigEndian.Uint64(b[1:]), Size: binary.BigEndian.Uint64(b[9:])}
	if u.Size <= u.Start || u.Size > maxLog {
		return fail("it leads from %d entries to %d", u.Start, u.Size)
	}
	var err error
	rest := b[17:]
	if u.Checkpoint, rest, err = cutText(rest, MaxCheckpoint); err != nil {
		return fail("checkpoint: %w", err)
	}
	if u.Start == 0 {
		first, after, err := cutText(rest, MaxOctets)
		if err != nil {
			return fail("first entry: %w", err)
		}
		u.Payloads, rest = [][]byte{first}, after
	}
	if u.Proof, err = parseProof(rest); err != nil {
		return fail("%w", err)
	}
	return u, nil
}
