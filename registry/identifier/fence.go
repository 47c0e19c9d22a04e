package identifier

import (
	"encoding/binary"
	"fmt"
)

// Fence is what a parent has logged about a child's log: from a position on it is judged
// by a delegation, whether the child has logged that or not. So a key that was revoked
// signs nothing any more, also at a node that does not want to hear of it.
type Fence struct {
	Log LogID // the child's log
	// Size is the position of the first entry that is meant: as many entries as the
	// child said that it had, with Root, when it should have known.
	Size uint64
	Root Hash
	// Delegation is what is in force from there on: with the keyset of that time, and
	// without keys where the prefix was taken back.
	Delegation Delegation
}

const fenceFormat = 1

// AppendFence appends the encoding of a fence, the payload of an envelope of type
// [FenceType], which the parent's node signs. Integers are big-endian. The error is that
// of [AppendDelegation].
//
//	format      u8    1
//	log         16    the child's log
//	size        u64
//	root        32
//	delegation  text  as [AppendDelegation] writes it
func AppendFence(dst []byte, f *Fence) ([]byte, error) {
	d, err := AppendDelegation(nil, &f.Delegation)
	if err != nil {
		return nil, err
	}
	b := append(append(dst, fenceFormat), f.Log[:]...)
	b = binary.BigEndian.AppendUint64(b, f.Size)
	b = append(b, f.Root[:]...)
	return appendText(b, d), nil
}

// ParseFence reads what [AppendFence] writes, and nothing else. The error is a
// [*FormatError].
func ParseFence(b []byte) (*Fence, error) {
	c := cursor{what: "fence", b: b}
	c.format(fenceFormat)
	f := &Fence{}
	c.fixed(f.Log[:])
	f.Size = c.u64()
	c.fixed(f.Root[:])
	text := c.some(MaxPayload, fmt.Sprintf("a delegation has 1 to %d octets", MaxPayload))
	if err := c.end(); err != nil {
		return nil, err
	}
	d, err := ParseDelegation(text)
	if err != nil {
		return nil, err
	}
	f.Delegation = *d
	return f, nil
}

// Check returns an error when the fence names no log, or its delegation breaks a rule
// that can be judged by itself.
func (f *Fence) Check() error {
	if f.Log == (LogID{}) {
		return &RuleError{What: "fence", Rule: "it is about a log, whose id is not all zeros", Mend: "name the child's log"}
	}
	return f.Delegation.Check()
}
