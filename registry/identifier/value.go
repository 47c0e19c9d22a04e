package identifier

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strconv"
)

const (
	contentFormat = 1
	maxLanguage   = 63 // octets of a language tag
	minValueSize  = 5  // octets that a value takes at least
)

const (
	valueTTL = 1 << iota
	valueAbsolute
	valuePermissions
	valueTimestamp
	valueLink
	valueReferences
	valueUnknown // this flag and those above it
)

const (
	linkRelation = 1 << iota
	linkTitle
	linkLanguages
	linkMediaType
	linkContext
	linkDefault
	linkUnknown // this flag and those above it
)

// AppendContent appends a content: a record's spelling and values, encoded as one
// sequence of octets. It is what a row's content hash covers, what lies in the log,
// and the end of a record's stored form.
//
//	format     u8        1
//	spelling   text      at most 4,096 octets; none when it is the canonical text
//	count      uvarint   at most 2,048
//	values, in ascending order of index, each:
//	  flags       u8        1 TTL, 2 it is absolute, 4 permissions, 8 timestamp, 16 link, 32 references
//	  index       uvarint   minus the index before; 1 or more, so that order is built in
//	  type        text      1 to 255 octets
//	  data        text      at most 65,536 octets
//	  TTL         uvarint   seconds, 32 bits; when flagged, otherwise 86,400 relative
//	  permissions u8        at most 15; when flagged, otherwise 14 ([DefaultPermissions])
//	  timestamp   uvarint   seconds since 1970, 1 or more; when flagged, otherwise unset
//	  link        when flagged:
//	    flags       u8      1 relation, 2 title, 4 languages, 8 media type, 16 context, 32 default; not 0
//	    relation, title   texts, when flagged
//	    languages   when flagged: count uvarint (1 to 32), texts
//	    media type, context   texts, when flagged
//	  references  when flagged: count uvarint (1 to 64), each a handle (text) and an index (uvarint, 32 bits)
//
// The texts of a link and handles have 1 to 2,048 octets, languages 1 to 63.
// Nothing is flagged that says what the absence of the flag says. The whole is at
// most 256 KiB. There is one encoding of a content, and decoders accept no other.
//
// Times are cut to the second. The error, a [*RuleError], names the value and the
// limit that is passed; what else a value must be is judged by [Change.Check].
func AppendContent(dst []byte, spelling string, values []Value) ([]byte, error) {
	if err := checkLimit("content", "a spelling", len(spelling), 0, MaxSpelling); err != nil {
		return nil, err
	}
	if err := checkLimit("content", "the list of values", len(values), 0, MaxValues); err != nil {
		return nil, err
	}
	begin := len(dst)
	b := append(dst, contentFormat)
	b = appendText(b, spelling)
	b = binary.AppendUvarint(b, uint64(len(values)))
	var before uint32
	var err error
	for i := range values {
		if b, err = appendValue(b, before, &values[i]); err != nil {
			return nil, err
		}
		before = values[i].Index
	}
	if err := checkLimit("content", "a record's spelling and values", len(b)-begin, 0, MaxContent); err != nil {
		return nil, err
	}
	return b, nil
}

func appendValue(b []byte, before uint32, v *Value) ([]byte, error) {
	if err := v.checkLimits(before); err != nil {
		return nil, err
	}
	at := len(b)
	var flags uint8
	b = append(b, 0) // the flags, known at the end
	b = binary.AppendUvarint(b, uint64(v.Index-before))
	b = appendText(b, v.Type)
	b = appendText(b, v.Data)
	if v.TTL != DefaultTTL {
		flags |= valueTTL
		if v.TTL.Absolute {
			flags |= valueAbsolute
		}
		b = binary.AppendUvarint(b, uint64(v.TTL.Seconds))
	}
	if v.Permissions != DefaultPermissions {
		flags |= valuePermissions
		b = append(b, byte(v.Permissions))
	}
	if !v.Timestamp.IsZero() {
		flags |= valueTimestamp
		b = binary.AppendUvarint(b, uint64(v.Timestamp.Unix()))
	}
	if v.Link != nil {
		linked := appendLink(b, v.Link)
		if len(linked) != len(b) {
			flags |= valueLink
			b = linked
		}
	}
	if len(v.References) > 0 {
		flags |= valueReferences
		b = binary.AppendUvarint(b, uint64(len(v.References)))
		for _, r := range v.References {
			b = appendText(b, r.Handle)
			b = binary.AppendUvarint(b, uint64(r.Index))
		}
	}
	b[at] = flags
	return b, nil
}

// appendLink appends nothing for a link without attributes.
func appendLink(b []byte, l *Link) []byte {
	at := len(b)
	var flags uint8
	b = append(b, 0)
	text := func(flag uint8, s string) {
		if s != "" {
			flags |= flag
			b = appendText(b, s)
		}
	}
	text(linkRelation, l.Relation)
	text(linkTitle, l.Title)
	if len(l.Languages) > 0 {
		flags |= linkLanguages
		b = binary.AppendUvarint(b, uint64(len(l.Languages)))
		for _, language := range l.Languages {
			b = appendText(b, language)
		}
	}
	text(linkMediaType, l.MediaType)
	text(linkContext, l.Context)
	if l.Default {
		flags |= linkDefault
	}
	if flags == 0 {
		return b[:at]
	}
	b[at] = flags
	return b
}

// checkLimits returns an error when the value cannot be encoded behind one with
// the index before.
func (v *Value) checkLimits(before uint32) error {
	if v.Index <= before {
		rule, mend := "indexes are 1 or more", "number the values from 1"
		if v.Index != 0 {
			rule, mend = "values ascend by index and no two have the same", "sort them by index and give each its own"
		}
		return v.broken(rule, mend)
	}
	limit := func(part string, n, least, most int) error {
		return checkLimit("value "+strconv.FormatUint(uint64(v.Index), 10), part, n, least, most)
	}
	if n := len(v.Type); n < 1 || n > MaxTypeName {
		return limit("a type", n, 1, MaxTypeName)
	}
	if n := len(v.Data); n > MaxValueData {
		return limit("data", n, 0, MaxValueData)
	}
	if v.Permissions > AdminRead|AdminWrite|PublicRead|PublicWrite {
		return v.broken("there are four permissions", "use admin and public, read and write only")
	}
	if !v.Timestamp.IsZero() && (!inRange(v.Timestamp) || v.Timestamp.Unix() == 0) {
		return v.broken("a timestamp lies after 1970-01-01T00:00:00Z and not after the year 9999", "leave it out, or give the time of the change")
	}
	if n := len(v.References); n > MaxReferences {
		return limit("the list of references", n, 0, MaxReferences)
	}
	for _, r := range v.References {
		if n := len(r.Handle); n < 1 || n > MaxID {
			return limit("the handle of a reference", n, 1, MaxID)
		}
	}
	if v.Link == nil {
		return nil
	}
	for _, n := range [...]int{len(v.Link.Relation), len(v.Link.Title), len(v.Link.MediaType), len(v.Link.Context)} {
		if n > MaxLinkText {
			return limit("a text of a link", n, 0, MaxLinkText)
		}
	}
	if n := len(v.Link.Languages); n > MaxLanguages {
		return limit("the list of languages", n, 0, MaxLanguages)
	}
	for _, language := range v.Link.Languages {
		if n := len(language); n < 1 || n > maxLanguage {
			return limit("a language", n, 1, maxLanguage)
		}
	}
	return nil
}

// broken returns the error for a rule that the value breaks.
func (v *Value) broken(rule, mend string) error {
	return &RuleError{What: "value " + strconv.FormatUint(uint64(v.Index), 10), Rule: rule, Mend: mend}
}

// ParseContent reads what [AppendContent] writes, and nothing else. The values
// share nothing with b. The error is a [*FormatError].
func ParseContent(b []byte) (spelling string, values []Value, err error) {
	if len(b) > MaxContent {
		return "", nil, &FormatError{What: "content", Offset: MaxContent, Rule: fmt.Sprintf("content has at most %d octets", MaxContent)}
	}
	c := cursor{what: "content", b: bytes.Clone(b)}
	spelled, n := c.contentHead()
	if n > 0 {
		values = make([]Value, 0, min(n, len(b)/minValueSize+1))
	}
	var before uint32
	var view ValueView
	for range n {
		c.value(before, &view)
		if c.err != nil {
			break
		}
		values = append(values, view.value())
		before = view.Index
	}
	if err := c.end(); err != nil {
		return "", nil, err
	}
	return string(spelled), values, nil
}

// contentHead reads a content up to its first value: the spelling, and how many
// values follow.
func (c *cursor) contentHead() (spelling []byte, n int) {
	if b := c.b[c.off:]; c.err == nil && len(b) >= 3 && b[0] == contentFormat && b[1] == 0 && b[2] < 0x80 {
		c.off += 3 // nearly all: spelled canonically, few values
		return nil, int(b[2])
	}
	c.format(contentFormat)
	spelling = c.text(MaxSpelling, "a spelling has at most 4096 octets")
	return spelling, int(c.uvarint(MaxValues, "a record has at most 2048 values"))
}
