package proto_test

import (
	"crypto/rand"
	"errors"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	protobuf "google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/nameplate-id/nameplate/proto"
	"github.com/nameplate-id/nameplate/registry/identifier"
)

// same compares as the package comment promises: an empty list and none are equal.
func same(got, want any) string { return cmp.Diff(want, got, cmpopts.EquateEmpty()) }

// wire sends a message through its encoding.
func wire[M protobuf.Message](t interface{ Fatal(...any) }, sent, received M) M {
	b, err := protobuf.Marshal(sent)
	if err != nil {
		t.Fatal(err)
	}
	if err := protobuf.Unmarshal(b, received); err != nil {
		t.Fatal(err)
	}
	return received
}

func drawHash(t *rapid.T, label string) (h identifier.Hash) {
	if rapid.Bool().Draw(t, label+" zero") {
		return h
	}
	copy(h[:], rapid.SliceOfN(rapid.Byte(), len(h), len(h)).Draw(t, label))
	return h
}

func drawValue(t *rapid.T) identifier.Value {
	v := identifier.Value{
		Index: rapid.Uint32().Draw(t, "index"),
		Type:  rapid.String().Draw(t, "type"),
		Data:  rapid.SliceOf(rapid.Byte()).Draw(t, "data"),
		TTL: identifier.TTL{
			Absolute: rapid.Bool().Draw(t, "absolute"),
			Seconds:  rapid.Uint32().Draw(t, "ttl"),
		},
		Permissions: identifier.Permissions(rapid.Byte().Draw(t, "permissions")),
		Timestamp:   time.Unix(rapid.Int64Range(1, 1<<40).Draw(t, "timestamp"), 0).UTC(),
	}
	if rapid.Bool().Draw(t, "no timestamp") {
		v.Timestamp = time.Time{}
	}
	if rapid.Bool().Draw(t, "link") {
		v.Link = &identifier.Link{
			Relation: rapid.String().Draw(t, "relation"), Title: rapid.String().Draw(t, "title"),
			Languages: rapid.SliceOfN(rapid.String(), 0, 3).Draw(t, "languages"),
			MediaType: rapid.String().Draw(t, "media type"), Context: rapid.String().Draw(t, "context"),
			Default: rapid.Bool().Draw(t, "default"),
		}
	}
	for range rapid.IntRange(0, 2).Draw(t, "references") {
		v.References = append(v.References, identifier.Reference{Handle: rapid.String().Draw(t, "handle"), Index: rapid.Uint32().Draw(t, "reference")})
	}
	return v
}

func drawValues(t *rapid.T) []identifier.Value {
	return rapid.SliceOfN(rapid.Custom(drawValue), 0, 4).Draw(t, "values")
}

func drawID(t *rapid.T) identifier.ID {
	return identifier.ID{
		Prefix: identifier.Prefix(rapid.StringMatching(`[a-z0-9]{1,8}(\.[a-z0-9]{1,8}){1,3}x`).Draw(t, "prefix")),
		Suffix: rapid.StringMatching(`[a-z0-9/%-]{0,12}`).Draw(t, "suffix"),
	}
}

func drawRow(t *rapid.T) identifier.Row {
	return identifier.Row{
		Op:       rapid.SampledFrom([]identifier.Op{identifier.Put, identifier.Withdraw}).Draw(t, "op"),
		ID:       drawID(t),
		Version:  rapid.Uint64().Draw(t, "version"),
		Replaces: drawHash(t, "replaces"),
		Spelling: rapid.String().Draw(t, "spelling"),
		Values:   drawValues(t),
	}
}

func drawEnvelope(t *rapid.T) identifier.Envelope {
	e := identifier.Envelope{PayloadType: rapid.String().Draw(t, "payload type"), Payload: rapid.SliceOf(rapid.Byte()).Draw(t, "payload")}
	for range rapid.IntRange(0, 3).Draw(t, "signatures") {
		var s identifier.Signature
		copy(s.Key[:], rapid.SliceOfN(rapid.Byte(), 8, 8).Draw(t, "key id"))
		s.Signature = rapid.SliceOf(rapid.Byte()).Draw(t, "signature")
		e.Signatures = append(e.Signatures, s)
	}
	return e
}

func TestChangeRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := &identifier.Change{
			Envelope: drawEnvelope(t),
			IDSeed:   identifier.Seed(drawHash(t, "id seed")), ValueSeed: identifier.Seed(drawHash(t, "value seed")),
			Rows: rapid.SliceOfN(rapid.Custom(drawRow), 0, 4).Draw(t, "rows"),
		}
		got, err := proto.ChangeFromProto(wire(t, proto.ChangeToProto(want), new(proto.Change)))
		if err != nil {
			t.Fatal(err)
		}
		if d := same(got, want); d != "" {
			t.Fatal(d)
		}
	})
}

func TestEntryRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		position := rapid.Uint64().Draw(t, "position")
		want := &identifier.Entry{
			Kind:     identifier.EntryKind(rapid.IntRange(int(identifier.EntryGenesis), int(identifier.EntryGrant)).Draw(t, "kind")),
			Time:     time.UnixMilli(rapid.Int64Range(-1<<50, 1<<50).Draw(t, "time")).UTC(),
			Envelope: drawEnvelope(t),
			IDSeed:   identifier.Seed(drawHash(t, "id seed")), ValueSeed: identifier.Seed(drawHash(t, "value seed")),
			Rows: rapid.SliceOfN(rapid.Custom(drawRow), 0, 4).Draw(t, "rows"),
		}
		at, got, err := proto.EntryFromProto(wire(t, proto.EntryToProto(position, want), new(proto.LoggedEntry)))
		if err != nil {
			t.Fatal(err)
		}
		if d := same(got, want); d != "" || at != position {
			t.Fatal(at, position, d)
		}
	})
}

func TestRecordRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := &identifier.Record{
			ID: drawID(t), Spelling: rapid.String().Draw(t, "spelling"), Version: rapid.Uint64().Draw(t, "version"),
			Time:    time.UnixMilli(rapid.Int64Range(-1<<50, 1<<50).Draw(t, "time")).UTC(),
			RowHash: drawHash(t, "row hash"), Values: drawValues(t),
		}
		got, err := proto.RecordFromProto(want.ID, wire(t, proto.RecordToProto(want), new(proto.Record)))
		if err != nil {
			t.Fatal(err)
		}
		if d := same(got, want); d != "" {
			t.Fatal(d)
		}
	})
}

func TestDelegationRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key := rapid.Custom(func(t *rapid.T) identifier.PublicKey {
			return identifier.PublicKey{
				Type: identifier.KeyType(rapid.Byte().Draw(t, "type")),
				Raw:  string(rapid.SliceOf(rapid.Byte()).Draw(t, "raw")),
			}
		})
		want := &identifier.Delegation{
			Prefix: drawID(t).Prefix, Epoch: rapid.Uint64().Draw(t, "epoch"),
			Keyset: identifier.Keyset{
				Version: rapid.Uint64().Draw(t, "version"), Threshold: rapid.IntRange(0, identifier.MaxKeys).Draw(t, "threshold"),
				Keys: rapid.SliceOfN(key, 0, identifier.MaxKeys).Draw(t, "keys"),
			},
			NoAgents: rapid.Bool().Draw(t, "no agents"), Private: rapid.Bool().Draw(t, "private"),
		}
		node := rapid.Custom(func(t *rapid.T) identifier.Node {
			n := identifier.Node{Name: rapid.String().Draw(t, "name"), Key: key.Draw(t, "key"), HandleKey: key.Draw(t, "handle key")}
			for range rapid.IntRange(0, 3).Draw(t, "addresses") {
				n.Addresses = append(n.Addresses, identifier.Address{
					IP:  rapid.SampledFrom([]string{"192.0.2.1", "2001:db8::1"}).Draw(t, "ip"),
					DNS: rapid.Uint16().Draw(t, "dns"), GRPC: rapid.Uint16().Draw(t, "grpc"),
					HTTP: rapid.Uint16().Draw(t, "http"), Handle: rapid.Uint16().Draw(t, "handle"),
				})
			}
			return n
		})
		if rapid.Bool().Draw(t, "has a node") {
			n := node.Draw(t, "node")
			want.Node = &n
		}
		for range rapid.IntRange(0, identifier.MaxMirrors).Draw(t, "mirrors") {
			want.Mirrors = append(want.Mirrors, node.Draw(t, "mirror"))
		}
		got, err := proto.DelegationFromProto(wire(t, proto.DelegationToProto(want), new(proto.Delegation)))
		if err != nil {
			t.Fatal(err)
		}
		if d := same(got, want); d != "" {
			t.Fatal(d)
		}
	})
}

// A change that was signed here still verifies on the far side.
func TestSignedChangeSurvives(t *testing.T) {
	key, err := identifier.NewPrivateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rows := []identifier.Row{{
		Op: identifier.Put, ID: identifier.ID{Prefix: "88.118.8", Suffix: "sn-42"}, Version: 1, Spelling: "88.118.8/SN-42",
		Values: []identifier.Value{{
			Index: 1, Type: "URL", Data: []byte("https://maker.example/42"), TTL: identifier.DefaultTTL,
			Permissions: identifier.DefaultPermissions, Timestamp: time.Unix(1_800_000_000, 0).UTC(),
			Link: &identifier.Link{Relation: "gs1:pip", Title: "Produkt", Languages: []string{"de"}, Default: true},
		}},
	}, {
		Op: identifier.Withdraw, ID: identifier.ID{Prefix: "88.118.8", Suffix: "sn-43"}, Version: 2, Replaces: identifier.Hash{1},
	}}
	header := identifier.Header{Prefix: "88.118.8", Epoch: 1, KeysetVersion: 1, Expiry: time.Unix(2_000_000_000, 0).UTC()}
	signed, err := identifier.SignChange(header, rows, rand.Reader, key)
	if err != nil {
		t.Fatal(err)
	}
	got, err := proto.ChangeFromProto(wire(t, proto.ChangeToProto(signed), new(proto.Change)))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := got.Check(); err != nil {
		t.Errorf("check: %v", err)
	}
	if n := got.Envelope.SignedBy([]identifier.PublicKey{key.Public()}); n != 1 {
		t.Errorf("got %d good signatures; want 1", n)
	}
}

func TestChangesThatAreRefused(t *testing.T) {
	good := func() *proto.Change {
		return proto.ChangeToProto(&identifier.Change{
			Envelope: identifier.Envelope{PayloadType: "t", Payload: []byte{1}, Signatures: []identifier.Signature{{}}},
			Rows: []identifier.Row{
				{Op: identifier.Put, ID: identifier.ID{Prefix: "88", Suffix: "a"}, Version: 1, Values: []identifier.Value{{Index: 1, Link: &identifier.Link{}}}},
				{Op: identifier.Put, ID: identifier.ID{Prefix: "88", Suffix: "b"}, Version: 1},
			},
		})
	}
	unknown := []byte{0xf8, 0x7f, 1} // field 2047, a number
	for name, test := range map[string]struct {
		spoil func(*proto.Change)
		want  string // in the error
		rows  []int
	}{
		"nothing wrong":         {spoil: func(*proto.Change) {}},
		"short seed":            {spoil: func(m *proto.Change) { m.IdSeed = []byte{1} }, want: "id_seed"},
		"long seed":             {spoil: func(m *proto.Change) { m.ValueSeed = make([]byte, 33) }, want: "value_seed"},
		"short key id":          {spoil: func(m *proto.Change) { m.Envelope.Signatures[0].KeyId = []byte{1} }, want: "envelope.signatures[0].key_id"},
		"no envelope":           {spoil: func(m *proto.Change) { m.Envelope = nil }},
		"many signatures":       {spoil: func(m *proto.Change) { m.Envelope.Signatures = make([]*proto.Signature, 17) }, want: "envelope.signatures"},
		"many rows":             {spoil: func(m *proto.Change) { m.Rows = make([]*proto.Row, 1025) }, want: "rows"},
		"many values":           {spoil: func(m *proto.Change) { m.Rows[1].Values = make([]*proto.Value, 2049) }, want: "values", rows: []int{1}},
		"no op":                 {spoil: func(m *proto.Change) { m.Rows[0].Op = 0 }, want: "op", rows: []int{0}},
		"unknown op":            {spoil: func(m *proto.Change) { m.Rows[1].Op = 3 }, want: "op", rows: []int{1}},
		"malformed identifiers": {spoil: func(m *proto.Change) { m.Rows[0].Identifier = "88/"; m.Rows[1].Identifier = "88/B" }, want: "identifier", rows: []int{0, 1}},
		"empty row":             {spoil: func(m *proto.Change) { m.Rows[0] = nil }, want: "op", rows: []int{0}},
		"short hash":            {spoil: func(m *proto.Change) { m.Rows[0].Replaces = []byte{1} }, want: "replaces", rows: []int{0}},
		"permissions":           {spoil: func(m *proto.Change) { m.Rows[0].Values[0].Permissions = 256 }, want: "values[0].permissions", rows: []int{0}},
		"many languages":        {spoil: func(m *proto.Change) { m.Rows[0].Values[0].Link.Languages = make([]string, 33) }, want: "link.languages", rows: []int{0}},
		"many references":       {spoil: func(m *proto.Change) { m.Rows[0].Values[0].References = make([]*proto.Reference, 65) }, want: "references", rows: []int{0}},
		"unknown in change":     {spoil: func(m *proto.Change) { m.ProtoReflect().SetUnknown(unknown) }, want: "does not know"},
		"unknown in envelope":   {spoil: func(m *proto.Change) { m.Envelope.ProtoReflect().SetUnknown(unknown) }, want: "does not know"},
		"unknown in row":        {spoil: func(m *proto.Change) { m.Rows[1].ProtoReflect().SetUnknown(unknown) }, want: "does not know", rows: []int{1}},
		"unknown in value":      {spoil: func(m *proto.Change) { m.Rows[0].Values[0].ProtoReflect().SetUnknown(unknown) }, want: "does not know", rows: []int{0}},
		"unknown in link":       {spoil: func(m *proto.Change) { m.Rows[0].Values[0].Link.ProtoReflect().SetUnknown(unknown) }, want: "does not know", rows: []int{0}},
	} {
		t.Run(name, func(t *testing.T) {
			m := good()
			test.spoil(m)
			_, err := proto.ChangeFromProto(m)
			if test.want == "" {
				if err != nil {
					t.Errorf("got %v; want no error", err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("got %v; want an error with %q", err, test.want)
			}
			var bad proto.RowErrors
			var rows []int
			if errors.As(err, &bad) {
				for _, fault := range bad {
					rows = append(rows, fault.Row)
				}
			}
			if d := same(rows, test.rows); d != "" {
				t.Error(d)
			}
		})
	}
	if _, err := proto.ChangeFromProto(nil); err == nil {
		t.Error("a missing change was read")
	}
}

func TestDelegationsThatAreRefused(t *testing.T) {
	for want, m := range map[string]*proto.Delegation{
		"prefix":                 {Prefix: "88.A"},
		"keyset.threshold":       {Keyset: &proto.Keyset{Threshold: 17}},
		"keyset.keys":            {Keyset: &proto.Keyset{Keys: make([]*proto.PublicKey, 17)}},
		"keyset.keys[0].type":    {Keyset: &proto.Keyset{Keys: []*proto.PublicKey{{Type: 256}}}},
		"node.key.type":          {Node: &proto.Node{Key: &proto.PublicKey{Type: 256}}},
		"node.addresses":         {Node: &proto.Node{Addresses: make([]*proto.Address, 17)}},
		"node.addresses[0].ip":   {Node: &proto.Node{Addresses: []*proto.Address{{Ip: "localhost"}}}},
		"mirrors":                {Mirrors: make([]*proto.Node, 9)},
		"node.handle_key.type":   {Node: &proto.Node{HandleKey: &proto.PublicKey{Type: 256}}},
		"mirrors[0].key.type":    {Mirrors: []*proto.Node{{Key: &proto.PublicKey{Type: 256}}}},
		"node.addresses[0].http": {Node: &proto.Node{Addresses: []*proto.Address{{Ip: "192.0.2.1", Http: 65536}}}},
	} {
		_, err := proto.DelegationFromProto(m)
		var e *proto.FieldError
		if !errors.As(err, &e) || e.Field != want {
			t.Errorf("got %v; want an error in %s", err, want)
		}
	}
}

func TestDetail(t *testing.T) {
	for _, text := range []string{"", "short", strings.Repeat("a", proto.MaxDetail), strings.Repeat("ö", proto.MaxDetail), "\xff\xfe" + strings.Repeat("€", 500)} {
		got := proto.Detail(text)
		if len(got) > proto.MaxDetail || !utf8.ValidString(got) {
			t.Errorf("got %d octets, valid %t", len(got), utf8.ValidString(got))
		}
		if len(text) <= proto.MaxDetail && utf8.ValidString(text) && got != text {
			t.Errorf("got %q; want it unchanged", got)
		}
	}
}
