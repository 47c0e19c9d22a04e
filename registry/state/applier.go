package state

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Run applies what is published until the context ends or the store is closed,
// and then returns nil. It may run once at a time. It returns an error when
// something cannot be committed: from then on nothing can be published or waited
// for, and the process should end. What was published is in the journal.
func (s *Store) Run(ctx context.Context) error {
	s.mu.Lock()
	if err := s.end(); err != nil || s.running {
		s.mu.Unlock()
		if err == nil {
			err = errors.New("state: the applier runs already")
		}
		return err
	}
	s.running = true
	signal(s.wake) // something may have been left by an earlier run
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.running = false
		s.broadcast()
		s.mu.Unlock()
	}()
	for s.gather(ctx) {
		if _, err := s.apply(ctx); err != nil {
			if full(err) && s.o.FullPause >= 0 {
				return nil // it was ended while it waited for room
			}
			return err
		}
	}
	return nil
}

// gather waits until there is something to commit and nothing more comes, or has come
// for long enough. Meanwhile it notes rows that the index does not know. It returns false when
// the applier is to end.
func (s *Store) gather(ctx context.Context) bool {
	wake := s.wake
	var hurry chan struct{}
	var enough <-chan time.Time
	var timer *time.Timer
	var began time.Time
	var seen uint64 // how far was published when the timer was set
	if s.behind() {
		wake, hurry = nil, s.always // nothing is gained by gathering
	}
	for {
		var idle chan struct{} // closed while there is something else to do
		switch {
		case !s.indexing():
			s.tellIndexed()
		case !s.index.lacking:
			idle = s.always
		case wake != nil && len(wake) == 0:
			// Few rows had no room, and to find them all are noted again. While many are
			// published that would have to be done for each time that the index grows.
			idle = s.always
		}
		select {
		case <-wake:
			timer = time.NewTimer(s.o.Gather)
			defer timer.Stop()
			wake, hurry, enough = nil, s.hurry, timer.C
			began, seen = time.Now(), s.Published()
		case <-enough:
			more := s.Published()
			if more == seen || time.Since(began) >= s.o.GatherMost {
				return true
			}
			seen = more
			timer.Reset(s.o.Gather)
		case <-hurry:
			return true
		case <-ctx.Done():
			return false
		case <-s.stop:
			return false
		case <-idle:
			s.indexSome()
		}
	}
}

// behind reports whether there are generations that wait for nothing but their commit.
func (s *Store) behind() bool { return len(s.snap.Load().sealed) > 0 }

// applyAll commits everything that was published before it was called.
func (s *Store) applyAll(ctx context.Context) error {
	for end := s.Published(); s.Applied() < end; {
		if more, err := s.apply(ctx); err != nil || !more {
			return err
		}
	}
	return nil
}

// apply commits the oldest generation; it returns false when there was none.
func (s *Store) apply(ctx context.Context) (bool, error) {
	s.committing.Lock()
	defer s.committing.Unlock()
	if s.ended {
		return false, nil
	}
	g, before, err := s.freeze()
	if g == nil || err != nil {
		return false, err
	}
	s.o.Hook(PointFreeze)

	id, totals, err := s.commitWhenRoom(ctx, g, before)
	if err != nil {
		err = fmt.Errorf("state: applying up to journal offset %d: %w", g.end, err)
		s.fail(err) // the generation stays visible
		return false, err
	}
	of, fresh := s.followTree()
	s.drop(g, id, totals, of)
	s.o.Hook(PointDrop)
	s.note(g, of, fresh)
	return true, nil
}

// freeze returns the generation to be committed next, with the totals before it; nil when
// there is none. It seals the current one when no other waits.
func (s *Store) freeze() (*generation, map[uint32]Totals, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed != nil {
		return nil, nil, s.failed
	}
	next := *s.snap.Load()
	if len(next.sealed) == 0 {
		if next.current.end == 0 {
			return nil, nil, nil
		}
		next.seal()
		heed(s.wake)
		heed(s.hurry)
	}
	next.committing = true
	s.snap.Store(&next)
	return next.sealed[len(next.sealed)-1], s.totals, nil
}

// drop takes the oldest generation, which is committed, out of the overlay.
func (s *Store) drop(g *generation, id int, totals map[uint32]Totals, of *leaves) {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := *s.snap.Load()
	next.sealed = next.sealed[: len(next.sealed)-1 : len(next.sealed)-1]
	next.committing, next.base, next.leaves = false, id, of
	s.snap.Store(&next)
	s.applied, s.totals = g.end, totals
	s.broadcast()
}

// commit writes a generation in one transaction and returns its id.
func (s *Store) commit(g *generation, totals map[uint32]Totals) (id int, err error) {
	err = guard(s.path, func() error {
		tx, err := s.begin(true)
		if err != nil {
			return err
		}
		defer tx.Rollback()
		id = tx.ID()
		s.o.Hook(PointBegin)
		if err := s.transaction(tx).fill(g, totals); err != nil {
			return err
		}
		s.o.Hook(PointRows)
		return tx.Commit()
	})
	if err == nil {
		s.o.Hook(PointCommit)
	}
	return id, err
}
