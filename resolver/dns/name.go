package dns

import (
	"encoding/base32"
	"strings"

	"github.com/nameplate-id/nameplate/registry/identifier"
)

// Limits of DNS names (RFC 1035, section 2.3.4).
const (
	maxLabel = 63
	maxName  = 255
)

// The labels that stand between a prefix and what is below it. They begin with an
// underscore, which no segment does.
const (
	markPlain   = "_i"
	markEncoded = "_b"
	markHashed  = "_h"
	markServers = "_ns"
)

// maxBelow is what suffix labels, marker and prefix may have together, a length
// octet for each label included; see [identifier.HashNamed].
const maxBelow = 183

const alphabet = "0123456789abcdefghijklmnopqrstuv"

// encoding is base32hex (RFC 4648, section 7), which keeps the order of octets, in
// lower case, which is what names are compared in.
var encoding = base32.NewEncoding(alphabet).WithPadding(base32.NoPadding)

// AppendName appends the DNS name of an identifier to dst: labels with their
// lengths, the root label last, nothing compressed. The identifier must be valid;
// then the name has at most 223 octets, so that a link type still fits in front.
func (z Zone) AppendName(dst []byte, id identifier.ID) []byte {
	switch {
	case id.Suffix == "":
	case identifier.HashNamed(id):
		return z.AppendHashedName(dst, id.Prefix, identifier.SuffixHash(id.Suffix))
	case identifier.PlainNamed(id.Suffix):
		dst = appendLabel(dst, id.Suffix)
		dst = appendLabel(dst, markPlain)
	default:
		text := encoding.EncodeToString([]byte(id.Suffix))
		// The label that is not full comes first.
		if first := len(text) % maxLabel; first > 0 {
			dst = appendLabel(dst, text[:first])
			text = text[first:]
		}
		for ; text != ""; text = text[maxLabel:] {
			dst = appendLabel(dst, text[:maxLabel])
		}
		dst = appendLabel(dst, markEncoded)
	}
	return z.AppendPrefixName(dst, id.Prefix)
}

// AppendHashedName appends the name that carries the hash of a suffix.
func (z Zone) AppendHashedName(dst []byte, p identifier.Prefix, hash identifier.Hash) []byte {
	dst = append(dst, byte(encoding.EncodedLen(len(hash))))
	dst = encoding.AppendEncode(dst, hash[:])
	dst = appendLabel(dst, markHashed)
	return z.AppendPrefixName(dst, p)
}

// AppendServerName appends the name of a name server of the zone whose apex a
// prefix is: <n>._ns.<apex>.
func (z Zone) AppendServerName(dst []byte, apex identifier.Prefix, server string) []byte {
	dst = appendLabel(dst, server)
	dst = appendLabel(dst, markServers)
	return z.AppendPrefixName(dst, apex)
}

// AppendPrefixName appends the name of a prefix; that of the root is the zone.
func (z Zone) AppendPrefixName(dst []byte, p identifier.Prefix) []byte {
	for rest := string(p); rest != ""; {
		i := strings.LastIndexByte(rest, '.')
		dst = appendLabel(dst, rest[i+1:])
		rest = rest[:max(i, 0)]
	}
	return append(dst, z.wire...)
}

// Name returns the DNS name of an identifier as text with the final dot. It holds
// nothing that would have to be escaped.
func (z Zone) Name(id identifier.ID) string {
	return text(z.AppendName(make([]byte, 0, maxName), id))
}

// text writes the labels of an uncompressed name that holds letters, digits,
// hyphens and underscores only.
func text(wire []byte) string {
	var b strings.Builder
	b.Grow(len(wire))
	for len(wire) > 1 {
		n := int(wire[0])
		b.Write(wire[1 : 1+n])
		b.WriteByte('.')
		wire = wire[1+n:]
	}
	return b.String()
}

func appendLabel(dst []byte, label string) []byte {
	dst = append(dst, byte(len(label)))
	return append(dst, label...)
}
