package replica

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/nameplate-id/nameplate/registry/identifier"
)

// Evidence proves to anybody who knows a node's key that the node has signed two
// histories of one log: two checkpoints of one size with two roots, or a checkpoint
// whose root is not the one that a consistency proof begins with which ends at the
// other checkpoint. It is not changed once it was made.
type Evidence struct {
	Node identifier.PublicKey // whose key signed both
	Log  identifier.LogID
	// Held and Signed are the two checkpoints: the one that a mirror ends with, and
	// the other one.
	Held, Signed []byte
	// Root and Proof are empty when both have one size. Otherwise Proof is the
	// consistency proof (RFC 9162, section 2.1.4) from the smaller size to the larger
	// checkpoint, and Root the root of the smaller size that it begins with.
	Root  identifier.Hash
	Proof []identifier.Hash
}

// MaxProof is how many hashes a consistency proof has at the most (RFC 9162, section
// 2.1.4: one for each level of the tree, and one).
const MaxProof = 64

// Divergence is what a piece of evidence shows: that the first Size entries of the two
// histories are not the same. Where they differ first is among those.
type Divergence struct {
	Size         uint64
	Held, Signed identifier.Hash // the roots of the first Size entries
	// HeldSize and SignedSize are the sizes of the two checkpoints.
	HeldSize, SignedSize uint64
}

// Check returns what the evidence shows, or why it shows nothing. It needs nothing but
// the evidence.
func (e *Evidence) Check(verify VerifyCheckpoint) (Divergence, error) {
	none := func(format string, args ...any) (Divergence, error) {
		return Divergence{}, fmt.Errorf("evidence against log %s: %w", e.Log, fmt.Errorf(format, args...))
	}
	d := Divergence{}
	var err error
	if d.HeldSize, d.Held, err = verify(e.Held, e.Log, e.Node); err != nil {
		return none("the checkpoint that is held: %w", err)
	}
	if d.SignedSize, d.Signed, err = verify(e.Signed, e.Log, e.Node); err != nil {
		return none("the other checkpoint: %w", err)
	}
	d.Size = min(d.HeldSize, d.SignedSize)
	if d.HeldSize == d.SignedSize {
		if len(e.Proof) > 0 || e.Root != (identifier.Hash{}) {
			return none("two checkpoints of one size need no proof, and there is one")
		}
	} else {
		larger := &d.Signed
		if d.SignedSize < d.HeldSize {
			larger = &d.Held
		}
		if err := checkConsistency(e.Proof, d.Size, max(d.HeldSize, d.SignedSize), e.Root, *larger); err != nil {
			return none("%w", err)
		}
		*larger = e.Root // of the same size now
	}
	if d.Held == d.Signed {
		return none("the two checkpoints do not contradict each other")
	}
	return d, nil
}

// checkConsistency returns nil when the proof leads from a root to another one.
func checkConsistency(proof []identifier.Hash, old, size uint64, oldRoot, root identifier.Hash) error {
	if old == 0 || old > size || size > maxLog || len(proof) > MaxProof {
		return fmt.Errorf("there is no proof that %d entries are the beginning of %d", old, size)
	}
	hashes := make(tlog.TreeProof, len(proof))
	for i, h := range proof {
		hashes[i] = tlog.Hash(h)
	}
	if tlog.CheckTree(hashes, int64(size), tlog.Hash(root), int64(old), tlog.Hash(oldRoot)) != nil {
		return fmt.Errorf("the proof does not lead from the first %d entries to the %d", old, size)
	}
	return nil
}

// evidenceFormat is the first octet of encoded evidence.
const evidenceFormat = 1

// AppendEvidence appends the encoding of a piece of evidence, as journals keep it:
//
//	format  u8       1
//	node    key      its type, u8, and a text
//	log     16
//	held    text
//	signed  text
//	root    32
//	proof   uvarint  0 to 64, each 32 octets
//
// A text is its length as a uvarint, 1 to 65,536, and as many octets.
func AppendEvidence(dst []byte, e *Evidence) []byte {
	text := func(b, text []byte) []byte { return append(binary.AppendUvarint(b, uint64(len(text))), text...) }
	b := append(dst, evidenceFormat, byte(e.Node.Type))
	b = text(b, []byte(e.Node.Raw))
	b = append(b, e.Log[:]...)
	b = text(b, e.Held)
	b = text(b, e.Signed)
	b = append(b, e.Root[:]...)
	return appendProof(b, e.Proof)
}

// appendProof appends how many hashes a proof has, and these.
func appendProof(b []byte, proof []identifier.Hash) []byte {
	b = binary.AppendUvarint(b, uint64(len(proof)))
	for _, h := range proof {
		b = append(b, h[:]...)
	}
	return b
}

// parseProof reads what [appendProof] writes, up to the end.
func parseProof(b []byte) (proof []identifier.Hash, err error) {
	count, n := binary.Uvarint(b)
	if n != 1 || count > MaxProof || len(b)-n != int(count)*len(identifier.Hash{}) {
		return nil, fmt.Errorf("its proof has 0 to %d hashes, and nothing follows", MaxProof)
	}
	for rest := b[n:]; len(rest) > 0; rest = rest[len(identifier.Hash{}):] {
		proof = append(proof, identifier.Hash(rest[:len(identifier.Hash{})]))
	}
	return proof, nil
}

// ParseEvidence reads what [AppendEvidence] writes, and nothing else. The checkpoints
// are parts of b. Whether it is evidence is for [Evidence.Check] to say.
func ParseEvidence(b []byte) (*Evidence, error) {
	fail := func(format string, args ...any) (*Evidence, error) {
		return nil, fmt.Errorf("evidence of a fork: %w", fmt.Errorf(format, args...))
	}
	if len(b) < 2 || b[0] != evidenceFormat {
		return fail("it does not begin with format %d: use a newer version", evidenceFormat)
	}
	e := &Evidence{Node: identifier.PublicKey{Type: identifier.KeyType(b[1])}}
	raw, rest, err := cutText(b[2:], MaxCheckpoint)
	if err != nil {
		return fail("node key: %w", err)
	}
	e.Node.Raw = string(raw)
	if err := e.Node.Check(); err != nil {
		return fail("node key: %w", err)
	}
	if len(rest) < len(e.Log) {
		return fail("it ends in the log's id")
	}
	rest = rest[copy(e.Log[:], rest):]
	for _, note := range []*[]byte{&e.Held, &e.Signed} {
		if *note, rest, err = cutText(rest, MaxCheckpoint); err != nil {
			return fail("checkpoint: %w", err)
		}
	}
	if len(rest) < len(e.Root) {
		return fail("it ends in the root")
	}
	rest = rest[copy(e.Root[:], rest):]
	if e.Proof, err = parseProof(rest); err != nil {
		return fail("%w", err)
	}
	return e, nil
}
