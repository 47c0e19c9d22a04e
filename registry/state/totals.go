package state

import (
	"crypto/sha256"
	"encoding/binary"
	"math/bits"
)

// Digest is the sum, modulo 2²⁵⁶, of the SHA-256 hashes of a set of rows. It does
// not depend on their order and follows every change at the price of one hash.
//
// It tells two states apart that should be equal and are not: the one kept and
// the one built again from the journal, or a child's and its parent's mirror of
// it. It finds accidents; somebody who may choose the rows could build two sets
// of one digest, so it proves nothing to a stranger. Merkle roots do that.
type Digest [32]byte

// Totals are what the rows of one log add up to.
type Totals struct {
	Live        uint64 // records
	Withdrawn   uint64 // tombstones
	Delegations uint64
	Revoked     uint64 // delegations taken back
	// Records is the digest of the live records, Others that of tombstones and of
	// delegations, revoked ones too. A child and its parent's mirror have the same.
	Records Digest
	Others  Digest
	// Local is the digest of the rows of all other tables, which depend on the
	// node's own journal too.
	Local Digest
}

// hashRow returns what a row adds to a digest: the hash of its kind, the length
// of its key (u32), its key without the log number, and its value. So a parent's
// mirror, which has another number for the log, has the child's digests.
func hashRow(t Table, gone bool, key, value []byte) Digest {
	kind := byte(t) << 1
	if gone {
		kind |= 1
	}
	key = key[logSize:]
	buf := make([]byte, 0, 512)
	buf = append(buf, kind)
	buf = binary.BigEndian.AppendUint32(buf, uint32(len(key)))
	buf = append(buf, key...)
	buf = append(buf, value...)
	return sha256.Sum256(buf)
}

// add adds another digest, sub takes it away.
func (d *Digest) add(o Digest) { d.combine(o, bits.Add64) }
func (d *Digest) sub(o Digest) { d.combine(o, bits.Sub64) }

func (d *Digest) combine(o Digest, op func(x, y, carry uint64) (uint64, uint64)) {
	var carry uint64
	for i := len(d) - 8; i >= 0; i -= 8 {
		var w uint64
		w, carry = op(binary.BigEndian.Uint64(d[i:]), binary.BigEndian.Uint64(o[i:]), carry)
		binary.BigEndian.PutUint64(d[i:], w)
	}
}

// put counts a row in, take counts it out.
func (t *Totals) put(table Table, gone bool, key, value []byte) {
	n, d := t.of(table, gone)
	if n != nil {
		*n++
	}
	d.add(hashRow(table, gone, key, value))
}

func (t *Totals) take(table Table, gone bool, key, value []byte) {
	n, d := t.of(table, gone)
	if n != nil {
		*n--
	}
	d.sub(hashRow(table, gone, key, value))
}

// of returns the count that a row belongs to, if there is one, and its digest.
func (t *Totals) of(table Table, gone bool) (*uint64, *Digest) {
	switch {
	case !table.versioned():
		return nil, &t.Local
	case table == Records && !gone:
		return &t.Live, &t.Records
	case table == Records:
		return &t.Withdrawn, &t.Others
	case !gone:
		return &t.Delegations, &t.Others
	}
	return &t.Revoked, &t.Others
}
