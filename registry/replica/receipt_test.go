package replica_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/replica"
	"github.com/nameplate-id/nameplate/registry/replica/replicatest"
)

// rooted returns a receipt for a log that leads up so many levels, and whose log it is.
func rooted(t testing.TB, levels int) (*replica.Receipt, identifier.LogID, identifier.PublicKey) {
	t.Helper()
	key, log := replicatest.NodeKey(1), replicatest.LogID(1)
	row := identifier.ChildRow{Log: log, Node: key.Public(), Size: 42, Root: identifier.Hash{42}}
	signed := replicatest.SignCheckpoint(row.Size, row.Root, row.Log, key)
	parent := replicatest.NodeKey(2)
	r := &replica.Receipt{Note: replicatest.Cosign(signed, parent), Cosigner: parent.Public(), Top: true}
	for i := range levels {
		by, above := replicatest.NodeKey(byte(2+i)), replicatest.NodeKey(byte(3+i))
		own := replicatest.LogID(byte(2 + i))
		var err error
		if row.Signature, err = replicatest.NoteSignature(signed); err != nil {
			t.Fatal(err)
		}
		rows := []identifier.ChildRow{row, {Log: identifier.LogID{0xff}, Node: key.Public(), Size: 1, Signature: []byte{1}}}
		header, hashes, err := identifier.HashChildren(rows)
		if err != nil {
			t.Fatal(err)
		}
		e := &identifier.Entry{Kind: identifier.EntryChildren, Time: time.UnixMilli(1), Children: rows,
			Envelope: identifier.Sign(identifier.ChildrenType, header.Append(nil), by)}
		leaf := identifier.AppendLeaf(nil, e)
		left := tlog.Hash{9} // of the leaf before
		root := identifier.Hash(tlog.NodeHash(left, tlog.RecordHash(leaf)))
		signed = replicatest.SignCheckpoint(2, root, own, by)
		r.Links = append(r.Links, replica.Link{
			Log: own, Row: row, Proof: identifier.ProveRow(hashes, 0), Leaf: leaf, Position: 1,
			Inclusion: []identifier.Hash{identifier.Hash(left)}, Note: replicatest.Cosign(signed, above), Cosigner: above.Public(),
		})
		row = identifier.ChildRow{Log: own, Node: by.Public(), Size: 2, Root: root}
	}
	return r, log, key.Public()
}

func TestReceipt(t *testing.T) {
	for levels := range 4 {
		want, log, key := rooted(t, levels)
		b, err := replica.AppendReceipt(nil, want)
		if err != nil {
			t.Fatal(err)
		}
		got, err := replica.ParseReceipt(b)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Error(d)
		}
		if size, root, err := got.Check(verifier, log, key); err != nil || size != 42 || root != (identifier.Hash{42}) {
			t.Errorf("%d levels: got %d, %x, %v", levels, size, root, err)
		}
		t.Logf("%d links: %d octets", levels, len(b))
		for n := range b {
			if r, err := replica.ParseReceipt(b[:n]); err == nil {
				t.Fatalf("the first %d octets are read as %+v", n, r)
			}
		}
		if r, err := replica.ParseReceipt(append(bytes.Clone(b), 0)); err == nil {
			t.Errorf("with an octet behind it is read as %+v", r)
		}
	}
}

// No octet of a receipt can be changed: it is not read then, or does not hold. (But for
// the flag, which says what whoever cosigned last is: only their key tells.)
func TestReceiptIsWhole(t *testing.T) {
	r, log, key := rooted(t, 2)
	b, err := replica.AppendReceipt(nil, r)
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		changed := bytes.Clone(b)
		at := rapid.IntRange(2, len(b)-1).Draw(t, "at")
		changed[at] ^= byte(rapid.IntRange(1, 255).Draw(t, "by"))
		got, err := replica.ParseReceipt(changed)
		if err != nil {
			return
		}
		// The time of an entry, and what precedes it in its log, are bound as well.
		if _, _, err := got.Check(verifier, log, key); err == nil && !cmp.Equal(withoutSignatures(got), withoutSignatures(r)) {
			t.Fatalf("octet %d was changed, and it holds", at)
		}
	})
}

// withoutSignatures leaves out what stands beside what is bound: which key signed an
// entry, as its envelope says, is only a hint, and the last bits of base64 have no meaning.
func withoutSignatures(r *replica.Receipt) *replica.Receipt {
	bare := *r
	bare.Note, _, _ = bytes.Cut(r.Note, []byte("\n\n"))
	bare.Links = append([]replica.Link(nil), r.Links...)
	for i := range bare.Links {
		bare.Links[i].Row.Signature = nil
		bare.Links[i].Note, _, _ = bytes.Cut(bare.Links[i].Note, []byte("\n\n"))
	}
	return &bare
}

// Links that belong to other receipts prove nothing.
func TestReceiptLinks(t *testing.T) {
	for name, harm := range map[string]func(*replica.Receipt){
		"a link left out":       func(r *replica.Receipt) { r.Links = r.Links[1:] },
		"links in wrong order":  func(r *replica.Receipt) { r.Links[0], r.Links[1] = r.Links[1], r.Links[0] },
		"another position":      func(r *replica.Receipt) { r.Links[0].Position = 0 },
		"another row":           func(r *replica.Receipt) { r.Links[0].Proof.Index = 1 },
		"a larger row":          func(r *replica.Receipt) { r.Links[0].Row.Size++ },
		"not cosigned":          func(r *replica.Receipt) { r.Links[1].Cosigner = r.Cosigner },
		"cosigned by the child": func(r *replica.Receipt) { r.Cosigner = r.Links[0].Row.Node },
		"the note of another":   func(r *replica.Receipt) { r.Note = r.Links[0].Note },
		"no leaf":               func(r *replica.Receipt) { r.Links[0].Leaf = nil },
	} {
		r, log, key := rooted(t, 2)
		harm(r)
		if _, _, err := r.Check(verifier, log, key); err == nil {
			t.Errorf("%s: it holds", name)
		}
	}
}

// What can be read is written again as the same octets.
func FuzzReceipt(f *testing.F) {
	for levels := range 3 {
		r, _, _ := rooted(f, levels)
		b, err := replica.AppendReceipt(nil, r)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := replica.ParseReceipt(b)
		if err != nil {
			return
		}
		if again, err := replica.AppendReceipt(nil, r); err != nil || !bytes.Equal(again, b) {
			t.Errorf("%x is read as %+v and written as %x, %v", b, r, again, err)
		}
	})
}
