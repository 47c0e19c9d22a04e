package journal_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/nameplate-id/nameplate/registry/journal"
	"github.com/nameplate-id/nameplate/registry/journal/journaltest"
)

// step is one step of a history.
type step struct {
	Do   string
	N    int
	Seed uint64
}

// history draws steps.
func history() *rapid.Generator[[]step] {
	kinds := []string{"append", "append", "append", "append", "burst", "burst", "settle", "settle", "idle", "reopen", "halt", "halt", "crash", "crash", "kill", "failsync", "failwrite", "backup"}
	one := rapid.Custom(func(t *rapid.T) step {
		return step{rapid.SampledFrom(kinds).Draw(t, "do"), rapid.IntRange(0, 2000).Draw(t, "n"), rapid.Uint64().Draw(t, "seed")}
	})
	return rapid.SliceOfN(one, 20, 150)
}

// twin is a journal and what it must hold.
type twin struct {
	disk   *journaltest.Disk
	lie    bool
	j      *journal.Journal
	frames []journal.Frame  // appended, as far as they may still be there
	acked  int              // of these, how many callbacks ran
	ends   []journal.Offset // of the acked ones
	wrong  error            // found by a callback
	copies int
	faulty bool // something was made to fail since the last Open
}

const twinFolder = "journal"

// keeper returns what decides whether a write reached the disk: one of four kinds
// of power cut.
func keeper(seed uint64) func() bool {
	r := rand.New(rand.NewPCG(seed, 1))
	left, share := r.IntN(40), r.Float64()
	switch seed % 4 {
	case 0:
		return func() bool { return false }
	case 1:
		return func() bool { return true }
	case 2:
		return func() bool { left--; return left >= 0 }
	}
	return func() bool { return r.Float64() < share }
}

// play runs a history and returns the first promise that was broken.
func play(steps []step, lie bool) error {
	tw := &twin{disk: journaltest.NewDisk(), lie: lie}
	if err := tw.open(0); err != nil {
		return err
	}
	defer func() { tw.j.Close() }()
	for i, s := range steps {
		if err := tw.do(s); err != nil {
			return fmt.Errorf("step %d (%v): %w", i, s, err)
		}
		synctest.Wait()
		if err := tw.check(); err != nil {
			return fmt.Errorf("step %d (%v): %w", i, s, err)
		}
	}
	tw.j.Close()
	tw.disk = tw.disk.Crash(nil)
	return tw.open(0)
}

// check checks what holds whenever nothing is under way.
func (tw *twin) check() error {
	switch {
	case tw.wrong != nil:
		return tw.wrong
	case tw.faulty:
		return nil
	case tw.j.Err() != nil:
		return fmt.Errorf("the journal failed by itself: %w", tw.j.Err())
	case tw.acked != len(tw.frames):
		return fmt.Errorf("%d of %d frames were called back", tw.acked, len(tw.frames))
	}
	return nil
}

func (tw *twin) do(s step) error {
	r := rand.New(rand.NewPCG(s.Seed, 2))
	switch s.Do {
	case "append":
		tw.append(s.N, r)
		return nil
	case "burst":
		for range s.N % 20 {
			tw.append(r.IntN(400), r)
		}
		return nil
	case "settle":
		return nil
	case "idle":
		time.Sleep(2 * time.Second)
		return nil
	case "reopen":
		if err := tw.j.Close(); err != nil && tw.j.Err() == journal.ErrClosed {
			return err
		}
		return tw.reopen(s, r)
	case "halt":
		tw.faulty = true
		tw.disk.Halt(1 + s.N%12)
		return nil
	case "crash":
		tw.disk, tw.faulty = tw.disk.Crash(keeper(s.Seed)), false
		tw.j.Close() // nothing of what it tries reaches the disk
		return tw.reopen(s, r)
	case "kill":
		tw.disk, tw.faulty = tw.disk.Restart(), false
		tw.j.Close()
		return tw.reopen(s, r)
	case "failsync":
		tw.faulty = true
		tw.disk.FailSync(1+s.N%3, keeper(s.Seed))
		return nil
	case "failwrite":
		tw.faulty = true
		tw.disk.FailWrite(1 + s.N%3)
		return nil
	case "backup":
		return tw.backup()
	}
	return errors.New("no such step")
}

// append appends one frame; when the journal has failed it does nothing.
func (tw *twin) append(size int, r *rand.Rand) {
	f := journal.Frame{Log: r.Uint32(), Position: r.Uint64(), Kind: journal.KindEntry, Payload: make([]byte, size)}
	for i := range f.Payload {
		f.Payload[i] = byte(r.Uint32())
	}
	n := len(tw.frames)
	// Busy now and then, since the segments are small.
	if err := tw.j.Wait(context.Background(), size); err != nil {
		return
	}
	err := tw.j.Append(f, func(at, end journal.Offset) {
		switch {
		case tw.acked != n:
			tw.wrong = fmt.Errorf("frame %d was called back after %d", n, tw.acked)
		case at >= end || len(tw.ends) > 0 && at < tw.ends[len(tw.ends)-1]:
			tw.wrong = fmt.Errorf("frame %d is at %d to %d, after one that ends at %v", n, at, end, tw.ends)
		case tw.j.Synced() < end:
			tw.wrong = fmt.Errorf("frame %d ends at %d and was called back while %d is synced", n, end, tw.j.Synced())
		}
		tw.acked++
		tw.ends = append(tw.ends, end)
	})
	if err == nil {
		tw.frames = append(tw.frames, f)
	}
}

// reopen opens the journal after it was closed, as often as crashes interrupt it.
func (tw *twin) reopen(s step, r *rand.Rand) error {
	from := journal.Offset(0)
	if len(tw.ends) > 0 && r.IntN(2) == 0 {
		from = tw.ends[r.IntN(len(tw.ends))]
	}
	for {
		err := tw.open(from)
		if !errors.Is(err, journaltest.ErrHalted) && !errors.Is(err, journaltest.ErrFault) {
			return err
		}
		tw.faulty = false
		if s.Seed++; r.IntN(2) == 0 {
			tw.disk = tw.disk.Restart()
			continue
		}
		tw.disk = tw.disk.Crash(keeper(s.Seed))
	}
}

// open opens the journal and compares it with what it must hold.
func (tw *twin) open(from journal.Offset) error {
	if tw.lie {
		tw.disk.IgnoreSync()
	}
	j, err := journal.Open(twinFolder, from, journal.Options{SegmentSize: journal.MinSegmentSize, FS: tw.disk})
	if err != nil {
		return err
	}
	tw.j = j
	return tw.compare()
}

// compare reads the whole journal.
func (tw *twin) compare() error {
	n := 0
	var ends []journal.Offset
	for l, err := range tw.j.Scan(0, tw.j.Synced()) {
		switch {
		case err != nil && (errors.Is(err, journaltest.ErrHalted)):
			return nil // the next step finds out
		case err != nil:
			tw.j.Close()
			return fmt.Errorf("frame %d: %w", n, err)
		case n == len(tw.frames) || !same(l.Frame, tw.frames[n]):
			tw.j.Close()
			return fmt.Errorf("frame %d is not the one that was appended", n)
		}
		n++
		ends = append(ends, l.End)
	}
	if n < tw.acked {
		tw.j.Close()
		return fmt.Errorf("%d frames were called back and %d are there", tw.acked, n)
	}
	// What Open leaves is durable, whether anybody was told or not.
	tw.frames, tw.acked, tw.ends = tw.frames[:n], n, ends
	return nil
}

func same(a, b journal.Frame) bool {
	return a.Log == b.Log && a.Position == b.Position && a.Kind == b.Kind && bytes.Equal(a.Payload, b.Payload)
}

// backup copies the journal and compares the copy.
func (tw *twin) backup() error {
	synctest.Wait()
	upTo, acked := tw.j.Synced(), tw.acked
	tw.copies++
	folder := fmt.Sprintf("copy %d", tw.copies)
	if err := tw.j.Backup(context.Background(), folder, upTo); err != nil {
		if errors.Is(err, journaltest.ErrHalted) || errors.Is(err, journaltest.ErrFault) || errors.Is(err, journal.ErrClosed) {
			return nil
		}
		return err
	}
	n := 0
	report, err := journal.Verify(folder, journal.Options{FS: tw.disk}, func(l journal.Located) error {
		if n == len(tw.frames) || !same(l.Frame, tw.frames[n]) {
			return fmt.Errorf("frame %d of the copy is another", n)
		}
		n++
		return nil
	})
	switch {
	case errors.Is(err, journaltest.ErrHalted):
		return nil
	case err != nil:
		return err
	case n < acked || report.Torn:
		return fmt.Errorf("the copy has %d of %d frames, torn: %v", n, acked, report.Torn)
	}
	return nil
}

func TestCrashes(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		steps := history().Draw(rt, "history")
		var err error
		synctest.Test(t, func(*testing.T) { err = play(steps, false) })
		if err != nil {
			rt.Fatal(err)
		}
	})
}

// TestCrashesAreNoticed runs the same histories where Sync does nothing: the
// property must find that something acknowledged is lost.
func TestCrashesAreNoticed(t *testing.T) {
	for seed := range 100 {
		steps := history().Example(seed)
		var err error
		synctest.Test(t, func(*testing.T) { err = play(steps, true) })
		if err != nil {
			t.Logf("history %d: %v", seed, err)
			return
		}
	}
	t.Error("100 histories without a sync lost nothing: the property does not notice")
}
