package identifier

// Keys put identifiers in an order in which everything at or below a prefix
// stands together, and which compares by segment, never by string. Every
// segment is followed by a zero octet; a suffix stands behind an octet of one:
//
//	88.118.8        "88" 0 "118" 0 "8" 0
//	88.118/8        "88" 0 "118" 0 1 "8"
//
// Neither octet occurs in a segment or a suffix, so different identifiers have
// different keys.
const (
	keySegmentEnd  = 0x00
	keySuffixBegin = 0x01
)

// AppendKey appends the key of an identifier to dst.
func AppendKey(dst []byte, id ID) []byte {
	dst = AppendPrefixKey(dst, id.Prefix)
	if id.Suffix != "" {
		dst = append(dst, keySuffixBegin)
		dst = append(dst, id.Suffix...)
	}
	return dst
}

// AppendPrefixKey appends what the keys of a prefix and of everything below it
// begin with.
func AppendPrefixKey(dst []byte, p Prefix) []byte {
	if p == "" {
		return dst
	}
	for i := 0; i < len(p); i++ {
		if p[i] == '.' {
			dst = append(dst, keySegmentEnd)
		} else {
			dst = append(dst, p[i])
		}
	}
	return append(dst, keySegmentEnd)
}

// ParseKey reads a key as [AppendKey] writes it. It refuses every other text, so
// that key and identifier are one to one; the identifier it returns is valid.
// The error is a [*SyntaxError] whose Input is the key.
func ParseKey(key []byte) (ID, error) {
	if len(key) > MaxID+1 {
		return ID{}, tooLong(string(key[:maxQuoted]), MaxID+1, "the key of an identifier has at most 2049 octets", "look for damage: no identifier has this key")
	}
	// One copy serves both parts of the identifier.
	text := []byte(string(key))
	for i, c := range text {
		switch c {
		case '.':
			// Before the end of the prefix a dot would read like a segment's end.
			return ID{}, fail(string(key), i, "a segment in a key has no dot", mendKey)
		case keySegmentEnd:
			text[i] = '.'
			if i+1 < len(text) && text[i+1] != keySuffixBegin {
				continue
			}
			id, err := newFromKey(string(text), i)
			return id, rebase(err, string(key), 0)
		}
	}
	return ID{}, fail(string(key), len(key), "a key has an octet of zero behind every segment", mendKey)
}

const mendKey = "look for damage: no identifier has this key"

// newFromKey makes the identifier of a key's text, in which dots stand for the
// zero octets and the prefix has end octets.
func newFromKey(text string, end int) (ID, error) {
	prefix, suffix := text[:end], ""
	if end+1 < len(text) {
		suffix = text[end+2:]
		if suffix == "" {
			return ID{}, fail(text, end+1, "a suffix in a key is not empty", mendKey)
		}
	}
	id, err := New(Prefix(prefix), suffix)
	if err != nil && suffix != "" {
		// The key has one octet more in front of the suffix than the text.
		if e, ok := err.(*SyntaxError); ok && e.Offset > end {
			e.Offset++
		}
	}
	return id, err
}
