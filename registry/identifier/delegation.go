package identifier

// Delegation says who holds a prefix and which node answers for it. It is
// signed by who holds the prefix above and logged there.
type Delegation struct {
	Prefix Prefix
	// Epoch counts the delegations of this prefix, from 1; one that does not
	// follow on the last is refused.
	Epoch uint64
	// Keyset are the holder's keys. Without keys the delegation is revoked: the
	// prefix falls back to who holds the one above.
	Keyset Keyset
	// Node is the node that answers for the prefix; nil when the delegating node
	// does itself.
	Node *Node
	// NoAgents forbids changes that a node signs on behalf of somebody whom it
	// authenticated in another way.
	NoAgents bool
	// Private refuses questions below this prefix alike, whether what is asked
	// for exists or not.
	Private bool
}

// Revoked reports whether the delegation takes a prefix back.
func (d *Delegation) Revoked() bool { return len(d.Keyset.Keys) == 0 }

// Keyset is a set of keys of which Threshold must sign.
type Keyset struct {
	// Version counts the keysets of a prefix, from 1, through all its epochs.
	Version   uint64
	Threshold int // 1 or more, at most len(Keys)
	Keys      []PublicKey
}

// KeysetChange replaces the keyset of a delegated prefix. It is signed by the
// keyset before it, or by who holds the prefix above.
type KeysetChange struct {
	Prefix Prefix
	Epoch  uint64 // of the delegation it belongs to
	Keyset Keyset
}

// Node is where a delegated prefix is answered.
type Node struct {
	// Name is one DNS label, the node's name below _ns in NS records.
	Name string
	Key  PublicKey
	// Addresses are where it answers, best first; 1 to 16.
	Addresses []Address
}

// Address is one place where a node answers.
type Address struct {
	// IP is what NS glue carries.
	IP string
	// Ports by protocol; 0 means that it does not speak it there.
	DNS, GRPC, HTTP, Handle uint16
}

// Genesis is entry 0 of every log.
type Genesis struct {
	Log    LogID
	Key    PublicKey // the node's
	Format uint32    // of the entries that follow
}

// LogID names a log: 16 random octets drawn when it is created.
type LogID [16]byte
