package journal

import (
	"fmt"
	"runtime"
	"time"
)

// spareBatches is how many batches there are beside the one in the queue: one
// being written and two whose callbacks run or are about to.
const spareBatches = 3

// notice says which frames of a batch are synced.
type notice struct {
	batch       *batch
	first, last int
	done        bool // the batch has no more
}

// runCommitter writes and syncs what waits, group after group, each as soon as
// the one before it is synced.
func (j *Journal) runCommitter() {
	defer close(j.notices)
	defer func() { j.active.Close() }()
	idle := time.NewTimer(closeAfter)
	defer idle.Stop()
	for closing := false; ; {
		// Those who were just called back, and are about to append again, go first. It
		// is no delay: with nobody ready to run it returns at once. (64 callers: a third
		// more frames to a sync.)
		runtime.Gosched()
		b := j.take()
		switch {
		case b != nil:
			if err := j.commit(b); err != nil {
				j.fail(err)
				return
			}
			idle.Reset(closeAfter)
			continue
		case closing:
			if j.Err() == ErrClosed { // and not a failure of the grower
				if err := j.closeGroup(); err != nil {
					j.fail(err)
				}
			}
			return
		}
		select {
		case <-j.wake:
		case <-idle.C:
			if err := j.closeGroup(); err != nil {
				j.fail(err)
				return
			}
			j.shrink()
		case <-j.closing:
			closing = true
		case <-j.broken: // the grower did not get a folder synced
			return
		}
	}
}

// take returns what waits, or nil.
func (j *Journal) take() *batch {
	j.mu.Lock()
	waits := len(j.queue.frames) > 0 && (j.err == nil || j.err == ErrClosed)
	j.mu.Unlock()
	if !waits {
		return nil
	}
	spare := <-j.spare
	j.mu.Lock()
	defer j.mu.Unlock()
	b := j.queue
	j.queue = spare
	return b
}

// commit writes and syncs the frames of a batch: as one group, unless the active
// segment is too short for it.
func (j *Journal) commit(b *batch) error {
	frames := len(b.frames) // the batch is the notifier's once it is told of the last
	for first := 0; first < frames; {
		last := j.fitting(b, first)
		if last == first {
			if err := j.turnOver(); err != nil {
				return err
			}
			continue
		}
		if err := j.commitGroup(b, first, last); err != nil {
			return err
		}
		j.notices <- notice{b, first, last, last == frames}
		first = last
	}
	return nil
}

// segment returns the active segment.
func (j *Journal) segment() *segment {
	s := *j.segments.Load()
	return &s[len(s)-1]
}

// fitting returns how far the frames of b from first on fit in the active
// segment as one group.
func (j *Journal) fitting(b *batch, first int) (last int) {
	left := j.segment().size - segmentTail - groupSize - j.end
	begin := b.begin(first)
	for last = first; last < len(b.frames) && int64(b.frames[last].end-begin) <= left; last++ {
	}
	return last
}

// commitGroup writes frames [first, last) of b behind a group header, in one
// write, and syncs them.
func (j *Journal) commitGroup(b *batch, first, last int) error {
	s := j.segment()
	// The header goes before the first frame: into the room at the beginning, or
	// over frames that are written already.
	begin := b.begin(first)
	group := b.octets[begin-groupSize : b.frames[last-1].end]
	appendGroup(group[:0], KindGroup, j.id, s.offset(j.end), s.seed, j.end)
	at := j.end + groupSize
	reserved := int64(0)
	for i := first; i < last; i++ {
		w := &b.frames[i]
		frame := b.octets[b.begin(i):w.end]
		sealFrame(frame, s.seed, at)
		w.at = s.offset(at)
		at += int64(len(frame))
		w.til = s.offset(at)
		reserved += reservation(len(frame) - frameHeader)
	}
	if err := j.write(group); err != nil {
		return err
	}
	j.synced.Store(uint64(s.offset(j.end)))
	j.groupOpen = true
	j.mu.Lock()
	j.reserved -= reserved
	j.free = s.size - segmentTail - j.end
	j.wakeWaiters()
	j.mu.Unlock()
	return nil
}

// write appends octets to the active segment and syncs them.
func (j *Journal) write(octets []byte) error {
	j.options.Hook(HookWrite)
	if _, err := j.active.WriteAt(octets, j.end); err != nil {
		return fmt.Errorf("write to the journal: %w", err)
	}
	j.options.Hook(HookSync)
	if err := j.active.Sync(); err != nil {
		return fmt.Errorf("sync the journal: %w", err)
	}
	j.options.Hook(HookSynced)
	j.end += int64(len(octets))
	return nil
}

// closeGroup writes an empty group behind the last one, if there is none yet: it
// says that everything before it was synced, so that no later change of it can
// pass for a torn tail.
func (j *Journal) closeGroup() error {
	if !j.groupOpen {
		return nil
	}
	j.mu.Lock()
	waits := len(j.queue.frames) > 0
	if !waits {
		j.free -= groupSize // before a frame is promised that room
	}
	j.mu.Unlock()
	if waits {
		return nil // its group says the same
	}
	s := j.segment()
	j.scratch = appendGroup(j.scratch[:0], KindGroup, j.id, s.offset(j.end), s.seed, j.end)
	if err := j.write(j.scratch); err != nil {
		return err
	}
	j.synced.Store(uint64(s.offset(j.end)))
	j.groupOpen = false
	return nil
}

// turnOver ends the active segment and makes the next one active. Admission has
// seen to it that it is there.
func (j *Journal) turnOver() error {
	j.mu.Lock()
	next := j.next
	j.mu.Unlock()
	if next == nil {
		return fmt.Errorf("the journal has no room for frames that it took")
	}
	s := j.segment()
	j.scratch = appendGroup(j.scratch[:0], KindEnd, j.id, s.offset(j.end), s.seed, j.end)
	// Synced before anything is written behind it: a later group proves that the
	// whole segment was.
	if err := j.write(j.scratch); err != nil {
		return err
	}
	if err := j.active.Close(); err != nil {
		return err
	}
	old := *j.segments.Load()
	segments := append(old[:len(old):len(old)], next.segment)
	j.segments.Store(&segments)
	j.active, j.end, j.groupOpen = next.file, segmentHeader, false
	j.mu.Lock()
	j.next = nil
	j.free = next.segment.size - segmentTail - j.end
	j.mu.Unlock()
	signal(j.grow)
	return nil
}

// shrink lets go of memory that only a burst needed.
func (j *Journal) shrink() {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.queue.frames) == 0 && cap(j.queue.octets) > keptBatch {
		j.queue = newBatch()
	}
	for range len(j.spare) {
		select {
		case b := <-j.spare:
			if cap(b.octets) > keptBatch {
				b = newBatch()
			}
			j.spare <- b
		default:
		}
	}
}

// runNotifier calls the callbacks, beside the next sync.
func (j *Journal) runNotifier() {
	for n := range j.notices {
		for i := n.first; i < n.last; i++ {
			switch w := &n.batch.frames[i]; {
			case w.to != nil:
				w.to.Synced(w.at, w.til, i+1 < n.last && n.batch.frames[i+1].to == w.to)
			case w.synced != nil:
				w.synced(w.at, w.til)
			}
		}
		if n.done {
			n.batch.reset()
			j.spare <- n.batch
		}
	}
}
