package identifier_test

import (
	"crypto/ed25519"
	"crypto/sha512"
	"math/big"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"filippo.io/edwards25519"

	"github.com/nameplate-id/nameplate/registry/identifier"
)

// torsion returns the points of small order: the multiples of one of order eight, the
// neutral one first.
func torsion(t testing.TB) []*edwards25519.Point {
	t.Helper()
	one := edwards25519.NewScalar()
	if _, err := one.SetCanonicalBytes(append([]byte{1}, make([]byte, 31)...)); err != nil {
		t.Fatal(err)
	}
	minusOne := new(edwards25519.Scalar).Negate(one)
	for y := byte(2); ; y++ {
		p, err := new(edwards25519.Point).SetBytes(append([]byte{y}, make([]byte, 31)...))
		if err != nil {
			continue
		}
		// The order of the group times the point leaves its part of small order.
		small := new(edwards25519.Point).ScalarMult(minusOne, p)
		small.Add(small, p)
		all := []*edwards25519.Point{edwards25519.NewIdentityPoint()}
		for next := new(edwards25519.Point).Set(small); next.Equal(all[0]) == 0; next = new(edwards25519.Point).Add(next, small) {
			all = append(all, next)
		}
		if len(all) == 8 {
			return all
		}
	}
}

// hardSignatures makes signatures by keys that have a part of small order, of which package
// ed25519 takes some for good.
type hardSignatures struct {
	small  []*edwards25519.Point
	random *rand.Rand
}

func newHardSignatures(t testing.TB, seed uint64) *hardSignatures {
	return &hardSignatures{torsion(t), rand.New(rand.NewPCG(seed, 7))}
}

func (h *hardSignatures) octets(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(h.random.Uint32())
	}
	return b
}

func (h *hardSignatures) scalar() *edwards25519.Scalar {
	s, _ := new(edwards25519.Scalar).SetUniformBytes(h.octets(64)) // 64 octets always are one
	return s
}

func (h *hardSignatures) pick() *edwards25519.Point { return h.small[h.random.IntN(len(h.small))] }

// draw returns a key, a message and a signature. The key is a times the generator and a
// point of small order; R is r times the generator and another, S follows from r and a.
// So the signature is good with one in eight factors, and spoiled in half of the cases
// besides.
func (h *hardSignatures) draw() (identifier.PublicKey, []byte, []byte) {
	a, r := h.scalar(), h.scalar()
	if h.random.IntN(4) == 0 {
		a = edwards25519.NewScalar() // the key is of small order
	}
	if h.random.IntN(8) == 0 {
		r = edwards25519.NewScalar()
	}
	key := new(edwards25519.Point).ScalarBaseMult(a)
	key.Add(key, h.pick())
	point := new(edwards25519.Point).ScalarBaseMult(r)
	point.Add(point, h.pick())
	raw, message := notCanonical(key.Bytes(), h.random), h.octets(h.random.IntN(64))
	signature := notCanonical(point.Bytes(), h.random)
	digest := sha512.Sum512(slices.Concat(signature, raw, message))
	k, _ := new(edwards25519.Scalar).SetUniformBytes(digest[:])
	signature = append(signature, new(edwards25519.Scalar).MultiplyAdd(k, a, r).Bytes()...)
	switch h.random.IntN(8) {
	case 0:
		signature[h.random.IntN(64)] ^= 1 << h.random.IntN(8)
	case 1:
		message = append(message, 0)
	case 2:
		raw[h.random.IntN(32)] ^= 1 << h.random.IntN(8)
	case 3:
		addOrder(signature[32:])
	}
	return identifier.PublicKey{Type: identifier.Ed25519, Raw: string(raw)}, message, signature
}

// notCanonical writes a point in one of the ways that are read and never written, where it
// has one: y with the order of the field added, and the sign of an x that is zero.
func notCanonical(point []byte, random *rand.Rand) []byte {
	y := slices.Clone(point)
	y[31] &= 0x7f
	if !slices.Equal(y[1:], make([]byte, 31)) || y[0] >= 19 {
		return point
	}
	if random.IntN(2) == 0 {
		sign := point[31]
		point = append([]byte{y[0] + 0xed}, slices.Repeat([]byte{0xff}, 31)...)
		point[31] = 0x7f | sign
	}
	if y[0] == 1 && random.IntN(2) == 0 {
		point[31] |= 0x80
	}
	return point
}

// addOrder adds the order of the group to a number, the least octet first.
func addOrder(number []byte) {
	order, _ := new(big.Int).SetString("7237005577332262213973186563042994240857116359379907606001950938285454250989", 10)
	slices.Reverse(number)
	order.Add(order, new(big.Int).SetBytes(number)).FillBytes(number)
	slices.Reverse(number)
}

// Whatever package ed25519 says of a signature, a table of the key says too.
func TestVerifierSaysWhatEd25519Says(t *testing.T) {
	draws := 2_000
	if testing.Short() {
		draws = 400
	}
	g, h := identifier.NewGenerator(), newHardSignatures(t, 1)
	good, bad, told := 0, 0, 0
	for range draws {
		key, message, signature := h.draw()
		want := ed25519.Verify(ed25519.PublicKey(key.Raw), message, signature)
		if got := g.VerifyByTable(key, message, signature); got != want {
			t.Fatalf("key %x, message %x, signature %x: got %v, want %v", key.Raw, message, signature, got, want)
		}
		if g.VerifyByOtherFactor(key, message, signature) != want {
			told++
		}
		if want {
			good++
		} else {
			bad++
		}
	}
	// The draws are good for something only when some of each are among them, and when
	// they tell that a factor was reduced in another way.
	if good < draws/20 || bad < draws/20 || told < draws/50 {
		t.Errorf("%d good, %d bad, %d that tell one factor from another, of %d", good, bad, told, draws)
	}
}

// Signatures of ordinary keys, and factors whose digits are all of one kind.
func TestVerifierVerifies(t *testing.T) {
	g := identifier.NewGenerator()
	for i := range byte(50) {
		key := newKey(t, i)
		message := []byte{i, 1, 2}
		signature := key.Sign(message)
		if !g.VerifyByTable(key.Public(), message, signature) {
			t.Fatalf("key %d: a good signature is none", i)
		}
		signature[i] ^= 4
		if g.VerifyByTable(key.Public(), message, signature) {
			t.Fatalf("key %d: a bad signature is one", i)
		}
	}
}

// A verifier gives keys their tables when they have signed often, and knows so many keys
// at the most; what it says never changes.
func TestVerifierTables(t *testing.T) {
	v := identifier.NewVerifier()
	verify := func(i byte, times int) {
		t.Helper()
		key := newKey(t, i)
		message := []byte("message")
		envelope := identifier.Sign("type", message, key)
		for range times {
			if v.SignedBy(envelope, []identifier.PublicKey{key.Public()}) != 1 {
				t.Fatalf("key %d: a good signature is none", i)
			}
			if v.SignedBy(envelope, []identifier.PublicKey{newKey(t, i+1).Public()}) != 0 {
				t.Fatalf("key %d: it is taken for another's", i)
			}
		}
	}
	check := func(wantTables, wantKeys int) {
		t.Helper()
		if tables, keys := v.Tables(); tables != wantTables || keys != wantKeys {
			t.Fatalf("%d tables of %d keys, want %d of %d", tables, keys, wantTables, wantKeys)
		}
	}
	verify(0, identifier.SignsOften-1)
	check(0, 1)
	verify(0, 2)
	check(1, 1)
	for i := range identifier.KeysSeen {
		verify(byte(i+1), 1)
		verify(0, 1)
	}
	check(1, identifier.KeysSeen)
	for i := range identifier.KeysSeen {
		verify(byte(i+1), 1)
	}
	check(0, identifier.KeysSeen)
}

func TestVerifierAtOnce(t *testing.T) {
	v, key := identifier.NewVerifier(), newKey(t, 3)
	message := []byte("message")
	signature := key.Sign(message)
	var working sync.WaitGroup
	for range 8 {
		working.Go(func() {
			for range identifier.SignsOften {
				if !v.Verify(key.Public(), message, signature) {
					t.Error("a good signature is none")
				}
				if v.Verify(key.Public(), message[1:], signature) {
					t.Error("a bad signature is one")
				}
			}
		})
	}
	working.Wait()
	for _, k := range []identifier.PublicKey{{}, {Type: identifier.Ed25519, Raw: "short"}, {Type: identifier.RSA, Raw: key.Public().Raw}} {
		if v.Verify(k, message, signature) {
			t.Errorf("%v verifies", k)
		}
	}
}

func FuzzVerifier(f *testing.F) {
	g, h := identifier.NewGenerator(), newHardSignatures(f, 2)
	for range 100 {
		key, message, signature := h.draw()
		f.Add([]byte(key.Raw), message, signature)
	}
	f.Fuzz(func(t *testing.T, raw, message, signature []byte) {
		if len(raw) != ed25519.PublicKeySize || len(signature) != ed25519.SignatureSize {
			return
		}
		key := identifier.PublicKey{Type: identifier.Ed25519, Raw: string(raw)}
		if got, want := g.VerifyByTable(key, message, signature), key.Verify(message, signature); got != want {
			t.Fatalf("got %v, want %v", got, want)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	key, message := newKey(b, 1), make([]byte, 150)
	signature := key.Sign(message)
	b.Run("plain", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			key.Public().Verify(message, signature)
		}
	})
	b.Run("verifier", func(b *testing.B) {
		b.ReportAllocs()
		v := identifier.NewVerifier()
		for range identifier.SignsOften {
			v.Verify(key.Public(), message, signature)
		}
		for b.Loop() {
			v.Verify(key.Public(), message, signature)
		}
	})
}
