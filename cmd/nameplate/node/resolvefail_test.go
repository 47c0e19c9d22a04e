package node_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nameplate-id/nameplate/registry"
	"github.com/nameplate-id/nameplate/registry/journal"
)

// resolvePoints are where fork resolve is killed, and the most passings until then.
var resolvePoints = []struct {
	point string
	most  int
}{
	{registry.HookIncarnation, 1},
	{registry.HookEntry, 8},
	{journal.HookWrite, 3},
	{journal.HookSynced, 3},
	{registry.HookMerged, 1},
	{registry.HookSuccession, 1},
	{registry.HookAside, 1},
	{registry.HookInPlace, 1},
	{registry.HookSucceeded, 1},
}

// fork makes two histories of the middle node's log, one at its parent and one in its own
// folder. Both sides know of it, and the node is dead.
func (b *branch) fork() error {
	err := b.age(func(backup string) error {
		return errors.Join(b.toMid(backup), registry.AcceptRestored(b.mid.victim.Folder), b.top.kill())
	})
	if err == nil {
		err = b.mid.start("", 0)
	}
	if err == nil {
		err = b.during([]*member{b.mid}, func() error { return b.registerSome(5) })
	}
	if err == nil {
		err = b.top.start("", 0)
	}
	if err != nil {
		return err
	}
	err = awaitAll(func() error {
		down, err := b.mid.status()
		if err != nil {
			return err
		}
		up, err := b.top.status()
		if err == nil && (down.Quarantine == nil || len(up.Mirrors) != 1 || up.Mirrors[0].Quarantine == nil) {
			err = errors.New("nobody has noticed that the log has forked")
		}
		return err
	})
	return errors.Join(err, b.mid.kill())
}

// resolved returns an error unless a folder of the middle node holds the log that continues
// both histories, with everything that was acknowledged; undecided says that it is as it was.
func (b *branch) resolved(folder string) (undecided bool, err error) {
	c := registry.Config{Folder: folder, Parent: b.top.key.Public(), Journal: journal.Options{SegmentSize: 256 << 10}}
	r, err := registry.Open(c)
	if err != nil {
		return false, err
	}
	defer r.Close()
	if r.Quarantine() != nil {
		return true, nil
	}
	for _, k := range b.known {
		if k.at != b.mid {
			continue
		}
		if found, err := r.Find(b.t.Context(), k.id); err != nil || found.Record == nil {
			return false, fmt.Errorf("%s was acknowledged, and is not in the log that continues both histories: %v", k.id, err)
		}
	}
	return false, nil
}

// resolveAt kills fork resolve in a copy of a folder, and lets it come to its end then.
func (b *branch) resolveAt(forked, point string, n int, change func(*victim)) (folder string, err error) {
	v := b.mid.victim
	v.Folder, v.Resolve, v.Point, v.N = b.scratch(), true, point, n
	change(&v)
	if err := os.CopyFS(v.Folder, os.DirFS(forked)); err != nil {
		return "", err
	}
	if err := dies(v); err != nil {
		return "", err
	}
	undecided, err := b.resolved(v.Folder)
	if err == nil && undecided {
		v.Point, v.IgnoreSync = "", false
		if err = finishes(v); err == nil {
			undecided, err = b.resolved(v.Folder)
		}
	}
	if err == nil && undecided {
		err = errors.New("the log is still one of two histories")
	}
	if err != nil {
		return "", err
	}
	if _, err := registry.Check(b.t.Context(), v.Folder, journal.Options{}, nil); err != nil {
		return "", err
	}
	before, err := filepath.Glob(filepath.Join(v.Folder, "before", "*", "journal"))
	if err == nil && len(before) != 1 {
		err = fmt.Errorf("the log of before is not kept: %q", before)
	}
	return v.Folder, err
}

// TestResolveFailpoints kills fork resolve at named points. Each time the folder is as it was,
// or the next one who opens it finishes what was begun: nothing that was acknowledged in
// either history is lost, and the log of before is kept.
func TestResolveFailpoints(t *testing.T) {
	t.Parallel()
	b := newBranch(t)
	fail := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%v\n%s", err, b.said())
		}
	}
	fail(b.fork())
	forked, killed, last := b.mid.victim.Folder, 0, ""
	for range *kills {
		for _, p := range resolvePoints {
			if !strings.Contains(p.point, *killedAt) {
				continue
			}
			folder, err := b.resolveAt(forked, p.point, 1+rand.IntN(p.most), func(*victim) {})
			if err != nil {
				t.Fatalf("killed at %s: %v", p.point, err)
			}
			fail(os.RemoveAll(last))
			last = folder
			killed++
		}
	}
	if killed == 0 {
		t.Skip("no point is named like that")
	}
	b.mid.victim.Folder = last
	fail(b.mid.start("", 0))
	fail(b.settle())
	fail(b.checkAll(b.known))
	t.Logf("killed %d times; %d registrations in two histories, none lost", killed, len(b.known))
}

// TestResolveFailpointsNotice shows that this would notice a fork resolve that puts a journal
// in its place which is not synced.
func TestResolveFailpointsNotice(t *testing.T) {
	t.Parallel()
	b := newBranch(t)
	if err := b.fork(); err != nil {
		t.Fatalf("%v\n%s", err, b.said())
	}
	_, err := b.resolveAt(b.mid.victim.Folder, registry.HookInPlace, 1, func(v *victim) { v.IgnoreSync = true })
	if err == nil {
		t.Fatal("nobody noticed")
	}
	t.Logf("noticed: %v", err)
}
