package identifier

import (
	"bytes"
	"encoding/binary"
)

// StoredDelegation is a delegation, with the keyset it has now, as the state
// keeps it:
//
//	 0  format      u8    1
//	 1  position    u64   of the log entry, a delegation or a change of keyset, that made it
//	 9  granted     u64   position of the delegation that it rests on; at most the one before
//	17  delegation        see [AppendDelegation]
//	    checksum    u32   as in [Stored]
//
// The position grows with every change of a delegation and so serves as its
// version. A revoked delegation stays, for its epoch and the version of its keyset.
// The methods may be called only on what [CheckStoredDelegation] returned.
type StoredDelegation []byte

const storedDelegationHead = 17

// AppendStoredDelegation appends the stored form of a delegation that the entry
// at position made or gave another keyset, to be stored under key. granted is the
// position of the delegation's own entry.
func AppendStoredDelegation(dst, key []byte, d *Delegation, position, granted uint64) ([]byte, error) {
	if granted > position {
		return nil, &RuleError{What: "delegation", Rule: "a change of keyset follows its delegation", Mend: "look the delegation up again"}
	}
	b := append(dst, storedFormat)
	b = binary.BigEndian.AppendUint64(b, position)
	b = binary.BigEndian.AppendUint64(b, granted)
	b, err := AppendDelegation(b, d)
	if err != nil {
		return nil, err
	}
	return appendChecksum(b, len(dst), key), nil
}

// CheckStoredDelegation returns stored as a [StoredDelegation] when every octet of
// it and of key is what [AppendStoredDelegation] wrote. Otherwise the error is a
// [*DamageError], or a [*FormatError] when a newer version wrote it.
func CheckStoredDelegation(key, stored []byte) (StoredDelegation, error) {
	body, err := checkSummed(key, stored, 1)
	if err != nil {
		return nil, err
	}
	c := cursor{what: "stored delegation", b: body}
	if c.format(storedFormat); c.err != nil {
		return nil, c.failure()
	}
	position, granted := c.u64(), c.u64()
	if granted > position {
		c.fail(9, "a change of keyset follows its delegation")
	}
	err = c.failure()
	if err == nil {
		_, err = ParseDelegation(body[storedDelegationHead:])
	}
	if err != nil {
		return nil, &DamageError{Key: bytes.Clone(key), Reason: err.Error()}
	}
	return stored, nil
}

// Position returns the position of the log entry that made the delegation what it is.
func (s StoredDelegation) Position() uint64 { return binary.BigEndian.Uint64(s[1:]) }

// Granted returns the position of the delegation that it rests on: [Position],
// unless the keyset has been changed since.
func (s StoredDelegation) Granted() uint64 { return binary.BigEndian.Uint64(s[9:]) }

// Delegation returns the delegation with octets of its own.
func (s StoredDelegation) Delegation() (*Delegation, error) {
	return ParseDelegation(s[storedDelegationHead : len(s)-storedChecksum])
}
