package http

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/resolver"
)

// document is an answer in JSON, as schema/resolve.schema.json describes it. Names
// and meanings never change; members may be added.
type document struct {
	Outcome    string         `json:"outcome"`
	Identifier string         `json:"identifier"`
	Record     *recordDoc     `json:"record,omitempty"`
	Default    *valueDoc      `json:"default,omitempty"`
	Delegation *delegationDoc `json:"delegation,omitempty"`
	Below      bool           `json:"below,omitempty"`
	Apex       string         `json:"apex"`
	InZone     bool           `json:"inZone"`
	Lifetime   int64          `json:"lifetime"` // whole seconds
	Origin     originDoc      `json:"origin"`
}

type originDoc struct {
	Log      hexBytes `json:"log"`
	Position uint64   `json:"position"`
	Mirror   bool     `json:"mirror"`
	Age      int64    `json:"age"` // whole seconds
	Stale    bool     `json:"stale,omitempty"`
}

type recordDoc struct {
	Spelling string     `json:"spelling"`
	Version  uint64     `json:"version"`
	Time     time.Time  `json:"time"`
	RowHash  hexBytes   `json:"rowHash"`
	Suspect  bool       `json:"suspect,omitempty"`
	Values   []valueDoc `json:"values"`
}

// valueDoc has data when the value's octets are UTF-8, base64 when they are not.
type valueDoc struct {
	Index       uint32         `json:"index"`
	Type        string         `json:"type"`
	Data        *string        `json:"data,omitempty"`
	Base64      []byte         `json:"base64,omitempty"`
	TTL         *uint32        `json:"ttl,omitempty"`  // seconds
	Until       time.Time      `json:"until,omitzero"` // in place of ttl
	Permissions permissions    `json:"permissions"`    // as Handle writes them
	Timestamp   time.Time      `json:"timestamp,omitzero"`
	Link        *linkDoc       `json:"link,omitempty"`
	References  []referenceDoc `json:"references,omitempty"`
}

type linkDoc struct {
	Relation  string   `json:"relation,omitempty"`
	Title     string   `json:"title,omitempty"`
	Languages []string `json:"languages,omitempty"`
	MediaType string   `json:"mediaType,omitempty"`
	Context   string   `json:"context,omitempty"`
	Default   bool     `json:"default,omitempty"`
}

type referenceDoc struct {
	Handle string `json:"handle"`
	Index  uint32 `json:"index"`
}

type delegationDoc struct {
	Prefix   string    `json:"prefix"`
	Epoch    uint64    `json:"epoch"`
	Keyset   keysetDoc `json:"keyset"`
	Node     *nodeDoc  `json:"node,omitempty"`
	Mirrors  []nodeDoc `json:"mirrors,omitempty"`
	NoAgents bool      `json:"noAgents"`
	Private  bool      `json:"private"`
	Policy   string    `json:"policy,omitempty"` // mirror when there is none
}

type keysetDoc struct {
	Version   uint64                 `json:"version"`
	Threshold int                    `json:"threshold"`
	Keys      []identifier.PublicKey `json:"keys"`
}

type nodeDoc struct {
	Name      string                `json:"name"`
	Key       identifier.PublicKey  `json:"key"`
	HandleKey *identifier.PublicKey `json:"handleKey,omitempty"`
	Addresses []addressDoc          `json:"addresses"`
}

type addressDoc struct {
	IP     string `json:"ip"`
	DNS    uint16 `json:"dns,omitempty"`
	GRPC   uint16 `json:"grpc,omitempty"`
	HTTP   uint16 `json:"http,omitempty"`
	Handle uint16 `json:"handle,omitempty"`
}

// hexBytes are octets in hexadecimal.
type hexBytes []byte

func (b hexBytes) MarshalText() ([]byte, error) { return []byte(hex.EncodeToString(b)), nil }

func (b *hexBytes) UnmarshalText(text []byte) (err error) {
	*b, err = hex.DecodeString(string(text))
	return err
}

// permissions are written as Handle software does: admin read, admin write, public
// read, public write, each 1 or 0.
type permissions identifier.Permissions

func (p permissions) MarshalText() ([]byte, error) { return fmt.Appendf(nil, "%04b", uint8(p)), nil }

func (p *permissions) UnmarshalText(text []byte) error {
	n, err := strconv.ParseUint(string(text), 2, 4)
	if err != nil || len(text) != 4 {
		return fmt.Errorf("permissions %q are not four digits of 0 and 1", text)
	}
	*p = permissions(n)
	return nil
}

// newDocument writes an answer.
func newDocument(a *resolver.Answer) *document {
	d := &document{
		Outcome:    a.Outcome.String(),
		Identifier: a.ID.String(),
		Below:      a.Below,
		Apex:       string(a.Apex),
		InZone:     a.InZone,
		Lifetime:   seconds(a.Lifetime),
		Origin: originDoc{
			Log: a.Origin.Log[:], Position: a.Origin.Position,
			Mirror: a.Origin.Mirror, Age: seconds(a.Origin.Age), Stale: a.Origin.Stale,
		},
	}
	if a.Record != nil {
		d.Record = newRecordDoc(a.Record)
	}
	if a.Default != nil {
		v := newValueDoc(a.Default)
		d.Default = &v
	}
	if a.Outcome == resolver.Referral && a.Delegation != nil {
		d.Delegation = newDelegationDoc(a.Delegation)
	}
	return d
}

func newRecordDoc(r *identifier.Record) *recordDoc {
	d := &recordDoc{
		Suspect: r.Suspect, Spelling: r.Spelling, Version: r.Version, Time: r.Time.UTC(), RowHash: r.RowHash[:],
		Values: make([]valueDoc, len(r.Values)),
	}
	for i := range r.Values {
		d.Values[i] = newValueDoc(&r.Values[i])
	}
	return d
}

func newValueDoc(v *identifier.Value) valueDoc {
	d := valueDoc{Index: v.Index, Type: v.Type, Permissions: permissions(v.Permissions)}
	if utf8.Valid(v.Data) {
		text := string(v.Data)
		d.Data = &text
	} else {
		d.Base64 = v.Data
	}
	if v.TTL.Absolute {
		d.Until = time.Unix(int64(v.TTL.Seconds), 0).UTC()
	} else {
		d.TTL = &v.TTL.Seconds
	}
	if !v.Timestamp.IsZero() {
		d.Timestamp = v.Timestamp.UTC()
	}
	if l := v.Link; l != nil {
		d.Link = &linkDoc{Relation: l.Relation, Title: l.Title, Languages: l.Languages, MediaType: l.MediaType, Context: l.Context, Default: l.Default}
	}
	for _, r := range v.References {
		d.References = append(d.References, referenceDoc(r))
	}
	return d
}

func newDelegationDoc(d *identifier.Delegation) *delegationDoc {
	doc := &delegationDoc{
		Prefix: string(d.Prefix), Epoch: d.Epoch, NoAgents: d.NoAgents, Private: d.Private,
		Keyset: keysetDoc{Version: d.Keyset.Version, Threshold: d.Keyset.Threshold, Keys: d.Keyset.Keys},
	}
	if d.Policy != identifier.PolicyMirror {
		doc.Policy = d.Policy.String()
	}
	if doc.Keyset.Keys == nil {
		doc.Keyset.Keys = []identifier.PublicKey{}
	}
	if d.Node != nil {
		doc.Node = newNodeDoc(d.Node)
	}
	for i := range d.Mirrors {
		doc.Mirrors = append(doc.Mirrors, *newNodeDoc(&d.Mirrors[i]))
	}
	return doc
}

func newNodeDoc(n *identifier.Node) *nodeDoc {
	doc := &nodeDoc{Name: n.Name, Key: n.Key, Addresses: []addressDoc{}}
	if n.HandleKey != (identifier.PublicKey{}) {
		doc.HandleKey = &n.HandleKey
	}
	for _, a := range n.Addresses {
		doc.Addresses = append(doc.Addresses, addressDoc(a))
	}
	return doc
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

// seconds is a span of time in whole seconds, never less than zero.
func seconds(d time.Duration) int64 { return max(0, int64(d/time.Second)) }

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

// encode writes JSON for people and programs: indented, and without the escapes
// that only HTML needs; it is never served as HTML.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(v)
	return b.Bytes(), err
}
