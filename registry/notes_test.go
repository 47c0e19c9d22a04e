package registry_test

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"testing"
	"time"

	"github.com/nameplate-id/nameplate/registry"
	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/journal"
	"github.com/nameplate-id/nameplate/registry/replica"
)

// What the journal and the state keep beside entries, whatever stands there, is read as it is
// written, or refused.
func fuzzNote(f *testing.F, kind string, seeds ...[]byte) {
	f.Helper()
	log, key := noteLog, holderKey()
	for _, b := range seeds {
		got, err := registry.Reread(kind, log, key.Public(), b)
		if err != nil || !bytes.Equal(got, b) {
			f.Fatalf("%s %x: written again as %x, %v", kind, b, got, err)
		}
		for n := range b {
			if got, err := registry.Reread(kind, log, key.Public(), b[:n]); err == nil && !bytes.Equal(got, b[:n]) {
				f.Fatalf("%d octets of %s %x: written again as %x", n, kind, b, got)
			}
		}
		f.Add(b)
		f.Add(b[:len(b)-1])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if got, err := registry.Reread(kind, log, key.Public(), b); err == nil && !bytes.Equal(got, b) {
			t.Errorf("%s %x: written again as %x", kind, b, got)
		}
	})
}

var noteLog = identifier.LogID{1, 2, 3}

func noteCheckpoint(f *testing.F, size uint64, root byte) []byte {
	f.Helper()
	note, err := journal.SignCheckpoint(size, identifier.Hash{root}, noteLog, holderKey())
	if err != nil {
		f.Fatal(err)
	}
	return note
}

func FuzzCertain(f *testing.F) {
	f.Add([]byte{1, 1, 0}) // all of it, and more
	row := &replica.Row{Size: 7, Root: identifier.Hash{1}, Checkpoint: noteCheckpoint(f, 7, 1)}
	fuzzNote(f, "certain", registry.AppendCertain(nil), registry.AppendCertain(&replica.Row{}), registry.AppendCertain(row))
}

func FuzzAcknowledged(f *testing.F) {
	key := holderKey().Public()
	fuzzNote(f, "acknowledged", append(append(binary.BigEndian.AppendUint64([]byte{1}, 9), byte(key.Type)), key.Raw...))
}

func FuzzChildNote(f *testing.F) {
	signature, err := journal.CheckpointSignature(noteCheckpoint(f, 7, 1), noteLog, holderKey().Public())
	if err != nil {
		f.Fatal(err)
	}
	row := identifier.ChildRow{Log: noteLog, Node: holderKey().Public(), Size: 7, Root: identifier.Hash{1}, Signature: signature}
	b, err := row.Append(binary.BigEndian.AppendUint64(nil, 12))
	if err != nil {
		f.Fatal(err)
	}
	fuzzNote(f, "child", b)
}

func FuzzQuarantine(f *testing.F) {
	e := &replica.Evidence{Node: holderKey().Public(), Log: noteLog, Held: noteCheckpoint(f, 7, 1), Signed: noteCheckpoint(f, 7, 2)}
	if _, err := registry.NewQuarantine(time.UnixMilli(5), e); err != nil {
		f.Fatal(err)
	}
	fuzzNote(f, "quarantine", replica.AppendEvidence(binary.BigEndian.AppendUint64([]byte{1}, 5), e))
}

func FuzzTold(f *testing.F) {
	fuzzNote(f, "told", append(binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64([]byte{1}, 2), 1700000000000), "88.118"...))
}

func FuzzSummed(f *testing.F) {
	b := []byte("keyvalue")
	fuzzNote(f, "summed", binary.BigEndian.AppendUint32(b, crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli))))
}
