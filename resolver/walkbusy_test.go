package resolver_test

import (
	"sync"
	"testing"
	"time"

	"github.com/nameplate-id/nameplate/resolver"
)

// A node that has more and more to do answers later and later, and is still asked: it is not
// taken for dead, and nobody else is asked in its place, as long as it answers something. One
// that says nothing any more is given up after a second, as ever.
func TestWalkWaitsForABusyNode(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w, _, maker := national()
		r := w.walk(nil)
		defer r.Close()
		q := resolver.Query{ID: product}
		found(t, r, q)
		var mu sync.Mutex
		mirrored, late := 0, time.Duration(0)
		var asking sync.WaitGroup
		const step = 20 * time.Millisecond
		for i := range 150 {
			w.mu.Lock()
			maker.delay = min(time.Duration(i)*step, 2*time.Second)
			w.mu.Unlock()
			asking.Go(func() {
				origin, took := found(t, r, q)
				mu.Lock()
				defer mu.Unlock()
				late = max(late, took)
				if origin.Mirror {
					mirrored++
				}
			})
			time.Sleep(step)
		}
		asking.Wait()
		if mirrored > 0 || late < 2*time.Second {
			t.Errorf("%d of 150 answers came from a mirror, the latest after %v; want all from the node itself, which took two seconds", mirrored, late)
		}
		// Now it says nothing, whatever it said before.
		maker.all(silent)
		w.mu.Lock()
		maker.delay = 0
		w.mu.Unlock()
		time.Sleep(time.Second)
		if origin, took := found(t, r, q); !origin.Mirror || took > 2*time.Second {
			t.Errorf("got %+v after %v from a silent node; want a mirror's answer within 2s", origin, took)
		}
	})
}
