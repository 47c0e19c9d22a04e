package state

import (
	"context"
	"encoding/binary"
	"fmt"
	"maps"

	"go.etcd.io/bbolt"
)

// Check reads the whole file: its structure down to every page, and every row.
// visit, when not nil, gets each row of the tables that a [Mutation] can name and
// says what is wrong with it in itself. Then the totals of every log are counted
// again and compared with those kept.
//
// It looks at what is committed, and nothing is committed meanwhile: on a node
// that serves, writers wait once the overlay is full. The error is a
// [*DamageError], that of visit, or that of the context.
func (s *Store) Check(ctx context.Context, visit func(Table, uint32, Row) error) error {
	s.committing.Lock()
	defer s.committing.Unlock()
	s.mu.Lock()
	closed, kept := s.closed, maps.Clone(s.totals)
	s.mu.Unlock()
	if closed {
		return ErrClosed
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case <-s.stop:
			cancel(ErrClosed)
		case <-ctx.Done():
		}
	}()
	if err := s.checkPages(ctx); err != nil {
		return err
	}
	logs, err := s.allLogs()
	if err != nil {
		return err
	}
	for _, log := range logs {
		counted, err := s.checkLog(ctx, log, visit)
		if err != nil {
			return err
		}
		if counted != kept[log] {
			return &DamageError{s.path, fmt.Sprintf("the rows of log %d add up to %+v, not to %+v", log, counted, kept[log])}
		}
		delete(kept, log)
	}
	for log, t := range kept {
		if t != (Totals{}) {
			return &DamageError{s.path, fmt.Sprintf("the rows of log %d are missing", log)}
		}
	}
	return nil
}

// checkPages checks the structure of the file.
func (s *Store) checkPages(ctx context.Context) error {
	info, err := s.file.Stat()
	if err != nil {
		return fmt.Errorf("state: %w", err)
	}
	im, err := openImage(s.file, info.Size())
	if err == nil {
		im.stop = func() error { return context.Cause(ctx) }
		err = im.checkAll()
	}
	if err != nil && ctx.Err() == nil {
		return &DamageError{s.path, err.Error()}
	}
	return err
}

func (im *image) checkAll() error {
	if err := im.checkFreelist(); err != nil {
		return err
	}
	roots, err := im.buckets()
	if err != nil {
		return err
	}
	for _, root := range roots {
		if err := im.tree(root, func(flags uint32, key, _ []byte) error {
			if flags != 0 {
				return brokenf("row %q has flags %x", key, flags)
			}
			return nil
		}); err != nil {
			return err
		}
	}
	if id, ok := im.unclaimed(); ok {
		return brokenf("page %d is neither used nor free", id)
	}
	return nil
}

// allLogs returns the numbers of all logs that a row of any table belongs to.
func (s *Store) allLogs() ([]uint32, error) {
	var logs []uint32
	seen := make(map[uint32]bool)
	err := s.read(func(tx *bbolt.Tx) error {
		for _, name := range bucketNames() {
			if name == headerBucket {
				continue
			}
			b, err := bucket(tx, name)
			if err != nil {
				return err
			}
			c := b.Cursor()
			k, _ := c.Seek([]byte{0, 0, 0, 0})
			for len(k) >= logSize {
				log := binary.BigEndian.Uint32(k)
				if !seen[log] {
					seen[log] = true
					logs = append(logs, log)
				}
				if log == ^uint32(0) {
					break
				}
				k, _ = c.Seek(binary.BigEndian.AppendUint32(nil, log+1))
			}
		}
		return nil
	})
	return logs, err
}

// checkLog visits the rows of a log and counts them.
func (s *Store) checkLog(ctx context.Context, log uint32, visit func(Table, uint32, Row) error) (Totals, error) {
	var counted Totals
	for t := Records; t < tables; t++ {
		for r, err := range s.Ascend(ctx, t, log, nil) {
			if err != nil {
				return counted, err
			}
			counted.put(t, r.Withdrawn, appendKey(nil, log, r.Key), r.Value)
			if visit == nil || t == runs {
				continue
			}
			if err := visit(t, log, r); err != nil {
				return counted, err
			}
		}
	}
	return counted, nil
}
