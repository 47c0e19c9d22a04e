package node_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/nameplate-id/nameplate/registry"
	"github.com/nameplate-id/nameplate/registry/identifier"
	registryrpc "github.com/nameplate-id/nameplate/registry/rpc"
)

// Clocks that are an hour wrong, in either direction, and that jump by two hours when a
// node starts again, decide nothing but which changes have expired when they come: the
// mirrors equal the logs, nothing is marked, and everything that was acknowledged is found
// and anchored.
func TestWrongClocks(t *testing.T) {
	t.Parallel()
	const off = time.Hour
	b := newBranch(t)
	b.lasts = 3 * time.Hour
	all := []*member{b.top, b.mid, b.leaf}
	for round, wrong := range [][3]time.Duration{{off, -off, off}, {-off, off, -off}, {0, off, -off}, {0, -off, off}} {
		for i, m := range all {
			m.kill()
			m.victim.ClockOff = wrong[i]
		}
		for _, m := range all {
			if err := m.start("", 0); err != nil {
				t.Fatal(err)
			}
		}
		if err := b.while(func() error { return b.registerSome(40) }); err != nil {
			t.Fatalf("clocks %v: %v", wrong, err)
		}
		if err := b.settle(); err != nil {
			t.Fatalf("clocks %v: %v\n%s", wrong, err, b.said())
		}
		// The control: the clocks are wrong, and that is seen where it may be. What the one
		// takes, its parent mirrors, though it has expired by the parent's clock.
		for _, m := range []*member{b.mid, b.leaf} {
			err := b.halfHour(m)
			late := m.victim.ClockOff == off
			if e, ok := errors.AsType[*registry.Error](err); late != (ok && e.Kind == registry.Expired) || !late && err != nil {
				t.Errorf("clocks %v: a change that is good for half an hour at node %s: %v", wrong, m.victim.Name, err)
			}
		}
		if err := b.settle(); err != nil {
			t.Fatalf("clocks %v: %v", wrong, err)
		}
		for _, m := range []*member{b.mid, b.leaf} {
			err := awaitAll(func() error {
				s, err := m.status()
				if err != nil || s.Anchored+2 < s.Position { // rows of children follow on what is anchored
					return fmt.Errorf("node %s has %d entries, and %d are anchored: %v", m.victim.Name, s.Position, s.Anchored, err)
				}
				return nil
			})
			if err != nil {
				t.Errorf("clocks %v: %v", wrong, err)
			}
		}
		t.Logf("round %d: clocks %v, %d acknowledged", round, wrong, len(b.known))
	}
	if err := b.checkAll(b.known); err != nil {
		t.Error(err)
	}
}

// halfHour registers what expires in half an hour.
func (b *branch) halfHour(m *member) error {
	b.mu.Lock()
	b.count++
	id := identifier.ID{Prefix: m.prefix, Suffix: fmt.Sprintf("half-%d", b.count)}
	b.mu.Unlock()
	lasts := b.lasts
	b.lasts = 30 * time.Minute
	change, err := b.change(m, id)
	b.lasts = lasts
	if err != nil {
		return err
	}
	_, err = with(m, func(ctx context.Context, c *registryrpc.Client) (registry.Receipt, error) {
		return c.Register(ctx, change)
	})
	if err == nil {
		b.known = append(b.known, acknowledged{m, id})
	}
	return err
}
