package identifier

import "strconv"

// Payload types of envelopes: what the signed octets are. A signature covers
// the type, so that octets signed as one thing are never taken for another.
const (
	ChangeType     = "application/vnd.nameplate.change.v1"     // a [Header]
	DelegationType = "application/vnd.nameplate.delegation.v1" // a [Delegation]
	KeysetType     = "application/vnd.nameplate.keyset.v1"     // a [KeysetChange]
	GenesisType    = "application/vnd.nameplate.genesis.v1"    // a [Genesis]
	ChildrenType   = "application/vnd.nameplate.children.v1"   // a [ChildrenHeader]
	FenceType      = "application/vnd.nameplate.fence.v1"      // a [Fence]
	OriginType     = "application/vnd.nameplate.origin.v1"     // an [Origin]
)

// Limits of an envelope.
const (
	MaxPayload   = 96 << 10 // octets of a payload
	MaxSignature = 8 << 10  // octets of one signature: enough for ML-DSA-87 (FIPS 204)
)

// Envelope is a DSSE envelope (v1.0.2): exact bytes and who signed them.
// The payload is never encoded again.
type Envelope struct {
	PayloadType string
	Payload     []byte
	Signatures  []Signature
}

// Signature is one signature of an envelope, over its pre-authentication encoding.
type Signature struct {
	// Key narrows down which key to check with; zero when it is not told. Nothing
	// is trusted for it.
	Key       KeyID
	Signature []byte
}

// PAE returns what is signed, the pre-authentication encoding (DSSE v1.0.2,
// protocol): "DSSEv1", then the length in decimal and the octets of the payload
// type and of the payload, with one space between each two.
func (e Envelope) PAE() []byte {
	b := make([]byte, 0, len("DSSEv1 ")+len(e.PayloadType)+len(e.Payload)+24)
	b = append(b, "DSSEv1 "...)
	b = strconv.AppendInt(b, int64(len(e.PayloadType)), 10)
	b = append(b, ' ')
	b = append(b, e.PayloadType...)
	b = append(b, ' ')
	b = strconv.AppendInt(b, int64(len(e.Payload)), 10)
	b = append(b, ' ')
	return append(b, e.Payload...)
}

// Sign returns an envelope over the payload, which it keeps and does not copy,
// signed with every key.
func Sign(payloadType string, payload []byte, keys ...PrivateKey) Envelope {
	e := Envelope{PayloadType: payloadType, Payload: payload}
	message := e.PAE()
	for _, k := range keys {
		e.Signatures = append(e.Signatures, Signature{Key: k.Public().ID(), Signature: k.Sign(message)})
	}
	return e
}

// SignedBy returns how many of the keys, each counted once, have a good signature
// on the envelope. Signatures by other keys and of unknown kinds count nothing and
// harm nothing. An envelope beyond the limits, or without a payload type, is signed
// by nobody.
func (e Envelope) SignedBy(keys []PublicKey) int { return e.signedBy(keys, PublicKey.Verify) }

// SignedBy returns what [Envelope.SignedBy] would.
func (v *Verifier) SignedBy(e Envelope, keys []PublicKey) int { return e.signedBy(keys, v.Verify) }

func (e Envelope) signedBy(keys []PublicKey, verify func(k PublicKey, message, signature []byte) bool) int {
	if e.Check() != nil {
		return 0
	}
	message := e.PAE()
	signed := 0
	for i, k := range keys {
		if k.Type != Ed25519 || containsKey(keys[:i], k) {
			continue
		}
		id := k.ID()
		for _, s := range e.Signatures {
			if (s.Key == id || s.Key == KeyID{}) && verify(k, message, s.Signature) {
				signed++
				break
			}
		}
	}
	return signed
}

func containsKey(keys []PublicKey, key PublicKey) bool {
	for _, k := range keys {
		if k == key {
			return true
		}
	}
	return false
}

// Check returns an error when the envelope has no signature or is beyond a limit.
func (e Envelope) Check() error {
	fail := func(rule, mend string) error {
		return &RuleError{What: "envelope", Rule: rule, Mend: mend}
	}
	switch {
	case len(e.PayloadType) == 0 || len(e.PayloadType) > 255:
		return fail("a payload type has 1 to 255 octets", "use one of the types that this version knows")
	case len(e.Payload) > MaxPayload:
		return fail("a payload has at most "+strconv.Itoa(MaxPayload)+" octets", "sign less at once")
	case len(e.Signatures) == 0:
		return fail("it is signed", "sign it with a key of the holder")
	case len(e.Signatures) > MaxSignatures:
		return fail("it has at most "+strconv.Itoa(MaxSignatures)+" signatures", "leave out those of other keys")
	}
	for _, s := range e.Signatures {
		if len(s.Signature) == 0 || len(s.Signature) > MaxSignature {
			return fail("a signature has 1 to "+strconv.Itoa(MaxSignature)+" octets", "sign it again")
		}
	}
	return nil
}
