package resolver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"github.com/nameplate-id/nameplate/registry/identifier"
)

const (
	// quickest is the least that any node gets to answer.
	quickest = 500 * time.Millisecond
	// Another node is asked as well when the first has taken four times as long as it
	// usually does, within these bounds.
	hedgeLeast, hedgeMost = 30 * time.Millisecond, 400 * time.Millisecond
	hedgeUnknown          = 250 * time.Millisecond
	// probeWait is how long a question waits for a node that did not answer before.
	probeWait = 100 * time.Millisecond
	// Nodes are as good as the best when they take at most twice as long and this much
	// longer.
	slack = 10 * time.Millisecond
)

var errOvertaken = fmt.Errorf("another node answered first: %w", context.Canceled)

// candidate is a peer that may be asked.
type candidate struct {
	*peer
	standing
}

// candidates returns whom to ask for a cut, best first: those that are expected to
// answer, and those that did not lately. Release them after use.
func (k *walk) candidates(c *cut, now time.Time) (live, last []candidate) {
	nodes := c.nodes
	if len(nodes) > 1 {
		// Top-level nodes share their work.
		nodes = slices.Clone(nodes)
		rand.Shuffle(len(nodes), func(i, j int) { nodes[i], nodes[j] = nodes[j], nodes[i] })
	}
	return k.candidatesAmong(c, nodes, now)
}

func (k *walk) candidatesAmong(c *cut, nodes []identifier.Node, now time.Time) (live, last []candidate) {
	probing := false
	for _, e := range endpoints(nodes, k.o.Protocols) {
		p, err := k.peers.take(e)
		if err != nil {
			continue
		}
		s := p.standing(now)
		if s.probe && !s.dead {
			s.dead = probing || !p.probed(now, k.o.Attempt)
			probing = probing || !s.dead
		}
		if s.dead || c.isLame(e, now) {
			last = append(last, candidate{p, s})
		} else {
			live = append(live, candidate{p, s})
		}
	}
	return byLatency(live), last
}

func (k *walk) release(lists ...[]candidate) {
	for _, list := range lists {
		for _, c := range list {
			k.peers.release(c.peer)
		}
	}
}

// endpoints lists how nodes can be asked: every address in its best protocol first,
// then the other protocols.
func endpoints(nodes []identifier.Node, protocols []Protocol) []Endpoint {
	nodes = nodes[:min(len(nodes), MaxNodes)]
	var first, second []Endpoint
	addresses := 0
	for i := range nodes {
		n := &nodes[i]
		for _, a := range n.Addresses {
			ip, err := netip.ParseAddr(a.IP)
			if err != nil || addresses == MaxAsked {
				continue
			}
			to := &first
			for _, p := range protocols {
				if port := portOf(&a, p); port != 0 {
					*to = append(*to, Endpoint{Node: n.Name, Key: n.Key, At: netip.AddrPortFrom(ip, port), Protocol: p})
					to = &second
				}
			}
			if to == &second {
				addresses++
			}
		}
	}
	var all []Endpoint
	for _, e := range append(first, second...) {
		if !slices.Contains(all, e) {
			all = append(all, e)
		}
	}
	return all
}

// portOf returns the port at which an address speaks a protocol; 0 for none.
func portOf(a *identifier.Address, p Protocol) uint16 {
	switch p {
	case DNS:
		return a.DNS
	case GRPC:
		return a.GRPC
	case HTTP:
		return a.HTTP
	case Handle:
		return a.Handle
	}
	return 0
}

// byLatency moves those that are much slower than the best behind the others. Who is
// not known yet counts as quick.
func byLatency(list []candidate) []candidate {
	if len(list) < 2 {
		return list
	}
	best := list[0].usual
	for _, c := range list {
		if c.usual > 0 && (best == 0 || c.usual < best) {
			best = c.usual
		}
	}
	band := func(c candidate) time.Duration {
		if c.probe {
			return time.Hour
		}
		if c.usual <= 2*best+slack {
			return 0
		}
		return c.usual
	}
	slices.SortStableFunc(list, func(a, b candidate) int { return cmp.Compare(band(a), band(b)) })
	return list
}

// hedge is how long to wait for an answer before another node is asked as well.
func (c *candidate) hedge() time.Duration {
	switch {
	case c.probe:
		return probeWait
	case c.usual == 0:
		return hedgeUnknown
	}
	return min(max(4*c.usual, hedgeLeast), hedgeMost)
}

// patience is how long a node may take to answer.
func (c *candidate) patience(most time.Duration) time.Duration {
	if c.usual == 0 {
		return most
	}
	return min(max(8*c.usual, quickest), most)
}

// flight is one question to one node.
type flight struct {
	candidate
	began time.Time
	done  bool
	a     Answer
	err   error
}

// asking is what is under way to the candidates of one cut.
type asking struct {
	*walk
	ctx     context.Context
	cut     *cut
	q       Query
	list    []candidate
	next    int
	flights []*flight
	flying  int
	landed  chan *flight
	// second is an answer from a mirror: what holds until a better one comes.
	second *Answer
}

// ask asks the candidates until one gives an answer to believe. It reports false when
// none does. An error is one that ends the walk.
func (k *walk) ask(ctx context.Context, c *cut, list []candidate, q Query) (Answer, error, bool) {
	if len(list) == 0 {
		return Answer{}, nil, false
	}
	ctx, cancel := context.WithCancelCause(ctx)
	s := &asking{walk: k, ctx: ctx, cut: c, q: q, list: list, landed: make(chan *flight, len(list))}
	defer s.giveUp()
	defer cancel(errOvertaken)
	hedge := time.NewTimer(s.launch())
	defer hedge.Stop()
	for s.flying > 0 {
		select {
		case f := <-s.landed:
			f.done = true
			s.flying--
			a, err, ok := s.judge(f)
			if ok {
				return a, err, true
			}
			hedge.Reset(s.launch())
		case <-hedge.C:
			if s.next == len(s.list) && s.onlyProbes() {
				return s.otherwise()
			}
			hedge.Reset(s.launch())
		case <-ctx.Done():
			return s.otherwise()
		}
	}
	return s.otherwise()
}

// otherwise is the answer when there is no better one.
func (s *asking) otherwise() (Answer, error, bool) {
	if s.second == nil {
		return Answer{}, nil, false
	}
	return *s.second, nil, true
}

// onlyProbes reports whether nobody is waited for but nodes that did not answer
// before.
func (s *asking) onlyProbes() bool {
	for _, f := range s.flights {
		if !f.done && !f.probe {
			return false
		}
	}
	return true
}

// launch asks the next candidate and returns how long to wait before the one after.
func (s *asking) launch() time.Duration {
	if s.next == len(s.list) || s.left == 0 || s.ctx.Err() != nil {
		return time.Hour
	}
	f := &flight{candidate: s.list[s.next], began: time.Now()}
	s.next++
	s.left--
	s.flying++
	s.flights = append(s.flights, f)
	s.stats.asked.Add(1)
	ctx := s.ctx
	if f.probe {
		// It goes on when nobody waits any more, so that the node is found to be back.
		ctx = s.base
	}
	s.peers.hold(f.peer)
	s.running.Add(1)
	go func(w *Walk, q Query, landed chan<- *flight) {
		defer w.running.Done()
		defer w.peers.release(f.peer)
		ctx, cancel := f.attend(ctx, w.o.Attempt)
		defer cancel()
		f.a, f.err = f.client.Resolve(ctx, q)
		f.note(ctx, q.Mirror)
		landed <- f
	}(s.Walk, s.q, s.landed)
	return f.hedge()
}

// busyMost is how many times as long as usual a question waits for a node that answers others.
const busyMost = 3

// attend returns the context of a question, which ends when the node has said nothing for as
// long as it is patient. One that answers other questions meanwhile is not gone but busy: to
// ask elsewhere what it is about to answer would only give everybody more to do. So it gets
// up to three times as long. Over DNS a question may also be lost, and does not wait.
func (f *flight) attend(ctx context.Context, most time.Duration) (context.Context, context.CancelFunc) {
	patience := f.patience(most)
	if f.Protocol != GRPC || f.probe {
		return context.WithTimeout(ctx, patience)
	}
	ctx, end := context.WithTimeout(ctx, busyMost*most)
	ctx, cancel := context.WithCancelCause(ctx)
	var watch *time.Timer
	set := make(chan struct{})
	watch = time.AfterFunc(patience, func() {
		<-set
		if last := f.lastHeard(); last.After(f.began) && time.Since(last) < patience {
			watch.Reset(patience - time.Since(last))
			return
		}
		cancel(context.DeadlineExceeded)
	})
	close(set)
	return ctx, func() {
		watch.Stop()
		cancel(nil)
		end()
	}
}

// note remembers how the node behaved. A mirror that cannot answer says nothing about
// its node.
func (f *flight) note(ctx context.Context, mirror bool) {
	now := time.Now()
	took := now.Sub(f.began)
	e, _ := errors.AsType[*Error](f.err)
	switch {
	case f.err == nil, e != nil && (e.Kind == Malformed || e.Kind == Unauthenticated):
		f.answered(now, took)
	case errors.Is(context.Cause(ctx), context.DeadlineExceeded) && took >= quickest/2:
		f.failed(f.began, now, true)
	case ctx.Err() != nil:
		f.overtaken(now, took)
	case mirror:
	default:
		f.failed(f.began, now, false)
	}
}

// judge decides about what a node said. It reports true when that is what the walk
// goes on with, or ends with.
func (s *asking) judge(f *flight) (Answer, error, bool) {
	took := time.Since(f.began)
	if f.err != nil {
		s.tell(f, "", took)
		s.stats.lost.Add(1)
		e, ok := errors.AsType[*Error](f.err)
		if !ok {
			e = &Error{Kind: Unavailable, Detail: "the node gave no answer", Err: f.err}
		}
		if e.Kind == Malformed || e.Kind == Unauthenticated {
			s.over = true
			return Answer{}, e, true
		}
		if s.last == nil || s.last.Kind == Unavailable {
			s.last = e
		}
		return Answer{}, nil, false
	}
	why := lame(&f.a, &s.q, s.cut.prefix)
	s.tell(f, why, took)
	switch {
	case why == "" && f.a.Origin.Mirror && !s.q.Mirror:
		if s.second == nil {
			s.second = &f.a
		}
		return Answer{}, nil, false
	case why == "":
		return f.a, nil, true
	case f.a.Outcome == Refused && !f.a.InZone && s.cut.parent == nil:
		s.outside = &f.a
	}
	if !s.q.Mirror {
		s.stats.lame.Add(1)
		s.cut.markLame(f.Endpoint, time.Now())
	}
	return Answer{}, nil, false
}

// tell traces a hop.
func (s *asking) tell(f *flight, lame string, took time.Duration) {
	if s.trace == nil {
		return
	}
	s.trace(Hop{
		Node: f.Node, At: f.At, Protocol: f.Protocol, Prefix: s.cut.prefix, Mirror: s.q.Mirror,
		Answer: f.a, Err: f.err, Lame: lame, Took: took,
	})
}

// giveUp traces what nobody waits for any more.
func (s *asking) giveUp() {
	if s.trace == nil {
		return
	}
	for _, f := range s.flights {
		if !f.done {
			s.trace(Hop{
				Node: f.Node, At: f.At, Protocol: f.Protocol, Prefix: s.cut.prefix, Mirror: s.q.Mirror,
				Err: errOvertaken, Took: time.Since(f.began),
			})
		}
	}
}
