package rpc_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nameplate-id/nameplate/registry"
	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/replica"
	"github.com/nameplate-id/nameplate/registry/rpc"
)

// The registry is what either side needs.
var (
	_ rpc.Source = (*registry.Source)(nil)
	_ rpc.Mirror = (*registry.Mirror)(nil)
)

func TestReplicate(t *testing.T) {
	bubble(t, rpc.ParentConfig{}, func(t *testing.T, u *uplink) {
		u.source.grow(0, 1000, 0)
		u.mirror().grant(identifier.Envelope{PayloadType: "first"})
		defer u.serve()()
		defer u.run(u.child)()
		synctest.Wait()
		u.expect(1000)
		if _, _, units := u.mirror().state(); units != 4 {
			t.Errorf("they came in %d messages, want 4", units)
		}
		u.source.grow(1000, 3, 0)
		u.mirror().grant(identifier.Envelope{PayloadType: "second"})
		synctest.Wait()
		u.expect(1003)
		if n := u.source.granted(); n != 2 {
			t.Errorf("%d grants were taken in, want 2", n)
		}
		all := u.parent.Status()
		if len(all) != 1 || all[0].Stored != 1003 || !all[0].Connected || all[0].Log != u.source.ID || all[0].InFlight != 0 {
			t.Errorf("got %+v", all)
		}
		time.Sleep(time.Hour) // heartbeats keep it
		u.expect(1003)
		heard, refused, _ := u.mirror().state()
		if len(heard) < 300 || heard[len(heard)-1] != 1003 || refused != nil {
			t.Errorf("heard %d times, last of %d; %v", len(heard), heard[len(heard)-1], refused)
		}
	})
}

// A parent that ends and comes back gets the rest; a child that does so sends it.
func TestReplicateOn(t *testing.T) {
	bubble(t, rpc.ParentConfig{}, func(t *testing.T, u *uplink) {
		u.source.grow(0, 10, 0)
		stop := u.run(u.child)
		time.Sleep(time.Minute)
		if s := u.child.Status(); s.Err == nil || s.Connected {
			t.Errorf("nobody is there, and the status is %+v", s)
		}
		gone := u.serve()
		time.Sleep(time.Minute)
		u.expect(10)
		gone()
		u.source.grow(10, 10, 0)
		time.Sleep(time.Minute)
		if s := u.child.Status(); s.Err == nil || s.Connected || s.Acked != 10 {
			t.Errorf("the parent went away, and the status is %+v", s)
		}
		defer u.serve()()
		time.Sleep(time.Minute)
		u.expect(20)
		stop()
		synctest.Wait()
		if all := u.parent.Status(); all[0].Connected {
			t.Error("the child went away, and the parent takes it for connected")
		}
		u.child = u.newChild(u.source)
		defer u.run(u.child)()
		u.source.grow(20, 1, 0)
		synctest.Wait()
		u.expect(21)
	})
}

// A full disk stops the stream and nothing else: no memory grows, nobody gives up, and
// it goes on by itself.
func TestFullParent(t *testing.T) {
	bubble(t, rpc.ParentConfig{Window: replica.MaxOctets}, func(t *testing.T, u *uplink) {
		free := u.mirror().fill()
		u.source.grow(0, 100, 64<<10)
		defer u.serve()()
		defer u.run(u.child)()
		time.Sleep(time.Hour)
		s := u.child.Status()
		if u.mirror().size() != 0 || s.Acked != 0 || !s.Connected || s.InFlight > replica.MaxOctets {
			t.Errorf("got %+v", s)
		}
		free()
		synctest.Wait()
		u.expect(100)
	})
}

// What waits for its sync is not acknowledged, and is within the window.
func TestSlowParent(t *testing.T) {
	bubble(t, rpc.ParentConfig{Window: replica.MaxOctets}, func(t *testing.T, u *uplink) {
		release := u.mirror().hold()
		u.source.grow(0, 100, 64<<10)
		stop := u.serve()
		defer func() { stop() }()
		defer u.run(u.child)()
		synctest.Wait()
		all := u.parent.Status()
		if len(all) != 1 || all[0].Stored != 0 || all[0].InFlight == 0 || all[0].InFlight > replica.MaxOctets || u.child.Status().Acked != 0 {
			t.Fatalf("got %+v, %+v", all, u.child.Status())
		}
		// The next stream waits for what the last one brought.
		stop()
		stop = u.serve()
		time.Sleep(10 * time.Second)
		if s := u.child.Status(); s.Connected {
			t.Errorf("welcomed before the sync: %+v", s)
		}
		release()
		time.Sleep(time.Minute)
		u.expect(100)
	})
}

// Entries that cannot be stored come again on another stream.
func TestFailingParent(t *testing.T) {
	bubble(t, rpc.ParentConfig{}, func(t *testing.T, u *uplink) {
		u.source.grow(0, 10, 0)
		u.mirror().failWith(errors.New("no"))
		defer u.serve()()
		defer u.run(u.child)()
		synctest.Wait()
		refused(t, u.child, replica.Unavailable)
		u.mirror().failWith(nil)
		time.Sleep(time.Minute)
		u.expect(10)
	})
}

func refused(t *testing.T, c *rpc.Child, want replica.Reason) {
	t.Helper()
	r, ok := errors.AsType[*replica.Refusal](c.Status().Err)
	if !ok || r.Reason != want {
		t.Errorf("got %v, want %v", c.Status().Err, want)
	}
}

func TestRefusedChild(t *testing.T) {
	bubble(t, rpc.ParentConfig{}, func(t *testing.T, u *uplink) {
		u.mirrors.refuseWith(&replica.Refusal{Reason: replica.UnknownNode, Detail: "who is this?"})
		u.source.grow(0, 10, 0)
		defer u.serve()()
		defer u.run(u.child)()
		synctest.Wait()
		refused(t, u.child, replica.UnknownNode)
		u.mirrors.refuseWith(errors.New("the disk is on fire"))
		time.Sleep(time.Minute)
		refused(t, u.child, replica.Unavailable)
		u.mirrors.refuseWith(nil)
		time.Sleep(time.Minute)
		u.expect(10)
	})
}

// A child that was restored and written to is refused, and the evidence kept.
func TestForkedChild(t *testing.T) {
	bubble(t, rpc.ParentConfig{}, func(t *testing.T, u *uplink) {
		u.source.grow(0, 10, 0)
		defer u.serve()()
		stop := u.run(u.child)
		synctest.Wait()
		u.expect(10)
		stop()
		for i, entries := range []int{5, 6} { // as many as the mirror has, then more
			u.source.Restore(5)
			u.source.grow(uint64(100*(i+1)), entries, 0)
			c := u.newChild(u.source)
			stop := u.run(c)
			synctest.Wait()
			refused(t, c, replica.Fork)
			stop()
			_, evidence, _ := u.mirror().state()
			if len(evidence) != i+1 || len(evidence[i].Held) == 0 || len(evidence[i].Signed) == 0 {
				t.Errorf("the parent keeps %+v", evidence)
			}
		}
	})
}

// A child that was restored and has written nothing gets its entries back, and goes on.
func TestHeal(t *testing.T) {
	bubble(t, rpc.ParentConfig{}, func(t *testing.T, u *uplink) {
		u.source.grow(0, 1000, 0)
		defer u.serve()()
		stop := u.run(u.child)
		synctest.Wait()
		u.expect(1000)
		stop()
		lost := u.source.Payloads()
		for _, size := range []uint64{0, 1, 255, 256, 300, 999} {
			u.source.Restore(size)
			u.child = u.newChild(u.source)
			stop := u.run(u.child)
			time.Sleep(time.Second)
			u.expect(1000)
			if d := cmp.Diff(lost, u.source.Payloads()); d != "" {
				t.Fatalf("from %d on: %s", size, d)
			}
			if why := u.source.Marked(); why != "" {
				t.Errorf("still marked: %s", why)
			}
			stop()
		}
		u.child = u.newChild(u.source)
		defer u.run(u.child)()
		u.source.grow(1000, 1, 0)
		synctest.Wait()
		u.expect(1001)
	})
}

// Of two streams of one log the newer one counts, even where the older one waits for
// the disk.
func TestReplacedStream(t *testing.T) {
	bubble(t, rpc.ParentConfig{}, func(t *testing.T, u *uplink) {
		free := u.mirror().fill()
		u.source.grow(0, 10, 0)
		defer u.serve()()
		old := u.newChild(u.source)
		stop := u.run(old)
		synctest.Wait()
		defer u.run(u.child)()
		synctest.Wait()
		refused(t, old, replica.Replaced)
		stop()
		free()
		time.Sleep(time.Minute)
		u.expect(10)
	})
}

func TestGrantThatIsNotTaken(t *testing.T) {
	bubble(t, rpc.ParentConfig{}, func(t *testing.T, u *uplink) {
		tried := 0
		u.source.accept = func(e identifier.Envelope) error {
			tried++
			if e.PayloadType == "wrong" {
				return &registry.Error{Kind: registry.Denied, Detail: "no"}
			}
			if tried < 4 {
				return &registry.Error{Kind: registry.Overloaded, Detail: "later"}
			}
			return nil
		}
		u.source.grow(0, 1, 0)
		u.mirror().grant(identifier.Envelope{PayloadType: "wrong"})
		u.mirror().grant(identifier.Envelope{PayloadType: "right"})
		defer u.serve()()
		defer u.run(u.child)()
		time.Sleep(time.Minute)
		u.source.mu.Lock()
		defer u.source.mu.Unlock()
		if tried != 4 || len(u.source.grants) != 1 || u.source.grants[0].PayloadType != "right" {
			t.Errorf("tried %d times, taken: %+v", tried, u.source.grants)
		}
	})
}

func TestDrainReplication(t *testing.T) {
	bubble(t, rpc.ParentConfig{}, func(t *testing.T, u *uplink) {
		u.source.grow(0, 10, 0)
		defer u.serve()()
		defer u.run(u.child)()
		synctest.Wait()
		u.expect(10)
		u.parent.Drain()
		u.server.GracefulStop()
		synctest.Wait()
		refused(t, u.child, replica.Drained)
	})
}
