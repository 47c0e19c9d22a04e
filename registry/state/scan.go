package state

import (
	"bytes"
	"context"
	"iter"

	"go.etcd.io/bbolt"
)

// A scan reads this much in one transaction.
const (
	chunkRows   = 512
	chunkOctets = 256 << 10
)

// Row is one row of a scan.
type Row struct {
	// Key does not hold the log number.
	Key       []byte
	Value     []byte
	Withdrawn bool
}

// Ascend returns the rows of one log in a table, withdrawn ones too, in the order
// of keys, beginning at the first key that is not below from. It reads what is
// committed, the overlay never: wait for a position with [Store.WaitApplied]
// first.
//
// It reads in short transactions, none of which is open while the loop's body
// runs, so the body may take its time. A row that changes meanwhile is seen as
// it was or as it is. The octets of a row are valid until the next one.
//
// An error ends the scan; it comes with an empty row.
func (s *Store) Ascend(ctx context.Context, t Table, log uint32, from []byte) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		c := chunk{table: t, next: appendKey(nil, log, from)}
		for more := true; more; {
			if ctx.Err() != nil {
				yield(Row{}, context.Cause(ctx))
				return
			}
			err := s.read(func(tx *bbolt.Tx) (err error) {
				more, err = c.read(tx)
				return err
			})
			if err != nil {
				yield(Row{}, err)
				return
			}
			for _, r := range c.rows {
				if !yield(r, nil) {
					return
				}
			}
		}
	}
}

// read calls f with a transaction of its own.
func (s *Store) read(f func(*bbolt.Tx) error) error {
	return guard(s.path, func() error {
		tx, err := s.begin(false)
		if err != nil {
			return err
		}
		defer tx.Rollback()
		return f(tx)
	})
}

// chunk is what a scan holds between two transactions.
type chunk struct {
	table Table
	next  []byte // where to go on: log number, key
	rows  []Row
	text  []byte // their octets
}

// source is a cursor over one bucket, and the row it is at.
type source struct {
	cursor     *bbolt.Cursor
	key, value []byte
	withdrawn  bool
}

// read fills the chunk and reports whether there may be more.
func (c *chunk) read(tx *bbolt.Tx) (more bool, err error) {
	c.rows, c.text = c.rows[:0], c.text[:0]
	log := bytes.Clone(c.next[:logSize])
	sources, err := c.sources(tx)
	if err != nil {
		return false, err
	}
	file := mappingOf(tx)
	for {
		var first *source
		for _, s := range sources {
			if bytes.HasPrefix(s.key, log) && (first == nil || bytes.Compare(s.key, first.key) < 0) {
				first = s
			}
		}
		if first == nil {
			return false, nil
		}
		if err := file.check(first.key, first.value); err != nil {
			return false, err
		}
		if bytes.Compare(first.key, c.next) < 0 {
			return false, brokenf("the keys of %v are out of order", c.table)
		}
		if len(c.rows) == chunkRows || len(c.text) >= chunkOctets {
			return true, nil
		}
		start := len(c.text)
		c.text = append(append(c.text, first.key...), first.value...)
		middle := start + len(first.key)
		c.rows = append(c.rows, Row{Key: c.text[start+logSize : middle : middle], Value: c.text[middle:len(c.text):len(c.text)], Withdrawn: first.withdrawn})
		c.next = append(append(c.next[:0], first.key...), 0)
		first.key, first.value = first.cursor.Next()
	}
}

// sources returns cursors over the buckets of the table, where the chunk begins.
func (c *chunk) sources(tx *bbolt.Tx) ([]*source, error) {
	names := []string{c.table.String()}
	if c.table.versioned() {
		names = append(names, c.table.withdrawnBucket())
	}
	var sources []*source
	for i, name := range names {
		b, err := bucket(tx, name)
		if err != nil {
			return nil, err
		}
		s := &source{cursor: b.Cursor(), withdrawn: i > 0}
		s.key, s.value = s.cursor.Seek(c.next)
		sources = append(sources, s)
	}
	return sources, nil
}
