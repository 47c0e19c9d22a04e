//go:build linux

package bench

import (
	"bytes"
	"context"
	"slices"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"
	"golang.org/x/sync/errgroup"

	"github.com/nameplate-id/nameplate/registry/identifier"
)

// bolt is a bare bbolt file: the rows as the state keeps them, nothing beside them, no
// log, no signature. It is opened with bbolt's own defaults.
type bolt struct {
	db   *bbolt.DB
	used fresh
}

func openBolt(file string) (*bolt, error) {
	db, err := bbolt.Open(file, 0o600, nil)
	if err != nil {
		return nil, err
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucket(boltBucket())
		return err
	})
	return &bolt{db: db}, err
}

func (b *bolt) close() { _ = b.db.Close() }

func boltBucket() []byte { return []byte("records") }

// pair is a row as bbolt holds it.
type pair struct{ key, value []byte }

// pairOf returns a row as the state keeps it.
func pairOf(r *identifier.Row) (pair, error) {
	key := identifier.AppendKey(nil, r.ID)
	record := identifier.Record{ID: r.ID, Version: r.Version, Time: time.UnixMilli(0), Values: r.Values}
	value, err := identifier.AppendStored(nil, key, &record, 1)
	return pair{key, value}, err
}

func pairs(rows []identifier.Row) ([]pair, error) {
	all := make([]pair, len(rows))
	for i := range rows {
		var err error
		if all[i], err = pairOf(&rows[i]); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// batch puts single rows from 64 callers, each with bbolt's Batch, which gathers them.
func (b *bolt) batch(ctx context.Context, limit time.Duration) (float64, error) {
	all, err := pairs(b.used.scattered(int(20_000 * limit.Seconds()))) // more than it manages
	if err != nil {
		return 0, err
	}
	var next, done atomic.Int64
	began := time.Now()
	g, ctx := errgroup.WithContext(ctx)
	for range 64 {
		g.Go(func() error {
			for time.Since(began) < limit && ctx.Err() == nil {
				i := int(next.Add(0x9e3779b1)) % len(all) // they are sorted: take them anywhere
				p := all[i]
				if err := b.db.Batch(func(tx *bbolt.Tx) error { return tx.Bucket(boltBucket()).Put(p.key, p.value) }); err != nil {
					return err
				}
				done.Add(1)
			}
			return nil
		})
	}
	err = g.Wait()
	return float64(done.Load()) / time.Since(began).Seconds(), err
}

// put puts rows in one transaction, in the order of their keys.
func (b *bolt) put(rows []identifier.Row) error {
	all, err := pairs(rows)
	if err != nil {
		return err
	}
	slices.SortFunc(all, func(x, y pair) int { return bytes.Compare(x.key, y.key) })
	return b.db.Update(func(tx *bbolt.Tx) error {
		bucket := tx.Bucket(boltBucket())
		for _, p := range all {
			if err := bucket.Put(p.key, p.value); err != nil {
				return err
			}
		}
		return nil
	})
}
