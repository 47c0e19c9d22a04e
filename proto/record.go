package proto

import (
	"math"
	"time"

	"github.com/nameplate-id/nameplate/registry/identifier"
)

// ValueToProto returns the message of a value.
func ValueToProto(v *identifier.Value) *Value {
	m := new(Value)
	setValue(m, v)
	return m
}

// ValuesToProto returns the messages of values, in their order.
func ValuesToProto(values []identifier.Value) []*Value {
	if len(values) == 0 {
		return nil
	}
	messages := make([]Value, len(values)) // one allocation for all
	pointers := make([]*Value, len(values))
	for i := range values {
		setValue(&messages[i], &values[i])
		pointers[i] = &messages[i]
	}
	return pointers
}

func setValue(m *Value, v *identifier.Value) {
	m.Index = v.Index
	m.Type = v.Type
	m.Data = v.Data
	m.Ttl = v.TTL.Seconds
	m.TtlAbsolute = v.TTL.Absolute
	m.Permissions = uint32(v.Permissions)
	if !v.Timestamp.IsZero() {
		m.Timestamp = v.Timestamp.Unix()
	}
	if l := v.Link; l != nil {
		m.Link = &Link{
			Relation: l.Relation, Title: l.Title, Languages: l.Languages,
			MediaType: l.MediaType, Context: l.Context, Default: l.Default,
		}
	}
	for _, r := range v.References {
		m.References = append(m.References, &Reference{Handle: r.Handle, Index: r.Index})
	}
}

// ValueFromProto reads a value.
func ValueFromProto(m *Value) (identifier.Value, error) {
	if err := checkCount("references", len(m.GetReferences()), identifier.MaxReferences); err != nil {
		return identifier.Value{}, err
	}
	if m.GetPermissions() > math.MaxUint8 {
		return identifier.Value{}, fault("permissions", "%d is more than 255", m.GetPermissions())
	}
	v := identifier.Value{
		Index:       m.GetIndex(),
		Type:        m.GetType(),
		Data:        m.GetData(),
		TTL:         identifier.TTL{Absolute: m.GetTtlAbsolute(), Seconds: m.GetTtl()},
		Permissions: identifier.Permissions(m.GetPermissions()),
	}
	if m.GetTimestamp() != 0 {
		v.Timestamp = time.Unix(m.GetTimestamp(), 0).UTC()
	}
	if l := m.GetLink(); l != nil {
		if err := checkCount("link.languages", len(l.GetLanguages()), identifier.MaxLanguages); err != nil {
			return identifier.Value{}, err
		}
		v.Link = &identifier.Link{
			Relation: l.GetRelation(), Title: l.GetTitle(), Languages: l.GetLanguages(),
			MediaType: l.GetMediaType(), Context: l.GetContext(), Default: l.GetDefault(),
		}
	}
	for _, r := range m.GetReferences() {
		v.References = append(v.References, identifier.Reference{Handle: r.GetHandle(), Index: r.GetIndex()})
	}
	return v, nil
}

// ValuesFromProto reads the values of one record or row.
func ValuesFromProto(messages []*Value) ([]identifier.Value, error) {
	if err := checkCount("values", len(messages), identifier.MaxValues); err != nil {
		return nil, err
	}
	if len(messages) == 0 {
		return nil, nil
	}
	values := make([]identifier.Value, len(messages))
	for i, m := range messages {
		var err error
		if values[i], err = ValueFromProto(m); err != nil {
			return nil, within(at("values", i), err)
		}
	}
	return values, nil
}

// RecordToProto returns the message of a live record; nil for nil. The identifier
// travels beside it.
func RecordToProto(r *identifier.Record) *Record {
	if r == nil {
		return nil
	}
	return &Record{
		Spelling: r.Spelling,
		Version:  r.Version,
		TimeMs:   r.Time.UnixMilli(),
		RowHash:  octetsOf(r.RowHash[:]),
		Values:   ValuesToProto(r.Values),
		Suspect:  r.Suspect,
	}
}

// RecordFromProto reads the record of an identifier; nil for nil.
func RecordFromProto(id identifier.ID, m *Record) (*identifier.Record, error) {
	if m == nil {
		return nil, nil
	}
	r := &identifier.Record{
		ID:       id,
		Spelling: m.GetSpelling(),
		Version:  m.GetVersion(),
		Time:     time.UnixMilli(m.GetTimeMs()).UTC(),
		Suspect:  m.GetSuspect(),
	}
	if err := setOctets("row_hash", r.RowHash[:], m.GetRowHash()); err != nil {
		return nil, err
	}
	var err error
	if r.Values, err = ValuesFromProto(m.GetValues()); err != nil {
		return nil, err
	}
	return r, nil
}
