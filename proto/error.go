package proto

import (
	"fmt"
	"strings"
)

// FieldError says which field of a message breaks a rule.
type FieldError struct {
	// Field is its path in the message, such as "rows[3].values[0].index".
	Field string
	// Err is the rule and, where it is not plain, the mend.
	Err error
}

func (e *FieldError) Error() string { return e.Field + ": " + e.Err.Error() }

func (e *FieldError) Unwrap() error { return e.Err }

// RowErrors names the rows of a change that cannot be read, in ascending order.
type RowErrors []RowFault

// RowFault is what is wrong with one row of a change.
type RowFault struct {
	Row int // from 0
	Err error
}

func (e RowErrors) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d rows cannot be read", len(e))
	for i, fault := range e {
		if i == 3 {
			b.WriteString(", …")
			break
		}
		fmt.Fprintf(&b, ", rows[%d]: %v", fault.Row, fault.Err)
	}
	return b.String()
}

// fault returns a FieldError.
func fault(field, format string, args ...any) error {
	return &FieldError{Field: field, Err: fmt.Errorf(format, args...)}
}

// within puts the path of a message before that of its field.
func within(path string, err error) error {
	if e, ok := err.(*FieldError); ok {
		return &FieldError{Field: path + "." + e.Field, Err: e.Err}
	}
	return &FieldError{Field: path, Err: err}
}

// checkCount checks how many there are of a repeated field.
func checkCount(field string, count, limit int) error {
	if count > limit {
		return fault(field, "there are %d, at most %d are allowed", count, limit)
	}
	return nil
}

// setOctets fills a fixed field; none stand for zeros.
func setOctets(field string, dst, src []byte) error {
	if len(src) != 0 && len(src) != len(dst) {
		return fault(field, "has %d octets, not %d", len(src), len(dst))
	}
	copy(dst, src)
	return nil
}

// octetsOf returns a fixed field as a message carries it: none for zeros.
func octetsOf(b []byte) []byte {
	for _, c := range b {
		if c != 0 {
			return b
		}
	}
	return nil
}
