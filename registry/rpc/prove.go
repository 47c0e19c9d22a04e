package rpc

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/nameplate-id/nameplate/proto"
	"github.com/nameplate-id/nameplate/registry"
	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/receipt"
)

// Prove makes the receipt for the newest version of an identifier.
func (s *Server) Prove(ctx context.Context, m *proto.ProveRequest) (*proto.ProveResponse, error) {
	id, err := proto.IDFromProto(m.GetIdentifier())
	if err == nil && id == (identifier.ID{}) {
		err = fmt.Errorf("it is empty")
	}
	if err != nil {
		return nil, toStatus(&registry.Error{Kind: registry.Malformed, Detail: "the identifier cannot be read", Err: err})
	}
	if err := s.mayProve(ctx, id); err != nil {
		return nil, toStatus(err)
	}
	level, wait := waitFor(m.GetLevel(), m.GetWaitMs())
	if m.GetLevel() == proto.Level_LEVEL_UNSPECIFIED {
		level = 0
	}
	if deadline, ok := ctx.Deadline(); ok {
		wait = min(wait, time.Until(deadline)-answerTime)
	}
	ctx, cancel := context.WithTimeout(ctx, max(0, wait))
	defer cancel()
	r, level, err := s.registry.Prove(ctx, id, level)
	if err != nil {
		return nil, toStatus(err)
	}
	b, err := receipt.Append(nil, r)
	if err != nil {
		return nil, toStatus(err)
	}
	return &proto.ProveResponse{Receipt: b, Level: levelToProto(level)}, nil
}

// mayProve returns an error unless the caller may see everything there is about an
// identifier.
func (s *Server) mayProve(ctx context.Context, id identifier.ID) error {
	if key, proved := proto.PeerKey(ctx); proved {
		if d := s.registry.Holder(id.Prefix); d != nil && slices.Contains(d.Keyset.Keys, key) {
			return nil
		}
	}
	return s.options.MayWatch(ctx)
}

// Prove returns the receipt for the newest version of an identifier, secured to a level, and
// that; none asks for the one that it has reached. The node waits for that so long at the most (0 for 30 seconds, 5 minutes at the most). What
// the receipt proves is for [receipt.Receipt.Verify] to say.
func (c *Client) Prove(ctx context.Context, id identifier.ID, level registry.Level, wait time.Duration) (*receipt.Receipt, registry.Level, error) {
	m, err := c.service.Prove(ctx, &proto.ProveRequest{Identifier: id.String(), Level: levelToProto(level), WaitMs: milliseconds(wait)})
	if err != nil {
		e, _ := fromStatus(ctx, err)
		return nil, 0, e
	}
	r, err := receipt.Parse(m.GetReceipt())
	if err != nil {
		return nil, 0, &registry.Error{Kind: registry.Unavailable, Detail: "the receipt that the node sent cannot be read", Err: err}
	}
	return r, levelFromProto(m.GetLevel()), nil
}
