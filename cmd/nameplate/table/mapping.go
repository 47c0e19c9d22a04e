package table

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nameplate-id/nameplate/registry/identifier"
)

// Mapping says what becomes of a row. Its texts are templates, see [Compile].
type Mapping struct {
	// ID is any spelling of an identifier.
	ID string
	// Links are URLs, each followed by its attributes if it has any, with a semicolon
	// and a space between:
	//
	//	https://maker.example/p/{gtin}; rel=gs1:pip; title={name}; lang=en,fr; type=text/html; default; ttl=1h
	//
	// rel is the link relation, type the media type, context what the relation's
	// vocabulary calls so; index sets the value's index.
	Links []string
	// Values are TYPE=DATA, or INDEX:TYPE=DATA.
	Values []string
	// TTL is that of every value that sets none; 0 is [identifier.DefaultTTL].
	TTL time.Duration
	// Time is the timestamp of the values; zero for none.
	Time time.Time
}

// Indexes of values that name none: links are numbered from 1, other values from
// 101, each in the order in which they are given, whether a row has them or not. So
// a field that is filled in later moves nothing.
const (
	firstLink  = 1
	firstValue = 101
)

// Mapper turns rows into registrations. It is for one goroutine.
type Mapper struct {
	id     *template
	needs  escaping
	links  []link
	values []value
	ttl    identifier.TTL
	time   time.Time
	buf    []byte
}

// value is a compiled value.
type value struct {
	index uint32
	name  string
	data  *template
}

// Registration is what becomes of a row.
type Registration struct {
	Row, Line int
	ID        identifier.ID
	Spelling  string
	Values    []identifier.Value
}

// Compile reads the templates. The error for a template that names a column that
// is not there is, or wraps, an [*UnknownColumnError].
func (m Mapping) Compile(columns []string) (*Mapper, error) {
	c, err := m.compile(func(text string) (*template, error) { return parseTemplate(text, columns) })
	if err != nil {
		return nil, err
	}
	if c.id.columns() == 0 && !c.id.numbered() {
		return nil, fmt.Errorf("identifier %q names no column, so every row would have the same: put one in, such as {%s} or {row}", m.ID, firstOf(columns))
	}
	return c, nil
}

// Literal returns the one registration that the texts say when they are no
// templates: braces mean nothing.
func (m Mapping) Literal() (Registration, error) {
	c, err := m.compile(func(text string) (*template, error) { return literalTemplate(text), nil })
	if err != nil {
		return Registration{}, err
	}
	return c.registration(&Row{Number: 1, Line: 1})
}

func (m Mapping) compile(parse parser) (*Mapper, error) {
	if m.ID == "" {
		return nil, errors.New("there is no identifier: say what it is, such as gs1:{gtin} or 88.118.8/{serial}")
	}
	c := &Mapper{ttl: identifier.DefaultTTL, time: m.Time.UTC().Truncate(time.Second)}
	var err error
	if m.TTL != 0 {
		if c.ttl, err = ttlOf(m.TTL); err != nil {
			return nil, err
		}
	}
	if c.id, err = parse(m.ID); err != nil {
		return nil, fmt.Errorf("identifier %w", err)
	}
	c.needs = escapingOf(c.id.head())
	for i, text := range m.Links {
		l := link{index: firstLink + uint32(i), ttl: c.ttl}
		if err := l.compile(text, parse); err != nil {
			return nil, fmt.Errorf("link %w", err)
		}
		c.links = append(c.links, l)
	}
	for i, text := range m.Values {
		v := value{index: firstValue + uint32(i)}
		if err := v.compile(text, parse); err != nil {
			return nil, fmt.Errorf("value %w", err)
		}
		c.values = append(c.values, v)
	}
	return c, c.checkIndexes()
}

// parser makes a template of a text.
type parser func(text string) (*template, error)

func firstOf(columns []string) string {
	if len(columns) == 0 {
		return rowNumber
	}
	return columns[0]
}

// checkIndexes finds two values with one index.
func (m *Mapper) checkIndexes() error {
	var indexes []uint32
	for _, l := range m.links {
		indexes = append(indexes, l.index)
	}
	for _, v := range m.values {
		indexes = append(indexes, v.index)
	}
	slices.Sort(indexes)
	for i := 1; i < len(indexes); i++ {
		if indexes[i] == indexes[i-1] {
			return fmt.Errorf("two links or values have the index %d: give each its own", indexes[i])
		}
	}
	return nil
}

// Numbered reports whether the identifier holds the number of the row. Where a
// [RowError] says Several, the numbers behind are not those of a mended file, so
// reading has to end there.
func (m *Mapper) Numbered() bool { return m.id.numbered() }

// Map turns a row into a registration. The error is a [*RowError] for a row that
// breaks a rule of its identifier or its values.
//
// A field that the identifier needs must not be empty. A link is left out when a
// field that its URL needs is empty; an attribute, and the data of a value, when
// all of its fields are.
func (m *Mapper) Map(row Row) (Registration, error) {
	r, err := m.registration(&row)
	if err != nil {
		return Registration{}, &RowError{Row: row.Number, Line: row.Line, LastLine: row.Line, Reason: oneLineError(err)}
	}
	return r, nil
}

func (m *Mapper) registration(row *Row) (Registration, error) {
	text, err := m.fill(m.id, row, m.needs)
	if err != nil {
		return Registration{}, err
	}
	if text.empty > 0 {
		return Registration{}, fmt.Errorf("column %q is empty and the identifier needs it: fill it in", text.name)
	}
	id, err := identifier.Parse(text.text)
	if err != nil {
		return Registration{}, err
	}
	r := Registration{Row: row.Number, Line: row.Line, ID: id, Spelling: text.text}
	if r.Values, err = m.content(row); err != nil {
		return Registration{}, err
	}
	if len(r.Values) == 0 && len(m.links)+len(m.values) > 0 {
		return Registration{}, errors.New("every column that its links and values need is empty: fill one in")
	}
	check := identifier.Row{Op: identifier.Put, ID: r.ID, Version: 1, Spelling: r.Spelling, Values: r.Values}
	return r, check.Check("")
}

// content makes the values of a row, in the order of their indexes.
func (m *Mapper) content(row *Row) ([]identifier.Value, error) {
	values := make([]identifier.Value, 0, len(m.links)+len(m.values))
	for i := range m.links {
		v, ok, err := m.linkValue(&m.links[i], row)
		if err != nil {
			return nil, err
		}
		if ok {
			values = append(values, v)
		}
	}
	for i := range m.values {
		c := &m.values[i]
		data, err := m.fill(c.data, row, plain)
		if err != nil {
			return nil, err
		}
		if n := c.data.columns(); n > 0 && data.empty == n {
			continue
		}
		values = append(values, identifier.Value{
			Index: c.index, Type: c.name, Data: []byte(data.text),
			TTL: m.ttl, Permissions: identifier.DefaultPermissions, Timestamp: m.time,
		})
	}
	slices.SortFunc(values, func(a, b identifier.Value) int { return int(int64(a.Index) - int64(b.Index)) })
	return values, nil
}

// fill expands a template with the mapper's buffer.
func (m *Mapper) fill(t *template, row *Row, needs escaping) (e expanded, err error) {
	e, m.buf, err = t.expand(row, needs, m.buf)
	return e, err
}

func (v *value) compile(text string, parse parser) (err error) {
	name, data, ok := strings.Cut(text, "=")
	if !ok || name == "" {
		return fmt.Errorf("%q is not TYPE=DATA: write it like DESC={name}", text)
	}
	if index, rest, numbered := strings.Cut(name, ":"); numbered {
		if i, err := indexOf(index); err == nil {
			v.index, name = i, rest
		}
	}
	if name == "URL" {
		return fmt.Errorf("%q is a link: use --link, which escapes what a URL needs", text)
	}
	v.name = name
	v.data, err = parse(data)
	return err
}

func indexOf(text string) (uint32, error) {
	n, err := strconv.ParseUint(strings.TrimSpace(text), 10, 32)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("index %q is not a number from 1 to %d", text, uint32(math.MaxUint32))
	}
	return uint32(n), nil
}

func ttlOf(d time.Duration) (identifier.TTL, error) {
	if d < 0 || d > math.MaxInt32*time.Second {
		return identifier.TTL{}, fmt.Errorf("a TTL of %v is out of range: use 0s to 68 years", d)
	}
	return identifier.TTL{Seconds: uint32(d / time.Second)}, nil
}

// oneLineError returns the text of an error without line breaks.
func oneLineError(err error) string {
	return strings.Join(strings.Fields(err.Error()), " ")
}
