package node_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nameplate-id/nameplate/registry"
	"github.com/nameplate-id/nameplate/registry/identifier"
	registryrpc "github.com/nameplate-id/nameplate/registry/rpc"
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

// takeRoom takes all room that is left, but for so many octets.
func takeRoom(t *testing.T, name string, leave int) {
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	taken := int64(0)
	for size := 64 << 10; size >= 1; {
		n, err := f.Write(make([]byte, size))
		taken += int64(n)
		if err != nil {
			size /= 2
		}
	}
	if err := f.Truncate(max(0, taken-int64(leave))); err != nil {
		t.Fatal(err)
	}
}

// fullPair is a pair whose parent is on a small disk, of which all but so many octets
// are taken once both know something, and then lets its child register.
func fullPair(t *testing.T, of victim, leave int) (b *branch, filler string, there int) {
	small := smallDisk(t, 32)
	of.Folder = filepath.Join(small, "top")
	b, _ = pair(t, of)
	if err := b.during([]*member{b.mid, b.mid}, func() error { return b.registerSome(50) }); err != nil {
		t.Fatal(err)
	}
	if err := b.pairWhole(); err != nil {
		t.Fatal(err)
	}
	there = len(b.known)
	b.large = 20_000
	filler = filepath.Join(small, "filler")
	takeRoom(t, filler, leave)
	if err := b.during([]*member{b.mid, b.mid}, func() error { return b.registerSome(500) }); err != nil {
		t.Fatal(err)
	}
	return b, filler, there
}

// A parent whose disk is full stores no more, answers from what it has, and goes on by
// itself when there is room. Its child does not wait, and no entry is marked.
func TestParentDiskFull(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		reserve int64
		leave   int
	}{
		"low, with the default reserve":     {0, 1 << 20},
		"full to the brim":                  {-1, 0},
		"full to the brim, but for a block": {-1, 4 << 10},
	} {
		t.Run(name, func(t *testing.T) {
			b, filler, there := fullPair(t, victim{Reserve: c.reserve}, c.leave)
			time.Sleep(3 * time.Second)
			s, err := b.mid.status()
			if err != nil {
				t.Fatal(err)
			}
			if behind := int(s.Position) - int(s.Upstream.Acknowledged); behind < 100 {
				t.Fatalf("the parent is %d entries behind: its disk is not full", behind)
			}
			if !b.top.alive() {
				t.Fatalf("the parent has ended: %s", b.said())
			}
			up, err := b.top.status()
			if err != nil {
				t.Fatal(err)
			}
			if low := c.reserve == 0; low != strings.Contains(s.Upstream.Paused, "the disk is low") || low != (up.DiskLow != "") {
				t.Errorf("the child waits because %q; the parent says %q", s.Upstream.Paused, up.DiskLow)
			}
			if err := b.check(b.mid, b.known[:there]); err != nil {
				t.Errorf("while the disk is full: %v", err)
			}
			began := time.Now()
			if err := os.Truncate(filler, 0); err != nil {
				t.Fatal(err)
			}
			if err := b.pairWhole(); err != nil {
				t.Fatalf("%v\n%s", err, b.said())
			}
			t.Logf("the parent had %d entries of %d; whole again %v after there was room", s.Upstream.Acknowledged, s.Position, time.Since(began).Round(time.Millisecond))
			if up, err = b.top.status(); err != nil || up.DiskLow != "" || up.Mirrors[0].Bad != 0 {
				t.Errorf("the parent says %+v, %v", up, err)
			}
			b.top.kill() // what it holds now, it holds after a start
			if err := errors.Join(b.top.start("", 0), b.pairWhole()); err != nil {
				t.Errorf("after a start: %v", err)
			}
		})
	}
}

// The control: a parent whose state does not wait for room ends.
func TestParentDiskFullNotices(t *testing.T) {
	t.Parallel()
	b, _, _ := fullPair(t, victim{Reserve: -1, EndsWhenFull: true}, 0)
	select {
	case <-b.top.process.Load().done:
		if said := b.top.process.Load().said.String(); !strings.Contains(said, "no space left on device") {
			t.Errorf("it has ended, and says %s", said)
		}
	case <-time.After(patience):
		t.Error("the parent goes on, and its state could not")
	}
}

// A node whose own disk is full says so to who registers, and loses nothing that it has
// acknowledged, though it is killed.
func TestOwnDiskFull(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		reserve int64
		leave   int
	}{"low": {0, 1 << 20}, "full": {-1, 0}} {
		t.Run(name, func(t *testing.T) {
			small := smallDisk(t, 32)
			b := &branch{t: t, dir: t.TempDir()}
			t.Cleanup(b.end)
			b.top = b.member("top", nil)
			b.top.victim.Anchor, b.top.victim.Real = filepath.Join(b.dir, "anchor"), true
			b.top.victim.Folder, b.top.victim.Reserve = filepath.Join(small, "top"), c.reserve
			if err := errors.Join(b.top.start("", 0), b.grant(b.top, b.top, "88")); err != nil {
				t.Fatal(err)
			}
			b.large = 20_000
			if err := b.during([]*member{b.top}, func() error { return b.registerSome(20) }); err != nil {
				t.Fatal(err)
			}
			filler := filepath.Join(small, "filler")
			takeRoom(t, filler, c.leave)
			ctx, stop := context.WithTimeout(t.Context(), 15*time.Second)
			defer stop()
			refused := b.registerUntilRefused(ctx, b.top)
			e, ok := errors.AsType[*registry.Error](refused)
			if !ok || e.Kind != registry.Overloaded || !strings.Contains(e.Error(), "free some space") {
				t.Fatalf("a full disk is told as %v", refused)
			}
			if err := b.check(b.top, b.known); err != nil {
				t.Errorf("while the disk is full: %v", err)
			}
			b.top.kill()
			if err := os.Truncate(filler, 0); err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(b.top.start("", 0), b.check(b.top, b.known)); err != nil {
				t.Errorf("after a kill: %v", err)
			}
			if err := b.during([]*member{b.top}, func() error { return b.registerSome(20) }); err != nil {
				t.Errorf("when there is room: %v", err)
			}
		})
	}
}

// registerUntilRefused registers until the node will not, and returns what it says.
func (b *branch) registerUntilRefused(ctx context.Context, m *member) error {
	c, err := registryrpc.NewClient(m.victim.Listen, registryrpc.ClientOptions{})
	if err != nil {
		return err
	}
	defer c.Close()
	for {
		b.count++
		id := identifier.ID{Prefix: m.prefix, Suffix: fmt.Sprintf("sn-%d", b.count)}
		change, err := b.change(m, id)
		if err != nil {
			return err
		}
		if _, err := c.Register(ctx, change); err != nil {
			return err
		}
		b.known = append(b.known, acknowledged{m, id})
	}
}
