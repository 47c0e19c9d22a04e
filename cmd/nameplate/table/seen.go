package table

import (
	"crypto/sha256"
	"fmt"

	"github.com/nameplate-id/nameplate/registry/identifier"
)

// Seen remembers the identifiers of a file to find the one that comes twice. It
// takes about 50 octets for each, 50 MB for a million. It knows them by the first
// 16 octets of their SHA-256, so no two different ones are ever taken for the same.
type Seen struct {
	lines map[[16]byte]uint32
}

// NewSeen returns an empty memory.
func NewSeen() *Seen { return &Seen{lines: make(map[[16]byte]uint32)} }

// Add remembers a registration. For an identifier that came before it returns a
// [*RowError].
func (s *Seen) Add(r *Registration) error {
	sum := sha256.Sum256(identifier.AppendKey(nil, r.ID))
	key := [16]byte(sum[:16])
	if first, twice := s.lines[key]; twice {
		return &RowError{Row: r.Row, Line: r.Line, LastLine: r.Line,
			Reason: fmt.Sprintf("%s stands in line %d already: leave one out", r.ID, first)}
	}
	s.lines[key] = uint32(r.Line)
	return nil
}
