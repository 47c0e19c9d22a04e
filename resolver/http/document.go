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

// seconds is a span of time in whole seconds, never less than zero.
func seconds(d time.Duration) int64 { return max(0, int64(d/time.Second)) }

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
