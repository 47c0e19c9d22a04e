package state_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nameplate-id/nameplate/registry/state"
)

// However the octets of a file are changed, examining it ends, without a panic.
// What is drawn are changes to a sound file: five octets each, where and how.
func FuzzExamine(f *testing.F) {
	path := filepath.Join(f.TempDir(), "state.db")
	s, err := state.Open(path, state.Options{Journal: journalID})
	if err != nil {
		f.Fatal(err)
	}
	b := state.Batch{Log: 1, Position: 1, At: 0, End: 1}
	for i := range 3000 {
		b.Mutations = append(b.Mutations, record(strings.Repeat("k", 30)+fmt.Sprint(i), 1))
	}
	if err := s.Publish(f.Context(), b); err != nil {
		f.Fatal(err)
	}
	s.Close()
	text, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	text = text[:min(len(text), 128*4096)]
	branches, err := state.PagesOf(path, state.Records)
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte{})
	f.Add([]byte{0, 0, 16, 40, 1})
	for _, id := range append(branches.Branches, branches.Freelist) {
		f.Add(append(binary.BigEndian.AppendUint32(nil, uint32(id)*4096+24), 3))
	}
	f.Fuzz(func(t *testing.T, changes []byte) {
		damaged := bytes.Clone(text)
		for ; len(changes) >= 5; changes = changes[5:] {
			damaged[int(binary.BigEndian.Uint32(changes))%len(damaged)] ^= changes[4]
		}
		err := state.Examine(damaged, state.Options{Journal: journalID})
		if err != nil && err.Error() == "" {
			t.Error("an error that says nothing")
		}
	})
}

// What the header rows hold is read as it is written, or refused.
func FuzzHeader(f *testing.F) {
	castagnoli := crc32.MakeTable(crc32.Castagnoli)
	header := binary.BigEndian.AppendUint32(nil, state.Format)
	header = append(header, make([]byte, 16+8)...)
	header = binary.BigEndian.AppendUint32(header, crc32.Checksum(header, castagnoli))
	if got, err := state.RereadHeader(header); err != nil || !bytes.Equal(got, header) {
		f.Fatalf("%x: written again as %x, %v", header, got, err)
	}
	key, row := []byte{0, 0, 0, 7}, bytes.Repeat([]byte{3}, 5*8+3*32)
	row = binary.BigEndian.AppendUint32(row, crc32.Checksum(append(bytes.Clone(key), row...), castagnoli))
	if got, err := state.RereadLog(key, row); err != nil || !bytes.Equal(got, row) {
		f.Fatalf("%x: written again as %x, %v", row, got, err)
	}
	f.Add([]byte{}, header)
	f.Add(key, row)
	f.Fuzz(func(t *testing.T, key, b []byte) {
		if got, err := state.RereadHeader(b); err == nil && got != nil && !bytes.Equal(got, b) {
			t.Errorf("header %x: written again as %x", b, got)
		}
		if got, err := state.RereadLog(key, b); err == nil && !bytes.Equal(got, b) {
			t.Errorf("row of a log %x: written again as %x", b, got)
		}
	})
}

// The header of an index is read as it is written, or refused. Half of what is drawn has the
// right checksum.
func FuzzIndexHeader(f *testing.F) {
	for _, bits := range []uint32{0, 11, 12, 13, 26, 27, 63, 64, 1<<32 - 1} {
		header, size := state.IndexHeader(bits)
		got, err := state.RereadIndexHeader(header, size)
		if sound := bits >= 12 && bits <= 26; sound != (err == nil) || sound && !bytes.Equal(got, header) {
			f.Fatalf("%d bits: %x: written again as %x, %v", bits, header, got, err)
		}
		f.Add(header, size, true)
		f.Add(header, size+1, false)
	}
	f.Fuzz(func(t *testing.T, b []byte, size int64, sum bool) {
		if n := len(b) - 4; sum && n >= 0 {
			b = binary.BigEndian.AppendUint32(b[:n:n], crc32.Checksum(b[:n], crc32.MakeTable(crc32.Castagnoli)))
		}
		if got, err := state.RereadIndexHeader(b, size); err == nil && !bytes.Equal(got, b) {
			t.Errorf("header %x: written again as %x", b, got)
		}
	})
}
