package state_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nameplate-id/nameplate/registry/state"
)

// smallDisk mounts a file system of so many MiB, where that is allowed.
func smallDisk(t *testing.T, mib int) string {
	dir := t.TempDir()
	if said, err := exec.Command("mount", "-t", "tmpfs", "-o", fmt.Sprintf("size=%dm", mib), "tmpfs", dir).CombinedOutput(); err != nil {
		t.Skipf("no small file system may be mounted here: %v %s", err, said)
	}
	t.Cleanup(func() {
		if said, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
			t.Errorf("umount: %v %s", err, said)
		}
	})
	return dir
}

// takeAll takes all room that is left.
func takeAll(t *testing.T, name string) {
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for size := 64 << 10; size >= 1; {
		if _, err := f.Write(make([]byte, size)); err != nil {
			size /= 2
		}
	}
}

// fullStore is a store on a disk that is full, with so many rows published and no room
// to commit the last of them; what its applier returns comes through the channel.
func fullStore(t *testing.T, o state.Options) (s *state.Store, filler string, ended <-chan error) {
	dir := smallDisk(t, 24)
	o.Journal, o.Index, o.Gather = journalID, filepath.Join(dir, "index"), time.Millisecond
	s, err := state.Open(filepath.Join(dir, "state"), o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() { cancel(); s.Close() })
	for i := range fullRows {
		publish(t, s, record(fmt.Sprint("early", i), 1))
	}
	if err := s.WaitApplied(t.Context(), s.Published()); err != nil {
		t.Fatal(err)
	}
	filler = filepath.Join(dir, "filler")
	takeAll(t, filler)
	for i := range 2 * fullRows {
		if i%50 == 0 {
			time.Sleep(2 * time.Millisecond) // let it commit as far as it can
		}
		at := s.Published()
		err := s.Publish(t.Context(), state.Batch{Log: 1, Position: s.Positions()[1] + 1, At: at, End: at + 100, Mutations: []state.Mutation{
			{Table: state.Records, Key: []byte(fmt.Sprint("late", i)), Value: content(1, strings.Repeat("x", 500))},
		}})
		if err != nil && o.FullPause >= 0 {
			t.Fatal(err)
		}
	}
	return s, filler, done
}

const fullRows = 2000

// lacking returns which row a reader does not find, or why it cannot say.
func lacking(s *state.Store) error {
	return s.View(func(r *state.Reader) error {
		for i := range fullRows {
			if key := fmt.Sprint("early", i); r.Live(state.Records, 1, []byte(key)) == nil {
				return fmt.Errorf("%s is not found", key)
			}
		}
		for i := range 2 * fullRows {
			if key := fmt.Sprint("late", i); r.Live(state.Records, 1, []byte(key)) == nil {
				return fmt.Errorf("late %d is not found", i)
			}
		}
		return nil
	})
}

// Where the disk is full the applier waits. Everything that was published is found
// meanwhile, and in the file when there is room again.
func TestFullDisk(t *testing.T) {
	s, filler, ended := fullStore(t, state.Options{FullPause: 20 * time.Millisecond})
	select {
	case err := <-ended:
		t.Fatalf("the applier has ended: %v", err)
	case <-time.After(100 * time.Millisecond):
	}
	if s.Applied() == s.Published() {
		t.Fatal("everything is committed: the disk was not full")
	}
	if err := lacking(s); err != nil {
		t.Errorf("while the disk is full: %v", err)
	}
	if err := os.Truncate(filler, 0); err != nil {
		t.Fatal(err)
	}
	if err := s.WaitApplied(t.Context(), s.Published()); err != nil {
		t.Fatal(err)
	}
	if err := lacking(s); err != nil {
		t.Errorf("when there is room again: %v", err)
	}
}

// A store that is closed while its disk is full leaves the rest to the journal.
func TestCloseOnAFullDisk(t *testing.T) {
	s, _, ended := fullStore(t, state.Options{})
	if err := s.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	if err := <-ended; err != nil {
		t.Errorf("Run: %v", err)
	}
}

// The control: an applier that does not wait ends where the disk is full.
func TestFullDiskNotices(t *testing.T) {
	_, _, ended := fullStore(t, state.Options{FullPause: -1})
	if err := <-ended; !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("the applier returns %v, want that the disk is full", err)
	}
}
