package journal

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// Kind says what a frame carries.
type Kind uint8

// The kinds of frames. KindFence and KindVote have their numbers reserved: this version
// neither writes nor reads them, and names them when it meets one.
const (
	KindGroup      Kind = iota + 1 // begins a group; written by the journal itself
	KindEnd                        // ends a segment; written by the journal itself
	KindEntry                      // an entry of this node's own log
	KindCheckpoint                 // a signed checkpoint of a log
	KindMirrored                   // entries of a child's log, and the checkpoint they end with
	KindReceipt                    // a checkpoint of this node's log, cosigned above
	KindSession                    // a child's log gets a number
	KindFence                      // fences are entries of the log
	KindQuarantine                 // a log set aside, with the evidence
	KindVote                       // this node's vote on the successor of a prefix
	// KindAcknowledged: how much of this node's log a parent said that it has on disk.
	KindAcknowledged
	// KindCertain: how far a mirror is certain to be its child's log, after its node was
	// restored.
	KindCertain
	// KindTold: when a child was first told of what takes a key away.
	KindTold
)

// kindNames holds the name of every kind, by number.
func (k Kind) String() string {
	names := [...]string{
		KindGroup: "group", KindEnd: "end of segment", KindEntry: "entry", KindCheckpoint: "checkpoint",
		KindMirrored: "mirrored entry", KindReceipt: "receipt", KindSession: "session", KindFence: "fence",
		KindQuarantine: "quarantine", KindVote: "vote", KindAcknowledged: "acknowledged", KindCertain: "certain",
		KindTold: "told",
	}
	if k == 0 || int(k) >= len(names) {
		return fmt.Sprintf("kind %d", uint8(k))
	}
	return names[k]
}

// carried reports whether frames of this kind are what a caller appends and reads.
func (k Kind) carried() bool {
	switch k {
	case KindEntry, KindCheckpoint, KindMirrored, KindSession, KindReceipt, KindQuarantine, KindAcknowledged, KindCertain, KindTold:
		return true
	}
	return false
}

// Frame is one thing that the journal holds.
type Frame struct {
	// Log is the number that this node gave the log, 0 for its own.
	Log uint32
	// Position is the place in that log: of an entry its index, of a checkpoint
	// its size. The journal keeps it and does not look at it.
	Position uint64
	Kind     Kind
	// Payload is at most [MaxPayload] octets.
	Payload []byte
}

// MaxPayload is how many octets the payload of a frame may have.
const MaxPayload = 2 << 20

// Sizes in octets; the package comment has the layout.
const (
	frameHeader  = 21
	groupPayload = 16 + 8
	groupSize    = frameHeader + groupPayload
)

// journalID tells the frames of one journal from those of every other.
type journalID [16]byte

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// frameSeed is the checksum over what the checksums of all frames of a segment
// begin with.
func frameSeed(id journalID, segment uint64) uint32 {
	var b [24]byte
	copy(b[:], id[:])
	binary.BigEndian.PutUint64(b[16:], segment)
	return crc32.Checksum(b[:], castagnoli)
}

// frameChecksum returns the checksum of a whole frame that begins at octet at
// of its segment.
func frameChecksum(frame []byte, seed uint32, at int64) uint32 {
	// The octets of at one by one: an array of them would be allocated.
	sum := ^seed
	for shift := 56; shift >= 0; shift -= 8 {
		sum = castagnoli[byte(sum)^byte(at>>shift)] ^ sum>>8
	}
	return crc32.Update(crc32.Update(^sum, castagnoli, frame[:4]), castagnoli, frame[8:])
}

// appendFrame appends a frame without its checksum, which depends on where the
// frame will stand: see [sealFrame].
func appendFrame(dst []byte, f Frame) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(frameHeader+len(f.Payload)))
	dst = binary.BigEndian.AppendUint32(dst, 0)
	dst = binary.BigEndian.AppendUint32(dst, f.Log)
	dst = binary.BigEndian.AppendUint64(dst, f.Position)
	dst = append(dst, byte(f.Kind))
	return append(dst, f.Payload...)
}

// sealFrame puts the checksum into a frame that will begin at octet at.
func sealFrame(frame []byte, seed uint32, at int64) {
	binary.BigEndian.PutUint32(frame[4:], frameChecksum(frame, seed, at))
}

// appendGroup appends a frame of KindGroup or KindEnd that will begin at octet at.
func appendGroup(dst []byte, kind Kind, id journalID, synced Offset, seed uint32, at int64) []byte {
	var payload [groupPayload]byte
	copy(payload[:], id[:])
	binary.BigEndian.PutUint64(payload[16:], uint64(synced))
	n := len(dst)
	dst = appendFrame(dst, Frame{Kind: kind, Payload: payload[:]})
	sealFrame(dst[n:], seed, at)
	return dst
}

// badFrame says why octets are not a frame. It becomes a torn tail or damage,
// depending on what follows.
type badFrame struct{ reason string }

func (e *badFrame) Error() string { return e.reason }

// Reasons that need no figures, made once so that looking at a torn tail costs nothing.
var (
	errNothing  = &badFrame{"nothing is written here"}
	errCut      = &badFrame{"the segment ends inside the frame"}
	errChecksum = &badFrame{"the checksum of the frame does not match"}
)

// frameLength reads the length of the frame that b begins with. b has at least
// four octets; left is how many remain in the segment.
func frameLength(b []byte, left int64) (int, error) {
	n := binary.BigEndian.Uint32(b)
	switch {
	case n == 0:
		return 0, errNothing
	case n < frameHeader || n > frameHeader+MaxPayload:
		return 0, &badFrame{fmt.Sprintf("a frame cannot have %d octets", n)}
	case int64(n) > left:
		return 0, errCut
	}
	return int(n), nil
}

// parseFrame reads one whole frame that begins at octet at of its segment. The
// payload points into frame. Its kind may be any.
func parseFrame(frame []byte, seed uint32, at int64) (Frame, error) {
	if frameChecksum(frame, seed, at) != binary.BigEndian.Uint32(frame[4:]) {
		return Frame{}, errChecksum
	}
	return Frame{
		Log:      binary.BigEndian.Uint32(frame[8:]),
		Position: binary.BigEndian.Uint64(frame[12:]),
		Kind:     Kind(frame[20]),
		Payload:  frame[frameHeader:len(frame):len(frame)],
	}, nil
}

// parseGroup reads the payload of a frame of KindGroup or KindEnd at place at.
func parseGroup(f Frame, id journalID, at Offset) (synced Offset, err error) {
	if len(f.Payload) != groupPayload || journalID(f.Payload[:16]) != id || f.Log != 0 || f.Position != 0 {
		return 0, &badFrame{"the group is not one of this journal"}
	}
	synced = Offset(binary.BigEndian.Uint64(f.Payload[16:]))
	if synced > at {
		return 0, &badFrame{fmt.Sprintf("the group at %d says that %d was synced before it", at, synced)}
	}
	return synced, nil
}
