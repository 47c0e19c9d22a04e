package replicatest

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"github.com/nameplate-id/nameplate/registry/identifier"
)

// witness is a note.Verifier and a note.Signer for C2SP tlog-cosignature/v1, with the
// Unix second 1.
type witness struct {
	public identifier.PublicKey
	key    identifier.PrivateKey
}

func (w witness) Name() string {
	id := w.public.ID()
	return "nameplate.id/node/" + hex.EncodeToString(id[:])
}

func (w witness) KeyHash() uint32 {
	sum := sha256.Sum256([]byte(w.Name() + "\n\x04" + w.public.Raw))
	return binary.BigEndian.Uint32(sum[:])
}

func (w witness) Sign(text []byte) ([]byte, error) {
	return append([]byte{7: 1}, w.key.Sign(fmt.Appendf(nil, "cosignature/v1\ntime 1\n%s", text))...), nil
}

func (w witness) Verify(text, sig []byte) bool {
	return len(sig) == 72 && ed25519.Verify(ed25519.PublicKey(w.public.Raw), fmt.Appendf(nil, "cosignature/v1\ntime %d\n%s", binary.BigEndian.Uint64(sig), text), sig[8:])
}

// Cosign is what journal.Cosign is, at the Unix second 1.
func Cosign(checkpoint []byte, by identifier.PrivateKey) []byte {
	text, _, _ := strings.Cut(string(checkpoint), "\n\n")
	signed, err := note.Sign(&note.Note{Text: text + "\n"}, witness{by.Public(), by})
	if err != nil {
		panic(err)
	}
	_, line, _ := strings.Cut(string(signed), "\n\n")
	return append(append([]byte(nil), checkpoint...), line...)
}

// VerifyCosignature is what journal.VerifyCosignature is, without the time.
func VerifyCosignature(checkpoint []byte, by identifier.PublicKey) error {
	_, err := note.Open(checkpoint, note.VerifierList(witness{public: by}))
	return err
}

// NoteSignature returns the first signature below a note.
func NoteSignature(checkpoint []byte) ([]byte, error) {
	_, lines, _ := strings.Cut(string(checkpoint), "\n\n")
	fields := strings.Fields(lines)
	if len(fields) < 3 {
		return nil, errors.New("no signature")
	}
	b, err := base64.StdEncoding.DecodeString(fields[2])
	if err != nil || len(b) < 4 {
		return nil, errors.New("no signature")
	}
	return b[4:], nil
}
