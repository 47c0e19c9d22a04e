package proto

import (
	"fmt"
	"strconv"
	"time"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/nameplate-id/nameplate/registry/identifier"
)

// at is the path of one element of a repeated field.
func at(field string, i int) string { return field + "[" + strconv.Itoa(i) + "]" }

// EnvelopeToProto returns the message of an envelope.
func EnvelopeToProto(e *identifier.Envelope) *Envelope {
	m := &Envelope{PayloadType: e.PayloadType, Payload: e.Payload}
	for i := range e.Signatures {
		s := &e.Signatures[i]
		m.Signatures = append(m.Signatures, &Signature{KeyId: s.Key[:], Signature: s.Signature})
	}
	return m
}

// EnvelopeFromProto reads an envelope. It does not look into the payload.
func EnvelopeFromProto(m *Envelope) (identifier.Envelope, error) {
	if err := checkKnown("", m); err != nil {
		return identifier.Envelope{}, err
	}
	if err := checkCount("signatures", len(m.GetSignatures()), identifier.MaxSignatures); err != nil {
		return identifier.Envelope{}, err
	}
	e := identifier.Envelope{PayloadType: m.GetPayloadType(), Payload: m.GetPayload()}
	for i, s := range m.GetSignatures() {
		signature := identifier.Signature{Signature: s.GetSignature()}
		if len(s.GetKeyId()) != len(signature.Key) {
			return identifier.Envelope{}, fault(at("signatures", i)+".key_id", "has %d octets, not %d", len(s.GetKeyId()), len(signature.Key))
		}
		copy(signature.Key[:], s.GetKeyId())
		e.Signatures = append(e.Signatures, signature)
	}
	return e, nil
}

// ChangeToProto returns the message of a change.
func ChangeToProto(c *identifier.Change) *Change {
	return &Change{
		Envelope:  EnvelopeToProto(&c.Envelope),
		IdSeed:    octetsOf(c.IDSeed[:]),
		ValueSeed: octetsOf(c.ValueSeed[:]),
		Rows:      rowsToProto(c.Rows),
	}
}

// ChangeFromProto reads a change. When rows cannot be read, the error is a
// [RowErrors] that names every one of them.
func ChangeFromProto(m *Change) (*identifier.Change, error) {
	if m == nil {
		return nil, fault("change", "is missing")
	}
	if err := checkKnown("", m); err != nil {
		return nil, err
	}
	c := new(identifier.Change)
	var err error
	if c.Envelope, err = EnvelopeFromProto(m.GetEnvelope()); err != nil {
		return nil, within("envelope", err)
	}
	if err := setOctets("id_seed", c.IDSeed[:], m.GetIdSeed()); err != nil {
		return nil, err
	}
	if err := setOctets("value_seed", c.ValueSeed[:], m.GetValueSeed()); err != nil {
		return nil, err
	}
	if c.Rows, err = rowsFromProto(m.GetRows()); err != nil {
		return nil, err
	}
	return c, nil
}

func rowsToProto(rows []identifier.Row) []*Row {
	if len(rows) == 0 {
		return nil
	}
	messages := make([]Row, len(rows)) // one allocation for all
	pointers := make([]*Row, len(rows))
	for i := range rows {
		r, m := &rows[i], &messages[i]
		m.Op = Op(r.Op)
		m.Identifier = r.ID.String()
		m.Version = r.Version
		m.Replaces = octetsOf(r.Replaces[:])
		m.Spelling = r.Spelling
		m.Values = ValuesToProto(r.Values)
		pointers[i] = m
	}
	return pointers
}

func rowsFromProto(messages []*Row) ([]identifier.Row, error) {
	if err := checkCount("rows", len(messages), identifier.MaxRows); err != nil {
		return nil, err
	}
	if len(messages) == 0 {
		return nil, nil
	}
	rows := make([]identifier.Row, len(messages))
	var bad RowErrors
	for i, m := range messages {
		if err := rowFromProto(&rows[i], m); err != nil {
			bad = append(bad, RowFault{Row: i, Err: err})
		}
	}
	if bad != nil {
		return nil, bad
	}
	return rows, nil
}

func rowFromProto(r *identifier.Row, m *Row) error {
	if err := checkKnown("", m); err != nil {
		return err
	}
	switch m.GetOp() {
	case Op_OP_PUT:
		r.Op = identifier.Put
	case Op_OP_WITHDRAW:
		r.Op = identifier.Withdraw
	default:
		return fault("op", "%d is neither put (1) nor withdraw (2)", m.GetOp())
	}
	id, err := identifier.ParseCanonical(m.GetIdentifier())
	if err != nil {
		return within("identifier", err)
	}
	r.ID = id
	r.Version = m.GetVersion()
	if err := setOctets("replaces", r.Replaces[:], m.GetReplaces()); err != nil {
		return err
	}
	r.Spelling = m.GetSpelling()
	for i, v := range m.GetValues() {
		if err := checkValueKnown(v); err != nil {
			return within(at("values", i), err)
		}
	}
	r.Values, err = ValuesFromProto(m.GetValues())
	return err
}

// checkValueKnown checks that a signed value says nothing that is not understood.
func checkValueKnown(m *Value) error {
	if err := checkKnown("", m); err != nil {
		return err
	}
	if l := m.GetLink(); l != nil {
		if err := checkKnown("link", l); err != nil {
			return err
		}
	}
	for i, r := range m.GetReferences() {
		if err := checkKnown(at("references", i), r); err != nil {
			return err
		}
	}
	return nil
}

// checkKnown refuses a message with fields that are not in this version of the
// contract.
func checkKnown(path string, m protoreflect.ProtoMessage) error {
	if len(m.ProtoReflect().GetUnknown()) == 0 {
		return nil
	}
	err := fmt.Errorf("has fields that this version does not know: sign without them, or use a newer node")
	if path == "" {
		path = string(m.ProtoReflect().Descriptor().Name())
	}
	return &FieldError{Field: path, Err: err}
}

// EntryToProto returns the message of an entry of a log.
func EntryToProto(position uint64, e *identifier.Entry) *LoggedEntry {
	return &LoggedEntry{
		Position:  position,
		Kind:      EntryKind(e.Kind),
		TimeMs:    e.Time.UnixMilli(),
		Envelope:  EnvelopeToProto(&e.Envelope),
		IdSeed:    octetsOf(e.IDSeed[:]),
		ValueSeed: octetsOf(e.ValueSeed[:]),
		Rows:      rowsToProto(e.Rows),
		Children:  childrenToProto(e.Children),
	}
}

func childrenToProto(rows []identifier.ChildRow) (messages []*ChildRow) {
	for i := range rows {
		r := &rows[i]
		messages = append(messages, &ChildRow{
			Log: LogToProto(r.Log), Node: KeyToProto(r.Node), Size: r.Size, Root: octetsOf(r.Root[:]), Signature: r.Signature,
		})
	}
	return messages
}

func childrenFromProto(messages []*ChildRow) (rows []identifier.ChildRow, err error) {
	if err := checkCount("children", len(messages), identifier.MaxRows); err != nil {
		return nil, err
	}
	for i, m := range messages {
		r := identifier.ChildRow{Size: m.GetSize(), Signature: m.GetSignature()}
		if err := checkKnown("", m); err != nil {
			return nil, within(at("children", i), err)
		}
		if r.Log, err = LogFromProto(m.GetLog()); err != nil {
			return nil, within(at("children", i), err)
		}
		if r.Node, err = KeyFromProto(m.GetNode()); err != nil {
			return nil, within(at("children", i)+".node", err)
		}
		if err := setOctets("root", r.Root[:], m.GetRoot()); err != nil {
			return nil, within(at("children", i), err)
		}
		rows = append(rows, r)
	}
	return rows, nil
}

// EntryFromProto reads an entry of a log and its position.
func EntryFromProto(m *LoggedEntry) (uint64, *identifier.Entry, error) {
	if err := checkKnown("", m); err != nil {
		return 0, nil, err
	}
	if k := m.GetKind(); k < EntryKind_ENTRY_KIND_GENESIS || k > EntryKind_ENTRY_KIND_ORIGIN {
		return 0, nil, fault("kind", "%d is no kind of entry that this version knows", k)
	}
	e := &identifier.Entry{Kind: identifier.EntryKind(m.GetKind()), Time: time.UnixMilli(m.GetTimeMs()).UTC()}
	var err error
	if e.Envelope, err = EnvelopeFromProto(m.GetEnvelope()); err != nil {
		return 0, nil, within("envelope", err)
	}
	if err := setOctets("id_seed", e.IDSeed[:], m.GetIdSeed()); err != nil {
		return 0, nil, err
	}
	if err := setOctets("value_seed", e.ValueSeed[:], m.GetValueSeed()); err != nil {
		return 0, nil, err
	}
	if e.Rows, err = rowsFromProto(m.GetRows()); err != nil {
		return 0, nil, err
	}
	if e.Children, err = childrenFromProto(m.GetChildren()); err != nil {
		return 0, nil, err
	}
	return m.GetPosition(), e, nil
}
