package resolvertest

import (
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/resolver"
)

// Omission declares that a protocol cannot carry a part of an answer, and why.
type Omission struct {
	Part    Part
	Because string
}

// Part is something that a protocol may be unable to carry. Outcome, identifier,
// version, the values' index, type and data, the links' relations, the default
// link, lifetime, mirror and age, the node of a referral with its key, addresses
// and ports, and whether something lies below are not among them: every protocol
// carries those.
type Part string

const (
	Permissions Part = "permissions of values"
	Timestamps  Part = "timestamps of values"
	References  Part = "references of values"
	// ValueTTLs: the TTL of each value; the lifetime of the answer is carried.
	ValueTTLs Part = "TTL of each value"
	// LinkTexts: title, languages, media type and context of links.
	LinkTexts Part = "texts of links"
	// History: spelling, time and row hash of a record.
	History Part = "history of the record"
	// Holder: epoch, keyset and flags of a delegation, and the Handle keys of its nodes; its
	// prefix, node and mirrors are carried.
	Holder Part = "holder of a delegation"
	// Place: the log and the position that an answer is drawn from.
	Place Part = "place in the log"
	// Apex: the top of the zone; whether the answer is in it is carried.
	Apex Part = "apex of the zone"
	// Details: the text of an error; its kind is carried.
	Details Part = "text of errors"
	// MalformedKind: a malformed identifier looks like an absent one.
	MalformedKind Part = "malformed told from absent"
	// OverloadedKind: a node that has too much to do looks unavailable.
	OverloadedKind Part = "overloaded told from unavailable"
	// Large: answers beyond 64 KiB; they end as unavailable.
	Large Part = "large answers"
	// Selection: types, indexes and relation of a query reach the server; the client
	// that cannot send them selects from the whole answer.
	Selection Part = "selection in the query"
	// Authoritative and Recursive: those fields of a query.
	Authoritative Part = "authoritative in the query"
	Recursive     Part = "recursive in the query"
	// Mirror: that field of a query.
	Mirror Part = "mirror in the query"
)

// omit removes a part from a copy of a result.
func (r result) omit(p Part) result {
	a := &r.answer
	values := func(change func(*identifier.Value)) {
		a.Record, a.Default = changed(a.Record, a.Default, change)
	}
	switch p {
	case Permissions:
		values(func(v *identifier.Value) { v.Permissions = 0 })
	case Timestamps:
		values(func(v *identifier.Value) { v.Timestamp = time.Time{} })
	case References:
		values(func(v *identifier.Value) { v.References = nil })
	case ValueTTLs:
		values(func(v *identifier.Value) { v.TTL = identifier.TTL{} })
	case LinkTexts:
		values(func(v *identifier.Value) {
			if v.Link != nil {
				v.Link = &identifier.Link{Relation: v.Link.Relation, Default: v.Link.Default}
			}
			if v.Link != nil && v.Link.Relation == "" && !v.Link.Default {
				v.Link = nil
			}
		})
	case History:
		if a.Record != nil {
			r := *a.Record
			r.Spelling, r.Time, r.RowHash = "", time.Time{}, identifier.Hash{}
			a.Record = &r
		}
	case Holder:
		if a.Delegation != nil {
			d := &identifier.Delegation{Prefix: a.Delegation.Prefix, Mirrors: slices.Clone(a.Delegation.Mirrors)}
			if a.Delegation.Node != nil {
				node := *a.Delegation.Node
				node.HandleKey = identifier.PublicKey{}
				d.Node = &node
			}
			for i := range d.Mirrors {
				d.Mirrors[i].HandleKey = identifier.PublicKey{}
			}
			a.Delegation = d
		}
	case Place:
		a.Origin.Log, a.Origin.Position = identifier.LogID{}, 0
	case Apex:
		a.Apex = ""
	case Details:
		if r.err != nil {
			r.err = &resolver.Error{Kind: r.err.Kind}
		}
	case MalformedKind:
		if r.err != nil && r.err.Kind == resolver.Malformed {
			r = result{answer: resolver.Answer{Outcome: resolver.Absent}}
		}
	case OverloadedKind:
		if r.err != nil && r.err.Kind == resolver.Overloaded {
			r.err = &resolver.Error{Kind: resolver.Unavailable, Detail: r.err.Detail}
		}
	}
	return r
}

// changed applies a change to copies of a record's values and of a default link.
func changed(r *identifier.Record, link *identifier.Value, change func(*identifier.Value)) (*identifier.Record, *identifier.Value) {
	if r != nil {
		c := *r
		c.Values = make([]identifier.Value, len(r.Values))
		for i, v := range r.Values {
			change(&v)
			c.Values[i] = v
		}
		r = &c
	}
	if link != nil {
		v := *link
		change(&v)
		link = &v
	}
	return r, link
}

// plain removes what does not count: empty or nil, the zone of a time, the cause
// of an error.
func (r result) plain() result {
	a := &r.answer
	a.Record, a.Default = changed(a.Record, a.Default, func(v *identifier.Value) {
		v.Timestamp = v.Timestamp.UTC()
		if len(v.Data) == 0 {
			v.Data = nil
		}
		if len(v.References) == 0 {
			v.References = nil
		}
		if v.Link != nil && len(v.Link.Languages) == 0 {
			link := *v.Link
			link.Languages = nil
			v.Link = &link
		}
	})
	if a.Record != nil {
		a.Record.Time = a.Record.Time.UTC()
		if len(a.Record.Values) == 0 {
			a.Record.Values = nil
		}
	}
	if r.err != nil {
		r.err = &resolver.Error{Kind: r.err.Kind, Detail: r.err.Detail}
	}
	return r
}

// maxMessage is what a DNS message can carry.
const maxMessage = 65535

// compare returns how what was got differs from what was wanted.
func compare(want, got result, omissions []Omission) []string {
	for _, o := range omissions {
		if o.Part == Large && size(want.answer) > maxMessage {
			want, got = result{err: &resolver.Error{Kind: resolver.Unavailable}}, got.omit(Details)
		}
		want, got = want.omit(o.Part), got.omit(o.Part)
		if o.Part == MalformedKind && got.err == nil && want.answer.Outcome == resolver.Absent && want.answer.ID == (identifier.ID{}) {
			// A malformed identifier: that it is absent is all that can be told.
			got.answer = resolver.Answer{Outcome: got.answer.Outcome}
		}
	}
	want, got = want.plain(), got.plain()
	var differences []string
	diff("error", reflect.ValueOf(want.err), reflect.ValueOf(got.err), &differences)
	diff("answer", reflect.ValueOf(want.answer), reflect.ValueOf(got.answer), &differences)
	return differences
}

// compareQueries returns how what the server asked differs from what the client
// was asked.
func compareQueries(want, got resolver.Query, omissions []Omission) []string {
	for _, o := range omissions {
		switch o.Part {
		case Selection:
			want.Types, want.Indexes, want.Relation = nil, nil, ""
			got.Types, got.Indexes, got.Relation = nil, nil, ""
		case Authoritative:
			want.Authoritative, got.Authoritative = false, false
		case Recursive:
			want.Recursive, got.Recursive = false, false
		case Mirror:
			want.Mirror, got.Mirror = false, false
		}
	}
	var differences []string
	diff("query", reflect.ValueOf(want), reflect.ValueOf(got), &differences)
	return differences
}

// size is about what the data of an answer's record come to, in octets.
func size(a resolver.Answer) int {
	n := 0
	if a.Record != nil {
		for i := range a.Record.Values {
			n += len(a.Record.Values[i].Data)
		}
	}
	return n
}

// diff appends the places where two values of one type differ.
func diff(path string, want, got reflect.Value, out *[]string) {
	if reflect.DeepEqual(want.Interface(), got.Interface()) {
		return
	}
	differ := func() {
		*out = append(*out, fmt.Sprintf("%s: got %s; want %s", path, show(got), show(want)))
	}
	switch want.Kind() {
	case reflect.Pointer:
		if want.IsNil() || got.IsNil() {
			differ()
			return
		}
		diff(path, want.Elem(), got.Elem(), out)
	case reflect.Struct:
		if _, isTime := want.Interface().(time.Time); isTime {
			differ()
			return
		}
		for i := range want.NumField() {
			diff(path+"."+want.Type().Field(i).Name, want.Field(i), got.Field(i), out)
		}
	case reflect.Slice:
		if want.Len() != got.Len() || want.Type().Elem().Kind() == reflect.Uint8 {
			differ()
			return
		}
		for i := range want.Len() {
			diff(fmt.Sprintf("%s[%d]", path, i), want.Index(i), got.Index(i), out)
		}
	default:
		differ()
	}
}

// show prints a value, cut when it is long.
func show(v reflect.Value) string {
	for v.Kind() == reflect.Pointer && !v.IsNil() {
		v = v.Elem()
	}
	s := fmt.Sprintf("%+v", v.Interface())
	if b, ok := v.Interface().([]byte); ok || v.Kind() == reflect.String {
		if !ok {
			b = []byte(v.String())
		}
		s = fmt.Sprintf("%q", b)
	}
	if len(s) > 300 {
		s = s[:300] + "…"
	}
	return s
}
