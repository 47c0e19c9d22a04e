package rpc

import (
	"fmt"
	"time"

	"github.com/nameplate-id/nameplate/proto"
	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/resolver"
)

// queryToProto returns the message of a query.
func queryToProto(q *resolver.Query) *proto.ResolveRequest {
	m := &proto.ResolveRequest{
		Identifier: q.ID.String(),
		Form:       proto.Form_FORM_CANONICAL,
		Selection:  selectionToProto(q),
	}
	if q.SuffixHash != nil {
		m.SuffixHash = q.SuffixHash[:]
	}
	return m
}

// queryFromProto reads a query. The error is a [*resolver.Error].
func queryFromProto(m *proto.ResolveRequest) (resolver.Query, error) {
	q, err := selectionFromProto(m.GetSelection())
	if err != nil {
		return resolver.Query{}, err
	}
	form := m.GetForm()
	if h := m.GetSuffixHash(); len(h) != 0 {
		if len(h) != len(q.SuffixHash) {
			return resolver.Query{}, malformed("suffix_hash has %d octets, a SHA-256 has %d", len(h), len(q.SuffixHash))
		}
		hash := identifier.Hash(h)
		q.SuffixHash, form = &hash, proto.Form_FORM_CANONICAL
	}
	if q.ID, err = parse(m.GetIdentifier(), form); err != nil {
		return resolver.Query{}, err
	}
	if q.SuffixHash != nil && !q.ID.IsPrefix() {
		return resolver.Query{}, malformed("%.80q has a suffix and suffix_hash stands for another: send the prefix alone", m.GetIdentifier())
	}
	return q, nil
}

// parse reads an identifier in the form that the caller named. The error is a
// [*resolver.Error].
func parse(text string, form proto.Form) (identifier.ID, error) {
	var id identifier.ID
	var err error
	switch form {
	case proto.Form_FORM_UNSPECIFIED:
		id, err = identifier.Parse(text)
	case proto.Form_FORM_CANONICAL:
		id, err = proto.IDFromProto(text)
	default:
		return identifier.ID{}, malformed("form %d is not known: use FORM_UNSPECIFIED or FORM_CANONICAL", form)
	}
	if err != nil {
		return identifier.ID{}, &resolver.Error{Kind: resolver.Malformed, Detail: err.Error()}
	}
	return id, nil
}

func selectionToProto(q *resolver.Query) *proto.Selection {
	if len(q.Types) == 0 && len(q.Indexes) == 0 && q.Relation == "" && !q.Recursive && !q.Authoritative && !q.Mirror {
		return nil
	}
	return &proto.Selection{
		Types: q.Types, Indexes: q.Indexes, Relation: q.Relation,
		Recursive: q.Recursive, Authoritative: q.Authoritative, Mirror: q.Mirror,
	}
}

// selectionFromProto returns a query for everything that a selection asks for, of
// no identifier yet.
func selectionFromProto(m *proto.Selection) (resolver.Query, error) {
	if n := max(len(m.GetTypes()), len(m.GetIndexes())); n > proto.MaxSelected {
		return resolver.Query{}, malformed("selection names %d types or indexes, at most %d are allowed: name fewer", n, proto.MaxSelected)
	}
	for _, t := range m.GetTypes() {
		if len(t) > identifier.MaxTypeName+1 { // one for the dot that selects subtypes
			return resolver.Query{}, malformed("selection.types: %.40q… is longer than a type can be", t)
		}
	}
	if n := len(m.GetRelation()); n > identifier.MaxLinkText {
		return resolver.Query{}, malformed("selection.relation has %d octets, at most %d are allowed", n, identifier.MaxLinkText)
	}
	return resolver.Query{
		Types: m.GetTypes(), Indexes: m.GetIndexes(), Relation: m.GetRelation(),
		Recursive: m.GetRecursive(), Authoritative: m.GetAuthoritative(), Mirror: m.GetMirror(),
	}, nil
}

func malformed(format string, args ...any) error {
	return &resolver.Error{Kind: resolver.Malformed, Detail: fmt.Sprintf(format, args...)}
}

// answerToProto returns the message of an answer. It shares memory with it.
func answerToProto(a *resolver.Answer) *proto.Answer {
	m := &proto.Answer{
		Outcome:    proto.Outcome(a.Outcome),
		Identifier: a.ID.String(),
		Record:     proto.RecordToProto(a.Record),
		Below:      a.Below,
		Apex:       string(a.Apex),
		InZone:     a.InZone,
		LifetimeMs: a.Lifetime.Milliseconds(),
		Origin: &proto.Origin{
			Log: proto.LogToProto(a.Origin.Log), Position: a.Origin.Position,
			Mirror: a.Origin.Mirror, AgeMs: a.Origin.Age.Milliseconds(), Stale: a.Origin.Stale,
		},
	}
	if a.Outcome == resolver.Referral {
		m.Delegation = proto.DelegationToProto(a.Delegation)
	}
	if a.Default != nil {
		m.DefaultIndex = a.Default.Index
		if selected(a.Record, a.Default.Index) == nil {
			m.DefaultLink = proto.ValueToProto(a.Default)
		}
	}
	return m
}

// selected returns the value with an index, nil when the record has none.
func selected(r *identifier.Record, index uint32) *identifier.Value {
	if r == nil {
		return nil
	}
	for i := range r.Values {
		if r.Values[i].Index == index {
			return &r.Values[i]
		}
	}
	return nil
}

// answerFromProto reads an answer. It shares memory with the message.
func answerFromProto(m *proto.Answer) (resolver.Answer, error) {
	a := resolver.Answer{
		Outcome:  resolver.Outcome(m.GetOutcome()),
		Below:    m.GetBelow(),
		InZone:   m.GetInZone(),
		Lifetime: span(m.GetLifetimeMs()),
		Origin: resolver.Origin{
			Position: m.GetOrigin().GetPosition(), Mirror: m.GetOrigin().GetMirror(), Age: span(m.GetOrigin().GetAgeMs()),
			Stale: m.GetOrigin().GetStale(),
		},
	}
	var err error
	if a.ID, err = proto.IDFromProto(m.GetIdentifier()); err != nil {
		return resolver.Answer{}, fmt.Errorf("identifier: %w", err)
	}
	if a.Apex, err = proto.PrefixFromProto(m.GetApex()); err != nil {
		return resolver.Answer{}, fmt.Errorf("apex: %w", err)
	}
	if a.Origin.Log, err = proto.LogFromProto(m.GetOrigin().GetLog()); err != nil {
		return resolver.Answer{}, fmt.Errorf("origin: %w", err)
	}
	if a.Record, err = proto.RecordFromProto(a.ID, m.GetRecord()); err != nil {
		return resolver.Answer{}, fmt.Errorf("record: %w", err)
	}
	if a.Delegation, err = proto.DelegationFromProto(m.GetDelegation()); err != nil {
		return resolver.Answer{}, fmt.Errorf("delegation: %w", err)
	}
	if a.Default, err = defaultFromProto(m, a.Record); err != nil {
		return resolver.Answer{}, err
	}
	return a, checkOutcome(&a, m.GetOutcome())
}

// defaultFromProto finds the default link among the selected values or beside them.
func defaultFromProto(m *proto.Answer, r *identifier.Record) (*identifier.Value, error) {
	switch {
	case m.GetDefaultIndex() == 0 && m.GetDefaultLink() == nil:
		return nil, nil
	case m.GetDefaultLink() != nil:
		v, err := proto.ValueFromProto(m.GetDefaultLink())
		if err == nil && v.Index != m.GetDefaultIndex() {
			err = fmt.Errorf("has index %d, default_index is %d", v.Index, m.GetDefaultIndex())
		}
		if err != nil {
			return nil, fmt.Errorf("default_link: %w", err)
		}
		return &v, nil
	}
	v := selected(r, m.GetDefaultIndex())
	if v == nil {
		return nil, fmt.Errorf("default_index: no value has the index %d", m.GetDefaultIndex())
	}
	link := *v
	return &link, nil
}

// checkOutcome checks that an answer has what its outcome says it has.
func checkOutcome(a *resolver.Answer, outcome proto.Outcome) error {
	switch {
	case outcome < proto.Outcome_OUTCOME_FOUND || outcome > proto.Outcome_OUTCOME_REFUSED:
		return fmt.Errorf("outcome %d is not known", outcome)
	case (a.Outcome == resolver.Found) != (a.Record != nil):
		return fmt.Errorf("outcome is %v, but there is a record: %t", a.Outcome, a.Record != nil)
	case (a.Outcome == resolver.Referral) != (a.Delegation != nil):
		return fmt.Errorf("outcome is %v, but there is a delegation: %t", a.Outcome, a.Delegation != nil)
	}
	return nil
}

// maxSpan keeps spans of time of another node within what can be calculated with.
const maxSpan = 100 * 365 * 24 * time.Hour

// span reads milliseconds.
func span(ms int64) time.Duration {
	return time.Duration(min(max(0, ms), maxSpan.Milliseconds())) * time.Millisecond
}
