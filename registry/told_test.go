package registry_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/nameplate-id/nameplate/registry"
)

// newTold is a family whose child was told just now that its key is taken away, has an hour to
// log that, and does not; and by how much the parent's clock is late.
func newTold(t *testing.T, left registry.Rule) (*family, *atomic.Int64) {
	t.Helper()
	f, late := newFamily(t), new(atomic.Int64)
	f.parent.config.Clock = func() time.Time { return time.Now().Add(time.Duration(late.Load())) }
	registry.LeaveOut(&f.parent.config, left)
	f.hurry(time.Hour)
	if _, err := f.parent.changeKeys(f.delegation, keyset(2, 1, newKey(t)), f.parent.root); err != nil {
		t.Fatal(err)
	}
	f.deaf()
	f.put(f.holder, f.delegation, serial(0))
	f.send() // and the notice is synced
	return f, late
}

// The time that a child has for a grant does not begin anew when its parent starts again, but
// some of it is left; and it counts by time that has passed, whatever the clock says then.
// Where the rule is left out it begins anew with each start.
func TestFenceAfterAStart(t *testing.T) {
	t.Parallel()
	for _, left := range []registry.Rule{0, registry.RuleTold} {
		f, late := newTold(t, left)
		overdue := func(want bool) {
			t.Helper()
			f.deaf() // its stream tells it once more
			if got := f.mirror.Overdue() != ""; got != want && left == 0 {
				t.Errorf("the child has to say Hello again: %v, want %v", got, want)
			}
		}
		late.Add(int64(30 * time.Minute))
		overdue(false)
		f.parent.restart()
		f.hello()
		late.Add(int64(25 * time.Minute))
		overdue(false)
		late.Add(int64(6 * time.Minute))
		overdue(true)
		if got := f.mirror.Overdue() != ""; got != (left == 0) {
			t.Errorf("a rule is left out, %v, and the child has to say Hello again: %v", left != 0, got)
		}

		// Clocks may be set while the node does not run: a third is left.
		late.Add(int64(30 * time.Minute))
		f.parent.restart()
		f.hello()
		overdue(false)
		late.Add(int64(-12 * time.Hour))
		f.parent.restart()
		f.hello()
		overdue(false)
		late.Add(int64(61 * time.Minute))
		overdue(true)
		f.parent.check()
	}
}

// Nor has it its time once more when its parent goes on with another log.
func TestFenceInTheNextLog(t *testing.T) {
	t.Parallel()
	f, late := newTold(t, 0)
	late.Add(int64(30 * time.Minute))
	f.parent.mustStop()
	if _, err := f.parent.config.Resolve(t.Context(), nil, "", func(*registry.Handed) error { return nil }); err != nil {
		t.Fatal(err)
	}
	f.parent.start()
	f.hello()
	for _, want := range []bool{false, true} {
		late.Add(int64(16 * time.Minute))
		f.deaf()
		if got := f.mirror.Overdue() != ""; got != want {
			t.Errorf("the child has to say Hello again: %v, want %v", got, want)
		}
	}
	f.parent.check()
}
