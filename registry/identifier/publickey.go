package identifier

import (
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// KeyType is the kind of a key. Unknown kinds are kept and never verify.
type KeyType uint8

const (
	// Ed25519 is the signature scheme of RFC 8032; a public key is 32 octets.
	Ed25519 KeyType = 1
	// RSA is an RSA key as PKCS #1 has it in DER (RFC 8017, appendix A.1.1), of 2,048 to
	// 8,192 bits. Nodes sign Handle answers with such keys; nothing here is signed with one.
	RSA KeyType = 2
)

const (
	leastRSA = 2048 // bits
	mostRSA  = 8192
)

// maxKey is how many octets a public key may have: enough for ML-DSA-87 (FIPS 204).
const maxKey = 4096

// PublicKey is a key that signatures are checked with. Two are equal when == says so.
type PublicKey struct {
	Type KeyType
	Raw  string // the key's octets
}

// KeyID names a key: the first eight octets of SHA-256(type ‖ raw).
type KeyID [8]byte

// String returns the name in lower-case hex.
func (id KeyID) String() string { return hex.EncodeToString(id[:]) }

// ID returns the key's name.
func (k PublicKey) ID() KeyID {
	h := sha256.New()
	h.Write([]byte{byte(k.Type)})
	h.Write([]byte(k.Raw))
	var id KeyID
	copy(id[:], h.Sum(nil))
	return id
}

// String returns the key as text, the type's name and the octets in base64
// (RFC 4648, section 4): "ed25519:11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=".
// An RSA key begins with rsa:. A kind of key that is unknown here has its number for a
// name: "type-7:…".
func (k PublicKey) String() string {
	name := "type-" + strconv.Itoa(int(k.Type))
	switch k.Type {
	case Ed25519:
		name = "ed25519"
	case RSA:
		name = "rsa"
	}
	return name + ":" + base64.StdEncoding.EncodeToString([]byte(k.Raw))
}

// Check returns an error when the key cannot be one of its type.
func (k PublicKey) Check() error {
	rule := ""
	switch {
	case k.Type == 0:
		rule = "a key has a type"
	case k.Type == Ed25519 && len(k.Raw) != ed25519.PublicKeySize:
		rule = fmt.Sprintf("an ed25519 key has 32 octets, not %d", len(k.Raw))
	case len(k.Raw) == 0 || len(k.Raw) > maxKey:
		rule = "a key has 1 to 4096 octets"
	case k.Type == RSA && !isRSA(k.Raw):
		rule = fmt.Sprintf("an rsa key is PKCS #1 in DER and has %d to %d bits", leastRSA, mostRSA)
	default:
		return nil
	}
	return &RuleError{What: "public key", Rule: rule, Mend: "copy the whole key"}
}

func isRSA(raw string) bool {
	k, err := x509.ParsePKCS1PublicKey([]byte(raw))
	return err == nil && k.N.BitLen() >= leastRSA && k.N.BitLen() <= mostRSA && string(x509.MarshalPKCS1PublicKey(k)) == raw
}

// Verify reports whether signature is the key's over the message. Of an RSA
// key, and of a kind of key that is unknown here, no signature is good.
func (k PublicKey) Verify(message, signature []byte) bool {
	if k.Type != Ed25519 || len(k.Raw) != ed25519.PublicKeySize {
		return false
	}
	return ed25519.Verify(ed25519.PublicKey(k.Raw), message, signature)
}

// MarshalText returns what [PublicKey.String] does.
func (k PublicKey) MarshalText() ([]byte, error) {
	if err := k.Check(); err != nil {
		return nil, err
	}
	return []byte(k.String()), nil
}

// UnmarshalText reads what [ParsePublicKey] does.
func (k *PublicKey) UnmarshalText(text []byte) error {
	parsed, err := ParsePublicKey(string(text))
	if err != nil {
		return err
	}
	*k = parsed
	return nil
}

// maxKeyText is how long the text of a key may be, as PEM or otherwise.
const maxKeyText = 2*maxKey + 256

// ParsePublicKey reads what [PublicKey.String] writes, or a PEM block of type
// PUBLIC KEY (RFC 7468, section 13) with an Ed25519 key (RFC 8410), as
// "openssl pkey -pubout" writes it. White space around it is ignored.
func ParsePublicKey(text string) (PublicKey, error) {
	if len(text) > maxKeyText {
		return PublicKey{}, &SyntaxError{Input: text, Offset: maxKeyText, Rule: "a public key has at most " + strconv.Itoa(maxKeyText) + " octets", Mend: "copy the key and nothing else"}
	}
	text = strings.TrimSpace(text)
	if strings.HasPrefix(text, "-----BEGIN ") {
		return parsePublicPEM(text)
	}
	name, encoded, ok := strings.Cut(text, ":")
	if !ok {
		return PublicKey{}, &SyntaxError{Input: text, Rule: "a public key is ed25519: and base64, or a PEM block", Mend: "copy the whole key, with ed25519: in front"}
	}
	k := PublicKey{Type: Ed25519}
	if number, ok := strings.CutPrefix(name, "type-"); ok {
		n, err := strconv.ParseUint(number, 10, 8)
		if err != nil || n <= uint64(RSA) || strconv.FormatUint(n, 10) != number {
			return PublicKey{}, &SyntaxError{Input: text, Offset: len("type-"), Rule: "the number of a key's type is 3 to 255", Mend: "write ed25519: for an Ed25519 key, rsa: for an RSA key"}
		}
		k.Type = KeyType(n)
	} else if name == "rsa" {
		k.Type = RSA
	} else if name != "ed25519" {
		return PublicKey{}, &SyntaxError{Input: text, Rule: "the type of a key is ed25519, or rsa for Handle answers", Mend: "use an Ed25519 key"}
	}
	raw, err := base64.StdEncoding.Strict().DecodeString(encoded)
	// The decoder skips line breaks; a key has one text only.
	if err != nil || strings.ContainsAny(encoded, "\r\n") {
		var corrupt base64.CorruptInputError
		errors.As(err, &corrupt)
		return PublicKey{}, &SyntaxError{Input: text, Offset: len(name) + 1 + int(corrupt), Rule: "a key's octets are base64 with padding", Mend: "copy the whole key"}
	}
	k.Raw = string(raw)
	if err := k.Check(); err != nil {
		return PublicKey{}, err
	}
	return k, nil
}

func parsePublicPEM(text string) (PublicKey, error) {
	fail := func(rule, mend string) (PublicKey, error) {
		return PublicKey{}, &RuleError{What: "public key in PEM", Rule: rule, Mend: mend}
	}
	block, rest := pem.Decode([]byte(text))
	switch {
	case block == nil:
		return fail("it is a whole PEM block", "copy it from BEGIN to END")
	case block.Type == "PRIVATE KEY":
		return fail("it is public", "write the public key with openssl pkey -pubout; keep this one to yourself")
	case block.Type != "PUBLIC KEY":
		return fail("the block is a PUBLIC KEY", "write it with openssl pkey -pubout")
	case len(strings.TrimSpace(string(rest))) != 0:
		return fail("it is one PEM block", "give one key at a time")
	}
	parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return fail("it holds a public key (RFC 5280, section 4.1.2.7)", "write it again with openssl pkey -pubout")
	}
	key, ok := parsed.(ed25519.PublicKey)
	if !ok {
		return fail("the key is an Ed25519 key", "make one with openssl genpkey -algorithm ed25519")
	}
	return PublicKey{Type: Ed25519, Raw: string(key)}, nil
}

// MarshalPEM returns the key as a PEM block of type PUBLIC KEY, which openssl
// reads. Only an Ed25519 key can be written so.
func (k PublicKey) MarshalPEM() ([]byte, error) {
	if err := k.Check(); err != nil {
		return nil, err
	}
	if k.Type != Ed25519 {
		return nil, &RuleError{What: "public key in PEM", Rule: "the key is an Ed25519 key", Mend: "use its text"}
	}
	der, err := x509.MarshalPKIXPublicKey(ed25519.PublicKey(k.Raw))
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), nil
}
