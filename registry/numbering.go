package registry

import (
	"encoding/binary"
	"fmt"

	"github.com/nameplate-id/nameplate/registry/identifier"
)

// role says what a log that is mirrored here is to this node.
type role uint8

const (
	roleChild role = iota // that of a child
	rolePeer              // that of another top-level node
	roleRelay             // that of a child of another top-level node, which sends it
)

func (r role) String() string {
	switch r {
	case rolePeer:
		return "peer"
	case roleRelay:
		return "relayed"
	}
	return "child"
}

// numbering gives a log that is mirrored here its number. It is the payload of a session
// frame:
//
//	format  u8   1 for a child's log, 2 for one that another top-level node sends, 3 for
//	             either where whole entries are not kept, 4 for one that takes the place of
//	             another mirror of the same log
//	number  u32  1 or more
//	log     16
//	instead u32  of format 4 only: the number of that one
//	entries u64  of format 4 only: with so many entries it takes its place
//	policy  u8   of formats 3 and 4 only: 1 pointer, 2 witness, in format 4 also 0, mirror
//	role    u8   not of format 1: 1 the top-level node's own, 2 a child's of it, and in
//	             formats 3 and 4 also 0, a child's
//	via     of role 2 only, the top-level node's key: type u8, size u16, octets
//	type    u8   of the node key that the log is signed with
//	key          to the end
type numbering struct {
	number uint32
	log    identifier.LogID
	role   role
	via    identifier.PublicKey // the node that sends it; zero when it is its own
	node   identifier.PublicKey
	policy identifier.Policy

	instead uint32 // the mirror whose place it takes; 0 for none
	entries uint64
}

const (
	numberingFormat      = 1
	numberingPeersFormat = 2
	numberingOtherFormat = 3
	numberingAgainFormat = 4
	numberingHead        = 1 + 4 + 16
	maxKeyOctets         = 8 << 10
)

func (n numbering) append(dst []byte) []byte {
	format := byte(numberingFormat)
	if n.role != roleChild {
		format = numberingPeersFormat
	}
	if n.policy != identifier.PolicyMirror {
		format = numberingOtherFormat
	}
	if n.instead != 0 {
		format = numberingAgainFormat
	}
	dst = append(dst, format)
	dst = binary.BigEndian.AppendUint32(dst, n.number)
	dst = append(dst, n.log[:]...)
	if format == numberingAgainFormat {
		dst = binary.BigEndian.AppendUint32(dst, n.instead)
		dst = binary.BigEndian.AppendUint64(dst, n.entries)
	}
	if format >= numberingOtherFormat {
		dst = append(dst, byte(n.policy))
	}
	if format != numberingFormat {
		dst = append(dst, byte(n.role))
	}
	if n.role == roleRelay {
		dst = append(dst, byte(n.via.Type))
		dst = binary.BigEndian.AppendUint16(dst, uint16(len(n.via.Raw)))
		dst = append(dst, n.via.Raw...)
	}
	dst = append(dst, byte(n.node.Type))
	return append(dst, n.node.Raw...)
}

// errNumbering says that a numbering is not as it should be.
var errNumbering = fmt.Errorf("the number of a log is not of format %d to %d: use a newer release", numberingFormat, numberingAgainFormat)

func parseNumbering(b []byte) (numbering, error) {
	if len(b) <= numberingHead || len(b) > numberingHead+2*maxKeyOctets || b[0] < numberingFormat || b[0] > numberingAgainFormat {
		return numbering{}, errNumbering
	}
	n := numbering{number: binary.BigEndian.Uint32(b[1:]), log: identifier.LogID(b[5:numberingHead])}
	rest := b[numberingHead:]
	if b[0] == numberingAgainFormat {
		if len(rest) < 4+8+2 {
			return numbering{}, errNumbering
		}
		n.instead, n.entries, rest = binary.BigEndian.Uint32(rest), binary.BigEndian.Uint64(rest[4:]), rest[4+8:]
		if n.instead == ownLog || n.instead >= n.number {
			return numbering{}, errNumbering
		}
	}
	if b[0] >= numberingOtherFormat {
		mirror := b[0] == numberingAgainFormat && identifier.Policy(rest[0]) == identifier.PolicyMirror
		if n.policy, rest = identifier.Policy(rest[0]), rest[1:]; !mirror && n.policy == identifier.PolicyMirror || n.policy > identifier.PolicyWitness || len(rest) == 0 {
			return numbering{}, errNumbering
		}
	}
	if b[0] != numberingFormat {
		n.role, rest = role(rest[0]), rest[1:]
		if n.role > roleRelay || n.role == roleChild && b[0] == numberingPeersFormat {
			return numbering{}, errNumbering
		}
	}
	if n.role == roleRelay {
		if len(rest) < 3 || len(rest) < 3+int(binary.BigEndian.Uint16(rest[1:])) {
			return numbering{}, errNumbering
		}
		size := int(binary.BigEndian.Uint16(rest[1:]))
		n.via = identifier.PublicKey{Type: identifier.KeyType(rest[0]), Raw: string(rest[3 : 3+size])}
		rest = rest[3+size:]
		if err := n.via.Check(); err != nil {
			return numbering{}, err
		}
	}
	if len(rest) < 2 || len(rest) > 1+maxKeyOctets {
		return numbering{}, errNumbering
	}
	n.node = identifier.PublicKey{Type: identifier.KeyType(rest[0]), Raw: string(rest[1:])}
	if n.number == ownLog {
		return numbering{}, fmt.Errorf("a mirrored log has the number %d, which is the node's own", ownLog)
	}
	return n, n.node.Check()
}
