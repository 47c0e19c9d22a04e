package node_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// pair is a node and its parent, with a way between them. of says what is special about
// the parent.
func pair(t *testing.T, of victim) (*branch, *strait) {
	b := &branch{t: t, dir: t.TempDir()}
	t.Cleanup(b.end)
	b.top = b.member("top", nil)
	if of.Folder != "" {
		b.top.victim.Folder = of.Folder
	}
	b.top.victim.Reserve, b.top.victim.EndsWhenFull = of.Reserve, of.EndsWhenFull
	b.top.victim.Anchor, b.top.victim.Real = filepath.Join(b.dir, "anchor"), true
	if err := b.top.start("", 0); err != nil {
		t.Fatal(err)
	}
	b.mid = b.member("mid", b.top)
	host, _, _ := strings.Cut(b.mid.victim.Listen, ":")
	way := newStrait(t, host+":0", b.top.victim.Listen)
	b.mid.victim.ParentAddress, b.mid.victim.Real = way.listener.Addr().String(), true
	if err := b.mid.start("", 0); err != nil {
		t.Fatal(err)
	}
	if err := b.grant(b.top, b.mid, "88"); err != nil {
		t.Fatal(err)
	}
	if err := b.pairWhole(); err != nil {
		t.Fatal(err)
	}
	return b, way
}

// pairWhole waits until the mirror equals the log, and checks what was acknowledged.
func (b *branch) pairWhole() error {
	if err := awaitAll(func() error { return mirrored(b.mid, b.top) }); err != nil {
		return err
	}
	return b.check(b.mid, b.known)
}

// A way that is cut in one direction only is noticed, on either side. Registration does
// not wait for it, and everything is mirrored when it is whole again.
func TestOneWay(t *testing.T) {
	t.Parallel()
	b, way := pair(t, victim{})
	for name, held := range map[string]interface{ Store(bool) }{"towards the parent": &way.up, "from the parent": &way.down} {
		held.Store(true)
		began := time.Now()
		err := b.during([]*member{b.mid, b.mid}, func() error { return b.registerSome(100) })
		if err == nil {
			err = awaitAll(func() error {
				if s, err := b.mid.status(); err != nil || s.Upstream.Connected {
					return fmt.Errorf("the node takes the way for open, %v", err)
				}
				return nil
			})
		}
		noticed := time.Since(began)
		held.Store(false)
		if err == nil {
			err = b.pairWhole()
		}
		if err != nil {
			t.Fatalf("held %s: %v\n%s", name, err, b.said())
		}
		t.Logf("held %s: noticed after %v, whole again %v later", name, noticed.Round(time.Millisecond), (time.Since(began) - noticed).Round(time.Millisecond))
	}
}

// A parent that takes a hundredth of what comes costs its child neither time nor memory.
func TestThrottledParent(t *testing.T) {
	t.Parallel()
	b, way := pair(t, victim{})
	const each = 3 * time.Second
	figures := func() (p99 time.Duration, count int, memory int) {
		b.took = nil
		if err := b.during([]*member{b.mid, b.mid}, func() error { time.Sleep(each); return nil }); err != nil {
			t.Fatal(err)
		}
		slices.Sort(b.took)
		if len(b.took) == 0 {
			t.Fatal("nothing was acknowledged")
		}
		return b.took[len(b.took)*99/100], len(b.took), b.mid.memory(t)
	}
	before := way.carried.Load()
	p99, count, memory := figures()
	full := float64(way.carried.Load()-before) / each.Seconds()
	t.Logf("parent at full speed, %.0f octets/s: %d registrations, p99 %v, child %d KiB", full, count, p99.Round(10*time.Microsecond), memory)
	way.rate.Store(max(1, int64(full/100)))
	p99, count, throttled := figures()
	s, err := b.mid.status()
	if err != nil {
		t.Fatal(err)
	}
	behind := s.Position - min(s.Position, s.Upstream.Acknowledged)
	t.Logf("parent at a hundredth: %d registrations, p99 %v, child %d KiB, %d entries behind", count, p99.Round(10*time.Microsecond), throttled, behind)
	if behind < uint64(count)/2 {
		t.Errorf("the parent is %d entries behind after %d registrations: it was not slow", behind, count)
	}
	if most := memory + 64<<10; throttled > most {
		t.Errorf("the child has %d KiB, want at most %d", throttled, most)
	}
	way.rate.Store(0)
	if err := b.pairWhole(); err != nil {
		t.Error(err)
	}
}

// memory is how many KiB of a process are in memory and no file's.
func (m *member) memory(t *testing.T) int {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", m.process.Load().command.Process.Pid))
	if err != nil {
		t.Skipf("what a process has in memory is not told here: %v", err)
	}
	_, rest, _ := strings.Cut(string(text), "RssAnon:")
	var kib int
	if _, err := fmt.Sscan(rest, &kib); err != nil {
		t.Fatal(err)
	}
	return kib
}
