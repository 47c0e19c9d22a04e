package table

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// csv reads rows as RFC 4180 has them.
type csv struct {
	lines     *lines
	delimiter byte
	columns   int // 0 while the names of the columns are read
	record    record
	mark      int    // behind the record's first line; set when it is doubtful
	text      []byte // of the fields, one behind the other, without quotes
	ends      []int  // where each field ends in text
}

// record is what was read as one row.
type record struct {
	line, last int // where it begins and ends
	// fault is what is wrong with it; "" when nothing is.
	fault string
	// doubtful says that its lines behind the first may be rows of their own.
	doubtful bool
}

func newCSV(l *lines, delimiter byte) (*Reader, error) {
	if delimiter == 0 {
		delimiter = ','
	}
	if delimiter == '"' || delimiter == '\n' || delimiter == '\r' || delimiter >= utf8.RuneSelf {
		return nil, fmt.Errorf("delimiter %q cannot part fields: use one ASCII character other than a quote or a line break", delimiter)
	}
	if err := l.skipMark(); err != nil {
		return nil, err
	}
	c := &csv{lines: l, delimiter: delimiter}
	err := c.read()
	switch {
	case err == io.EOF:
		return nil, errors.New("the file is empty: its first row names the columns")
	case err != nil:
		return nil, err
	case c.record.fault != "":
		return nil, fmt.Errorf("the names of the columns, line %d: %s", c.record.line, c.record.fault)
	}
	columns := c.fields(nil)
	if err := checkColumns(columns); err != nil {
		return nil, fmt.Errorf("the names of the columns, line %d: %w", c.record.line, err)
	}
	c.columns = len(columns)
	return &Reader{columns: columns, rows: &csvRows{csv: c}}, nil
}

// checkColumns trims the names and checks that each stands for one column.
func checkColumns(columns []string) error {
	if len(columns) > MaxColumns {
		return fmt.Errorf("there are %d, at most %d may be: leave some out", len(columns), MaxColumns)
	}
	seen := map[string]int{}
	for i, name := range columns {
		columns[i] = strings.TrimSpace(name)
		name = columns[i]
		if first, twice := seen[name]; twice && name != "" {
			return fmt.Errorf("%q stands for columns %d and %d: give each its own name", name, first+1, i+1)
		}
		seen[name] = i
	}
	return nil
}

// csvRows is the rows behind the names of the columns.
type csvRows struct {
	csv   *csv
	slice []string // of the fields, used again
}

func (r *csvRows) next() ([]string, int, error) {
	c := r.csv
	if err := c.read(); err != nil {
		return nil, 0, err
	}
	rec := &c.record
	switch {
	case rec.fault == "":
		r.slice = c.fields(r.slice[:0])
		return r.slice, rec.line, nil
	case rec.doubtful:
		return nil, 0, c.resynchronise()
	}
	return nil, 0, &RowError{Line: rec.line, LastLine: rec.last, Reason: rec.fault}
}

// resynchronise decides where to go on behind a record whose quotes are wrong and
// which took lines that may be rows of their own: with the second of its lines when
// all of them read as whole rows, else behind them all. The mark that read set
// stands behind the first line.
func (c *csv) resynchronise() error {
	bad := c.record
	c.lines.rewind(c.mark)
	begin := c.lines.mark()
	whole := c.columns > 1
	for whole && c.lines.number < bad.last {
		err := c.read()
		if err == io.EOF {
			break // the last lines are blank
		}
		if err != nil {
			c.lines.release()
			return err
		}
		if whole = c.record.fault == ""; c.record.doubtful {
			c.lines.release()
		}
	}
	c.lines.rewind(begin)
	if whole {
		return &RowError{Line: bad.line, LastLine: bad.line, Reason: bad.fault + " (the rows behind it are used)"}
	}
	for c.lines.number < bad.last {
		if _, err := c.lines.next(); err != nil && err != errLongLine {
			return err
		}
	}
	return &RowError{Line: bad.line, LastLine: bad.last, Reason: bad.fault + " (nothing of these lines is used)", Several: true}
}

// read reads one row into c.record. The error is io.EOF or what ended the reading.
// When the record is doubtful, c.mark is set behind its first line; otherwise no
// mark is left.
func (c *csv) read() error {
	line, err := c.lines.next()
	for err == nil && len(trimBreak(line)) == 0 {
		line, err = c.lines.next()
	}
	c.record = record{line: c.lines.number, last: c.lines.number}
	c.text, c.ends = c.text[:0], c.ends[:0]
	if err == errLongLine {
		c.record.fault = fmt.Sprintf("a row has at most %d octets: shorten it", MaxRow)
		return nil
	}
	if err != nil {
		return err
	}
	open := c.scan(line, false)
	if !open {
		c.check()
		return nil
	}
	c.mark = c.lines.mark()
	for open {
		line, err = c.lines.next()
		if err == io.EOF {
			c.fault("a quote opens a field and none closes it before the file ends: close it, or double the quote")
			break
		}
		if err == errLongLine || err == nil && len(c.text)+len(line) > MaxRow {
			c.fault("a row is too long to be one: close the quote, or double it")
			break
		}
		if err != nil {
			c.lines.release()
			return err
		}
		open = c.scan(line, true)
	}
	c.record.last = c.lines.number
	c.check()
	c.record.doubtful = c.record.fault != "" && c.record.last > c.record.line
	if !c.record.doubtful {
		c.lines.release()
	}
	return nil
}

// scan takes in one line. open says that it begins inside a quoted field; the
// answer says whether it ends inside one.
func (c *csv) scan(line []byte, open bool) bool {
	rest := trimBreak(line)
	for {
		if !open && len(rest) > 0 && rest[0] == '"' {
			open, rest = true, rest[1:]
		}
		if open {
			if rest, open = c.quoted(rest); open {
				c.text = append(c.text, '\n')
				return true
			}
			if len(rest) > 0 && rest[0] != c.delimiter {
				c.fault("a quote closes a field and something else than the delimiter follows: double a quote that belongs to the text")
				return false
			}
		} else {
			end := bytes.IndexByte(rest, c.delimiter)
			if end < 0 {
				end = len(rest)
			}
			if bytes.IndexByte(rest[:end], '"') >= 0 {
				c.fault("a quote stands inside a field that does not begin with one: put the whole field in quotes and double the quote")
				return false
			}
			c.text = append(c.text, rest[:end]...)
			rest = rest[end:]
		}
		c.ends = append(c.ends, len(c.text))
		if len(rest) == 0 {
			return false
		}
		rest = rest[1:]
	}
}

// quoted takes in a quoted field up to the quote that closes it, and returns what
// is behind. open says that none does.
func (c *csv) quoted(rest []byte) (behind []byte, open bool) {
	for {
		end := bytes.IndexByte(rest, '"')
		if end < 0 {
			c.text = append(c.text, rest...)
			return nil, true
		}
		c.text = append(c.text, rest[:end]...)
		rest = rest[end+1:]
		if len(rest) == 0 || rest[0] != '"' {
			return rest, false
		}
		c.text = append(c.text, '"')
		rest = rest[1:]
	}
}

// fault keeps the first thing that is wrong with the record, and in which column.
func (c *csv) fault(reason string) {
	if c.record.fault == "" {
		c.record.fault = fmt.Sprintf("in column %d %s", len(c.ends)+1, reason)
	}
}

// check looks at a record that was read to its end.
func (c *csv) check() {
	switch {
	case c.record.fault != "":
	case c.columns > 0 && len(c.ends) != c.columns:
		c.record.fault = fmt.Sprintf("the row has %d fields and there are %d columns: is a delimiter or a quote missing?", len(c.ends), c.columns)
	case !utf8.Valid(c.text):
		c.record.fault = "the row is not UTF-8: save the file as UTF-8"
	default:
		begin := 0
		for i, end := range c.ends {
			if end-begin > MaxField {
				c.record.fault = fmt.Sprintf("in column %d a field has more than %d octets, %d: shorten it", i+1, MaxField, end-begin)
				return
			}
			begin = end
		}
	}
}

// fields appends the fields of the record.
func (c *csv) fields(fields []string) []string {
	text := string(c.text)
	begin := 0
	for _, end := range c.ends {
		fields = append(fields, text[begin:end])
		begin = end
	}
	return fields
}

// trimBreak returns a line without its line break.
func trimBreak(line []byte) []byte {
	line = bytes.TrimSuffix(line, []byte("\n"))
	return bytes.TrimSuffix(line, []byte("\r"))
}
