package resolver

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nameplate-id/nameplate/registry/identifier"
)

// WalkOptions of a walk. Roots and Dial are needed.
type WalkOptions struct {
	// Roots are the top-level nodes; at most [MaxNodes] are used.
	Roots []identifier.Node
	// Dial returns a Resolver that asks one endpoint. It does not wait. An error says
	// that the endpoint must not or cannot be asked: the walk passes it over. Where the
	// Resolver is an io.Closer it is closed when it was not used for long.
	Dial func(Endpoint) (Resolver, error)
	// Protocols are those to ask over, best first; gRPC, then DNS when empty.
	Protocols []Protocol
	// Timeout is how long a whole walk may take, 5 s when zero; Attempt how long one
	// question may, 1 s when zero. Where a node is known to be quick it gets less, but
	// half a second; over gRPC, where it answers others meanwhile, three times as much.
	Timeout, Attempt time.Duration
	// ReferralBytes is how much memory the known referrals may take, in octets; 16 MiB
	// when zero.
	ReferralBytes int64
	// Endpoints is how many endpoints are remembered, with a client each; 1,024 when
	// zero.
	Endpoints int
}

// Limits of one walk: what a referral can make it do.
const (
	MaxReferrals = 16 // from a top-level node down
	MaxNodes     = 13 // of one prefix
	MaxAsked     = 10 // addresses asked for one prefix
	MaxQuestions = 50 // in all
)

// Walk resolves by asking node after node, from the top-level nodes down.
//
// It follows a referral only to a prefix that covers the one asked for and is
// strictly longer than that of the node which refers, so no walk turns in a circle.
// Of a node it believes only an answer to the question, from a zone that covers it;
// what is anything else is lame: the next address is asked. No answer says anything
// about another identifier, and nothing of it is kept but the referral, below the
// prefix of the node that gave it.
//
// The addresses of a prefix are asked in the order in which their nodes list them;
// those much slower than the best come later, those that did not answer lately last.
// Another is asked when one fails, or takes longer than usual: the first good answer
// counts. One that does not answer is asked again after a second, then after two, and
// from then on every four, by one question at a time that waits for it only shortly.
//
// When no node of a prefix answers, the node that referred to it is asked again: first
// whether the delegation is still the same (at most every five seconds), then for
// its mirror, unless the query is authoritative. As soon as the child answers again,
// it is preferred. A mirror is never believed that something is absent: it cannot know
// ([UnheldError]). Then the child is asked, dead or not, and if it does not answer
// there is no answer. When all of that fails and the walk began at a referral that was
// known before, it is made once more from the top.
//
// A referral that cannot be followed, because no address of it can be asked, is the
// answer. Where every top-level node says that the identifier is outside of its zone,
// so does the walk. Nodes are asked without Query.Recursive.
//
// It may be called concurrently. Close it after use.
type Walk struct {
	o     WalkOptions
	cuts  *cuts
	peers *peers
	stats walkCounts
	now   func() time.Time // by which referrals age; a test may hold it

	base    context.Context
	end     context.CancelFunc
	running sync.WaitGroup
}

// WalkStats are counts since the start. They only grow.
type WalkStats struct {
	Walks, Failed  uint64 // questions, and those that got no answer
	Asked, Lost    uint64 // questions to nodes, and those that no answer came to
	Lame           uint64 // answers that were not believed
	Mirrored       uint64 // walks answered from a mirror
	FromReferral   uint64 // walks that began at a referral that was known
	ReferralsKnown uint64 // how many are known now: this one goes up and down
}

type walkCounts struct {
	walks, failed, asked, lost, lame, mirrored, fromReferral atomic.Uint64
}

// NewWalk returns a walk. It asks nobody yet.
func NewWalk(o WalkOptions) (*Walk, error) {
	if len(o.Roots) == 0 {
		return nil, errors.New("a walk needs a top-level node to begin at: name one")
	}
	if len(o.Protocols) == 0 {
		o.Protocols = []Protocol{GRPC, DNS}
	}
	o.Timeout, o.Attempt = either(o.Timeout, 5*time.Second), either(o.Attempt, time.Second)
	o.ReferralBytes, o.Endpoints = either(o.ReferralBytes, 16<<20), either(o.Endpoints, 1024)
	known, err := newCuts(&cut{nodes: o.Roots}, o.ReferralBytes)
	if err != nil {
		return nil, fmt.Errorf("referrals cannot be kept: %w", err)
	}
	w := &Walk{o: o, cuts: known, now: time.Now, peers: &peers{dial: o.Dial, most: o.Endpoints, known: make(map[Endpoint]*peer)}}
	w.base, w.end = context.WithCancel(context.Background())
	return w, nil
}

// either returns a value, or another where it is zero.
func either[T int | int64 | time.Duration](v, otherwise T) T {
	if v > 0 {
		return v
	}
	return otherwise
}

// Close gives up what is under way and closes all clients. The walk must not be
// asked any more.
func (w *Walk) Close() error {
	w.end()
	w.running.Wait()
	w.peers.close()
	return nil
}

// Stats returns the counts.
func (w *Walk) Stats() WalkStats {
	return WalkStats{
		Walks: w.stats.walks.Load(), Failed: w.stats.failed.Load(),
		Asked: w.stats.asked.Load(), Lost: w.stats.lost.Load(), Lame: w.stats.lame.Load(),
		Mirrored: w.stats.mirrored.Load(), FromReferral: w.stats.fromReferral.Load(),
		ReferralsKnown: uint64(w.cuts.byName.EstimatedSize()),
	}
}

// Flush forgets the referrals at and below a prefix and those on the way there, and
// returns how many.
func (w *Walk) Flush(p identifier.Prefix) int { return w.cuts.flush(p) }

// Referral returns the delegation by which a walk last came to who answers for a prefix;
// nil for a top-level node, and when that is not known any more.
func (w *Walk) Referral(p identifier.Prefix) *identifier.Delegation {
	if c := w.cuts.longest(p, w.now()); c.parent != nil {
		return c.referral.Delegation
	}
	return nil
}

// Resolve implements [Resolver].
func (w *Walk) Resolve(ctx context.Context, q Query) (Answer, error) {
	w.stats.walks.Add(1)
	ctx, cancel := context.WithTimeout(ctx, w.o.Timeout)
	defer cancel()
	began := w.now()
	k := &walk{Walk: w, q: q, began: began, left: MaxQuestions, trace: traceOf(ctx)}
	k.q.Recursive, k.q.Mirror = false, false
	start := w.cuts.longest(q.ID.Prefix, began)
	if start.parent != nil {
		w.stats.fromReferral.Add(1)
	}
	a, err := k.from(ctx, start)
	if err != nil && !k.over && start.parent != nil && ctx.Err() == nil && k.left > 0 {
		// What was known leads nowhere any more.
		w.cuts.forget(start)
		k.began = w.now()
		a, err = k.from(ctx, w.cuts.top)
	}
	switch {
	case err != nil:
		w.stats.failed.Add(1)
		return Answer{}, err
	case a.Origin.Mirror:
		w.stats.mirrored.Add(1)
	}
	return a, nil
}

// walk is one question on its way.
type walk struct {
	*Walk
	q     Query
	began time.Time
	left  int // questions that may still be asked
	trace func(Hop)
	// last is why the last node that was asked gave no answer.
	last *Error
	// over says that asking others would not mend the error.
	over bool
	// outside is what a node said that has no authority over the identifier.
	outside *Answer
}

// from walks down from a cut.
func (k *walk) from(ctx context.Context, c *cut) (Answer, error) {
	for {
		a, next, err := k.at(ctx, c)
		if err != nil || next == nil {
			return a, err
		}
		c = next
	}
}

// at asks the nodes of a cut, and those that may answer in their place. It returns
// an answer or where to go on.
func (k *walk) at(ctx context.Context, c *cut) (Answer, *cut, error) {
	now := time.Now()
	live, last := k.candidates(c, now)
	defer k.release(live, last)
	nobody := len(live)+len(last) == 0
	if a, err, ok := k.ask(ctx, c, live, k.q); ok {
		return k.follow(c, a, err)
	}
	if c.parent != nil {
		if a, err, ok := k.above(ctx, c); ok {
			return k.follow(c.parent, a, err)
		}
		if a, err, ok := k.copies(ctx, c); ok {
			return k.follow(c, a, err)
		}
		if nobody {
			return c.answer(&k.q, k.now()), nil, nil
		}
	}
	if a, err, ok := k.ask(ctx, c, last, k.q); ok {
		return k.follow(c, a, err)
	}
	if c.parent == nil && k.outside != nil && k.last == nil {
		return *k.outside, nil, nil
	}
	return Answer{}, nil, k.none(ctx, c)
}

// above asks the parent of a cut whose nodes do not answer whether it still
// delegates to them; it reports true when it does not.
func (k *walk) above(ctx context.Context, c *cut) (Answer, error, bool) {
	now := time.Now()
	if !c.learned.Before(k.began) || !c.mayRecheck(now) {
		return Answer{}, nil, false
	}
	live, last := k.candidates(c.parent, now)
	defer k.release(live, last)
	a, err, ok := k.ask(ctx, c.parent, live, k.q)
	if ok && err == nil && a.Outcome == Referral && a.Delegation.Prefix == c.prefix && c.names(a.Delegation) {
		return a, nil, false
	}
	if ok && err == nil {
		k.cuts.forget(c)
	}
	return a, err, ok
}

// copies asks those that may hold a mirror of the cut's log.
func (k *walk) copies(ctx context.Context, c *cut) (Answer, error, bool) {
	if k.q.Authoritative {
		return Answer{}, nil, false
	}
	now := time.Now()
	live, last := k.candidatesAmong(c, c.mirrors, now)
	defer k.release(live, last)
	parents, more := k.candidates(c.parent, now)
	defer k.release(parents, more)
	q := k.q
	q.Mirror = true
	return k.ask(ctx, c, append(live, parents...), q)
}

// follow makes of an answer what comes next: the answer itself, or the cut that a
// referral names.
func (k *walk) follow(from *cut, a Answer, err error) (Answer, *cut, error) {
	if err != nil || a.Outcome != Referral {
		return a, nil, err
	}
	c := newCut(from, &a, k.now())
	if c.depth > MaxReferrals {
		k.over = true
		return Answer{}, nil, &Error{Kind: Unavailable, Detail: fmt.Sprintf(
			"the way to %s has more than %d referrals: ask who holds %s to delegate it nearer to the top", k.q.ID, MaxReferrals, c.prefix)}
	}
	k.cuts.learn(c)
	return a, c, nil
}

// none says why there is no answer.
func (k *walk) none(ctx context.Context, c *cut) error {
	if cause := context.Cause(ctx); cause != nil {
		return &Error{Kind: Unavailable, Detail: fmt.Sprintf("%s was not answered in time: ask again", k.q.ID), Err: cause}
	}
	of := "no top-level node"
	if c.parent != nil {
		of = "no node of " + c.prefix.String()
	}
	e := &Error{Kind: Unavailable, Detail: fmt.Sprintf("%s can be had that answers for %s: ask again later", of, k.q.ID)}
	if k.last != nil {
		e.Kind, e.Err = k.last.Kind, k.last
	}
	return e
}
