package handle

import (
	"crypto"
	"time"
)

// Plainly returns what answers plain questions at a server, with what records lend.
// Answers expire at the time that is given.
func Plainly(s *Server, records Records, expires uint32) func(message []byte) []byte {
	p, room := newPlain(1), make([]byte, 0, maxDatagram)
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

// Signatures returns what decides whether a datagram gets another signature.
func Signatures() func(time.Time) bool { return new(signatures).take }
