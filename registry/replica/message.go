package replica

import (
	"fmt"
	"time"

	"github.com/nameplate-id/nameplate/registry/identifier"
)

// Protocol is the version of the protocol that this package speaks.
const Protocol = 4

// Limits of messages.
const (
	// MaxEntries is how many entries one Entries message may have.
	MaxEntries = 256
	// MaxOctets is how many octets the payloads of one Entries message may have
	// together. Every entry fits in a message of its own ([identifier.MaxEntry]).
	MaxOctets = 1 << 20
	// MaxCheckpoint is how many octets a checkpoint may have.
	MaxCheckpoint = 64 << 10
	// MaxDetail is how many octets the detail of a refusal may have.
	MaxDetail = 1 << 10
)

// Nonce is 32 random octets, used once.
type Nonce [32]byte

// Session names what one Welcome began: 16 random octets, never used again.
type Session [16]byte

// Message is one message of the protocol: a pointer to one of the types of this
// file. A message and what it points to are not changed once they were handed over,
// in either direction.
type Message interface{ message() }

// Challenge is the first message of a stream, from the parent.
type Challenge struct {
	// Nonce is fresh for every stream.
	Nonce Nonce
	// Parent is the parent's node key.
	Parent identifier.PublicKey
}

// Hello is the child's answer: who it is, and what it has.
type Hello struct {
	Protocol uint32
	Node     identifier.PublicKey // who sends the log, and proves this key
	Log      identifier.LogID
	// Owner is the node key that the log's entries and checkpoints are signed with. It is
	// Node, except where a top-level node sends its peers the log of a child.
	Owner identifier.PublicKey
	// Tip is a checkpoint of the log over everything that the sender has synced.
	Tip []byte
	// Nonce is fresh for every stream.
	Nonce Nonce
	// Acked is how many entries the parent with this key has ever acknowledged to the
	// child, as far as the child knows.
	Acked uint64
	// Signature is the child's, over [Hello.Signed].
	Signature []byte
}

// Welcome begins a session: what the parent has.
type Welcome struct {
	Parent    identifier.PublicKey // the parent's node key
	ParentLog identifier.LogID     // the parent's own log
	Session   Session
	Nonce     Nonce // that of the Hello
	// Checkpoint is the child's own, up to which the parent holds its mirror on
	// disk; empty while it holds nothing.
	Checkpoint []byte
	// Credit is how many octets of payloads may be under way; see [Ack].
	Credit uint64
	// Policy is what the parent keeps of the log, and so is to be sent.
	Policy identifier.Policy
	// Fence is the next fence in the log; zero for none.
	Fence Fence
	// Held is how many entries it has of the log by another policy, which goes on counting
	// until this one has as many; 0 for none.
	Held uint64
	// Signature is the parent's, over [Welcome.Signed].
	Signature []byte
}

// Entries carries entries of the child's log, and a checkpoint that ends with them.
type Entries struct {
	Session Session
	Start   uint64 // the position of the first
	// Payloads are the octets that the child's journal has for each entry.
	Payloads [][]byte
	// Checkpoint is signed by the child over Start + len(Payloads) entries.
	Checkpoint []byte
	// Proof is the consistency proof (RFC 9162, section 2.1.4) from so many entries to the
	// fence that the Welcome named; empty where they reach that.
	Proof []identifier.Hash
}

// Ack says what the parent has on disk. It is cumulative, and also the parent's
// heartbeat.
type Ack struct {
	Session Session
	Size    uint64
	Root    identifier.Hash // of the first Size entries
	// Credit is how many octets of payloads the child may have under way from now
	// on: sent, and not acknowledged. 0 asks it to wait; else it is [MaxOctets] or more.
	Credit uint64
	// Anchored is how many entries the parent acknowledges for anchoring: what stands
	// among them is held above the child, which may cosign for its own children what
	// rests on it. It is at most Size.
	Anchored uint64
}

// Cosigned brings a receipt: a checkpoint of the child that the level above the parent
// holds, and perhaps the way from there to a top-level node. What the child has already,
// or has a newer one of, it drops.
type Cosigned struct {
	Session Session
	Receipt *Receipt
}

// Nack asks the child to go on with another position, because what came last does
// not follow on what the parent has.
type Nack struct {
	Session Session
	Next    uint64
}

// Fetch asks for entries of the child's own log, which it has lost and the parent has.
type Fetch struct {
	Session Session
	From    uint64 // the position of the first that the child lacks
}

// Return gives the child a unit of its own log back, as the mirror has it.
type Return struct {
	Session  Session
	Start    uint64 // the position of the first entry
	Payloads [][]byte
	// Checkpoint is what the child once signed over Start + len(Payloads) entries.
	Checkpoint []byte
}

// Grant tells the child of a delegation or keyset of a prefix that is its own.
type Grant struct {
	Session Session
	// Number counts the grants of a session, from 0.
	Number   uint64
	Envelope identifier.Envelope
}

// Heartbeat tells the parent how far the child is, and that it is there.
type Heartbeat struct {
	Session Session
	Sent    uint64 // where the next Entries will begin
	Size    uint64 // how many entries the child has synced
	Grants  uint64 // how many grants it has taken in, of this session
	// Anchored and Rooted are how many entries the newest receipts are for that it has
	// synced.
	Anchored, Rooted uint64
}

// Order is what a Control asks of the child.
type Order uint8

// The numbers are those of the wire.
const (
	// Pause: the parent takes in no more for now, because its disk is nearly full. Its
	// credit is 0 until it says Resume.
	Pause Order = iota + 1
	// Resume: it takes in more again.
	Resume
	// Drain: the parent is being stopped. The child sends nothing more, ends the stream
	// when what it has sent is acknowledged, and comes back after a while.
	Drain
)

func (o Order) String() string {
	switch o {
	case Pause:
		return "pause"
	case Resume:
		return "resume"
	case Drain:
		return "drain"
	}
	return fmt.Sprintf("order %d", uint8(o))
}

// MaxAfter is how long a parent may ask a child to stay away.
const MaxAfter = time.Minute

// Control asks the child to wait, to go on, or to come back later.
type Control struct {
	Session Session
	Order   Order
	// Detail says why, for people.
	Detail string
	// After is how long the child stays away, with Drain.
	After time.Duration
}

// Refuse ends a stream, from either side.
type Refuse struct {
	// Nonce is that of the stream's Hello, zero when none came.
	Nonce  Nonce
	Reason Reason
	// Detail says the same for people, with what to do.
	Detail string
	// Evidence is a checkpoint of the child that contradicts another one of it,
	// where the reason is Fork or Mismatch.
	Evidence []byte
	// Root and Proof are those of [Evidence], where the Evidence is a checkpoint of
	// more entries than the child has.
	Root  identifier.Hash
	Proof []identifier.Hash
	// Signed is the other checkpoint, where the parent has evidence of a fork: what the
	// child has now may be the beginning of both histories, or one of them.
	Signed []byte
}

func (*Challenge) message() {}
func (*Hello) message()     {}
func (*Welcome) message()   {}
func (*Entries) message()   {}
func (*Ack) message()       {}
func (*Nack) message()      {}
func (*Fetch) message()     {}
func (*Return) message()    {}
func (*Cosigned) message()  {}
func (*Grant) message()     {}
func (*Control) message()   {}
func (*Heartbeat) message() {}
func (*Refuse) message()    {}
