package handle

import (
	"crypto"
	"crypto/dsa" //lint:ignore SA1019 stock servers have such keys, and their answers are verified
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"
	"sync"
	"time"
)

// The types of keys that answers are verified with.
const (
	typeRSA = "RSA_PUB_KEY"
	typeDSA = "DSA_PUB_KEY"

	typeSigned = "HS_SIGNED"
	hashSHA256 = "SHA-256"
	hashSHA1   = "SHA1"
)

// maxKeyBits is how large a number of a key may be: verifying takes time.
const maxKeyBits = 8192

// signedText returns what the credential of a certified message signs: before 2.7 header
// and body; from 2.7 on with the version, session, request and counter in front; from
// 2.8 on with the suggested version, too.
func (m *Message) signedText(counter uint32) []byte {
	b := make([]byte, 0, 16+headerOctets+len(m.Body))
	if m.Version.Compare(Version{2, 7}) >= 0 {
		b = append(b, m.Version.Major, m.Version.Minor)
		if m.Version.Compare(Version{2, 8}) >= 0 {
			b = append(b, m.Suggested.Major, m.Suggested.Minor)
		}
		b = binary.BigEndian.AppendUint32(b, m.Session)
		b = binary.BigEndian.AppendUint32(b, m.Request)
		b = binary.BigEndian.AppendUint32(b, counter)
	}
	return m.signed(b)
}

// certify signs the message as the server: with SHA-256 from version 2.7 on, and SHA-1
// for those who know nothing better.
func (m *Message) certify(key *rsa.PrivateKey) error {
	m.Flags |= FlagCertified
	k := Credential{Type: typeSigned, Hash: hashSHA256}
	if m.Version.Compare(Version{2, 7}) < 0 {
		k.Hash = hashSHA1
	}
	hash, sum, err := digestOf(k.Hash, m.signedText(k.Counter))
	if err != nil {
		return err
	}
	if k.Signature, err = rsa.SignPKCS1v15(nil, key, hash, sum); err != nil {
		return err
	}
	m.Credential = k.Append(nil)
	return nil
}

var errNotSigned = errors.New("the answer is not signed as its server signs")

// verify checks that a server with this key certified the message.
func (m *Message) verify(key *PublicKey) error {
	if len(m.Credential) == 0 {
		return fmt.Errorf("%w: it has no signature", errNotSigned)
	}
	k, err := ParseCredential(m.Credential)
	if err != nil {
		return err
	}
	if k.Type != typeSigned {
		return fmt.Errorf("%w: its credential is of type %.40q", errNotSigned, k.Type)
	}
	hash, sum, err := digestOf(k.Hash, m.signedText(k.Counter))
	if err != nil {
		return err
	}
	if !key.verifies(hash, sum, k.Signature) {
		return errNotSigned
	}
	return nil
}

func digestOf(name string, b []byte) (crypto.Hash, []byte, error) {
	switch name {
	case hashSHA256:
		sum := sha256.Sum256(b)
		return crypto.SHA256, sum[:], nil
	case hashSHA1, "SHA-1":
		sum := sha1.Sum(b)
		return crypto.SHA1, sum[:], nil
	}
	return 0, nil, fmt.Errorf("%w: hash %.40q is unknown", errNotSigned, name)
}

// verifies reports whether a signature of a digest is one by the key.
func (k *PublicKey) verifies(hash crypto.Hash, sum, signature []byte) bool {
	var n [4]*big.Int
	if k.parts() != len(k.Parts) || len(k.Parts) > len(n) {
		return false
	}
	for i, part := range k.Parts {
		n[i] = new(big.Int).SetBytes(part)
		if len(part) == 0 || part[0]&0x80 != 0 || n[i].BitLen() > maxKeyBits || n[i].Sign() == 0 {
			return false
		}
	}
	switch k.Type {
	case typeRSA:
		if n[0].BitLen() > 31 {
			return false
		}
		return rsa.VerifyPKCS1v15(&rsa.PublicKey{E: int(n[0].Int64()), N: n[1]}, hash, sum, signature) == nil
	case typeDSA:
		var rs struct{ R, S *big.Int }
		if rest, err := asn1.Unmarshal(signature, &rs); err != nil || len(rest) > 0 {
			return false
		}
		if size := n[0].BitLen() / 8; len(sum) > size {
			sum = sum[:size]
		}
		key := &dsa.PublicKey{Parameters: dsa.Parameters{Q: n[0], P: n[1], G: n[2]}, Y: n[3]}
		return dsa.Verify(key, sum, rs.R, rs.S)
	}
	return false
}

// rsaPublicKey returns a key as HS_PUBKEY has it.
func rsaPublicKey(k *rsa.PublicKey) *PublicKey {
	return &PublicKey{Type: typeRSA, Parts: [][]byte{number(big.NewInt(int64(k.E))), number(k.N)}}
}

// number writes a positive number in two's complement.
func number(n *big.Int) []byte { return n.FillBytes(make([]byte, n.BitLen()/8+1)) }

// signatures bounds how many answers are signed for datagrams, whose senders nobody
// knows: signing takes a thousand times as long as answering.
type signatures struct {
	mu   sync.Mutex
	left float64
	last time.Time
}

// signaturesASecond is how many answers are signed in a second over UDP. Who gets none
// asks over TCP.
const signaturesASecond = 200

// take reports whether another answer may be signed now.
func (s *signatures) take(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last.IsZero() {
		s.left = signaturesASecond
	} else {
		s.left = min(signaturesASecond, s.left+now.Sub(s.last).Seconds()*signaturesASecond)
	}
	s.last = now
	if s.left < 1 {
		return false
	}
	s.left--
	return true
}
