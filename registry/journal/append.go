package journal

import (
	"context"
	"fmt"
)

// queueSize is how many octets may wait to be written.
const queueSize = 16 << 20

// batch is what becomes one group, or several where a segment ends. The octets
// of its frames follow on one another behind room for a group header.
type batch struct {
	octets []byte
	frames []waiting
}

// waiting is a frame that somebody waits for.
type waiting struct {
	end     int // in batch.octets
	at, til Offset
	synced  func(at, end Offset)
	to      Receiver // in its place; nil for none
}

// Receiver is told of frames once they are durable.
type Receiver interface {
	// Synced is called as the function is that [Journal.Append] takes. more says that
	// the next frame is the receiver's, too, durable by the same sync, and that the call
	// for it follows at once: so what costs as much for one frame as for many can wait
	// for the last.
	Synced(at, end Offset, more bool)
}

// keptBatch is how much memory a batch keeps while nothing happens.
const keptBatch = 1 << 20

func newBatch() *batch {
	b := new(batch)
	b.reset()
	return b
}

func (b *batch) reset() {
	if cap(b.octets) < groupSize {
		b.octets = make([]byte, 0, 64<<10)
	}
	b.octets = b.octets[:groupSize]
	clear(b.frames) // lets go of the callbacks
	b.frames = b.frames[:0]
}

// begin returns where frame i begins in octets.
func (b *batch) begin(i int) int {
	if i == 0 {
		return groupSize
	}
	return b.frames[i-1].end
}

// Append queues a frame behind all those before it and returns at once. It copies
// the payload. Once the frame is durable, synced is called with where it begins
// and where it ends; nil for nobody to be told. The calls come one after another,
// in the order of Append, from a goroutine of the journal that does nothing else:
// a slow one holds up the others, and after some megabytes Append. They may lock
// what Append's callers hold while they append; they must not call Close.
//
// Append never waits, so it may be called under a lock: where the frame cannot be
// taken it changes nothing and returns [ErrBusy], [ErrFull] (its text names the
// cause), [ErrClosed], or the failure that ended the journal. A frame that was
// taken has room on the disk.
func (j *Journal) Append(f Frame, synced func(at, end Offset)) error {
	return j.append(f, waiting{synced: synced})
}

// AppendTo is [Journal.Append] for a receiver, which must be comparable.
func (j *Journal) AppendTo(f Frame, to Receiver) error { return j.append(f, waiting{to: to}) }

func (j *Journal) append(f Frame, w waiting) error {
	if !f.Kind.carried() {
		return fmt.Errorf("a frame of kind %q cannot be appended to the journal: only entries and checkpoints can", f.Kind)
	}
	if err := j.checkPayload(len(f.Payload)); err != nil {
		return err
	}
	j.options.Hook(HookAppend)
	need := reservation(len(f.Payload))
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.admit(need); err != nil {
		return err
	}
	j.reserved += need
	b := j.queue
	b.octets = appendFrame(b.octets, f)
	w.end = len(b.octets)
	b.frames = append(b.frames, w)
	if len(b.frames) == 1 {
		signal(j.wake)
	}
	return nil
}

// Wait returns nil once Append would take a frame with a payload of that many
// octets; somebody else's frame may still come first and Append be busy again.
// It waits while the journal is busy, not while it is full: then it returns
// [ErrFull]. Call it without holding anything that a synced callback needs.
func (j *Journal) Wait(ctx context.Context, octets int) error {
	if err := j.checkPayload(octets); err != nil {
		return err
	}
	for {
		j.mu.Lock()
		err := j.admit(reservation(octets))
		if err != ErrBusy {
			j.mu.Unlock()
			return err
		}
		if j.room == nil {
			j.room = make(chan struct{})
		}
		room := j.room
		j.mu.Unlock()
		select {
		case <-room:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (j *Journal) checkPayload(octets int) error {
	limit := min(MaxPayload, j.options.SegmentSize-segmentHeader-segmentTail-groupSize-frameHeader)
	if int64(octets) > limit {
		return fmt.Errorf("a frame of the journal holds at most %d octets, not %d", limit, octets)
	}
	return nil
}

// reservation is what room a frame takes at most: a group of its own.
func reservation(payload int) int64 { return int64(groupSize + frameHeader + payload) }

// admit decides whether a frame that needs so much room may be queued. The rule:
// either everything that is not yet written fits in the active segment, or it
// would all fit in the next one, which must be there. In whatever groups the
// committer then writes it, it never lacks room. j.mu is held.
func (j *Journal) admit(need int64) error {
	switch all := j.reserved + need; {
	case j.err != nil:
		return j.err
	case all > queueSize:
		return ErrBusy
	case all <= j.free:
		return nil
	case j.next != nil && all <= j.next.segment.size-segmentHeader-segmentTail:
		return nil
	case j.next == nil && j.growErr != nil:
		return fmt.Errorf("%w: %w", ErrFull, j.growErr)
	case j.next == nil || j.reserved > 0:
		return ErrBusy
	}
	// Nothing waits and the next segment, made with a smaller size, cannot hold it.
	return fmt.Errorf("a frame of %d octets does not fit in a segment of %d", need, j.next.segment.size)
}

// wakeWaiters lets everybody in Wait look again. j.mu is held.
func (j *Journal) wakeWaiters() {
	if j.room != nil {
		close(j.room)
		j.room = nil
	}
}

// signal wakes the goroutine that reads c; c holds one signal.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
