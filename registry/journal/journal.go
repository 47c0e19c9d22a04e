package journal

import (
	"crypto/rand"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
)

// Options of [Open] and [Verify]. The zero value is right for a node.
type Options struct {
	// SegmentSize is how many octets a new segment has; 0 for
	// [DefaultSegmentSize]; a multiple of [MinSegmentSize], at most [MaxSegmentSize].
	// Segments that exist keep the size they have. A frame must fit in a segment.
	SegmentSize int64
	// FS is where the files are; nil for [Disk].
	FS FS
	// Hook is called at the points named by the Hook constants, for tests that end
	// the process there; nil for none. It must return.
	Hook func(point string)
}

// Points of Options.Hook.
const (
	HookAppend  = "journal.append"  // in Append, before the frame is queued
	HookWrite   = "journal.write"   // before a group is written
	HookSync    = "journal.sync"    // after a group is written, before it is synced
	HookSynced  = "journal.synced"  // after the sync, before anybody hears of it
	HookSegment = "journal.segment" // before a new segment gets its name
)

// closeAfter is how long nothing has waited when the last group is closed.
const closeAfter = 50 * time.Millisecond

func (o Options) withDefaults() (Options, error) {
	if o.SegmentSize == 0 {
		o.SegmentSize = DefaultSegmentSize
	}
	if o.SegmentSize < MinSegmentSize || o.SegmentSize > MaxSegmentSize || o.SegmentSize%MinSegmentSize != 0 {
		return o, fmt.Errorf("a journal segment cannot have %d octets: choose a multiple of %d up to %d", o.SegmentSize, MinSegmentSize, MaxSegmentSize)
	}
	if o.FS == nil {
		o.FS = Disk{}
	}
	if o.Hook == nil {
		o.Hook = func(string) {}
	}
	return o, nil
}

// Journal is an open journal. All methods may be called from several goroutines
// at once.
type Journal struct {
	dir     string
	options Options
	id      journalID
	files   *readers

	segments atomic.Pointer[[]segment] // up to the active one; only the committer replaces it
	synced   atomic.Uint64             // an Offset

	// The committer alone uses these once Open has returned.
	active    File
	end       int64 // where the next group of the active segment goes
	groupOpen bool  // no empty group stands behind the last one with frames
	scratch   []byte

	mu       sync.Mutex
	err      error  // why nothing can be appended any more
	queue    *batch // what waits for the committer
	reserved int64  // octets of all frames that are not yet written, each with a group of its own
	free     int64  // octets that the active segment has left for groups
	next     *ready // the segment after the active one, once it is there
	growErr  error  // why it is not there
	room     chan struct{}

	wake    chan struct{} // the queue is not empty, or Close was called
	grow    chan struct{} // there is no next segment
	spare   chan *batch
	notices chan notice
	failed  chan error
	broken  chan struct{} // closed by fail
	closing chan struct{}
	stopped sync.WaitGroup // committer, notifier, grower
	closed  sync.Once
}

// ready is a segment that holds nothing yet.
type ready struct {
	segment segment
	file    File
}

// Open opens the journal in a folder, or begins one where there is none. It reads
// every frame from the segment that holds from on; from is the end of a frame
// that was synced once, usually where the state has got to, or 0.
//
// A torn tail is cut off, and everything that remains is synced again, so that
// whatever Read and Scan give is durable. Octets that have changed or are missing
// give a [*DamageError]; files that this version cannot read a [*FormatError].
//
// A folder belongs to one process at a time; the caller sees to that.
func Open(dir string, from Offset, o Options) (*Journal, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	if err := o.FS.MakeDir(dir); err != nil {
		return nil, err
	}
	l, err := list(o.FS, dir)
	if err != nil {
		return nil, err
	}
	for _, path := range l.unborn {
		if err := o.FS.Remove(path); err != nil {
			return nil, err
		}
	}
	if len(l.segments) == 0 {
		if l, err = begin(dir, from, o); err != nil {
			return nil, err
		}
	}
	// A crash may have come between giving a segment its name and syncing that.
	if err := o.FS.SyncDir(dir); err != nil {
		return nil, err
	}
	t, err := recoverTail(o.FS, l, from)
	if err != nil {
		return nil, err
	}
	return start(dir, o, l, t), nil
}

// firstZeros is how many octets of the very first segment are written with zeros.
const firstZeros = 8 << 20

// begin makes the first segment of a new journal.
func begin(dir string, from Offset, o Options) (listing, error) {
	if from != 0 {
		return listing{}, &DamageError{Path: filepath.Join(dir, "*"+segmentSuffix), Reason: fmt.Sprintf("there is no journal, and the state has applied %d octets of one", from)}
	}
	var id journalID
	rand.Read(id[:])
	s := newSegment(dir, id, 0, 0, o.SegmentSize)
	// Somebody waits for this one: enough zeros for a while.
	steps := 0
	enough := func() bool { steps++; return steps > firstZeros/zerosAtOnce }
	f, err := createSegment(o.FS, &s, id, enough, o.Hook)
	if err != nil {
		return listing{}, fmt.Errorf("begin a journal in %s: %w", dir, err)
	}
	return listing{id: id, segments: []segment{s}}, f.Close()
}

// start sets the goroutines of a recovered journal going.
func start(dir string, o Options, l listing, t tail) *Journal {
	s := &l.segments[t.segment]
	j := &Journal{
		dir:     dir,
		options: o,
		id:      l.id,
		files:   newReaders(o.FS),
		active:  t.file,
		end:     t.end,
		queue:   newBatch(),
		free:    s.size - segmentTail - t.end,
		next:    t.next,
		wake:    make(chan struct{}, 1),
		grow:    make(chan struct{}, 1),
		spare:   make(chan *batch, spareBatches),
		notices: make(chan notice, 1),
		failed:  make(chan error, 1),
		broken:  make(chan struct{}),
		closing: make(chan struct{}),
	}
	j.groupOpen = t.groupOpen
	segments := l.segments[: t.segment+1 : t.segment+1]
	j.segments.Store(&segments)
	j.synced.Store(uint64(s.offset(t.end)))
	for range spareBatches {
		j.spare <- newBatch()
	}
	if j.next == nil {
		j.grow <- struct{}{}
	}
	j.stopped.Go(j.runCommitter)
	j.stopped.Go(j.runNotifier)
	j.stopped.Go(j.runGrower)
	return j
}

// Synced returns the end of what is durable: what Read and Scan can give.
func (j *Journal) Synced() Offset { return Offset(j.synced.Load()) }

// Failed returns a channel that gives the error and is closed when a write or
// sync has failed. From then on nothing is synced and nobody is told that
// anything was; the process must end, because no one can know what the disk
// holds. Opening the journal again finds out.
func (j *Journal) Failed() <-chan error { return j.failed }

// Err returns why nothing can be appended any more: the failure, or [ErrClosed];
// nil while the journal works. A full disk is none.
func (j *Journal) Err() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.err
}

// Close syncs what waits, closes the last group with an empty one, tells everybody
// who waits, and closes the files. Appending meanwhile gives [ErrClosed]. After a
// failure it only closes the files and returns the failure.
func (j *Journal) Close() error {
	j.closed.Do(func() {
		j.mu.Lock()
		if j.err == nil {
			j.err = ErrClosed
		}
		j.wakeWaiters()
		j.mu.Unlock()
		close(j.closing)
	})
	j.stopped.Wait()
	j.files.close()
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.next != nil {
		j.next.file.Close()
		j.next = nil
	}
	if j.err != ErrClosed {
		return j.err
	}
	return nil
}

// fail ends the journal's work. The first failure counts.
func (j *Journal) fail(err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.err != nil && j.err != ErrClosed {
		return
	}
	j.err = err
	j.failed <- err
	close(j.failed)
	close(j.broken)
	j.wakeWaiters()
}
