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
