package state

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"strings"
	"syscall"
	"time"
)

// A disk that is full is no reason to end: what was published is in the journal and
// answers from the overlay, and where that grows too large writers wait. The commit is
// tried again until there is room. That is only so of a write that found none, of which
// nothing is in the state; after a sync that failed nobody knows.

// defaultFullPause is how long the applier waits before it tries again.
const defaultFullPause = time.Second

// full reports whether a commit found no room on the disk. bbolt tells of a file that
// cannot grow in words alone.
func full(err error) bool {
	if err == nil {
		return false
	}
	if write, ok := errors.AsType[*fs.PathError](err); ok {
		return (write.Op == "write" || write.Op == "truncate") && errors.Is(write, syscall.ENOSPC)
	}
	text := err.Error()
	return strings.Contains(text, "file resize error:") && strings.HasSuffix(text, syscall.ENOSPC.Error())
}

// commitWhenRoom commits a generation, as soon as the disk has room for it.
func (s *Store) commitWhenRoom(ctx context.Context, g *generation, before map[uint32]Totals) (id int, totals map[uint32]Totals, err error) {
	for waited := false; ; waited = true {
		totals = maps.Clone(before)
		id, err = s.commit(g, totals)
		if !full(err) {
			if waited && err == nil {
				s.o.Log.Info("the disk has room again: the state goes on")
			}
			return id, totals, err
		}
		if s.o.FullPause < 0 {
			return id, totals, err
		}
		if !waited {
			s.o.Log.Error("the disk is full: the state waits, and what it lacks stays in memory and in the journal: free some space", "error", err)
		}
		if !s.awaitRoom(ctx) {
			return id, totals, err
		}
	}
}

// awaitRoom waits a moment; it returns false when the applier is to end.
func (s *Store) awaitRoom(ctx context.Context) bool {
	select {
	case <-ctx.Done():
		return false
	case <-s.stop:
		return false
	case <-time.After(s.o.FullPause):
		return true
	}
}
