// Package table reads the rows of a CSV or NDJSON file and turns each into a
// registration by templates.
//
// It reads a file of any size in constant memory, apart from [Seen], which has
// to remember every identifier of the file. A row that cannot be read or does not
// become a registration is a [*RowError], which names its lines; reading goes on
// behind it. Every other error ends the reading.
//
// # CSV
//
// CSV is RFC 4180: fields parted by a delimiter, quoted fields with doubled quotes
// and line breaks in them, LF or CRLF at the end of a row. The first row names the
// columns. A byte-order mark in front is dropped, blank lines are skipped. Every
// row has as many fields as there are columns; the text is UTF-8.
//
// A quote where none may stand spoils its row. When it opens a field that is
// closed only lines later, or never, there are two ways to read the lines between:
// as text of that one field, or as rows of their own. They count as rows only if
// each of them, up to where the mistake showed, is a row with exactly the right
// number of fields (and there is more than one column). Otherwise nothing of them
// is used, the error names all of them, and reading goes on behind them. So a
// mistake never registers what was meant as text.
//
// # NDJSON
//
// NDJSON is one JSON object a line. Strings are taken as they are, numbers as they
// are written, true and false by name; null is the same as a missing member.
// Objects and arrays inside are errors where a template names them. The columns are
// the members that occur in the first 100 lines.
package table

import (
	"fmt"
	"io"
	"strings"
)

// Limits of a file.
const (
	MaxColumns = 1024
	// MaxField is how many octets a field may have: what a value may hold.
	MaxField = 64 << 10
	// MaxRow is how many octets a row may have, over all its lines.
	MaxRow = 1 << 20
)

// Format is how a file is written.
type Format uint8

// The formats.
const (
	CSV Format = iota + 1
	NDJSON
)

// FormatOf returns the format that a file's name tells; CSV when it tells none.
func FormatOf(name string) Format {
	lower := strings.ToLower(name)
	for _, suffix := range []string{".ndjson", ".jsonl", ".json"} {
		if strings.HasSuffix(lower, suffix) {
			return NDJSON
		}
	}
	return CSV
}

// ParseFormat reads the name of a format.
func ParseFormat(name string) (Format, error) {
	switch strings.ToLower(name) {
	case "csv":
		return CSV, nil
	case "ndjson", "jsonl":
		return NDJSON, nil
	}
	return 0, fmt.Errorf("format %q is unknown: use csv or ndjson", name)
}

// Options say how a file is written.
type Options struct {
	Format Format
	// Delimiter parts the fields of CSV; a comma when it is 0. It is an ASCII
	// character other than a quote or a line break.
	Delimiter byte
}

// Row is one row of a file.
type Row struct {
	// Number counts the rows, from 1, those with errors too; Line is where it begins
	// in the file, from 1.
	Number int
	Line   int
	// Fields stand in the order of the columns. The slice, not the strings in it, is
	// used again for the next row.
	Fields []string
}

// RowError says why one row could not be used.
type RowError struct {
	Row  int // number of the row, or of the first of several
	Line int // where it begins
	// LastLine is where what could not be used ends; more than Line when the row, or
	// several that cannot be told apart, span lines.
	LastLine int
	Reason   string // what is wrong and what to do
	// Several says that it is not known how many rows these lines hold. The numbers
	// of the rows behind them are too low from here on.
	Several bool
}

func (e *RowError) Error() string {
	if e.LastLine > e.Line {
		return fmt.Sprintf("lines %d to %d: %s", e.Line, e.LastLine, e.Reason)
	}
	return fmt.Sprintf("line %d: %s", e.Line, e.Reason)
}

// Reader reads rows. It is for one goroutine.
type Reader struct {
	columns []string
	rows    rows
	number  int
}

// rows is a format: it reads one row after the other.
type rows interface {
	// next returns the fields of the next row, the lines it spans, or an error: a
	// *RowError (whose Row is filled in by the Reader), io.EOF, or what ended the reading.
	next() (fields []string, line int, err error)
}

// NewReader reads the names of the columns.
func NewReader(r io.Reader, o Options) (*Reader, error) {
	lines := newLines(r)
	switch o.Format {
	case CSV:
		return newCSV(lines, o.Delimiter)
	case NDJSON:
		return newNDJSON(lines)
	}
	return nil, fmt.Errorf("format %d is unknown: use csv or ndjson", o.Format)
}

// Columns returns the names of the columns, in the order of the file.
func (r *Reader) Columns() []string { return r.columns }

// Next returns the next row; io.EOF behind the last. After a [*RowError] reading
// goes on, after any other error it does not.
func (r *Reader) Next() (Row, error) {
	fields, line, err := r.rows.next()
	if err == nil {
		r.number++
		return Row{Number: r.number, Line: line, Fields: fields}, nil
	}
	if bad, ok := err.(*RowError); ok {
		r.number++
		bad.Row = r.number
	}
	return Row{}, err
}
