package journal_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nameplate-id/nameplate/registry/journal"
	"github.com/nameplate-id/nameplate/registry/journal/journaltest"
)

const folder = "journal"

// small makes journals with many segments.
func small(fsys journal.FS) journal.Options {
	return journal.Options{SegmentSize: journal.MinSegmentSize, FS: fsys}
}

func open(t *testing.T, o journal.Options) *journal.Journal {
	t.Helper()
	j, err := journal.Open(folder, 0, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.Close() })
	return j
}

// entry returns an entry whose payload is text.
func entry(text string) journal.Frame {
	return journal.Frame{Kind: journal.KindEntry, Payload: []byte(text)}
}

// place is where a frame stands.
type place struct{ at, end journal.Offset }

// appendAll appends frames and waits until all are synced.
func appendAll(t *testing.T, j *journal.Journal, frames ...journal.Frame) []place {
	t.Helper()
	places := make([]place, len(frames))
	var waiting sync.WaitGroup
	for i, f := range frames {
		if err := j.Wait(context.Background(), len(f.Payload)); err != nil {
			t.Fatal(err)
		}
		waiting.Add(1)
		err := j.Append(f, func(at, end journal.Offset) {
			places[i] = place{at, end}
			waiting.Done()
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	waiting.Wait()
	return places
}

// read returns all frames of a journal.
func read(t *testing.T, j *journal.Journal) []journal.Frame {
	t.Helper()
	var frames []journal.Frame
	for l, err := range j.Scan(0, j.Synced()) {
		if err != nil {
			t.Fatal(err)
		}
		frames = append(frames, l.Frame)
	}
	return frames
}

// numbered returns n entries of different sizes.
func numbered(n int) []journal.Frame {
	frames := make([]journal.Frame, n)
	for i := range frames {
		frames[i] = journal.Frame{Log: uint32(i % 3), Position: uint64(i) << 40, Kind: journal.KindEntry, Payload: bytes.Repeat([]byte{byte(i)}, i*37%700)}
	}
	return frames
}

func TestRoundTrip(t *testing.T) {
	disk := journaltest.NewDisk()
	want := numbered(60)
	want[7].Kind = journal.KindCheckpoint
	j := open(t, small(disk))
	places := appendAll(t, j, want[:30]...)
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	j = open(t, small(disk))
	places = append(places, appendAll(t, j, want[30:]...)...)

	if got := read(t, j); !slices.EqualFunc(got, want, same) {
		t.Errorf("got %d frames, want the %d appended", len(got), len(want))
	}
	for i, p := range places {
		f, end, err := j.Read(p.at)
		if err != nil || !same(f, want[i]) || end != p.end {
			t.Errorf("frame %d at %d: got %v to %d, error %v", i, p.at, f.Kind, end, err)
		}
		// Where a frame ends, the next one is found, over group headers and segments.
		switch f, _, err := j.Read(p.end); {
		case i+1 == len(places):
			if err != io.EOF {
				t.Errorf("behind the last frame: got error %v, want EOF", err)
			}
		case err != nil || !same(f, want[i+1]):
			t.Errorf("behind frame %d: got %v, error %v", i, f, err)
		}
	}
	if names, _ := disk.List(folder); len(names) < 5 {
		t.Errorf("got segments %v, want several", names)
	}
}

func TestScanPart(t *testing.T) {
	j := open(t, small(journaltest.NewDisk()))
	want := numbered(30)
	places := appendAll(t, j, want...)
	var got []journal.Frame
	for l, err := range j.Scan(places[9].end, places[19].end) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, l.Frame)
	}
	if !slices.EqualFunc(got, want[10:20], same) {
		t.Errorf("got %d frames, want frames 10 to 19", len(got))
	}
	for l, err := range j.Scan(places[3].at, 1<<62) {
		if err != nil || l.At != places[3].at || l.End != places[3].end {
			t.Errorf("got %d to %d, error %v, want %v", l.At, l.End, err, places[3])
		}
		break
	}
}

func TestOpenFrom(t *testing.T) {
	disk := journaltest.NewDisk()
	j := open(t, small(disk))
	places := appendAll(t, j, numbered(40)...)
	synced := j.Synced()
	j.Close()
	for _, p := range places {
		j, err := journal.Open(folder, p.end, small(disk))
		if err != nil {
			t.Fatalf("from %d: %v", p.end, err)
		}
		j.Close()
	}
	for _, from := range []journal.Offset{1, places[5].end + 1, places[39].at + 3, synced + 1000, 1 << 40} {
		var damage *journal.DamageError
		if _, err := journal.Open(folder, from, small(disk)); !errors.As(err, &damage) {
			t.Errorf("from %d: got %v, want damage", from, err)
		}
	}
	var damage *journal.DamageError
	if _, err := journal.Open("elsewhere", 1, small(disk)); !errors.As(err, &damage) {
		t.Errorf("a journal that is gone: got %v, want damage", err)
	}
}

func TestAppendRefuses(t *testing.T) {
	j := open(t, journal.Options{FS: journaltest.NewDisk(), SegmentSize: 4 << 20})
	carried := []journal.Kind{
		journal.KindEntry, journal.KindCheckpoint, journal.KindMirrored, journal.KindSession, journal.KindReceipt, journal.KindQuarantine, journal.KindAcknowledged, journal.KindCertain, journal.KindTold,
	}
	for kind := range 256 {
		k := journal.Kind(kind)
		err := j.Append(journal.Frame{Kind: k}, nil)
		if ok := slices.Contains(carried, k); ok != (err == nil) {
			t.Errorf("%v: got error %v", k, err)
		} else if err != nil && !strings.Contains(err.Error(), k.String()) {
			t.Errorf("%v: error %q does not name the kind", k, err)
		}
	}
	if err := j.Append(journal.Frame{Kind: journal.KindEntry, Payload: make([]byte, journal.MaxPayload+1)}, nil); err == nil {
		t.Error("a payload over the limit was taken")
	}
	appendAll(t, j, journal.Frame{Kind: journal.KindEntry, Payload: make([]byte, journal.MaxPayload)})
	j.Close()
	if err := j.Append(entry("late"), nil); err != journal.ErrClosed {
		t.Errorf("after Close: got %v, want ErrClosed", err)
	}
	if err := j.Wait(context.Background(), 1); err != journal.ErrClosed {
		t.Errorf("Wait after Close: got %v, want ErrClosed", err)
	}
}

func TestOptions(t *testing.T) {
	for _, size := range []int64{1, journal.MinSegmentSize - 1, journal.MinSegmentSize + 512, journal.MaxSegmentSize * 2, -1} {
		if _, err := journal.Open(folder, 0, journal.Options{SegmentSize: size, FS: journaltest.NewDisk()}); err == nil {
			t.Errorf("segments of %d octets were allowed", size)
		}
	}
}

// TestOtherSegmentSize opens a journal with another size than it was begun with.
func TestOtherSegmentSize(t *testing.T) {
	disk := journaltest.NewDisk()
	var want []journal.Frame
	for i, size := range []int64{1, 4, 1, 2} {
		j := open(t, journal.Options{SegmentSize: size * journal.MinSegmentSize, FS: disk})
		frames := numbered(25 + i)
		appendAll(t, j, frames...)
		want = append(want, frames...)
		if got := read(t, j); !slices.EqualFunc(got, want, same) {
			t.Errorf("size %d: got %d frames, want %d", size, len(got), len(want))
		}
		j.Close()
	}
}

// TestBusy fills the queue while the disk does not answer.
func TestBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		hook := func(point string) {
			if point == journal.HookSync {
				<-gate
			}
		}
		j, err := journal.Open(folder, 0, journal.Options{FS: journaltest.NewDisk(), Hook: hook})
		if err != nil {
			t.Fatal(err)
		}
		payload := make([]byte, 1<<20)
		taken, called := 0, 0
		for ; taken < 100; taken++ {
			if err = j.Append(journal.Frame{Kind: journal.KindEntry, Payload: payload}, func(_, _ journal.Offset) { called++ }); err != nil {
				break
			}
		}
		if !errors.Is(err, journal.ErrBusy) || taken != 15 {
			t.Errorf("got %v after %d MiB, want ErrBusy after 15", err, taken)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := j.Wait(ctx, len(payload)); err != context.DeadlineExceeded {
			t.Errorf("Wait: got %v, want the context's error", err)
		}
		woken := make(chan error)
		go func() { woken <- j.Wait(t.Context(), len(payload)) }()
		close(gate)
		if err := <-woken; err != nil {
			t.Errorf("Wait: got %v, want room", err)
		}
		j.Close()
		if called != taken {
			t.Errorf("got %d calls, want %d", called, taken)
		}
	})
}

// TestCallbackLocks appends under a lock that the callbacks take too.
func TestCallbackLocks(t *testing.T) {
	j := open(t, small(journaltest.NewDisk()))
	var mu sync.Mutex
	var order, called []int
	var writers sync.WaitGroup
	for w := range 8 {
		writers.Go(func() {
			for i := range 200 {
				n := w*1000 + i
				for {
					mu.Lock()
					err := j.Append(entry(fmt.Sprint(n)), func(_, _ journal.Offset) {
						mu.Lock()
						defer mu.Unlock()
						called = append(called, n)
					})
					if err == nil {
						order = append(order, n)
					}
					mu.Unlock()
					if err == nil {
						break
					}
					if !errors.Is(err, journal.ErrBusy) {
						t.Error(err)
						return
					}
					if err := j.Wait(t.Context(), 4); err != nil {
						t.Error(err)
						return
					}
				}
			}
		})
	}
	writers.Wait()
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(order, called) || len(called) != 1600 {
		t.Errorf("%d were appended and %d called back, in the same order: %v", len(order), len(called), slices.Equal(order, called))
	}
}

// TestCloseSyncsWhatWaits closes while frames wait that need the next segment.
func TestCloseSyncsWhatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		var shut atomic.Bool
		hook := func(point string) {
			if point == journal.HookSync && shut.Load() {
				<-gate
			}
		}
		disk := journaltest.NewDisk()
		j, err := journal.Open(folder, 0, journal.Options{SegmentSize: journal.MinSegmentSize, FS: disk, Hook: hook})
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		appendAll(t, j, entry(string(make([]byte, 2000)))) // so that the others need two segments
		shut.Store(true)
		taken, called := 1, 1
		for ; j.Append(entry(string(make([]byte, 1000))), func(_, _ journal.Offset) { called++ }) == nil; taken++ {
			synctest.Wait()
		}
		closed := make(chan error)
		go func() { closed <- j.Close() }()
		synctest.Wait()
		close(gate)
		if err := <-closed; err != nil || taken < 3 || called != taken {
			t.Errorf("Close gave %v; %d frames were taken and %d called back", err, taken, called)
		}
		if err := j.Close(); err != nil {
			t.Errorf("closed again: %v", err)
		}
		if j, err = journal.Open(folder, 0, small(disk)); err != nil {
			t.Fatal(err)
		}
		if got := read(t, j); len(got) != taken {
			t.Errorf("got %d frames, want %d", len(got), taken)
		}
		j.Close()
	})
}

// TestReadWhileAppending reads beside the committer.
func TestReadWhileAppending(t *testing.T) {
	j := open(t, small(journaltest.NewDisk()))
	want := numbered(300)
	var readers sync.WaitGroup
	stop := make(chan struct{})
	for range 3 {
		readers.Go(func() {
			for {
				n := 0
				for l, err := range j.Scan(0, j.Synced()) {
					if err != nil || !same(l.Frame, want[n]) {
						t.Errorf("frame %d: got another, error %v", n, err)
						return
					}
					n++
				}
				select {
				case <-stop:
					return
				default:
				}
			}
		})
	}
	appendAll(t, j, want...)
	close(stop)
	readers.Wait()
	j.Close()
	if _, _, err := j.Read(0); err != journal.ErrClosed {
		t.Errorf("Read after Close: got %v, want ErrClosed", err)
	}
}

// TestClosesIdleGroup looks for the empty group behind the last one.
func TestClosesIdleGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := journaltest.NewDisk()
		j, err := journal.Open(folder, 0, small(disk))
		if err != nil {
			t.Fatal(err)
		}
		defer j.Close()
		time.Sleep(time.Hour)
		empty := j.Synced()
		before := disk.Syncs()
		end := appendAll(t, j, entry("a"))[0].end
		synctest.Wait()
		if got := j.Synced(); got != end {
			t.Errorf("right after the append %d is synced, want %d", got, end)
		}
		time.Sleep(51 * time.Millisecond)
		synctest.Wait()
		if got := j.Synced() - end; got != 45 {
			t.Errorf("the last group is closed by %d octets, want 45", got)
		}
		closed := j.Synced()
		time.Sleep(time.Hour)
		if got := j.Synced(); got != closed || disk.Syncs()-before != 2 {
			t.Errorf("an idle journal went on: %d is synced, want %d; %d syncs, want 2", got, closed, disk.Syncs()-before)
		}
		if empty != 64 {
			t.Errorf("an empty journal is synced up to %d, want 64", empty)
		}
	})
}

// TestDisk runs on real files.
func TestDisk(t *testing.T) {
	dir := t.TempDir() + "/a/b/journal"
	want := numbered(100)
	for part := range 4 {
		j, err := journal.Open(dir, 0, journal.Options{SegmentSize: 8 << 10})
		if err != nil {
			t.Fatal(err)
		}
		appendAll(t, j, want[part*25:part*25+25]...)
		if got := read(t, j); !slices.EqualFunc(got, want[:part*25+25], same) {
			t.Errorf("got %d frames, want %d", len(got), part*25+25)
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
	}
	report, err := journal.Verify(dir, journal.Options{}, nil)
	if err != nil || report.Entries != 100 || report.Torn {
		t.Errorf("got %+v, error %v", report, err)
	}
}
