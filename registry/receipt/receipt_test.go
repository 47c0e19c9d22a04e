package receipt_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/journal"
	"github.com/nameplate-id/nameplate/registry/receipt"
	"github.com/nameplate-id/nameplate/registry/replica"
)

// parties are who signs in these tests, with keys that are always the same.
type parties struct {
	holder, node, parent, stranger identifier.PrivateKey
	log                            identifier.LogID
}

func newParties(t testing.TB) parties {
	t.Helper()
	key := func(n byte) identifier.PrivateKey {
		k, err := identifier.NewPrivateKey(bytes.NewReader(bytes.Repeat([]byte{n}, 32)))
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	return parties{holder: key(1), node: key(2), parent: key(3), stranger: key(4), log: identifier.LogID{5}}
}

func (p parties) keys() receipt.Keys {
	return receipt.Keys{
		Holders: []identifier.PublicKey{p.holder.Public()}, Nodes: []identifier.PublicKey{p.node.Public()},
		Parents: []identifier.PublicKey{p.parent.Public()},
	}
}

// shelf keeps the tiles of a tree.
type shelf map[[2]uint64][]byte

func (s shelf) Tile(level int, index uint64) ([]byte, error) {
	b, ok := s[[2]uint64{uint64(level), index}]
	if !ok {
		return nil, fmt.Errorf("no tile %d of level %d", index, level)
	}
	return b, nil
}

// logged makes a log of so many entries, of which one is a change of so many rows, and
// returns the receipt for a row of it.
func logged(t testing.TB, p parties, entries, position uint64, rows, row int, cosigned bool) *receipt.Receipt {
	t.Helper()
	list := make([]identifier.Row, rows)
	for i := range list {
		id, err := identifier.Parse(fmt.Sprintf("88.118.8/sn-2026-%08d", i))
		if err != nil {
			t.Fatal(err)
		}
		list[i] = identifier.NextRow(id, nil)
		list[i].Values = []identifier.Value{{
			Index: 1, Type: "URL", Data: fmt.Appendf(nil, "https://maker.example/products/pumps/series-4/%s", id.Suffix),
			TTL: identifier.DefaultTTL, Permissions: identifier.DefaultPermissions, Timestamp: time.Unix(1_790_000_000, 0),
		}}
	}
	change, err := identifier.SignChange(identifier.Header{
		Prefix: "88.118.8", Epoch: 1, KeysetVersion: 1, Expiry: time.Unix(1_800_000_000, 0),
	}, list, rand.NewChaCha8([32]byte{7}), p.holder)
	if err != nil {
		t.Fatal(err)
	}
	_, hashes, err := change.Check()
	if err != nil {
		t.Fatal(err)
	}
	leaf := identifier.AppendLeaf(nil, &identifier.Entry{Kind: identifier.EntryChange, Time: time.UnixMilli(1_795_000_000_123), Envelope: change.Envelope})
	tree, tiles := &journal.Tree{}, shelf{}
	for i := range entries {
		hash := identifier.Hash{}
		binary.BigEndian.PutUint64(hash[:], i)
		if i == position {
			hash = journal.LeafHash(leaf)
		}
		for _, tile := range tree.AppendHash(hash) {
			tiles[[2]uint64{uint64(tile.Level), tile.Index}] = tile.Hashes
		}
	}
	note, err := journal.SignCheckpoint(entries, tree.Root(), p.log, p.node)
	if err != nil {
		t.Fatal(err)
	}
	r := &receipt.Receipt{
		Log: p.log, Node: p.node.Public(), Row: list[row], IDSalt: change.IDSeed.Salt(uint32(row)), ValueSalt: change.ValueSeed.Salt(uint32(row)),
		Path: identifier.ProveRow(hashes, row), Leaf: leaf, Position: position, Note: note,
	}
	if r.Inclusion, err = journal.ProveInclusion(position, entries, tiles); err != nil {
		t.Fatal(err)
	}
	if cosigned {
		note, err := journal.Cosign(note, p.log, p.node.Public(), time.Unix(1_795_000_001, 0), p.parent)
		if err != nil {
			t.Fatal(err)
		}
		r.Note, r.Cosigned = nil, &replica.Receipt{Note: note, Cosigner: p.parent.Public()}
	}
	return r
}

func encode(t testing.TB, r *receipt.Receipt) []byte {
	t.Helper()
	b, err := receipt.Append(nil, r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func raw(k identifier.PrivateKey) ed25519.PublicKey { return ed25519.PublicKey(k.Public().Raw) }

// TestVerify proves rows of every place in changes of many sizes, by both verifiers.
func TestVerify(t *testing.T) {
	p := newParties(t)
	for _, c := range []struct {
		entries, position uint64
		rows, row         int
		cosigned          bool
		level             string
	}{
		{1, 0, 1, 0, false, "local"}, {1, 0, 1, 0, true, "anchored"}, {2, 1, 3, 2, true, "anchored"}, {300, 299, 7, 6, true, "anchored"},
		{300, 0, 5, 4, true, "anchored"}, {1000, 511, 1024, 1023, true, "anchored"}, {70_000, 65_536, 1000, 0, false, "local"},
	} {
		b := encode(t, logged(t, p, c.entries, c.position, c.rows, c.row, c.cosigned))
		r, err := receipt.Parse(b)
		if err != nil {
			t.Errorf("%+v: %v", c, err)
			continue
		}
		v, err := r.Verify(p.keys())
		if err != nil || v.Level() != c.level || v.Size != c.entries || v.Agent {
			t.Errorf("%+v: got %+v, %v", c, v, err)
		}
		if again := encode(t, r); !bytes.Equal(again, b) {
			t.Errorf("%+v: it is written otherwise than it was read", c)
		}
		parent := raw(p.parent)
		if !c.cosigned {
			parent = nil
		}
		if err := verifyAlone(b, raw(p.holder), raw(p.node), parent); err != nil {
			t.Errorf("%+v: the other verifier: %v", c, err)
		}
	}
}

// TestSize holds the promise about the size of a receipt.
func TestSize(t *testing.T) {
	b := encode(t, logged(t, newParties(t), 1_000_000, 765_432, 1000, 777, true))
	t.Logf("%d octets", len(b))
	if len(b) >= 2048 {
		t.Errorf("a receipt at a million entries has %d octets", len(b))
	}
}

// TestTrust verifies a good receipt with keys that it does not rest on.
func TestTrust(t *testing.T) {
	p := newParties(t)
	r := logged(t, p, 100, 50, 4, 2, true)
	stranger := []identifier.PublicKey{p.stranger.Public()}
	for name, c := range map[string]struct {
		change func(*receipt.Keys)
		level  string // where it is proved all the same
		want   string
	}{
		"another holder":         {func(k *receipt.Keys) { k.Holders = stranger }, "", "0 good signatures of the trusted holders, 1 are needed"},
		"two must sign":          {func(k *receipt.Keys) { k.Holders, k.Threshold = append(k.Holders, stranger...), 2 }, "", "1 good signatures of the trusted holders, 2 are needed"},
		"another node":           {func(k *receipt.Keys) { k.Nodes = stranger }, "", "not among the trusted nodes"},
		"another parent":         {func(k *receipt.Keys) { k.Parents = stranger }, "local", ""},
		"the parent at the top":  {func(k *receipt.Keys) { k.Parents, k.Tops = nil, k.Parents }, "rooted", ""},
		"everybody and stranger": {func(k *receipt.Keys) { k.Parents = append(k.Parents, stranger...) }, "anchored", ""},
	} {
		k := p.keys()
		c.change(&k)
		v, err := r.Verify(k)
		switch {
		case c.want == "" && (err != nil || v.Level() != c.level):
			t.Errorf("%s: got %+v, %v", name, v, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// TestFlips flips a bit of every octet of receipts: none proves anything else then, and
// the other verifier agrees on what is proved.
func TestFlips(t *testing.T) {
	p := newParties(t)
	for _, cosigned := range []bool{false, true} {
		r := logged(t, p, 21, 13, 5, 4, cosigned)
		want, err := r.Verify(p.keys())
		if err != nil {
			t.Fatal(err)
		}
		b := encode(t, r)
		parent := raw(p.parent)
		if !cosigned {
			parent = nil
		}
		row, err := identifier.AppendRow(nil, &r.Row)
		if err != nil {
			t.Fatal(err)
		}
		for octet := range b {
			bit := octet*8 + octet%8
			flipped := bytes.Clone(b)
			flipped[bit/8] ^= 1 << (bit % 8)
			alone := verifyAlone(flipped, raw(p.holder), raw(p.node), parent)
			got, err := receipt.Parse(flipped)
			if err != nil {
				continue
			}
			v, err := got.Verify(p.keys())
			shown, _ := identifier.AppendRow(nil, &got.Row)
			if err == nil && (!reflect.DeepEqual(v, want) || !bytes.Equal(shown, row) || got.Position != r.Position) {
				t.Errorf("cosigned %v, bit %d of octet %d: it proves %+v", cosigned, bit%8, bit/8, v)
			}
			if err == nil && alone != nil {
				t.Errorf("cosigned %v, bit %d of octet %d: the other verifier says %v", cosigned, bit%8, bit/8, alone)
			}
		}
	}
}

// TestExchanged puts parts of one good receipt into another.
func TestExchanged(t *testing.T) {
	p := newParties(t)
	a, b := logged(t, p, 64, 10, 8, 3, true), logged(t, p, 64, 11, 8, 5, true)
	for name, change := range map[string]func(*receipt.Receipt){
		"row":        func(r *receipt.Receipt) { r.Row = b.Row },
		"id salt":    func(r *receipt.Receipt) { r.IDSalt = b.IDSalt },
		"value salt": func(r *receipt.Receipt) { r.ValueSalt = b.ValueSalt },
		"path":       func(r *receipt.Receipt) { r.Path = b.Path },
		"position":   func(r *receipt.Receipt) { r.Position = b.Position },
		"inclusion":  func(r *receipt.Receipt) { r.Inclusion = b.Inclusion },
		"checkpoint": func(r *receipt.Receipt) { r.Cosigned = b.Cosigned },
		"log":        func(r *receipt.Receipt) { r.Log[0]++ },
	} {
		r := *a
		change(&r)
		if v, err := r.Verify(p.keys()); err == nil {
			t.Errorf("%s: it proves %+v", name, v)
		}
		if err := verifyAlone(encode(t, &r), raw(p.holder), raw(p.node), raw(p.parent)); err == nil {
			t.Errorf("%s: the other verifier takes it", name)
		}
	}
}

func TestParseKeys(t *testing.T) {
	p := newParties(t)
	text := fmt.Sprintf("# whom I trust\n\nholder %s\nholder %s\nthreshold 2\n node %s\nparent %s\ntop %s\n",
		p.holder.Public(), p.stranger.Public(), p.node.Public(), p.parent.Public(), p.parent.Public())
	k, err := receipt.ParseKeys([]byte(text))
	if err != nil || len(k.Holders) != 2 || k.Threshold != 2 || len(k.Nodes) != 1 || len(k.Parents) != 1 || len(k.Tops) != 1 {
		t.Errorf("got %+v, %v", k, err)
	}
	for text, want := range map[string]string{
		"":                                     "no line names a holder",
		"holder " + p.holder.Public().String(): "no line names a node",
		"holder ed25519:AAAA":                  "line 1: ",
		"\nowner x":                            `line 2: "owner" is not a word`,
		"threshold 0":                          "a threshold is a number from 1",
		"threshold 1\nthreshold 1":             "line 2: ",
		"holder " + p.holder.Public().String() + "\nnode " + p.node.Public().String() + "\nthreshold 2": "the threshold is 2 and there are 1 holders",
	} {
		if _, err := receipt.ParseKeys([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q in it", text, err, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	p := newParties(f)
	f.Add(encode(f, logged(f, p, 3, 1, 2, 1, false)))
	f.Add(encode(f, logged(f, p, 3, 1, 2, 1, true)))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := receipt.Parse(b)
		if err != nil {
			return
		}
		if again, err := receipt.Append(nil, r); err != nil || !bytes.Equal(again, b) {
			t.Errorf("it is written otherwise than it was read: %v", err)
		}
		r.Verify(p.keys())
	})
}

func BenchmarkVerify(b *testing.B) {
	p := newParties(b)
	encoded := encode(b, logged(b, p, 1_000_000, 765_432, 1000, 777, true))
	for b.Loop() {
		r, err := receipt.Parse(encoded)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := r.Verify(p.keys()); err != nil {
			b.Fatal(err)
		}
	}
}

// Whatever stands in a list of keys, it names somebody to trust, or is refused.
func FuzzParseKeys(f *testing.F) {
	key := "ed25519:11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
	f.Add([]byte("# whom\nholder " + key + "\nthreshold 1\n\nnode " + key + "\nparent " + key + "\ntop " + key + "\n"))
	f.Add([]byte("holder " + key + "\nnode " + key + "\r\nthreshold 2\n"))
	f.Add([]byte("threshold -1"))
	f.Fuzz(func(t *testing.T, text []byte) {
		k, err := receipt.ParseKeys(text)
		if err != nil {
			if strings.TrimSpace(err.Error()) == "" {
				t.Error("an error that says nothing")
			}
			return
		}
		if len(k.Holders) == 0 || len(k.Nodes) == 0 || k.Threshold < 0 || k.Threshold > len(k.Holders) {
			t.Errorf("%q is read as %+v", text, k)
		}
	})
}
