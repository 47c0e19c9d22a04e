package rpc

import (
	"context"
	"fmt"
	"time"

	"github.com/nameplate-id/nameplate/proto"
	"github.com/nameplate-id/nameplate/registry"
)

// How long a caller may have a node wait for a level.
const (
	defaultWait = 30 * time.Second
	maxWait     = 5 * time.Minute
)

// waitFor returns the level that is to be waited for, and until when.
func waitFor(level proto.Level, ms uint32) (registry.Level, time.Duration) {
	wait := time.Duration(ms) * time.Millisecond
	if wait == 0 {
		wait = defaultWait
	}
	return levelFromProto(level), min(wait, maxWait)
}

// await waits until what a receipt is for has reached a level, and notes the one that it
// has then. It is no error when that is less.
func (s *Server) await(ctx context.Context, r *registry.Receipt, level registry.Level, wait time.Duration) {
	if r.Level >= level {
		return
	}
	// A caller that goes away soon is to be told before.
	if deadline, ok := ctx.Deadline(); ok {
		wait = min(wait, time.Until(deadline)-answerTime)
	}
	ctx, cancel := context.WithTimeout(ctx, max(0, wait))
	defer cancel()
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		select {
		case <-s.draining:
			cancel()
		case <-stop:
		}
	}()
	r.Level = s.registry.Await(ctx, r.Position, level)
}

// answerTime is what is left of a caller's deadline for the answer.
const answerTime = 200 * time.Millisecond

// Await waits until an entry has reached a level.
func (s *Server) Await(ctx context.Context, m *proto.AwaitRequest) (*proto.AwaitResponse, error) {
	log, err := proto.LogFromProto(m.GetLog())
	if err != nil {
		return nil, toStatus(malformed(err))
	}
	status, err := s.registry.Status(ctx)
	if err != nil {
		return nil, toStatus(err)
	}
	if status.Log != log || m.GetPosition() >= status.Position {
		return nil, toStatus(&registry.Error{Kind: registry.Malformed,
			Detail: fmt.Sprintf("there is no entry %d of log %s here: this node has %d entries of log %s", m.GetPosition(), log, status.Position, status.Log)})
	}
	r := registry.Receipt{Log: log, Position: m.GetPosition(), Level: registry.Local}
	level, wait := waitFor(m.GetLevel(), m.GetWaitMs())
	s.await(ctx, &r, level, wait)
	answer := &proto.AwaitResponse{Level: levelToProto(r.Level)}
	if r.Level < level {
		answer.Reason = s.whyNot(r.Level)
	}
	return answer, nil
}

// whyNot says why an entry gets no further than a level at the moment.
func (s *Server) whyNot(have registry.Level) string {
	var up *Upstream
	if s.options.Upstream != nil {
		up = s.options.Upstream()
	}
	switch {
	case up == nil && s.options.Alone != "":
		return s.options.Alone
	case up == nil:
		return "too few of the other top-level nodes have it yet: 'nameplate status' tells how far each is"
	case !up.Connected && up.Reason != "":
		return fmt.Sprintf("the parent at %s is away: %s", up.Address, up.Reason)
	case !up.Connected:
		return fmt.Sprintf("the parent at %s is away", up.Address)
	case have == registry.Local:
		return fmt.Sprintf("the parent at %s has not cosigned it yet: 'nameplate status' there tells how far it is itself", up.Address)
	}
	return fmt.Sprintf("the parent at %s has cosigned it, and a top-level node has not yet", up.Address)
}

// Await waits, at the node, until what a receipt is for has reached a level, for so long
// at the most (0 for 30 seconds, 5 minutes at the most), and returns the one that it has
// then. Where that is less, reason says why, in a line for people.
func (c *Client) Await(ctx context.Context, r registry.Receipt, level registry.Level, wait time.Duration) (have registry.Level, reason string, err error) {
	if r.Level >= level {
		return r.Level, "", nil
	}
	m, err := c.service.Await(ctx, &proto.AwaitRequest{
		Log: proto.LogToProto(r.Log), Position: r.Position, Level: levelToProto(level), WaitMs: milliseconds(wait),
	})
	if err != nil {
		e, _ := fromStatus(ctx, err)
		return r.Level, "", e
	}
	return levelFromProto(m.GetLevel()), m.GetReason(), nil
}

func milliseconds(d time.Duration) uint32 { return uint32(max(0, min(d, maxWait).Milliseconds())) }
