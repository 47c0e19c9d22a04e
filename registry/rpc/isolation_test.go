package rpc_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nameplate-id/nameplate/registry/replica"
	"github.com/nameplate-id/nameplate/registry/replica/replicatest"
	"github.com/nameplate-id/nameplate/registry/rpc"
)

// A child that is in trouble, or makes some, costs its siblings nothing: all they send is
// stored and acknowledged before any time has passed.
func TestIsolation(t *testing.T) {
	for name, trouble := range map[string]func(*uplink) (ended func() bool){
		"nothing, for comparison": func(*uplink) func() bool { return nil },
		"its mirror has no room": func(u *uplink) func() bool {
			u.mirror().fill()
			return func() bool { return u.child.Status().Acked == 0 }
		},
		"its entries are never synced": func(u *uplink) func() bool {
			u.mirror().hold()
			return func() bool { return u.child.Status().Acked == 0 }
		},
		"its entries cannot be stored": func(u *uplink) func() bool {
			u.mirror().failWith(errors.New("no"))
			return func() bool { return u.child.Status().Acked == 0 }
		},
		"it is asked to wait": func(u *uplink) func() bool {
			u.mirror().pause("this one alone")
			return func() bool { return u.child.Status().Paused != "" }
		},
		"it is in quarantine": func(u *uplink) func() bool {
			u.mirrors.quarantine(u.source.ID)
			return func() bool {
				r, ok := errors.AsType[*replica.Refusal](u.child.Status().Err)
				return ok && r.Reason == replica.Fork
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, rpc.ParentConfig{Window: replica.MaxOctets}, func(t *testing.T, u *uplink) {
				in := trouble(u)
				u.source.grow(0, 200, 64<<10)
				defer u.serve()()
				defer u.run(u.child)()
				synctest.Wait()
				began := time.Now()
				for i := range byte(3) {
					s := &memorySource{Log: replicatest.NewLog(10 + i)}
					s.grow(uint64(1000*(int(i)+1)), 1000, 0)
					c := u.newChild(s)
					defer u.run(c)()
					synctest.Wait()
					if m := u.mirrors.mirror(s.ID); m.size() != 1000 || c.Status().Acked != 1000 {
						t.Errorf("sibling %d: the mirror has %d entries of 1000, and %d are acknowledged", i, m.size(), c.Status().Acked)
					}
				}
				if took := time.Since(began); took != 0 {
					t.Errorf("the siblings waited %v", took)
				}
				if in != nil && !in() {
					t.Errorf("the child is in no trouble: %+v", u.child.Status())
				}
			})
		})
	}
}

// The control: a parent with one place for a stream makes the siblings wait.
func TestIsolationNotices(t *testing.T) {
	bubble(t, rpc.ParentConfig{Streams: 1}, func(t *testing.T, u *uplink) {
		u.source.grow(0, 10, 0)
		defer u.serve()()
		defer u.run(u.child)()
		synctest.Wait()
		s := &memorySource{Log: replicatest.NewLog(10)}
		s.grow(1000, 10, 0)
		c := u.newChild(s)
		defer u.run(c)()
		synctest.Wait()
		if c.Status().Acked != 0 {
			t.Error("the sibling does not wait")
		}
	})
}
