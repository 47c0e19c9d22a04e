package journal

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"github.com/nameplate-id/nameplate/registry/identifier"
)

// MaxCheckpoint is how many octets a checkpoint may have, cosignatures included.
const MaxCheckpoint = 64 << 10

// Origin returns what the checkpoints of a log begin with. It is also the name of
// the key that signs them (C2SP tlog-checkpoint, note text).
func Origin(log identifier.LogID) string {
	return "nameplate.id/log/" + hex.EncodeToString(log[:])
}

// SignCheckpoint returns the statement that the first size entries of a log have
// this root: a C2SP tlog-checkpoint, signed with the node's key.
//
//	nameplate.id/log/<log id, 32 hexadecimal digits>
//	<size, decimal>
//	<root, base64>
//
//	— nameplate.id/log/<log id> <base64 of the key's id, 4 octets, and the signature>
//
// The key's id is the first four octets of SHA-256(name ‖ 0x0A ‖ 0x01 ‖ public
// key), as C2SP signed-note has it for Ed25519. Sign only what is synced.
func SignCheckpoint(size uint64, root identifier.Hash, log identifier.LogID, key identifier.PrivateKey) ([]byte, error) {
	if key.IsZero() {
		return nil, errors.New("sign a checkpoint: there is no key")
	}
	name := Origin(log)
	id, err := noteKeyID(name, noteEd25519, key.Public())
	if err != nil {
		return nil, fmt.Errorf("sign a checkpoint: %w", err)
	}
	return note.Sign(&note.Note{Text: checkpointText(size, root, log)}, &signer{name, id, key})
}

// VerifyCheckpoint reads a checkpoint of a log and checks the signature of the
// node's key. Signatures of others are not looked at.
func VerifyCheckpoint(text []byte, log identifier.LogID, key identifier.PublicKey) (size uint64, root identifier.Hash, err error) {
	refuse := func(format string, args ...any) (uint64, identifier.Hash, error) {
		return 0, identifier.Hash{}, fmt.Errorf("checkpoint of log %s: %w", log, fmt.Errorf(format, args...))
	}
	if len(text) > MaxCheckpoint {
		return refuse("it has %d octets, at most %d are allowed", len(text), MaxCheckpoint)
	}
	name := Origin(log)
	id, err := noteKeyID(name, noteEd25519, key)
	if err != nil {
		return refuse("%w", err)
	}
	n, err := note.Open(text, note.VerifierList(&verifierKey{name, id, ed25519.PublicKey(key.Raw)}))
	if err != nil {
		return refuse("%w", err)
	}
	lines := strings.Split(n.Text, "\n") // the text ends in a newline: the last one is empty
	if len(lines) < 4 || lines[0] != name {
		return refuse("line 1 is not %q, followed by size and root", name)
	}
	size, err = strconv.ParseUint(lines[1], 10, 64)
	if err != nil || strconv.FormatUint(size, 10) != lines[1] {
		return refuse("line 2 is not a size in decimal without leading zeros: %.40q", lines[1])
	}
	hash, err := base64.StdEncoding.Strict().DecodeString(lines[2])
	if err != nil || len(hash) != len(root) {
		return refuse("line 3 is not a root of 32 octets in base64: %.60q", lines[2])
	}
	for i, extension := range lines[3 : len(lines)-1] {
		if extension == "" {
			return refuse("line %d is empty", i+4)
		}
	}
	return size, identifier.Hash(hash), nil
}

// VerifierKey returns the key that the checkpoints of a log are verified with, as
// tools for signed notes read it: name, key id and key (C2SP signed-note, vkey).
func VerifierKey(log identifier.LogID, key identifier.PublicKey) (string, error) {
	if _, err := noteKeyID("", noteEd25519, key); err != nil {
		return "", err
	}
	return note.NewEd25519VerifierKey(Origin(log), ed25519.PublicKey(key.Raw))
}

// noteEd25519 is the signature type of C2SP signed-note.
const noteEd25519 = 1

// noteKeyID returns the id of a key under a name, for signatures of a type (C2SP
// signed-note).
func noteKeyID(name string, of byte, key identifier.PublicKey) (uint32, error) {
	if key.Type != identifier.Ed25519 || len(key.Raw) != ed25519.PublicKeySize {
		return 0, fmt.Errorf("key %s is not an Ed25519 key", key.ID())
	}
	h := sha256.New()
	h.Write([]byte(name))
	h.Write([]byte{'\n', of})
	h.Write([]byte(key.Raw))
	return binary.BigEndian.Uint32(h.Sum(nil)), nil
}

// signer is a note.Signer.
type signer struct {
	name string
	id   uint32
	key  identifier.PrivateKey
}

func (s *signer) Name() string                     { return s.name }
func (s *signer) KeyHash() uint32                  { return s.id }
func (s *signer) Sign(text []byte) ([]byte, error) { return s.key.Sign(text), nil }

// verifierKey is a note.Verifier.
type verifierKey struct {
	name string
	id   uint32
	key  ed25519.PublicKey
}

func (v *verifierKey) Name() string                 { return v.name }
func (v *verifierKey) KeyHash() uint32              { return v.id }
func (v *verifierKey) Verify(text, sig []byte) bool { return ed25519.Verify(v.key, text, sig) }
