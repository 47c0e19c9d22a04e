package registry_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nameplate-id/nameplate/registry"
)

// disk is the room on a disk, as a test says that it is.
type disk struct{ free atomic.Uint64 }

func (d *disk) volume(string) (free, size uint64, known bool) { return d.free.Load(), 1000 << 20, true }

// until calls until it holds.
func until(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not in time: %s", what)
		}
	}
}

// With less than the reserve free no changes are taken, and children are asked to wait.
// Delegations are taken, everything is read, and it ends by itself.
func TestDiskLow(t *testing.T) {
	t.Parallel()
	room := &disk{}
	room.free.Store(500 << 20)
	n := openNode(t, registry.Config{Folder: t.TempDir(), Volume: room.volume})
	holder, d := maker(t, n)
	fill(t, n, holder, d, 0, 3)
	low := func() bool { return n.DiskLow() != "" }

	room.free.Store(50 << 20) // a twentieth is enough
	time.Sleep(1500 * time.Millisecond)
	if low() {
		t.Fatalf("the disk is low with a twentieth free: %s", n.DiskLow())
	}
	room.free.Store(50<<20 - 1)
	until(t, "the disk is low", low)
	_, err := n.Register(t.Context(), signed(t, holder, d, put(mustID(t, serial(3)), nil, link("https://x.example/"))))
	wantKind(t, err, registry.Overloaded)
	if e, _ := errors.AsType[*registry.Error](err); !strings.Contains(e.Detail, "49 MiB of 1000 MiB are free") || !strings.Contains(e.Detail, "free some space") {
		t.Errorf("the error does not say what to do: %v", err)
	}
	for i := range 3 {
		n.record(serial(i))
	}
	if s, err := n.Status(context.Background()); err != nil || s.DiskLow == "" || s.ReadOnly != "" {
		t.Errorf("status %+v, %v", s, err)
	}
	if err := n.Healthy(t.Context()); err != nil {
		t.Error(err)
	}
	n.mustDelegate(grant("88.119", holder), n.root)

	room.free.Store(60 << 20) // not enough yet: it would be low again at once
	time.Sleep(1500 * time.Millisecond)
	if !low() {
		t.Error("it goes on with hardly any room")
	}
	room.free.Store(63 << 20)
	until(t, "there is room again", func() bool { return !low() })
	fill(t, n, holder, d, 3, 6)
	n.check()
}

// The control: without a reserve changes are taken until there is no room at all.
func TestDiskLowNotices(t *testing.T) {
	t.Parallel()
	room := &disk{}
	n := openNode(t, registry.Config{Folder: t.TempDir(), Volume: room.volume, Reserve: -1})
	holder, d := maker(t, n)
	time.Sleep(1500 * time.Millisecond)
	fill(t, n, holder, d, 0, 3)
	if why := n.DiskLow(); why != "" {
		t.Errorf("it is low without a reserve: %s", why)
	}
}
