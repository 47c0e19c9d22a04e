package identifier

import (
	"crypto/ed25519"
	"crypto/sha512"
	"sync"

	"filippo.io/edwards25519"
)

// Verifier verifies signatures as [PublicKey.Verify] does, those of keys that sign much in
// less than half the time: it keeps multiples of their points. It may be used by several
// goroutines at once. It holds a few octets for each of the keys that were asked for last,
// 64 at the most, 160 KiB for each of these that has signed often, and once 480 KiB.
//
// # Why the verdicts are the same
//
// A verdict goes into the log, so every node has to come to it. Package crypto/ed25519
// takes a signature (R, S) of a message by a key A for good when S is below the order of the
// group and the octets of R are those of the point [S]B - [k]A, where k is
// SHA-512(R ‖ A ‖ message) reduced by the order. It does not multiply by the cofactor,
// and R is never decoded. The verifier works out the same point from the same two integers:
// a product is a sum of multiples whose factors add up to the very integer, also where A has a
// part of small order, for which reducing it differently would give another point. The
// formulas by which points are added are complete on this curve: they have no exceptions, so
// the order of additions does not matter. The decoding of A and of S, with what
// it allows that is not canonical, is that of package filippo.io/edwards25519, which
// crypto/ed25519 has a copy of. Signatures are not verified in batches: those that
// a batch can prove are others.
type Verifier struct {
	mu   sync.Mutex
	keys map[string]*seenKey // by the octets of the key
	uses uint64              // counts

	baseOnce sync.Once
	base     *multiples // of the group's generator; made for the first table
}

// seenKey is a key that signatures were verified with.
type seenKey struct {
	signatures int
	used       uint64      // Verifier.uses at the last of them
	table      *tableOfKey // nil until it has signed often
}

const (
	// seenKeys is of how many keys a Verifier knows something.
	seenKeys = 64
	// signsOften is how many signatures make a key worth its table: the first one, with the
	// generator's, takes as long as it saves in that many verifications.
	signsOften = 64
	// Bits of the digits that scalars are cut into. One more for the key is a sixth fewer
	// additions for it and nearly twice the memory.
	baseWidth = 8
	keyWidth  = 6
)

// NewVerifier returns a verifier that knows no keys yet.
func NewVerifier() *Verifier { return &Verifier{keys: make(map[string]*seenKey)} }

// Verify reports what [PublicKey.Verify] would.
func (v *Verifier) Verify(k PublicKey, message, signature []byte) bool {
	if k.Type != Ed25519 || len(k.Raw) != ed25519.PublicKeySize || len(signature) != ed25519.SignatureSize {
		return false
	}
	table := v.table(k.Raw)
	if table == nil {
		return k.Verify(message, signature)
	}
	return table.verify(message, signature)
}

// table returns the table of a key; nil when it has none yet.
func (v *Verifier) table(raw string) *tableOfKey {
	v.mu.Lock()
	s := v.seen(raw)
	s.signatures++
	table, wanted := s.table, s.signatures == signsOften
	v.mu.Unlock()
	if !wanted {
		return table
	}
	// One makes it, and nobody waits for that.
	v.baseOnce.Do(func() { v.base = newMultiples(edwards25519.NewGeneratorPoint(), baseWidth) })
	table = newTableOfKey(raw, v.base)
	v.mu.Lock()
	s.table = table
	v.mu.Unlock()
	return table
}

// seen returns what is known of a key, in place of the one that was not asked for longest
// where there is no room. mu is held.
func (v *Verifier) seen(raw string) *seenKey {
	v.uses++
	s := v.keys[raw]
	if s == nil {
		if len(v.keys) >= seenKeys {
			v.forget()
		}
		s = new(seenKey)
		v.keys[raw] = s
	}
	s.used = v.uses
	return s
}

// forget drops the key that was not asked for longest. mu is held.
func (v *Verifier) forget() {
	oldest, used := "", v.uses
	for raw, s := range v.keys {
		if s.used < used {
			oldest, used = raw, s.used
		}
	}
	delete(v.keys, oldest)
}

// tableOfKey verifies signatures of one key.
type tableOfKey struct {
	raw      string
	base     *multiples
	minusKey *multiples
}

// newTableOfKey returns nil when the key is no point of the curve.
func newTableOfKey(raw string, base *multiples) *tableOfKey {
	p, err := new(edwards25519.Point).SetBytes([]byte(raw))
	if err != nil {
		return nil
	}
	return &tableOfKey{raw: raw, base: base, minusKey: newMultiples(p.Negate(p), keyWidth)}
}

// verify reports whether a signature, of 64 octets, is the key's over the message.
func (t *tableOfKey) verify(message, signature []byte) bool {
	k, s, ok := t.factors(message, signature)
	return ok && t.holds(signature[:32], &k, &s)
}

// factors returns what the key and the generator are multiplied by, the least octet first;
// false when the second is not below the order.
func (t *tableOfKey) factors(message, signature []byte) (k, s [32]byte, ok bool) {
	var scalar edwards25519.Scalar
	if _, err := scalar.SetCanonicalBytes(signature[32:]); err != nil {
		return k, s, false
	}
	s = [32]byte(signature[32:])
	h := sha512.New()
	h.Write(signature[:32])
	h.Write([]byte(t.raw))
	h.Write(message)
	var digest [sha512.Size]byte
	if _, err := scalar.SetUniformBytes(h.Sum(digest[:0])); err != nil {
		return k, s, false
	}
	return [32]byte(scalar.Bytes()), s, true
}

// holds reports whether r are the octets of s times the generator less k times the key.
func (t *tableOfKey) holds(r []byte, k, s *[32]byte) bool {
	point := newPointSum()
	t.minusKey.addProduct(point, k)
	t.base.addProduct(point, s)
	octets := point.octets()
	return string(octets[:]) == string(r)
}
