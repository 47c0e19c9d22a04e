package node_test

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nameplate-id/nameplate/registry"
	"github.com/nameplate-id/nameplate/registry/backup"
	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/journal"
	"github.com/nameplate-id/nameplate/registry/state"
)

var (
	kills    = flag.Int("kills", 1, "how often TestFailpoints kills a node at each point")
	killedAt = flag.String("killedat", "", "only at points whose names hold this")
)

// failpoint is a place in the code where a node is killed, and what goes on meanwhile.
type failpoint struct {
	within string
	point  string
	most   int // passings until then
	round  func(*branch, string, int) error
}

// failpoints are all of them. The middle one of three nodes is killed, but where
// something else is said: it is parent and child.
var failpoints = []failpoint{
	{"write", registry.HookEntry, 9, (*branch).work},
	{"write", journal.HookAppend, 20, (*branch).work},
	{"write", journal.HookWrite, 9, (*branch).work},
	{"write", journal.HookSync, 9, (*branch).work},
	{"write", journal.HookSynced, 9, (*branch).work},
	{"write", registry.HookEntrySynced, 9, (*branch).work},
	{"write", registry.HookEntryVisible, 9, (*branch).work},
	{"write", journal.HookSegment, 1, (*branch).work},
	{"apply", state.PointFreeze, 6, (*branch).work},
	{"apply", state.PointBegin, 6, (*branch).work},
	{"apply", state.PointRows, 6, (*branch).work},
	{"apply", state.PointCommit, 6, (*branch).work},
	{"apply", state.PointDrop, 6, (*branch).work},
	{"replicate", registry.HookSend, 6, (*branch).work},
	{"replicate", registry.HookSendSigned, 6, (*branch).work},
	{"replicate", registry.HookAcknowledged, 6, (*branch).work},
	{"replicate", registry.HookMirror, 6, (*branch).work},
	{"replicate", registry.HookMirrorSynced, 6, (*branch).work},
	{"replicate", registry.HookMirrorTaken, 6, (*branch).work},
	{"replicate", registry.HookHello, 1, (*branch).newcomer},
	{"replicate", registry.HookNumber, 1, (*branch).newcomer},
	{"replicate", registry.HookGrant, 1, (*branch).grantedNewcomer},
	{"anchor", registry.HookSigned, 4, (*branch).work},
	{"anchor", registry.HookCheckpoint, 4, (*branch).work},
	{"anchor", registry.HookChildren, 4, (*branch).work},
	{"anchor", registry.HookReceipt, 4, (*branch).work},
	{"anchor", registry.HookReceiptKept, 4, (*branch).work},
	{"anchor", registry.HookCosigned, 4, (*branch).work},
	{"anchor", registry.HookAnchor, 4, (*branch).workAbove},
	{"anchor", registry.HookAnchored, 4, (*branch).workAbove},
	{"heal", registry.HookTakeBack, 1, (*branch).heal},
	{"heal", registry.HookTookBack, 1, (*branch).heal},
	{"heal", registry.HookHeal, 1, (*branch).heal},
	{"heal", registry.HookHealed, 1, (*branch).heal},
	{"heal", registry.HookGiveBack, 1, (*branch).healAbove},
	{"adopt", registry.HookIncarnation, 1, (*branch).adopt},
	{"adopt", registry.HookAdopted, 1, (*branch).adopt},
	{"adopt", registry.HookSuccession, 1, (*branch).adopt},
	{"adopt", registry.HookAside, 1, (*branch).adopt},
	{"adopt", registry.HookInPlace, 1, (*branch).adopt},
	{"adopt", registry.HookSucceeded, 1, (*branch).adopt},
	{"restore", backup.HookMarked, 1, (*branch).restore},
	{"restore", backup.HookKey, 1, (*branch).restore},
	{"restore", backup.HookJournal, 1, (*branch).restore},
	{"restore", backup.HookBuilt, 1, (*branch).restore},
	{"backup", backup.HookCopied, 1, (*branch).backup},
	{"backup", backup.HookManifest, 1, (*branch).backup},
}

// TestFailpoints kills nodes of a tree of processes at named points, with files that lose
// what was not synced, while others register. Each time nothing that was acknowledged is
// lost, and the mirrors equal the logs by root.
func TestFailpoints(t *testing.T) {
	t.Parallel()
	within, registrations := map[string]int{}, 0
	for range *kills {
		b := newBranch(t) // a short history is whole again sooner
		for _, p := range failpoints {
			if !strings.Contains(p.point, *killedAt) {
				continue
			}
			began := time.Now()
			err := p.round(b, p.point, 1+rand.IntN(p.most))
			if err == nil {
				err = b.settle()
			}
			if err != nil {
				t.Fatalf("killed at %s: %v\n%s", p.point, err, b.said())
			}
			within[p.within]++
			t.Logf("%s: whole again after %v", p.point, time.Since(began).Round(time.Millisecond))
		}
		if err := b.checkAll(b.known); err != nil {
			t.Error(err)
		}
		registrations += len(b.known)
		b.end()
	}
	t.Logf("%d points, killed within %v; %d registrations acknowledged, none lost, all mirrors equal by root", len(failpoints), within, registrations)
	if registrations == 0 {
		t.Error("nothing was ever acknowledged")
	}
}

// TestFailpointsNotice shows that TestFailpoints would notice a node that acknowledges
// what it has not synced: nobody else has it either.
func TestFailpointsNotice(t *testing.T) {
	t.Parallel()
	b := newBranch(t)
	if err := errors.Join(b.top.kill(), b.leaf.kill(), b.mid.kill()); err != nil {
		t.Fatal(err)
	}
	b.mid.victim.IgnoreSync = true
	if err := b.mid.start("", 0); err != nil {
		t.Fatal(err)
	}
	before := len(b.known)
	if err := b.while(func() error { return b.mid.killAt(journal.HookAppend, 30) }); err != nil {
		t.Fatal(err)
	}
	if len(b.known) == before {
		t.Fatal("nothing was acknowledged")
	}
	b.mid.victim.IgnoreSync = false
	err := b.mid.start("", 0)
	if err == nil {
		err = b.check(b.mid, b.known[before:])
	}
	if err == nil {
		t.Fatalf("%d changes were acknowledged and never written, and nobody noticed", len(b.known)-before)
	}
	t.Logf("noticed: %v", err)
}

// work kills the middle node while others register at it and below it.
func (b *branch) work(point string, n int) error {
	return b.while(func() error {
		if err := b.mid.killAt(point, n); err != nil {
			return err
		}
		return b.mid.start("", 0)
	})
}

// workAbove kills the topmost node meanwhile.
func (b *branch) workAbove(point string, n int) error {
	return b.while(func() error {
		if err := b.top.killAt(point, n); err != nil {
			return err
		}
		return b.top.start("", 0)
	})
}

// newcomer kills the parent of a node that comes for the first time.
func (b *branch) newcomer(point string, n int) error {
	return b.welcome(func(*member) *member { return b.mid }, point, n)
}

// grantedNewcomer kills the one that comes.
func (b *branch) grantedNewcomer(point string, n int) error {
	return b.welcome(func(x *member) *member { return x }, point, n)
}

func (b *branch) welcome(which func(*member) *member, point string, n int) error {
	b.count++
	x := b.member(fmt.Sprintf("new%d", b.count), b.mid)
	defer x.kill()
	if err := x.start("", 0); err != nil {
		return err
	}
	killed := which(x)
	if err := killed.arm(point, n); err != nil {
		return err
	}
	if err := b.grant(b.mid, x, identifier.Prefix(fmt.Sprintf("88.%d", b.count))); err != nil {
		return err
	}
	if err := killed.awaitDeath(); err != nil {
		return err
	}
	if err := killed.start("", 0); err != nil {
		return err
	}
	return awaitAll(func() error { return mirrored(x, b.mid) })
}

// age restores the middle node from a backup that lacks what came after it, and leaves
// it dead.
func (b *branch) age(restore func(backup string) error) error {
	from := b.scratch()
	if _, err := backup.Make(b.t.Context(), registry.Config{Folder: b.mid.victim.Folder}, from, true); err != nil {
		return err
	}
	if err := b.while(func() error { return b.registerSome(10) }); err != nil {
		return err
	}
	if err := b.settle(); err != nil {
		return err
	}
	if err := b.mid.kill(); err != nil {
		return err
	}
	if err := os.RemoveAll(b.mid.victim.Folder); err != nil {
		return err
	}
	return restore(from)
}

// toMid restores a backup in this process.
func (b *branch) toMid(from string) error {
	c := registry.Config{Folder: b.mid.victim.Folder, Journal: journal.Options{SegmentSize: 256 << 10}}
	_, err := backup.Restore(b.t.Context(), c, from, "")
	return err
}

// heal kills a node that gets its entries back.
func (b *branch) heal(point string, n int) error {
	if err := b.age(b.toMid); err != nil {
		return err
	}
	if err := b.mid.start(point, n); err != nil {
		return err
	}
	if err := b.mid.awaitDeath(); err != nil {
		return err
	}
	return b.mid.start("", 0)
}

// healAbove kills the one that gives them back.
func (b *branch) healAbove(point string, n int) error {
	if err := b.age(b.toMid); err != nil {
		return err
	}
	if err := b.top.arm(point, n); err != nil {
		return err
	}
	if err := b.mid.start("", 0); err != nil {
		return err
	}
	if err := b.top.awaitDeath(); err != nil {
		return err
	}
	return b.top.start("", 0)
}

// adopt kills a node that has lost its disk, but for its key, and adopts the log that its
// parent holds.
func (b *branch) adopt(point string, n int) error {
	key := filepath.Join(b.mid.victim.Folder, "node.key")
	text, err := os.ReadFile(key)
	if err != nil {
		return err
	}
	if err := b.while(func() error { return b.registerSome(5) }); err != nil {
		return err
	}
	if err := b.settle(); err != nil { // what nobody else has is gone with the disk
		return err
	}
	if err := b.mid.kill(); err != nil {
		return err
	}
	if err := errors.Join(os.RemoveAll(b.mid.victim.Folder), os.MkdirAll(b.mid.victim.Folder, 0o700), os.WriteFile(key, text, 0o600)); err != nil {
		return err
	}
	if err := b.mid.start(point, n); err != nil {
		return err
	}
	if err := b.mid.awaitDeath(); err != nil {
		return err
	}
	return b.mid.start("", 0)
}

// restore kills whoever restores a node. What is there then is no node, or one that knows
// that it lacks entries and gets them.
func (b *branch) restore(point string, n int) error {
	return b.age(func(backup string) error {
		v := b.mid.victim
		v.RestoreFrom, v.Point, v.N = backup, point, n
		if err := dies(v); err != nil {
			return err
		}
		if _, err := os.Stat(filepath.Join(v.Folder, "RESTORED")); err != nil {
			return fmt.Errorf("the folder is not marked: %w", err)
		}
		err := b.mid.start("", 0)
		if err == nil {
			return nil
		}
		if !strings.Contains(err.Error(), "not restored to the end") {
			return err
		}
		if err := os.RemoveAll(v.Folder); err != nil {
			return err
		}
		if err := b.toMid(backup); err != nil {
			return err
		}
		return b.mid.start("", 0)
	})
}

// backup kills whoever makes a backup, of a node that goes on. What is there then is no
// backup.
func (b *branch) backup(point string, n int) error {
	v := b.mid.victim
	v.BackupTo, v.Point, v.N = b.scratch(), point, n
	return b.while(func() error {
		if err := dies(v); err != nil {
			return err
		}
		if _, err := backup.ReadManifest(v.BackupTo); err == nil {
			return fmt.Errorf("half a backup passes for one")
		}
		return nil
	})
}
