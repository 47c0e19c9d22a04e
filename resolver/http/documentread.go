package http

import (
	"fmt"
	"time"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/resolver"
)

// maxSpan is the longest span that a document is believed.
const maxSpan = 200 * 365 * 24 * 60 * 60

func span(what string, seconds int64) (time.Duration, error) {
	if seconds < 0 || seconds > maxSpan {
		return 0, fmt.Errorf("%s of %d seconds", what, seconds)
	}
	return time.Duration(seconds) * time.Second, nil
}

// answer reads a document. It checks that the answer is one that a node may give,
// not that it is true.
func (d *document) answer() (a resolver.Answer, err error) {
	for o := resolver.Found; o <= resolver.Refused; o++ {
		if o.String() == d.Outcome {
			a.Outcome = o
		}
	}
	if a.Outcome == 0 {
		return a, fmt.Errorf("unknown outcome %.40q", d.Outcome)
	}
	if a.ID, err = identifier.ParseCanonical(d.Identifier); err != nil {
		return a, err
	}
	if a.Apex, err = canonicalPrefix(d.Apex); err != nil {
		return a, err
	}
	a.Below, a.InZone = d.Below, d.InZone
	if a.Lifetime, err = span("a lifetime", d.Lifetime); err != nil {
		return a, err
	}
	if a.Origin.Age, err = span("an age", d.Origin.Age); err != nil {
		return a, err
	}
	if len(d.Origin.Log) != len(a.Origin.Log) {
		return a, fmt.Errorf("a log id of %d octets", len(d.Origin.Log))
	}
	a.Origin.Log, a.Origin.Position, a.Origin.Mirror = identifier.LogID(d.Origin.Log), d.Origin.Position, d.Origin.Mirror
	a.Origin.Stale = d.Origin.Stale
	if (d.Record != nil) != (a.Outcome == resolver.Found) || (d.Delegation != nil) != (a.Outcome == resolver.Referral) {
		return a, fmt.Errorf("an answer %q without what belongs to it, or with more", d.Outcome)
	}
	if d.Record != nil {
		if a.Record, err = d.Record.record(a.ID); err != nil {
			return a, err
		}
	}
	if d.Default != nil {
		v, err := d.Default.value()
		if err == nil {
			_, err = identifier.AppendContent(nil, "", []identifier.Value{v})
		}
		if err != nil {
			return a, err
		}
		a.Default = &v
	}
	if d.Delegation != nil {
		if a.Delegation, err = d.Delegation.delegation(); err != nil {
			return a, err
		}
		if !a.Delegation.Prefix.Covers(a.ID.Prefix) || a.Delegation.Node == nil {
			return a, fmt.Errorf("a referral to nobody, or for another prefix: %.140q", d.Delegation.Prefix)
		}
	}
	return a, nil
}

func (d *recordDoc) record(id identifier.ID) (*identifier.Record, error) {
	if len(d.Values) > identifier.MaxValues || len(d.Spelling) > identifier.MaxSpelling || len(d.RowHash) != len(identifier.Hash{}) {
		return nil, fmt.Errorf("a record with %d values, a spelling of %d and a row hash of %d octets", len(d.Values), len(d.Spelling), len(d.RowHash))
	}
	r := &identifier.Record{
		ID: id, Suspect: d.Suspect, Spelling: d.Spelling, Version: d.Version, Time: d.Time.UTC(), RowHash: identifier.Hash(d.RowHash),
		Values: make([]identifier.Value, len(d.Values)),
	}
	for i := range d.Values {
		v, err := d.Values[i].value()
		if err != nil {
			return nil, err
		}
		r.Values[i] = v
	}
	// What cannot be stored is no record: this holds all limits and the order.
	if _, err := identifier.AppendContent(nil, r.Spelling, r.Values); err != nil {
		return nil, err
	}
	return r, nil
}

func (d *valueDoc) value() (identifier.Value, error) {
	v := identifier.Value{Index: d.Index, Type: d.Type, Permissions: identifier.Permissions(d.Permissions), Data: d.Base64}
	if !d.Timestamp.IsZero() {
		v.Timestamp = d.Timestamp.UTC().Truncate(time.Second)
	}
	if d.Data != nil {
		if d.Base64 != nil {
			return v, fmt.Errorf("value %d has data twice", d.Index)
		}
		v.Data = []byte(*d.Data)
	}
	switch until := d.Until.Unix(); {
	case d.TTL != nil && d.Until.IsZero():
		v.TTL.Seconds = *d.TTL
	case d.TTL == nil && !d.Until.IsZero() && until >= 0 && until < 1<<32:
		v.TTL = identifier.TTL{Absolute: true, Seconds: uint32(until)}
	default:
		return v, fmt.Errorf("value %d has no TTL, or two, or one out of range", d.Index)
	}
	if l := d.Link; l != nil {
		v.Link = &identifier.Link{Relation: l.Relation, Title: l.Title, Languages: l.Languages, MediaType: l.MediaType, Context: l.Context, Default: l.Default}
	}
	for _, r := range d.References {
		v.References = append(v.References, identifier.Reference(r))
	}
	return v, nil
}

func (d *delegationDoc) delegation() (*identifier.Delegation, error) {
	prefix, err := canonicalPrefix(d.Prefix)
	if err != nil {
		return nil, err
	}
	del := &identifier.Delegation{
		Prefix: prefix, Epoch: d.Epoch, NoAgents: d.NoAgents, Private: d.Private,
		Keyset: identifier.Keyset{Version: d.Keyset.Version, Threshold: d.Keyset.Threshold, Keys: d.Keyset.Keys},
	}
	if d.Policy != "" {
		if del.Policy, err = identifier.ParsePolicy(d.Policy); err != nil {
			return nil, err
		}
	}
	if d.Node != nil {
		del.Node = d.Node.node()
	}
	for i := range d.Mirrors {
		del.Mirrors = append(del.Mirrors, *d.Mirrors[i].node())
	}
	return del, del.Check()
}

func canonicalPrefix(text string) (identifier.Prefix, error) {
	if text == "" {
		return "", nil
	}
	p, err := identifier.ParsePrefix(text)
	if err == nil && string(p) != text {
		err = fmt.Errorf("the prefix %q is not in its canonical form", text)
	}
	return p, err
}

func (d *nodeDoc) node() *identifier.Node {
	n := &identifier.Node{Name: d.Name, Key: d.Key}
	if d.HandleKey != nil {
		n.HandleKey = *d.HandleKey
	}
	for _, a := range d.Addresses {
		n.Addresses = append(n.Addresses, identifier.Address(a))
	}
	return n
}
