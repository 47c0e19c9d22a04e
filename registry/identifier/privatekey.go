package identifier

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"strings"
)

// PrivateKey is a key that signs: Ed25519 (RFC 8032). The zero PrivateKey has no
// key and must not sign. It may be used concurrently. However it is printed or
// logged, it shows its public key's name only.
type PrivateKey struct {
	// A function, because fmt shows the octets behind a slice or a pointer when a
	// struct that holds the key is printed with the wrong verb.
	key func() ed25519.PrivateKey
}

// NewPrivateKey draws a key from random, or from the system's source when random
// is nil.
func NewPrivateKey(random io.Reader) (PrivateKey, error) {
	if random == nil {
		random = rand.Reader
	}
	// Read here and not by ed25519.GenerateKey, which does not promise to make the
	// same key of the same octets.
	var seed [ed25519.SeedSize]byte
	if _, err := io.ReadFull(random, seed[:]); err != nil {
		return PrivateKey{}, fmt.Errorf("draw a private key: %w", err)
	}
	return holdKey(ed25519.NewKeyFromSeed(seed[:])), nil
}

func holdKey(key ed25519.PrivateKey) PrivateKey {
	return PrivateKey{key: func() ed25519.PrivateKey { return key }}
}

// IsZero reports whether there is no key.
func (k PrivateKey) IsZero() bool { return k.key == nil }

// Public returns the key that the signatures are checked with.
func (k PrivateKey) Public() PublicKey {
	return PublicKey{Type: Ed25519, Raw: string(k.key().Public().(ed25519.PublicKey))}
}

// Sign signs a message.
func (k PrivateKey) Sign(message []byte) []byte { return ed25519.Sign(k.key(), message) }

// Signer returns the key for what signs with it by the standard library's interface,
// such as TLS.
func (k PrivateKey) Signer() crypto.Signer { return signer{k} }

// signer hides the key as [PrivateKey] does.
type signer struct{ key PrivateKey }

func (s signer) Public() crypto.PublicKey { return s.key.key().Public() }

func (s signer) Sign(random io.Reader, message []byte, options crypto.SignerOpts) ([]byte, error) {
	return s.key.key().Sign(random, message, options)
}

// String names the key and does not show it.
func (k PrivateKey) String() string {
	if k.IsZero() {
		return "no private key"
	}
	return "private key " + k.Public().ID().String()
}

// GoString is [PrivateKey.String].
func (k PrivateKey) GoString() string { return k.String() }

// LogValue is [PrivateKey.String].
func (k PrivateKey) LogValue() slog.Value { return slog.StringValue(k.String()) }

// MarshalPEM returns the key as a PEM block of type PRIVATE KEY (PKCS #8, RFC
// 5958 and RFC 8410), not encrypted, which openssl reads.
func (k PrivateKey) MarshalPEM() ([]byte, error) {
	if k.IsZero() {
		return nil, &RuleError{What: "private key", Rule: "there is a key to write", Mend: "make one first"}
	}
	der, err := x509.MarshalPKCS8PrivateKey(k.key())
	if err != nil {
		return nil, fmt.Errorf("write a private key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// ParsePrivateKeyPEM reads what [PrivateKey.MarshalPEM] and "openssl genpkey
// -algorithm ed25519" write. An error repeats nothing of the text.
func ParsePrivateKeyPEM(text []byte) (PrivateKey, error) {
	fail := func(rule, mend string) (PrivateKey, error) {
		return PrivateKey{}, &RuleError{What: "private key", Rule: rule, Mend: mend}
	}
	if len(text) > maxKeyText {
		return fail(fmt.Sprintf("it has at most %d octets", maxKeyText), "name the file that holds the key")
	}
	block, rest := pem.Decode(text)
	switch {
	case block == nil:
		return fail("it is a PEM block", "name the file that holds the private key")
	case block.Type == "PUBLIC KEY":
		return fail("it is private", "name the file that holds the private key")
	case block.Type == "ENCRYPTED PRIVATE KEY":
		return fail("it is not encrypted", "decrypt it with openssl pkey")
	case block.Type != "PRIVATE KEY":
		return fail("the block is a PRIVATE KEY (PKCS #8)", "convert it with openssl pkey")
	case len(strings.TrimSpace(string(rest))) != 0:
		return fail("it is one PEM block", "keep one key in a file")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return fail("it holds a private key in PKCS #8", "restore the file, or make a new key")
	}
	key, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		return fail("the key is an Ed25519 key", "make one with openssl genpkey -algorithm ed25519")
	}
	return holdKey(key), nil
}
