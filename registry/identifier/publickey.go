package identifier

// KeyType is the kind of a key. Unknown kinds are kept and never verify.
type KeyType uint8

// Ed25519 is the signature scheme of RFC 8032; a public key is 32 octets.
const Ed25519 KeyType = 1

// PublicKey is a key that signatures are checked with. Two are equal when == says so.
type PublicKey struct {
	Type KeyType
	Raw  string // the key's octets
}

// KeyID names a key: the first eight octets of SHA-256(type ‖ raw).
type KeyID [8]byte
