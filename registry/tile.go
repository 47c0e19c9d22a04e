package registry

import (
	"bytes"
	"encoding/binary"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/journal"
)

// A tile is stored as its hashes, each followed by a CRC-32C (RFC 9260, appendix A)
// over the tile's key and all hashes up to it. So a tile only grows at its end, and
// adding a hash, which every entry does, copies nothing.

const (
	hashSize = len(identifier.Hash{})
	unitSize = hashSize + sumSize
)

// storedTile is the stored form of a tile that grows. The octets that were given out
// are never written to again.
type storedTile struct {
	index  uint64
	octets []byte
}

// grow returns the stored form of a tile, usually one hash more than the last time.
func (s *storedTile) grow(key []byte, t journal.Tile) []byte {
	have, hashes := len(s.octets)/unitSize, len(t.Hashes)/hashSize
	if s.index != t.Index || have > hashes {
		s.index, s.octets, have = t.Index, nil, 0
	}
	sum := checksum(key)
	if have > 0 {
		sum = binary.BigEndian.Uint32(s.octets[len(s.octets)-sumSize:])
	}
	for ; have < hashes; have++ {
		hash := t.Hashes[have*hashSize:][:hashSize]
		sum = addChecksum(sum, hash)
		s.octets = binary.BigEndian.AppendUint32(append(s.octets, hash...), sum)
	}
	return s.octets[:len(s.octets):len(s.octets)]
}

// tileHashes returns the hashes of a stored tile. The error is an
// [*identifier.DamageError].
func tileHashes(key, stored []byte) ([]byte, error) {
	hashes := make([]byte, 0, len(stored)/unitSize*hashSize)
	sum := checksum(key)
	for b := stored; len(b) > 0; b = b[unitSize:] {
		if len(b) >= unitSize {
			sum = addChecksum(sum, b[:hashSize])
		}
		if len(b) < unitSize || binary.BigEndian.Uint32(b[hashSize:]) != sum {
			return nil, &identifier.DamageError{Key: bytes.Clone(key), Reason: "the checksum of a hash does not match"}
		}
		hashes = append(hashes, b[:hashSize]...)
	}
	return hashes, nil
}
