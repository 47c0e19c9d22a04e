package resolver

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nameplate-id/nameplate/registry/identifier"
)

// Store is what an authority reads. Every error means that what is stored cannot
// be had or trusted now; that there is nothing is a finding.
type Store interface {
	// Find returns what is held about an identifier.
	Find(ctx context.Context, id identifier.ID) (identifier.Finding, error)
	// FindHashed returns what is held about the identifier below a prefix whose
	// suffix has this SHA-256 hash, and which one it is. Where the hash is not
	// known, the identifier is the prefix, and the finding has no record.
	FindHashed(ctx context.Context, prefix identifier.Prefix, hash identifier.Hash) (identifier.ID, identifier.Finding, error)
}

// Options of an authority.
type Options struct {
	// Node is this node's own key: a delegation that names it is answered here. The
	// zero key is nobody's.
	Node identifier.PublicKey
	// Mirrors are the copies of other nodes' logs that this node holds; nil for none.
	Mirrors Mirrors
}

// MaxLifetime is the longest lifetime of an answer: what a TTL of DNS can carry
// (RFC 2181, section 8).
const MaxLifetime = (1<<31 - 1) * time.Second

// Authority answers from what this node itself holds. It judges in this order:
//
//  1. A question outside its zone is refused.
//  2. Where the longest delegation names another node, the answer is a referral,
//     whatever is asked at or below the prefix: the record of a delegated prefix
//     lives on the child's side.
//  3. Below a private delegation every question is refused alike, whether what is
//     asked for exists or not. The prefix itself is answered like any other, and
//     always has something below it.
//  4. What is not stored, and was not withdrawn, is computed where a template stands for it:
//     the HS_NAMESPACE value of its prefix, or of the nearest prefix above that the same
//     holder has (see [template]). The record then has the version and the time of the one
//     with the template, and no row hash, for it was never logged. A prefix below such
//     a template always has something below it.
//  5. Only values with public-read permission are answered, counted and chosen as
//     the default link. A record that has values, none of them readable, is refused.
//
// The lifetime of a found answer is the smallest TTL of the selected values, of all
// readable ones when none is selected; that of a record without values, and of
// absent and refused, is [NegativeTTL]; that of a referral [ReferralTTL]. It never
// passes [MaxLifetime]. The default link keeps its own TTL when it was not selected.
//
// A query with Query.Mirror is answered from a mirror where there is one of the log of
// the node that the referral would name, as that node would answer; refused then lives
// for [MirrorNegativeTTL], and in place of absent there is an error ([UnheldError]). All other answers are authoritative, and
// Query.Recursive changes nothing. It may be called concurrently.
type Authority struct {
	store      Store
	o          Options
	namespaces *namespaces
}

// NewAuthority returns the authority over a store.
func NewAuthority(store Store, o Options) *Authority {
	return &Authority{store: store, o: o, namespaces: &namespaces{}}
}

var errHashAndSuffix = errors.New("a query has a suffix or its hash, not both")

// Resolve implements [Resolver].
func (a *Authority) Resolve(ctx context.Context, q Query) (Answer, error) {
	answer, err := a.own(ctx, q)
	if err != nil || answer.Outcome != Referral || a.o.Mirrors == nil {
		return answer, err
	}
	return a.mirrored(ctx, q, answer)
}

// own answers from the store.
func (a *Authority) own(ctx context.Context, q Query) (Answer, error) {
	id, finding, err := a.find(ctx, q)
	if err != nil {
		return Answer{}, err
	}
	answer := Answer{
		ID:       q.ID,
		Apex:     finding.Apex,
		Zone:     finding.Grant,
		InZone:   finding.InZone,
		Lifetime: NegativeTTL,
		Origin:   Origin{Log: finding.Log, Position: finding.Position},
	}
	d := finding.Delegation
	if d != nil && d.Revoked() {
		d = nil
	}
	switch {
	case !finding.InZone:
		answer.Outcome = Refused
	case d != nil && d.Node != nil && !a.is(d.Node.Key):
		answer.Outcome, answer.Delegation, answer.Lifetime = Referral, d, ReferralTTL
	case d != nil && d.Private && (id.Prefix != d.Prefix || id.Suffix != "" || q.SuffixHash != nil):
		answer.Outcome = Refused
	case finding.Record == nil || finding.Record.Withdrawn:
		answer.Outcome = Absent
		answer.Below = finding.Below || d != nil && d.Private && id.IsPrefix()
		if err := a.compute(ctx, &answer, &q, &finding); err != nil {
			return Answer{}, err
		}
	case !answer.found(finding.Record, q, time.Now()):
		answer.Outcome = Refused
	default:
		// Who asked by hash learns the identifier only with its record.
		answer.ID = id
	}
	return answer, nil
}

// find asks the store and turns its errors into ours.
func (a *Authority) find(ctx context.Context, q Query) (identifier.ID, identifier.Finding, error) {
	id := q.ID
	var finding identifier.Finding
	var err error
	switch {
	case q.SuffixHash == nil:
		finding, err = a.store.Find(ctx, id)
	case q.ID.Suffix != "":
		return id, finding, &Error{Kind: Malformed, Detail: errHashAndSuffix.Error() + ": leave one out"}
	default:
		id, finding, err = a.store.FindHashed(ctx, id.Prefix, *q.SuffixHash)
	}
	if err != nil {
		return id, finding, unreadable(ctx, &q, err)
	}
	return id, finding, nil
}

// unreadable makes of a store's error ours.
func unreadable(ctx context.Context, q *Query, err error) error {
	detail := fmt.Sprintf("what this node holds about %s cannot be read or trusted now: ask again later", q.ID)
	if ctx.Err() != nil {
		detail = fmt.Sprintf("the question about %s was given up before it was answered: ask again", q.ID)
	}
	return &Error{Kind: Unavailable, Detail: detail, Err: err}
}

// is reports whether a key is this node's own.
func (a *Authority) is(key identifier.PublicKey) bool {
	return key == a.o.Node && key != identifier.PublicKey{}
}

// found makes the answer one about a record, with the values that are readable
// and asked for. It reports false, and changes nothing, when none is readable.
func (a *Answer) found(r *identifier.Record, q Query, now time.Time) bool {
	readable := keep(r.Values, func(v *identifier.Value) bool { return v.Permissions&identifier.PublicRead != 0 })
	if len(readable) == 0 && len(r.Values) > 0 {
		return false
	}
	selected := q.Select(readable)
	if len(selected) > 0 {
		a.Lifetime = lifetime(selected, now)
	} else if len(readable) > 0 {
		a.Lifetime = lifetime(readable, now)
	}
	a.Outcome = Found
	a.Record = r
	if len(selected) != len(r.Values) {
		narrowed := *r
		narrowed.Values = selected
		a.Record = &narrowed
	}
	visible := identifier.Record{Values: readable}
	if link, ok := visible.DefaultLink(); ok {
		a.Default = &link
	}
	return true
}

// lifetime returns the smallest TTL of some values.
func lifetime(values []identifier.Value, now time.Time) time.Duration {
	shortest := time.Duration(MaxLifetime)
	for i := range values {
		shortest = min(shortest, values[i].TTL.Left(now))
	}
	return shortest
}
