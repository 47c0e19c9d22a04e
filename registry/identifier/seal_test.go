package identifier_test

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"

	"github.com/nameplate-id/nameplate/registry/identifier"
)

// A sealed entry has the leaf and the row hashes of the whole one, says what is
// registered, and has nothing of what is registered about it.
func TestSealEntry(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := drawEntry(t)
		whole, err := identifier.AppendEntry(nil, e)
		if err != nil {
			t.Fatal(err)
		}
		sealed, err := identifier.SealEntry(whole)
		if err != nil {
			t.Fatal(err)
		}
		a, errA := identifier.EntryLeaf(whole)
		b, errB := identifier.EntryLeaf(sealed)
		if errA != nil || errB != nil || !bytes.Equal(a, b) {
			t.Fatalf("another leaf: %x and %x, %v, %v", a, b, errA, errB)
		}
		s, err := identifier.ParseEntry(sealed)
		if err != nil {
			t.Fatal(err)
		}
		again, err := identifier.AppendEntry(nil, s)
		if err != nil || !bytes.Equal(again, sealed) {
			t.Fatalf("it is not read as it was written: %v", err)
		}
		if twice, err := identifier.SealEntry(sealed); err != nil || !bytes.Equal(twice, sealed) {
			t.Fatalf("sealed twice it is another: %v", err)
		}
		if e.Kind != identifier.EntryChange {
			if !bytes.Equal(whole, sealed) {
				t.Fatal("an entry without rows was changed")
			}
			return
		}
		if !s.Sealed() || s.ValueSeed != (identifier.Seed{}) || len(s.Rows) != len(e.Rows) {
			t.Fatalf("it is not sealed: %+v", s)
		}
		for i := range s.Rows {
			r, was := &s.Rows[i], &e.Rows[i]
			if r.ID != was.ID || r.Version != was.Version || r.Op != was.Op || r.Replaces != was.Replaces || r.Values != nil || r.Spelling != "" {
				t.Fatalf("row %d: %+v", i, r)
			}
			salt := e.IDSeed.Salt(uint32(i))
			x, errX := identifier.RowHash(was, salt, e.ValueSeed.Salt(uint32(i)))
			y, errY := identifier.RowHash(r, salt, identifier.Hash{})
			if errX != nil || errY != nil || x != y {
				t.Fatalf("row %d hashes to %x and %x, %v, %v", i, x, y, errX, errY)
			}
		}
	})
}

// A signed change is good when it is sealed, and not when a row is another.
func TestSealedChange(t *testing.T) {
	whole, err := identifier.AppendEntry(nil, sampleEntry(t))
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := identifier.SealEntry(whole)
	if err != nil {
		t.Fatal(err)
	}
	e, err := identifier.ParseEntry(sealed)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := e.Change().Check(); err != nil {
		t.Errorf("sealed: %v", err)
	}
	e.Rows[0].Sealed[0] ^= 1
	if _, _, err := e.Change().Check(); err == nil {
		t.Error("with another content it is good")
	}
	e.Rows[0].Sealed = nil
	if _, err := identifier.AppendEntry(nil, e); err == nil && len(e.Rows) > 1 {
		t.Error("a half sealed entry is encoded")
	}
}
