package handle

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/resolver"
)

// WalkOptions of a walk through a Handle tree. Roots are needed.
type WalkOptions struct {
	// Roots are the sites at the top, as a [Bootstrap] has them.
	Roots []*Site
	// Transports are those to ask over, in this order; UDP, TCP, HTTP and HTTPS when empty.
	Transports []Transport
	// Timeout is how long a whole walk may take; 10 s when zero.
	Timeout time.Duration
}

// Limits of one walk: what others can make it do.
const (
	MaxWalkReferrals = 16 // from site to site, for one handle
	MaxWalkQuestions = 50 // messages to servers, in all
	maxWalkPrefixes  = 4096
	maxWalkDead      = 1024
	// walkDead is how long a server that did not answer is asked last.
	walkDead = 4 * time.Second
	// walkKept is the longest that the sites of a prefix are kept.
	walkKept = time.Hour
	// walkStream is how long an answer over TCP or HTTP is waited for.
	walkStream = 1500 * time.Millisecond
)

// Walk resolves in a tree of Handle servers as stock clients do, whoever runs them: it
// asks the root for 0.NA/P, who answers for the prefix P, and then there for the handle.
// It is a Resolver.
//
// At 0.NA/P it reads HS_SITE and HS_SITE.6, and HS_SERV, a handle that has the sites of a
// service; in a referral for a prefix (303) HS_SITE.PREFIX and HS_SERV.PREFIX, in one for
// a handle (302) HS_SITE and HS_SERV, or the handle that it names. The part of the handle
// that a site hashes decides which of its servers is asked. Primary sites are asked first
// when the question is authoritative. Each server is asked over UDP, then over TCP, then
// over HTTP and HTTPS, where the server proves the key of its site, and when nobody answers over UDP twice more; one that did not answer is asked
// last for a few seconds. Who says that it is not responsible, is busy, or fails, is
// passed over. When that leads nowhere, and the sites were known from before, the root is
// asked anew, and authoritatively.
//
// A server that calls the site information out of date (300) is asked for it. What it
// says is believed when it names the address that was asked.
//
// A server whose site information has a key is asked for certified answers, and only one
// that is signed with that key is believed: so trust reaches from the keys in the
// bootstrap file to those that lie below. Where there is no key, nothing is proved.
//
// It believes an answer to its own request, about the handle that it asked for, and
// nothing else in it: neither values of other handles nor sites of other prefixes.
// The handle of a service is looked up from the root, whoever named it. To loopback it
// follows only when a site of the root is there, and never to no host or many.
//
// It may be called concurrently. Nothing needs to be closed.
type Walk struct {
	o      WalkOptions
	inside bool // a root is on loopback

	mu     sync.Mutex
	roots  []*Site
	known  map[identifier.Prefix]located
	silent map[netip.AddrPort]time.Time // until when
}

// located is who answers for a prefix.
type located struct {
	sites []*Site
	until time.Time
}

// NewWalk returns a walk. It asks nobody yet.
func NewWalk(o WalkOptions) (*Walk, error) {
	if len(o.Roots) == 0 {
		return nil, errors.New("a walk needs a site at the top to begin at: give a bootstrap file that has one")
	}
	if len(o.Transports) == 0 {
		o.Transports = []Transport{UDP, TCP, HTTP, HTTPS}
	}
	o.Timeout = or(o.Timeout, 10*time.Second)
	w := &Walk{o: o, roots: o.Roots[:min(len(o.Roots), MaxSites)], known: map[identifier.Prefix]located{}, silent: map[netip.AddrPort]time.Time{}}
	for _, s := range w.roots {
		for i := range s.Servers {
			w.inside = w.inside || s.Servers[i].IP().IsLoopback()
		}
	}
	return w, nil
}

// Flush forgets who answers for the prefixes at and below one, and returns how many.
func (w *Walk) Flush(p identifier.Prefix) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for at := range w.known {
		if p.Covers(at) {
			delete(w.known, at)
			n++
		}
	}
	return n
}

// Resolve implements [resolver.Resolver]. A handle tells nothing about what is below a
// prefix: one that is absent counts as having something there.
func (w *Walk) Resolve(ctx context.Context, q resolver.Query) (resolver.Answer, error) {
	id, err := identifier.New(q.ID.Prefix, q.ID.Suffix)
	switch {
	case err != nil:
		return resolver.Answer{}, &resolver.Error{Kind: resolver.Malformed, Detail: err.Error()}
	case q.SuffixHash != nil:
		return resolver.Answer{}, &resolver.Error{Kind: resolver.Unavailable, Detail: "Handle servers are asked for whole identifiers: ask over gRPC, HTTP or Handle"}
	}
	ctx, cancel := context.WithTimeout(ctx, w.o.Timeout)
	defer cancel()
	t := &tour{Walk: w, q: q, left: MaxWalkQuestions}
	t.q.Recursive, t.q.Mirror = false, false
	m, err := t.resolve(ctx, id)
	if err == nil && m.Code == NotResponsible {
		err = fmt.Errorf("those that are named for %s say that they are not responsible", id.Prefix)
	}
	var a resolver.Answer
	if err == nil {
		a, err = readResponse(m, &q)
	}
	if err != nil {
		if e, ok := errors.AsType[*resolver.Error](err); ok {
			return resolver.Answer{}, e
		}
		return resolver.Answer{}, &resolver.Error{Kind: resolver.Unavailable, Err: err, Detail: fmt.Sprintf("no Handle server can be had that answers for %s: ask again later", id)}
	}
	if !a.Apex.Covers(id.Prefix) {
		a.Apex = id.Prefix
	}
	a.InZone, a.Delegation = true, nil
	a.Below = a.Outcome == resolver.Absent && id.IsPrefix()
	return a, nil
}

// tour is one question on its way.
type tour struct {
	*Walk
	q    resolver.Query
	left int // questions that may still be asked
	// looking are the handles, in capitals, whose sites and services are being looked up:
	// one that is named again is in a circle.
	looking []string
}

var (
	errTooMany   = fmt.Errorf("the way has more than %d questions or %d referrals", MaxWalkQuestions, MaxWalkReferrals)
	errNowhere   = errors.New("a referral leads to no server that may be asked")
	errNoService = errors.New("the prefix has no site and no service that can be had")
	errSilent    = errors.New("no server answered")
)

// resolve returns the answer to the question itself.
func (t *tour) resolve(ctx context.Context, id identifier.ID) (*Message, error) {
	if id.IsPrefix() {
		return t.follow(ctx, t.top(), t.question(id, t.q.Authoritative))
	}
	for _, fresh := range []bool{false, true} {
		sites, known, absent, err := t.locate(ctx, id.Prefix, fresh, 0)
		if err != nil || absent != nil {
			return absent, err
		}
		m, err := t.follow(ctx, sites, t.question(id, t.q.Authoritative || fresh))
		if (err == nil && m.Code != NotResponsible) || !known || ctx.Err() != nil {
			return m, err
		}
		t.forget(id.Prefix)
	}
	return nil, errSilent
}

// question is the request for what is asked for. It lets our own servers say all.
func (t *tour) question(id identifier.ID, authoritative bool) *asked {
	q := t.q
	q.ID, q.Authoritative = id, authoritative
	m := newRequest(&q)
	return &asked{handle: writeHandle(id), request: m}
}

// lookup is a request for values of some types.
func lookup(handle string, authoritative bool, types ...string) *asked {
	m := newRequest(&resolver.Query{Authoritative: authoritative})
	m.Flags &^= FlagAnswer
	m.Body = Resolution{Handle: handle, Types: types}.Append(nil)
	return &asked{handle: handle, request: m}
}

func (t *tour) top() []*Site {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.roots
}

func (t *tour) forget(p identifier.Prefix) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.known, p)
}

// locate returns the sites of a prefix, and whether they were known from before. Where
// there is no such prefix it returns the answer that says so.
func (t *tour) locate(ctx context.Context, p identifier.Prefix, fresh bool, depth int) (sites []*Site, known bool, absent *Message, err error) {
	if !fresh {
		t.mu.Lock()
		at, ok := t.known[p]
		t.mu.Unlock()
		if ok && time.Now().Before(at.until) {
			return at.sites, true, nil, nil
		}
	}
	handle := prefixHandles + strings.ToUpper(p.String())
	defer t.look(handle)()
	var m *Message
	for _, authoritative := range []bool{fresh, true} {
		m, err = t.follow(ctx, t.top(), lookup(handle, authoritative, typeSite, typeSite6, typeService, "HS_NAMESPACE"))
		if err != nil {
			return nil, false, nil, err
		}
		if m.Code != Success {
			if authoritative {
				break
			}
			continue
		}
		var kept time.Duration
		sites, kept, err = t.sitesOf(ctx, m, false, depth)
		if err == nil && len(sites) > 0 {
			t.learn(p, sites, kept)
			return sites, false, nil, nil
		}
	}
	switch {
	case m.Code == Success || m.Code == ValuesNotFound:
		return nil, false, nil, errors.Join(errNoService, err)
	case m.Code == NotFound:
		return nil, false, m, nil
	}
	return nil, false, nil, told(m.Code, "the root, asked for "+handle)
}

func (t *tour) learn(p identifier.Prefix, sites []*Site, kept time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for other := range t.known {
		if len(t.known) < maxWalkPrefixes {
			break
		}
		delete(t.known, other)
	}
	t.known[p] = located{sites, time.Now().Add(min(kept, walkKept))}
}

// follow asks sites, and those that they refer to, until one gives another answer.
func (t *tour) follow(ctx context.Context, sites []*Site, q *asked) (*Message, error) {
	for range MaxWalkReferrals {
		m, err := t.ask(ctx, sites, q)
		if err != nil || m.Code != ServiceReferral && m.Code != PrefixReferral {
			return m, err
		}
		if sites, err = t.referred(ctx, m, q); err != nil {
			return nil, err
		}
	}
	return nil, errTooMany
}

// referred returns the sites that a referral leads to.
func (t *tour) referred(ctx context.Context, m *Message, q *asked) ([]*Site, error) {
	isPrefix := len(q.handle) > len(prefixHandles) && strings.EqualFold(q.handle[:len(prefixHandles)], prefixHandles)
	if m.Code == PrefixReferral && !isPrefix {
		return nil, errNowhere
	}
	_, body, err := m.ParseBody()
	if err != nil {
		return nil, err
	}
	var sites []*Site
	if b, ok := body.(Refer); ok && b.Handle != "" {
		sites, err = t.service(ctx, b.Handle, 1)
	} else {
		sites, _, err = t.sitesOf(ctx, m, m.Code == PrefixReferral, 0)
	}
	if err == nil && len(sites) == 0 {
		err = errNowhere
	}
	return sites, err
}

// sitesOf returns the sites that values tell, those of services included, and for how
// long they may be kept.
func (t *tour) sitesOf(ctx context.Context, m *Message, prefix bool, depth int) ([]*Site, time.Duration, error) {
	_, body, err := m.ParseBody()
	if err != nil {
		return nil, 0, err
	}
	var values []identifier.Value
	switch b := body.(type) {
	case Values:
		values = b.Values
	case Refer:
		values = b.Values
	}
	site, site6, service := typeSite, typeSite6, typeService
	if prefix {
		site, site6, service = typePrefixSite, typePrefixSite, typeService+".PREFIX"
	}
	var sites []*Site
	kept := walkKept
	now := time.Now()
	for i := range values {
		v := &values[i]
		switch {
		case len(sites) == MaxSites:
		case v.Type == site || v.Type == site6:
			if s, broken := ParseSite(v.Data); broken == nil {
				sites = append(sites, s)
				kept = min(kept, v.TTL.Left(now))
			}
		case v.Type == service:
			var more []*Site
			more, err = t.service(ctx, string(v.Data), depth+1)
			sites = append(sites, more[:min(len(more), MaxSites-len(sites))]...)
			kept = min(kept, v.TTL.Left(now))
		}
	}
	if len(sites) > 0 {
		err = nil
	}
	return sites, kept, err
}

// look notes that the sites of a handle are being looked up, until what it returns is
// called.
func (t *tour) look(handle string) func() {
	t.looking = append(t.looking, strings.ToUpper(handle))
	return func() { t.looking = t.looking[:len(t.looking)-1] }
}

// service returns the sites of a service handle, looked up from the root; none of one
// that is being looked up already, such as a prefix that is its own service.
func (t *tour) service(ctx context.Context, handle string, depth int) ([]*Site, error) {
	if depth > maxServiceDepth {
		return nil, errTooMany
	}
	if strings.EqualFold(handle, RootHandle) {
		return t.top(), nil
	}
	if slices.Contains(t.looking, strings.ToUpper(handle)) {
		return nil, errNoService
	}
	defer t.look(handle)()
	id, err := readHandle(handle)
	if err != nil {
		return nil, err
	}
	sites := t.top()
	if !id.IsPrefix() {
		var absent *Message
		if sites, _, absent, err = t.locate(ctx, id.Prefix, false, depth); err != nil || absent != nil {
			return nil, errors.Join(errNoService, err)
		}
	}
	m, err := t.follow(ctx, sites, lookup(writeHandle(id), false, typeSite, typeSite6, typeService))
	if err != nil || m.Code != Success {
		return nil, errors.Join(errNoService, err)
	}
	sites, _, err = t.sitesOf(ctx, m, false, depth)
	return sites, err
}
