package rpc

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/nameplate-id/nameplate/proto"
	"github.com/nameplate-id/nameplate/registry"
	"github.com/nameplate-id/nameplate/registry/replica"
)

// childStream is one stream to the parent. Three goroutines have it: one sends what
// the machine has to say, one hands it what comes, one keeps its time. None waits for
// another while it holds the lock.
type childStream struct {
	*Child
	stream   proto.Replication_ReplicateClient
	cancel   func()
	wake     chan struct{} // the machine was told something
	received chan error    // why nothing comes any more
	busy     atomic.Bool   // what came is being dealt with
	welcomed atomic.Bool
	paused   string // what the operator was told; of the goroutine that receives
}

// send sends whatever the machine has to say, until the stream ends. It returns why
// it did.
func (s *childStream) send(ctx context.Context) error {
	var rest <-chan time.Time // while the parent is a witness and has just been sent a checkpoint
	for {
		size, grew := s.config.Source.Growth()
		s.mu.Lock()
		if rest == nil {
			s.machine.Grow(size)
		} else {
			grew = nil
		}
		m := s.machine.Next()
		refusal := s.machine.Refusal()
		s.mu.Unlock()
		if m != nil {
			if _, ok := m.(*replica.Advance); ok {
				rest = time.After(advanceEvery)
			}
			// A failed Send says no more than that; what was received says why.
			if s.stream.Send(requestToProto(m)) == nil {
				continue
			}
		} else if refusal == nil {
			select {
			case <-s.wake:
				continue
			case <-grew:
				continue
			case <-rest:
				rest = nil
				continue
			case <-ctx.Done():
			case err := <-s.received:
				return s.why(err)
			}
		} else if refusal.Reason != replica.Silent && !refusal.Remote { // with Drained too: the parent waits for it
			// The parent is to read the reason before the connection ends.
			s.stream.CloseSend()
		} else {
			s.cancel()
		}
		return s.why(<-s.received)
	}
}

// advanceEvery is how often a witness is led on at the most: it logs and cosigns what it has
// once a second, and more would cost it room for ever.
const advanceEvery = 500 * time.Millisecond

// why returns the machine's reason for the end of the stream, where it has one.
func (s *childStream) why(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.machine.Refusal(); r != nil {
		return r
	}
	return err
}

// receive hands what comes to the machine, until nothing does.
func (s *childStream) receive(ctx context.Context) error {
	for {
		received, err := s.stream.Recv()
		if err != nil {
			return err
		}
		m, err := responseFromProto(received)
		if err != nil {
			s.cancel()
			return fmt.Errorf("the parent's message breaks the contract: %w", err)
		}
		s.mu.Lock()
		s.machine.Receive(m)
		grant, returned, receipt := s.machine.Grant(), s.machine.Returned(), s.machine.Receipt()
		s.mu.Unlock()
		s.follow()
		if returned != nil {
			s.takeBack(ctx, returned)
		}
		if grant != nil {
			s.take(ctx, grant)
		}
		if receipt != nil {
			s.keep(ctx, receipt)
		}
		signal(s.wake)
	}
}

// follow tells operator and registry of how the machine stands with the parent.
func (s *childStream) follow() {
	s.mu.Lock()
	status, healed := s.machine.Status(), s.machine.Healed()
	s.mu.Unlock()
	if !status.Connected {
		return
	}
	if !s.welcomed.Swap(true) {
		s.config.Log.Info("connected to the parent", "parent", s.config.Address)
		if status.Lost > 0 {
			s.config.Log.Warn("the parent has fewer entries than it acknowledged: it was restored, and gets the rest again",
				"parent", s.config.Address, "acknowledged", status.Lost, "stored", status.Acked)
		}
	}
	s.tellPause(status.Paused)
	if healed {
		s.busy.Store(true)
		healed, err := s.config.Source.Heal()
		s.busy.Store(false)
		if err != nil {
			s.config.Log.Error("the log is whole again, and the node still takes no changes", "error", err)
		}
		if err != nil || !healed {
			return
		}
		s.mu.Lock()
		s.machine.Unmark()
		s.mu.Unlock()
		s.config.Log.Info("the log has everything that the parent holds: changes are taken again", "parent", s.config.Address, "entries", status.Synced)
	}
	if status.Acked >= status.Synced {
		s.mu.Lock()
		s.whole = time.Now()
		s.mu.Unlock()
	}
	if !status.Marked && status.Acked <= status.Synced {
		s.config.Source.Acknowledged(status.Parent, status.Acked)
		s.config.Source.Anchored(status.Anchored)
	}
}

// tellPause tells the operator, once, that the parent takes in no more, and once that it
// does again.
func (s *childStream) tellPause(why string) {
	if why == s.paused {
		return
	}
	if why != "" {
		s.config.Log.Info("the parent takes in no more for now", "parent", s.config.Address, "why", why)
	} else {
		s.config.Log.Info("the parent takes in entries again", "parent", s.config.Address)
	}
	s.paused = why
}

// takeBack appends what the parent gave back.
func (s *childStream) takeBack(ctx context.Context, u *replica.Unit) {
	s.busy.Store(true)
	err := s.config.Source.TakeBack(ctx, u)
	s.busy.Store(false)
	if err != nil && ctx.Err() == nil {
		s.config.Log.Warn("entries that the parent gave back were not taken in", "parent", s.config.Address, "from", u.Start, "error", err)
	}
	if err != nil {
		s.cancel() // a part of it may be there: the next stream sees how much
		return
	}
	s.mu.Lock()
	s.machine.Restored(true)
	s.mu.Unlock()
	s.follow()
}

// take lets the registry deal with a grant.
func (s *childStream) take(ctx context.Context, g *replica.Grant) {
	s.busy.Store(true)
	err := s.config.Source.AcceptGrant(ctx, g.Envelope)
	s.busy.Store(false)
	taken := true
	if err != nil {
		var e *registry.Error
		again := ctx.Err() != nil || errors.As(err, &e) && (e.Kind == registry.Overloaded || e.Kind == registry.ReadOnly || e.Kind == registry.Unavailable)
		s.config.Log.Warn("a delegation from the parent was not taken in", "parent", s.config.Address, "again", again, "error", err)
		taken = !again
	}
	s.mu.Lock()
	s.machine.Granted(taken)
	s.mu.Unlock()
}

// keep lets the registry store a receipt.
func (s *childStream) keep(ctx context.Context, r *replica.Receipt) {
	s.busy.Store(true)
	defer s.busy.Store(false)
	if err := s.config.Source.AcceptReceipt(ctx, r); err != nil {
		if ctx.Err() == nil {
			s.config.Log.Warn("a receipt from the parent was not stored", "parent", s.config.Address, "error", err)
		}
		return
	}
	s.mu.Lock()
	s.machine.Keep(s.config.Source.Receipts())
	s.mu.Unlock()
}

// tick keeps the machine's time.
func (s *childStream) tick(ctx context.Context) {
	ticker := time.NewTicker(s.config.Heartbeat)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		s.mu.Lock()
		late := s.machine.Refusal() != nil // a heartbeat's time was enough to say why
		if s.busy.Load() {
			s.machine.Busy()
		}
		s.machine.Tick()
		refusal := s.machine.Refusal()
		s.mu.Unlock()
		if late || refusal != nil && refusal.Reason == replica.Silent {
			s.cancel()
		}
		signal(s.wake)
	}
}

// signal wakes the goroutine that reads c; c holds one signal.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
