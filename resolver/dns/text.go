package dns

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nameplate-id/nameplate/registry/identifier"
)

// The TXT records at a name say everything about a record, in a form that a person
// can read in the output of dig and that [Client] reads back without loss. One TXT
// record is the head and each of the others a value:
//
//	"nameplate=1" "id=88.118.8/sn-42" "version=3" "values=2" "time=…" "row=…"
//	"value=1" "type=URL" "ttl=86400" "time=…" "rel=gs1:pip" "lang=en,de" "data=https://…"
//	"value=2" "type=DESC" "ttl=86400" "time=…" "data=Pump"
//
// Each character-string (RFC 1035, section 3.3) is a key, an equals sign and a text;
// one that begins with a plus sign continues the text before it, which was too long
// for 255 octets. Texts are raw octets. Keys that are not known are skipped. Records
// come in any order, the strings of one in the order in which they are here.
//
//	nameplate    the form: 1
//	id           the canonical text of the identifier
//	version      of the record
//	values       how many records there are beside the head
//	time         when the version was logged, to the millisecond; left out when unknown
//	row          its row hash in hexadecimal; left out when unknown
//	spelling     how the identifier was written, where that is not its canonical text
//
//	value        the index of a value
//	default      instead: the index of the default link, where it is not among the values
//	type         its type
//	ttl          seconds, or @ and the seconds since 1970 when it ends
//	permissions  four bits: read and write for administrators, read and write for all;
//	             left out when 1110
//	time         when the value was last changed; left out when unknown
//	link         a link without any of the following
//	rel, title, lang, media, context
//	             of a link; lang with commas between
//	primary      the link is marked as the default
//	ref          index:handle of a reference; several times
//	data         always the last
//
// A value that makes the records pass [maxText] octets is left out. Fewer records
// than the head says, and the client knows that it has not seen all.
const textForm = "1"

const (
	// maxText is what all TXT records of a name may come to, so that they fit a
	// message (65,535 octets) with everything else in it.
	maxText = 60_000
	// perRecord is what a record takes beside its data when its name is compressed.
	perRecord = 12

	maxString  = 255
	timeMillis = "2006-01-02T15:04:05.000Z07:00"
)

// line is the character-strings of one TXT record.
type line []string

// add appends key=text, over as many strings as it takes.
func (l line) add(key, text string) line {
	s := key + "=" + text
	for len(s) > maxString {
		l = append(l, s[:maxString])
		s = "+" + s[maxString:]
	}
	return append(l, s)
}

// octets is what the line takes in a message.
func (l line) octets() int { return perRecord + octets(l) }

// lines writes a record, and a default link that is not among its values.
func lines(r *identifier.Record, link *identifier.Value) []line {
	all := make([]line, 1, len(r.Values)+2)
	all[0] = head(r, link)
	room := maxText - all[0].octets()
	keep := func(l line) {
		if n := l.octets(); n <= room {
			room -= n
			all = append(all, l)
		}
	}
	for i := range r.Values {
		keep(valueLine("value", &r.Values[i]))
	}
	if link != nil {
		keep(valueLine("default", link))
	}
	return all
}

func head(r *identifier.Record, link *identifier.Value) line {
	id := r.ID.String()
	others := len(r.Values)
	if link != nil {
		others++
	}
	l := line{"nameplate=" + textForm}.add("id", id)
	l = l.add("version", strconv.FormatUint(r.Version, 10)).add("values", strconv.Itoa(others))
	if !r.Time.IsZero() {
		l = l.add("time", r.Time.UTC().Format(timeMillis))
	}
	if r.RowHash != (identifier.Hash{}) {
		l = l.add("row", hex.EncodeToString(r.RowHash[:]))
	}
	if r.Spelling != id {
		l = l.add("spelling", r.Spelling)
	}
	if r.Suspect {
		l = l.add("suspect", "yes")
	}
	return l
}

func valueLine(key string, v *identifier.Value) line {
	ttl := strconv.FormatUint(uint64(v.TTL.Seconds), 10)
	if v.TTL.Absolute {
		ttl = "@" + ttl
	}
	l := line{}.add(key, strconv.FormatUint(uint64(v.Index), 10)).add("type", v.Type).add("ttl", ttl)
	if v.Permissions != identifier.DefaultPermissions {
		l = l.add("permissions", fmt.Sprintf("%04b", uint8(v.Permissions)))
	}
	if !v.Timestamp.IsZero() {
		l = l.add("time", v.Timestamp.UTC().Format(time.RFC3339))
	}
	l = addLink(l, v.Link)
	for _, r := range v.References {
		l = l.add("ref", strconv.FormatUint(uint64(r.Index), 10)+":"+r.Handle)
	}
	return l.add("data", string(v.Data))
}

func addLink(l line, link *identifier.Link) line {
	if link == nil {
		return l
	}
	before := len(l)
	for _, part := range [...]struct{ key, text string }{
		{"rel", link.Relation}, {"title", link.Title}, {"lang", strings.Join(link.Languages, ",")},
		{"media", link.MediaType}, {"context", link.Context},
	} {
		if part.text != "" {
			l = l.add(part.key, part.text)
		}
	}
	if link.Default {
		l = append(l, "primary")
	}
	if len(l) == before {
		l = append(l, "link")
	}
	return l
}

// errIncomplete says that a record did not fit its TXT records.
var errIncomplete = errors.New("the record has more values than fit a DNS message")

// parseLines reads what lines writes: the record, and the default link where it is
// not among the values.
func parseLines(all []line) (*identifier.Record, *identifier.Value, error) {
	var r *identifier.Record
	var link *identifier.Value
	values := []identifier.Value{}
	others := 0
	for _, l := range all {
		parts, err := l.parts()
		if err != nil {
			return nil, nil, err
		}
		switch parts[0].key {
		case "nameplate":
			if r != nil {
				return nil, nil, errors.New("the TXT records have two heads")
			}
			if r, others, err = parseHead(parts); err != nil {
				return nil, nil, err
			}
		case "value", "default":
			v, err := parseValue(parts)
			if err != nil {
				return nil, nil, err
			}
			if parts[0].key == "value" {
				values = append(values, v)
			} else {
				link = &v
			}
		}
	}
	if r == nil {
		return nil, nil, errors.New("no TXT record is the head of a record")
	}
	found := len(values)
	if link != nil {
		found++
	}
	if found < others {
		return nil, nil, errIncomplete
	}
	slices.SortFunc(values, func(a, b identifier.Value) int { return int(int64(a.Index) - int64(b.Index)) })
	for i := 1; i < len(values); i++ {
		if values[i].Index == values[i-1].Index {
			return nil, nil, fmt.Errorf("two TXT records are value %d", values[i].Index)
		}
	}
	r.Values = values
	return r, link, nil
}

// part is one key and its text.
type part struct{ key, text string }

// parts puts together what add took apart.
func (l line) parts() ([]part, error) {
	var parts []part
	for _, s := range l {
		if more, ok := strings.CutPrefix(s, "+"); ok {
			if len(parts) == 0 {
				return nil, errors.New("a TXT record begins with a continuation")
			}
			parts[len(parts)-1].text += more
			continue
		}
		key, text, _ := strings.Cut(s, "=")
		parts = append(parts, part{key, text})
	}
	if len(parts) == 0 {
		return nil, errors.New("a TXT record is empty")
	}
	return parts, nil
}

// parseHead returns the record without its values and how many records follow.
func parseHead(parts []part) (*identifier.Record, int, error) {
	r := &identifier.Record{}
	others := -1
	spelled := false
	for _, p := range parts {
		var err error
		switch p.key {
		case "nameplate":
			if p.text != textForm {
				err = fmt.Errorf("form %q is not known: ask with a newer program", p.text)
			}
		case "id":
			r.ID, err = identifier.ParseCanonical(p.text)
		case "version":
			r.Version, err = strconv.ParseUint(p.text, 10, 64)
		case "values":
			others, err = strconv.Atoi(p.text)
		case "time":
			r.Time, err = time.Parse(timeMillis, p.text)
		case "row":
			var row []byte
			if row, err = hex.DecodeString(p.text); err == nil && len(row) != len(r.RowHash) {
				err = errors.New("a row hash has 32 octets")
			}
			copy(r.RowHash[:], row)
		case "spelling":
			r.Spelling, spelled = p.text, true
		case "suspect":
			r.Suspect = p.text == "yes"
		}
		if err != nil {
			return nil, 0, fmt.Errorf("TXT %s: %w", p.key, err)
		}
	}
	if r.ID == (identifier.ID{}) || r.Version == 0 || others < 0 {
		return nil, 0, errors.New("the head of the TXT records has an id, a version and the number of values")
	}
	if !spelled {
		r.Spelling = r.ID.String()
	}
	return r, others, nil
}

func parseValue(parts []part) (identifier.Value, error) {
	v := identifier.Value{Permissions: identifier.DefaultPermissions}
	link := func() *identifier.Link {
		if v.Link == nil {
			v.Link = &identifier.Link{}
		}
		return v.Link
	}
	for _, p := range parts {
		var err error
		switch p.key {
		case "value", "default":
			v.Index, err = parseUint32(p.text)
		case "type":
			v.Type = p.text
		case "ttl":
			var seconds string
			seconds, v.TTL.Absolute = strings.CutPrefix(p.text, "@")
			v.TTL.Seconds, err = parseUint32(seconds)
		case "permissions":
			var bits uint64
			bits, err = strconv.ParseUint(p.text, 2, 4)
			v.Permissions = identifier.Permissions(bits)
		case "time":
			v.Timestamp, err = time.Parse(time.RFC3339, p.text)
		case "link":
			link()
		case "rel":
			link().Relation = p.text
		case "title":
			link().Title = p.text
		case "lang":
			link().Languages = strings.Split(p.text, ",")
		case "media":
			link().MediaType = p.text
		case "context":
			link().Context = p.text
		case "primary":
			link().Default = true
		case "ref":
			index, handle, _ := strings.Cut(p.text, ":")
			r := identifier.Reference{Handle: handle}
			r.Index, err = parseUint32(index)
			v.References = append(v.References, r)
		case "data":
			v.Data = []byte(p.text)
		}
		if err != nil {
			return v, fmt.Errorf("TXT %s: %w", p.key, err)
		}
	}
	if v.Index == 0 || v.Type == "" {
		return v, errors.New("a TXT record of a value has an index and a type")
	}
	return v, nil
}

func parseUint32(s string) (uint32, error) {
	n, err := strconv.ParseUint(s, 10, 32)
	return uint32(n), err
}
