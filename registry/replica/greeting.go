package replica

import (
	"encoding/binary"

	"github.com/nameplate-id/nameplate/registry/identifier"
)

// What the two sides sign begins with one of these. No other thing that a node key
// signs does: envelopes begin with "DSSEv1", checkpoints with their origin.
const (
	helloLabel   = "nameplate hello\x00"
	welcomeLabel = "nameplate welcome\x00"
)

// appendText appends a length as 32 bits, big-endian, and the octets.
func appendText[T ~string | ~[]byte](dst []byte, text T) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(text)))
	return append(dst, text...)
}

func appendKey(dst []byte, k identifier.PublicKey) []byte {
	return appendText(append(dst, byte(k.Type)), k.Raw)
}

// Signed returns what the child signs: a label, the parent's challenge and key, and
// every field of the Hello. The challenge makes it worthless on another stream, the
// key at another parent. Integers are big-endian; a text is preceded by its length in
// 32 bits; a key is its type, u8, and a text.
//
//	label      "nameplate hello" and 0x00
//	challenge  32 octets, and the parent's key
//	protocol   u32
//	node       key
//	log        16 octets
//	owner      key
//	tip        text
//	nonce      32 octets
//	acked      u64
func (m *Hello) Signed(c *Challenge) []byte {
	b := append([]byte(helloLabel), c.Nonce[:]...)
	b = appendKey(b, c.Parent)
	b = binary.BigEndian.AppendUint32(b, m.Protocol)
	b = appendKey(b, m.Node)
	b = append(b, m.Log[:]...)
	b = appendKey(b, m.Owner)
	b = appendText(b, m.Tip)
	b = append(b, m.Nonce[:]...)
	return binary.BigEndian.AppendUint64(b, m.Acked)
}

// Signed returns what the parent signs: a label, whom it welcomes, and every field of
// the Welcome. The Hello's nonce in it makes it worthless on another stream.
//
//	label       "nameplate welcome" and 0x00
//	child       key and log id of the Hello
//	parent      key, and the parent's log id
//	session     16 octets
//	nonce       32 octets
//	checkpoint  text
//	credit      u64
//	policy      u8
//	fence       where there is one: size u64, root 32 octets
//	held        u64, unless it is 0
func (m *Welcome) Signed(child identifier.PublicKey, log identifier.LogID) []byte {
	b := appendKey([]byte(welcomeLabel), child)
	b = append(b, log[:]...)
	b = appendKey(b, m.Parent)
	b = append(b, m.ParentLog[:]...)
	b = append(b, m.Session[:]...)
	b = append(b, m.Nonce[:]...)
	b = appendText(b, m.Checkpoint)
	b = append(binary.BigEndian.AppendUint64(b, m.Credit), byte(m.Policy))
	b = m.Fence.append(b)
	if m.Held > 0 {
		b = binary.BigEndian.AppendUint64(b, m.Held)
	}
	return b
}

// CheckHello returns nil when a Hello is the answer to a challenge and speaks this
// version of the protocol. Whether the parent knows the node is another question, and
// the next one to ask.
func CheckHello(m *Hello, c *Challenge) *Refusal { return checkHello(m, c, nil) }

func checkHello(m *Hello, c *Challenge, p proves) *Refusal {
	switch {
	case m.Protocol != Protocol:
		return refuse(BadProtocol, "version %d of the replication protocol is spoken here, not %d: run the same release on both nodes", Protocol, m.Protocol)
	case m.Log == identifier.LogID{}:
		return refuse(Malformed, "the log has an id that is not all zeros")
	case len(m.Tip) > MaxCheckpoint:
		return refuse(Malformed, "a checkpoint has at most %d octets, not %d", MaxCheckpoint, len(m.Tip))
	case m.Node == c.Parent:
		return refuse(Malformed, "a node is not its own parent: give it another address as its parent's")
	case !p.check(m.Node, m.Signed(c), m.Signature):
		return refuse(Unauthenticated, "the Hello is not signed by node key %s for this stream", m.Node)
	}
	return nil
}
