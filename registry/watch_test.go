package registry_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/nameplate-id/nameplate/registry"
	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/journal"
)

// fill registers n identifiers, one change each.
func fill(t testing.TB, n *node, holder identifier.PrivateKey, d *identifier.Delegation, from, to int) {
	t.Helper()
	var registering sync.WaitGroup
	for i := from; i < to; i++ {
		registering.Go(func() {
			if _, err := n.Register(t.Context(), signed(t, holder, d, put(mustID(t, serial(i)), nil, link("https://x.example/")))); err != nil {
				t.Error(err)
			}
		})
	}
	registering.Wait()
}

func TestWatch(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	holder, d := maker(t, n)
	fill(t, n, holder, d, 0, 700) // several runs of the index
	all := n.watched(0, 703)
	for i, l := range all {
		if l.Position != uint64(i) {
			t.Fatalf("entry %d is number %d", i, l.Position)
		}
	}
	kinds := []identifier.EntryKind{identifier.EntryGenesis, identifier.EntryGrant, identifier.EntryDelegation, identifier.EntryChange}
	for i, want := range kinds {
		if all[i].Entry.Kind != want {
			t.Errorf("entry %d has kind %d, want %d", i, all[i].Entry.Kind, want)
		}
	}
	if size, root := registry.Head(n.Registry); size != 703 || root != rootOf(all) {
		t.Errorf("root %x of %d, the entries add up to %x", root, size, rootOf(all))
	}
	for range 2 {
		for _, from := range []uint64{1, 255, 256, 257, 400, 702} {
			got := n.watched(from, 703-int(from))
			if got[0].Position != from || rootOf(append(all[:from:from], got...)) != rootOf(all) {
				t.Errorf("from %d: begins with %d, or something else than before", from, got[0].Position)
			}
		}
		wantKind(t, n.Watch(t.Context(), 704, func(registry.Logged) error { return nil }), registry.Malformed)
		n.restart()
	}
	errStop := errors.New("stop")
	if err := n.Watch(t.Context(), 0, func(registry.Logged) error { return errStop }); err != errStop {
		t.Errorf("yield's error: %v", err)
	}
}

// A watch from the end waits, sees what comes, and ends with its context.
func TestWatchWhileWriting(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	holder, d := maker(t, n)
	ctx, cancel := context.WithCancel(t.Context())
	var watching sync.WaitGroup
	var seen [4]uint64
	for i, from := range []uint64{0, 2, 3, 3} {
		seen[i] = from
		watching.Go(func() {
			err := n.Watch(ctx, from, func(l registry.Logged) error {
				if l.Position != seen[i] {
					return fmt.Errorf("entry %d where %d should come", l.Position, seen[i])
				}
				if l.Position > 2 {
					// What is seen has been acknowledged, or is about to be: it resolves.
					if f, err := n.Find(ctx, l.Entry.Rows[0].ID); err != nil || f.Record == nil {
						return fmt.Errorf("entry %d is seen and does not resolve: %v", l.Position, err)
					}
				}
				if seen[i]++; seen[i] == 303 && i == 3 {
					cancel()
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	fill(t, n, holder, d, 0, 300)
	deadline := time.AfterFunc(10*time.Second, cancel)
	defer deadline.Stop()
	watching.Wait()
	if seen[3] != 303 {
		t.Errorf("seen %v", seen)
	}
}

// A run index that leads too far is noticed: no entry is left out.
func TestWatchThroughAWrongRun(t *testing.T) {
	t.Parallel()
	c := filled(t)
	var at []uint64
	if _, err := journal.Verify(filepath.Join(c.Folder, "journal"), c.Journal, func(f journal.Located) error {
		at = append(at, uint64(f.At))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	// Behind the only run, of log 0 from position 0, its page is empty; a hash may begin
	// like it.
	run := func(leads uint64) []byte {
		return append(binary.BigEndian.AppendUint64(make([]byte, 4+8), leads), make([]byte, 32)...)
	}
	rewrite(t, filepath.Join(c.Folder, "state.db"), func(b []byte) []byte {
		if !bytes.Contains(b, run(at[0])) {
			t.Fatal("the state has no run")
		}
		return bytes.ReplaceAll(b, run(at[0]), run(at[3]))
	})
	n := intact(t, c)
	err := n.Watch(t.Context(), 0, func(l registry.Logged) error { return fmt.Errorf("entry %d comes first", l.Position) })
	wantKind(t, err, registry.Unavailable)
	if got := n.watched(4, 3); got[0].Position != 4 {
		t.Errorf("entry %d comes first", got[0].Position)
	}
	n.mustStop()
	if _, err := registry.Check(t.Context(), c.Folder, c.Journal, nil); err == nil {
		t.Error("the check finds nothing")
	}
}

func TestStatus(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	holder, d := maker(t, n)
	fill(t, n, holder, d, 0, 5)
	n.mustRegister(signed(t, holder, d, withdraw(n.record(serial(0)))))
	if err := registry.SignCheckpoint(t.Context(), n.Registry); err != nil {
		t.Fatal(err)
	}
	s := n.status()
	if s.Key != n.root.Public() || s.Log != n.LogID() || s.Position != 9 || s.Identifiers != 4 || s.Withdrawn != 1 || s.Delegations != 1 {
		t.Errorf("status %+v", s)
	}
	if s.Synced < s.Applied || s.Applied == 0 || s.StateBytes == 0 || s.Level != registry.Local || s.ReadOnly != "" {
		t.Errorf("status %+v", s)
	}
	if len(s.Apexes) != 1 || s.Apexes[0] != "" {
		t.Errorf("apexes %q", s.Apexes)
	}
	size, root, err := journal.VerifyCheckpoint(s.Checkpoint.Note, s.Log, s.Key)
	if err != nil || size != 9 || root != s.Checkpoint.Root || size != s.Checkpoint.Size || root != rootOf(n.watched(0, 9)) {
		t.Errorf("checkpoint %+v: %d, %x, %v", s.Checkpoint, size, root, err)
	}
	if err := n.Healthy(t.Context()); err != nil {
		t.Error(err)
	}
	n.restart()
	if again := n.status(); again.Position != 9 || again.Checkpoint.Size != 9 || again.Identifiers != 4 {
		t.Errorf("status after a start %+v", again)
	}
}

// A growing log gets checkpoints by itself, one that rests gets no more.
func TestCheckpointsComeByThemselves(t *testing.T) {
	t.Parallel()
	var g counter
	n := openNode(t, registry.Config{Folder: t.TempDir(), CheckpointEvery: 10 * time.Millisecond, Hook: g.hook})
	maker(t, n)
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if s, err := n.Status(t.Context()); err != nil || s.Checkpoint.Size == 3 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("no checkpoint covers the log")
		}
	}
	signed := g.of(registry.HookSigned)
	time.Sleep(100 * time.Millisecond)
	if got := g.of(registry.HookSigned); got != signed {
		t.Errorf("%d checkpoints of a log that did not grow", got-signed)
	}
}

// counter counts the points of a hook.
type counter struct {
	mu    sync.Mutex
	count map[string]int
}

func (c *counter) hook(point string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.count == nil {
		c.count = make(map[string]int)
	}
	c.count[point]++
}

func (c *counter) of(point string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.count[point]
}
