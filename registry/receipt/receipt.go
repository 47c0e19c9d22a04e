package receipt

import (
	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/replica"
)

// Receipt is the proof of one row. What it shows is true only when [Receipt.Verify] says
// so.
type Receipt struct {
	// Log is the log that the row stands in, Node the node key that signs it.
	Log  identifier.LogID
	Node identifier.PublicKey
	// Row is the row with its content, IDSalt and ValueSalt the salts that it was hashed
	// with, and Path its place in the tree over the rows of its change.
	Row               identifier.Row
	IDSalt, ValueSalt identifier.Hash
	Path              identifier.RowProof
	// Leaf is what the log's tree hashes of the change: its signed header, the signatures
	// and the node's time ([identifier.AppendLeaf]).
	Leaf []byte
	// Position is the place of the change in the log, and Inclusion its proof (RFC 9162,
	// section 2.1.3) in the checkpoint below.
	Position  uint64
	Inclusion []identifier.Hash
	// Note is the checkpoint, a C2SP signed note, while nobody has cosigned it.
	Note []byte
	// Cosigned has the checkpoint with the cosignature of the level above, and perhaps the
	// way up from there; nil while Note stands alone.
	Cosigned *replica.Receipt
}

// checkpoint returns the note that the inclusion leads to.
func (r *Receipt) checkpoint() []byte {
	if r.Cosigned != nil {
		return r.Cosigned.Note
	}
	return r.Note
}
