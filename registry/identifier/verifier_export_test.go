package identifier

import (
	"math/big"
	"slices"

	"filippo.io/edwards25519"
)

// KeysSeen is of how many keys a verifier knows something.
const KeysSeen = seenKeys

// SignsOften is how many signatures make a key worth a table.
const SignsOften = signsOften

// Generator are the multiples of the generator that tables share.
type Generator struct{ multiples *multiples }

func NewGenerator() Generator {
	return Generator{newMultiples(edwards25519.NewGeneratorPoint(), baseWidth)}
}

// VerifyByTable verifies as a verifier does that has a table of the key.
func (g Generator) VerifyByTable(k PublicKey, message, signature []byte) bool {
	t := newTableOfKey(k.Raw, g.multiples)
	return t != nil && t.verify(message, signature)
}

// VerifyByOtherFactor does the same with a factor of the key that is as good modulo the
// order of the group, and another integer.
func (g Generator) VerifyByOtherFactor(k PublicKey, message, signature []byte) bool {
	t := newTableOfKey(k.Raw, g.multiples)
	if t == nil {
		return false
	}
	factor, s, ok := t.factors(message, signature)
	slices.Reverse(factor[:])
	order, _ := new(big.Int).SetString("7237005577332262213973186563042994240857116359379907606001950938285454250989", 10)
	order.Add(order, new(big.Int).SetBytes(factor[:])).FillBytes(factor[:])
	slices.Reverse(factor[:])
	return ok && t.holds(signature[:32], &factor, &s)
}

// Tables returns how many keys a verifier has tables of, and how many it knows.
func (v *Verifier) Tables() (tables, keys int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, s := range v.keys {
		if s.table != nil {
			tables++
		}
	}
	return tables, len(v.keys)
}
