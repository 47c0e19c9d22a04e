package identifier_test

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"testing"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"
)

// oracle is the tree of x/mod/sumdb/tlog over the same leaf hashes.
type oracle []tlog.Hash

func newOracle(t *rapid.T, leaves []identifier.Hash) oracle {
	var o oracle
	for i, leaf := range leaves {
		stored, err := tlog.StoredHashesForRecordHash(int64(i), tlog.Hash(leaf), o)
		if err != nil {
			t.Fatal(err)
		}
		o = append(o, stored...)
	}
	return o
}

func (o oracle) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	var out []tlog.Hash
	for _, i := range indexes {
		out = append(out, o[i])
	}
	return out, nil
}

func TestRowTreeIsThatOfRFC9162(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 200).Draw(t, "rows")
		seed := identifier.Seed{byte(n)}
		leaves := make([]identifier.Hash, n)
		for i := range leaves {
			leaves[i] = seed.Salt(uint32(i))
		}
		o := newOracle(t, leaves)
		want, err := tlog.TreeHash(int64(n), o)
		if err != nil {
			t.Fatal(err)
		}
		before := slices.Clone(leaves)
		h := identifier.Header{Rows: uint32(n), Root: identifier.RowRoot(leaves)}
		if h.Root != identifier.Hash(want) {
			t.Fatalf("root of %d rows: %x, want %x", n, h.Root, want)
		}
		index := rapid.IntRange(0, n-1).Draw(t, "index")
		p := identifier.ProveRow(leaves, index)
		if !slices.Equal(leaves, before) {
			t.Fatal("the row hashes were changed")
		}
		wantPath, err := tlog.ProveRecord(int64(n), int64(index), o)
		if err != nil {
			t.Fatal(err)
		}
		if len(p.Path) != len(wantPath) {
			t.Fatalf("path of %d hashes, want %d", len(p.Path), len(wantPath))
		}
		for i := range p.Path {
			if p.Path[i] != identifier.Hash(wantPath[i]) {
				t.Fatalf("hash %d of the path differs", i)
			}
		}
		if !p.Verify(leaves[index], h) {
			t.Fatal("the proof does not verify")
		}
		refuseOtherProofs(t, p, leaves[index], h)
	})
}

// refuseOtherProofs checks that a good proof is good for nothing else: the
// verdict is the oracle's for every change of it.
func refuseOtherProofs(t *rapid.T, p identifier.RowProof, row identifier.Hash, h identifier.Header) {
	verdict := func(what string, p identifier.RowProof, row identifier.Hash, h identifier.Header) {
		var path tlog.RecordProof
		for _, hash := range p.Path {
			path = append(path, tlog.Hash(hash))
		}
		want := h.Rows > 0 && p.Index < h.Rows &&
			tlog.CheckRecord(path, int64(h.Rows), tlog.Hash(h.Root), int64(p.Index), tlog.Hash(row)) == nil
		if got := p.Verify(row, h); got != want {
			t.Fatalf("%s: got %v, want %v", what, got, want)
		}
		if want {
			t.Fatalf("%s: accepted", what)
		}
	}
	bit := rapid.IntRange(0, 255).Draw(t, "bit")
	flip := func(hash identifier.Hash) identifier.Hash {
		hash[bit/8] ^= 1 << (bit % 8)
		return hash
	}
	verdict("other row", p, flip(row), h)
	verdict("other root", p, row, identifier.Header{Rows: h.Rows, Root: flip(h.Root)})
	verdict("no rows", p, row, identifier.Header{Root: h.Root})
	for i := range p.Path {
		path := slices.Clone(p.Path)
		path[i] = flip(path[i])
		verdict("other path", identifier.RowProof{Index: p.Index, Path: path}, row, h)
		verdict("shorter path", identifier.RowProof{Index: p.Index, Path: p.Path[:i]}, row, h)
	}
	verdict("longer path", identifier.RowProof{Index: p.Index, Path: append(slices.Clone(p.Path), identifier.Hash{})}, row, h)
	verdict("index beyond", identifier.RowProof{Index: h.Rows + p.Index, Path: p.Path}, row, h)
	if h.Rows > 1 {
		verdict("other index", identifier.RowProof{Index: (p.Index + 1) % h.Rows, Path: p.Path}, row, h)
	}
}

// A row hash, computed here from its specification alone.
func TestRowHashByTheLetter(t *testing.T) {
	sum := func(parts ...[]byte) []byte {
		h := sha256.Sum256(slices.Concat(parts...))
		return h[:]
	}
	c := sampleChange(t)
	_, hashes, err := c.Check()
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range c.Rows {
		index := binary.BigEndian.AppendUint32(nil, uint32(i))
		idSalt, valueSalt := sum(c.IDSeed[:], index), sum(c.ValueSeed[:], index)
		var content []byte
		if r.Op == identifier.Put {
			if content, err = identifier.AppendContent(nil, r.Spelling, r.Values); err != nil {
				t.Fatal(err)
			}
		}
		leaf := binary.BigEndian.AppendUint64([]byte{1, byte(r.Op)}, r.Version)
		leaf = append(leaf, r.Replaces[:]...)
		leaf = append(leaf, sum([]byte("nameplate id\x00"), idSalt, []byte(r.ID.String()))...)
		leaf = append(leaf, sum([]byte("nameplate content\x00"), valueSalt, content)...)
		want := identifier.Hash(sum([]byte{0}, leaf))
		if hashes[i] != want {
			t.Errorf("row %d: got %x, want %x", i, hashes[i], want)
		}
		got, err := identifier.RowHash(&r, c.IDSeed.Salt(uint32(i)), c.ValueSeed.Salt(uint32(i)))
		if err != nil || got != want {
			t.Errorf("row %d alone: got %x, %v, want %x", i, got, err, want)
		}
	}
}
