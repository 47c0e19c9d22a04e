package node_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/nameplate-id/nameplate/registry"
	"github.com/nameplate-id/nameplate/registry/identifier"
	registryrpc "github.com/nameplate-id/nameplate/registry/rpc"
)

var cuts = flag.Int("cuts", 3, "how often TestPowerCut cuts the power")

// A node keeps its folder on a file system that is cut off under it, again and again,
// without its journal and what waits to be written. Everything that was acknowledged is
// there when it starts again.
func TestPowerCut(t *testing.T) {
	v := newVolume(t)
	b, m := v.node(t)
	for cut := range *cuts {
		if err := v.registerAndCut(b, m); err != nil {
			t.Fatalf("cut %d: %v\n%s", cut+1, err, b.said())
		}
		if err := v.restart(m); err != nil {
			t.Fatalf("cut %d: %v", cut+1, err)
		}
		fresh := b.known[b.seen:]
		b.seen = len(b.known)
		if err := b.check(m, fresh); err != nil {
			t.Fatalf("cut %d: %v", cut+1, err)
		}
	}
	if err := b.check(m, b.known); err != nil {
		t.Error(err)
	}
	t.Logf("%d cuts, %d registrations acknowledged, none lost", *cuts, len(b.known))
	if len(b.known) < *cuts {
		t.Error("hardly anything was ever acknowledged")
	}
}

// TestPowerCutNotices shows that it would notice a node that does not sync.
func TestPowerCutNotices(t *testing.T) {
	v := newVolume(t)
	b, m := v.node(t)
	if err := m.kill(); err != nil {
		t.Fatal(err)
	}
	m.victim.IgnoreSync = true
	if err := m.start("", 0); err != nil {
		t.Fatal(err)
	}
	if err := v.registerAndCut(b, m); err != nil {
		t.Fatal(err)
	}
	err := v.restart(m)
	if err == nil {
		err = b.check(m, b.known)
	}
	if err == nil {
		t.Fatalf("%d registrations were acknowledged and not synced, and nobody noticed", len(b.known))
	}
	t.Logf("of %d registrations, noticed: %v", len(b.known), err)
}

// volume is an ext4 file system in a file.
type volume struct{ image, at string }

func newVolume(t *testing.T) *volume {
	dir := t.TempDir()
	v := &volume{filepath.Join(dir, "image"), filepath.Join(dir, "volume")}
	err := os.Mkdir(v.at, 0o700)
	if err == nil {
		err = os.WriteFile(v.image, nil, 0o600)
	}
	if err == nil {
		err = os.Truncate(v.image, 256<<20)
	}
	if err != nil {
		t.Fatal(err)
	}
	if said, err := exec.Command("mkfs.ext4", "-q", "-F", v.image).CombinedOutput(); err != nil {
		t.Skipf("there is no mkfs.ext4 here: %v %s", err, said)
	}
	if err := v.mount(); err != nil {
		t.Skipf("no loop device with ext4 is allowed here: %v", err)
	}
	t.Cleanup(func() {
		if err := v.unmount(); err != nil {
			t.Error(err)
		}
	})
	return v
}

func (v *volume) mount() error {
	if said, err := exec.Command("mount", "-o", "loop", v.image, v.at).CombinedOutput(); err != nil {
		return fmt.Errorf("mount: %w: %s", err, said)
	}
	return nil
}

func (v *volume) unmount() error {
	if said, err := exec.Command("umount", v.at).CombinedOutput(); err != nil {
		return fmt.Errorf("umount: %w: %s", err, said)
	}
	return nil
}

// cut ends the file system as it is: from now on nothing is written to it, not even the
// journal that it holds in memory.
func (v *volume) cut() error {
	const (
		shutdown   = 0x8004587d // EXT4_IOC_SHUTDOWN
		noLogFlush = 2          // EXT4_GOING_FLAGS_NOLOGFLUSH
	)
	f, err := os.Open(v.at)
	if err != nil {
		return err
	}
	defer f.Close()
	flags := uint32(noLogFlush)
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, f.Fd(), shutdown, uintptr(unsafe.Pointer(&flags))); errno != 0 {
		return fmt.Errorf("shut the file system down: %w", errno)
	}
	return nil
}

// node begins a node on the volume that holds prefix 88.
func (v *volume) node(t *testing.T) (*branch, *member) {
	b := &branch{t: t, dir: v.at}
	m := b.member("node", nil)
	m.victim.Real = true
	b.mid = m
	t.Cleanup(b.end)
	if err := m.start("", 0); err != nil {
		t.Fatal(err)
	}
	m.prefix = "88"
	payload, err := identifier.AppendDelegation(nil, &identifier.Delegation{
		Prefix: m.prefix, Epoch: 1, Keyset: identifier.Keyset{Version: 1, Threshold: 1, Keys: []identifier.PublicKey{m.key.Public()}},
	})
	if err != nil {
		t.Fatal(err)
	}
	e := identifier.Sign(identifier.DelegationType, payload, m.key)
	if _, err := with(m, func(ctx context.Context, c *registryrpc.Client) (registry.Receipt, error) { return c.Delegate(ctx, e) }); err != nil {
		t.Fatal(err)
	}
	return b, m
}

// registerAndCut cuts the power while others register.
func (v *volume) registerAndCut(b *branch, m *member) error {
	return b.during([]*member{m, m, m, m}, func() error {
		if err := b.registerSome(5); err != nil {
			return err
		}
		time.Sleep(time.Duration(rand.IntN(200)) * time.Millisecond)
		// It stops first: with the power goes the processor too, while the system call that
		// shuts the file system down leaves it time to acknowledge a sync that was cut short.
		return errors.Join(m.stop(), v.cut(), m.kill())
	})
}

// stop holds all threads of the process: those in a system call stay in it.
func (m *member) stop() error {
	pid := m.process.Load().command.Process.Pid
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		return err
	}
	return awaitAll(func() error {
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
		if err != nil || len(threads) == 0 {
			return fmt.Errorf("process %d has no threads: %w", pid, err)
		}
		for _, name := range threads {
			stat, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			if _, state, _ := strings.Cut(string(stat), ") "); state[0] != 'T' && state[0] != 'D' {
				return fmt.Errorf("a thread is in state %c", state[0])
			}
		}
		return nil
	})
}

// restart starts the node on what is left.
func (v *volume) restart(m *member) error {
	if err := errors.Join(v.unmount(), v.mount()); err != nil {
		return err
	}
	return m.start("", 0)
}
