package resolver

import (
	"context"
	"net/netip"
	"time"

	"github.com/nameplate-id/nameplate/registry/identifier"
)

// Hop is one question that a walk put to one node, and what came of it.
type Hop struct {
	// Node is the name of the node, At where it was asked, Protocol how.
	Node     string
	At       netip.AddrPort
	Protocol Protocol
	// Prefix is what the node was asked as an authority for: the prefix of the
	// referral that named it, "" for a top-level node.
	Prefix identifier.Prefix
	// Mirror says that it was asked for its copy of another node's log.
	Mirror bool
	// Answer is what it said; the zero Answer when Err says why there is none.
	Answer Answer
	Err    error
	// Lame says why the answer was not believed; "" when it was.
	Lame string
	// Took is the time until the answer or the failure. A question that was given up,
	// because another node answered first, ends with context.Canceled.
	Took time.Duration
}

// traceKey is the key of a trace in a context.
type traceKey struct{}

// WithTrace returns a context whose questions tell every hop that a [Walk] makes
// for them. The function is not called concurrently for one question, and not after
// the question is answered. A question that is answered by a cache, or waits for the
// answer to another asker's, makes no hop.
func WithTrace(ctx context.Context, hop func(Hop)) context.Context {
	return context.WithValue(ctx, traceKey{}, hop)
}

// traceOf returns the function given to [WithTrace], nil without one.
func traceOf(ctx context.Context) func(Hop) {
	hop, _ := ctx.Value(traceKey{}).(func(Hop))
	return hop
}
