package state

import (
	"context"
	"errors"
	"os"
	"time"
)

// maxFarewell is how many rows Close still commits. What it leaves is in the
// journal and applied after the next start, as after any crash.
const maxFarewell = 20_000

// closePatience is how long Close waits for bbolt to let go of a damaged file.
const closePatience = time.Second

// Close ends the applier and whoever waits, commits what waits to be committed
// unless that is much, and closes the file once all readers are done.
func (s *Store) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return ErrClosed
	}
	s.closed = true
	close(s.stop)
	s.broadcast()
	s.mu.Unlock()

	s.publishing.Lock() // whoever was publishing is done
	defer s.publishing.Unlock()

	var err error
	if rows, _ := s.snap.Load().sum(); rows <= maxFarewell && !s.hasFailed() {
		err = s.applyAll(context.Background())
	}
	if full(err) && s.o.FullPause >= 0 {
		err = nil // it is in the journal
	}
	s.committing.Lock() // a check is done
	defer s.committing.Unlock()
	s.ended = true
	return errors.Join(err, s.closeFile())
}

func (s *Store) hasFailed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failed != nil
}

// closeFile closes bbolt. After damage it may hold a lock of its own for ever; then
// what it has mapped stays, and the file stays locked until the process ends. It
// can be removed and built again meanwhile.
func (s *Store) closeFile() error {
	of := s.lastIndexOf()
	done := make(chan error, 1)
	go func() { done <- s.db.Close() }() // returns when no reader is left
	s.mu.Lock()
	_, damaged := errors.AsType[*DamageError](s.failed)
	s.mu.Unlock()
	if !damaged {
		return errors.Join(<-done, s.closeIndex(of))
	}
	select {
	case err := <-done:
		return errors.Join(err, s.closeIndex(of))
	case <-time.After(closePatience):
		if err := s.file.Close(); !errors.Is(err, os.ErrClosed) {
			return err
		}
		return nil
	}
}
