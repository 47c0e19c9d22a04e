package identifier

import "crypto/sha256"

// SealEntry returns an encoded entry without what is private in it: the rows of a change
// have the salted hashes of their contents instead of those, and the seed of these salts
// is left out. The leaf, and so the place in the log's tree, stays the same; so do the row
// hashes, and whoever has a row with its salts can still show that it is one of these.
// Other entries, and those that are sealed already, are returned as they are. The error
// is a [*FormatError].
func SealEntry(payload []byte) ([]byte, error) {
	e, err := ParseEntry(payload)
	if err != nil || e.Kind != EntryChange || e.Sealed() {
		return payload, err
	}
	var content []byte
	for i := range e.Rows {
		r := &e.Rows[i]
		if content, err = appendRowContent(content[:0], r); err != nil {
			return nil, err
		}
		hash := contentHash(nil, e.ValueSeed.Salt(uint32(i)), content)
		r.Sealed, r.Spelling, r.Values = &hash, "", nil
	}
	e.ValueSeed = Seed{}
	return AppendEntry(nil, e)
}

// Sealed reports whether the rows of the entry are without their contents.
func (e *Entry) Sealed() bool { return len(e.Rows) > 0 && e.Rows[0].Sealed != nil }

// contentHash returns the salted hash of the content of a row.
func contentHash(buf []byte, salt Hash, content []byte) Hash {
	buf = append(buf[:0], "nameplate content\x00"...)
	buf = append(buf, salt[:]...)
	return sha256.Sum256(append(buf, content...))
}
