package identifier_test

import (
	"encoding/binary"
	"hash/crc32"
	"slices"
)

// summed appends the checksum of a stored form, computed here from its
// specification alone.
func summed(key, b []byte) []byte {
	sum := crc32.Checksum(slices.Concat(key, b), crc32.MakeTable(crc32.Castagnoli))
	return binary.BigEndian.AppendUint32(b, sum)
}
