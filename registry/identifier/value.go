package identifier

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"iter"
	"math"
	"strconv"
	"time"
)

// Content is a record's spelling and values, encoded as one sequence of octets.
// It is what a row's content hash covers, what lies in the log, and the end of a
// record's stored form:
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
//	  permissions u8        at most 15; when flagged, otherwise [DefaultPermissions]
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
const contentFormat = 1

const (
	maxLanguage  = 63 // octets of a language tag
	minValueSize = 5  // octets that a value takes at least
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

// AppendContent appends the encoding of a record's spelling and values. Times are
// cut to the second. The error, a [*RuleError], names the value and the limit that
// is passed; what else a value must be is judged by [Change.Check].
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
	for range n {
		view := c.value(before)
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
	c.format(contentFormat)
	spelling = c.text(MaxSpelling, "a spelling has at most 4096 octets")
	return spelling, int(c.uvarint(MaxValues, "a record has at most 2048 values"))
}

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
func (c *cursor) value(before uint32) ValueView {
	at := c.off
	flags := c.u8()
	if flags >= valueUnknown || flags&(valueTTL|valueAbsolute) == valueAbsolute {
		c.fail(at, "the flags of a value are 1 to 32, and 2 only with 1")
	}
	v := ValueView{TTL: DefaultTTL, Permissions: DefaultPermissions}
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
		c.link(&v)
	}
	if flags&valueReferences != 0 {
		n := c.count(MaxReferences, "a value has 1 to 64 references")
		at = c.off
		for i := 0; i < n && c.err == nil; i++ {
			c.reference()
		}
		v.references = c.b[at:c.off]
	}
	return v
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
