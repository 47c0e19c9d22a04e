package identifier

import "crypto/sha256"

// In DNS an identifier with a suffix is
//
//	<suffix labels>.<marker>.<prefix segments reversed>.<zone>
//
// A label takes one octet more than it has characters. So the parts take
//
//	zone                at most  40   its root label included
//	prefix              at most 127   [MaxPrefix]
//	marker                        3   _i, _b or _h
//	hash                         53   52 characters of base32hex
//	link type           at most  32   such as _dpp, in front of everything
//
// The hash form takes at most 127 + 3 + 53 = 183 octets, which is why 183 is
// where it takes over from the others; and 40 + 183 + 32 = 255 is what a name may
// have (RFC 1035, section 2.3.4). So every identifier has a name, and every name
// has room for a link type.
const maxNamed = 183

// markerOctets is what each marker label takes.
const markerOctets = 3

// HashNamed reports whether the DNS name of the identifier carries the hash of
// its suffix (marker _h), because prefix, suffix labels and marker would pass 183
// octets otherwise.
func HashNamed(id ID) bool {
	n := len(id.Suffix)
	if n == 0 {
		return false
	}
	// Segments with a length octet each: the text has a dot for all but one.
	room := maxNamed - markerOctets - (len(id.Prefix) + 1)
	if PlainNamed(id.Suffix) {
		return n+1 > room
	}
	encoded := (n*8 + 4) / 5                          // base32hex without padding
	labels := (encoded + maxSegment - 1) / maxSegment // of up to 63 characters
	return encoded+labels > room
}

// PlainNamed reports whether a suffix can stand in a DNS name as it is (marker
// _i): one label [a-z0-9]([a-z0-9-]{0,61}[a-z0-9])? without hyphens at both its
// third and fourth place. Other suffixes are encoded (marker _b).
func PlainNamed(suffix string) bool {
	return isLabel(suffix) && !(len(suffix) >= 4 && suffix[2] == '-' && suffix[3] == '-')
}

// SuffixHash returns the SHA-256 of a suffix, which stands for it in a hashed DNS
// name and in the index that such names are looked up in.
func SuffixHash(suffix string) Hash { return sha256.Sum256([]byte(suffix)) }
