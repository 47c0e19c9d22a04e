package handle

import (
	"crypto"
	"net/netip"
	"time"

	"github.com/nameplate-id/nameplate/resolver"
)

// PlainRules are those that may be left out, by name.
var PlainRules = map[string]plainRule{
	"flags": ruleFlags, "recursion": ruleRecursion, "serial": ruleSerial, "length": ruleLength, "schemes": ruleSchemes,
	"hidden": ruleHidden, "subtypes": ruleSubtypes, "digest": ruleDigest, "echo": ruleEcho,
}

// Plainly returns what answers plain questions at a server, with what records lend.
// Answers expire at the time that is given.
func Plainly(s *Server, records Records, expires uint32) func(message []byte) []byte {
	return PlainlyWithout(s, records, expires, everyRule)
}

// PlainlyWithout leaves out a rule.
func PlainlyWithout(s *Server, records Records, expires uint32, without plainRule) func(message []byte) []byte {
	p, room := newPlain(1), make([]byte, 0, maxDatagram)
	p.without = without
	var answer []byte
	lent := func() (int, int) { answer = p.answer(room, 0); return 0, 0 }
	return func(message []byte) []byte {
		p.begin(s.serial(), time.Now())
		p.expires = expires
		if p.take(0, message); p.n == 0 {
			return nil
		}
		answer = nil
		if err := records.Lend(p.loans[:1], lent); err != nil {
			return nil
		}
		return answer
	}
}

// Verifies is that of a key.
func Verifies(k *PublicKey, hash crypto.Hash, sum, signature []byte) bool {
	return k.verifies(hash, sum, signature)
}

// Certify signs a message as a server with this identity.
func Certify(m *Message, i *Identity) error {
	key, err := i.Key()
	if err != nil {
		return err
	}
	return m.certify(key)
}

// Signatures returns what decides whether a datagram gets another signature.
func Signatures() func(time.Time) bool { return new(signatures).take }

// ReadResponse reads octets as the answer to a query.
func ReadResponse(b []byte, q *resolver.Query) (resolver.Answer, error) {
	e, err := ParseEnvelope(b)
	if err != nil {
		return resolver.Answer{}, err
	}
	m, err := ParseMessage(e, b[envelopeOctets:])
	if err != nil {
		return resolver.Answer{}, err
	}
	return readResponse(m, q)
}

// Assemble puts a message together of those of its fragments that order names, and of
// some that do not fit; nil when some are missing.
func Assemble(whole, order []byte, now time.Time) []byte {
	a := newAssembly()
	for _, sequence := range order {
		e := Envelope{Version: newest, Request: 7, Sequence: uint32(sequence), Length: uint32(len(whole))}
		at := min(int(sequence)*fragmentOctets, len(whole))
		b := whole[at:min(at+fragmentOctets, len(whole))]
		if got := a.add(netip.AddrPort{}, e, b, now); got != nil {
			return got
		}
		if len(b) > 1 {
			a.add(netip.AddrPort{}, e, b[1:], now)
		}
	}
	return nil
}
