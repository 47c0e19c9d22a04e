package identifier_test

import (
	"bytes"
	"testing"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"pgregory.net/rapid"
)

// What an examined change gives is what encoding its rows gives, with contents and without.
func TestExamined(t *testing.T) {
	key := newKey(t, 1)
	rapid.Check(t, func(t *rapid.T) {
		c, err := identifier.SignChange(identifier.Header{Prefix: "88", Expiry: expiry}, drawRows(t, 8), nil, key)
		if err != nil {
			t.Fatal(err)
		}
		e := &identifier.Entry{
			Kind: identifier.EntryChange, Time: drawMillisecond(t, "time"),
			Envelope: c.Envelope, IDSeed: c.IDSeed, ValueSeed: c.ValueSeed, Rows: c.Rows,
		}
		whole := compareExamined(t, e)
		sealed, err := identifier.SealEntry(whole)
		if err != nil {
			t.Fatal(err)
		}
		if e, err = identifier.ParseEntry(sealed); err != nil {
			t.Fatal(err)
		}
		compareExamined(t, e)
	})
}

// compareExamined returns the encoded entry.
func compareExamined(t *rapid.T, e *identifier.Entry) []byte {
	x, err := e.Change().Examine()
	if err != nil {
		t.Fatal(err)
	}
	want, err := identifier.AppendEntry([]byte("before"), e)
	if err != nil {
		t.Fatal(err)
	}
	got, err := x.AppendEntry([]byte("before"), e)
	if err != nil || !bytes.Equal(got, want) {
		t.Fatalf("entry:\n got %x, %v\nwant %x", got, err, want)
	}
	keys, size := x.Keys(), 0
	for i := range e.Rows {
		row := &e.Rows[i]
		key := identifier.AppendKey(nil, row.ID)
		if !bytes.Equal(x.Key(i), key) || keys[i] != string(key) {
			t.Fatalf("row %d: got keys %q and %q, want %q", i, x.Key(i), keys[i], key)
		}
		record := identifier.Record{
			ID: row.ID, Spelling: row.Spelling, Version: row.Version, Time: e.Time,
			Withdrawn: row.Op == identifier.Withdraw, RowHash: x.Hashes[i], Values: row.Values,
		}
		want, err := identifier.AppendStored([]byte("before"), key, &record, 7)
		if err != nil {
			t.Fatal(err)
		}
		got, err := x.AppendStored([]byte("before"), e, i, 7)
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("row %d:\n got %x, %v\nwant %x", i, got, err, want)
		}
		size += len(got) - len("before")
	}
	if size > x.StoredSize() {
		t.Fatalf("the stored rows have %d octets, more than %d", size, x.StoredSize())
	}
	return want[len("before"):]
}
