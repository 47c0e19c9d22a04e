package identifier

import "strings"

// Scheme names who owns the grammar and the case rules of an identifier. The
// first segment of the prefix decides.
type Scheme string

// The schemes.
const (
	Handle Scheme = "handle" // Handle, DOI, IDIS: every first segment that is not named below
	GS1    Scheme = "gs1"    // GS1 keys and their qualifiers
	OID    Scheme = "oid"    // object identifiers
	Web    Scheme = "web"    // http and https URLs, IEC 61406 identification links
	DID    Scheme = "did"    // decentralised identifiers
	// Reserved stands for the first segments that are kept for schemes to come:
	// ecode, vaa, iso15459, irdi and nodes. No identifier has it.
	Reserved Scheme = "reserved"
)

// Scheme returns the scheme that owns everything at and below the prefix.
func (p Prefix) Scheme() Scheme {
	first := string(p)
	if i := strings.IndexByte(first, '.'); i >= 0 {
		first = first[:i]
	}
	switch first {
	case "gs1":
		return GS1
	case "oid":
		return OID
	case "web":
		return Web
	case "did":
		return DID
	case "ecode", "vaa", "iso15459", "irdi", "nodes":
		return Reserved
	}
	return Handle
}
