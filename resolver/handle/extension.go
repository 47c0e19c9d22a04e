package handle

import (
	"encoding/binary"
	"time"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/resolver"
)

// What Handle has no place for travels in a string at the end of a body with
// [FlagAnswer].
//
// In a request, only when there is something to ask that Handle cannot:
//
//	format u8 1 · flags u8 (1 mirror, 2 the handle is a prefix and a hash follows) ·
//	relation string · hash 32 octets when flagged
//
// In an answer:
//
//	format u8 1 · outcome u8 · flags u16 (see below) · lifetime, age u64, nanoseconds ·
//	log 16 octets · position u64 · apex string ·
//	record, when flagged: version u64 · time u64, milliseconds since 1970 · row hash 32 octets ·
//	  spelling and links string, a content of [identifier.AppendContent] with those values
//	  that have links, without what the ordinary values say of them ·
//	default link, when flagged: index u32; or string, a content with that value alone
//	delegation, when flagged: string, as of [identifier.AppendDelegation]
//
// An answer that is an error has the format 0 alone.
const (
	extensionFormat = 1
	extensionError  = 0

	askMirror = 1
	askHash   = 2

	tellInZone       = 1
	tellBelow        = 2
	tellMirror       = 4
	tellStale        = 8
	tellRecord       = 16
	tellDefaultIndex = 32
	tellDefaultValue = 64
	tellDelegation   = 128
	tellSuspect      = 256
	tellUnknown      = 512 // this flag and those above it
)

// appendAsked returns what of a query the request cannot say; "" when nothing.
func appendAsked(q *resolver.Query) string {
	if q.Relation == "" && !q.Mirror && q.SuffixHash == nil {
		return ""
	}
	flags := byte(0)
	if q.Mirror {
		flags |= askMirror
	}
	if q.SuffixHash != nil {
		flags |= askHash
	}
	b := appendText([]byte{extensionFormat, flags}, q.Relation)
	if q.SuffixHash != nil {
		b = append(b, q.SuffixHash[:]...)
	}
	return string(b)
}

// readAsked adds to a query what its request could not say.
func readAsked(extra string, q *resolver.Query) error {
	if extra == "" {
		return nil
	}
	c := cursor{what: "rest of the request", b: []byte(extra)}
	c.format()
	flags := c.u8()
	if flags > askMirror|askHash {
		c.fail(c.off-1, "the flags are 1 and 2")
	}
	q.Relation, q.Mirror = c.text(), flags&askMirror != 0
	if flags&askHash != 0 {
		q.SuffixHash = new(identifier.Hash)
		copy(q.SuffixHash[:], c.take(len(q.SuffixHash)))
	}
	return c.end()
}

func (c *cursor) format() {
	if f := c.u8(); f != extensionFormat {
		c.fail(0, "the format is 1, not %d: a newer node wrote it", f)
	}
}

// appendAnswer returns what of an answer the rest of the message does not say.
func appendAnswer(a *resolver.Answer) (string, error) {
	flags := uint16(0)
	for _, f := range []struct {
		on   bool
		flag uint16
	}{
		{a.InZone, tellInZone}, {a.Below, tellBelow}, {a.Origin.Mirror, tellMirror}, {a.Origin.Stale, tellStale},
		{a.Record != nil, tellRecord}, {a.Record != nil && a.Record.Suspect, tellSuspect}, {a.Delegation != nil, tellDelegation},
	} {
		if f.on {
			flags |= f.flag
		}
	}
	if a.Default != nil {
		flags |= tellDefaultValue
		if a.Record != nil && valueAt(a.Record.Values, a.Default.Index) != nil {
			flags ^= tellDefaultValue | tellDefaultIndex
		}
	}
	b := binary.BigEndian.AppendUint16([]byte{extensionFormat, byte(a.Outcome)}, flags)
	b = binary.BigEndian.AppendUint64(b, uint64(a.Lifetime))
	b = binary.BigEndian.AppendUint64(b, uint64(a.Origin.Age))
	b = append(b, a.Origin.Log[:]...)
	b = binary.BigEndian.AppendUint64(b, a.Origin.Position)
	b = appendText(b, a.Apex)
	var err error
	if a.Record != nil {
		if b, err = appendRecord(b, a.Record); err != nil {
			return "", err
		}
	}
	switch {
	case flags&tellDefaultIndex != 0:
		b = binary.BigEndian.AppendUint32(b, a.Default.Index)
	case flags&tellDefaultValue != 0:
		content, err := identifier.AppendContent(nil, "", []identifier.Value{*a.Default})
		if err != nil {
			return "", err
		}
		b = appendText(b, content)
	}
	if a.Delegation != nil {
		d, err := identifier.AppendDelegation(nil, a.Delegation)
		if err != nil {
			return "", err
		}
		b = appendText(b, d)
	}
	return string(b), nil
}

func appendRecord(b []byte, r *identifier.Record) ([]byte, error) {
	b = binary.BigEndian.AppendUint64(b, r.Version)
	b = binary.BigEndian.AppendUint64(b, uint64(r.Time.UnixMilli()))
	b = append(b, r.RowHash[:]...)
	var linked []identifier.Value
	for i := range r.Values {
		if v := &r.Values[i]; v.Link != nil {
			linked = append(linked, identifier.Value{
				Index: v.Index, Type: v.Type, TTL: identifier.DefaultTTL, Permissions: identifier.DefaultPermissions, Link: v.Link,
			})
		}
	}
	content, err := identifier.AppendContent(nil, r.Spelling, linked)
	if err != nil {
		return nil, err
	}
	return appendText(b, content), nil
}

func valueAt(values []identifier.Value, index uint32) *identifier.Value {
	for i := range values {
		if values[i].Index == index {
			return &values[i]
		}
	}
	return nil
}

// readAnswer reads what [appendAnswer] writes, with the identifier and the values that
// the rest of the message says.
func readAnswer(extra string, id identifier.ID, values []identifier.Value) (resolver.Answer, error) {
	c := cursor{what: "rest of the answer", b: []byte(extra)}
	c.format()
	a := resolver.Answer{ID: id, Outcome: resolver.Outcome(c.u8())}
	flags := c.u16()
	if flags >= tellUnknown {
		c.fail(2, "the flags are 1 to 256")
	}
	a.InZone, a.Below = flags&tellInZone != 0, flags&tellBelow != 0
	a.Lifetime = time.Duration(c.u64() &^ (1 << 63))
	a.Origin = resolver.Origin{Mirror: flags&tellMirror != 0, Stale: flags&tellStale != 0, Age: time.Duration(c.u64() &^ (1 << 63))}
	copy(a.Origin.Log[:], c.take(len(a.Origin.Log)))
	a.Origin.Position = c.u64()
	if apex := c.text(); apex != "" && c.err == nil {
		if a.Apex, c.err = identifier.ParsePrefix(apex); c.err != nil {
			return resolver.Answer{}, c.err
		}
	}
	if flags&tellRecord != 0 {
		if a.Record = c.record(id, values); a.Record != nil {
			a.Record.Suspect = flags&tellSuspect != 0
		}
	}
	if flags&tellDefaultIndex != 0 {
		at := c.off
		if v := valueAt(values, c.u32()); v != nil {
			link := *v
			a.Default = &link
		} else {
			c.fail(at, "the default link is one of the values")
		}
	} else if flags&tellDefaultValue != 0 {
		if _, link := c.content(); len(link) == 1 {
			a.Default = &link[0]
		}
	}
	if flags&tellDelegation != 0 {
		a.Delegation = c.delegation()
	}
	if err := c.end(); err != nil {
		return resolver.Answer{}, err
	}
	return a, nil
}

// content reads a spelling and values.
func (c *cursor) content() (string, []identifier.Value) {
	b := c.octets()
	if c.err != nil {
		return "", nil
	}
	spelling, values, err := identifier.ParseContent(b)
	if err != nil {
		c.err = err
	}
	return spelling, values
}

func (c *cursor) record(id identifier.ID, values []identifier.Value) *identifier.Record {
	r := &identifier.Record{ID: id, Version: c.u64(), Time: time.UnixMilli(int64(c.u64())).UTC(), Values: values}
	copy(r.RowHash[:], c.take(len(r.RowHash)))
	at := c.off
	spelling, linked := c.content()
	r.Spelling = spelling
	for i := range linked {
		v := valueAt(values, linked[i].Index)
		if v == nil || v.Type != "URL" {
			c.fail(at, "value %d has a link and is not there", linked[i].Index)
			return nil
		}
		v.Link = linked[i].Link
	}
	return r
}

func (c *cursor) delegation() *identifier.Delegation {
	b := c.octets()
	if c.err != nil {
		return nil
	}
	d, err := identifier.ParseDelegation(b)
	if err != nil {
		c.err = err
	}
	return d
}
