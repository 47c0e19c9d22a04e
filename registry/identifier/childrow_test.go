package identifier_test

import (
	"bytes"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/nameplate-id/nameplate/registry/identifier"
)

// sampleChildren returns the rows that the vectors have.
func sampleChildren(t testing.TB) []identifier.ChildRow {
	t.Helper()
	var rows []identifier.ChildRow
	for i := range byte(3) {
		rows = append(rows, identifier.ChildRow{
			Log: identifier.LogID{i, 15: 1}, Node: newKey(t, 10+i).Public(), Size: 1 + 1000*uint64(i), Root: identifier.Hash{i, 2},
			Signature: bytes.Repeat([]byte{0x40 + i}, 64),
		})
	}
	return rows
}

// drawChildren draws rows that may stand in one entry.
func drawChildren(t *rapid.T, most int) []identifier.ChildRow {
	logs := rapid.SliceOfNDistinct(rapid.Custom(func(t *rapid.T) [16]byte { return [16]byte(drawOctets(t, "log", 16, 16)) }), 1, most, rapid.ID).Draw(t, "logs")
	slices.SortFunc(logs, func(a, b [16]byte) int { return bytes.Compare(a[:], b[:]) })
	var rows []identifier.ChildRow
	for _, log := range logs {
		rows = append(rows, identifier.ChildRow{
			Log: log, Node: identifier.PublicKey{Type: identifier.KeyType(rapid.IntRange(1, 255).Draw(t, "type")), Raw: string(drawOctets(t, "key", 1, 40))},
			Size: rapid.Uint64Min(1).Draw(t, "size"), Root: drawHash(t, "root"), Signature: drawOctets(t, "signature", 1, 70),
		})
	}
	return rows
}

// Every row of an entry can be proved alone, and no other row in its place.
func TestChildRowIsProved(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rows := drawChildren(t, 20)
		header, hashes, err := identifier.HashChildren(rows)
		if err != nil {
			t.Fatal(err)
		}
		i := rapid.IntRange(0, len(rows)-1).Draw(t, "row")
		proof := identifier.ProveRow(hashes, i)
		leaf, err := rows[i].Append(nil)
		if err != nil || !proof.VerifyChild(identifier.ChildRowHash(leaf), header) {
			t.Fatalf("row %d of %d is not proved: %v", i, len(rows), err)
		}
		rows[i].Size++
		if leaf, _ = rows[i].Append(nil); proof.VerifyChild(identifier.ChildRowHash(leaf), header) {
			t.Fatal("another size is proved too")
		}
		e := &identifier.Entry{Envelope: identifier.Envelope{Payload: header.Append(nil)}, Children: rows}
		if _, err := e.CheckChildren(); err == nil {
			t.Fatal("rows pass that were not signed")
		}
		rows[i].Size--
		if got, err := e.CheckChildren(); err != nil || !slices.Equal(got, hashes) {
			t.Fatalf("the rows that were signed do not pass: %v", err)
		}
	})
}

// The rows of an entry ascend strictly by log, so that each log has one.
func TestChildrenAscend(t *testing.T) {
	rows := sampleChildren(t)
	rows[1].Log = rows[0].Log
	if _, _, err := identifier.HashChildren(rows); err == nil {
		t.Error("a log stands there twice")
	}
	rows = sampleChildren(t)
	slices.Reverse(rows)
	if _, _, err := identifier.HashChildren(rows); err == nil {
		t.Error("rows descend")
	}
	if _, _, err := identifier.HashChildren(nil); err == nil {
		t.Error("there are no rows")
	}
}
