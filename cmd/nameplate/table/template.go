package table

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// A template is a text with columns in it:
//
//	{name}    the field of the row, escaped as its place needs
//	{+name}   the field, trusted to be escaped already (RFC 6570, section 3.2.3)
//	{row}     the number of the row, from 1, unless a column has that name
//	{{ }}     a brace
type template struct {
	parts []part
}

// part is a literal, or a column when it has an origin.
type part struct {
	literal string
	origin  origin
	column  int // of fromField
	trusted bool
	name    string
}

type origin uint8

const (
	fromLiteral origin = iota
	fromField
	fromNumber
)

// rowNumber is the name that stands for the number of a row.
const rowNumber = "row"

// parseTemplate reads a template over these columns.
func parseTemplate(text string, columns []string) (*template, error) {
	t := &template{}
	var literal strings.Builder
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case (c == '{' || c == '}') && i+1 < len(text) && text[i+1] == c:
			literal.WriteByte(c)
			i++
		case c == '}':
			return nil, fmt.Errorf("%q, octet %d: a brace closes nothing: write }} for the brace itself", text, i)
		case c == '{':
			end := strings.IndexByte(text[i:], '}')
			if end < 0 {
				return nil, fmt.Errorf("%q, octet %d: the brace is not closed: write } behind the name of the column, or {{ for the brace itself", text, i)
			}
			p, err := columnPart(text[i+1:i+end], columns)
			if err != nil {
				return nil, fmt.Errorf("%q: %w", text, err)
			}
			if literal.Len() > 0 {
				t.parts = append(t.parts, part{literal: literal.String()})
				literal.Reset()
			}
			t.parts = append(t.parts, p)
			i += end
		default:
			literal.WriteByte(c)
		}
	}
	if literal.Len() > 0 {
		t.parts = append(t.parts, part{literal: literal.String()})
	}
	return t, nil
}

// literalTemplate returns a template in which braces mean nothing.
func literalTemplate(text string) *template {
	return &template{parts: []part{{literal: text}}}
}

func columnPart(name string, columns []string) (part, error) {
	p := part{origin: fromField}
	name, p.trusted = strings.CutPrefix(name, "+")
	p.name = strings.TrimSpace(name)
	if p.column = slices.Index(columns, p.name); p.column >= 0 {
		return p, nil
	}
	if p.name == rowNumber {
		p.origin = fromNumber
		return p, nil
	}
	return part{}, &UnknownColumnError{Name: p.name, Columns: columns}
}

// UnknownColumnError says that a template names a column that the file does not have.
type UnknownColumnError struct {
	Name    string
	Columns []string
}

// maxListed is how many columns an error lists.
const maxListed = 40

func (e *UnknownColumnError) Error() string {
	known := make([]string, 0, maxListed)
	for _, c := range e.Columns {
		if len(known) == maxListed {
			known = append(known, fmt.Sprintf("and %d more", len(e.Columns)-maxListed))
			break
		}
		known = append(known, strconv.Quote(c))
	}
	advice := "use one of the columns " + strings.Join(known, ", ") + ", or {row}"
	if i := slices.IndexFunc(e.Columns, func(c string) bool { return strings.EqualFold(c, e.Name) }); i >= 0 {
		advice = "write {" + e.Columns[i] + "}"
	} else if len(e.Columns) == 1 {
		advice += "; if that is several columns, say --delimiter"
	}
	return fmt.Sprintf("there is no column %q: %s", e.Name, advice)
}

// head returns what the template begins with up to the first column.
func (t *template) head() string {
	if len(t.parts) == 0 || t.parts[0].origin != fromLiteral {
		return ""
	}
	return t.parts[0].literal
}

// numbered reports whether the template names the number of the row.
func (t *template) numbered() bool {
	return slices.ContainsFunc(t.parts, func(p part) bool { return p.origin == fromNumber })
}

// columns counts the columns that the template names, the number of the row not
// among them.
func (t *template) columns() int {
	n := 0
	for _, p := range t.parts {
		if p.origin == fromField {
			n++
		}
	}
	return n
}

// expanded is what a template makes of a row.
type expanded struct {
	text string
	// empty counts the columns whose field is empty; name is the first of them.
	empty int
	name  string
}

// expand fills in a row. buf is used for the text, and returned to be used again.
func (t *template) expand(row *Row, escape escaping, buf []byte) (expanded, []byte, error) {
	var e expanded
	buf = buf[:0]
	for i := range t.parts {
		p := &t.parts[i]
		switch p.origin {
		case fromLiteral:
			buf = append(buf, p.literal...)
		case fromNumber:
			buf = strconv.AppendInt(buf, int64(row.Number), 10)
		case fromField:
			field := row.Fields[p.column]
			if field == nested {
				return e, buf, fmt.Errorf("member %q holds an object or an array: name one that holds a text or a number", p.name)
			}
			if field == "" {
				if e.empty == 0 {
					e.name = p.name
				}
				e.empty++
			}
			buf = escape.append(buf, field, p.trusted)
		}
	}
	e.text = string(buf)
	return e, buf, nil
}
