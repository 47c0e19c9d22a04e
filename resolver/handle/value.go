package handle

import (
	"encoding/binary"
	"time"

	"github.com/nameplate-id/nameplate/registry/identifier"
)

// minValue is how many octets a value takes at least, minReference a reference.
const (
	minValue     = 4 + 4 + 1 + 4 + 1 + 4 + 4 + 4
	minReference = 8
)

// AppendValue appends a value (RFC 3651, section 3.1):
//
//	index u32 · timestamp u32 · TTL type u8 (0 a span, 1 a time) · TTL u32 · permissions u8 ·
//	type string · data string · references: count u32, each a handle string and an index u32
//
// A value without a timestamp has 0. The link of a URL value is not part of it.
func AppendValue(b []byte, v *identifier.Value) []byte {
	b = binary.BigEndian.AppendUint32(b, v.Index)
	stamp := uint32(0)
	if !v.Timestamp.IsZero() {
		stamp = uint32(v.Timestamp.Unix())
	}
	b = binary.BigEndian.AppendUint32(b, stamp)
	absolute := byte(0)
	if v.TTL.Absolute {
		absolute = 1
	}
	b = append(b, absolute)
	b = binary.BigEndian.AppendUint32(b, v.TTL.Seconds)
	b = append(b, byte(v.Permissions))
	b = appendText(appendText(b, v.Type), v.Data)
	return appendReferences(b, v.References)
}

// ParseValue reads a value.
func ParseValue(b []byte) (identifier.Value, error) {
	c := cursor{what: "value", b: b}
	v := c.value()
	if err := c.end(); err != nil {
		return identifier.Value{}, err
	}
	return v, nil
}

func (c *cursor) value() identifier.Value {
	v := identifier.Value{Index: c.u32()}
	if stamp := c.u32(); stamp != 0 {
		v.Timestamp = time.Unix(int64(stamp), 0).UTC()
	}
	at := c.off
	kind := c.u8()
	if kind > 1 {
		c.fail(at, "the type of a TTL is 0 or 1, not %d", kind)
	}
	v.TTL = identifier.TTL{Absolute: kind == 1, Seconds: c.u32()}
	v.Permissions = identifier.Permissions(c.u8())
	v.Type = c.text()
	v.Data = c.octets()
	v.References = c.references()
	return v
}

// AppendValues appends a list of values: count u32, and each.
func AppendValues(b []byte, values []identifier.Value) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(values)))
	for i := range values {
		b = AppendValue(b, &values[i])
	}
	return b
}

func (c *cursor) values() []identifier.Value {
	n := c.count(minValue, MaxValues)
	if n == 0 {
		return nil
	}
	values := make([]identifier.Value, 0, n)
	for range n {
		if v := c.value(); c.err == nil {
			values = append(values, v)
		}
	}
	return values
}

func appendReferences(b []byte, list []identifier.Reference) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(list)))
	for _, r := range list {
		b = binary.BigEndian.AppendUint32(appendText(b, r.Handle), r.Index)
	}
	return b
}

func (c *cursor) references() []identifier.Reference {
	n := c.count(minReference, MaxValues)
	if n == 0 {
		return nil
	}
	list := make([]identifier.Reference, n)
	for i := range list {
		list[i] = identifier.Reference{Handle: c.handle(), Index: c.u32()}
	}
	return list
}
