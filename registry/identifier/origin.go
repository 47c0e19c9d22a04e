package identifier

import "encoding/binary"

// Origin says, in a log that continues another one, that what stood in a log of before from
// a position on follows from here on. So what is said of positions there can be found here.
type Origin struct {
	Log      LogID
	Position uint64
}

const originFormat = 1

// Append appends the encoding of an origin, the payload of an envelope of type
// [OriginType], which the node signs: format u8 (1), log 16 octets, position u64,
// big-endian.
func (o Origin) Append(dst []byte) []byte {
	b := append(append(dst, originFormat), o.Log[:]...)
	return binary.BigEndian.AppendUint64(b, o.Position)
}

// ParseOrigin reads what [Origin.Append] writes, and nothing else. The error is a
// [*FormatError].
func ParseOrigin(b []byte) (Origin, error) {
	c := cursor{what: "origin", b: b}
	c.format(originFormat)
	var o Origin
	c.fixed(o.Log[:])
	o.Position = c.u64()
	return o, c.end()
}
