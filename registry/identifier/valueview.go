package identifier

import (
	"bytes"
	"iter"
	"math"
	"time"
)

// ValueView is a value as it lies in a stored record. Its slices are parts of the
// record's octets: they must not be changed, nor used when those may not be.
type ValueView struct {
	Index       uint32
	Type, Data  []byte
	TTL         TTL
	Permissions Permissions
	// Timestamp is in seconds since 1970; 0 when unset.
	Timestamp int64
	// Link says that the value has link attributes; those that are unset are empty.
	Link               bool
	Default            bool
	Relation, Title    []byte
	MediaType, Context []byte

	languages, references []byte // as encoded, the counts not included
}

// Languages yields the language tags of the link.
func (v *ValueView) Languages() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		c := cursor{b: v.languages}
		for c.off < len(c.b) && c.err == nil {
			if language := c.text(maxLanguage, ""); c.err == nil && !yield(language) {
				return
			}
		}
	}
}

// HasReferences reports whether there are any.
func (v *ValueView) HasReferences() bool { return len(v.references) > 0 }

// References yields the handle and the index of every reference.
func (v *ValueView) References() iter.Seq2[[]byte, uint32] {
	return func(yield func([]byte, uint32) bool) {
		c := cursor{b: v.references}
		for c.off < len(c.b) && c.err == nil {
			handle, index := c.reference()
			if c.err == nil && !yield(handle, index) {
				return
			}
		}
	}
}

// Value returns the value with octets of its own.
func (v *ValueView) Value() Value {
	own := v.value()
	own.Data = bytes.Clone(own.Data)
	return own
}

// value returns the value; its data is the view's.
func (v *ValueView) value() Value {
	out := Value{Index: v.Index, Type: string(v.Type), TTL: v.TTL, Permissions: v.Permissions}
	if len(v.Data) > 0 {
		out.Data = v.Data
	}
	if v.Timestamp != 0 {
		out.Timestamp = time.Unix(v.Timestamp, 0).UTC()
	}
	if v.Link {
		out.Link = &Link{
			Relation: string(v.Relation), Title: string(v.Title),
			MediaType: string(v.MediaType), Context: string(v.Context), Default: v.Default,
		}
		for language := range v.Languages() {
			out.Link.Languages = append(out.Link.Languages, string(language))
		}
	}
	for handle, index := range v.References() {
		out.References = append(out.References, Reference{Handle: string(handle), Index: index})
	}
	return out
}

// value reads the value that follows one with the index before.
func (c *cursor) value(before uint32, v *ValueView) {
	*v = ValueView{TTL: DefaultTTL, Permissions: DefaultPermissions}
	var plain bool
	if v.Index, v.Type, v.Data, plain = c.plainValue(before); plain {
		return
	}
	at := c.off
	flags := c.u8()
	if flags >= valueUnknown || flags&(valueTTL|valueAbsolute) == valueAbsolute {
		c.fail(at, "the flags of a value are 1 to 32, and 2 only with 1")
	}
	at = c.off
	step := c.uvarint(math.MaxUint32-uint64(before), "an index has 32 bits")
	if step == 0 {
		c.fail(at, "values ascend by index, from 1")
	}
	v.Index = before + uint32(step)
	v.Type = c.some(MaxTypeName, "a type has 1 to 255 octets")
	v.Data = c.text(MaxValueData, "data has at most 65536 octets")
	if flags&valueTTL != 0 {
		at = c.off
		v.TTL = TTL{Absolute: flags&valueAbsolute != 0, Seconds: uint32(c.uvarint(math.MaxUint32, "a TTL has 32 bits"))}
		if v.TTL == DefaultTTL {
			c.fail(at, "the usual TTL is left out")
		}
	}
	if flags&valuePermissions != 0 {
		v.Permissions = Permissions(c.u8())
		if v.Permissions > AdminRead|AdminWrite|PublicRead|PublicWrite || v.Permissions == DefaultPermissions {
			c.fail(c.off-1, "permissions are at most 15, and the usual ones are left out")
		}
	}
	if flags&valueTimestamp != 0 {
		at = c.off
		if v.Timestamp = int64(c.uvarint(maxSeconds, "a time is not after the year 9999")); v.Timestamp == 0 {
			c.fail(at, "an unset timestamp is left out")
		}
	}
	if flags&valueLink != 0 {
		c.link(v)
	}
	if flags&valueReferences != 0 {
		n := c.count(MaxReferences, "a value has 1 to 64 references")
		at = c.off
		for i := 0; i < n && c.err == nil; i++ {
			c.reference()
		}
		v.references = c.b[at:c.off]
	}
}

// plainValue reads a value that has nothing but type and data, of usual sizes, as nearly
// all have, and returns its index; false, and nothing is read, leaves it to value.
func (c *cursor) plainValue(before uint32) (index uint32, kind, data []byte, ok bool) {
	b := c.b[c.off:]
	if c.err != nil || len(b) < 4 || b[0] != 0 || b[1]-1 >= 0x7f || b[2]-1 >= 0x7f || before > math.MaxUint32-0x7f {
		return 0, nil, nil, false
	}
	at := 3 + int(b[2])
	if at+2 > len(b) {
		return 0, nil, nil, false
	}
	kind = b[3:at:at]
	size := int(b[at])
	at++
	if size >= 0x80 {
		more := int(b[at])
		if more-1 >= 0x7f || more == 0 {
			return 0, nil, nil, false
		}
		size = size&0x7f | more<<7
		at++
	}
	if size > len(b)-at {
		return 0, nil, nil, false
	}
	c.off += at + size
	return before + uint32(b[1]), kind, b[at : at+size : at+size], true
}

func (c *cursor) link(v *ValueView) {
	v.Link = true
	flags := c.u8()
	if flags == 0 || flags >= linkUnknown {
		c.fail(c.off-1, "the flags of a link are 1 to 32, and not none")
	}
	const rule = "a text of a link has 1 to 2048 octets"
	if flags&linkRelation != 0 {
		v.Relation = c.some(MaxLinkText, rule)
	}
	if flags&linkTitle != 0 {
		v.Title = c.some(MaxLinkText, rule)
	}
	if flags&linkLanguages != 0 {
		n := c.count(MaxLanguages, "a link has 1 to 32 languages")
		at := c.off
		for i := 0; i < n && c.err == nil; i++ {
			c.some(maxLanguage, "a language has 1 to 63 octets")
		}
		v.languages = c.b[at:c.off]
	}
	if flags&linkMediaType != 0 {
		v.MediaType = c.some(MaxLinkText, rule)
	}
	if flags&linkContext != 0 {
		v.Context = c.some(MaxLinkText, rule)
	}
	v.Default = flags&linkDefault != 0
}

// reference reads one reference.
func (c *cursor) reference() (handle []byte, index uint32) {
	handle = c.some(MaxID, "a handle has 1 to 2048 octets")
	return handle, uint32(c.uvarint(math.MaxUint32, "an index has 32 bits"))
}

// some reads a text of 1 to limit octets.
func (c *cursor) some(limit int, rule string) []byte {
	at := c.off
	b := c.text(limit, rule)
	if c.err == nil && len(b) == 0 {
		c.fail(at, rule)
	}
	return b
}

// count reads a uvarint of 1 to limit.
func (c *cursor) count(limit int, rule string) int {
	at := c.off
	n := int(c.uvarint(uint64(limit), rule))
	if c.err == nil && n == 0 {
		c.fail(at, rule)
	}
	return n
}
