package table

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"unicode/utf8"
)

// firstLines is how many lines of NDJSON are looked at for the names of the columns.
const firstLines = 100

// ndjson reads one JSON object a line.
type ndjson struct {
	lines  *lines
	column map[string]int
	fields []string
}

func newNDJSON(l *lines) (*Reader, error) {
	if err := l.skipMark(); err != nil {
		return nil, err
	}
	n := &ndjson{lines: l, column: map[string]int{}}
	begin := l.mark()
	var columns []string
	for range firstLines {
		line, err := l.next()
		if err == io.EOF {
			break
		}
		if err == errLongLine {
			continue
		}
		if err != nil {
			return nil, err
		}
		// A bad line is an error when its turn comes; its members up to there count.
		_ = members(line, func(name, _ string, _ bool) error {
			if _, known := n.column[name]; !known && len(columns) < MaxColumns {
				n.column[name] = len(columns)
				columns = append(columns, name)
			}
			return nil
		})
	}
	l.rewind(begin)
	if len(columns) == 0 {
		return nil, fmt.Errorf("there is no JSON object in the first %d lines: write one a line, such as {\"gtin\": \"09506000134352\"}", firstLines)
	}
	n.fields = make([]string, len(columns))
	return &Reader{columns: columns, rows: n}, nil
}

func (n *ndjson) next() ([]string, int, error) {
	line, err := n.lines.next()
	for err == nil && len(bytes.TrimSpace(line)) == 0 {
		line, err = n.lines.next()
	}
	number := n.lines.number
	if err == errLongLine {
		err = fmt.Errorf("a row has at most %d octets: shorten it", MaxRow)
	} else if err != nil {
		return nil, 0, err
	} else {
		err = n.object(line)
	}
	if err != nil {
		return nil, 0, &RowError{Line: number, LastLine: number, Reason: err.Error()}
	}
	return n.fields, number, nil
}

// object reads a line into the fields.
func (n *ndjson) object(line []byte) error {
	clear(n.fields)
	if !utf8.Valid(line) {
		return errors.New("the row is not UTF-8: save the file as UTF-8")
	}
	return members(line, func(name, value string, scalar bool) error {
		at, known := n.column[name]
		if !known {
			return nil
		}
		if !scalar {
			value = nested
		}
		if len(value) > MaxField {
			return fmt.Errorf("member %q: a field has at most %d octets, not %d: shorten it", name, MaxField, len(value))
		}
		n.fields[at] = value
		return nil
	})
}

// nested stands for a field that is an object or an array. No text of a file can
// be equal to it, for it is not UTF-8.
const nested = "\xFFnested"

// members calls each with the members of the object that a line holds, whose names
// differ.
func members(line []byte, each func(name, value string, scalar bool) error) error {
	d := json.NewDecoder(bytes.NewReader(line))
	d.UseNumber()
	if token, err := d.Token(); err != nil || token != json.Delim('{') {
		return errors.New("the row is not a JSON object: write one a line")
	}
	seen := map[string]bool{}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return broken(err)
		}
		key, _ := name.(string)
		if seen[key] {
			return fmt.Errorf("member %q occurs twice: leave one out", key)
		}
		seen[key] = true
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			return broken(err)
		}
		value, scalar, err := scalarText(raw)
		if err != nil {
			return broken(err)
		}
		if err := each(key, value, scalar); err != nil {
			return err
		}
	}
	if _, err := d.Token(); err != nil {
		return broken(err)
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("something follows the JSON object: write one object a line")
	}
	return nil
}

// scalarText returns a JSON value as text: a string without its quotes, a number
// as it is written, null as nothing.
func scalarText(raw json.RawMessage) (text string, scalar bool, err error) {
	switch raw[0] {
	case '"':
		err = json.Unmarshal(raw, &text)
		return text, true, err
	case '{', '[':
		return "", false, nil
	case 'n':
		return "", true, nil
	}
	return string(raw), true, nil
}

func broken(err error) error {
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return errors.New("the row is not JSON, octet " + strconv.FormatInt(syntax.Offset, 10) + ": " + syntax.Error())
	}
	if err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("the JSON object does not end on its line: write one object a line")
	}
	return fmt.Errorf("the row is not JSON: %w", err)
}
