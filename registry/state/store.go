package state

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"
)

// Defaults of [Options].
const (
	DefaultLockTimeout = time.Second
	DefaultGather      = 250 * time.Millisecond
	DefaultGatherMost  = 8 * DefaultGather
	DefaultGatherRows  = DefaultCommitRows
	DefaultCommitRows  = 12_000
	DefaultLimit       = 64 << 20
)

// Options say how a state is opened. Only Journal has no usable zero value.
type Options struct {
	// Journal is the id of the journal that the state belongs to. A file of
	// another one is refused.
	Journal [16]byte
	// LockTimeout is how long Open waits for another process to let go of the file.
	LockTimeout time.Duration
	// Gather is for how long nothing more is published before the applier commits. While
	// more comes it goes on gathering, for GatherMost or GatherRows, whichever is reached
	// first: the more rows a commit has, the more of them share the pages that it writes.
	// 0 for GatherMost means eight times Gather.
	Gather, GatherMost time.Duration
	GatherRows         int
	// CommitRows is how many rows one commit takes at the most, but for the rest of a
	// batch. bbolt holds every page that a commit touches in memory, in two forms: some
	// eight kilobytes for each row where they lie scattered.
	CommitRows int
	// Limit is how many octets the overlay may hold before Publish waits. It is
	// passed by at most one call's batches.
	Limit int64
	// CheckRow, when not nil, says what is wrong with a row in itself, such as its
	// checksum; nil for nothing. Readers ask it about the neighbours of a row that is
	// not there: where the key of a row has changed on the disk, it stands where the
	// right one should, and the answer must not be that there is none. It is called
	// from several goroutines, must not keep the row, and says nothing about tables
	// that it does not know.
	CheckRow func(Table, Row) error
	// Index is the path of the read index, which tells where in the file a live record
	// is. It is made when there is none, and again when it is not that of the file.
	// Without a path every record is searched for.
	Index string
	// FullPause is how long the applier waits before it tries a commit again that found
	// no room on the disk. 0 means a second; less than that, that it does not try again
	// but ends.
	FullPause time.Duration
	// Log is told when the disk is full, and when it is not any more; nil for nobody.
	Log *slog.Logger
	// Hook is called at the points that the Point constants name; nil for none.
	// It is for tests that kill or delay the process there.
	Hook func(point string)
}

// Points at which [Options.Hook] is called.
const (
	PointFreeze = "state: generation frozen" // the applier has taken what was published
	PointBegin  = "state: commit begun"      // inside the transaction, nothing put yet
	PointRows   = "state: rows put"          // everything put, commit not called
	PointCommit = "state: committed"         // durable, the overlay still holds it too
	PointDrop   = "state: generation dropped"
	PointView   = "state: overlay captured" // a reader, before its transaction opens
)

func (o Options) withDefaults() Options {
	if o.LockTimeout <= 0 {
		o.LockTimeout = DefaultLockTimeout
	}
	if o.Gather <= 0 {
		o.Gather = DefaultGather
	}
	if o.GatherMost <= 0 {
		o.GatherMost = DefaultGatherMost / DefaultGather * o.Gather
	}
	if o.GatherRows <= 0 {
		o.GatherRows = DefaultGatherRows
	}
	if o.CommitRows <= 0 {
		o.CommitRows = DefaultCommitRows
	}
	if o.Limit <= 0 {
		o.Limit = DefaultLimit
	}
	if o.FullPause == 0 {
		o.FullPause = defaultFullPause
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Hook == nil {
		o.Hook = func(string) {}
	}
	return o
}

// Store is an open state. Its methods may be called at the same time.
type Store struct {
	path string
	o    Options
	db   *bbolt.DB
	file *os.File // the one that bbolt reads, for [Store.Warm] and [Store.Check]

	// index and shape are written while committing is held. There is no index, or none
	// any more, where it could not be opened; indexError then says why.
	index      *index
	indexError error
	shape      *shape
	indexNext  []byte // where the applier goes on to note all rows

	// snap is replaced under mu and read without it.
	snap atomic.Pointer[snapshot]

	// stuck is set once bbolt has left its locks behind.
	stuck atomic.Pointer[DamageError]

	// publishing is held by one Publish from the admission of its batches to
	// their visibility, so that calls take effect in their order.
	publishing sync.Mutex
	// committing is held while a transaction writes, and by a check.
	committing sync.Mutex
	ended      bool // under committing: the file is closed or about to be

	mu        sync.Mutex
	published uint64
	applied   uint64
	logs      map[uint32]*logState
	totals    map[uint32]Totals // as of applied
	changed   chan struct{}     // closed, and replaced, when applied moves or the store ends
	failed    error             // why nothing can be committed any more
	closed    bool
	running   bool
	indexed   bool // the index is complete, or there is none

	// tails are where the runs of ascending keys of each table ended, for the
	// fill factor. Only commit uses them.
	tails [tables]map[string]struct{}

	wake  chan struct{} // something was published
	hurry chan struct{} // there is no reason to gather any longer
	stop  chan struct{} // closed by Close
	// always is closed from the beginning.
	always chan struct{}
}

// logState is what Publish must know of a log.
type logState struct {
	position uint64
	// run is the position and the journal offset of the log's last run.
	runPosition, runAt uint64
	hasRun             bool
}

// Applied returns the journal offset behind the last frame that is committed:
// the one from which the journal must be read again after a start.
func (s *Store) Applied() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.applied
}

// Published returns the journal offset behind the last batch published.
func (s *Store) Published() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.published
}

// Positions returns how many entries of each log have been published.
func (s *Store) Positions() map[uint32]uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	positions := make(map[uint32]uint64, len(s.logs))
	for log, l := range s.logs {
		positions[log] = l.position
	}
	return positions
}

// Totals returns what the rows of each log add up to, as of [Store.Applied].
func (s *Store) Totals() map[uint32]Totals {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.totals)
}

// Stats are figures about a store.
type Stats struct {
	Applied, Published uint64 // journal offsets
	OverlayRows        int    // published and not committed
	OverlayBytes       int64
	FileBytes          int64
	Index              IndexStats
}

// Stats returns the figures of the moment.
func (s *Store) Stats() Stats {
	s.mu.Lock()
	st := Stats{Applied: s.applied, Published: s.published}
	st.OverlayRows, st.OverlayBytes = s.snap.Load().sum()
	s.mu.Unlock()
	st.Index = s.indexStats()
	if info, err := os.Stat(s.path); err == nil {
		st.FileBytes = info.Size()
	}
	return st
}

// end returns why the store takes nothing any more, or nil. mu is held.
func (s *Store) end() error {
	if s.closed {
		return ErrClosed
	}
	return s.failed
}

// broadcast wakes everybody who waits for changed. mu is held.
func (s *Store) broadcast() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// wait waits until done returns true, which is asked with mu held, now and after
// every change.
func (s *Store) wait(ctx context.Context, done func() bool) error {
	for {
		s.mu.Lock()
		err, ok, changed := s.end(), done(), s.changed
		s.mu.Unlock()
		switch {
		case ok:
			return nil
		case err != nil:
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// WaitApplied waits until everything before a journal offset is committed. The
// applier does not gather while somebody waits.
func (s *Store) WaitApplied(ctx context.Context, end uint64) error {
	return s.wait(ctx, func() bool {
		if s.applied < end && s.snap.Load().end() < end {
			signal(s.hurry)
		}
		return s.applied >= end
	})
}

// HasRoom reports whether [Store.WaitRoom] would return nil at once.
func (s *Store) HasRoom() bool {
	_, octets := s.snap.Load().sum()
	s.mu.Lock()
	defer s.mu.Unlock()
	return octets < s.o.Limit && s.end() == nil
}

// WaitRoom waits until the overlay is below its limit. Whoever writes a journal
// asks it before a change is logged: what is logged must be published. The error
// wraps [ErrFull] and what ended the context.
func (s *Store) WaitRoom(ctx context.Context) error {
	err := s.wait(ctx, func() bool {
		_, octets := s.snap.Load().sum()
		if octets >= s.o.Limit {
			signal(s.hurry)
		}
		return octets < s.o.Limit || s.end() != nil
	})
	if err != nil {
		return fmt.Errorf("%w: %d octets wait to be applied: %w", ErrFull, s.o.Limit, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.end()
}
