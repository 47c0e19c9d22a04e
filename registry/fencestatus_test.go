package registry_test

import (
	"testing"
	"time"

	"github.com/nameplate-id/nameplate/registry"
)

// Operators see a fence from when it is logged until the child shows in its own log what it
// is judged by: also after a start, and when the entry that shows it stands at the very
// position of the fence.
func TestFenceStatus(t *testing.T) {
	t.Parallel()
	for _, unsent := range []int{0, 2} {
		f := newFamily(t)
		f.hurry(1)
		before := f.delegation
		f.put(f.holder, before, "88.118/before")
		f.send()
		next := newKey(t)
		var err error
		if f.delegation, err = f.parent.changeKeys(before, keyset(2, 1, next), f.parent.root); err != nil {
			t.Fatal(err)
		}
		f.deaf()
		fences := func(when string, want int) registry.FenceStatus {
			t.Helper()
			all := f.parent.Mirrors()[0].Fences
			if len(all) != want {
				t.Fatalf("%s: fences %+v, want %d", when, all, want)
			}
			if want == 0 {
				return registry.FenceStatus{}
			}
			return all[0]
		}
		fences("the child has its time", 0)
		for i := range unsent {
			f.put(f.holder, before, serial(i))
		}
		size := f.child.status().Position
		f.hello()
		check := func(when string) {
			t.Helper()
			x := fences(when, 1)
			if x.Size != size || x.Prefix != "88.118" || x.Epoch != 1 || x.Keyset != 2 || x.Revoked || x.Position == 0 || time.Since(x.Since) > time.Hour || time.Since(x.Since) < -time.Minute {
				t.Errorf("%s: %+v, want one from entry %d on", when, x, size)
			}
		}
		check("ahead of the mirror")
		f.parent.restart()
		check("after a start")
		f.hello()
		if unsent > 0 {
			f.put(f.holder, before, "88.118/late")
			f.send()
			check("when the mirror is past it")
			f.parent.restart()
			check("and after a start")
			f.hello()
		}
		f.takeGrants()
		f.put(next, f.delegation, "88.118/new")
		f.send()
		fences("the child shows the keyset", 0)
		f.parent.restart()
		fences("after a start, when the child has shown it", 0)
	}
}
