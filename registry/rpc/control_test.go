package rpc_test

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"

	"github.com/nameplate-id/nameplate/registry/replica"
	"github.com/nameplate-id/nameplate/registry/replica/replicatest"
	"github.com/nameplate-id/nameplate/registry/rpc"
)

// said is what was logged.
type said struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *said) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(b)
}

// count returns how many lines of a level have a text.
func (s *said) count(level, text string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for line := range strings.Lines(s.text.String()) {
		if strings.Contains(line, "level="+level) && strings.Contains(line, text) {
			n++
		}
	}
	return n
}

// heard lets the child of an uplink log to where a test reads it.
func heard(u *uplink) *said {
	s := &said{}
	c, err := rpc.NewChild(rpc.ChildConfig{
		Source: u.source, Signer: u.source.Key, Verify: replicatest.VerifyCheckpoint, Address: "passthrough:///parent",
		Parent: replicatest.NodeKey(200).Public(), Dial: []grpc.DialOption{u.dialOption()}, Secure: true,
		Log: slog.New(slog.NewTextHandler(s, nil)),
	})
	if err != nil {
		u.t.Fatal(err)
	}
	u.child = c
	return s
}

// A parent whose disk is low asks its child to wait: it says why, logs it once however
// long it lasts, and goes on at once when there is room.
func TestPause(t *testing.T) {
	bubble(t, rpc.ParentConfig{}, func(t *testing.T, u *uplink) {
		log := heard(u)
		u.source.grow(0, 10, 0)
		defer u.serve()()
		defer u.run(u.child)()
		synctest.Wait()
		u.expect(10)
		u.mirror().pause("the disk is low")
		synctest.Wait()
		u.source.grow(10, 1000, 0)
		time.Sleep(time.Hour)
		if s := u.child.Status(); !s.Connected || s.Paused != "the disk is low" || s.Acked != 10 || u.mirror().size() != 10 {
			t.Errorf("while it is to wait: %+v, the mirror has %d", s, u.mirror().size())
		}
		if n := log.count("INFO", "takes in no more"); n != 1 {
			t.Errorf("it was logged %d times, want once", n)
		}
		u.mirror().pause("")
		synctest.Wait()
		u.expect(1010)
		if s := u.child.Status(); s.Paused != "" {
			t.Errorf("it still waits: %s", s.Paused)
		}
		if n := log.count("INFO", "takes in entries again"); n != 1 {
			t.Errorf("that it goes on was logged %d times, want once", n)
		}
	})
}

// A log that is set aside by what another one has shown is taken in no more, also on the
// stream that is open.
func TestSetAsideEndsTheStream(t *testing.T) {
	bubble(t, rpc.ParentConfig{}, func(t *testing.T, u *uplink) {
		u.source.grow(0, 10, 0)
		defer u.serve()()
		defer u.run(u.child)()
		synctest.Wait()
		u.expect(10)
		u.mirror().setAside(&replica.Refusal{Reason: replica.Fork, Detail: "somebody has shown another history"})
		time.Sleep(time.Minute)
		u.source.grow(10, 10, 0)
		time.Sleep(time.Minute)
		s := u.child.Status()
		if s.Connected || s.Refusal == nil || s.Refusal.Reason != replica.Fork || u.mirror().size() != 10 {
			t.Errorf("after two minutes: %+v, the mirror has %d", s, u.mirror().size())
		}
	})
}

// A parent that is being stopped asks its children to leave: all that was sent is
// acknowledged, no stream breaks, and they come back.
func TestDrain(t *testing.T) {
	bubble(t, rpc.ParentConfig{}, func(t *testing.T, u *uplink) {
		log := heard(u)
		release := u.mirror().hold()
		u.source.grow(0, 10, 0)
		stop := u.serve()
		defer u.run(u.child)()
		synctest.Wait()
		u.parent.Drain()
		synctest.Wait()
		u.source.grow(10, 10, 0)
		time.Sleep(500 * time.Millisecond)
		if s := u.child.Status(); !s.Connected {
			t.Errorf("it left before its entries were acknowledged: %+v", s)
		}
		release()
		synctest.Wait()
		s := u.child.Status()
		r, ok := errors.AsType[*replica.Refusal](s.Err)
		if !ok || r.Reason != replica.Drained || s.Connected || s.Acked != 10 {
			t.Errorf("it has not left in order: %+v, %v", s, s.Err)
		}
		if n := log.count("WARN", ""); n != 0 {
			t.Errorf("there are %d warnings", n)
		}
		if n := log.count("INFO", "is being stopped"); n != 1 {
			t.Errorf("it was logged %d times, want once", n)
		}
		stop()
		u.parent = rpc.NewParent(rpc.ParentConfig{
			Mirrors: u.mirrors, Signer: replicatest.NodeKey(200), Log: replicatest.LogID(200), Verify: replicatest.VerifyCheckpoint, MayConnect: anybody,
		})
		defer u.serve()()
		time.Sleep(3 * time.Second)
		u.expect(20)
	})
}

// A child that does not leave is sent away, so that the parent can stop.
func TestDrainWithoutAnswer(t *testing.T) {
	bubble(t, rpc.ParentConfig{}, func(t *testing.T, u *uplink) {
		release := u.mirror().hold() // nothing is ever acknowledged
		u.source.grow(0, 10, 0)
		defer u.serve()()
		defer u.run(u.child)()
		synctest.Wait()
		u.parent.Drain()
		time.Sleep(2 * time.Second)
		if s := u.child.Status(); s.Connected {
			t.Errorf("it is still there: %+v", s)
		}
		refused(t, u.child, replica.Unavailable)
		release()
	})
}
