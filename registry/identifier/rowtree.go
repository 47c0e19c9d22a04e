package identifier

import (
	"crypto/sha256"
	"encoding/binary"
	"math/bits"
)

// The rows of a change are the leaves of a Merkle tree (RFC 9162, section 2.1),
// whose root the signed header carries. A leaf is
//
//	format    u8      1
//	op        u8      1 put, 2 withdraw
//	version   u64
//	replaces  32      row hash of the version before; zeros for version 1
//	id        32      SHA-256("nameplate id" ‖ 0 ‖ id salt ‖ canonical text)
//	content   32      SHA-256("nameplate content" ‖ 0 ‖ value salt ‖ content)
//
// where content is what [AppendContent] writes, and nothing for a withdrawal. The
// salts of the row with the index i, counted from 0, are SHA-256(seed ‖ i as u32) of
// the change's two seeds. So who holds the salts of one row can prove that row, and
// can guess no other: neither identifiers nor values, however guessable they are.
// The hash of the leaf, SHA-256(0 ‖ leaf), is the row hash.
const (
	rowLeafFormat = 1
)

// Salt returns the salt that a seed yields for the row with the index.
func (s Seed) Salt(index uint32) Hash {
	var b [36]byte
	copy(b[:], s[:])
	binary.BigEndian.PutUint32(b[32:], index)
	return sha256.Sum256(b[:])
}

// RowHash returns the hash of a row with the salts given: what its leaf in the row
// tree hashes to, and what the row that replaces it must name.
func RowHash(r *Row, idSalt, valueSalt Hash) (Hash, error) {
	content, err := appendRowContent(nil, r)
	if err != nil {
		return Hash{}, err
	}
	hash, _ := rowHash(nil, r, content, idSalt, valueSalt)
	return hash, nil
}

// rowHash is [RowHash] with the content encoded already. buf is room to work in,
// returned for the next call.
func rowHash(buf []byte, r *Row, content []byte, idSalt, valueSalt Hash) (Hash, []byte) {
	buf = append(buf[:0], "nameplate id\x00"...)
	buf = append(buf, idSalt[:]...)
	buf = appendCanonical(buf, r.ID)
	id := sha256.Sum256(buf)

	var values Hash
	if r.Sealed != nil {
		values = *r.Sealed
	} else {
		buf = append(buf[:0], "nameplate content\x00"...)
		buf = append(buf, valueSalt[:]...)
		buf = append(buf, content...)
		values = sha256.Sum256(buf)
	}

	// A leaf is hashed behind a zero octet (RFC 9162, section 2.1.1).
	buf = append(buf[:0], 0, rowLeafFormat, byte(r.Op))
	buf = binary.BigEndian.AppendUint64(buf, r.Version)
	buf = append(buf, r.Replaces[:]...)
	buf = append(buf, id[:]...)
	buf = append(buf, values[:]...)
	return sha256.Sum256(buf), buf
}

// appendCanonical appends the canonical text of an identifier.
func appendCanonical(b []byte, id ID) []byte {
	b = append(b, id.Prefix...)
	if id.Suffix != "" {
		b = append(b, '/')
		b = append(b, id.Suffix...)
	}
	return b
}

// hashChildren is the hash of a node (RFC 9162, section 2.1.1).
func hashChildren(left, right Hash) Hash {
	var b [65]byte
	b[0] = 1
	copy(b[1:], left[:])
	copy(b[33:], right[:])
	return sha256.Sum256(b[:])
}

// rowLevels calls level with the hashes of each level of the tree, the leaves
// first, and returns the root. A node without a sibling moves up as it is, which
// gives the same tree as splitting at the largest power of two. There is one hash
// at least.
func rowLevels(hashes []Hash, level func([]Hash)) Hash {
	row := append([]Hash(nil), hashes...)
	for len(row) > 1 {
		if level != nil {
			level(row)
		}
		half := 0
		for i := 0; i < len(row); i += 2 {
			if i+1 < len(row) {
				row[half] = hashChildren(row[i], row[i+1])
			} else {
				row[half] = row[i]
			}
			half++
		}
		row = row[:half]
	}
	return row[0]
}

// RowRoot returns the root of the tree over the row hashes of a change, of which
// there is one at least.
func RowRoot(hashes []Hash) Hash { return rowLevels(hashes, nil) }

// RowProof proves that a row is one of those that a header was signed over
// (RFC 9162, section 2.1.3).
type RowProof struct {
	Index uint32 // of the row, from 0
	Path  []Hash // the inclusion path, from the leaf up
}

// ProveRow returns the proof for one of the rows whose hashes are given. It panics
// when there is no such row.
func ProveRow(hashes []Hash, index int) RowProof {
	p := RowProof{Index: uint32(index)}
	_ = hashes[index]
	rowLevels(hashes, func(level []Hash) {
		if sibling := index ^ 1; sibling < len(level) {
			p.Path = append(p.Path, level[sibling])
		}
		index /= 2
	})
	return p
}

// Verify reports whether the proof leads from the row hash to the root of the
// header, whose signatures are the caller's to verify.
func (p RowProof) Verify(row Hash, h Header) bool { return p.leads(row, h.Rows, h.Root) }

// VerifyChild reports whether the proof leads from the hash of a child's row to the
// root of the header, whose signature is the caller's to verify.
func (p RowProof) VerifyChild(row Hash, h ChildrenHeader) bool { return p.leads(row, h.Rows, h.Root) }

// leads reports whether the proof leads from a row's hash to the root of so many.
func (p RowProof) leads(row Hash, rows uint32, root Hash) bool {
	if p.Index >= rows || len(p.Path) > bits.Len32(rows) {
		return false
	}
	index, last := p.Index, rows-1
	hash := row
	for _, sibling := range p.Path {
		if last == 0 {
			return false
		}
		if index&1 == 1 || index == last {
			hash = hashChildren(sibling, hash)
			// A node without a sibling moved up as it is.
			for index&1 == 0 && index != 0 {
				index, last = index>>1, last>>1
			}
		} else {
			hash = hashChildren(hash, sibling)
		}
		index, last = index>>1, last>>1
	}
	return last == 0 && hash == root
}
