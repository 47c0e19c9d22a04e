package registry_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/nameplate-id/nameplate/registry"
	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/journal"
	"github.com/nameplate-id/nameplate/registry/journal/journaltest"
	"github.com/nameplate-id/nameplate/registry/state"
)

// tryNode opens and runs a registry that may fail. stop gives its error.
func tryNode(t *testing.T, c registry.Config) (r *registry.Registry, stop func() error) {
	t.Helper()
	r, err := registry.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	stop = run(r)
	t.Cleanup(func() { stop() })
	return r, stop
}

// After a sync has failed nothing is acknowledged, everybody who waits is told that
// their fate is open, and the node ends. What was acknowledged before is there again.
func TestFailedSync(t *testing.T) {
	t.Parallel()
	disk := journaltest.NewDisk()
	n := openNode(t, registry.Config{Folder: t.TempDir(), Journal: journal.Options{FS: disk, SegmentSize: 1 << 20}})
	holder, d := maker(t, n)
	fill(t, n, holder, d, 0, 10)
	n.mustStop()

	r, stop := tryNode(t, n.config)
	disk.FailSync(1, nil)
	done := make(chan error, 20)
	for i := 10; i < 30; i++ {
		c := signed(t, holder, d, put(mustID(t, serial(i)), nil, link("https://x.example/")))
		go func() {
			_, err := r.Register(context.Background(), c)
			done <- err
		}()
	}
	for range 20 {
		wantKind(t, <-done, registry.Unavailable)
	}
	wantKind(t, r.Healthy(t.Context()), registry.Unavailable)
	if f, err := r.Find(t.Context(), mustID(t, serial(3))); err != nil || f.Record == nil {
		t.Errorf("reading does not go on: %v", err)
	}
	if f, err := r.Find(t.Context(), mustID(t, serial(10))); err != nil || f.Record != nil {
		t.Errorf("a row that is not synced is found: %+v, %v", f, err)
	}
	wantKind(t, r.Watch(t.Context(), 13, func(registry.Logged) error { return nil }), registry.Unavailable)
	if err := stop(); !errors.Is(err, journaltest.ErrFault) {
		t.Errorf("the node ends with %v", err)
	}
	n.config.Journal.FS = disk.Restart()
	again := intact(t, n.config)
	fill(t, again, holder, d, 10, 30) // whatever of it is there already
	again.check()
}

func TestFullDisk(t *testing.T) {
	t.Parallel()
	disk := journaltest.NewDisk()
	n := openNode(t, registry.Config{Folder: t.TempDir(), Journal: journal.Options{FS: disk, SegmentSize: 64 << 10}})
	holder, d := maker(t, n)
	disk.SetFree(0)
	registered := 0
	var err error
	for ; err == nil && registered < 10_000; registered++ {
		_, err = n.Register(t.Context(), signed(t, holder, d, put(mustID(t, serial(registered)), nil, link("https://x.example/"))))
	}
	registered--
	wantKind(t, err, registry.Overloaded)
	if !errors.Is(err, journal.ErrFull) {
		t.Errorf("error %v", err)
	}
	if err := n.Healthy(t.Context()); err != nil {
		t.Error(err)
	}
	for i := range registered {
		n.record(serial(i))
	}
	if f := n.find(serial(registered)); f.Record != nil {
		t.Error("the refused one is there")
	}
	disk.SetFree(-1)
	deadline := time.Now().Add(20 * time.Second)
	for {
		_, err := n.Register(t.Context(), signed(t, holder, d, put(mustID(t, serial(registered)), nil, link("https://x.example/"))))
		if err == nil {
			break
		}
		if wantKind(t, err, registry.Overloaded); time.Now().After(deadline) {
			t.Fatal("it does not go on when there is room again")
		}
		time.Sleep(10 * time.Millisecond)
	}
	n.restart()
	n.record(serial(registered))
	n.check()
}

// A folder on a full disk gives an error that says so.
func TestBeginOnAFullDisk(t *testing.T) {
	t.Parallel()
	disk := journaltest.NewDisk()
	disk.SetFree(1000)
	c := registry.Config{Folder: t.TempDir(), Journal: journal.Options{FS: disk, SegmentSize: 64 << 10}}
	if _, err := registry.Open(c); err == nil {
		t.Fatal("no error")
	}
	disk.SetFree(-1)
	maker(t, openNode(t, c))
}

// A change that does not get into the journal leaves nothing behind: above all it
// does not hide the row before it, which waits for its sync.
func TestBusyJournal(t *testing.T) {
	t.Parallel()
	var g gate
	n := openNode(t, registry.Config{Folder: t.TempDir(), Journal: journal.Options{Hook: g.hook}})
	holder, d := maker(t, n)
	open := g.close()

	id := mustID(t, serial(0))
	first := signed(t, holder, d, put(id, nil, link("https://a.example/1")))
	_, hashes, err := first.Check()
	if err != nil {
		t.Fatal(err)
	}
	large := []identifier.Value{{Index: 1, Type: "DESC", Data: make([]byte, identifier.MaxValueData)}}
	second := signed(t, holder, d, put(id, &identifier.Record{Version: 1, RowHash: hashes[0]}, large))
	done := make(chan error, 2)
	register := func(c *identifier.Change) {
		_, err := n.Register(context.Background(), c)
		done <- err
	}
	go register(first)
	for registry.Waiting(n.Registry) == 0 {
		time.Sleep(time.Millisecond)
	}
	filled := 0
	for ; !errors.Is(err, journal.ErrBusy); filled++ {
		var rows []identifier.Row
		for i := range 7 {
			rows = append(rows, put(mustID(t, fmt.Sprintf("88.118/fill-%03d-%d", filled, i)), nil, large))
		}
		if err = registry.Admit(n.Registry, signed(t, holder, d, rows...)); err != nil && !errors.Is(err, journal.ErrBusy) {
			t.Fatal(err)
		}
	}
	waiting := registry.Waiting(n.Registry)
	for err = nil; err == nil; { // until none of a single row fits
		err = registry.Admit(n.Registry, signed(t, holder, d, put(mustID(t, serial(filled)), nil, large)))
		filled++
	}
	if err = registry.Admit(n.Registry, second); !errors.Is(err, journal.ErrBusy) {
		t.Errorf("the second version: %v", err)
	}
	if got := registry.WaitingVersion(n.Registry, id); got != 1 {
		t.Errorf("version %d waits, want 1", got)
	}
	if got := registry.Waiting(n.Registry); got < waiting {
		t.Errorf("%d rows wait, %d did", got, waiting)
	}
	go register(second)
	time.Sleep(20 * time.Millisecond)
	open()
	for range 2 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if r := n.record(serial(0)); r.Version != 2 {
		t.Errorf("version %d, want 2", r.Version)
	}
	if got := registry.Waiting(n.Registry); got != 0 {
		t.Errorf("%d rows wait for ever", got)
	}
	n.check()
}

// What cannot be taken over by the state is not taken at all, and its sender told.
func TestOverload(t *testing.T) {
	t.Parallel()
	hold := make(chan struct{})
	c := registry.Config{Folder: t.TempDir()}
	c.State.Limit = 200_000
	c.State.Hook = func(point string) {
		if point == state.PointBegin {
			<-hold
		}
	}
	n := openNode(t, c)
	holder, d := maker(t, n)
	values := []identifier.Value{{Index: 1, Type: "DESC", Data: make([]byte, 10_000)}}
	var err error
	for i := 0; err == nil && i < 100; i++ {
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		_, err = n.Register(ctx, signed(t, holder, d, put(mustID(t, serial(i)), nil, values)))
		cancel()
	}
	wantKind(t, err, registry.Overloaded)
	close(hold)
	fill(t, n, holder, d, 1000, 1010)
	n.check()
}

// A state that goes bad under a running node ends it, if not at once then with the next
// commit; what is read meanwhile is right or an error; and the next start builds it anew.
func TestStateDamagedWhileItRuns(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	holder, d := maker(t, n)
	fill(t, n, holder, d, 0, 10)
	n.mustStop()
	r, stop := tryNode(t, n.config)
	path := filepath.Join(n.config.Folder, "state.db")
	if err := overwrite(path, 8192, 200_000, 0xAA); err != nil {
		t.Fatal(err)
	}
	unreadable := 0
	for i := range 10 {
		f, err := r.Find(t.Context(), mustID(t, serial(i)))
		switch {
		case err != nil:
			unreadable++
		case f.Record == nil || string(f.Record.Values[0].Data) != "https://x.example/":
			t.Errorf("%s: %+v", serial(i), f)
		}
	}
	if unreadable == 0 {
		t.Error("nothing is damaged")
	}
	// The row's own page cannot be read either: it cannot be judged.
	_, err := r.Register(t.Context(), signed(t, holder, d, put(mustID(t, serial(20)), nil, link("https://x.example/"))))
	wantKind(t, err, registry.Unavailable)
	// A checkpoint needs no judging, and its commit finds the damage.
	err = registry.SignCheckpoint(t.Context(), r)
	if err == nil {
		_, err = r.Delegate(t.Context(), identifier.Sign(identifier.DelegationType, delegationPayload(t, grant("99", holder)), n.root))
	}
	if err != nil {
		t.Log(err)
	}
	for deadline := time.Now().Add(10 * time.Second); r.Healthy(t.Context()) == nil; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the node goes on")
		}
	}
	var damage *state.DamageError
	if err := stop(); !errors.As(err, &damage) {
		t.Errorf("the node ends with %v", err)
	}
	intact(t, n.config).check()
}
