package identifier_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"pgregory.net/rapid"
)

func sampleEntry(t testing.TB) *identifier.Entry {
	t.Helper()
	c := sampleChange(t)
	return &identifier.Entry{
		Kind: identifier.EntryChange, Time: time.UnixMilli(1700000000123).UTC(),
		Envelope: c.Envelope, IDSeed: c.IDSeed, ValueSeed: c.ValueSeed, Rows: c.Rows,
	}
}

func drawEntry(t *rapid.T) *identifier.Entry {
	e := &identifier.Entry{Kind: identifier.EntryKind(rapid.IntRange(1, 8).Draw(t, "kind")), Time: drawMillisecond(t, "time")}
	e.Envelope.PayloadType = e.Kind.PayloadType()
	e.Envelope.Payload = rapid.SliceOfN(rapid.Byte(), 0, 100).Draw(t, "payload")
	for range rapid.IntRange(1, 3).Draw(t, "signatures") {
		e.Envelope.Signatures = append(e.Envelope.Signatures, identifier.Signature{
			Key: identifier.KeyID(drawOctets(t, "key id", 8, 8)), Signature: drawOctets(t, "signature", 1, 70),
		})
	}
	if e.Kind == identifier.EntryChange {
		e.IDSeed, e.ValueSeed = identifier.Seed(drawHash(t, "id seed")), identifier.Seed(drawHash(t, "value seed"))
		e.Rows = drawRows(t, 4)
	}
	if e.Kind == identifier.EntryChildren {
		e.Children = drawChildren(t, 4)
	}
	return e
}

func TestEntryRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := drawEntry(t)
		b, err := identifier.AppendEntry([]byte("before"), e)
		if err != nil {
			t.Fatal(err)
		}
		b = b[len("before"):]
		got, err := identifier.ParseEntry(b)
		if err != nil || !reflect.DeepEqual(got, e) {
			t.Fatalf("got %+v, %v, want %+v", got, err, e)
		}
		leaf, err := identifier.EntryLeaf(b)
		if err != nil || !bytes.Equal(leaf, identifier.AppendLeaf(nil, e)) {
			t.Fatalf("leaf %x, %v", leaf, err)
		}
		bare := *e
		bare.IDSeed, bare.ValueSeed, bare.Rows, bare.Children = identifier.Seed{}, identifier.Seed{}, nil, nil
		if got, err := identifier.ParseLeaf(leaf); err != nil || !reflect.DeepEqual(got, &bare) {
			t.Fatalf("of the leaf: got %+v, %v, want %+v", got, err, &bare)
		}
		readWhole(t, b, func(b []byte) error { _, err := identifier.ParseEntry(b); return err })
		readWhole(t, leaf, func(b []byte) error { _, err := identifier.ParseLeaf(b); return err })
	})
}

// What one octet more or less, or another octet, makes of an entry is either
// refused or another entry in its only encoding.
func TestEntryHasOneEncoding(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b, err := identifier.AppendEntry(nil, drawEntry(t))
		if err != nil {
			t.Fatal(err)
		}
		at := rapid.IntRange(0, len(b)-1).Draw(t, "at")
		switch rapid.IntRange(0, 2).Draw(t, "harm") {
		case 0:
			b[at] = rapid.Byte().Draw(t, "octet")
		case 1:
			b = slices.Delete(b, at, at+1)
		case 2:
			b = slices.Insert(b, at, rapid.Byte().Draw(t, "octet"))
		}
		e, err := identifier.ParseEntry(b)
		if err != nil {
			return
		}
		again, err := identifier.AppendEntry(nil, e)
		if err != nil || !bytes.Equal(again, b) {
			t.Fatalf("%x reads as %+v, which is %x, %v", b, e, again, err)
		}
	})
}

func TestAppendEntryRefuses(t *testing.T) {
	delegation := func(e *identifier.Entry) {
		e.Kind, e.Envelope.PayloadType = identifier.EntryDelegation, identifier.DelegationType
		e.Rows, e.IDSeed, e.ValueSeed = nil, identifier.Seed{}, identifier.Seed{}
	}
	children := func(e *identifier.Entry) {
		delegation(e)
		e.Kind, e.Envelope.PayloadType, e.Children = identifier.EntryChildren, identifier.ChildrenType, sampleChildren(t)
	}
	tests := []struct {
		name string
		harm func(e *identifier.Entry)
		ok   bool
	}{
		{"nothing", func(e *identifier.Entry) {}, true},
		{"delegation", delegation, true},
		{"unknown kind", func(e *identifier.Entry) { e.Kind = 255 }, false},
		{"change with rows of children", func(e *identifier.Entry) { e.Children = sampleChildren(t) }, false},
		{"rows of children", children, true},
		{"no rows of children", func(e *identifier.Entry) { children(e); e.Children = nil }, false},
		{"too many rows of children", func(e *identifier.Entry) { children(e); e.Children = make([]identifier.ChildRow, 1025) }, false},
		{"row of a child of size 0", func(e *identifier.Entry) { children(e); e.Children[0].Size = 0 }, false},
		{"row of a child without a key", func(e *identifier.Entry) { children(e); e.Children[0].Node = identifier.PublicKey{} }, false},
		{"row of a child that is not signed", func(e *identifier.Entry) { children(e); e.Children[0].Signature = nil }, false},
		{"rows of children too large together", func(e *identifier.Entry) {
			children(e)
			e.Children = slices.Repeat(e.Children[:1], 100)
			for i := range e.Children {
				e.Children[i].Signature = make([]byte, identifier.MaxSignature)
			}
		}, false},
		{"kind 0", func(e *identifier.Entry) { e.Kind = 0 }, false},
		{"payload of another type", func(e *identifier.Entry) { e.Envelope.PayloadType = identifier.KeysetType }, false},
		{"no time", func(e *identifier.Entry) { e.Time = time.Time{} }, false},
		{"no rows", func(e *identifier.Entry) { e.Rows = nil }, false},
		{"too many rows", func(e *identifier.Entry) { e.Rows = make([]identifier.Row, 1025) }, false},
		{"delegation with rows", func(e *identifier.Entry) { rows := e.Rows; delegation(e); e.Rows = rows }, false},
		{"delegation with a seed", func(e *identifier.Entry) { delegation(e); e.IDSeed[0] = 1 }, false},
		{"no signature", func(e *identifier.Entry) { e.Envelope.Signatures = nil }, false},
		{"empty signature", func(e *identifier.Entry) { e.Envelope.Signatures[0].Signature = nil }, false},
		{"17 signatures", func(e *identifier.Entry) {
			e.Envelope.Signatures = slices.Repeat(e.Envelope.Signatures[:1], 17)
		}, false},
		{"largest payload", func(e *identifier.Entry) { e.Envelope.Payload = make([]byte, identifier.MaxPayload) }, true},
		{"payload", func(e *identifier.Entry) { e.Envelope.Payload = make([]byte, identifier.MaxPayload+1) }, false},
		{"row without op", func(e *identifier.Entry) { e.Rows[0].Op = 0 }, false},
		{"row of version 0", func(e *identifier.Entry) { e.Rows[0].Version = 0 }, false},
		{"row of version 1 that replaces", func(e *identifier.Entry) { e.Rows[0].Replaces[0] = 1 }, false},
		{"withdrawal with a spelling", func(e *identifier.Entry) { e.Rows[2].Spelling = "x" }, false},
		{"row without identifier", func(e *identifier.Entry) { e.Rows[0].ID = identifier.ID{} }, false},
		{"row with a long identifier", func(e *identifier.Entry) { e.Rows[0].ID.Suffix = string(make([]byte, 2048)) }, false},
		{"rows too large together", func(e *identifier.Entry) {
			for i := range e.Rows {
				e.Rows[i].Op, e.Rows[i].Values = identifier.Put, nil
				for n := range uint32(3) {
					e.Rows[i].Values = append(e.Rows[i].Values, identifier.Value{Index: n + 1, Type: "X", Data: make([]byte, 60000)})
				}
			}
		}, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			e := sampleEntry(t)
			test.harm(e)
			b, err := identifier.AppendEntry(nil, e)
			if (err == nil) != test.ok {
				t.Fatalf("got %v, want ok %v", err, test.ok)
			}
			if len(b) > identifier.MaxEntry {
				t.Errorf("%d octets", len(b))
			}
		})
	}
}

// No entry within the limits of its parts is refused for the limit of the whole.
func TestLargestEntry(t *testing.T) {
	e := sampleEntry(t)
	e.Envelope.Payload = make([]byte, identifier.MaxPayload)
	e.Envelope.Signatures = slices.Repeat([]identifier.Signature{{Signature: make([]byte, identifier.MaxSignature)}}, identifier.MaxSignatures)
	value := identifier.Value{Index: 1, Type: "X", Data: make([]byte, 65000)}
	e.Rows = nil
	for i := range 8 {
		e.Rows = append(e.Rows, identifier.Row{Op: identifier.Put, Version: 1, ID: newID(t, "88.118", string(rune('a'+i))), Values: []identifier.Value{value}})
	}
	b, err := identifier.AppendEntry(nil, e)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := identifier.ParseEntry(b); err != nil {
		t.Errorf("%d octets: %v", len(b), err)
	}
	if _, err := identifier.ParseEntry(make([]byte, identifier.MaxEntry+1)); err == nil {
		t.Error("an entry beyond the limit was read")
	}
}

// Limits that only many octets pass: they are looked at before anything is read.
func TestDecodersRefuseTooMuch(t *testing.T) {
	e := sampleEntry(t)
	e.Rows = nil
	value := identifier.Value{Index: 1, Type: "X", Data: make([]byte, 60000)}
	for i := range 8 {
		e.Rows = append(e.Rows, identifier.Row{Op: identifier.Put, Version: 1, ID: newID(t, "88.118", string(rune('a'+i))), Values: []identifier.Value{value}})
	}
	b, err := identifier.AppendEntry(nil, e)
	if err != nil {
		t.Fatal(err)
	}
	first := bytes.IndexByte(b, 'a') - len("88.118/") - 3 // op, version, length
	row := b[first : first+(len(b)-first)/8]
	b = append(b, row...)
	b[first-1]++ // the count of rows
	tooLarge := []struct {
		name string
		err  error
		rule string
	}{
		{"rows", second(identifier.ParseEntry(b)), "at most 524288"},
		{"entry", second(identifier.ParseEntry(make([]byte, identifier.MaxEntry+1))), "at most 1048576"},
		{"leaf of an entry", second(identifier.EntryLeaf(make([]byte, identifier.MaxEntry+1))), "at most 1048576"},
		{"content", func() error {
			_, _, err := identifier.ParseContent(make([]byte, identifier.MaxContent+1))
			return err
		}(), "at most 262144"},
	}
	for _, test := range tooLarge {
		if test.err == nil || !strings.Contains(test.err.Error(), test.rule) {
			t.Errorf("%s: got %v, want %q", test.name, test.err, test.rule)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestChangeOfDrawnRows(t *testing.T) {
	key := newKey(t, 1)
	rapid.Check(t, func(t *rapid.T) {
		rows := drawRows(t, 8)
		c, err := identifier.SignChange(identifier.Header{Prefix: "88", Expiry: expiry}, rows, nil, key)
		if err != nil {
			t.Fatal(err)
		}
		h, hashes, err := c.Check()
		if err != nil {
			t.Fatal(err)
		}
		size := 0
		for i := range rows {
			n, err := rows[i].Size()
			if err != nil {
				t.Fatal(err)
			}
			size += n
			if err := rows[i].Check("88.118"); err != nil {
				t.Fatal(err)
			}
			if !identifier.ProveRow(hashes, i).Verify(hashes[i], h) {
				t.Fatalf("row %d cannot be proved", i)
			}
		}
		e := &identifier.Entry{Kind: identifier.EntryChange, Time: expiry, Envelope: c.Envelope, IDSeed: c.IDSeed, ValueSeed: c.ValueSeed, Rows: rows}
		b, err := identifier.AppendEntry(nil, e)
		if err != nil {
			t.Fatal(err)
		}
		leaf := identifier.AppendLeaf(nil, e)
		// Format, the leaf and its length (2 octets), the seeds, the count of rows.
		if want := len(b) - 1 - 2 - len(leaf) - 64 - 1; size != want {
			t.Fatalf("the rows have %d octets, want %d", size, want)
		}
		harmRows(t, c)
	})
}

// harmRows changes something about the rows of a signed change, which its check
// must find.
func harmRows(t *rapid.T, c *identifier.Change) {
	harmed := &identifier.Change{Envelope: c.Envelope, IDSeed: c.IDSeed, ValueSeed: c.ValueSeed, Rows: slices.Clone(c.Rows)}
	r := &harmed.Rows[rapid.IntRange(0, len(harmed.Rows)-1).Draw(t, "harmed row")]
	switch rapid.IntRange(0, 6).Draw(t, "harm") {
	case 0:
		r.Version++
	case 1:
		r.Replaces[5] ^= 1
	case 2:
		r.ID.Suffix += "x"
	case 3:
		r.Spelling += "x"
	case 4:
		r.Values = append(slices.Clone(r.Values), identifier.Value{Index: 1<<32 - 1, Type: "X"})
	case 5:
		harmed.IDSeed[31] ^= 1
	case 6:
		harmed.Rows = append(harmed.Rows, identifier.Row{Op: identifier.Put, Version: 1, ID: identifier.ID{Prefix: "88.119"}})
	}
	var broken *identifier.ChangeError
	if _, _, err := harmed.Check(); !errors.As(err, &broken) || broken.Mend == "" {
		t.Fatalf("got %v, want a ChangeError", err)
	}
}

func benchmarkRows(b *testing.B) []identifier.Row {
	rows := make([]identifier.Row, 1000)
	for i := range rows {
		id := newID(b, "88.118.8", "model-4711-sn-"+string([]byte{byte('0' + i/100), byte('0' + i/10%10), byte('0' + i%10)}))
		rows[i] = identifier.NextRow(id, nil)
		rows[i].Values = link("https://maker.example/products/model-4711/serial/000042?source=nameplate&lang=en#documents")
	}
	return rows
}

func BenchmarkSignChange1000(b *testing.B) {
	rows, key := benchmarkRows(b), newKey(b, 1)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := identifier.SignChange(identifier.Header{Prefix: "88", Expiry: expiry}, rows, nil, key); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCheckChange1000(b *testing.B) {
	c, err := identifier.SignChange(identifier.Header{Prefix: "88", Expiry: expiry}, benchmarkRows(b), nil, newKey(b, 1))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := c.Check(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEntry1000(b *testing.B) {
	c, err := identifier.SignChange(identifier.Header{Prefix: "88", Expiry: expiry}, benchmarkRows(b), nil, newKey(b, 1))
	if err != nil {
		b.Fatal(err)
	}
	e := &identifier.Entry{Kind: identifier.EntryChange, Time: expiry, Envelope: c.Envelope, IDSeed: c.IDSeed, ValueSeed: c.ValueSeed, Rows: c.Rows}
	encoded, err := identifier.AppendEntry(nil, e)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("append", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := identifier.AppendEntry(nil, e); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("parse", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := identifier.ParseEntry(encoded); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("hash", func(b *testing.B) {
		for b.Loop() {
			sha256.Sum256(encoded)
		}
	})
}
