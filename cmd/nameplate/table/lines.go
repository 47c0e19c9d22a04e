package table

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
)

// lines reads physical lines, and can go back to a mark.
type lines struct {
	r *bufio.Reader
	// number is that of the line that was returned last, from 1.
	number int
	// since are copies of the lines that were returned since the oldest of the marks
	// that are set; nil stands for one that was too long.
	since [][]byte
	marks int
	again [][]byte // lines to return once more, the next one first
	err   error    // what ended the reading
}

func newLines(r io.Reader) *lines {
	return &lines{r: bufio.NewReaderSize(r, 256<<10)}
}

// errLongLine: a line was longer than MaxRow. The line has been skipped.
var errLongLine = errors.New("line is too long")

// next returns the next line with its line break, which only the last line may
// lack. What it returns is good until the call after.
func (l *lines) next() ([]byte, error) {
	line, err := l.read()
	if err != nil && err != errLongLine {
		return nil, err
	}
	l.number++
	if l.marks > 0 {
		l.since = append(l.since, bytes.Clone(line))
	}
	return line, err
}

func (l *lines) read() ([]byte, error) {
	if len(l.again) > 0 {
		line := l.again[0]
		l.again = l.again[1:]
		if line == nil {
			return nil, errLongLine
		}
		return line, nil
	}
	if l.err != nil {
		return nil, l.err
	}
	line, err := l.r.ReadSlice('\n')
	if err == bufio.ErrBufferFull {
		line, err = l.long(line)
	}
	switch {
	case err == nil || err == errLongLine:
		return line, err
	case err != io.EOF:
		l.err = fmt.Errorf("line %d: %w", l.number+1, err)
		return nil, l.err
	}
	l.err = io.EOF
	if len(line) == 0 {
		return nil, io.EOF
	}
	return line, nil
}

// mark remembers this place until it is released.
func (l *lines) mark() int {
	l.marks++
	return len(l.since)
}

// release forgets the newest mark.
func (l *lines) release() {
	l.marks--
	if l.marks == 0 {
		l.since = nil
	}
}

// rewind goes back to a mark and releases it.
func (l *lines) rewind(mark int) {
	back := l.since[mark:]
	l.number -= len(back)
	l.again = append(back[:len(back):len(back)], l.again...)
	l.since = l.since[:mark]
	l.release()
}

// long reads the rest of a line that did not fit into the buffer.
func (l *lines) long(begin []byte) ([]byte, error) {
	whole := bytes.Clone(begin)
	for {
		more, err := l.r.ReadSlice('\n')
		if len(whole) <= MaxRow { // else only read it away
			whole = append(whole, more...)
		}
		switch {
		case err == bufio.ErrBufferFull:
		case len(whole) > MaxRow:
			l.err = err
			return nil, errLongLine
		default:
			return whole, err
		}
	}
}

// byteOrderMarks are what files may begin with, and what that makes of them.
var byteOrderMarks = []struct{ mark, name string }{
	{"\xEF\xBB\xBF", "UTF-8"},
	{"\xFF\xFE", "UTF-16"},
	{"\xFE\xFF", "UTF-16"},
}

// skipMark drops the byte-order mark of UTF-8 and refuses other encodings.
func (l *lines) skipMark() error {
	begin, err := l.r.Peek(3)
	if err != nil && err != io.EOF {
		return err
	}
	for _, m := range byteOrderMarks {
		if bytes.HasPrefix(begin, []byte(m.mark)) {
			if m.name != "UTF-8" {
				return fmt.Errorf("the file is in %s: save it as UTF-8", m.name)
			}
			_, err := l.r.Discard(len(m.mark))
			return err
		}
	}
	if len(begin) >= 2 && begin[0] == 0x1F && begin[1] == 0x8B {
		return errors.New("the file is compressed: unpack it, for example with gzip -dc FILE | nameplate import -")
	}
	if len(begin) >= 2 && string(begin[:2]) == "PK" {
		return errors.New("the file is a spreadsheet or an archive: save it as CSV in UTF-8")
	}
	return nil
}
