package identifier

import "time"

// Limits of a change.
const (
	MaxRows       = 1024
	MaxChange     = 512 << 10 // octets of the rows of a change, encoded
	MaxSignatures = 16
)

// Op is what a row does.
type Op uint8

const (
	Put Op = iota + 1
	Withdraw
)

// Row puts or withdraws one record.
type Row struct {
	Op Op
	ID ID
	// Version is the version that the row makes: the one before it plus one.
	Version uint64
	// Replaces is the row hash of the version before; zero for version 1.
	Replaces Hash
	// Spelling and Values are the row's content; empty for a withdrawal.
	Spelling string
	Values   []Value
}

// Header is the signed part of a change.
type Header struct {
	// Prefix is the delegated prefix whose holder signs; it covers every row.
	Prefix Prefix
	// Epoch and KeysetVersion are those of the delegation that the signer knew.
	Epoch         uint64
	KeysetVersion uint64
	// Rows is how many rows there are, Root the Merkle tree hash (RFC 9162,
	// section 2.1) over them.
	Rows uint32
	Root Hash
	// Expiry is when the change may no longer be admitted, to the second.
	Expiry time.Time
	// Agent and AgentMethod are set when a node signs on behalf of somebody: whom
	// it authenticated, and how.
	Agent       string
	AgentMethod string
}

// Change is one signed request: a header over rows that travel beside it.
type Change struct {
	// Envelope carries the encoded Header.
	Envelope Envelope
	// IDSeed and ValueSeed are what the salts of the rows are drawn from.
	IDSeed, ValueSeed Seed
	// Rows ascend strictly by key.
	Rows []Row
}

// Hash is a SHA-256 digest.
type Hash [32]byte

// Seed is 32 random octets.
type Seed [32]byte

// Envelope is a DSSE envelope (v1.0.2): exact bytes and who signed them.
// The payload is never encoded again.
type Envelope struct {
	PayloadType string
	Payload     []byte
	Signatures  []Signature
}

// Signature is one signature of an envelope, over its pre-authentication encoding.
type Signature struct {
	Key       KeyID
	Signature []byte
}

// EntryKind says what a log entry is.
type EntryKind uint8

const (
	EntryGenesis EntryKind = iota + 1
	EntryChange
	EntryDelegation
	EntryKeyset
	EntryGrant // a delegation of this node's own prefix, signed above
)

// Entry is one entry of a log. What the Merkle tree hashes (the leaf) is Kind,
// Time and Envelope; the rows of a change travel beside it, bound by its header.
type Entry struct {
	Kind EntryKind
	// Time is the node's clock when it logged the entry, to the millisecond.
	// Nothing is ever decided by it.
	Time     time.Time
	Envelope Envelope
	// IDSeed, ValueSeed and Rows are those of a change.
	IDSeed, ValueSeed Seed
	Rows              []Row
}
