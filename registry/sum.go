package registry

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"

	"github.com/nameplate-id/nameplate/registry/identifier"
)

// Records and delegations carry a checksum in their stored form. Notes and the
// suffixes behind hashes get one here: CRC-32C (RFC 9260, appendix A) over key and
// value, in four octets behind the value.

const sumSize = 4

// sum returns a value with its checksum, in octets of its own.
func sum(key, value []byte) []byte {
	b := make([]byte, 0, len(value)+sumSize)
	b = append(b, value...)
	return binary.BigEndian.AppendUint32(b, addChecksum(checksum(key), value))
}

// summed returns the value in what [sum] returned, as a part of it. The error is an
// [*identifier.DamageError].
func summed(key, b []byte) ([]byte, error) {
	n := len(b) - sumSize
	if n < 0 || binary.BigEndian.Uint32(b[n:]) != addChecksum(checksum(key), b[:n]) {
		return nil, &identifier.DamageError{Key: bytes.Clone(key), Reason: "the checksum does not match"}
	}
	return b[:n:n], nil
}

func checksum(b []byte) uint32 { return addChecksum(0, b) }

// addChecksum returns the checksum of what has a checksum and b behind it.
func addChecksum(sum uint32, b []byte) uint32 {
	return crc32.Update(sum, crc32.MakeTable(crc32.Castagnoli), b) // the package makes the table once
}
