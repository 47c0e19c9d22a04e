package journal

import (
	"errors"
	"fmt"
	"time"
)

// growAgain is how long after a failure the next segment is tried again.
const growAgain = time.Second

// runGrower keeps one segment ready behind the active one, so that turning over
// costs nothing and a full disk is known before a frame is taken.
func (j *Journal) runGrower() {
	again := time.NewTimer(0)
	again.Stop()
	defer again.Stop()
	for {
		select {
		case <-j.grow:
		case <-again.C:
		case <-j.closing:
			return
		case <-j.broken:
			return
		}
		active := j.segment()
		s := newSegment(j.dir, j.id, active.number+1, active.end(), j.options.SegmentSize)
		f, err := createSegment(j.options.FS, &s, j.id, j.hurried, j.options.Hook)
		if lost := (*syncDirError)(nil); errors.As(err, &lost) {
			j.fail(fmt.Errorf("sync the journal's folder: %w", err))
			return
		}
		j.mu.Lock()
		j.growErr = err
		if err == nil {
			j.next = &ready{s, f}
		}
		j.wakeWaiters()
		j.mu.Unlock()
		if err != nil {
			again.Reset(growAgain)
		}
	}
}

// hurried reports whether the next segment is needed soon, or there is to be none: the
// journal closes, or more than half of the active one is used.
func (j *Journal) hurried() bool {
	select {
	case <-j.closing:
		return true
	case <-j.broken:
		return true
	default:
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.free < j.segment().size/2
}
