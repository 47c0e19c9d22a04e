package state

import (
	"context"
	"errors"
	"io"

	"go.etcd.io/bbolt"
)

// warmChunk is how much Warm reads at a time.
const warmChunk = 4 << 20

// Warm reads the file once from its beginning to its end, so that the system has
// it in memory. Without it the first question about every page waits for the disk
// by itself, since bbolt tells the system not to read ahead.
func (s *Store) Warm(ctx context.Context) error {
	buf := make([]byte, warmChunk)
	for at := int64(0); ctx.Err() == nil; at += warmChunk {
		more := false
		err := s.read(func(tx *bbolt.Tx) error { // keeps the file open
			n, err := s.file.ReadAt(buf, at)
			more = n == len(buf) && at+warmChunk < tx.Size()
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		})
		if err != nil || !more {
			return err
		}
	}
	return context.Cause(ctx)
}
