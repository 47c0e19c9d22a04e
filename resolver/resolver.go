// Package resolver answers what an identifier points to.
//
// One interface carries reading: the authority, the recursive walk, the cache
// and every protocol client are Resolvers, and every protocol server wraps one.
package resolver

import (
	"context"
	"time"

	"github.com/nameplate-id/nameplate/registry/identifier"
)

// Resolver answers queries. Found, referral, absent and refused are answers; an
// error, always an [*Error], means that there is none. It may be called
// concurrently. The answer may be shared with others: it must not be changed.
type Resolver interface {
	Resolve(ctx context.Context, q Query) (Answer, error)
}

// Query asks what an identifier points to.
type Query struct {
	ID identifier.ID
	// SuffixHash stands for the suffix where a DNS name could carry only its
	// hash; ID then has an empty suffix and the answer tells the identifier.
	SuffixHash *identifier.Hash
	// Types and Indexes select values; a value is answered when either names it, all
	// when both are empty. A type that ends in "." also selects its subtypes.
	Types   []string
	Indexes []uint32
	// Relation selects the URL values with this link relation, as CURIE or URI.
	Relation string
	// Recursive asks to follow referrals on behalf of the asker.
	Recursive bool
	// Authoritative refuses answers from mirrors and caches.
	Authoritative bool
	// Mirror asks a node that would refer to answer from its copy of the other node's
	// log instead, when it has one: the other node is away. Authoritative outweighs it.
	Mirror bool
}

// Outcome is what kind of answer an answer is.
type Outcome uint8

const (
	// Found: there is a record. It may have no values of the asked type.
	Found Outcome = iota + 1
	// Referral: ask the node that the answer's Delegation names.
	Referral
	// Absent: there is no record. Something may exist below.
	Absent
	// Refused: the asker may not know.
	Refused
)

// Answer is what a Resolver says.
type Answer struct {
	Outcome Outcome
	// ID is the identifier asked for. When the query had its suffix's hash only, a
	// found answer tells it whole; any other repeats the prefix.
	ID identifier.ID
	// Record is the record, with the selected values only; nil unless found.
	Record *identifier.Record
	// Default is the record's default link even when it was not selected; nil when
	// it has none.
	Default *identifier.Value
	// Delegation is where to ask instead, and which nodes answer from a copy when that
	// one is away; nil unless a referral.
	Delegation *identifier.Delegation
	// Zone is the delegation by which the zone is held that the answer comes from: its
	// node and mirrors are the zone's name servers. It is there inside of a node only,
	// and not at the root.
	Zone *identifier.Delegation
	// Below says that the asked prefix has something below it (absent only).
	Below bool
	// Apex is the prefix at the top of the zone that the answer comes from; InZone
	// is false when the answering node has no authority over the identifier at all.
	Apex   identifier.Prefix
	InZone bool
	// Lifetime is how long the answer may be kept.
	Lifetime time.Duration
	Origin   Origin
}

// Origin is where an answer comes from.
type Origin struct {
	Log identifier.LogID
	// Position is how many entries of that log the answer is drawn from.
	Position uint64
	// Mirror says that a parent answers from its copy, which is Age old.
	Mirror bool
	// Age is how long ago the answer was known to be true: time in a mirror, and in
	// caches.
	Age time.Duration
	// Stale says that a cache answers although the lifetime is over, because no node
	// that could say better can be reached (RFC 8767).
	Stale bool
}

// NegativeTTL is the lifetime of absent answers from the authority.
const NegativeTTL = 30 * time.Second

// ReferralTTL is the lifetime of referrals.
const ReferralTTL = 300 * time.Second
