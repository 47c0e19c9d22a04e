package identifier

import (
	"bytes"
	"strings"
)

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

// AppendSuffixKey appends what makes the key of a prefix that of an identifier with this
// suffix.
func AppendSuffixKey(dst, suffix []byte) []byte {
	return append(append(dst, keySuffixBegin), suffix...)
}

// AppendPrefixKey appends what the keys of a prefix, which may be its octets, and of everything
// below it begin with.
func AppendPrefixKey[P Prefix | []byte](dst []byte, p P) []byte {
	if len(p) == 0 {
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

// maxIDKey is how many octets a key has at most: one more than the canonical text,
// for it ends the prefix with an octet and begins the suffix with another, where
// the text has a slash alone.
const maxIDKey = MaxID + 1

// ParseKey reads a key as [AppendKey] writes it. It refuses everything else, so
// that key and identifier are one to one; the identifier it returns is valid. The
// error is a [*SyntaxError] whose Input is the key.
func ParseKey(key []byte) (ID, error) {
	const mend = "look for damage: no identifier has this key"
	if len(key) > maxIDKey {
		return ID{}, tooLong(string(key[:min(len(key), MaxText+1)]), maxIDKey, "the key of an identifier has at most 2049 octets", mend)
	}
	end := bytes.IndexByte(key, keySuffixBegin) - 1
	suffix := end >= 0
	if !suffix {
		end = len(key) - 1
	}
	switch {
	case end < 0 || key[end] != keySegmentEnd:
		return ID{}, fail(string(key), max(end, 0), "a key has an octet of zero behind every segment", mend)
	case suffix && end+2 == len(key):
		return ID{}, fail(string(key), end+1, "a suffix in a key is not empty", mend)
	}
	var text strings.Builder // of which both parts are pieces
	text.Grow(len(key))
	for i, c := range key[:end] {
		switch c {
		case keySegmentEnd:
			c = '.'
		case '.':
			return ID{}, fail(string(key), i, "a segment in a key has no dot", mend)
		}
		text.WriteByte(c)
	}
	if suffix {
		text.Write(key[end+2:])
	}
	id, err := New(Prefix(text.String()[:end]), text.String()[end:])
	if e, ok := err.(*SyntaxError); ok {
		at := e.Offset
		if at > end {
			at++
		}
		return ID{}, fail(string(key), at, e.Rule, mend)
	}
	return id, nil
}
