package resolver

import (
	"context"
	"fmt"
	"time"

	"github.com/nameplate-id/nameplate/registry/identifier"
)

// MirrorNegativeTTL is the longest lifetime of refused answers from a mirror, and of
// what it says of names in DNS that have no records: the node whose log it is may know
// better by then.
const MirrorNegativeTTL = 5 * time.Second

// Mirrors gives an authority the copies of other nodes' logs that its node holds.
type Mirrors interface {
	// Mirror returns what the copy of the log of the node that a delegation names adds
	// up to, and how long ago the copy was known to be whole. It returns nil when
	// there is no copy to answer from.
	Mirror(d *identifier.Delegation) (Store, time.Duration)
}

// mirrored makes of a referral what the node says that holds a copy: the answer from
// there when the query wants it, and otherwise where it can be had. A copy may refer
// further, to a node of whose log there is a copy as well. What a copy has no record of
// it cannot answer: see [UnheldError].
func (a *Authority) mirrored(ctx context.Context, q Query, referral Answer) (Answer, error) {
	for range MaxReferrals {
		store, age := a.o.Mirrors.Mirror(referral.Delegation)
		if store == nil {
			return referral, nil
		}
		if !q.Mirror || q.Authoritative {
			return referral, nil
		}
		child := Authority{store: store, o: Options{Node: referral.Delegation.Node.Key}, namespaces: a.namespaces}
		answer, err := child.own(ctx, q)
		if err != nil {
			return Answer{}, err
		}
		if !answer.InZone || !referral.Delegation.Prefix.Covers(answer.Apex) ||
			answer.Outcome == Referral && answer.Delegation.Prefix.Depth() <= referral.Delegation.Prefix.Depth() {
			return referral, nil // the copy does not reach so far yet
		}
		answer.Origin.Mirror, answer.Origin.Age = true, max(age, referral.Origin.Age)
		answer.Zone = referral.Delegation
		if answer.Outcome != Referral {
			if answer.Outcome != Found {
				answer.Lifetime = min(answer.Lifetime, MirrorNegativeTTL)
			}
			if answer.Outcome == Absent {
				return Answer{}, unheld(answer)
			}
			return answer, nil
		}
		referral = answer
	}
	return referral, nil
}

func unheld(a Answer) error {
	return &Error{Kind: Unavailable, Err: &UnheldError{a}, Detail: fmt.Sprintf(
		"only the node that holds %s knows whether %s is registered: ask it when it is back", a.Apex, a.ID)}
}

// FromMirrors returns a Resolver that asks another for its mirrors, whatever the query
// says: what answers at an address that is named in the zones of other nodes.
func FromMirrors(r Resolver) Resolver { return fromMirrors{r} }

type fromMirrors struct{ Resolver }

// Resolve implements [Resolver].
func (f fromMirrors) Resolve(ctx context.Context, q Query) (Answer, error) {
	q.Mirror = true
	return f.Resolver.Resolve(ctx, q)
}

// ForRecursive returns a Resolver that answers only those who ask to follow referrals
// on their behalf: what stands in front of a walk. To others it has no authority, so
// that nodes that name one another do not ask each other for ever (RFC 1034, section
// 5.3.1), and nobody learns what is in its cache.
func ForRecursive(r Resolver) Resolver { return forRecursive{r} }

type forRecursive struct{ Resolver }

// Resolve implements [Resolver].
func (f forRecursive) Resolve(ctx context.Context, q Query) (Answer, error) {
	if !q.Recursive {
		return Answer{Outcome: Refused, ID: q.ID, Lifetime: NegativeTTL}, nil
	}
	return f.Resolver.Resolve(ctx, q)
}
