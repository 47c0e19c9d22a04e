package resolver

import (
	"github.com/nameplate-id/nameplate/registry/identifier"
)

// lame returns why an answer of a node that was asked for a prefix is not to be
// believed; "" when it is.
func lame(a *Answer, q *Query, asked identifier.Prefix) string {
	switch {
	case !isAbout(a, q):
		return "is about " + a.ID.String()
	case !a.Apex.Covers(q.ID.Prefix):
		return "comes from another zone, " + a.Apex.String()
	case a.Outcome == Referral:
		return lameReferral(a.Delegation, q, asked)
	case !a.InZone:
		return "has no authority there"
	case a.Outcome < Found || a.Outcome > Refused:
		return "has no outcome"
	case (a.Outcome == Found) != (a.Record != nil):
		return "does not have the record that it speaks of"
	case a.Record != nil && a.Record.ID != a.ID:
		return "has the record of another identifier"
	case a.Origin.Mirror && q.Authoritative:
		return "is from a mirror"
	case a.Origin.Mirror && a.Outcome == Absent:
		return "is absent in a mirror, which cannot know"
	}
	return ""
}

// isAbout reports whether an answer is to the question.
func isAbout(a *Answer, q *Query) bool {
	if q.SuffixHash == nil || a.Outcome != Found {
		return a.ID == q.ID
	}
	return a.ID.Prefix == q.ID.Prefix && identifier.SuffixHash(a.ID.Suffix) == *q.SuffixHash
}

// lameReferral is lame for a referral. The node may refer only to what lies below
// the prefix that it was asked for, on the way to the identifier.
func lameReferral(d *identifier.Delegation, q *Query, asked identifier.Prefix) string {
	switch {
	case d == nil || d.Node == nil || len(d.Node.Addresses) == 0:
		return "refers to nobody"
	case !d.Prefix.Covers(q.ID.Prefix):
		return "refers to another prefix, " + d.Prefix.String()
	case d.Prefix.Depth() <= asked.Depth():
		return "does not lead deeper: it refers to " + d.Prefix.String()
	}
	return ""
}
